"""Where published vectors are: `POSTROAD_TESTDATA`, else `shared/testdata`, else `../shared/testdata`.

They are inputs that nobody in the project wrote, so they are not part of the repository; a test that needs them skips,
saying so, where none of the three has them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[3]


def testdata(name: str) -> Path:
    """The file or folder called `name`; skips the test, or at import the whole module, where there is none."""
    path = find(name)
    if path is None:
        pytest.skip(f"no published vectors {name}: set POSTROAD_TESTDATA", allow_module_level=True)
    return path


def find(name: str) -> Path | None:
    """The file or folder called `name`, or None."""
    return next((folder / name for folder in _folders() if (folder / name).exists()), None)


def files(name: str, pattern: str) -> list[Path]:
    """The files of a folder, in order; none where the vectors are absent: for `parametrize`, beside one `testdata`."""
    folder = find(name)
    return sorted(path for path in folder.rglob(pattern) if path.is_file()) if folder else []


def _folders() -> Iterator[Path]:
    if named := os.environ.get("POSTROAD_TESTDATA"):
        yield Path(named)
    yield _ROOT / "shared" / "testdata"
    yield _ROOT.parent / "shared" / "testdata"
