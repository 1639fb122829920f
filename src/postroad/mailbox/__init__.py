"""Mailboxes as their owners see them: append, copy, move, flags, expunge, search, quota, one session's view."""
