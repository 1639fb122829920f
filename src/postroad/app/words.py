"""Commands as the reader can type them here."""

from __future__ import annotations

import sys
from pathlib import Path


def command_line(config: Path | str | None, *words: str) -> str:
    """`postroad ...` with the program's own path and configuration, as seen from the working directory."""
    program = Path(sys.argv[0])
    name = _relative(program) if program.name == "postroad" and program.exists() else "postroad"
    prefix = [name, "--config", _relative(Path(config))] if config else [name]
    return " ".join([*prefix, *words])


def _relative(path: Path) -> str:
    """The path as seen from here where that is shorter."""
    absolute, here = path.absolute(), Path.cwd()
    return str(absolute.relative_to(here)) if absolute.is_relative_to(here) else str(path)
