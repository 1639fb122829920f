"""Where a recipient goes: expansion at acceptance, and the transport at each attempt."""
