"""PLAIN and LOGIN exchanges."""

import pytest

from postroad.proto.sasl.exchange import Challenge, Credentials, Failure
from postroad.proto.sasl.plain import LoginServer, PlainServer


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (b"\0alice\0secret", Credentials("alice", "secret")),
        (b"alice\0alice\0secret", Credentials("alice", "secret")),
        (b"Alice@Example.com\0alice@example.com\0s", Credentials("alice@example.com", "s")),
        ("\0bj\u00f6rn\0ge heim".encode(), Credentials("bj\u00f6rn", "ge heim")),
        (b"\0" + b"n" * 1024 + b"\0p", Credentials("n" * 1024, "p")),
    ],
)
def test_plain(message: bytes, expected: Credentials) -> None:
    assert PlainServer().step(message) == expected


@pytest.mark.parametrize(
    "message",
    [
        b"", b"alice", b"\0alice", b"\0alice\0", b"\0\0secret", b"bob\0alice\0secret", b"\0a\0b\0c", b"\0\xff\0x",
        b"\xff\0a\0b", b"\0" + b"n" * 1025 + b"\0p",
    ],
)  # fmt: skip
def test_plain_failures(message: bytes) -> None:
    assert isinstance(PlainServer().step(message), Failure)


def test_plain_asks_when_there_is_nothing() -> None:
    exchange = PlainServer()
    assert exchange.step(None) == Challenge(b"")
    assert exchange.step(b"\0a\0b") == Credentials("a", "b")


def test_login() -> None:
    exchange = LoginServer()
    assert exchange.step(None) == Challenge(b"Username:")
    assert exchange.step(b"alice") == Challenge(b"Password:")
    assert exchange.step(b"secret") == Credentials("alice", "secret")


def test_login_with_the_name_in_front() -> None:
    exchange = LoginServer()
    assert exchange.step(b"alice") == Challenge(b"Password:")
    assert isinstance(exchange.step(b""), Failure)
    assert isinstance(LoginServer().step(b"a\0b"), Failure)


def test_a_password_is_not_shown() -> None:
    assert "secret" not in repr(Credentials("alice", "secret"))
