"""POP3 (RFC 1939) server machine and its command table."""
