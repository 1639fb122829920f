"""Secrets made from passwords, and the check of one: Argon2id, and SCRAM keys for later logins (RFC 5802, RFC 7677).

All of it is slow on purpose and runs in a worker thread: `credentials` sees to that.
"""

from __future__ import annotations

import hashlib
import hmac
import stringprep
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from postroad.ports.store import Refused

if TYPE_CHECKING:
    from argon2 import PasswordHasher

MAX_PASSWORD = 1024  # characters
SCRAM_ITERATIONS = 65_536  # RFC 7677 §4 asks for 4,096 at least; a client pays this once a login
# Of octets that nobody kept: checking it takes as long as for a real account.
DUMMY_HASH = "$argon2id$v=19$m=19456,t=2,p=1$fmTJKYstjzveke9c0oMRbQ$L1A0cyXeT45vPYSy7Xozv3q9xy/uxA014pFIOAp9u/g"

_PROHIBITED = (  # RFC 4013 §2.3
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


@dataclass(frozen=True, slots=True)
class Secret:
    """What is kept of a password."""

    password_hash: str
    scram: bytes

    def __repr__(self) -> str:
        return "Secret(...)"


NO_SECRET = Secret("", b"")


@dataclass(frozen=True, slots=True)
class ScramKeys:
    """RFC 5802 §3: what a server keeps for one hash function."""

    iterations: int
    salt: bytes
    stored_key: bytes
    server_key: bytes


@lru_cache(maxsize=1)
def _argon2() -> PasswordHasher:
    from argon2 import PasswordHasher, Type

    return PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1, type=Type.ID)


def make_secret(password: str, salt: bytes) -> Secret:
    """Hash `password`. `salt` (16 unguessable octets) is for SCRAM; Argon2 brings its own. Raises Refused."""
    prepared = prepare(password)
    if not prepared:
        raise Refused("the password is empty")
    if len(password) > MAX_PASSWORD:
        raise Refused(f"a password has at most {MAX_PASSWORD} characters")
    return Secret(_argon2().hash(prepared), scram_sha256(prepared, salt, SCRAM_ITERATIONS))


def matches(password_hash: str, password: str) -> bool:
    """Whether `password` is the one behind the hash."""
    from argon2.exceptions import Argon2Error, InvalidHashError

    try:
        return _argon2().verify(password_hash, _prepare_or_raw(password))
    except (Argon2Error, InvalidHashError):
        return False


def scram_sha256(prepared: bytes, salt: bytes, iterations: int) -> bytes:
    """SCRAM-SHA-256 keys as msgpack: {"SCRAM-SHA-256": [iterations, salt, stored key, server key]}."""
    salted = hashlib.pbkdf2_hmac("sha256", prepared, salt, iterations)
    stored_key = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    return msgspec.msgpack.encode({"SCRAM-SHA-256": (iterations, salt, stored_key, server_key)})


def read_scram(scram: bytes) -> ScramKeys | None:
    """The keys for SCRAM-SHA-256, or None where there are none (an imported hash)."""
    if not scram:
        return None
    kept = msgspec.msgpack.decode(scram, type=dict[str, tuple[int, bytes, bytes, bytes]])
    return ScramKeys(*kept["SCRAM-SHA-256"]) if "SCRAM-SHA-256" in kept else None


def prepare(password: str) -> bytes:
    """SASLprep (RFC 4013), so that a password typed on another keyboard is the same one. Raises Refused."""
    if password.isascii():
        prepared = password
    else:
        mapped = "".join(" " if stringprep.in_table_c12(c) else c for c in password if not stringprep.in_table_b1(c))
        prepared = unicodedata.normalize("NFKC", mapped)
    if any(check(character) for character in prepared for check in _PROHIBITED):
        raise Refused("the password has a character that cannot be used, such as a control character")
    return prepared.encode("utf-8")


def _prepare_or_raw(password: str) -> bytes:
    try:
        return prepare(password)
    except Refused:
        return password.encode("utf-8", "surrogatepass")
