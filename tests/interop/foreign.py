"""A whole server as its own process, with certificates that foreign programs can check, and what they are run with."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from postroad.testing.server import ServerProcess

PASSWORD = "correct horse battery"


@dataclass(frozen=True)
class Site:
    """One running server with two accounts, and the CA that signed its certificate."""

    server: ServerProcess
    ca: Path
    folder: Path
    alice: str = "alice@example.test"
    bob: str = "bob@example.test"
    password: str = PASSWORD

    def port(self, service: str) -> int:
        return self.server.port(service)


def program(name: str) -> str:
    """The path of a foreign program; skips where it is absent, fails where CI demands it."""
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if path is None:
        complain = pytest.fail if os.environ.get("POSTROAD_REQUIRE_INTEROP") else pytest.skip
        complain(f"{name} is not installed")
    return path


def run(command: Sequence[str | Path], *, text: bytes = b"", env: Mapping[str, str] | None = None) -> bytes:
    """Run a foreign program to its end; what it printed, or a failure that shows it."""
    done = subprocess.run(
        [str(word) for word in command],
        input=text,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=60,
        check=False,
        env={**os.environ, **(env or {})},
    )
    assert done.returncode == 0, f"{command[0]} exited {done.returncode}:\n{done.stdout.decode(errors='replace')}"
    return done.stdout
