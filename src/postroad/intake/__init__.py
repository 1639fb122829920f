"""Acceptance: from bytes to "ours". The spool, the policy pipeline and the one transaction."""
