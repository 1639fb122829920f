"""The SQLite engine: one writer thread with group commit, several readers."""
