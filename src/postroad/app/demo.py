"""`postroad demo` and `postroad lab`: a server with two domains, and the simulated internet beside it."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from postroad.adapters.net.selfsigned import write_self_signed
from postroad.app.build import CannotListen, Node
from postroad.app.lifecycle import serve
from postroad.config.load import load
from postroad.lab.world import DNS_ADDRESS, HOSTS, PORT, World
from postroad.ports.store import Refused

DOMAINS = ("one.test", "two.test")
ACCOUNTS = ("alice@one.test", "bob@two.test", "carol@one.test")
ALIASES = {"info@one.test": ["carol@one.test", "bob@two.test"]}
PASSWORD = "demo"  # noqa: S105 - printed for everybody to use
_MARK = "# Written by `postroad demo`."
_LISTEN = {
    "mx": 1025,
    "submission": 1587,
    "submissions": 1465,
    "imap": 1143,
    "imaps": 1993,
    "pop3": 1110,
    "pop3s": 1995,
    "metrics": 9667,
}
_CONFIGURATION = f"""\
{_MARK} Short waits, so that what is put off moves soon.
hostname = "mail.one.test"
data_dir = "data"

[tls]
certificate = "tls/cert.pem"
key = "tls/key.pem"

[dns]
nameservers = ["{DNS_ADDRESS}"]

[delivery]
port = {PORT}
retry_waits = [5, 10, 20, 30, 60]
expire_after = 3600

[limits]
min_free = 67108864
"""


def run_demo(folder: Path, *, fresh: bool) -> int:
    """Run until Ctrl-C; the exit code."""
    if fresh:
        _empty(folder)
    config = _prepare(folder)
    settings = load(config, os.environ)

    async def announce(node: Node) -> None:
        await _fill(node)
        for service, endpoint in node.all_endpoints():
            print(f"listening {service} {endpoint}")
        print("ready", welcome(config), sep="\n", flush=True)

    with (folder / "demo.log").open("ab") as log_file:
        return serve(settings, config, announce=announce, beside=_world(), log_fd=log_file.fileno())


def _empty(folder: Path) -> None:
    """Remove what an earlier demo left; nothing else."""
    config = folder / "postroad.toml"
    if not folder.exists():
        return
    if not config.is_file() or not config.read_text("utf-8").startswith(_MARK):
        raise Refused(f"{folder} is not of an earlier demo; it is left alone")
    shutil.rmtree(folder)


def _prepare(folder: Path) -> Path:
    """Configuration and certificate, where they are not there yet."""
    config = folder / "postroad.toml"
    if not config.exists():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        listeners = "".join(
            f'\n[[listen]]\nservice = "{service}"\naddress = "127.0.0.1:{port}"\n' for service, port in _LISTEN.items()
        )
        write_self_signed(folder / "tls/cert.pem", folder / "tls/key.pem", ["localhost", "mail.one.test", "127.0.0.1"])
        config.write_text(_CONFIGURATION + listeners, "utf-8")
    return config


async def _fill(node: Node) -> None:
    """Domains, accounts and aliases, where they are not there yet."""
    administration = node.services.administration
    if {record.name for record in await administration.domains()} >= set(DOMAINS):
        return
    for domain in DOMAINS:
        await administration.add_domain(domain)
    for address in ACCOUNTS:
        await administration.add_account(address, PASSWORD)
    for address, targets in ALIASES.items():
        await administration.add_alias(address, targets)


@asynccontextmanager
async def _world() -> AsyncIterator[World]:
    try:
        world = await World.start()
    except OSError as error:
        why = f"the simulated internet needs {DNS_ADDRESS} and 127.0.0.10-19:{PORT}: {error.strerror or error}"
        raise CannotListen(f"{why}; does another demo run?") from error
    try:
        yield world
    finally:
        await world.stop()


async def run_lab() -> None:
    """The simulated internet alone, until SIGTERM or Ctrl-C."""
    end = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end.set)
    async with _world() as world:
        print(f"listening dns {world.dns.address}")
        for host, address, *_ in HOSTS:
            print(f"listening {host} {address}:{world.port}")
        print("ready")
        print(_LAB_HINT, flush=True)
        await end.wait()


_LAB_HINT = f"""
To send there from a server of yours:

  [dns]
  nameservers = ["{DNS_ADDRESS}"]
  [delivery]
  port = {PORT}

Recipients at remote.test choose their fate: accept@ 550@ 451@ greylist@ throttle@ slow@ drop@. Ctrl-C ends."""


def welcome(config: Path) -> str:
    """What to try, with the commands as they can be typed here."""
    from postroad.app.words import command_line

    def command(*words: str) -> str:
        return command_line(config, *words)

    recipients = "--to bob@two.test --to accept@remote.test --to greylist@remote.test"
    send = command(f"send --from alice@one.test {recipients} --subject Hello --password {PASSWORD}")
    return f"""
A whole mail world runs on this machine. Data in {config.parent}, kept; `postroad demo --fresh` begins anew.

  Accounts        {", ".join(ACCOUNTS)}; the password of each is {PASSWORD}
  Submission      127.0.0.1:1587 (STARTTLS), 1465 (TLS)          MX  127.0.0.1:1025
  IMAP            127.0.0.1:1143 (STARTTLS), 1993 (TLS)          POP3  127.0.0.1:1110, 1995
  Metrics         http://127.0.0.1:9667/metrics                  DNS  {DNS_ADDRESS}

Send one message, from a second terminal:

  {send}

and watch it travel:

  {command("message trace --follow")}

The same with other programs:

  swaks --server 127.0.0.1:1587 -tls --auth-user alice@one.test --auth-password {PASSWORD} \
--from alice@one.test --to accept@remote.test
  curl --insecure --url imaps://127.0.0.1:1993/INBOX --user bob@two.test:{PASSWORD} --request "FETCH 1 BODY[]"

Recipients at remote.test choose their fate by name:

  accept@   taken                          greylist@   put off at first, taken a little later
  550@      refused for good: a report     throttle@   put off now and then
  451@      put off each time              slow@       taken after a while
  drop@     the connection breaks off

Then:

  {command("message list")}
  {command("message trace --dialogue")}
  {command("queue summary")}
  {command("ledger")}

Ctrl-C ends it."""
