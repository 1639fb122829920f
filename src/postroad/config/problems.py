"""What is wrong with a configuration, as people read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to change: where it stands, what is wrong, and what to write instead."""

    path: str
    text: str
    suggestion: str = ""

    def __str__(self) -> str:
        line = f"{self.path}: {self.text}" if self.path else self.text
        return f"{line}; {self.suggestion}" if self.suggestion else line


class ConfigError(Exception):
    """The configuration cannot be used; `problems` has all that is wrong with it."""

    def __init__(self, problems: Sequence[Problem], source: Path | None = None) -> None:
        self.problems = tuple(problems)
        self.source = source
        super().__init__("\n".join(str(problem) for problem in problems))
