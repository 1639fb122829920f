"""ManageSieve (RFC 5804) server machine. Will hold `commands.py` and `server.py`."""
