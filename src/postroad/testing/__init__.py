"""The shipped test kit: in-memory network, jumping clock, dialogues, stores. Nothing shipped imports it."""
