"""Durable accept: 1 KiB messages, 20 sessions, many messages per connection.

Ours stores them in a mailbox, once for exempt clients and once with the whole front door; Postfix is bare: it makes no
checks, and discards them after its queue file is synced.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.compare import in_turn, measure, options
from bench.harness import journaled_fs, machine, require_root_and, say
from bench.names import names
from bench.ours import FrontDoor, Postroad
from bench.postfix import Postfix, discard

TO = "u1@bench.test"


def with_mailbox(server: Postroad) -> Postroad:
    server.command("domain", "add", "bench.test")
    server.command("account", "add", TO, "--password-stdin", text="correct horse battery\n")
    return server


def main(arguments: list[str]) -> None:
    chosen = options(arguments, "accept", __doc__ or "", messages=5000, size=1024)
    require_root_and("postfix", "smtp-source", "mkfs.ext4")
    say(machine())
    with (
        tempfile.TemporaryDirectory(dir="/var/tmp") as temporary,
        journaled_fs(Path(temporary)) as folder,
        names() as dns,
    ):
        ours = [with_mailbox(Postroad(folder / "postroad")), with_mailbox(FrontDoor(folder / "door", dns))]
        theirs = Postfix(folder / "postfix", discard(folder / "postfix"))
        what = f"accept, {chosen.size} octets, {chosen.sessions} sessions, many messages per connection"
        in_turn((*ours, theirs), what, chosen.runs, lambda server: measure(
            server, messages=chosen.messages, size=chosen.size, sessions=chosen.sessions, many=True, to=TO
        ))  # fmt: skip
        for server in ours:
            server.command("ledger")
