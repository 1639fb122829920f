"""A long queue: a million recipients over five thousand destinations, half of which fail in one way or another.

Asked of it: how much memory the server takes; how soon a new message to a healthy destination leaves in the midst of
it; how long `queue summary` takes; how soon a restart is ready; what a claim and an outcome cost.

The server runs as a process of its own on loopback, towards receivers and a DNS server of the laboratory in this one.
"""

# ruff: noqa: A005 - it is called by its name in the package

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.failing import TAKES, Counting, Lab
from bench.harness import Unable, say
from postroad.adapters.clock import SystemClock
from postroad.adapters.ids import NodeIds
from postroad.adapters.sql.database import Database, open_database
from postroad.config.schema import Limits, Storage
from postroad.events.recorder import Recorder
from postroad.mail.envelope import BodyFlag, Origin
from postroad.mail.status import EnhancedCode, Status, status
from postroad.ports.ids import BlobId, DeliveryId, MessageId
from postroad.ports.store import Acceptance, Delivery, DeliveryResult, DeliveryState, Message, Outcomes

POSTROAD = [sys.executable, "-m", "postroad"]
EACH = 10  # recipients of one message
GROUP = 200  # messages of one transaction
CONTENT = b"From: carol@bench.test\r\nSubject: news\r\n\r\n" + b"What there is to tell this week.\r\n" * 28
LATER = Status(451, EnhancedCode(4, 3, 0), "try again later", "", "mx.test", "451 4.3.0 try again later")
GONE = status(451, "4.4.1", "it cannot be reached", "connection refused")
CONFIG = """\
hostname = "mail.bench.test"
data_dir = "{data}"

[storage]
database = "{database}"

[[listen]]
service = "mx"
address = "127.0.0.1:0"

[dns]
nameservers = ["{dns}"]

[delivery]
port = {port}

[limits]
min_free = 16777216

[log]
level = "warning"
"""


async def fill(store: Database, recipients: int, destinations: int) -> None:
    """Rows as they are after a first try: half of them due now, the others within the hour."""
    ids, choose, now = NodeIds(0), random.Random(7), datetime.now(UTC)
    recorder, at = Recorder(ids), 0
    origin = Origin("submission", "bench", account="carol@bench.test")
    for _ in range(0, recipients, EACH * GROUP):
        group = []
        for _ in range(min(GROUP, -(-(recipients - at) // EACH))):
            number = MessageId(ids.new())
            message = Message(
                number, now, origin, "carol@bench.test", len(CONTENT), BodyFlag.NONE, BlobId(number), header_size=42
            )
            deliveries = []
            for _ in range(EACH):
                domain = f"d{at % destinations}.test"
                due = now + timedelta(seconds=max(0, choose.randrange(-3600, 3600)))
                last = GONE if at % 2 and at // 2 % 3 else LATER
                deliveries.append(
                    Delivery(
                        DeliveryId(ids.new()), number, f"mx:{domain}", f"u{at}@{domain}", DeliveryState.QUEUED,
                        due=due, tries=1, expires=now + timedelta(days=5), last_status=last,
                    )
                )  # fmt: skip
                at += 1
            group.append(Acceptance(message, CONTENT, None, b"", deliveries, [recorder.received(message, EACH)]))
        await asyncio.gather(*store.accept_all(group))


@contextmanager
def database_of(engine: str) -> Iterator[str]:
    if engine == "sqlite":
        yield "sqlite"
        return
    from postroad.testing import postgres

    if not postgres.available():
        raise Unable("PostgreSQL's package for Python is not installed")
    server = postgres.server()
    with server.database() as url:
        yield url


class Server:
    """`postroad serve` on the long queue."""

    def __init__(self, config: Path) -> None:
        self.config = config
        self.port = 0
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> float:
        """Seconds until it says `ready`."""
        began = time.monotonic()
        self._process = await asyncio.create_subprocess_exec(
            *POSTROAD, "--config", str(self.config), "serve", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert self._process.stdout is not None
        async for raw in self._process.stdout:
            line = raw.decode().split()
            if line[:2] == ["listening", "mx"]:
                self.port = int(line[2].rpartition(":")[2])
            if line == ["ready"]:
                return time.monotonic() - began
        raise Unable("the server did not become ready")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def memory(self) -> float:
        """MiB that it has now."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024
        return 0.0

    def cpu(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    async def kill(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        await self._process.wait()

    async def command(self, *words: str) -> tuple[float, str]:
        """Seconds, and what it printed."""
        began = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            *POSTROAD, "--config", str(self.config), *words, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        out, err = await process.communicate()
        if process.returncode:
            raise Unable(f"postroad {' '.join(words)}: {err.decode()}")
        return time.monotonic() - began, out.decode()


async def send(port: int, recipient: str) -> None:
    """One message through the server's MX listener."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await reader.readline()
    for command in ("HELO client.bench.test", "MAIL FROM:<carol@bench.test>", f"RCPT TO:<{recipient}>", "DATA"):
        writer.write(f"{command}\r\n".encode())
        line = await reader.readline()
        if line[:1] not in b"23":
            raise Unable(f"{command} was answered {line.decode().strip()}")
    writer.write(b"Subject: password reset\r\n\r\nHere it is.\r\n.\r\nQUIT\r\n")
    await reader.readline()
    await reader.readline()
    writer.close()


async def arrival(recipient: str, patience: float) -> float:
    """When it came, or infinity."""
    until = time.monotonic() + patience
    while time.monotonic() < until:
        if recipient in Counting.arrived:
            return Counting.arrived[recipient]
        await asyncio.sleep(0.005)
    return float("inf")


async def watch(server: Server, lab: Lab, seconds: float, tag: str) -> None:
    """A new message each second, and what the server has and needs meanwhile."""
    waits: list[float] = []
    memory: list[float] = []
    summaries: list[float] = []
    parts: list[dict[str, int]] = []
    began, cpu, taken, number = time.monotonic(), server.cpu(), lab.taken, 0
    while time.monotonic() - began < seconds:
        recipient = f"fresh{tag}{number}@fresh.test"
        sent = time.monotonic()
        await send(server.port, recipient)
        waits.append(await arrival(recipient, 30.0) - sent)
        memory.append(server.memory())
        if number % 10 == 1:
            took, out = await server.command("queue", "summary", "--json")
            summaries.append(took)
            parts = json.loads(out)
        number += 1
        await asyncio.sleep(max(0.0, 1.0 - (time.monotonic() - sent)))
    passed = time.monotonic() - began
    say(f"  new messages: {len(waits)}, from sending to arrival: median {statistics.median(waits) * 1000:.0f} ms,"
        f" slowest {max(waits) * 1000:.0f} ms")  # fmt: skip
    say(f"  memory: {max(memory):.0f} MiB at most; CPU {100 * (server.cpu() - cpu) / passed:.0f} % of a core;"
        f" {(lab.taken - taken) / passed:.0f} recipients a second reached meanwhile")  # fmt: skip
    say(f"  `queue summary` ({len(parts)} destinations, {sum(part['queued'] for part in parts):,} recipients):"
        f" {max(summaries):.2f} s at most, with the start of Python")  # fmt: skip


async def costs(store: Database) -> None:
    """What one claim and one deferral take at the writer, in groups as they are made."""
    now, lease = datetime.now(UTC) + timedelta(hours=2), timedelta(hours=1)  # whatever was put off is due then
    node, epoch = await store.write(lambda tx: tx.nodes.join("costs", now=now, lease=lease))
    claimed = []
    began = time.perf_counter()
    for _ in range(20):
        claimed += await store.write(lambda tx: tx.deliveries.claim_due(node, epoch, now=now, limit=200, lease=lease))
    claim = (time.perf_counter() - began) / max(1, len(claimed))
    recorder, ids = Recorder(NodeIds(1)), NodeIds(1)
    del ids
    outcomes = [
        Outcomes(
            [DeliveryResult(d.id, node, epoch, DeliveryState.QUEUED, LATER, d.tries, due=now + timedelta(hours=1))],
            None,
            [recorder.deferred(d, now, LATER, host="mx.test", next_due=now)],
        )
        for d in (entry.delivery for entry in claimed)
    ]
    began = time.perf_counter()
    await asyncio.gather(*(store.outcomes(one) for one in outcomes))
    outcome = (time.perf_counter() - began) / max(1, len(outcomes))
    began = time.perf_counter()
    await store.read(lambda tx: tx.deliveries.summary())
    summary = time.perf_counter() - began
    say(f"  a claim {claim * 1e6:.0f} us, a deferral with its event {outcome * 1e6:.0f} us ({len(claimed)} of each);"
        f" the summary's statements {summary:.2f} s")  # fmt: skip


async def measure(engine: str, recipients: int, destinations: int, seconds: float, folder: Path) -> None:
    say(f"{engine}: {recipients:,} recipients over {destinations:,} destinations, half of them failing")
    lab = Lab(destinations)
    await lab.start()
    with database_of(engine) as database:
        config = folder / "postroad.toml"
        data = folder / "data"
        data.mkdir()
        config.write_text(CONFIG.format(data=data, database=database, dns=lab.dns.address, port=lab.port))
        server = Server(config)
        await server.command("domain", "add", "fresh.test", "--relay-to", f"{TAKES}:{lab.port}")
        store = open_database(Storage(database), data, SystemClock(), Limits(min_free=1 << 20))
        await store.start()
        began = time.monotonic()
        await fill(store, recipients, destinations)
        await store.close()
        say(f"  filled in {time.monotonic() - began:.0f} s")
        if engine == "postgres":
            vacuum(database)
        say(f"  ready {await server.start():.2f} s after its start")
        try:
            await watch(server, lab, seconds, "a")
            await server.kill()
            say(f"  ready again {await server.start():.2f} s after it was killed")
            await watch(server, lab, seconds / 3, "b")
        finally:
            await server.kill()
            await lab.stop()
        store = open_database(Storage(database), data, SystemClock(), Limits(min_free=1 << 20))
        await store.start()
        await costs(store)
        await store.close()


def vacuum(url: str) -> None:
    """As PostgreSQL's own worker would have done meanwhile."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="bench queue")
    parser.add_argument("--recipients", type=int, default=1_000_000)
    parser.add_argument("--destinations", type=int, default=5_000)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--engine", choices=("sqlite", "postgres"), action="append")
    options = parser.parse_args(words)
    for engine in options.engine or ("sqlite", "postgres"):
        with tempfile.TemporaryDirectory(prefix="postroad-queue-") as folder:
            asyncio.run(measure(engine, options.recipients, options.destinations, options.seconds, Path(folder)))
