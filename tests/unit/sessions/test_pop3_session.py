"""The POP3 front end over a real store: under the driver in memory, and read by poplib over the loopback."""

import asyncio
import poplib
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from postroad.adapters.net.hub import Hub
from postroad.adapters.net.listen import listen
from postroad.mail.address import Address
from postroad.ports.net import Endpoint
from postroad.ports.store import StoreUnavailable
from postroad.proto.pop3.server import Pop3Profile, Pop3Server
from postroad.sessions import maildrop as maildrops
from postroad.sessions.maildrop import Maildrop
from postroad.sessions.pop3 import Pop3Services, Pop3Session
from postroad.testing.mailboxes import ADDRESS, PASSWORD, open_post
from postroad.testing.network import MemoryNetwork

POP3 = Endpoint("192.0.2.2", 110)
SMALL = [b"Subject: %d\r\n\r\nbody %d\r\n.dot\r\n" % (n, n) for n in range(1, 21)]
LARGE = b"Subject: large\r\n\r\n" + b"".join(b"%d and a long line behind it\r\n" % n for n in range(8000))


class NoWait:
    """A clock whose sleeps are over at once, and known."""

    def __init__(self):
        self.slept = []

    async def sleep(self, seconds):
        self.slept.append(seconds)


class Visit:
    """A client in memory, with an account that has some messages."""

    def __init__(self, post, account, network):
        self.post, self.account, self.network = post, account, network
        self.services = Pop3Services(post.store, post.store.blobs, post.mailboxes, replace(post.logins, clock=NoWait()))
        profile = Pop3Profile("mail.example.test", plaintext_login=True)

        def accept():
            machine = Pop3Server(profile)
            return machine, Pop3Session(machine, self.services)

        network.listen(POP3, accept)

    async def connect(self):
        self.client = await self.network.talk(POP3)
        assert (await self.line()).startswith("+OK mail.example.test")
        return self

    async def line(self):
        return (await self.client.until(b"\r\n")).decode().removesuffix("\r\n")

    async def say(self, command):
        self.client.say(command.encode() + b"\r\n")
        return await self.line()

    async def body(self, command):
        assert (await self.say(command)).startswith("+OK")
        lines = b""
        while (line := await self.client.until(b"\r\n")) != b".\r\n":
            lines += line.removeprefix(b".")
        return lines

    async def log_in(self):
        assert await self.say(f"USER {ADDRESS}") == "+OK"
        return await self.say(f"PASS {PASSWORD}")

    async def left(self):
        """UIDs in the mailbox."""
        inbox = await self.post.mailboxes.find(self.account, "INBOX")
        rows = await self.post.store.read(lambda tx: tx.mailbox_messages.view(inbox.id, after=None, limit=100))
        return [row[0] for row in rows]


@asynccontextmanager
async def visiting(folder, messages=()):
    async with open_post(folder) as post:
        account = await post.account()
        for message in messages:
            await post.put(account, message)
        network = MemoryNetwork()
        visit = Visit(post, account, network)
        yield await visit.connect()
        visit.client.transport.abort()


async def test_a_visit(tmp_path):
    async with visiting(tmp_path, SMALL[:3]) as visit:
        assert await visit.say(f"USER {ADDRESS}") == "+OK"
        assert await visit.say("PASS wrong") == "-ERR [AUTH] wrong name or password"
        sizes = [len(message) for message in SMALL[:3]]
        assert await visit.log_in() == f"+OK 3 messages ({sum(sizes)} octets)"
        assert await visit.say("STAT") == f"+OK 3 {sum(sizes)}"
        assert await visit.body("LIST") == b"".join(b"%d %d\r\n" % (n, size) for n, size in enumerate(sizes, 1))
        first, second, third = (await visit.body("UIDL")).decode().split("\r\n")[:3]
        assert [line.split("-")[1] for line in (first, second, third)] == ["1", "2", "3"]
        assert await visit.say("UIDL 2") == f"+OK {second}"
        assert await visit.say("LIST 2") == f"+OK 2 {sizes[1]}"
        assert await visit.body("RETR 2") == SMALL[1]
        assert await visit.body("TOP 2 1") == b"Subject: 2\r\n\r\nbody 2\r\n"
        assert await visit.say("DELE 2") == "+OK will be deleted at QUIT"
        assert await visit.say("RETR 2") == "-ERR no such message"
        assert await visit.body("LIST") == b"1 %d\r\n3 %d\r\n" % (sizes[0], sizes[2])
        assert await visit.say("STAT") == f"+OK 2 {sizes[0] + sizes[2]}"
        assert await visit.left() == [1, 2, 3]
        assert await visit.say("QUIT") == "+OK bye"
        assert await visit.client.rest() == b""
        assert await visit.left() == [1, 3]


async def test_without_quit_nothing_is_deleted(tmp_path):
    async with visiting(tmp_path, SMALL[:2]) as visit:
        await visit.log_in()
        await visit.say("DELE 1")
        visit.client.transport.abort()
        await visit.connect()
        assert await visit.log_in() == f"+OK 2 messages ({len(SMALL[0] + SMALL[1])} octets)"
        await visit.say("DELE 1")
        assert await visit.say("RSET") == "+OK nothing is marked"
        assert await visit.say("QUIT") == "+OK bye"
        assert await visit.left() == [1, 2]


async def test_a_deletion_tells_those_who_listen(tmp_path):
    async with visiting(tmp_path, SMALL[:1]) as visit:
        inbox = await visit.post.mailboxes.find(visit.account, "INBOX")
        heard = []
        visit.post.mailboxes.listen(inbox.id, lambda: heard.append(True))
        await visit.log_in()
        await visit.say("DELE 1")
        await visit.say("QUIT")
        assert heard == [True]


async def test_all_messages_pipelined(tmp_path):
    async with visiting(tmp_path, SMALL) as visit:
        await visit.log_in()
        visit.client.say(b"".join(b"RETR %d\r\n" % n for n in range(1, 21)) + b"TOP 20 0\r\nQUIT\r\n")
        said = await visit.client.rest()
        expected = b"".join(
            b"+OK %d octets\r\n%b.\r\n" % (len(message), message.replace(b"\r\n.", b"\r\n..")) for message in SMALL
        )
        assert said == expected + b"+OK 15 octets\r\nSubject: 20\r\n\r\n.\r\n+OK bye\r\n"


async def test_guessing_is_slow(tmp_path):
    async with visiting(tmp_path) as visit:
        for _ in range(5):
            await visit.say(f"USER {ADDRESS}")
            assert await visit.say("PASS guess") == "-ERR [AUTH] wrong name or password"
        assert visit.services.logins.clock.slept == [2.0, 4.0, 8.0, 16.0, 16.0]
        assert await visit.client.rest() == b""


async def test_large_messages_are_streamed(tmp_path):
    async with visiting(tmp_path, [LARGE]) as visit:
        await visit.log_in()
        assert await visit.body("RETR 1") == LARGE
        head, lines = LARGE.split(b"\r\n\r\n")
        for count in (0, 1, 7999, 8000, 9000):
            expected = head + b"\r\n\r\n" + b"".join(line + b"\r\n" for line in lines.split(b"\r\n")[:-1][:count])
            assert await visit.body(f"TOP 1 {count}") == expected


async def test_what_another_session_expunges(tmp_path):
    async with visiting(tmp_path, [SMALL[0], SMALL[1], LARGE]) as visit:
        await visit.log_in()
        inbox = await visit.post.mailboxes.find(visit.account, "INBOX")
        await visit.post.mailboxes.expunge(inbox.id, [1, 3], marked=False)
        gone = "-ERR the message has been deleted by another session"
        assert [await visit.say("RETR 1"), await visit.say("RETR 3")] == [gone, gone]
        assert await visit.body("RETR 2") == SMALL[1]  # the numbers of the others stand
        await visit.say("DELE 1")
        assert await visit.say("QUIT") == "+OK bye"


async def test_new_messages_are_for_the_next_session(tmp_path):
    async with visiting(tmp_path, SMALL[:1]) as visit:
        await visit.log_in()
        await visit.post.put(visit.account, SMALL[1])
        assert (await visit.say("STAT")).startswith("+OK 1 ")
        await visit.say("QUIT")
        await visit.connect()
        assert (await visit.log_in()).startswith("+OK 2 ")


async def test_listings_longer_than_a_piece(tmp_path, monkeypatch):
    monkeypatch.setattr("postroad.sessions.pop3.WHOLE_LISTING", 5)
    monkeypatch.setattr(maildrops, "PAGE", 7)
    async with visiting(tmp_path, SMALL) as visit:
        await visit.log_in()
        await visit.say("DELE 3")
        numbers = [line.split()[0] for line in (await visit.body("LIST")).splitlines()]
        assert numbers == [b"%d" % n for n in range(1, 21) if n != 3]
        assert len((await visit.body("UIDL")).splitlines()) == 19


async def test_trouble_of_ours_is_temporary(tmp_path, monkeypatch):
    async with visiting(tmp_path, SMALL[:2]) as visit:

        async def down(*_, **__):
            raise StoreUnavailable("no disk")

        monkeypatch.setattr(visit.post.mailboxes, "find", down)
        assert (await visit.log_in()).startswith("-ERR [SYS/TEMP]")
        monkeypatch.undo()
        await visit.log_in()
        await visit.say("DELE 1")
        monkeypatch.setattr(visit.post.mailboxes, "expunge", down)
        assert await visit.say("QUIT") == "-ERR [SYS/TEMP] some deleted messages were not removed"
        assert await visit.client.rest() == b""


async def test_a_bug_of_ours_does_not_end_the_visit(tmp_path, monkeypatch):
    async with visiting(tmp_path, SMALL[:1]) as visit:
        await visit.log_in()

        async def broken(*_):
            raise ZeroDivisionError

        monkeypatch.setattr(Maildrop, "read", broken)
        assert (await visit.say("RETR 1")).startswith("-ERR [SYS/TEMP]")
        assert (await visit.say("STAT")).startswith("+OK 1 ")


async def test_sasl_plain(tmp_path):
    async with visiting(tmp_path) as visit:
        assert await visit.say("AUTH PLAIN") == "+ "
        assert await visit.say("AHgAeQ==") == "-ERR [AUTH] wrong name or password"
        assert await visit.say("AUTH PLAIN bm90IHBsYWlu") == "-ERR [AUTH] wrong name or password"
        assert (await visit.say(f"AUTH PLAIN {plain()}")).startswith("+OK 0 messages")


def plain():
    from base64 import b64encode

    return b64encode(f"\0{Address.parse(ADDRESS)}\0{PASSWORD}".encode()).decode()


@pytest.mark.parametrize("size", [maildrops.SMALL, maildrops.SMALL + 1])
async def test_the_edge_between_whole_and_streamed(tmp_path, size):
    message = b"Subject: x\r\n\r\n"
    message += b"y" * (size - len(message) - 2) + b"\r\n"
    async with visiting(tmp_path, [message]) as visit:
        await visit.log_in()
        assert await visit.body("RETR 1") == message


async def test_poplib_reads_and_deletes(tmp_path):
    async with visiting(tmp_path, [*SMALL, LARGE]) as visit:
        profile = Pop3Profile("mail.example.test", plaintext_login=True)

        def accept():
            machine = Pop3Server(profile)
            return machine, Pop3Session(machine, visit.services)

        hub = Hub()
        listener = await listen(hub, Endpoint("127.0.0.1", 0), accept)
        await asyncio.to_thread(read_with_poplib, listener.endpoint.port)
        listener.close()
        await hub.stop(1.0)
        assert await visit.left() == [21]


def read_with_poplib(port):
    client = poplib.POP3("127.0.0.1", port, timeout=10)
    assert "UIDL" in client.capa()
    client.user(ADDRESS)
    client.pass_(PASSWORD)
    assert client.stat()[0] == 21
    for number, message in enumerate([*SMALL, LARGE], 1):
        assert b"\r\n".join(client.retr(number)[1]) + b"\r\n" == message
    assert len(client.uidl()[1]) == 21
    for number in range(1, 21):
        client.dele(number)
    client.quit()
