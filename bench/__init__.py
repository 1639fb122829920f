"""Measurements beside peers: `python -m bench accept|relay|idle`. Never part of a test."""
