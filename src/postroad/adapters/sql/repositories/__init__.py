"""The repositories, written once for both engines: rows to records and back."""
