"""Agents: attempt now and answer with one Status per recipient. They schedule nothing."""
