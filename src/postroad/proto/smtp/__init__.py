"""SMTP, submission and LMTP (RFC 5321, 6409, 2033): one grammar, one reply table, both sides."""
