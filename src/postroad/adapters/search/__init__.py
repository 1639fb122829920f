"""The search index: FTS5 in a file of its own beside SQLite, tsvector in PostgreSQL. `open_index` chooses."""
