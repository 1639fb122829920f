"""Durable accept: 1 KiB messages, 20 sessions, many messages per connection. Ours stores them in a mailbox, Postfix
discards them after its queue file is synced."""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Protocol

from bench.harness import CpuGroup, find, journaled_fs, machine, median_line, require_root_and, say
from bench.ours import Postroad
from bench.postfix import Postfix, discard


class Server(Protocol):
    name: str
    group: CpuGroup

    @property
    def port(self) -> int: ...
    def drained(self) -> bool: ...


def send(port: int, *, messages: int, size: int, sessions: int, many: bool, to: str) -> None:
    """Drive a server with smtp-source; every message must be taken."""
    source = find("smtp-source") or "smtp-source"
    command = [source, *(["-d"] if many else []), "-s", str(sessions), "-m", str(messages), "-l", str(size),
               "-f", "bench@client.test", "-t", to, f"127.0.0.1:{port}"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode or done.stderr:
        raise RuntimeError(f"smtp-source: {done.stderr[:400]}")


def measure(server: Server, *, messages: int, size: int, sessions: int, many: bool, to: str) -> tuple[float, float]:
    """(messages per CPU second, messages per second), until the server has nothing left to do."""
    cpu, wall = server.group.seconds(), time.monotonic()
    send(server.port, messages=messages, size=size, sessions=sessions, many=many, to=to)
    while not server.drained():
        time.sleep(0.02)
    wall = time.monotonic() - wall
    time.sleep(0.3)  # what a server does just after the last reply is part of its price
    return messages / (server.group.seconds() - cpu), messages / wall


def report(what: str, figures: dict[str, list[tuple[float, float]]]) -> None:
    """Both servers' figures of one run, and the ratio of the medians."""
    say(f"\n{what}")
    medians = {}
    for name, pairs in figures.items():
        per_cpu, per_second = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        medians[name] = sorted(per_cpu)[len(per_cpu) // 2], sorted(per_second)[len(per_second) // 2]
        say(f"  {name:9} {median_line(per_cpu):>28} msg/CPU-s   {median_line(per_second):>28} msg/s")
    ours, theirs = medians["Postroad"], medians["Postfix"]
    say(f"  ratio     {ours[0] / theirs[0]:.2f} per CPU second, {ours[1] / theirs[1]:.2f} by the clock")


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="bench accept", description=__doc__)
    parser.add_argument("--messages", type=int, default=5000)
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args(arguments)
    require_root_and("postfix", "smtp-source", "mkfs.ext4")
    say(machine())
    with tempfile.TemporaryDirectory(dir="/var/tmp") as temporary, journaled_fs(Path(temporary)) as folder:
        ours, theirs = Postroad(folder / "postroad"), Postfix(folder / "postfix", discard(folder / "postfix"))
        ours.command("domain", "add", "bench.test")
        ours.command("account", "add", "u1@bench.test", "--password-stdin", text="correct horse battery\n")
        figures: dict[str, list[tuple[float, float]]] = {"Postroad": [], "Postfix": []}
        ours.start()
        theirs.start()
        try:
            for run in range(options.runs):
                for server in (ours, theirs):
                    pair = measure(server, messages=options.messages, size=options.size, sessions=options.sessions,
                                   many=True, to="u1@bench.test")  # fmt: skip
                    figures[server.name].append(pair)
                    say(f"  run {run + 1}: {server.name:9} {pair[0]:8,.0f} msg/CPU-s {pair[1]:8,.0f} msg/s")
        finally:
            ours.stop()
            theirs.stop()
        ours.command("ledger")
        report(f"accept, {options.size} octets, {options.sessions} sessions, many messages per connection", figures)
