"""Tokens of an OpenID issuer: signed, for us, in time, and for whom (RFC 7519, RFC 7515, OpenID Connect Core §3.1.3.7).

The header of a token chooses nothing but which of the issuer's public keys is tried: an algorithm has to be on our own
list and fit the kind of that key, so that neither `none` nor a public key taken for a shared secret gets anybody in
(RFC 8725 §3.1).
"""

from __future__ import annotations

from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from postroad.observe import log
from postroad.ports.clock import Clock
from postroad.ports.openid import IssuerKeys, Jwk

MAX_TOKEN = 8192  # characters
LEEWAY = 60.0  # seconds that clocks may differ
MIN_RSA_BITS = 2048  # RFC 7518 §3.3

_log = log.get("logins")


class BadToken(ValueError):  # noqa: N818 - it is the token that is bad
    """The token is not good; says why, for the operator."""


@dataclass(frozen=True, slots=True)
class TokenRules:
    """What the settings say of tokens."""

    issuer: str
    audiences: tuple[str, ...]
    claim: str = "email"  # the one that holds the account's address


@dataclass(frozen=True, slots=True)
class Token:
    """A token taken apart; nothing in it is proved yet."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    signed: bytes
    signature: bytes


class OAuth:
    """One for a process."""

    def __init__(self, rules: TokenRules, keys: IssuerKeys, clock: Clock) -> None:
        self._rules = rules
        self._keys = keys
        self._clock = clock
        self.complaint = complaint(rules.issuer)

    async def verify(self, token: str) -> str:
        """The address that a good token is for, or an empty text. Raises StoreUnavailable."""
        try:
            return await self._verify(token)
        except BadToken as bad:
            _log.info("token refused", cause=str(bad))
            return ""

    async def _verify(self, text: str) -> str:
        token = read_token(text)
        algorithm = algorithm_of(token)
        keys = fitting(await self._keys.keys(), token, algorithm)
        if not keys:
            keys = fitting(await self._keys.keys(newer=True), token, algorithm)
        if not any(algorithm.verifies(key, token) for key in keys):
            raise BadToken("no key of the issuer has made the signature" if keys else "the issuer has no such key")
        return address_in(token.claims, self._rules, self._clock.now().timestamp())


def complaint(issuer: str) -> bytes:
    """What a client is told of a token that is not good (RFC 7628 §3.2.2)."""
    where = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
    return msgspec.json.encode({"status": "invalid_token", "openid-configuration": where})


def read_token(text: str) -> Token:
    """A JWT in its compact form (RFC 7515 §7.1). Raises BadToken."""
    parts = text.split(".")
    if len(text) > MAX_TOKEN or len(parts) != 3 or not text.isascii():
        raise BadToken("not a signed JWT")
    header, claims = (_object(_octets(part)) for part in parts[:2])
    return Token(header, claims, text.rpartition(".")[0].encode(), _octets(parts[2]))


def _octets(text: str) -> bytes:
    """Base64url without padding (RFC 7515 §2)."""
    try:
        plain = text.replace("-", "+").replace("_", "/")
        return a2b_base64(plain + "=" * (-len(text) % 4), strict_mode=True)
    except (Base64Error, ValueError) as error:
        raise BadToken("a part is not base64url") from error


def _object(octets: bytes) -> Mapping[str, Any]:
    try:
        return msgspec.json.decode(octets, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadToken("a part is not a JSON object") from error


# --- signatures -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Algorithm:
    """A row of the list: the only kind of key that goes with it (RFC 8725 §3.1), and how it verifies."""

    kind: str
    curve: str
    check: Callable[[Jwk, bytes, bytes], None]

    def verifies(self, key: Jwk, token: Token) -> bool:
        from cryptography.exceptions import InvalidSignature

        try:
            self.check(key, token.signature, token.signed)
        except (InvalidSignature, ValueError):  # BadToken is one
            return False
        return True


def _rs256(key: Jwk, signature: bytes, signed: bytes) -> None:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    public = rsa.RSAPublicNumbers(_number(key, "e"), _number(key, "n")).public_key()
    if public.key_size < MIN_RSA_BITS:
        raise BadToken("the issuer's key is too short")
    public.verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())


def _es256(key: Jwk, signature: bytes, signed: bytes) -> None:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    if len(signature) != 64:  # RFC 7518 §3.4: R and S, 32 octets each
        raise BadToken("the signature has another length")
    numbers = ec.EllipticCurvePublicNumbers(_number(key, "x"), _number(key, "y"), ec.SECP256R1())
    public = numbers.public_key()
    both = (int.from_bytes(signature[:32]), int.from_bytes(signature[32:]))
    public.verify(encode_dss_signature(*both), signed, ec.ECDSA(hashes.SHA256()))


def _eddsa(key: Jwk, signature: bytes, signed: bytes) -> None:
    from cryptography.hazmat.primitives.asymmetric import ed25519

    public = ed25519.Ed25519PublicKey.from_public_bytes(_member(key, "x"))
    public.verify(signature, signed)


ALGORITHMS: Final = {  # RFC 7518 §3.1, RFC 8037 §3.1
    "RS256": Algorithm("RSA", "", _rs256),
    "ES256": Algorithm("EC", "P-256", _es256),
    "EdDSA": Algorithm("OKP", "Ed25519", _eddsa),
}


def _member(key: Jwk, name: str) -> bytes:
    value = key.get(name)
    if not isinstance(value, str):
        raise BadToken(f"the issuer's key has no {name!r}")
    return _octets(value)


def _number(key: Jwk, name: str) -> int:
    return int.from_bytes(_member(key, name))


def algorithm_of(token: Token) -> Algorithm:
    """Raises BadToken for one that is not on our list."""
    name = token.header.get("alg")
    algorithm = ALGORITHMS.get(name) if isinstance(name, str) else None
    if algorithm is None:
        raise BadToken(f"the algorithm {name!r} is not taken")
    if "crit" in token.header:  # RFC 7515 §4.1.11: extensions that have to be understood, and we have none
        raise BadToken("the header asks for extensions")
    return algorithm


def fitting(keys: Sequence[Jwk], token: Token, algorithm: Algorithm) -> list[Jwk]:
    """The issuer's keys of the kind that the algorithm needs, and of the name that the token gives."""
    wanted = token.header.get("kid")
    return [
        key
        for key in keys
        if key.get("kty") == algorithm.kind
        and key.get("crv", "") == algorithm.curve
        and key.get("use", "sig") == "sig"
        and key.get("alg", token.header["alg"]) == token.header["alg"]
        and (wanted is None or key.get("kid") == wanted)
    ]


# --- claims -----------------------------------------------------------------------------------------------------------


def address_in(claims: Mapping[str, Any], rules: TokenRules, now: float) -> str:
    """Whom the token is for. Raises BadToken unless it is from the issuer, for us, and good now."""
    if claims.get("iss") != rules.issuer:
        raise BadToken(f"it is from another issuer: {claims.get('iss')!r}")
    audience = claims.get("aud")
    if not _meets([audience] if isinstance(audience, str) else audience, rules.audiences):
        raise BadToken(f"it is for another audience: {audience!r}")
    expires, begins = _time(claims, "exp"), _time(claims, "nbf")
    if expires is None or expires + LEEWAY <= now:
        raise BadToken("its time is over, or it has none")
    if begins is not None and begins - LEEWAY > now:
        raise BadToken("its time has not come")
    address = claims.get(rules.claim)
    if not isinstance(address, str) or not address:
        raise BadToken(f"it has no claim {rules.claim!r}")
    if rules.claim == "email" and claims.get("email_verified", True) not in (True, "true"):
        raise BadToken("the issuer has not verified that address")
    return address


def _meets(audience: object, ours: Sequence[str]) -> bool:
    """RFC 7519 §4.1.3: several audiences are a list."""
    return isinstance(audience, list) and any(isinstance(one, str) and one in ours for one in audience)


def _time(claims: Mapping[str, Any], name: str) -> float | None:
    """RFC 7519 §2: seconds since 1970, perhaps with a fraction."""
    value = claims.get(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise BadToken(f"{name} is not a number")
    return value
