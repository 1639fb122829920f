"""The composition root: builds a node from its settings, starts and stops it."""
