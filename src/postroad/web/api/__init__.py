"""Our own HTTP API under /api/v1, described by /api/openapi.json."""
