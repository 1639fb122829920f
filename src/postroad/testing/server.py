"""A whole server for tests: as a process of its own, or inside the test's loop. Real sockets, ports of the kernel's
choice, data in a folder of the test's. Both prove the ledger when they end.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from postroad.app.build import Node
from postroad.app.ledger import prove
from postroad.app.lifecycle import running
from postroad.config.load import load
from postroad.config.schema import Settings

PROGRAM = (sys.executable, "-m", "postroad")
SERVICES = ("mx", "submission", "imap", "pop3", "metrics")
HOSTNAME = "mail.example.test"
_STOP_PATIENCE = 30.0


class ServerFailed(AssertionError):  # noqa: N818 - it is the server that failed
    """The server, or a command, did not do what the test needs; shows what it said."""


def write_configuration(
    folder: Path,
    services: Sequence[str] = SERVICES,
    *,
    certificate: Path | None = None,
    key: Path | None = None,
    extra: str = "",
) -> Path:
    """A configuration with listeners on free ports of 127.0.0.1; `extra` is more TOML behind it."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f'hostname = "{HOSTNAME}"', 'data_dir = "data"']
    for service in services:
        lines += ["[[listen]]", f'service = "{service}"', 'address = "127.0.0.1:0"']
    if certificate and key:
        lines += ["[tls]", f'certificate = "{certificate}"', f'key = "{key}"']
    path = folder / "postroad.toml"
    path.write_text("\n".join(lines) + "\n" + extra, "utf-8")
    return path


class ServerProcess:
    """`postroad serve` in a process of its own. The test starts and stops it, as often as it likes."""

    def __init__(
        self,
        folder: Path,
        services: Sequence[str] = SERVICES,
        *,
        certificate: Path | None = None,
        key: Path | None = None,
        extra: str = "",
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.config = write_configuration(folder, services, certificate=certificate, key=key, extra=extra)
        self.ports: dict[str, int] = {}
        self.process: subprocess.Popen[bytes] | None = None
        self._env = {**clean_environment(), **(env or {})}

    @property
    def log(self) -> Path:
        """What the server printed."""
        return self.folder / "serve.log"

    def run(self, *words: str, text: str = "", code: int = 0) -> str:
        """Run a command beside the server (or without one); what it printed. It must exit with `code`."""
        command = [*PROGRAM, "--config", str(self.config), *words]
        done = subprocess.run(  # noqa: S603 - our own program
            command, input=text, capture_output=True, text=True, timeout=120, check=False, env=self._env
        )
        if done.returncode != code:
            raise ServerFailed(f"postroad {' '.join(words)} exited {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def start(self) -> None:
        """Returns at `ready`."""
        command = [*PROGRAM, "--config", str(self.config), "serve"]
        with self.log.open("ab") as log:
            mark = log.tell()
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=self._env)  # noqa: S603
        self.ports = self._read_ports(mark)

    def _read_ports(self, mark: int) -> dict[str, int]:
        assert self.process
        ports: dict[str, int] = {}
        with self.log.open(encoding="utf-8") as lines:
            lines.seek(mark)
            text = ""
            while True:
                piece = lines.readline()
                if not piece:
                    if self.process.poll() is not None:
                        raise ServerFailed(f"the server exited {self.process.returncode}:\n{self.log.read_text()}")
                    _breathe()
                    continue
                text += piece
                if not text.endswith("\n"):
                    continue
                words, text = text.split(), ""
                if words[:1] == ["listening"]:
                    ports[words[1]] = int(words[2].rpartition(":")[2])
                elif words == ["ready"]:
                    return ports

    def keep_ports(self) -> None:
        """From now on each start listens where the server listens now, as a restart does in life."""
        text = self.config.read_text("utf-8")
        for service, port in self.ports.items():
            text = text.replace(f'"{service}"\naddress = "127.0.0.1:0"', f'"{service}"\naddress = "127.0.0.1:{port}"')
        self.config.write_text(text, "utf-8")

    def port(self, service: str) -> int:
        """Where a service listens on 127.0.0.1."""
        return self.ports[service]

    def stop(self) -> None:
        """SIGTERM; the exit code must be 0 and the ledger clean."""
        self._end(signal.SIGTERM, expect=0)
        self.run("ledger")

    def kill(self) -> None:
        """SIGKILL: what a crash leaves behind stays for the next `start`."""
        self._end(signal.SIGKILL, expect=-signal.SIGKILL)

    def _end(self, how: signal.Signals, *, expect: int) -> None:
        if self.process is None:
            return
        self.process.send_signal(how)
        code = self.process.wait(_STOP_PATIENCE)
        self.process = None
        if code != expect:
            raise ServerFailed(f"the server exited {code} on {how.name}:\n{self.log.read_text()}")


def clean_environment() -> dict[str, str]:
    """Ours without POSTROAD_*: what the tester's shell sets is not for the server under test."""
    return {name: value for name, value in os.environ.items() if not name.startswith("POSTROAD_")}


def _breathe() -> None:
    """Between two looks at the log of a process that is starting."""
    import time

    time.sleep(0.01)


@asynccontextmanager
async def running_node(
    folder: Path,
    services: Sequence[str] = SERVICES,
    *,
    certificate: Path | None = None,
    key: Path | None = None,
    extra: str = "",
) -> AsyncIterator[Node]:
    """A node inside the running loop; `node.endpoints` says where each service listens."""
    settings = load(write_configuration(folder, services, certificate=certificate, key=key, extra=extra), {})
    async with running(settings) as node:
        yield node
    await prove_ledger(settings)


async def prove_ledger(settings: Settings) -> None:
    """Raises AssertionError with what breaks promise 2."""
    report = await prove(settings, deep=False)
    if not report.is_clean:
        raise ServerFailed("\n".join(report.problems))
