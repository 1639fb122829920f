"""Two servers, in turn, under the same load: figures of one run and the ratio of their medians."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from bench.harness import CpuGroup, find, median_line, say

Pair = tuple[float, float]  # messages per CPU second, messages per second


class Server(Protocol):
    name: str
    host: str
    group: CpuGroup

    @property
    def port(self) -> int: ...
    def drained(self) -> bool: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...


def send(port: int, *, messages: int, size: int, sessions: int, many: bool, to: str, host: str = "127.0.0.1") -> None:
    """Drive a server with smtp-source; every message must be taken."""
    source = find("smtp-source") or "smtp-source"
    command = [source, *(["-d"] if many else []), "-s", str(sessions), "-m", str(messages), "-l", str(size),
               "-f", "bench@client.test", "-t", to, f"{host}:{port}"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode or done.stderr:
        raise RuntimeError(f"smtp-source: {done.stderr[:400]}")


def measure(server: Server, *, messages: int, size: int, sessions: int, many: bool, to: str) -> Pair:
    """(messages per CPU second, messages per second), until the server has nothing left to do."""
    return priced(server, messages, lambda: send(
        server.port, messages=messages, size=size, sessions=sessions, many=many, to=to, host=server.host
    ))  # fmt: skip


def priced(server: Server, count: int, load: Callable[[], None]) -> Pair:
    """(things per CPU second, things per second) of a load that brings `count` of them."""
    cpu, wall = server.group.seconds(), time.monotonic()
    load()
    while not server.drained():
        time.sleep(0.02)
    wall = time.monotonic() - wall
    time.sleep(0.3)  # what a server does just after the last reply is part of its price
    return count / (server.group.seconds() - cpu), count / wall


def report(what: str, figures: dict[str, list[Pair]], unit: str = "msg") -> None:
    """The servers' figures of one run, and the ratios of their medians to Postfix's."""
    say(f"\n{what}")
    medians: dict[str, Pair] = {}
    for name, pairs in figures.items():
        per_cpu, per_second = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        medians[name] = statistics.median(per_cpu), statistics.median(per_second)
        say(f"  {name:10} {median_line(per_cpu):>28} {unit}/CPU-s   {median_line(per_second):>28} {unit}/s")
    theirs = medians.pop("Postfix", None)
    if theirs is None:
        return
    for name, ours in medians.items():
        ratio = f"{ours[0] / theirs[0]:.2f} per CPU second, {ours[1] / theirs[1]:.2f} by the clock"
        say(f"  {name:10} {ratio} of Postfix")


def options(arguments: list[str], name: str, text: str, *, messages: int, size: int) -> argparse.Namespace:
    """The options that every comparison takes."""
    parser = argparse.ArgumentParser(prog=f"bench {name}", description=text)
    parser.add_argument("--messages", type=int, default=messages)
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--size", type=int, default=size)
    parser.add_argument("--runs", type=int, default=5)
    return parser.parse_args(arguments)


def in_turn(servers: Sequence[Server], what: str, runs: int, once: Callable[[Server], Pair]) -> None:
    """Start them, measure each `runs` times, in turn; then report."""
    with started(servers):
        report(what, turns(servers, runs, once))


@contextmanager
def started(servers: Sequence[Server]) -> Iterator[None]:
    """All of them run inside the block."""
    try:
        for server in servers:
            server.start()
        yield
    finally:
        for server in servers:
            server.stop()


def turns(
    servers: Sequence[Server], runs: int, once: Callable[[Server], Pair], *, aloud: bool = True
) -> dict[str, list[Pair]]:
    """Each server's figures, taken in turn so that the machine's moods fall on all of them."""
    figures: dict[str, list[Pair]] = {server.name: [] for server in servers}
    for run in range(runs + 1):  # the first one warms them up: files grown, caches filled; it does not count
        for server in servers:
            pair = once(server)
            if run:
                figures[server.name].append(pair)
            what_run = f"run {run}" if run else "warm "
            if aloud:
                say(f"  {what_run}: {server.name:10} {pair[0]:8,.0f} msg/CPU-s {pair[1]:8,.0f} msg/s")
    return figures
