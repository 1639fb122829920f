"""The parameters of MAIL and RCPT: what is taken, what is refused, what a client writes of them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from postroad.mail.envelope import Notify
from postroad.proto.smtp import reply as replies
from postroad.proto.smtp.encodings import (
    decode_utf8_address,
    decode_xtext,
    encode_utf8_address,
    encode_xtext,
)
from postroad.proto.smtp.parameters import (
    MAIL_PARAMETERS,
    RCPT_PARAMETERS,
    DeliverBy,
    MailParameters,
    RcptParameters,
    read_mail_parameters,
    read_rcpt_parameters,
    written,
)
from postroad.proto.smtp.reply import CommandFault

NEW_YEAR = datetime(2027, 1, 1, tzinfo=UTC)

MAIL = [
    ("SIZE=0", MailParameters(size=0), ()),
    ("SIZE=" + "9" * 20, MailParameters(size=10**20 - 1), ()),
    ("BODY=7BIT", MailParameters(body="7BIT"), ()),
    ("BODY=BINARYMIME", MailParameters(body="BINARYMIME"), ("BINARYMIME",)),
    ("AUTH=<>", MailParameters(auth=""), ()),
    ("AUTH=a+2Bb@client.example", MailParameters(auth="a+b@client.example"), ()),
    ("SMTPUTF8", MailParameters(utf8=True), ("SMTPUTF8",)),
    ("RET=HDRS", MailParameters(ret="HDRS"), ("DSN",)),
    ("ENVID=QQ+2B314159", MailParameters(envid="QQ+314159"), ("DSN",)),
    ("ENVID=" + "x" * 100, MailParameters(envid="x" * 100), ("DSN",)),
    ("RET=FULL ENVID=a+20b", MailParameters(ret="FULL", envid="a b"), ("DSN",)),
    ("HOLDFOR=0", MailParameters(hold_for=0), ("FUTURERELEASE",)),
    ("HOLDFOR=999999999", MailParameters(hold_for=999_999_999), ("FUTURERELEASE",)),
    ("HOLDUNTIL=2027-01-01T00:00:00Z", MailParameters(hold_until=NEW_YEAR), ("FUTURERELEASE",)),
    ("BY=120;R", MailParameters(deliver_by=DeliverBy(120, "R")), ("DELIVERBY",)),
    ("BY=-5;NT", MailParameters(deliver_by=DeliverBy(-5, "N", trace=True)), ("DELIVERBY",)),
    ("BY=0;N", MailParameters(deliver_by=DeliverBy(0, "N")), ("DELIVERBY",)),
    ("MT-PRIORITY=0", MailParameters(priority=0), ("MT-PRIORITY",)),
    ("MT-PRIORITY=-9", MailParameters(priority=-9), ("MT-PRIORITY",)),
]
RCPT = [
    ("NOTIFY=NEVER", RcptParameters(Notify.NEVER)),
    ("NOTIFY=SUCCESS,FAILURE,DELAY", RcptParameters(Notify.SUCCESS | Notify.FAILURE | Notify.DELAY)),
    ("ORCPT=rfc822;bob+2Bx@example.com", RcptParameters(orcpt="rfc822;bob+x@example.com")),
    ("ORCPT=utf-8;j\\x{F6}rg@example.com", RcptParameters(orcpt="utf-8;jörg@example.com")),
    ("ORCPT=X400;/S=bob/".replace("=bob", "+3Dbob"), RcptParameters(orcpt="X400;/S=bob/")),
    ("ORCPT=rfc822;" + "x" * 493, RcptParameters(orcpt="rfc822;" + "x" * 493)),
]


@pytest.mark.parametrize(("text", "parameters", "extensions"), MAIL, ids=lambda value: str(value)[:40])
def test_what_mail_may_say(text: str, parameters: MailParameters, extensions: tuple[str, ...]) -> None:
    assert read_mail_parameters(text) == parameters
    assert parameters.asks == frozenset(extensions)
    assert written(parameters, MAIL_PARAMETERS) == f" {text}"


@pytest.mark.parametrize(("text", "parameters"), RCPT, ids=lambda value: str(value)[:40])
def test_what_rcpt_may_say(text: str, parameters: RcptParameters) -> None:
    assert read_rcpt_parameters(text) == parameters
    assert parameters.asks == {"DSN"}
    assert written(parameters, RCPT_PARAMETERS) == f" {text}"


def test_what_postfix_writes_for_letters_beyond_ascii():
    """Octets of UTF-8 as xtext; we write what RFC 6533 §3 has in its place."""
    parameters = read_rcpt_parameters("ORCPT=rfc822;j+C3+B6rg@example.com")
    assert parameters == RcptParameters(orcpt="utf-8;jörg@example.com")
    assert written(parameters, RCPT_PARAMETERS) == " ORCPT=utf-8;j\\x{F6}rg@example.com"


@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        ("size=1 body=8bitmime", MailParameters(1, "8BITMIME")),
        ("  SIZE=1   RET=full ", MailParameters(1, ret="FULL")),
        ("BY=+60;nt", MailParameters(deliver_by=DeliverBy(60, "N", trace=True))),
        ("HOLDUNTIL=2027-01-01T02:30:00.5+02:30", MailParameters(hold_until=NEW_YEAR.replace(microsecond=500_000))),
    ],
)
def test_other_ways_to_say_it(text: str, parameters: MailParameters) -> None:
    assert read_mail_parameters(text) == parameters


@pytest.mark.parametrize(
    "text",
    [
        "SIZE", "SIZE=", "SIZE=x", "SIZE=-1", "SIZE=" + "9" * 21, "SIZE=1 SIZE=1", "SIZE=\u0661",
        "BODY=", "BODY=9BIT", "AUTH=", "AUTH=a b=c", "AUTH=a=b", "AUTH=" + "a" * 501,
        "SMTPUTF8=", "SMTPUTF8=1", "SMTPUTF8 SMTPUTF8",
        "RET=", "RET=BOTH", "RET=FULL RET=FULL", "RET",
        "ENVID=", "ENVID=a=b", "ENVID=a+0Ab", "ENVID=a+2b", "ENVID=" + "x" * 101,
        "HOLDFOR=", "HOLDFOR=-1", "HOLDFOR=1234567890",
        "HOLDUNTIL=2027-01-01", "HOLDUNTIL=2027-13-01T00:00:00Z", "HOLDUNTIL=2027-01-01T00:00:00",
        "HOLDUNTIL=2027-01-01 00:00:00Z", "HOLDUNTIL=0001-01-01T00:00:00+23:00",
        "BY=", "BY=60", "BY=60;X", "BY=0;R", "BY=-1;R", "BY=1234567890;N", "BY=60;NTT",
        "MT-PRIORITY=", "MT-PRIORITY=10", "MT-PRIORITY=+1", "MT-PRIORITY=-0", "MT-PRIORITY=00",
        "HOLDFOR=1 HOLDUNTIL=2027-01-01T00:00:00Z",
    ],
    ids=lambda text: text[:40],
)  # fmt: skip
def test_what_mail_may_not_say(text: str) -> None:
    with pytest.raises(CommandFault) as fault:
        read_mail_parameters(text)
    assert fault.value.reply.code in (501, 555)
    assert (fault.value.reply.code == 555) == ("b=c" in text and " " in text)


@pytest.mark.parametrize(
    "text",
    [
        "NOTIFY", "NOTIFY=", "NOTIFY=NEVER,SUCCESS", "NOTIFY=SUCCESS,", "NOTIFY=ALWAYS", "NOTIFY=DELAY NOTIFY=DELAY",
        "NOTIFY=SUCCESS,FAILURE,DELAY,SUCCESS",
        "ORCPT=", "ORCPT=bob@example.com", "ORCPT=;bob", "ORCPT=rfc822;", "ORCPT=rfc822;a=b", "ORCPT=rfc822;a+0D",
        "ORCPT=a(b;c", "ORCPT=utf-8;a\\x{A}", "ORCPT=utf-8;a\\x{0A}", "ORCPT=utf-8;a\\x{41}", "ORCPT=utf-8;\\x{D800}",
        "ORCPT=rfc822;a+C3", "ORCPT=rfc822;a+C2+85", "ORCPT=X400;a+C3+B6",
        "ORCPT=utf-8;\\x{110000}", "ORCPT=utf-8;\\x{202E}", "ORCPT=utf-8;a+2B", "ORCPT=utf-8;\\x{00F6}",
        "ORCPT=rfc822;" + "x" * 494, "ORCPT=utf-8;" + "\u00f6" * 495,
    ],
    ids=lambda text: ascii(text[:40]),
)  # fmt: skip
def test_what_rcpt_may_not_say(text: str) -> None:
    with pytest.raises(CommandFault, match="501"):
        read_rcpt_parameters(text)


@pytest.mark.parametrize("text", ["DSN", "SIZE=1 X-NEW=1", "NOTIFY=NEVER"])
def test_an_unknown_parameter_is_555(text: str) -> None:
    with pytest.raises(CommandFault) as fault:
        read_mail_parameters(text)
    assert fault.value.reply is replies.UNKNOWN_PARAMETER


def test_every_parameter_is_a_field() -> None:
    for table, record in ((MAIL_PARAMETERS, MailParameters), (RCPT_PARAMETERS, RcptParameters)):
        assert {row.field for row in table.values()} == set(record.__struct_fields__) - {"asks"}


def test_a_client_says_only_what_is_offered() -> None:
    asked = MailParameters(size=1, ret="FULL", priority=3, hold_until=NEW_YEAR.astimezone(timezone(timedelta(hours=2))))
    assert written(asked, MAIL_PARAMETERS, {"DSN"}) == " RET=FULL"
    assert written(asked, MAIL_PARAMETERS, {"MT-PRIORITY", "SIZE"}) == " MT-PRIORITY=3"
    assert written(asked, MAIL_PARAMETERS, {"FUTURERELEASE"}) == " HOLDUNTIL=2027-01-01T00:00:00Z"
    assert written(RcptParameters(Notify.DELAY, "rfc822;a@b"), RCPT_PARAMETERS, ()) == ""


def test_xtext() -> None:
    assert encode_xtext("a+b=c d") == "a+2Bb+3Dc+20d"
    assert decode_xtext("a+2Bb+3Dc+20d") == "a+b=c d"
    for bad in ("a+2b", "a=b", "a+0Ab", "a+FFb", "a b", "a+"):
        assert decode_xtext(bad) is None


def test_addresses_beyond_ascii() -> None:
    assert encode_utf8_address("j\u00f6rg+x=\\y\U0001f600") == "j\\x{F6}rg\\x{2B}x\\x{3D}\\x{5C}y\\x{1F600}"
    assert decode_utf8_address("j\\x{F6}rg\\x{2B}x\\x{3D}\\x{5C}y\\x{1F600}") == "j\u00f6rg+x=\\y\U0001f600"
    assert decode_utf8_address("j\u00f6rg") == "j\u00f6rg"
    for bad in ("", "a b", "a+b", "a=b", "\\x{zz}", "\\x{85}", "\u2028", "\x7f"):
        assert decode_utf8_address(bad) is None
