"""Measurements beside peers: `python -m bench accept|relay|idle|api`. Never part of a test."""
