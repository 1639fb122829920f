"""IMAP4rev1 (RFC 3501) server machine: tokens, a command table, responses."""
