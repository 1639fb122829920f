"""The steps of the acceptance policy, one per file."""
