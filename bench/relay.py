"""Relay: 4 KiB messages through a relay domain to a sink, until the last outcome is recorded."""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.accept import measure, report
from bench.harness import find, free_port, journaled_fs, machine, require_root_and, say, wait_for
from bench.ours import Postroad
from bench.postfix import Postfix, relay

SINK = "127.0.0.2"


@contextmanager
def sink() -> Iterator[int]:
    """smtp-sink, which takes everything and keeps nothing."""
    port = free_port(SINK)
    process = subprocess.Popen([find("smtp-sink") or "smtp-sink", "-u", "nobody", f"{SINK}:{port}", "1024"],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    try:
        wait_for(port, SINK)
        yield port
    finally:
        process.terminate()
        process.wait(10)


def compare(folder: Path, port: int, options: argparse.Namespace, *, many: bool) -> None:
    mode = "many messages per connection" if many else "one message per connection"
    ours = Postroad(folder / f"postroad-{many}")
    theirs = Postfix(folder / f"postfix-{many}", relay(SINK, port))
    ours.command("domain", "add", "far.test", "--relay-to", f"{SINK}:{port}")
    figures: dict[str, list[tuple[float, float]]] = {"Postroad": [], "Postfix": []}
    ours.start()
    theirs.start()
    try:
        for run in range(options.runs):
            for server in (ours, theirs):
                pair = measure(server, messages=options.messages, size=options.size, sessions=options.sessions,
                               many=many, to="x@far.test")  # fmt: skip
                figures[server.name].append(pair)
                say(f"  run {run + 1}: {server.name:9} {pair[0]:8,.0f} msg/CPU-s {pair[1]:8,.0f} msg/s")
    finally:
        ours.stop()
        theirs.stop()
    ours.command("ledger")
    report(f"relay, {options.size} octets, {options.sessions} sessions, {mode}", figures)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="bench relay", description=__doc__)
    parser.add_argument("--messages", type=int, default=4000)
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args(arguments)
    require_root_and("postfix", "smtp-source", "smtp-sink", "mkfs.ext4")
    say(machine())
    with (
        tempfile.TemporaryDirectory(dir="/var/tmp") as temporary,
        journaled_fs(Path(temporary)) as folder,
        sink() as port,
    ):
        for many in (True, False):
            compare(folder, port, options, many=many)
