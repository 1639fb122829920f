"""The server under test: `postroad serve` in a CPU group, as shipped, everything recorded."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

from bench.harness import CpuGroup, Unable
from postroad.adapters.net.selfsigned import write_self_signed

POSTROAD = [sys.executable, "-m", "postroad"]
CONFIG = """\
hostname = "mx.bench.test"
data_dir = "{folder}/data"

[limits]
min_free = 16777216
max_connections_per_client = 5000
{limits}

{listeners}
"""
LISTENER = '[[listen]]\nservice = "{service}"\naddress = "{host}:0"\n'
TLS = '[tls]\ncertificate = "{folder}/cert.pem"\nkey = "{folder}/key.pem"\n'
# All default steps for everybody, with rates that one address may go through which stands for a thousand.
FRONT_DOOR = """\
[dns]
nameservers = ["{names}"]

[front_door]
connections_per_minute = 1000000
connections_per_minute_network = 1000000
messages_per_minute = 100000000
messages_per_minute_network = 100000000
"""


class Postroad:
    """One node with listeners on free ports; `ports` holds them by service after `start`."""

    host = "127.0.0.1"
    limits = ""

    def __init__(
        self,
        folder: Path,
        services: tuple[str, ...] = ("mx",),
        extra: str = "",
        *,
        name: str = "Postroad",
        tls: bool = False,
    ) -> None:
        self.folder = folder
        self.name = name
        self.group = CpuGroup(name.replace(" ", "_").lower())
        folder.mkdir(parents=True, exist_ok=True)
        self.config = folder / "postroad.toml"
        listeners = "".join(LISTENER.format(service=service, host=self.host) for service in services)
        if tls:
            write_self_signed(folder / "cert.pem", folder / "key.pem", ["mx.bench.test"])
            extra += TLS.format(folder=folder)
        self.config.write_text(CONFIG.format(folder=folder, listeners=listeners, limits=self.limits) + extra)
        self.ports: dict[str, int] = {}
        self._process: subprocess.Popen[bytes] | None = None

    def command(self, *words: str, text: str = "") -> str:
        """Run a `postroad` command on this configuration."""
        done = subprocess.run([*POSTROAD, "--config", str(self.config), *words], input=text, text=True,
                              capture_output=True, check=False)  # fmt: skip
        if done.returncode:
            raise Unable(f"postroad {' '.join(words)}: {done.stdout}{done.stderr}")
        return done.stdout

    def start(self) -> None:
        """Returns at `ready`. The log goes to a file, as it would in earnest."""
        path = self.folder / "serve.log"
        with path.open("wb") as log:
            self._process = self.group.start([*POSTROAD, "--config", str(self.config), "serve"],
                                             stdout=log, stderr=log, env=os.environ)  # fmt: skip
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            lines = [line.split() for line in path.read_text().splitlines()]
            if ["ready"] in lines:
                self.ports = {words[1]: int(words[2].rpartition(":")[2]) for words in lines if words[0] == "listening"}
                return
            time.sleep(0.05)
        raise Unable(f"postroad did not start, see {path}")

    @property
    def port(self) -> int:
        return self.ports["mx"]

    def drained(self) -> bool:
        """Nothing queued: the last outcome is recorded. Read from the rows beside the running server."""
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as rows:
            return not rows.execute("SELECT EXISTS (SELECT 1 FROM delivery WHERE state = 'queued')").fetchone()[0]

    @property
    def database(self) -> Path:
        return self.folder / "data" / "postroad.db"

    def stop(self) -> None:
        process = self._process
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
        self.group.remove()


class FrontDoor(Postroad):
    """The same for strangers: nobody is exempt, and every check of clients and envelopes that is on by default is made.

    It listens at another address than the one that clients come from, else its greeting would be taken for our own.
    """

    host = "127.0.0.3"
    limits = "exempt = []"

    def __init__(self, folder: Path, names: str, *, tls: bool = False) -> None:
        super().__init__(folder, extra=FRONT_DOOR.format(names=names), name="front door", tls=tls)
