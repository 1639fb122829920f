"""Logins with the same password over and over, by AUTH PLAIN on the submission port, each over a new connection.

`proxied`: a balancer on this machine has ended TLS (PROXY protocol), so that what is counted is connection, greeting
and login; `resumed` and `full` add what TLS costs.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench import talk
from bench.compare import options, priced, report, started, turns
from bench.harness import journaled_fs, machine, require_root_and, say
from bench.ours import Postroad

USER, PASSWORD = "u1@bench.test", "correct horse battery"
PROXIES = """\
[[listen]]
service = "submission"
address = "127.0.0.1:0"
proxies = ["127.0.0.0/8"]
"""
WAYS = (("proxied", 1.0), ("resumed", 0.5), ("full", 0.3))  # and how many of the logins are made so


def main(arguments: list[str]) -> None:
    chosen = options(arguments, "logins", __doc__ or "", messages=4000, size=0)
    require_root_and("mkfs.ext4")
    say(machine())
    with tempfile.TemporaryDirectory(dir="/var/tmp") as temporary, journaled_fs(Path(temporary)) as folder:
        for way, share in WAYS:
            count = int(chosen.messages * share) // chosen.sessions * chosen.sessions
            compare(folder / way, way, chosen.runs, count=count, sessions=chosen.sessions)


def compare(folder: Path, way: str, runs: int, *, count: int, sessions: int) -> None:
    """Start a server and log in to it in one way."""
    proxied = way == "proxied"
    server = Postroad(folder, () if proxied else ("submission",), PROXIES if proxied else "", tls=True)
    server.command("domain", "add", "bench.test")
    server.command("account", "add", USER, "--password-stdin", text=PASSWORD + "\n")

    def load() -> None:
        port = server.ports["submission"]
        talk.logins(port, count=count, sessions=sessions, user=USER, password=PASSWORD, way=way)

    with started((server,)):
        report(f"logins, {way}", turns((server,), runs, lambda each: priced(each, count, load), aloud=False), "logins")
