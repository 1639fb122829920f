"""Repositories: the rows of each table group as the records of ports/store.py. Written once for both engines."""
