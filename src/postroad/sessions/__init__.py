"""Protocol front ends: answer each machine's events with what the services decide."""
