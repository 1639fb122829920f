"""`python -m tests.prove.soak [--connections N] [--seconds S] [--rate R]`: hostile connections beside a normal load.

First the normal load alone, for a tenth of the time, then beside the hostile ones. The marks: the server grows by less
than 100 MiB; people's 99th percentile stays under five times the quiet one; every message that was acknowledged is
where it belongs, once, and the ledger is clean. Prints figures; the exit code is 1 when a mark is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import ssl
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.prove.proving import LOCAL, PASSWORD, REMOTE, SENDER, Proof

from postroad.lab.world import World
from postroad.testing.load import Parcel, Refused, Submitter
from postroad.testing.network import write_certificate
from postroad.testing.server import HOSTNAME, ServerProcess
from postroad.testing.site import configuration, running_world, trusting

Told = dict[str, Any]  # by a process of the crowd
MEBIBYTE = 1 << 20
MAX_GROWTH = 100 * MEBIBYTE
MAX_SLOWER = 5.0  # times the quiet 99th percentile
SPARE_FILES = 500
SERVICES = ("mx", "submissions", "submission", "lmtp", "imap", "imaps", "pop3")
# Loopback is exempt by default; here only the good neighbours are, and the crowd meets every limit. People behind
# the balancer's listener come with a PROXY header.
LIMITS = {
    "exempt": ["127.0.0.1/32"],
    "min_free": MEBIBYTE,
    "proxies": [],
}


@dataclass
class Measure:
    """What people saw: seconds for each message, from the connection to the last 250."""

    took: list[float] = field(default_factory=list)
    failed: Counter[str] = field(default_factory=Counter)

    def percentile(self, share: float) -> float:
        return sorted(self.took)[min(int(len(self.took) * share), len(self.took) - 1)] if self.took else float("inf")

    def __str__(self) -> str:
        p50, p99 = self.percentile(0.5) * 1000, self.percentile(0.99) * 1000
        worst = max(self.took, default=0.0) * 1000
        said = f"{len(self.took)} messages, p50 {p50:.1f} ms, p99 {p99:.1f} ms, worst {worst:.0f} ms"
        return said + (f", failed {dict(self.failed)}" if self.failed else "")


class People:
    """The normal load: so many messages a second, each on a connection of its own, whatever the server does."""

    def __init__(self, proof: Proof, rate: float, clients: ssl.SSLContext) -> None:
        self.proof = proof
        self.rate = rate
        self._tls = clients
        self._number = 0
        self._under_way: set[asyncio.Task[None]] = set()

    async def send(self, seconds: float) -> Measure:
        measure, begin = Measure(), time.perf_counter()
        for turn in range(int(seconds * self.rate)):
            await asyncio.sleep(begin + turn / self.rate - time.perf_counter())
            task = asyncio.create_task(self._one(measure))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
        await asyncio.gather(*self._under_way)
        return measure

    async def _one(self, measure: Measure) -> None:
        self._number += 1
        number = self._number
        submits = number % 2 == 0
        here, there = LOCAL[number % len(LOCAL)], f"u{number}@{REMOTE[number % len(REMOTE)]}"
        recipients = (here, there) if submits else (here,)
        parcel = Parcel(f"token-{number}", SENDER if submits else "stranger@far.test", recipients, 2048)
        submitter = Submitter(
            "127.0.0.1",
            lambda: self.proof.server.port("submissions" if submits else "mx"),
            SENDER if submits else "", PASSWORD, self._tls if submits else None,
        )  # fmt: skip
        began = time.perf_counter()
        try:
            await submitter.run([parcel], 1, self.proof.tally)
        except* Refused as refused:
            measure.failed[str(refused.exceptions[0])[:60]] += 1
        else:
            measure.took.append(time.perf_counter() - began)


class Watch:
    """The server's resident memory, its CPU time and its open files."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.most = self.files = 0
        self._began = self.cpu

    @property
    def memory(self) -> int:
        for line in Path(f"/proc/{self._pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmRSS")

    @property
    def cpu(self) -> float:
        fields = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100

    async def run(self) -> None:
        while True:
            self.most = max(self.most, self.memory)
            self.files = max(self.files, len(list(Path(f"/proc/{self._pid}/fd").iterdir())))
            await asyncio.sleep(0.5)


@asynccontextmanager
async def soaking(folder: Path) -> AsyncIterator[Proof]:
    certificate, key = write_certificate(folder, "127.0.0.1", HOSTNAME)
    async with running_world_for_strangers() as world:
        settings: dict[str, dict[str, object]] = {
            "limits": LIMITS,
            "delivery": {"retry_waits": [1]},
            "log": {"level": "error"},
            "submission": {"account_recipients_per_hour": 0, "account_recipients_per_day": 0, "jump_recipients": 0},
        }
        server = ServerProcess(
            folder / "node", SERVICES, certificate=certificate, key=key, extra=configuration(world, settings)
        )
        text = server.config.read_text("utf-8")
        mark = 'service = "submission"\n'
        server.config.write_text(text.replace(mark, mark + 'proxies = ["127.0.0.0/8"]\n'), "utf-8")
        server.run("domain", "add", "prove.test")
        for address in (SENDER, *LOCAL):
            server.run("account", "add", address, "--password-stdin", text=PASSWORD + "\n")
        await asyncio.to_thread(server.start)
        try:
            yield Proof(server, world)
            await asyncio.to_thread(server.stop)
        finally:
            if server.process:
                server.process.kill()
                server.process.wait()


@asynccontextmanager
async def running_world_for_strangers() -> AsyncIterator[World]:
    """As `running_world`; but the crowd's addresses are asked for, and are in no zone."""
    async with running_world() as world:
        try:
            yield world
        finally:
            world.dns.strangers.clear()


@asynccontextmanager
async def crowd(
    ports: dict[str, int], connections: int, seconds: float, processes: int, kinds: Sequence[str]
) -> AsyncIterator[list[Told]]:
    """The hostile ones, in processes of their own; what became of them is in the list afterwards."""
    told: list[Told] = []
    started = []
    for number in range(processes):
        share = connections // processes + (number < connections % processes)
        command = [sys.executable, "-m", "tests.prove.hostile", json.dumps(ports), f"--connections={share}",
                   f"--seconds={seconds}", f"--net={number + 1}", "--kinds", *kinds]  # fmt: skip
        started.append(await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE))
    try:
        yield told
        for process in started:
            said, _ = await asyncio.wait_for(process.communicate(), 60)
            told.append(json.loads(said))
    finally:
        for process in started:
            if process.returncode is None:
                process.kill()
                await process.wait()


def enough_files(connections: int) -> None:
    """Both sides have that many files; the server raises its own limit, as far as it may."""
    needed = connections + SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        sys.exit(f"{connections} connections need {needed} open files, and {hard} are allowed: ulimit -n")
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def soak(
    folder: Path,
    connections: int,
    seconds: float,
    *,
    rate: float,
    processes: int = 2,
    kinds: Sequence[str] = (),
    slower: float | None = MAX_SLOWER,
) -> list[str]:
    """Returns the marks that were missed; `slower`: so many times the quiet 99th percentile are one, if any is."""
    enough_files(connections)
    async with soaking(folder) as proof:
        assert proof.server.process
        people, watch = People(proof, rate, trusting()), Watch(proof.server.process.pid)
        await people.send(min(2.0, seconds / 10))  # what is loaded at the first message is loaded now
        await proof.local()  # those whose passwords will be guessed have logged in from here before
        quiet = await people.send(max(seconds / 10, 2.0))
        before, cpu = watch.memory, watch.cpu
        say(f"quiet:   {quiet}; {before / MEBIBYTE:.1f} MiB")
        watching = asyncio.create_task(watch.run())
        async with crowd(proof.server.ports, connections, seconds + 1, processes, kinds) as told:
            loud = await people.send(seconds)
            cpu = watch.cpu - cpu
        watching.cancel()
        grown = watch.most - before
        say(f"hostile: {loud}; {grown / MEBIBYTE:+.1f} MiB at most, {watch.files} files, {cpu:.0f} s of CPU")
        tell_of(told)
        await proof.drained()
        return marks(quiet, loud, grown, slower) + gathered(told, connections) + await lost(proof)


def tell_of(told: Sequence[Told]) -> None:
    made: Counter[str] = Counter()
    for each in told:
        made.update(each["made"])
    peak = sum(each["peak"] for each in told)
    say(f"the crowd: {peak} at once, {made.total()} connections")
    say("  " + ", ".join(f"{name} {count}" for name, count in sorted(made.items())))


def marks(quiet: Measure, loud: Measure, grown: int, allowed: float | None) -> list[str]:
    missed = []
    slower = loud.percentile(0.99) / quiet.percentile(0.99)
    say(f"p99 is {slower:.1f} times the quiet one; the server grew by {grown / MEBIBYTE:.1f} MiB")
    if allowed is not None and slower >= allowed:
        missed.append(f"p99 is {slower:.1f} times the quiet one; {allowed:g} are allowed")
    if grown >= MAX_GROWTH:
        missed.append(f"the server grew by {grown / MEBIBYTE:.0f} MiB; {MAX_GROWTH // MEBIBYTE} are allowed")
    if loud.failed or quiet.failed:
        missed.append(f"people were refused: {dict(quiet.failed + loud.failed)}")
    return missed


def gathered(told: Sequence[Told], connections: int) -> list[str]:
    peak = sum(each["peak"] for each in told)
    return [f"only {peak} hostile connections stood at once"] if peak < connections else []


async def lost(proof: Proof) -> list[str]:
    """What was acknowledged and is not there once."""
    tally = proof.tally
    say(
        f"{len(tally.acknowledged)} acknowledged, {tally.broken} connections of people broken, {tally.refusals} refused"
    )
    arrived = await proof.local() + proof.remote()
    wanted = wanted_copies(tally.acknowledged)
    doubled = {copy: count for copy, count in arrived.items() if count > 1}
    missed = []
    if missing := wanted - set(arrived):
        missed.append(f"{len(missing)} copies are lost: {sorted(missing)[:5]}")
    if doubled and not tally.broken:
        missed.append(f"{len(doubled)} copies came more than once: {sorted(doubled)[:5]}")
    if strange := set(arrived) - wanted:
        missed.append(f"{len(strange)} copies of what nobody acknowledged: {sorted(strange)[:5]}")
    return missed


def wanted_copies(acknowledged: dict[str, str]) -> set[tuple[str, str]]:
    wanted = set()
    for token in acknowledged:
        number = int(token.removeprefix("token-"))
        wanted.add((token, LOCAL[number % len(LOCAL)]))
        if number % 2 == 0:
            wanted.add((token, f"u{number}@{REMOTE[number % len(REMOTE)]}"))
    return wanted


def say(text: str) -> None:
    print(text, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.prove.soak", description="Hostile connections beside a normal load"
    )
    parser.add_argument("--connections", type=int, default=2000, help="hostile ones at any time (default 2000)")
    parser.add_argument("--seconds", type=float, default=300.0, help="how long (default 300)")
    parser.add_argument("--rate", type=float, default=20.0, help="messages of people a second (default 20)")
    parser.add_argument("--kinds", nargs="*", default=(), help="hostile ones of these kinds alone (see hostile.py)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="postroad-soak-") as folder:
        missed = asyncio.run(
            soak(Path(folder), options.connections, options.seconds, rate=options.rate, kinds=options.kinds)
        )
    for mark in missed:
        say(f"MISSED: {mark}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
