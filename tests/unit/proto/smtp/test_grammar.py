"""Command lines: what is read, what is written, the tables."""

import pytest

from postroad.mail.address import ForwardPath, ReversePath, parse_forward_path, parse_reverse_path
from postroad.proto.smtp import reply as replies
from postroad.proto.smtp.extensions import BUILT, EXTENSIONS, Offer, ehlo_lines, parse_ehlo
from postroad.proto.smtp.grammar import VERBS, Auth, Bdat, Command, Hello, Mail, Plain, Rcpt
from postroad.proto.smtp.parameters import MailParameters
from postroad.proto.smtp.reply import CommandFault
from postroad.proto.smtp.xclient import Xclient

ALL = frozenset(extension.keyword for extension in EXTENSIONS)


def read(line: bytes) -> Command:
    word, _, argument = line.decode().rstrip("\r\n").partition(" ")
    reader = VERBS[word].read
    assert reader is not None
    return reader(word, argument)


@pytest.mark.parametrize(
    "command",
    [
        Hello("EHLO", "client.example"),
        Hello("LHLO", "[192.0.2.1]"),
        Mail(ReversePath(None)),
        Mail(parse_reverse_path("ann@client.example"), MailParameters(1000, "8BITMIME", "")),
        Mail(parse_reverse_path('"a n\\"n>"@client.example'), MailParameters(auth="a+b=c@client.example")),
        Rcpt(parse_forward_path("bob@example.com")),
        Rcpt(ForwardPath("Postmaster", None)),
        Auth("PLAIN", b"\0name\0secret"),
        Auth("PLAIN", b""),
        Auth("LOGIN"),
        Plain("DATA"),
        Bdat(0, last=True),
        Xclient(name="mx.client.example", addr="192.0.2.7", port="5", proto="ESMTP", helo="a+b=c"),
        Xclient("", "", "2001:db8::1", "", "SMTP", "x", "alice@example.com", "203.0.113.1", "25"),
        Bdat(10**20 - 1),
        Plain("VRFY", "bob"),
        Plain("NOOP", ""),
    ],
)
def test_what_is_written_is_read(command: Command) -> None:
    assert read(command.line()) == command


@pytest.mark.parametrize(
    "argument",
    [
        "", "ADDR", "ADDR=", "ADDR=192.0.2", "ADDR=2001:db8::1", "ADDR=IPV6:192.0.2.7", "ADDR=IPV6:fe80::1%25eth0",
        "ADDR=192.0.2.7 ADDR=192.0.2.8", "PORT=65536", "PORT=-1", "PROTO=HTTP", "HELO=a+20b", "HELO=" + "x" * 256,
        "NAME=a+00b", "NAME=a=b", "LOGIN=+E4", "SHOE=9", "NAME=x SHOE=9", "NAME=" + "x" * 256,
    ],
    ids=lambda argument: argument[:30],
)  # fmt: skip
def test_what_a_gateway_may_not_say(argument: str) -> None:
    with pytest.raises(CommandFault, match="501"):
        read(b"XCLIENT " + argument.encode() + b"\r\n")


def test_what_a_gateway_does_not_know() -> None:
    line = b"xclient name=[unavailable] REVERSE_NAME=[TEMPUNAVAIL] addr=ipv6:::ffff:192.0.2.7 port=[UNAVAILABLE]\r\n"
    assert VERBS["XCLIENT"].read is not None
    assert read(b"XCLIENT" + line[7:]) == Xclient("", "", "192.0.2.7", "")


def test_what_a_server_offers_a_client_reads() -> None:
    offer = Offer(
        1000, starttls=True, auth_mechanisms=("PLAIN", "LOGIN"), keywords=ALL, privileged=True, max_recipients=100,
        max_transactions=20, max_hold=3600, may_introduce=True, horizon="2027-01-01T00:00:00Z", secured=True,
    )  # fmt: skip
    capabilities = parse_ehlo(("mail.example.com greets you", *ehlo_lines(offer)))
    assert capabilities.name == "mail.example.com"
    assert set(capabilities.keywords) == {extension.keyword for extension in EXTENSIONS}
    assert capabilities.pipelining
    assert capabilities.eight_bit_mime
    assert capabilities.enhanced_status_codes
    assert capabilities.starttls
    assert capabilities.size
    assert capabilities.max_size == 1000
    assert capabilities.chunking
    assert capabilities.binary_mime
    assert capabilities.smtp_utf8
    assert capabilities.dsn
    assert (capabilities.max_recipients, capabilities.max_transactions) == (100, 20)
    assert capabilities.keywords["FUTURERELEASE"] == ("3600", "2027-01-01T00:00:00Z")
    assert capabilities.auth_mechanisms == ("PLAIN", "LOGIN")
    assert "STARTTLS" in capabilities


def test_what_is_not_offered_is_not_there() -> None:
    capabilities = parse_ehlo(("x", *ehlo_lines(Offer(1, starttls=False, auth_mechanisms=()))))
    assert not capabilities.starttls
    assert capabilities.auth_mechanisms == ()
    assert "LIMITS" not in capabilities
    assert capabilities.max_recipients is None


def test_a_stranger_is_not_offered_what_is_for_our_own_people() -> None:
    lines = ehlo_lines(Offer(1, starttls=False, auth_mechanisms=(), keywords=ALL, max_hold=1, horizon="x"))
    assert not {"FUTURERELEASE 1 x", "DELIVERBY", "MT-PRIORITY"} & set(lines)
    assert {"DSN", "SMTPUTF8"} < set(lines)


def test_a_word_that_is_not_built_is_not_said() -> None:
    assert BUILT <= ALL
    lines = ehlo_lines(Offer(1, starttls=False, auth_mechanisms=(), keywords=ALL - {"DSN"}, privileged=True))
    assert "DSN" not in lines
    assert "FUTURERELEASE" not in {line.split(" ")[0] for line in lines}  # no time was said


@pytest.mark.parametrize("limits", ["RCPTMAX=0", "RCPTMAX=x", "RCPTMAX=1234567", "RCPTMAX", "MAILMAX=5"])
def test_limits_that_say_nothing(limits: str) -> None:
    assert parse_ehlo(("x", f"LIMITS {limits}")).max_recipients is None
    assert parse_ehlo(("x", f"limits {limits} rcptmax=7")).max_recipients in (7, None)


def test_strange_ehlo_responses() -> None:
    capabilities = parse_ehlo(("", "auth=login plain", "AUTH CRAM-MD5 LOGIN", "size", "", "x-exps =login"))
    assert capabilities.auth_mechanisms == ("LOGIN", "PLAIN", "CRAM-MD5")
    assert capabilities.size
    assert capabilities.max_size is None
    assert parse_ehlo(("x", "SIZE 0")).max_size is None
    assert parse_ehlo(("x", "SIZE 99999999999999999999999")).max_size is None
    assert parse_ehlo(()).name == ""


def test_a_reply_has_no_line_end_inside() -> None:
    assert replies.reply(550, "5.1.1", "no\r\n250 ok\x07\xe4").wire == b"550 5.1.1 no??250 ok??\r\n"
    assert replies.reply(250, "", "a", "b").wire == b"250-a\r\n250 b\r\n"
    assert replies.reply(250, "2.0.0").wire == b"250 2.0.0 \r\n"


def test_a_status_becomes_a_reply() -> None:
    from postroad.mail.status import Status, status

    assert replies.from_status(status(550, "5.1.1", "no such user")).wire == b"550 5.1.1 no such user\r\n"
    assert replies.from_status(Status(451, None, "later")).wire == b"451 4.0.0 later\r\n"
    assert replies.from_status(Status(250, None, "fine")).wire == b"250 2.0.0 fine\r\n"
    lines = replies.from_status(status(554, "5.7.1", "word " * 300)).wire.split(b"\r\n")
    assert len(lines) == 5
    assert all(len(line) <= 510 for line in lines)
    assert str(replies.OK) == "250 2.0.0 OK"
