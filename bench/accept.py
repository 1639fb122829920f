"""Durable accept: 1 KiB messages, 20 sessions, many messages per connection.

Ours stores them in a mailbox; Postfix discards them after its queue file is synced.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.compare import in_turn, measure, options
from bench.harness import journaled_fs, machine, require_root_and, say
from bench.ours import Postroad
from bench.postfix import Postfix, discard


def main(arguments: list[str]) -> None:
    chosen = options(arguments, "accept", __doc__ or "", messages=5000, size=1024)
    require_root_and("postfix", "smtp-source", "mkfs.ext4")
    say(machine())
    with tempfile.TemporaryDirectory(dir="/var/tmp") as temporary, journaled_fs(Path(temporary)) as folder:
        ours, theirs = Postroad(folder / "postroad"), Postfix(folder / "postfix", discard(folder / "postfix"))
        ours.command("domain", "add", "bench.test")
        ours.command("account", "add", "u1@bench.test", "--password-stdin", text="correct horse battery\n")
        what = f"accept, {chosen.size} octets, {chosen.sessions} sessions, many messages per connection"
        in_turn((ours, theirs), what, chosen.runs, lambda server: measure(
            server, messages=chosen.messages, size=chosen.size, sessions=chosen.sessions, many=True, to="u1@bench.test"
        ))  # fmt: skip
        ours.command("ledger")
