"""Logins with the same password over and over, by AUTH PLAIN on the submission port, each over a new connection.

`proxied`: a balancer on this machine has ended TLS (PROXY protocol), so that what is counted is connection, greeting
and login; `resumed` and `full` add what TLS costs. Postfix asks Dovecot, and what both of them take is counted; where
ours is behind a balancer it speaks without TLS, which ours never takes a password over.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench import talk
from bench.compare import Server, options, priced, report, started, turns
from bench.dovecot import Dovecot, asks_dovecot
from bench.harness import journaled_fs, machine, require_root_and, say
from bench.ours import Postroad
from bench.postfix import Postfix, tls

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
    require_root_and("postfix", "dovecot", "mkfs.ext4")
    say(machine())
    with tempfile.TemporaryDirectory(dir="/var/tmp") as temporary, journaled_fs(Path(temporary)) as folder:
        for way, share in WAYS:
            count = int(chosen.messages * share) // chosen.sessions * chosen.sessions
            compare(folder / way, way, chosen.runs, count=count, sessions=chosen.sessions)


def compare(folder: Path, way: str, runs: int, *, count: int, sessions: int) -> None:
    """Start both servers and log in to them, in turn, in one way; Postfix spares itself TLS where ours is behind a
    balancer."""
    proxied = way == "proxied"
    ours = Postroad(folder / "ours", () if proxied else ("submission",), PROXIES if proxied else "", tls=True)
    ours.command("domain", "add", "bench.test")
    ours.command("account", "add", USER, "--password-stdin", text=PASSWORD + "\n")
    their = folder / "postfix"
    theirs = Postfix(their, asks_dovecot(their) + (tls(their) if not proxied else ""))
    keeper = Dovecot(their, theirs.group, PASSWORD.replace(" ", "-"))

    def load(server: Server) -> None:
        is_ours = server is ours
        talk.logins(
            ours.ports["submission"] if is_ours else server.port,
            count=count,
            sessions=sessions,
            user=USER,
            password=PASSWORD if is_ours else PASSWORD.replace(" ", "-"),
            way=way if is_ours or not proxied else "plain",
        )

    keeper.start()
    try:
        with started((ours, theirs)):
            figures = turns((ours, theirs), runs, lambda each: priced(each, count, lambda: load(each)), aloud=False)
            report(f"logins, {way}", figures, "logins")
    finally:
        keeper.stop()
