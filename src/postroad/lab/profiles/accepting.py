"""Takes everything at once: the good neighbour."""

from __future__ import annotations

from postroad.lab.temper import Temper


class Accepting(Temper):
    """The base temper under its own name."""
