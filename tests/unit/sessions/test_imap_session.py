"""The whole IMAP front end over a real store and the in-memory network."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from postroad.adapters.signals.local import LocalSignals
from postroad.mailbox import append, reading
from postroad.mailbox import service as service_module
from postroad.ports.store import StoreUnavailable
from postroad.proto.imap.profile import ImapProfile
from postroad.sessions import imap_fetch, imap_messages
from postroad.testing.mailboxes import IMAP, PASSWORD, ImapClient, Post, open_post
from postroad.testing.network import MemoryNetwork, server_tls

TEXT = b"From: Ann <ann@example.org>\r\nSubject: %d\r\nX-Number: %d\r\n\r\nbody of %d\r\n"
BIG = b"Subject: big\r\n\r\n" + b"0123456789abcde\n" * 20_000


class Rig:
    """A post, its network, and the account alice with some messages."""

    def __init__(self, post: Post, account: int) -> None:
        self.post = post
        self.account = account
        self.network = MemoryNetwork()
        self.network.listen(IMAP, post.connect)

    async def client(self, mailbox: str = "INBOX") -> ImapClient:
        return await ImapClient.logged_in(self.network, mailbox)

    async def fill(self, count: int) -> None:
        for number in range(1, count + 1):
            await self.post.put(self.account, TEXT % (number, number, number))


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with open_post(tmp_path) as post:
        made = Rig(post, await post.account())
        yield made
        assert not made.network.bugs, made.network.bugs
        await made.network.hub.stop(0)


async def test_select_and_examine(rig):
    await rig.fill(3)
    client = await rig.client("")
    await client.ok("APPEND INBOX (\\Seen Word) {5+}\r\nA: b\n")
    lines = await client.command("SELECT inbox")
    assert "* 4 EXISTS" in lines
    assert "* 0 RECENT" in lines
    assert "* FLAGS (\\Seen \\Answered \\Flagged \\Deleted \\Draft Word)" in lines
    assert any(line.startswith("* OK [UNSEEN 1]") for line in lines)
    assert any(line.startswith("* OK [UIDNEXT 5]") for line in lines)
    assert lines[-1] == "OK [READ-WRITE] selected"
    lines = await client.command("EXAMINE INBOX")
    assert lines[-1] == "OK [READ-ONLY] selected"
    for command in ("STORE 1 FLAGS ()", "EXPUNGE", "UID EXPUNGE 1", "MOVE 1 INBOX"):
        assert (await client.command(command))[-1].startswith("NO [READ-ONLY]")
    await client.ok("FETCH 1 BODY[]")
    assert await client.ok("FETCH 1 FLAGS") == ["* 1 FETCH (FLAGS ())"]


async def test_a_failed_select_leaves_nothing_selected(rig):
    client = await rig.client()
    assert (await client.command("SELECT nowhere"))[-1].startswith("NO [NONEXISTENT]")
    assert (await client.command("FETCH 1 FLAGS"))[-1].startswith("BAD FETCH needs a selected mailbox")


async def test_fetch_from_view_and_rows(rig):
    await rig.fill(3)
    client = await rig.client()
    assert await client.ok("FETCH 1:2 (UID FLAGS)") == ["* 1 FETCH (UID 1 FLAGS ())", "* 2 FETCH (UID 2 FLAGS ())"]
    assert await client.ok("UID FETCH 3 FLAGS") == ["* 3 FETCH (UID 3 FLAGS ())"]
    assert await client.ok("UID FETCH 9 FLAGS") == []
    (line,) = await client.ok("FETCH 2 ALL")
    assert line.startswith('* 2 FETCH (FLAGS () INTERNALDATE "')
    assert 'RFC822.SIZE 67 ENVELOPE (NIL "2" (("Ann" NIL "ann" "example.org"))' in line
    (line,) = await client.ok("FETCH 2 (BODY BODYSTRUCTURE)")
    assert '"TEXT" "PLAIN"' in line
    assert (await client.command("FETCH 4 FLAGS"))[-1] == "BAD there are 3 messages"


async def test_fetch_internal_date_is_what_append_said(rig):
    client = await rig.client()
    await client.ok('APPEND INBOX "17-Jul-1996 02:44:25 -0700" {5+}\r\nA: b\n')
    assert await client.ok("FETCH 1 INTERNALDATE") == ['* 1 FETCH (INTERNALDATE "17-Jul-1996 09:44:25 +0000")']
    (line, *_) = await client.ok("FETCH 1 (INTERNALDATE BODY.PEEK[])")
    assert line == '* 1 FETCH (INTERNALDATE "17-Jul-1996 09:44:25 +0000" BODY[] {5}'


async def test_fetch_with_gaps_and_slices(rig, monkeypatch):
    monkeypatch.setattr(imap_fetch, "GAP", 1)
    monkeypatch.setattr(reading, "SLICE", 2)
    monkeypatch.setattr(imap_fetch, "SLICE", 2)
    monkeypatch.setattr(imap_fetch, "IN_PLACE", 2)
    await rig.fill(12)
    client = await rig.client()
    for numbers, wanted in (("1:12", range(1, 13)), ("1,3,5:7,12", (1, 3, 5, 6, 7, 12)), ("2,9", (2, 9))):
        for items in ("RFC822.SIZE", "UID", "BODY.PEEK[TEXT]<0.1>"):
            said = [line for line in await client.ok(f"FETCH {numbers} {items}") if line.startswith("*")]
            assert [int(line.split()[1]) for line in said] == list(wanted)


async def test_fetch_of_what_others_have_expunged(rig):
    await rig.fill(5)
    client, other = await rig.client(), await rig.client()
    await other.ok("STORE 2,5 +FLAGS.SILENT (\\Deleted)")
    await other.ok("EXPUNGE")
    for items in ("RFC822.SIZE", "BODY.PEEK[]<0.1>"):
        lines = await client.command(f"FETCH 1:5 {items}")
        assert lines[-1].startswith("OK [EXPUNGEISSUED]")
        assert [line.split()[1] for line in lines if " FETCH " in line] == ["1", "3", "4"]
    lines = await client.ok("UID FETCH 1:* UID")
    assert lines[-2:] == ["* 5 EXPUNGE", "* 2 EXPUNGE"]


async def test_fetch_bodies(rig):
    await rig.fill(2)
    client = await rig.client()
    said = await client.raw("FETCH 1 (BODY[HEADER.FIELDS (Subject)] BODY[TEXT] BODY[1]<5.2> BODY[7] RFC822.HEADER)")
    header = (TEXT % (1, 1, 1)).partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    assert said == (
        b"* 1 FETCH (FLAGS (\\Seen) BODY[HEADER.FIELDS (Subject)] {14}\r\nSubject: 1\r\n\r\n"
        b" BODY[TEXT] {11}\r\nbody of 1\r\n BODY[1]<5> {2}\r\nof BODY[7] NIL"
        b" RFC822.HEADER {%d}\r\n%b)\r\nt3 OK fetched\r\n" % (len(header), header)
    )
    assert await client.ok("FETCH 1:2 FLAGS") == ["* 1 FETCH (FLAGS (\\Seen))", "* 2 FETCH (FLAGS ())"]


async def test_large_bodies_are_streamed(rig):
    await rig.post.put(rig.account, BIG)
    await rig.fill(1)
    client = await rig.client()
    said = await client.raw("FETCH 1:2 (UID BODY.PEEK[] BODY.PEEK[HEADER])")
    assert said.startswith(b"* 1 FETCH (UID 1 BODY[] {%d}\r\n" % len(BIG) + BIG + b" BODY[HEADER] {16}\r\n")
    assert b"body of 1" in said
    said = await client.raw("FETCH 1 BODY.PEEK[TEXT]<100000.70000>")
    body = BIG.partition(b"\r\n\r\n")[2]
    assert said.startswith(b"* 1 FETCH (BODY[TEXT]<100000> {70000}\r\n" + body[100000:170000] + b")\r\n")


async def test_many_bodies(rig, monkeypatch):
    monkeypatch.setattr(imap_fetch, "BATCH", 3)
    monkeypatch.setattr(imap_fetch, "GATHERED", 150)
    monkeypatch.setattr(imap_fetch, "PIECE", 100)
    await rig.fill(10)
    client = await rig.client()
    said = await client.raw("FETCH 1:* RFC822")
    for number in range(1, 11):
        message = TEXT % (number, number, number)
        assert b"* %d FETCH (FLAGS (\\Seen) RFC822 {%d}\r\n%b)\r\n" % (number, len(message), message) in said


async def test_content_that_cannot_be_read_ends_the_connection(rig, monkeypatch):
    """A cut literal must not look whole."""
    await rig.post.put(rig.account, BIG)
    client = await rig.client()

    async def broken(*_):
        yield b"x" * 100

    monkeypatch.setattr(rig.post.reader, "stream", broken)
    with pytest.raises(EOFError):
        await client.raw("FETCH 1 BODY.PEEK[]")
    assert [str(bug) for bug in rig.network.bugs] == ["the stored message is shorter than its row says"]
    rig.network.bugs.clear()


async def test_store(rig):
    await rig.fill(3)
    client, other = await rig.client(), await rig.client()
    lines = await client.ok("STORE 1:2 +FLAGS (\\Flagged $Done)")
    assert lines[0] == "* FLAGS (\\Seen \\Answered \\Flagged \\Deleted \\Draft $Done)"
    assert lines[2:] == ["* 1 FETCH (FLAGS (\\Flagged $Done))", "* 2 FETCH (FLAGS (\\Flagged $Done))"]
    assert await client.ok("UID STORE 2 -FLAGS $done") == ["* 2 FETCH (UID 2 FLAGS (\\Flagged))"]
    assert await client.ok("STORE 3 FLAGS.SILENT \\Seen") == []
    assert await client.ok("NOOP") == []
    lines = await other.ok("NOOP")
    assert lines[2:] == [
        "* 1 FETCH (UID 1 FLAGS (\\Flagged $Done))", "* 2 FETCH (UID 2 FLAGS (\\Flagged))",
        "* 3 FETCH (UID 3 FLAGS (\\Seen))",
    ]  # fmt: skip
    assert await client.ok("UID STORE 99 +FLAGS (\\Seen)") == []


async def test_store_in_slices(rig, monkeypatch):
    monkeypatch.setattr(service_module, "SLICE", 2)
    await rig.fill(5)
    client = await rig.client()
    assert len(await client.ok("STORE 1:* FLAGS (\\Seen)")) == 5
    assert await client.ok("NOOP") == []


async def test_keywords_are_limited(rig, monkeypatch):
    monkeypatch.setattr(imap_messages, "MAX_KEYWORDS", 2)
    await rig.fill(1)
    client = await rig.client()
    await client.ok("STORE 1 +FLAGS (a b)")
    assert (await client.command("STORE 1 +FLAGS (c)"))[-1].startswith("NO [LIMIT]")
    await client.ok("STORE 1 -FLAGS (A)")


async def test_expunge_and_close(rig):
    await rig.fill(6)
    client = await rig.client()
    await client.ok("STORE 2,4,6 +FLAGS.SILENT (\\Deleted)")
    assert await client.ok("UID EXPUNGE 1:3") == ["* 2 EXPUNGE"]
    assert await client.ok("EXPUNGE") == ["* 5 EXPUNGE", "* 3 EXPUNGE"]
    await client.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
    await client.ok("UNSELECT")
    assert (await client.ok("STATUS INBOX (MESSAGES)")) == ["* STATUS INBOX (MESSAGES 3)"]
    await client.ok("SELECT INBOX")
    assert await client.ok("CLOSE") == []
    assert (await client.ok("STATUS INBOX (MESSAGES UIDNEXT UNSEEN RECENT)")) == [
        "* STATUS INBOX (MESSAGES 2 UIDNEXT 7 UNSEEN 2 RECENT 0)"
    ]


async def test_expunge_spares_what_another_session_has_unmarked(rig):
    await rig.fill(2)
    client, other = await rig.client(), await rig.client()
    await client.ok("STORE 1:2 +FLAGS.SILENT (\\Deleted)")
    await other.ok("STORE 1 -FLAGS.SILENT (\\Deleted)")
    assert "* 2 EXPUNGE" in await client.ok("EXPUNGE")
    assert (await client.ok("UID SEARCH ALL")) == ["* SEARCH 1"]


async def test_copy_and_move(rig):
    await rig.fill(4)
    client = await rig.client()
    assert (await client.command("COPY 1 nowhere"))[-1].startswith("NO [TRYCREATE]")
    await client.ok("CREATE box")
    line = (await client.command("COPY 2:3 box"))[-1]
    assert line.startswith("OK [COPYUID ")
    assert line.endswith(" 2:3 1:2] copied")
    lines = await client.command("UID MOVE 1,4 box")
    assert lines[0].endswith(" 1,4 3:4] moved to these")
    assert lines[1:] == ["* 4 EXPUNGE", "* 1 EXPUNGE", "OK moved"]
    assert (await client.command("UID COPY 99 box"))[-1] == "OK there was nothing to do"
    lines = await client.command("COPY 1 INBOX")  # onto itself
    assert lines[0] == "* 3 EXISTS"


async def test_append(rig, monkeypatch):
    monkeypatch.setattr(append, "SMALL", 1000)
    client = await rig.client()
    lines = await client.command(b"APPEND INBOX (\\Flagged) {%d+}\r\n" % len(BIG) + BIG)
    assert lines[0] == "* 1 EXISTS"
    assert lines[1].startswith("OK [APPENDUID ")
    assert lines[1].endswith(" 1] appended")
    assert (await client.raw("FETCH 1 BODY.PEEK[]")).count(b"0123456789abcde\n") == 20_000
    assert (await client.command("APPEND INBOX {0+}\r\n"))[-1].startswith("NO ")


async def test_append_over_quota_is_refused_before_it_is_sent(rig):
    await rig.post.account("full@example.test", quota=10)
    client = await ImapClient.logged_in(rig.network, address="full@example.test")
    assert (await client.command("APPEND INBOX {11}"))[-1].startswith("NO [OVERQUOTA]")
    assert (await client.command(b"APPEND INBOX {10+}\r\n0123456789"))[-1].startswith("OK")


async def test_append_that_the_store_cannot_take(rig, monkeypatch):
    client = await rig.client()
    monkeypatch.setattr(rig.post.store, "has_room", lambda size: False)
    assert (await client.command("APPEND INBOX {11}"))[-1].startswith("NO [UNAVAILABLE]")
    monkeypatch.undo()

    async def broken(*_, **__):
        raise StoreUnavailable("gone")

    monkeypatch.setattr(rig.post.appender, "store", broken)
    assert (await client.command(b"APPEND INBOX {3+}\r\nabc"))[-1].startswith("NO [UNAVAILABLE]")
    await client.ok("NOOP")


async def test_search(rig):
    await rig.fill(3)
    client = await rig.client()
    assert await client.ok("SEARCH UNSEEN") == ["* SEARCH 1 2 3"]
    assert await client.ok("UID SEARCH BODY {9+}\r\nbody of 2") == ["* SEARCH 2"]
    assert (await client.command("SEARCH 7"))[-1] == "BAD there are 3 messages"


async def test_idle(rig):
    await rig.fill(2)
    client, other = await rig.client(), await rig.client()
    client.say("i1 IDLE")
    assert await client.line() == "+ idling"
    await other.ok("STORE 1 +FLAGS.SILENT (\\Seen)")
    assert await client.line() == "* 1 FETCH (UID 1 FLAGS (\\Seen))"
    await rig.post.put(rig.account, TEXT % (3, 3, 3))
    assert await client.line() == "* 3 EXISTS"
    await other.ok("STORE 2 +FLAGS.SILENT (\\Deleted)")
    assert await client.line() == "* 2 FETCH (UID 2 FLAGS (\\Deleted))"
    await other.ok("EXPUNGE")
    assert await client.line() == "* 2 EXPUNGE"
    client.say("DONE")
    assert await client.line() == "i1 OK IDLE ended"
    await client.ok("NOOP")


async def test_idle_hears_a_change_whose_signal_was_lost(rig, monkeypatch):
    client = await rig.client()
    client.say("i1 IDLE")
    await client.line()
    monkeypatch.setattr(rig.post.appender, "_signals", LocalSignals())
    await rig.fill(1)
    rig.post.poll.step()
    assert await client.line() == "* 1 EXISTS"


async def test_idle_without_a_mailbox_and_leaving_it_badly(rig):
    client = await rig.client("")
    client.say("i1 IDLE")
    await client.line()
    rig.post.poll.step()
    client.say("NOOP")
    assert await client.line() == "i1 BAD expected DONE"
    assert not rig.post.poll._idlers


async def test_no_task_and_no_listener_is_left(rig):
    client = await rig.client()
    client.say("i1 IDLE")
    await client.line()
    before = asyncio.all_tasks()
    assert before == {asyncio.current_task()}
    client._talker.transport.close()
    while rig.post.signals._listeners:
        await asyncio.sleep(0)
    assert not rig.post.poll._idlers


async def test_deleted_while_selected(rig):
    client, other = await rig.client(""), await rig.client("")
    await client.ok("CREATE box")
    await other.ok("SELECT box")
    await client.ok("DELETE box")
    lines = await other.command("NOOP")
    assert lines[0] == "* BYE the selected mailbox has been deleted"
    with pytest.raises(EOFError):
        await other.command("NOOP")
    await client.ok("CREATE own")
    await client.ok("SELECT own")
    await client.ok("DELETE own")
    assert (await client.command("FETCH 1 FLAGS"))[-1].startswith("BAD")


async def test_mailboxes(rig):
    client = await rig.client("")
    await client.ok('CREATE "a b/&2D3c7A-"')
    assert await client.ok('LIST "" ""') == ['* LIST (\\Noselect) "/" ""']
    assert await client.ok('LIST "" *') == [
        '* LIST (\\HasNoChildren) "/" INBOX', '* LIST (\\HasChildren) "/" "a b"',
        '* LIST (\\HasNoChildren) "/" "a b/&2D3c7A-"',
    ]  # fmt: skip
    assert (await client.command("CREATE inbox"))[-1].startswith("NO [ALREADYEXISTS]")
    assert (await client.command("CREATE x*"))[-1].startswith("BAD")
    assert (await client.command('CREATE "x*"'))[-1].startswith("NO [CANNOT]")
    assert (await client.command("RENAME nowhere x"))[-1].startswith("NO [NONEXISTENT]")
    await client.ok("UNSUBSCRIBE INBOX")
    assert len(await client.ok('LSUB "" %')) == 1
    assert await client.ok("NAMESPACE") == ['* NAMESPACE (("" "/")) NIL NIL']
    assert await client.ok('ID ("name" "test")') == ['* ID ("name" "Postroad")']


async def test_wrong_logins_end_the_connection(rig):
    client = await ImapClient.connect(rig.network)
    for _ in range(4):
        assert (await client.command("LOGIN alice@example.test x"))[-1].startswith("NO [AUTHENTICATIONFAILED]")
    lines = await client.command(b"LOGIN alice@example.test {2+}\r\n\xff\xff")
    assert lines[0] == "* BYE too many wrong logins"
    assert rig.post.clock.slept == [2.0, 4.0, 8.0, 16.0, 16.0]  # guessing is slow


async def test_starttls(rig):
    profile = ImapProfile("mail.example.test", starttls=True)
    rig.network.listen(IMAP, lambda: rig.post.connect(profile), tls=server_tls("mail.example.test"))
    client = await ImapClient.connect(rig.network)
    assert (await client.command(f"LOGIN alice@example.test {PASSWORD}"))[-1].startswith("NO [PRIVACYREQUIRED]")
    assert (await client.command("STARTTLS"))[-1] == "OK begin TLS now"


async def test_a_bug_is_told_and_survived(rig, monkeypatch):
    client = await rig.client()

    async def broken(*_):
        raise ValueError("a bug")

    monkeypatch.setattr(rig.post.mailboxes, "mailboxes", broken)
    assert (await client.command('LIST "" *'))[-1].startswith("NO [SERVERBUG]")
    await client.ok("NOOP")
    assert len(rig.network.bugs) == 1
    rig.network.bugs.clear()


async def test_store_unavailable_is_told(rig, monkeypatch):
    client = await rig.client()

    async def broken(*_, **__):
        raise StoreUnavailable("gone")

    monkeypatch.setattr(rig.post.store, "read", broken)
    assert (await client.command('LIST "" *'))[-1].startswith("NO [UNAVAILABLE]")
    assert (await client.command("NOOP"))[-1].startswith("NO [UNAVAILABLE]")
    monkeypatch.undo()
    await client.ok("NOOP")


async def test_what_was_done_is_done_though_the_store_fails_afterwards(rig, monkeypatch):
    """Else a client would append its message again."""
    client = await rig.client()

    async def broken(*_):
        raise StoreUnavailable("gone")

    monkeypatch.setattr(rig.post.mailboxes, "refresh", broken)
    assert (await client.command("APPEND INBOX {3+}\r\nabc"))[-1].startswith("OK [APPENDUID")
    monkeypatch.undo()
    assert await client.ok("NOOP") == ["* 1 EXISTS"]
