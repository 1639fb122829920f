"""Receiver tempers, one per file."""
