"""Relay: 4 KiB messages through a relay domain to a sink, until the last outcome is recorded."""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.compare import in_turn, measure, options
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


def compare(folder: Path, port: int, chosen: argparse.Namespace, *, many: bool) -> None:
    ours = Postroad(folder / f"postroad-{many}")
    theirs = Postfix(folder / f"postfix-{many}", relay(SINK, port))
    ours.command("domain", "add", "far.test", "--relay-to", f"{SINK}:{port}")
    mode = "many messages per connection" if many else "one message per connection"
    what = f"relay, {chosen.size} octets, {chosen.sessions} sessions, {mode}"
    in_turn((ours, theirs), what, chosen.runs, lambda server: measure(
        server, messages=chosen.messages, size=chosen.size, sessions=chosen.sessions, many=many, to="x@far.test"
    ))  # fmt: skip
    ours.command("ledger")


def main(arguments: list[str]) -> None:
    chosen = options(arguments, "relay", __doc__ or "", messages=4000, size=4096)
    require_root_and("postfix", "smtp-source", "smtp-sink", "mkfs.ext4")
    say(machine())
    with (
        tempfile.TemporaryDirectory(dir="/var/tmp") as temporary,
        journaled_fs(Path(temporary)) as folder,
        sink() as port,
    ):
        for many in (True, False):
            compare(folder, port, chosen, many=many)
