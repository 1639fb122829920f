"""Logs and metrics: context ids from connection to attempt, counters, the Prometheus page."""
