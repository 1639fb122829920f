"""Packages from npm that some tests use: found in the folder that POSTROAD_NPM names, else in ./.cache/npm.

`make npm` puts there what tests/interop/npm/package-lock.json lists. Nothing of it is shipped.
"""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = Path(__file__).parents[3] / ".cache/npm"


def packages() -> Path:
    """The folder in which packages lie, whether it is there or not."""
    return Path(os.environ.get("POSTROAD_NPM") or FOLDER) / "node_modules"


def find(path: str) -> Path | None:
    """A package, or a file of one (`axe-core/axe.min.js`); None where it is not installed."""
    found = packages() / path
    return found if found.exists() else None
