"""The doors: interfaces and plain records by which services reach the outside. No behaviour."""
