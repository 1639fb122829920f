"""The table of mechanisms, and those that bring no password: tokens and certificates."""

import pytest

from postroad.proto.sasl.exchange import Bearer, Certified, Challenge, Failure
from postroad.proto.sasl.external import ExternalServer
from postroad.proto.sasl.mechanisms import MECHANISMS, Channel, begin, offered
from postroad.proto.sasl.oauthbearer import MAX_MESSAGE, OAuthBearerServer, XOAuth2Server
from postroad.proto.sasl.scram import ScramServer

USUAL = ("SCRAM-SHA-256", "PLAIN", "LOGIN", "EXTERNAL")
TOKEN = "abc.DEF-1_2~3+4/5=="


@pytest.mark.parametrize(
    ("wanted", "channel", "names"),
    [
        (USUAL, Channel(), "SCRAM-SHA-256 PLAIN LOGIN"),
        (USUAL, Channel(binds=True), "SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN"),
        (USUAL, Channel(certified=True), "SCRAM-SHA-256 EXTERNAL PLAIN LOGIN"),
        (("SCRAM-SHA-1",), Channel(binds=True), "SCRAM-SHA-1-PLUS SCRAM-SHA-1"),
        (("PLAIN", "XOAUTH2", "OAUTHBEARER"), Channel(), "OAUTHBEARER XOAUTH2 PLAIN"),
        ((), Channel(binds=True, certified=True), ""),
    ],
)
def test_what_is_offered_follows_settings_and_connection(wanted, channel, names):
    assert " ".join(offered(wanted, channel)) == names


@pytest.mark.parametrize("name", MECHANISMS)
def test_each_row_makes_a_fresh_exchange_each_time(name):
    first, second = begin(name), begin(name)
    assert first is not second or name in ("PLAIN", "EXTERNAL")
    assert isinstance(first.step(None), Challenge)
    assert isinstance(first, ScramServer) == name.startswith("SCRAM")


@pytest.mark.parametrize(
    ("message", "name"),
    [
        (f"n,,\x01auth=Bearer {TOKEN}\x01\x01", ""),
        (f"n,a=user@example.com,\x01host=x.test\x01port=143\x01auth=Bearer {TOKEN}\x01\x01", "user@example.com"),
        (f"y,a=a=2Cb=3D,\x01AUTH=bearer  {TOKEN}\x01\x01", "a,b="),
    ],
)
def test_a_bearer_token_is_read(message, name):
    assert OAuthBearerServer().step(message.encode()) == Bearer(name, TOKEN)


@pytest.mark.parametrize(
    "message",
    [
        "",
        "n,,",
        "n,,\x01\x01",
        "n,,\x01auth=Bearer x",
        "n,,\x01auth=Bearer x\x01",
        "n,,\x01auth=Basic x\x01\x01",
        "n,,\x01auth=Bearer x y\x01\x01",
        "n,,\x01auth=Bearer x\x01auth=Bearer y\x01\x01",
        "n,,\x01auth=Bearer x\x01broken\x01\x01",
        "n,a=x=y,\x01auth=Bearer x\x01\x01",
        "p=tls-exporter,,\x01auth=Bearer x\x01\x01",
        "n,,\x01auth=Bearer " + "x" * MAX_MESSAGE + "\x01\x01",
        "n,,\x01auth=Bearer é\x01\x01",
    ],
)
def test_what_is_no_bearer_message(message):
    assert isinstance(OAuthBearerServer().step(message.encode()), Failure)


def test_a_refused_token_is_told_why_and_then_ends():
    """RFC 7628 §3.2.3: the client answers once more, with anything."""
    for exchange in (OAuthBearerServer(), XOAuth2Server()):
        exchange.step(b"n,,\x01auth=Bearer x\x01\x01")
        assert exchange.refuse(b'{"status":"invalid_token"}') == Challenge(b'{"status":"invalid_token"}')
        assert isinstance(exchange.step(b"\x01"), Failure)
        assert isinstance(exchange.step(b"n,,\x01auth=Bearer x\x01\x01"), Failure)


def test_xoauth2():
    read = XOAuth2Server().step
    assert read(f"user=alice@example.com\x01auth=Bearer {TOKEN}\x01\x01".encode()) == Bearer("alice@example.com", TOKEN)
    for wrong in (b"", b"user=a\x01auth=Bearer x", b"auth=Bearer x\x01\x01", b"user=" + b"x" * 2000 + b"\x01\x01"):
        assert isinstance(XOAuth2Server().step(wrong), Failure)


def test_external_names_at_most_whom_to_act_as():
    assert ExternalServer().step(None) == Challenge(b"")
    assert ExternalServer().step(b"") == Certified("")
    assert ExternalServer().step(b"alice@example.com") == Certified("alice@example.com")
    assert isinstance(ExternalServer().step(b"\xff"), Failure)
    assert isinstance(ExternalServer().step(b"a\0b"), Failure)


def test_a_token_is_not_shown():
    assert TOKEN not in repr(Bearer("alice", TOKEN))
