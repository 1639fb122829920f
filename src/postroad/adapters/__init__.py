"""The outside: sockets, TLS, DNS, SQL, files. Implement the ports and hold all I/O."""
