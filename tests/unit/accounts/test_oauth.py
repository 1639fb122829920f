"""Tokens of an OpenID issuer: what a good one is, and every way to be a bad one."""

import base64
import json
from datetime import UTC, datetime

import pytest

from postroad.accounts.oauth import MAX_TOKEN, OAuth, TokenRules, complaint
from postroad.ports.store import StoreUnavailable
from postroad.testing.issuer import Issuer, encoded

NOW = 1_800_000_000
RULES = TokenRules("https://login.example.com", ("mail", "postroad"))


class Clock:
    def now(self):
        return datetime.fromtimestamp(NOW, UTC)


class Keys:
    """The port, with what the issuer publishes."""

    def __init__(self, issuer):
        self.published = [key.jwk for key in issuer.keys.values()]
        self.later = []
        self.asked = 0

    async def keys(self, *, newer=False):
        self.asked += newer
        return self.published + (self.later if newer else [])


@pytest.fixture(scope="module")
def issuer():
    return Issuer(RULES.issuer)


@pytest.fixture
def oauth(issuer):
    keys = Keys(issuer)
    made = OAuth(RULES, keys, Clock())
    made.test_keys = keys
    return made


def claims(**changes):
    usual = {
        "iss": RULES.issuer, "aud": "mail", "exp": NOW + 300, "nbf": NOW - 5, "email": "alice@example.com",
        "email_verified": True,
    }  # fmt: skip
    return {name: value for name, value in (usual | changes).items() if value is not None}


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_a_good_token_of_each_algorithm(issuer, oauth, algorithm):
    assert await oauth.verify(issuer.sign(claims(), algorithm)) == "alice@example.com"
    assert oauth.test_keys.asked == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": ["other", "postroad"]},
        {"exp": NOW - 59},
        {"exp": NOW + 0.5},
        {"nbf": NOW + 60},
        {"nbf": None},
        {"email_verified": None},
        {"email_verified": "true"},
        {"more": {"x": [1]}},
    ],
)
async def test_claims_that_are_good(issuer, oauth, changes):
    assert await oauth.verify(issuer.sign(claims(**changes))) == "alice@example.com"


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://login.example.com/"},
        {"iss": "https://evil.example"},
        {"iss": None},
        {"iss": ["https://login.example.com"]},
        {"aud": "shop"},
        {"aud": ["shop"]},
        {"aud": []},
        {"aud": None},
        {"aud": {"mail": 1}},
        {"aud": [["mail"]]},
        {"exp": NOW - 60},
        {"exp": None},
        {"exp": str(NOW + 300)},
        {"exp": True},
        {"nbf": NOW + 61},
        {"nbf": "soon"},
        {"email": None},
        {"email": ""},
        {"email": 7},
        {"email": ["alice@example.com"]},
        {"email_verified": False},
        {"email_verified": "false"},
        {"email_verified": 0},
    ],
)
async def test_claims_that_are_not(issuer, oauth, changes):
    assert await oauth.verify(issuer.sign(claims(**changes))) == ""


async def test_another_claim_may_hold_the_address(issuer):
    oauth = OAuth(TokenRules(RULES.issuer, ("mail",), "upn"), Keys(issuer), Clock())
    assert await oauth.verify(issuer.sign(claims(upn="bob@example.com", email_verified=False))) == "bob@example.com"


# --- algorithms, keys and signatures ----------------------------------------------------------------------------------


async def test_none_is_no_algorithm(oauth):
    for name in ("none", "None", "NONE", "", None, 7, ["RS256"]):
        token = f"{encoded({'alg': name, 'typ': 'JWT'})}.{encoded(claims())}."
        assert await oauth.verify(token) == ""


async def test_a_public_key_is_no_shared_secret(issuer, oauth):
    """The classic confusion: the public key, as everybody has it, taken as the secret of an HMAC."""
    for key in issuer.keys.values():
        for secret in (key.public_pem, json.dumps(key.jwk).encode()):
            for algorithm in ("HS256", "HS512"):
                assert await oauth.verify(issuer.sign_hmac(claims(), secret, algorithm, key.jwk["kid"])) == ""


async def test_an_algorithm_takes_its_own_kind_of_key_alone(issuer, oauth):
    for algorithm, key in issuer.keys.items():
        for other in ("RS256", "ES256", "EdDSA"):
            header = {"alg": other, "kid": key.jwk["kid"]}
            good = await oauth.verify(issuer.sign(claims(), algorithm, header=header))
            assert bool(good) == (other == algorithm)


async def test_a_key_of_the_token_itself_is_not_believed(issuer, oauth):
    other = Issuer(RULES.issuer)
    for extra in (
        {"jwk": other.keys["ES256"].jwk},
        {"jku": "https://evil.example/keys"},
        {"x5u": "https://evil.example"},
    ):
        header = {"alg": "ES256", "kid": issuer.keys["ES256"].jwk["kid"], **extra}
        assert await oauth.verify(other.sign(claims(), "ES256", header=header)) == ""
        assert await oauth.verify(issuer.sign(claims(), "ES256", header=header)) == "alice@example.com"


async def test_extensions_that_have_to_be_understood_are_not(issuer, oauth):
    header = {"alg": "ES256", "kid": issuer.keys["ES256"].jwk["kid"], "crit": ["b64"], "b64": False}
    assert await oauth.verify(issuer.sign(claims(), "ES256", header=header)) == ""


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_what_was_changed_is_not_signed(issuer, oauth, algorithm):
    head, body, signature = issuer.sign(claims(), algorithm).split(".")
    other = encoded(claims(email="bob@example.com"))
    assert await oauth.verify(f"{head}.{other}.{signature}") == ""
    flipped = base64.urlsafe_b64decode(signature + "==")[::-1]
    assert await oauth.verify(f"{head}.{body}.{base64.urlsafe_b64encode(flipped).decode().rstrip('=')}") == ""
    assert await oauth.verify(f"{head}.{body}.") == ""
    assert await oauth.verify(f"{head}.{body}.{signature}AAAA") == ""


async def test_an_ecdsa_signature_of_nothing(issuer, oauth):
    """Zeroes for R and S got past some libraries (CVE-2022-21449)."""
    head, body, _ = issuer.sign(claims(), "ES256").split(".")
    zeroes = base64.urlsafe_b64encode(bytes(64)).decode().rstrip("=")
    assert await oauth.verify(f"{head}.{body}.{zeroes}") == ""


async def test_a_short_rsa_key_is_not_taken(oauth):
    weak = Issuer(RULES.issuer, rsa_bits=1024)
    oauth.test_keys.published = [weak.keys["RS256"].jwk]
    assert await oauth.verify(weak.sign(claims(), "RS256")) == ""


async def test_a_key_that_is_new_is_looked_for_once(issuer, oauth):
    fresh = Issuer(RULES.issuer)
    oauth.test_keys.later = [fresh.keys["ES256"].jwk]
    assert await oauth.verify(fresh.sign(claims(), "ES256")) == "alice@example.com"
    assert oauth.test_keys.asked == 1
    assert await oauth.verify(Issuer(RULES.issuer).sign(claims(), "ES256")) == ""


async def test_a_token_without_kid_is_tried_with_every_key(issuer, oauth):
    assert await oauth.verify(issuer.sign(claims(), "ES256", header={"alg": "ES256"})) == "alice@example.com"


@pytest.mark.parametrize(
    "change", [{"use": "enc"}, {"alg": "PS256"}, {"kty": "oct"}, {"crv": "P-384"}, {"x": "!!"}, {"x": None}, {"y": 7}]
)
async def test_keys_that_are_for_something_else_or_broken(issuer, oauth, change):
    oauth.test_keys.published = [{**issuer.keys["ES256"].jwk, **change}]
    assert await oauth.verify(issuer.sign(claims(), "ES256")) == ""


# --- what is no token -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "",
        "opaque-token",
        "a.b",
        "a.b.c.d",
        "..",
        "e30.e30.",
        "e30.e30.e30",
        "W10.W10.e30",
        "!!!.e30.e30",
        "eyJhbGciOiJFUzI1NiJ9.bm90IGpzb24.e30",
        "eyJhbGciOiJFUzI1NiJ9.e30=.e30",
        "é.e30.e30",
    ],
)
async def test_what_is_no_token(oauth, text):
    assert await oauth.verify(text) == ""


async def test_the_longest_token(issuer, oauth):
    short = issuer.sign(claims(more=""), "EdDSA")
    room = (MAX_TOKEN - len(short)) * 3 // 4
    fits = issuer.sign(claims(more="x" * (room - 2)), "EdDSA")
    assert len(fits) <= MAX_TOKEN
    assert await oauth.verify(fits) == "alice@example.com"
    assert await oauth.verify(issuer.sign(claims(more="x" * (room + 4)), "EdDSA")) == ""


async def test_deep_nesting_is_no_crash(issuer, oauth):
    deep = base64.urlsafe_b64encode(b'{"a":' + b"[" * 3000 + b"]" * 3000 + b"}").decode().rstrip("=")
    head, _, signature = issuer.sign(claims()).split(".")
    assert await oauth.verify(f"{head}.{deep}.{signature}") == ""


async def test_without_keys_nothing_can_be_said(issuer):
    class NoKeys:
        async def keys(self, *, newer=False):
            raise StoreUnavailable("the issuer is down")

    with pytest.raises(StoreUnavailable):
        await OAuth(RULES, NoKeys(), Clock()).verify(issuer.sign(claims()))


def test_what_a_client_is_told():
    assert json.loads(complaint("https://login.example.com/")) == {
        "status": "invalid_token",
        "openid-configuration": "https://login.example.com/.well-known/openid-configuration",
    }
