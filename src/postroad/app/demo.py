"""`postroad demo` and `postroad lab`: a server with two domains, and the simulated internet beside it."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from postroad.adapters.net.selfsigned import write_self_signed
from postroad.app.build import CannotListen, Node
from postroad.app.demo_fill import ACCOUNTS, ADMIN, ADMIN_PASSWORD, DOMAINS, PASSWORD, fill
from postroad.app.lifecycle import serve
from postroad.config.load import load
from postroad.config.values import split_address
from postroad.lab.day.neighbours import NEIGHBOURS
from postroad.lab.secure import HOUSES, POLICY_PORT, ROOT, SecureQuarter
from postroad.lab.visitors import BAD_LIST, GOOD_LIST
from postroad.lab.world import DNS_ADDRESS, HOSTS, PORT, ZONE, World
from postroad.ports.net import Endpoint
from postroad.ports.store import Refused

LINK_VALID = timedelta(hours=12)
LAB_DOMAINS = frozenset(line.split()[0].rstrip(".") for line in ZONE.splitlines() if line)
_MARK = "# Written by `postroad demo`."
_LISTEN = {
    "mx": 1025,
    "submission": 1587,
    "submissions": 1465,
    "imap": 1143,
    "imaps": 1993,
    "pop3": 1110,
    "pop3s": 1995,
    "http": 8025,
    "metrics": 9667,
}
_CONFIGURATION = f"""\
{_MARK} Short waits at first, so that what is put off moves soon.
hostname = "mail.one.test"
data_dir = "data"

[tls]
certificate = "tls/cert.pem"
key = "tls/key.pem"

[dns]
nameservers = ["{DNS_ADDRESS}"]

[delivery]
port = {PORT}
retry_waits = [5, 10, 20, 30, 60, 300, 900]
check_at = []
expire_after = 3600

[limits]
min_free = 67108864
exempt = ["127.0.0.1/32", "::1/128"]

[[dns_list]]
zone = "{BAD_LIST}"
weight = 10
help = "https://{BAD_LIST}/?{{client}}"

[[dns_list]]
zone = "{GOOD_LIST}"
weight = -3
"""


def run_demo(folder: Path, *, fresh: bool) -> int:
    """Run until Ctrl-C; the exit code."""
    if fresh:
        _empty(folder)
    config = _prepare(folder)
    settings = load(config, os.environ)
    filled = asyncio.run(fill(settings, folder, say=lambda text: print(text, flush=True)))

    async def announce(node: Node) -> None:
        for service, endpoint in node.all_endpoints():
            print(f"listening {service} {endpoint}")
        print("ready", welcome(config, link=await _link(node), token=filled.token), sep="\n", flush=True)

    with (folder / "demo.log").open("ab") as log_file:
        code = serve(settings, config, announce=announce, beside=_world(settings.hostname), log_fd=log_file.fileno())
    print(f"\nStopped. What is in {folder} is kept; the next demo goes on with it.", flush=True)
    return code


def _empty(folder: Path) -> None:
    """Remove what an earlier demo left; nothing else."""
    config = folder / "postroad.toml"
    if not folder.exists():
        return
    if not config.is_file() or not config.read_text("utf-8").startswith(_MARK):
        raise Refused(f"{folder} is not of an earlier demo; it is left alone")
    shutil.rmtree(folder)


def _prepare(folder: Path) -> Path:
    """Configuration and certificate, where they are not there yet; to an older demo's, what it listens on since."""
    config = folder / "postroad.toml"
    written = config.read_text("utf-8") if config.exists() else ""
    if not written:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_self_signed(folder / "tls/cert.pem", folder / "tls/key.pem", ["localhost", "mail.one.test", "127.0.0.1"])
        written = _CONFIGURATION
    if written.startswith(_MARK):
        config.write_text(written + "".join(_missing_listeners(written)), "utf-8")
    return config


def _missing_listeners(written: str) -> list[str]:
    return [
        f'\n[[listen]]\nservice = "{service}"\naddress = "127.0.0.1:{port}"\n'
        for service, port in _LISTEN.items()
        if f'service = "{service}"' not in written
    ]


async def _link(node: Node) -> str:
    """Where the browser is let in, once."""
    admins = node.services.admins
    secret = await admins.login_link((await admins.find(ADMIN)).id, valid=LINK_VALID)
    return f"http://127.0.0.1:{_port(node)}/console/enter?{secret}"


def _port(node: Node) -> int:
    return node.endpoints["http"][0].port


@asynccontextmanager
async def _world(hostname: str = "", home: str = f"127.0.0.1:{_LISTEN['mx']}") -> AsyncIterator[World]:
    """The simulated internet; with a host name, its DNS has what the demo's own domains want. `home` is the server that
    its bounces and complaints are brought to."""
    try:
        world = await World.start()
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else error
        needs = f"the simulated internet needs {DNS_ADDRESS} and 127.0.0.10-21:{PORT}"
        raise CannotListen(f"{needs}: {why}; does another demo run?") from error
    world.home = Endpoint(*split_address(home))
    if hostname:
        publish(world, hostname)
    try:
        yield world
    finally:
        await world.stop()


def publish(world: World, hostname: str) -> None:
    """What `domain records` asks for, so that `check` and `domain verify` find all in order."""
    world.dns.put(hostname, "A", "127.0.0.1")
    world.dns.put("1.0.0.127.in-addr.arpa", "PTR", f"{hostname}.")
    for domain in DOMAINS:
        world.dns.put(domain, "MX", f"10 {hostname}.")
        world.dns.put(domain, "TXT", '"v=spf1 mx -all"')
    for neighbour in NEIGHBOURS:
        if neighbour.domain not in LAB_DOMAINS:  # those of the day that is over can still be written to
            world.dns.put(neighbour.domain, "MX", "10 mx1.remote.test.")


async def run_lab(home: str) -> None:
    """The simulated internet alone, until SIGTERM or Ctrl-C; `home` is where bounces and complaints are brought."""
    end = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end.set)
    with TemporaryDirectory(prefix="postroad-lab-") as folder:
        async with _world(home=home) as world:
            quarter = await SecureQuarter.open(world, Path(folder), POLICY_PORT)
            print(f"listening dns {world.dns.address}")
            for host, address, *_ in HOSTS:
                print(f"listening {host} {address}:{world.port}")
            for house in HOUSES:
                print(f"listening {house.host} {house.address}:{world.port}")
            print("ready")
            print(_LAB_HINT + _secure_hint(quarter), flush=True)
            await end.wait()
            await quarter.close()


_LAB_HINT = f"""
To send there from a server of yours:

  [dns]
  nameservers = ["{DNS_ADDRESS}"]
  [delivery]
  port = {PORT}

Recipients at remote.test choose their fate: accept@ 550@ 451@ greylist@ throttle@ slow@ drop@.
At late.test mail is taken and reported afterwards: bounce@ full@ delay@ prose@ away@ challenge@; at complain.test it is
called spam. Ctrl-C ends."""


def _secure_hint(quarter: SecureQuarter) -> str:
    houses = "\n".join(f"  {house.host.removeprefix('mx.'):28} {house.what}" for house in HOUSES)
    return f"""

What is below {ROOT} publishes how its TLS is, rightly or wrongly:

{houses}

To be held to it:

  [dns]
  trust_ad = true
  [delivery]
  sts_port = {quarter.port}
  [tls]
  trusted = "{quarter.trusted}"
"""


def welcome(config: Path, *, link: str, token: str) -> str:
    """What to try, with the commands as they can be typed here."""
    from postroad.app.words import command_line

    def command(words: str) -> str:
        return command_line(config, words)

    send = command("send --from alice@one.test --to bob@two.test --to accept@remote.test --to greylist@remote.test")
    imap = f"curl --insecure --user bob@two.test:{PASSWORD} 'imaps://127.0.0.1:1993/INBOX;MAILINDEX=1'"
    origin = link.partition("/console")[0]
    return f"""
Welcome! A whole mail world now runs on this machine: a mail server with a day of mail behind it, two domains, and a
small internet beside it. Look at it; this link signs you in:

  {link}

(It works once. Later: {origin}/console/ as {ADMIN}, password {ADMIN_PASSWORD}.)

Send a message, from a second terminal in this folder, and watch it travel in the console:

  {send} --password {PASSWORD}

Or over HTTP, as programs do:

  curl {origin}/email -H 'Accept: application/json' -H 'Content-Type: application/json' \\
    -H 'X-Postmark-Server-Token: {token}' \\
    -d '{{"From": "shop@one.test", "To": "bob@two.test", "Subject": "Hello", "TextBody": "From a program."}}'

At remote.test the name chooses the fate:

  accept@  is taken                   greylist@  is put off at first, taken a little later
  550@     is refused, and reported   throttle@  is put off now and then
  451@     is put off every time      slow@      is taken after a while
  drop@    is cut off half-way        anybody at nowhere.test: there is no such domain

Read and write with any mail program, as {" or ".join((", ".join(ACCOUNTS[:-1]), ACCOUNTS[-1]))}, password {PASSWORD}:

  {imap}

In the terminal:  {command("message trace --follow")}
                  ... message list | queue summary | check | ledger | --help

Everything is kept in {config.parent}; `{command_line(None, "demo --fresh")}` begins anew. Ctrl-C ends it."""
