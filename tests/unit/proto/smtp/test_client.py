"""The client machine: what it sends when, and what it makes of what comes back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroad.mail.envelope import Notify, TlsInfo
from postroad.proto.smtp.client import (
    BodyWanted,
    Command,
    CommandSkipped,
    ConversationEnded,
    EndReason,
    ReplyReceived,
    SmtpClient,
)
from postroad.proto.smtp.parameters import DeliverBy, MailParameters, RcptParameters
from postroad.proto.wire import Interruption, ProtocolMisuse, Signal

EHLO = b"250-mx.test hello\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-8BITMIME\r\n250 AUTH PLAIN LOGIN\r\n"
BARE = b"250 mx.test\r\n"


def events(machine):
    found = []
    while not isinstance(event := machine.next_event(), Signal):
        found.append(event)
    return found


def feed(machine, data):
    machine.receive_data(data)
    return events(machine)


def opened(ehlo=EHLO):
    machine = SmtpClient("client.test", idle_patience=10)
    feed(machine, b"220 mx.test\r\n")
    machine.hello()
    assert machine.data_to_send() == b"EHLO client.test\r\n"
    feed(machine, ehlo)
    return machine


def codes(found):
    return [(event.command, event.reply.code) for event in found if isinstance(event, ReplyReceived)]


def test_pipelines_a_transaction_in_one_write():
    machine = opened()
    machine.mail("a@client.test", size=10, eight_bit=True)
    machine.rcpt("b@mx.test")
    machine.rcpt("c@mx.test")
    machine.start_body()
    assert machine.data_to_send() == (
        b"MAIL FROM:<a@client.test> SIZE=10 BODY=8BITMIME\r\nRCPT TO:<b@mx.test>\r\nRCPT TO:<c@mx.test>\r\nDATA\r\n"
    )
    found = feed(machine, b"250 ok\r\n250 ok\r\n550 5.1.1 no\r\n354 go\r\n")
    assert codes(found) == [(Command.MAIL, 250), (Command.RCPT, 250), (Command.RCPT, 550), (Command.DATA, 354)]


def test_chains_the_next_transaction_behind_the_body():
    machine = opened()
    machine.mail("a@client.test")
    machine.rcpt("b@mx.test")
    machine.start_body()
    machine.data_to_send()
    feed(machine, b"250 ok\r\n250 ok\r\n354 go\r\n")
    machine.body_chunk(b"Subject: 1\r\n\r\nhello\r\n")
    machine.end_body()
    machine.mail("x@client.test")
    machine.rcpt("y@mx.test")
    machine.start_body()
    assert machine.data_to_send() == (
        b"Subject: 1\r\n\r\nhello\r\n.\r\nMAIL FROM:<x@client.test>\r\nRCPT TO:<y@mx.test>\r\nDATA\r\n"
    )
    assert machine.patience == 600  # the final dot's, RFC 5321 §4.5.3.2.6
    found = feed(machine, b"250 taken\r\n250 ok\r\n250 ok\r\n354 go\r\n")
    assert [command for command, _ in codes(found)] == [Command.BODY, Command.MAIL, Command.RCPT, Command.DATA]


def test_one_command_at_a_time_without_pipelining():
    machine = opened(BARE)
    machine.mail("a@client.test", size=10, eight_bit=True)
    machine.rcpt("b@mx.test")
    machine.start_body()
    assert machine.data_to_send() == b"MAIL FROM:<a@client.test>\r\n"
    feed(machine, b"250 ok\r\n")
    assert machine.data_to_send() == b"RCPT TO:<b@mx.test>\r\n"
    feed(machine, b"250 ok\r\n")
    assert machine.data_to_send() == b"DATA\r\n"


def test_skips_what_is_pointless_without_pipelining():
    machine = opened(BARE)
    machine.mail("a@client.test")
    machine.rcpt("b@mx.test")
    machine.start_body()
    machine.data_to_send()
    found = feed(machine, b"550 no\r\n")
    assert codes(found) == [(Command.MAIL, 550)]
    assert [event.command for event in found if isinstance(event, CommandSkipped)] == [Command.RCPT, Command.DATA]
    assert machine.data_to_send() == b""
    assert machine.is_idle


def test_answers_354_with_a_lone_dot_when_no_recipient_was_taken():
    machine = opened()
    machine.mail("a@client.test")
    machine.rcpt("b@mx.test")
    machine.start_body()
    machine.data_to_send()
    found = feed(machine, b"250 ok\r\n550 no\r\n354 go\r\n")
    assert codes(found) == [(Command.MAIL, 250), (Command.RCPT, 550)]
    assert machine.data_to_send() == b".\r\n"
    assert codes(feed(machine, b"554 no valid recipients\r\n")) == [(Command.DATA, 554)]


def test_a_second_354_where_no_body_can_come_ends_the_conversation():
    machine = opened()
    machine.mail("a@client.test")
    machine.rcpt("b@mx.test")
    machine.start_body()
    feed(machine, b"250 ok\r\n550 no\r\n354 go\r\n")
    found = feed(machine, b"354 go on\r\n")
    assert [(event.reason, event.text) for event in found] == [(EndReason.BAD_REPLY, "354 go on")]
    assert machine.next_event() is Signal.NEED_DATA


def test_stuffs_dots_and_ends_the_last_line():
    machine = opened()
    machine.mail("a@client.test")
    machine.rcpt("b@mx.test")
    machine.start_body()
    feed(machine, b"250 ok\r\n250 ok\r\n354 go\r\n")
    machine.data_to_send()
    for chunk in (b".a\r", b"\n.", b"b\r\n..c"):
        machine.body_chunk(chunk)
    machine.end_body()
    assert machine.data_to_send() == b"..a\r\n..b\r\n...c\r\n.\r\n"


def test_drops_bytes_behind_the_220_to_starttls():
    """Whoever stands in between could put replies there (RFC 3207 §4.2)."""
    machine = opened()
    machine.start_tls()
    found = feed(machine, b"220 go\r\n250 injected\r\n")
    assert codes(found) == [(Command.STARTTLS, 220)]
    assert feed(machine, b"250 injected too\r\n") == []
    machine.tls_established(TlsInfo("TLSv1.3", "X"))
    assert not machine.pipelining
    assert machine.capabilities.keywords == {}
    machine.hello()
    assert codes(feed(machine, EHLO)) == [(Command.EHLO, 250)]


def test_auth_plain_leaves_the_secret_out_of_the_record():
    machine = opened()
    machine.authenticate("user", "secret")
    assert machine.data_to_send() == b"EHLO client.test\r\nAUTH PLAIN AHVzZXIAc2VjcmV0\r\n"[18:]
    assert codes(feed(machine, b"235 welcome\r\n")) == [(Command.AUTH, 235)]
    assert b"> AUTH PLAIN [16 octets]" in machine.record
    assert not any(b"AHVz" in line for line in machine.record)


def test_auth_login_step_by_step():
    machine = opened(b"250-mx\r\n250 AUTH=LOGIN\r\n")
    machine.authenticate("user", "secret")
    assert machine.data_to_send() == b"AUTH LOGIN\r\n"
    assert feed(machine, b"334 VXNlcm5hbWU6\r\n") == []
    assert machine.data_to_send() == b"dXNlcg==\r\n"
    feed(machine, b"334 UGFzc3dvcmQ6\r\n")
    assert machine.data_to_send() == b"c2VjcmV0\r\n"
    assert codes(feed(machine, b"535 no\r\n")) == [(Command.AUTH, 535)]
    assert not any(b"c2Vj" in line for line in machine.record)


def test_421_is_the_last_reply():
    machine = opened()
    machine.mail("a@client.test")
    machine.rcpt("b@mx.test")
    found = feed(machine, b"421 4.3.2 going down\r\n250 ignored\r\n")
    assert codes(found) == [(Command.MAIL, 421)]
    assert isinstance(found[-1], ConversationEnded)
    assert found[-1].reason is EndReason.CLOSING


def test_an_end_in_the_middle_names_what_was_awaited():
    machine = opened()
    machine.mail("a@client.test")
    machine.receive_eof()
    (ended,) = events(machine)
    assert (ended.reason, ended.awaiting) == (EndReason.CLOSED, Command.MAIL)
    machine.rcpt("b@mx.test")  # too late: nothing happens
    assert events(machine) == []


@pytest.mark.parametrize(
    "said",
    [b"hello\r\n", b"99 x\r\n", b"250" + b"x" * 5000, b"250-a\r\n" * 200, b"650 x\r\n", b"5\r\n", b"25\r\n"],
    ids=["words", "code", "long", "many", "class", "digit", "digits"],
)
def test_what_is_no_reply_ends_the_conversation(said):
    machine = opened()
    machine.mail("a@client.test")
    (ended,) = feed(machine, said)
    assert ended.reason is EndReason.BAD_REPLY


def test_a_multiline_reply_is_kept_word_for_word():
    machine = opened()
    machine.mail("a@client.test")
    (event,) = feed(machine, b"550-5.7.1 first\r\n550 5.7.1 second\r\n")
    assert event.reply.text == "550-5.7.1 first\n550 5.7.1 second"
    assert str(event.reply.enhanced) == "5.7.1"
    assert machine.record == [b"> MAIL FROM:<a@client.test>", b"< 550-5.7.1 first\n< 550 5.7.1 second"]


def test_an_idle_connection_says_quit_when_its_time_is_up():
    machine = opened()
    assert machine.patience == 10
    machine.interrupt(Interruption.TIMEOUT)
    assert machine.data_to_send() == b"QUIT\r\n"
    assert [event.reason for event in events(machine)] == [EndReason.QUIT]


def test_silence_after_the_final_dot_is_a_timeout():
    machine = opened()
    machine.mail("a@client.test")
    machine.rcpt("b@mx.test")
    machine.start_body()
    feed(machine, b"250 ok\r\n250 ok\r\n354 go\r\n")
    assert machine.patience == 180
    machine.body_chunk(b"x\r\n")
    machine.end_body()
    machine.interrupt(Interruption.TIMEOUT)
    (ended,) = events(machine)
    assert (ended.reason, ended.awaiting) == (EndReason.TIMEOUT, Command.BODY)


def test_our_own_misuse_raises():
    machine = opened()
    with pytest.raises(ProtocolMisuse):
        machine.body_chunk(b"x")
    with pytest.raises(ProtocolMisuse):
        machine.rcpt("a@b>\r\nDATA")


@given(st.lists(st.binary(max_size=40), max_size=8), st.booleans())
def test_any_bytes_in_only_documented_events_out(chunks, close):
    machine = opened()
    machine.mail("a@client.test")
    machine.rcpt("b@mx.test")
    machine.start_body()
    for chunk in chunks:
        for event in feed(machine, chunk):
            assert isinstance(event, (ReplyReceived, CommandSkipped, ConversationEnded))
            if isinstance(event, ReplyReceived) and event.command is Command.DATA and event.reply.code == 354:
                machine.body_chunk(b"x")
                machine.end_body()
    if close:
        machine.receive_eof()
        events(machine)
    machine.data_to_send()


@given(st.data())
def test_cuts_change_nothing(data):
    script = b"250 ok\r\n250-one\r\n250 two\r\n354 go\r\n"

    def run(pieces):
        machine = opened()
        machine.mail("a@client.test")
        machine.rcpt("b@mx.test")
        machine.start_body()
        found = []
        for piece in pieces:
            found += [(event.command, event.reply.raw) for event in feed(machine, piece)]
        return found, machine.record

    cuts = sorted(data.draw(st.lists(st.integers(0, len(script)), max_size=6)))
    pieces = [script[a:b] for a, b in zip([0, *cuts], [*cuts, len(script)], strict=True)]
    assert run(pieces) == run([script])


CHUNKS = b"250-mx.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-DSN\r\n250-CHUNKING\r\n250 BINARYMIME\r\n"


def test_a_chunk_goes_when_the_recipients_are_known():
    machine = opened(CHUNKS)
    machine.mail("a@client.test", binary=True, eight_bit=True)
    machine.rcpt("b@mx.test")
    machine.start_body(chunk=6)
    assert machine.data_to_send() == b"MAIL FROM:<a@client.test> BODY=BINARYMIME\r\nRCPT TO:<b@mx.test>\r\n"
    assert not [event for event in feed(machine, b"250 ok\r\n") if isinstance(event, BodyWanted)]
    found = feed(machine, b"250 ok\r\n")
    assert codes(found) == [(Command.RCPT, 250)]
    assert isinstance(found[-1], BodyWanted)
    machine.body_chunk(b"a\n.\n")
    machine.body_chunk(b"b\r")
    machine.end_body()
    assert machine.data_to_send() == b"BDAT 6 LAST\r\na\n.\nb\r"
    assert machine.patience == 600
    assert codes(feed(machine, b"250 taken\r\n")) == [(Command.BODY, 250)]
    assert machine.is_idle
    assert machine.record == [
        b"> MAIL FROM:<a@client.test> BODY=BINARYMIME", b"> RCPT TO:<b@mx.test>", b"< 250 ok", b"< 250 ok",
        b"> BDAT 6 LAST", b"> [6 octets of message]", b"< 250 taken",
    ]  # fmt: skip


def test_a_chunk_without_recipients_is_never_sent():
    machine = opened(CHUNKS)
    machine.mail("a@client.test")
    machine.rcpt("b@mx.test")
    machine.start_body(chunk=5)
    machine.data_to_send()
    found = feed(machine, b"250 ok\r\n550 no\r\n")
    assert [event.command for event in found if isinstance(event, CommandSkipped)] == [Command.BDAT]
    assert machine.data_to_send() == b""
    assert machine.is_idle


def test_chunks_without_pipelining_and_in_a_chain():
    machine = opened(b"250-mx.test\r\n250 CHUNKING\r\n")
    machine.mail("a@client.test")
    machine.rcpt("b@mx.test")
    machine.start_body(chunk=0)
    feed(machine, b"250 ok\r\n")
    assert machine.data_to_send().endswith(b"RCPT TO:<b@mx.test>\r\n")
    assert isinstance(feed(machine, b"250 ok\r\n")[-1], BodyWanted)
    machine.end_body()
    machine.mail("x@client.test")
    assert machine.data_to_send() == b"BDAT 0 LAST\r\n"
    feed(machine, b"250 taken\r\n")
    assert machine.data_to_send() == b"MAIL FROM:<x@client.test>\r\n"


@pytest.mark.parametrize("given", [b"abcd", b"abcdef"])
def test_a_chunk_is_as_long_as_it_was_said_to_be(given: bytes):
    """A shorter one would swallow our next command, the rest of a longer one would be taken for commands."""
    machine = opened(CHUNKS)
    machine.mail("a@client.test")
    machine.rcpt("b@mx.test")
    machine.start_body(chunk=5)
    feed(machine, b"250 ok\r\n250 ok\r\n")

    def send() -> None:
        machine.body_chunk(given)
        machine.end_body()

    with pytest.raises(ProtocolMisuse):
        send()
    assert b"abcdef" not in machine.data_to_send()


def test_no_chunk_where_none_is_offered():
    with pytest.raises(ProtocolMisuse):
        opened().start_body(chunk=5)


@pytest.mark.parametrize(
    ("ehlo", "path", "mail", "rcpt"),
    [
        (CHUNKS, "b@mx.test", b" ENVID=0c1x2d3f4g5h6", b" ORCPT=rfc822;b@mx.test"),
        (CHUNKS, "b+c=d@mx.test", b" ENVID=0c1x2d3f4g5h6", b" ORCPT=rfc822;b+2Bc+3Dd@mx.test"),
        (BARE, "b@mx.test", b"", b""),
    ],
)
def test_what_we_call_it_is_said_where_reports_may_repeat_it(ehlo, path, mail, rcpt):
    machine = opened(ehlo)
    machine.mail("a@client.test", envid="0c1x2d3f4g5h6")
    machine.rcpt(path, named=True)
    feed(machine, b"250 ok\r\n")
    said = b"MAIL FROM:<a@client.test>" + mail + b"\r\nRCPT TO:<" + path.encode() + b">" + rcpt + b"\r\n"
    assert machine.data_to_send() == said


def test_what_the_sender_calls_it_goes_first():
    machine = opened(CHUNKS)
    machine.mail("a@client.test", envid="0c1x2d3f4g5h6", parameters=MailParameters(envid="theirs"))
    machine.rcpt("b@mx.test", RcptParameters(orcpt="rfc822;first@a.test"), named=True)
    feed(machine, b"250 ok\r\n")
    said = b"MAIL FROM:<a@client.test> ENVID=theirs\r\nRCPT TO:<b@mx.test> ORCPT=rfc822;first@a.test\r\n"
    assert machine.data_to_send() == said


def test_parameters_are_said_where_they_are_offered():
    wishes = MailParameters(size=5, utf8=True, ret="HDRS", envid="a b", priority=3, deliver_by=DeliverBy(60, "N"))
    asked = RcptParameters(Notify.NEVER, "rfc822;b@mx.test")
    for ehlo, mail, rcpt in (
        (CHUNKS, b" RET=HDRS ENVID=a+20b", b" NOTIFY=NEVER ORCPT=rfc822;b@mx.test"),
        (b"250-mx.test\r\n250 MT-PRIORITY\r\n", b" MT-PRIORITY=3", b""),
        (BARE, b"", b""),
    ):
        machine = opened(ehlo)
        machine.mail("a@client.test", parameters=wishes)
        machine.rcpt("b@mx.test", asked)
        feed(machine, b"250 ok\r\n")
        assert machine.data_to_send() == (
            b"MAIL FROM:<a@client.test>" + mail + b"\r\nRCPT TO:<b@mx.test>" + rcpt + b"\r\n"
        )
