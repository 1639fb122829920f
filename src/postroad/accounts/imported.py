"""Hashes of passwords that other servers made: read at import, checked until the first login makes ours in their place.

Taken are those that Python's own library can check: salted and plain SHA, SHA-crypt, PBKDF2 in the spellings of
Dovecot, OpenLDAP, passlib and Django. Argon2 in other strengths is left to `passwords`.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

MAX_HASH = 1024  # characters
MAX_ROUNDS = 2_000_000  # of PBKDF2 and SHA-crypt: about two seconds of a worker thread
_ALPHABET: Final = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

Check = Callable[[bytes], bool]


class NotAHash(ValueError):  # noqa: N818 - it is the text that is none
    """The text is no hash that can be checked here; says why."""


def read(text: str) -> Check:
    """What tells whether a password is the one behind the hash. Raises NotAHash."""
    if len(text) > MAX_HASH or not text.isascii():
        raise NotAHash("it is too long, or not ASCII")
    for form in _FORMS:
        if found := form.pattern.fullmatch(text):
            try:
                return form.read(found)
            except (Base64Error, ValueError) as error:
                raise NotAHash(str(error)) from error
    raise NotAHash(_why_not(text))


def _why_not(text: str) -> str:
    for pattern, name in _KNOWN_AND_NOT_TAKEN:
        if re.match(pattern, text, re.IGNORECASE):
            return f"{name} hashes cannot be checked here; set a new password for this account"
    return "no known kind of hash: those of {SSHA}, {SHA512}, $6$, $5$, PBKDF2 and Argon2 are taken"


_KNOWN_AND_NOT_TAKEN: Final = (
    (r"(\{(blf-)?crypt\})?\$2[abxy]?\$|\{blf-crypt\}|\{bcrypt\}", "bcrypt"),
    (r"(\{crypt\})?\$(y|gy|7)\$", "yescrypt"),
    (r"(\{(md5-)?crypt\})?\$1\$|\{(smd5|md5|plain-md5)\}", "MD5"),
)


def _sha(found: re.Match[str]) -> Check:
    """`{SSHA512}` and its kin: the digest, then the salt, in base64 (RFC 2307)."""
    function = {"": "sha1", "256": "sha256", "512": "sha512"}[found[2]]
    octets = a2b_base64(found[3])
    size = hashlib.new(function).digest_size
    digest, salt = octets[:size], octets[size:]
    if len(digest) != size or bool(salt) != bool(found[1]):
        raise NotAHash("the digest has another length than its kind")
    return lambda password: hmac.compare_digest(hashlib.new(function, password + salt).digest(), digest)


def _pbkdf2(function: str, rounds: int, salt: bytes, key: bytes) -> Check:
    if not 1 <= rounds <= MAX_ROUNDS or not key:
        raise NotAHash(f"PBKDF2 with {rounds} rounds is not taken; at most {MAX_ROUNDS}")
    return lambda password: hmac.compare_digest(
        hashlib.pbkdf2_hmac(function, password, salt, rounds, dklen=len(key)), key
    )


def _pbkdf2_of_passlib(found: re.Match[str]) -> Check:
    """`$pbkdf2-sha256$ROUNDS$SALT$KEY` and `{PBKDF2-SHA256}ROUNDS$SALT$KEY`."""
    function = (found[1] or "sha1").lower().replace("-", "").removeprefix("pbkdf2") or "sha1"
    return _pbkdf2(function, int(found[2]), _adapted(found[3]), _adapted(found[4]))


def _pbkdf2_of_django(found: re.Match[str]) -> Check:
    return _pbkdf2(found[1], int(found[2]), found[3].encode(), a2b_base64(found[4]))


def _pbkdf2_of_dovecot(found: re.Match[str]) -> Check:
    return _pbkdf2("sha1", int(found[2]), found[1].encode(), bytes.fromhex(found[3]))


def _adapted(text: str) -> bytes:
    """Base64 with `.` for `+` and without padding."""
    return a2b_base64(text.replace(".", "+") + "=" * (-len(text) % 4))


def _sha_crypt(found: re.Match[str]) -> Check:
    function = {"5": "sha256", "6": "sha512"}[found[1]]
    rounds = max(1000, int(found[2] or 5000))
    if rounds > MAX_ROUNDS:
        raise NotAHash(f"SHA-crypt with {rounds} rounds is not taken; at most {MAX_ROUNDS}")
    salt, digest = found[3].encode(), found[4].encode()
    return lambda password: hmac.compare_digest(sha_crypt(function, password, salt, rounds).encode(), digest)


def sha_crypt(function: str, password: bytes, salt: bytes, rounds: int) -> str:
    """SHA-crypt as U. Drepper defined it in 2007 (`$5$` and `$6$`): the digest in its own base64."""
    make = getattr(hashlib, function)
    second = make(password + salt + password).digest()
    first = make(password + salt + _repeated(second, len(password)))
    length = len(password)
    while length:
        first.update(second if length & 1 else password)
        length >>= 1
    digest = first.digest()
    p = _repeated(make(password * len(password)).digest(), len(password))
    s = _repeated(make(salt * (16 + digest[0])).digest(), len(salt))
    around = [_around(number, p, s) for number in range(42)]  # what is put around the digest repeats after 2 * 3 * 7
    for number in range(rounds):
        before, behind = around[number % 42]
        digest = make(before + digest + behind).digest()
    return _encoded(digest)


def _around(number: int, p: bytes, s: bytes) -> tuple[bytes, bytes]:
    between = (s if number % 3 else b"") + (p if number % 7 else b"")
    return (p + between, b"") if number & 1 else (b"", between + p)


def _repeated(octets: bytes, size: int) -> bytes:
    return (octets * (size // len(octets) + 1))[:size]


def _encoded(digest: bytes) -> str:
    """Three octets from three thirds of the digest at a time, in an order that rotates; what is left over last."""
    third = len(digest) // 3
    group = (0, third, 2 * third)
    written = []
    for _ in range(third):
        written.append(_four([digest[at] for at in group]))
        a, b, c = (at + 1 for at in group)
        group = (b, c, a) if len(digest) == 64 else (c, a, b)
    left = digest[3 * third :]
    return "".join(written) + _four([0] * (3 - len(left)) + list(left[::-1]))[: len(left) + 1]


def _four(octets: list[int]) -> str:
    value = int.from_bytes(bytes(octets), "big")
    return "".join(_ALPHABET[value >> shift & 63] for shift in (0, 6, 12, 18))


@dataclass(frozen=True, slots=True)
class _Form:
    pattern: re.Pattern[str]
    read: Callable[[re.Match[str]], Check]


def _form(pattern: str, read: Callable[[re.Match[str]], Check]) -> _Form:
    return _Form(re.compile(pattern, re.IGNORECASE), read)


_FORMS: Final = (
    _form(r"\{(S?)SHA(|256|512)(?:\.b64)?\}([A-Za-z0-9+/]+=*)", _sha),
    _Form(
        re.compile(
            r"(?:\{(?:CRYPT|SHA512-CRYPT|SHA256-CRYPT)\})?\$([56])\$(?:rounds=(\d{1,9})\$)?([^$]{0,16})\$([./0-9A-Za-z]{43,86})"
        ),
        _sha_crypt,
    ),
    _form(r"\$(pbkdf2(?:-sha1|-sha256|-sha512)?)\$(\d{1,9})\$([A-Za-z0-9+./]*)\$([A-Za-z0-9+./]+)", _pbkdf2_of_passlib),
    _form(r"\{(PBKDF2(?:-SHA1|-SHA256|-SHA512)?)\}(\d{1,9})\$([A-Za-z0-9+./]*)\$([A-Za-z0-9+./]+)", _pbkdf2_of_passlib),
    _form(r"pbkdf2_(sha1|sha256|sha512)\$(\d{1,9})\$([^$]+)\$([A-Za-z0-9+/]+=*)", _pbkdf2_of_django),
    _form(r"\{PBKDF2\}\$1\$([^$]*)\$(\d{1,9})\$([0-9a-f]{40})", _pbkdf2_of_dovecot),
)
