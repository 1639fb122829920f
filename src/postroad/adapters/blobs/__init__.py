"""Message content at rest: segment files, and later object stores."""
