"""Sockets and TLS: one driver for every machine, client and server."""
