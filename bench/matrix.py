"""Durable accept by the whole front door beside bare Postfix: 1, 20, 100 sessions; 1, 10, 100 KiB; plain and TLS.

Many messages per connection. Plain mail comes from smtp-source, mail over STARTTLS from clients of our own.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from bench import talk
from bench.accept import TO, with_mailbox
from bench.compare import Pair, Server, measure, options, priced, started, turns
from bench.harness import journaled_fs, machine, require_root_and, say
from bench.names import names
from bench.ours import FrontDoor
from bench.postfix import Postfix, discard, tls

SESSIONS = (1, 20, 100)
KIB = (1, 10, 100)
SHARE = {1: 1.0, 10: 1.0, 100: 0.3}  # of the messages: large ones are fewer
ALONE = 0.3  # of them for one session, which waits for the disk after each


def main(arguments: list[str]) -> None:
    chosen = options(arguments, "matrix", __doc__ or "", messages=3000, size=0)
    require_root_and("postfix", "smtp-source", "mkfs.ext4")
    say(machine())
    with (
        tempfile.TemporaryDirectory(dir="/var/tmp") as temporary,
        journaled_fs(Path(temporary), gib=12) as folder,
        names() as dns,
    ):
        ours = with_mailbox(FrontDoor(folder / "door", dns, tls=True))
        theirs = Postfix(folder / "postfix", discard(folder / "postfix") + tls(folder / "postfix"))
        say(f"{'':8} {'sessions':>8} {'KiB':>4} {'ours':>9} {'Postfix':>9} {'ratio':>6}   msg/CPU-s; by the clock")
        with started((ours, theirs)):
            for secure in (False, True):
                for sessions in SESSIONS:
                    for kib in KIB:
                        count = (
                            int(chosen.messages * SHARE[kib] * (ALONE if sessions == 1 else 1)) // sessions * sessions
                        )
                        _row((ours, theirs), chosen.runs, secure=secure, sessions=sessions, kib=kib, count=count)
        ours.command("ledger")


def _row(servers: tuple[Server, Server], runs: int, *, secure: bool, sessions: int, kib: int, count: int) -> None:
    def once(server: Server) -> Pair:
        if not secure:
            return measure(server, messages=count, size=kib * 1024, sessions=sessions, many=True, to=TO)
        return priced(server, count, lambda: talk.mail(
            server.port, messages=count, size=kib * 1024, sessions=sessions, to=TO, host=server.host
        ))  # fmt: skip

    figures = turns(servers, runs, once, aloud=False)
    (cpu, clock), (their_cpu, their_clock) = [
        [statistics.median(pair[n] for pair in figures[server.name]) for n in (0, 1)] for server in servers
    ]
    kind = "STARTTLS" if secure else "plain"
    say(f"{kind:8} {sessions:8} {kib:4} {cpu:9,.0f} {their_cpu:9,.0f} {cpu / their_cpu:6.2f}   "
        f"{clock:,.0f} and {their_clock:,.0f} msg/s")  # fmt: skip
