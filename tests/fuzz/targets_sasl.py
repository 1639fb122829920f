"""SASL targets: whatever a client says in an exchange, only documented steps come out, and nothing is proved by luck;
tokens and imported hashes of any shape."""

from postroad.accounts import imported
from postroad.accounts.oauth import BadToken, TokenRules, address_in, algorithm_of, fitting, read_token
from postroad.proto.sasl.exchange import (
    Bearer,
    Binding,
    Certified,
    Challenge,
    Credentials,
    Failure,
    KeysWanted,
    Proven,
)
from postroad.proto.sasl.mechanisms import MECHANISMS, begin
from postroad.proto.sasl.oauthbearer import OAuthBearerServer
from postroad.proto.sasl.scram import ScramServer, make_keys
from postroad.testing.fuzzing import Target
from postroad.testing.issuer import Issuer
from postroad.testing.sasl import ScramClient, bearer_message

SEPARATOR = b"\xff\xfe"  # between the responses of one exchange
NONCE = "servers-own-nonce-of-24-c"
BINDING = Binding({"tls-exporter": b"e" * 32, "tls-server-end-point": b"p" * 32}, offered=True)
SALT = b"a salt of ours.."
KEYS = {name: make_keys(name, b"pencil", SALT, 1) for name in ("SCRAM-SHA-256", "SCRAM-SHA-1")}
RIGHT: set[bytes] = set()  # final messages that do prove it


def exchange(data: bytes) -> None:
    """The first octet chooses the mechanism."""
    if not data:
        return
    mechanism = sorted(MECHANISMS)[data[0] % len(MECHANISMS)]
    server = begin(mechanism, NONCE, BINDING)
    for response in data[1:].split(SEPARATOR)[:6]:
        step = server.step(response)
        if isinstance(step, KeysWanted):
            assert isinstance(server, ScramServer)
            assert step.name
            step = server.provide([KEYS[mechanism.removesuffix("-PLUS")]])
        if isinstance(step, Bearer):
            assert isinstance(server, OAuthBearerServer)
            assert step.token
            step = server.refuse(b"{}")
        match step:
            case Challenge(challenge):
                if challenge.startswith(b"v="):
                    assert response in RIGHT, "proved by luck"
            case Credentials(name, password):
                assert name
                assert password
                return
            case Proven():
                assert mechanism.startswith("SCRAM")
                return
            case Certified() | Failure():
                return
            case _:
                raise AssertionError(f"not a documented step: {step!r}")


def scram_seed(function: str, mechanism: str, header: bytes = b"n,,", data: bytes = b"") -> bytes:
    client = ScramClient(b"pencil", header=header, data=data, function=function)
    server = ScramServer(mechanism, NONCE, BINDING)
    server.step(client.first)
    challenge = server.provide([KEYS[mechanism.removesuffix("-PLUS")]])
    assert isinstance(challenge, Challenge)
    final = client.final(challenge.data)
    RIGHT.add(final)
    return SEPARATOR.join((client.first, final, b""))


ISSUER = Issuer("https://login.example.com")
CLAIMS = {"iss": ISSUER.url, "aud": ["mail"], "exp": 2e9, "nbf": 1, "email": "alice@example.com"}
TOKENS = [ISSUER.sign(CLAIMS, algorithm).encode() for algorithm in ("ES256", "RS256", "EdDSA")]
SIGNED = {token.rpartition(b".")[0] for token in TOKENS}
RULES = TokenRules(ISSUER.url, ("mail",))
JWKS = [key.jwk for key in ISSUER.keys.values()]


def token(data: bytes) -> None:
    """Whatever is signed by nobody is for nobody."""
    text = data.decode("latin-1")
    try:
        read = read_token(text)
        algorithm = algorithm_of(read)
        good = any(algorithm.verifies(key, read) for key in fitting(JWKS, read, algorithm))
        address_in(read.claims, RULES, 1e9)
    except BadToken:
        return
    assert not good or read.signed in SIGNED


def hashes(data: bytes) -> None:
    try:
        check = imported.read(data.decode("latin-1"))
    except imported.NotAHash:
        return
    if b"rounds" not in data and b"PBKDF2" not in data.upper():  # these may take their time, and are meant to
        check(b"password")


WORDS = (
    SEPARATOR, b"n,,", b"y,,", b"p=tls-exporter,,", b",a=", b"n=", b",r=", b"c=biws", b",p=", b"=2C", b"=3D", b"m=",
    b"\x01", b"auth=Bearer ", b"user=", b"\x01\x01", b"\0", NONCE.encode(), b"\xc3\xa9",
)  # fmt: skip
EXPORTER = (b"p=tls-exporter,,", b"e" * 32)
SEEDS = {
    "SCRAM-SHA-256": [scram_seed("sha256", "SCRAM-SHA-256")],
    "SCRAM-SHA-1": [scram_seed("sha1", "SCRAM-SHA-1")],
    "SCRAM-SHA-256-PLUS": [scram_seed("sha256", "SCRAM-SHA-256-PLUS", *EXPORTER)],
    "SCRAM-SHA-1-PLUS": [scram_seed("sha1", "SCRAM-SHA-1-PLUS", *EXPORTER)],
    "OAUTHBEARER": [bearer_message("abc.def.ghi", "a=2Cb@example.com"), b"n,,\x01host=x\x01auth=Bearer x\x01\x01"],
    "XOAUTH2": [b"user=alice@example.com\x01auth=Bearer abc.def.ghi\x01\x01" + SEPARATOR],
    "PLAIN": [b"\0alice@example.com\0secret", b"a\0a\0b"],
    "LOGIN": [b"alice@example.com" + SEPARATOR + b"secret"],
    "EXTERNAL": [b"alice@example.com", b""],
}
PART = TOKENS[0].split(b".")[1]
TARGETS = {
    "sasl": Target(
        exchange, [bytes([at]) + seed for at, name in enumerate(sorted(MECHANISMS)) for seed in SEEDS[name]], WORDS
    ),
    "sasl-token": Target(
        token,
        TOKENS,
        (b".", b"e30", b"eyJhbGciOiJub25lIn0", b"eyJhbGciOiJIUzI1NiJ9", PART),
    ),
    "imported-hash": Target(
        hashes,
        [
            b"{SSHA}E49j48yRuk1EYsFBtSedDAV/S3NwZXBwZXIxMg==",
            b"$6$saltstring$b4SOQO.YI.BXjgbKQa.97c9EQud0NW8Txr5rCRGsAucjEsL95TW5MDF/7KcC3bcG5NoxZbmB6Lh82fxg8soAZ0",
            b"pbkdf2_sha256$1000$grain$7JG6p2E+yY6gnSSm2Sku+rJIDzRhzlYR+bOlTit6/Tk=",
            b"{PBKDF2}$1$grainsalt$1000$dcfecd9c83970d1aa2fa7e784875d6f1d5fc3e64",
        ],
        (b"{SHA}", b"{CRYPT}", b"$5$", b"rounds=", b"$", b"{PBKDF2-SHA512}"),
    ),
}
