"""Tables that ship as files, in TOML. Read when first asked for."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from typing import Any


def table(name: str) -> dict[str, Any]:
    """The table `name.toml`, as it stands in the file. Not remembered: whoever makes something of it keeps that."""
    return tomllib.loads((files(__name__) / f"{name}.toml").read_text(encoding="utf-8"))
