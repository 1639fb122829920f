"""The PostgreSQL engine: the same doors on a pool of connections."""
