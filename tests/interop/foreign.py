"""Foreign programs: where they are, and how they are run."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

CACHE = Path(__file__).parents[2] / ".cache"


def complain(what: str) -> Any:
    """Something is missing: the test is skipped, saying so, or fails where CI demands it."""
    (pytest.fail if os.environ.get("POSTROAD_REQUIRE_INTEROP") else pytest.skip)(what)


def program(name: str) -> str:
    """The path of a foreign program."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin") or complain(f"{name} is not installed")


def run(
    command: Sequence[str | Path],
    *,
    text: bytes = b"",
    env: Mapping[str, str] | None = None,
    code: int | None = 0,
    seconds: float = 60,
) -> bytes:
    """Run a foreign program to its end; what it printed, or a failure that shows it. `code` None: any exit will do."""
    done = subprocess.run(
        [str(word) for word in command],
        input=text,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=seconds,
        check=False,
        env={**os.environ, **(env or {})},
    )
    if code is not None:
        assert done.returncode == code, (
            f"{command[0]} exited {done.returncode}:\n{done.stdout.decode(errors='replace')}"
        )
    return done.stdout


def until(condition: Callable[[], bool], what: str, seconds: float = 30) -> None:
    """Wait for what a foreign program does in its own time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.05)
