"""SCRAM, the server's side: the RFCs' own examples, binding, and everything that must not succeed."""

from base64 import b64decode

import pytest

from postroad.proto.sasl.exchange import Binding, Challenge, Failure, KeysWanted, Proven
from postroad.proto.sasl.scram import ScramKeys, ScramServer, hash_of, invented_keys, make_keys
from postroad.testing.sasl import ScramClient as Client

PASSWORD = b"pencil"
NONCE = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
SALT = b"a salt of ours.."
END_POINT = b"the digest of a certificate"
BINDING = Binding({"tls-server-end-point": END_POINT}, offered=True)


def keys_of(password: bytes, function: str = "sha256", salt: bytes = SALT, iterations: int = 4096) -> ScramKeys:
    mechanism = {"sha256": "SCRAM-SHA-256", "sha1": "SCRAM-SHA-1"}[function]
    return make_keys(mechanism, password, salt, iterations)


def run(server: ScramServer, client: Client, keys: ScramKeys):
    """To the step after the client's final message, or to an earlier failure."""
    wanted = server.step(client.first)
    if isinstance(wanted, Failure):
        return wanted
    assert isinstance(wanted, KeysWanted)
    challenge = server.provide([keys])
    return server.step(client.final(challenge.data))


@pytest.mark.parametrize(
    ("mechanism", "client_nonce", "server_nonce", "salt", "proof", "ours"),
    [
        (  # RFC 7677 §3
            "SCRAM-SHA-256", "rOprNGfwEbeRWgbNEkqO", "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", "W22ZaJ0SNY7soEsUEjb6gQ==",
            "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
        ),
        (  # RFC 5802 §5
            "SCRAM-SHA-1", "fyko+d2lbbFgONRv9qkxdawL", "3rfcNHYJY1ZVvWVs7j", "QSXCR+Q6sek8bf92",
            "v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=", "rmF9pqV8S7suAoZWja4dJRkFsKQ=",
        ),
    ],
)  # fmt: skip
def test_the_examples_of_the_rfcs(mechanism, client_nonce, server_nonce, salt, proof, ours):
    server = ScramServer(mechanism, server_nonce)
    assert server.step(None) == Challenge(b"")
    assert server.step(f"n,,n=user,r={client_nonce}".encode()) == KeysWanted("user")
    nonce = client_nonce + server_nonce
    challenge = server.provide([keys_of(PASSWORD, hash_of(mechanism), b64decode(salt))])
    assert challenge == Challenge(f"r={nonce},s={salt},i=4096".encode())
    assert server.step(f"c=biws,r={nonce},p={proof}".encode()) == Challenge(f"v={ours}".encode())
    assert server.step(b"") == Proven("user")


def test_a_wrong_password_fails_at_the_proof():
    end = run(ScramServer("SCRAM-SHA-256", NONCE), Client(b"pen"), keys_of(PASSWORD))
    assert end == Failure("SCRAM: wrong password")


def test_a_name_that_nobody_has_looks_like_one_that_somebody_has():
    first, second = (invented_keys(b"k" * 32, "SCRAM-SHA-256", "nobody", SALT, 4096) for _ in range(2))
    assert first == second
    assert invented_keys(b"k" * 32, "SCRAM-SHA-256", "other", SALT, 4096).stored_key != first.stored_key
    assert isinstance(run(ScramServer("SCRAM-SHA-256", NONCE), Client(PASSWORD), first), Failure)


@pytest.mark.parametrize(("password", "which"), [(b"pencil", 0), (b"brush", 2)])
def test_a_name_may_have_several_passwords(password, which):
    keys = [keys_of(PASSWORD), keys_of(b"salted otherwise", salt=b"another"), keys_of(b"chalk"), keys_of(b"brush")]
    client, server = Client(password), ScramServer("SCRAM-SHA-256", NONCE)
    server.step(client.first)
    assert isinstance(server.step(client.final(server.provide(keys).data)), Challenge)
    assert server.step(b"") == Proven("user", which)


def test_binding_to_the_certificate():
    client = Client(PASSWORD, header=b"p=tls-server-end-point,,", data=END_POINT)
    assert isinstance(run(ScramServer("SCRAM-SHA-256-PLUS", NONCE, BINDING), client, keys_of(PASSWORD)), Challenge)


@pytest.mark.parametrize(
    ("mechanism", "client"),
    [
        ("SCRAM-SHA-256-PLUS", Client(PASSWORD, header=b"p=tls-server-end-point,,", data=b"of another channel")),
        ("SCRAM-SHA-256-PLUS", Client(PASSWORD, header=b"p=tls-unique,,", data=END_POINT)),
        ("SCRAM-SHA-256-PLUS", Client(PASSWORD)),
        ("SCRAM-SHA-256-PLUS", Client(PASSWORD, header=b"y,,")),
        ("SCRAM-SHA-256", Client(PASSWORD, header=b"p=tls-server-end-point,,", data=END_POINT)),
        ("SCRAM-SHA-256", Client(PASSWORD, header=b"y,,")),
    ],
)
def test_what_binding_refuses(mechanism, client):
    assert isinstance(run(ScramServer(mechanism, NONCE, BINDING), client, keys_of(PASSWORD)), Failure)


def test_a_client_that_could_bind_and_a_server_that_cannot_agree():
    end = run(ScramServer("SCRAM-SHA-256", NONCE), Client(PASSWORD, header=b"y,,"), keys_of(PASSWORD))
    assert isinstance(end, Challenge)


def test_names_are_written_with_escapes_and_may_stand_twice():
    client = Client(PASSWORD, header=b"n,a=a=2Cb=3Dc,", name=b"a=2Cb=3Dc")
    server = ScramServer("SCRAM-SHA-256", NONCE)
    assert server.step(client.first) == KeysWanted("a,b=c")
    assert isinstance(server.step(client.final(server.provide([keys_of(PASSWORD)]).data)), Challenge)


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"n,,n=user",
        b"n,,r=x,n=user",
        b"n,,m=ext,n=user,r=x",
        b"n,,n=us=er,r=x",
        b"n,,n=user,r=",
        b"n,,n=user,r=a b",
        b"n,a=other,n=user,r=x",
        b"p=,,n=user,r=x",
        b"q,,n=user,r=x",
        b"n,,n=us\0er,r=x",
        b"n,,n=\xff,r=x",
        b"n,,n=" + b"x" * 3000 + b",r=x",
    ],
)
def test_first_messages_that_cannot_be_read(first):
    assert isinstance(ScramServer("SCRAM-SHA-256", NONCE).step(first), Failure)


@pytest.mark.parametrize(
    "change", [(b"client-nonce", b"other-nonce"), (b"c=biws", b"c=eSws"), (b",p=", b",q="), (b"c=biws", b"c=!")]
)
def test_final_messages_that_were_changed(change):
    client, server = Client(PASSWORD), ScramServer("SCRAM-SHA-256", NONCE)
    server.step(client.first)
    final = client.final(server.provide([keys_of(PASSWORD)]).data)
    assert isinstance(server.step(final.replace(*change)), Failure)


def test_a_proof_has_one_spelling():
    letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    client, server = Client(PASSWORD), ScramServer("SCRAM-SHA-256", NONCE)
    server.step(client.first)
    final = client.final(server.provide([keys_of(PASSWORD)]).data)
    other = final[:-2] + letters[letters.index(final[-2]) + 1 :][:1] + b"="  # its last two bits say nothing
    assert b64decode(other.partition(b",p=")[2]) == b64decode(final.partition(b",p=")[2])
    for spelling in (other, final + b"=", final[:-1]):
        assert isinstance(server.step(spelling), Failure)
    assert isinstance(server.step(final), Challenge)


def test_a_proof_cut_short_is_no_proof():
    client, server = Client(PASSWORD), ScramServer("SCRAM-SHA-256", NONCE)
    server.step(client.first)
    final = client.final(server.provide([keys_of(PASSWORD)]).data)
    assert isinstance(server.step(final[: final.index(b"p=")] + b"p=AAAA"), Failure)


@pytest.mark.parametrize("function", ["sha256", "sha1"])
def test_both_sides_prove_that_they_know_the_password(function):
    client = Client(PASSWORD, function=function)
    server = ScramServer("SCRAM-SHA-256" if function == "sha256" else "SCRAM-SHA-1", NONCE)
    end = run(server, client, keys_of(PASSWORD, function))
    assert client.trusts(end.data)
    assert not client.trusts(b"v=" + end.data[2:][::-1])


def test_nothing_may_come_behind_the_proof():
    client, server = Client(PASSWORD), ScramServer("SCRAM-SHA-256", NONCE)
    assert isinstance(run(server, client, keys_of(PASSWORD)), Challenge)
    assert isinstance(server.step(b"more"), Failure)
