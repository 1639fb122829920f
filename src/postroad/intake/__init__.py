"""Acceptance: from bytes to "ours".

`pipeline` is what front ends call and where the policy stands as lists of steps (`checks`, one file each); `spool`
takes the body; `fields` says what is added to a header block; `commit` makes the message ours in one transaction.
"""
