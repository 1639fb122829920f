"""Sans-I/O protocol machines: bytes in, events out; answers in, bytes out.

Pure; they import `mail` only, and are strangers to one another.
"""
