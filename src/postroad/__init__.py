"""Postroad: your own mail server, as easy as a hosted service."""

__version__ = "0.1.0"
