"""The simulated internet, spoken to over real sockets with the standard library's client."""

from __future__ import annotations

import asyncio
import hashlib
import smtplib
import ssl
from collections.abc import Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import pytest

from postroad.adapters.dns import CachingResolver
from postroad.lab.profiles.dropping import Dropping
from postroad.lab.profiles.fates import Fates
from postroad.lab.profiles.greylisting import Greylisting
from postroad.lab.profiles.refusing import Refusing, reply_for
from postroad.lab.profiles.scripted import Scripted
from postroad.lab.profiles.slow import Slow
from postroad.lab.profiles.throttling import Throttling
from postroad.lab.temper import DROP, GO, Visit, refuse
from postroad.lab.world import HOSTS, World
from postroad.ports.dns import DnsOutcome

T = TypeVar("T")
MESSAGE = b"Subject: hello\r\n\r\n.dots and text\r\n"


@asynccontextmanager
async def small_world(**options):
    world = await World.start("127.0.0.1:0", 0, **options)
    try:
        yield world
    finally:
        await world.stop()


async def in_thread(function: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(None, function)


def send(world: World, host: str, *recipients: str, starttls: bool = True) -> dict[str, tuple[int, bytes]]:
    """Send one message; the refused recipients."""
    address = {name: address for name, address, *_ in HOSTS}[host]
    with smtplib.SMTP(address, world.port, local_hostname="client.test", timeout=10) as client:
        if starttls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            client.starttls(context=context)
        return client.sendmail("me@client.test", recipients, MESSAGE)


async def test_fates_by_local_part():
    async with small_world() as world:
        fates = ["accept", "550", "451", "someone"]
        addresses = [f"{fate}@remote.test" for fate in fates]
        refused = await in_thread(lambda: send(world, "mx1.remote.test", *addresses))
        assert {address: code for address, (code, _) in refused.items()} == {
            "550@remote.test": 550,
            "451@remote.test": 451,
        }
        (letter,) = world.bag.letters
        assert letter.recipients == ("accept@remote.test", "someone@remote.test")
        assert letter.content == MESSAGE
        assert letter.digest == hashlib.sha256(MESSAGE).hexdigest()
        assert (letter.reverse_path, letter.helo, letter.size) == ("me@client.test", "client.test", len(MESSAGE))
        assert letter.tls is not None
        assert letter.answered


async def test_a_drop_in_the_body_and_one_after_it():
    async with small_world() as world:
        for fate in ("drop", "drop+message"):
            with pytest.raises(smtplib.SMTPServerDisconnected):
                await in_thread(lambda fate=fate: send(world, "mx2.remote.test", f"{fate}@remote.test"))
        (letter,) = world.bag.letters
        assert (letter.recipients, letter.answered) == (("drop+message@remote.test",), False)


async def test_a_host_without_tls():
    async with small_world() as world:
        with pytest.raises(smtplib.SMTPNotSupportedError):
            await in_thread(lambda: send(world, "mx.plain.test", "a@plain.test"))
        await in_thread(lambda: send(world, "mx.plain.test", "a@plain.test", starttls=False))
        (letter,) = world.bag.to("a@plain.test")
        assert letter.tls is None


async def test_a_temper_can_be_replaced():
    busy = Scripted(rcpt=[refuse(450, "4.2.1", "busy")], message=[refuse(452, "4.3.1", "full")])
    async with small_world(tempers={"onlya.test": busy}) as world:
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            await in_thread(lambda: send(world, "onlya.test", "a@onlya.test"))
        with pytest.raises(smtplib.SMTPDataError, match="full"):
            await in_thread(lambda: send(world, "onlya.test", "a@onlya.test"))
        await in_thread(lambda: send(world, "onlya.test", "a@onlya.test"))
        assert len(world.bag.letters) == 1
        assert (world.bag.refusals, world.bag.connections) == (2, 3)


async def test_nobody_listens_where_mail_is_refused():
    async with small_world() as world:
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.19", world.port)


async def test_the_dns_of_the_world():
    async with small_world() as world:
        resolver = CachingResolver([world.dns.address])
        assert [record.host for record in (await resolver.mx("remote.test")).mx] == [
            "mx1.remote.test",
            "mx2.remote.test",
        ]
        for host, address, *_ in HOSTS:
            assert (await resolver.addresses(host)).records == (address,)
            assert (await resolver.ptr(address)).records == (host,)
        assert [record.host for record in (await resolver.mx("nullmx.test")).mx] == [""]
        assert (await resolver.mx("onlya.test")).outcome is DnsOutcome.NO_DATA
        assert (await resolver.addresses("mx.nohost.test")).outcome is DnsOutcome.NXDOMAIN
        assert (await resolver.mx("nowhere.test")).outcome is DnsOutcome.NXDOMAIN
        assert (await resolver.mx("servfail.test")).outcome is DnsOutcome.FAILED
        assert (await resolver.addresses("mx.down.test")).records == ("127.0.0.19",)
        assert not world.dns.strangers
        await resolver.close()


async def test_fixed_ports_that_are_taken_are_told():
    async with small_world() as world:
        with pytest.raises(OSError):
            await World.start("127.0.0.1:0", world.port)


def visit(now: float = 0.0, client: str = "192.0.2.1", recipients: tuple[str, ...] = ()) -> Visit:
    return Visit("mx", client, reverse_path="a@b", recipients=list(recipients), now=now)


def test_greylisting_counts_from_the_first_try():
    temper = Greylisting(wait=10)
    assert temper.rcpt(visit(100), "x@y").reply.code == 451
    assert temper.rcpt(visit(109), "x@y").reply.code == 451
    assert temper.rcpt(visit(110), "x@y") is GO
    assert temper.rcpt(visit(110), "other@y").reply.code == 451


def test_throttling_takes_so_many_in_a_time():
    temper = Throttling(messages=2, per=10)
    codes = []
    for now in (0, 5, 10, 11, 12, 20):
        move = temper.rcpt(visit(now), "x@y")
        codes.append(move.reply.code if move.reply else 250)
    assert codes == [421, 421, 250, 250, 421, 250]
    assert temper.rcpt(visit(21, recipients=("first@y",)), "second@y") is GO


def test_slowness_is_a_delay():
    assert Slow(3).rcpt(visit(), "x@y").delay == 3
    assert Slow(3).message(visit()).delay == 6


@pytest.mark.parametrize("point", ["connect", "mail", "data", "body", "message"])
def test_dropping_at_one_point_only(point):
    temper = Dropping(point)
    at = visit()
    at.octets = 1
    dropped = [name for name in ("connect", "mail", "data", "body", "message") if getattr(temper, name)(at) is DROP]
    assert dropped == [point]
    assert (temper.rcpt(at, "x@y") is DROP) == (point == "rcpt")


def test_a_point_that_is_none():
    with pytest.raises(ValueError, match="no such point"):
        Dropping("lunch")


def test_codes_as_fates():
    fates = Fates()
    for code in (421, 450, 599):
        move = fates.rcpt(visit(), f"{code}@remote.test")
        assert move.reply == reply_for(code)
        assert move.reply.enhanced.klass == code // 100
    assert isinstance(fates.temper_of("550@remote.test"), Refusing)
    for name in ("250", "4500", "x50"):
        assert fates.rcpt(visit(), f"{name}@remote.test") is GO


def test_the_most_wilful_recipient_decides_about_the_message():
    fates = Fates(slow=1)
    assert fates.message(visit(recipients=("accept@r", "slow@r"))).delay == 2
    assert fates.body(visit(recipients=("accept@r", "drop@r", "slow@r"))) == GO  # nothing has come yet
    at = visit(recipients=("accept@r", "drop@r", "slow@r"))
    at.octets = 1
    assert fates.body(at).drop
