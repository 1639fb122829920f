"""Sending by API: POST /email over 20 kept connections, and POST /email/batch with 500 messages each.

Text and HTML of 1 KiB each, tag and metadata; into a mailbox of ours, and on through a relay domain to a sink until the
last outcome is recorded. Messages per CPU second of the whole server, as shipped, everything recorded.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.harness import journaled_fs, machine, median_line, require_root_and, say
from bench.ours import Postroad
from bench.relay import SINK, sink

CONNECTIONS = 20
BATCH = 500
MARKS = {"one": 900, "batch": 2500}  # messages per CPU second, at least
TEXT = "Hello Bob,\n\nyour order 4711 is on its way and should be with you tomorrow.\n\n" * 13
HTML = "<p>Hello Bob,</p><p>your order <b>4711</b> is on its way and should be with you tomorrow.</p>\n" * 11


@dataclass(frozen=True)
class Case:
    """What is measured: where to, and how many messages a request."""

    name: str
    mark: str
    to: str
    size: int

    @property
    def path(self) -> str:
        return "/email" if self.size == 1 else "/email/batch"


CASES = (
    Case("POST /email, to a mailbox here", "one", "bob@bench.test", 1),
    Case(f"POST /email/batch of {BATCH}, to a mailbox here", "batch", "bob@bench.test", BATCH),
    Case("POST /email, relayed on", "", "bob{}@far.test", 1),
    Case(f"POST /email/batch of {BATCH}, relayed on", "", "bob{}@far.test", BATCH),
)


def message(to: str, number: int) -> dict[str, object]:
    return {
        "From": "Shop <orders@bench.test>",
        "To": f"Bob Example <{to.format(number)}>",
        "Subject": f"Your order {number} is on its way",
        "TextBody": TEXT,
        "HtmlBody": HTML,
        "Tag": "order",
        "Metadata": {"order": str(number), "customer": "4711"},
        "MessageStream": "outbound",
    }


def requests(case: Case, messages: int, token: str) -> list[bytes]:
    """The octets of each request, made before anything is measured."""
    made = []
    for start in range(0, messages, case.size):
        listed = [message(case.to, start + number) for number in range(case.size)]
        body = json.dumps(listed[0] if case.size == 1 else listed).encode()
        head = (
            f"POST {case.path} HTTP/1.1\r\nHost: bench.test\r\nAccept: application/json\r\n"
            f"Content-Type: application/json\r\nX-Postmark-Server-Token: {token}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        made.append(head.encode() + body)
    return made


async def send(port: int, waiting: list[bytes], connections: int) -> None:
    """Every request must be answered with 200, and no message of it be refused."""

    async def connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while waiting:
            writer.write(waiting.pop())
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
            body = await reader.readexactly(length)
            if b" 200 " not in head[:20] or body.count(b'"ErrorCode":0') != body.count(b'"ErrorCode"'):
                raise RuntimeError(body[:400].decode())
        writer.close()

    await asyncio.gather(*(connection() for _ in range(connections)))


def measure(server: Postroad, case: Case, messages: int, token: str) -> tuple[float, float]:
    """(messages per CPU second, messages per second), until the server has nothing left to do."""
    waiting = requests(case, messages, token)
    connections = CONNECTIONS if case.size == 1 else 2
    cpu, wall = server.group.seconds(), time.monotonic()
    asyncio.run(send(server.ports["http"], waiting, connections))
    while not server.drained():
        time.sleep(0.02)
    wall = time.monotonic() - wall
    time.sleep(0.3)  # what a server does just after the last answer is part of its price
    return messages / (server.group.seconds() - cpu), messages / wall


def run(server: Postroad, cases: Sequence[Case], chosen: argparse.Namespace, token: str) -> None:
    """All cases in turn, so that the machine's moods fall on all; the first turn warms up and does not count."""
    figures: dict[str, list[tuple[float, float]]] = {case.name: [] for case in cases}
    for turn in range(chosen.runs + 1):
        for case in cases:
            pair = measure(server, case, chosen.messages if case.size == 1 else chosen.messages * 2, token)
            if turn:
                figures[case.name].append(pair)
            say(f"  {f'run {turn}' if turn else 'warm '}: {case.name:45} {pair[0]:8,.0f} /CPU-s {pair[1]:8,.0f} /s")
    say("")
    for case in cases:
        per_cpu, per_second = [pair[0] for pair in figures[case.name]], [pair[1] for pair in figures[case.name]]
        found = statistics.median(per_cpu)
        mark = MARKS.get(case.mark)
        verdict = "" if mark is None else f"   mark {mark:,}: {'kept' if found >= mark else 'MISSED'}"
        say(f"{case.name:45} {median_line(per_cpu):>24} messages/CPU-s {median_line(per_second):>24} /s"
            f"   {1e6 / found:,.0f} us each{verdict}")  # fmt: skip


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="bench api", description=__doc__)
    parser.add_argument(
        "--messages", type=int, default=4000, help="of a run with single ones; batches carry twice that"
    )
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", default="", help="cases whose name has this in it")
    chosen = parser.parse_args(arguments)
    require_root_and("smtp-sink", "mkfs.ext4")
    say(machine())
    with (
        tempfile.TemporaryDirectory(dir="/var/tmp") as temporary,
        journaled_fs(Path(temporary)) as folder,
        sink() as port,
    ):
        server = Postroad(folder / "postroad", services=("http",))
        server.command("domain", "add", "bench.test")
        server.command("domain", "add", "far.test", "--relay-to", f"{SINK}:{port}")
        server.command("account", "add", "bob@bench.test", "--password-stdin", text="correct horse battery\n")
        server.command("server", "add", "shop")
        token = server.command("token", "add", "--server", "shop").split()[0]
        server.start()
        try:
            run(server, [case for case in CASES if chosen.only in case.name], chosen, token)
        finally:
            server.stop()
        server.command("ledger")
