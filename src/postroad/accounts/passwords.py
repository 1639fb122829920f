"""Secrets made from passwords, and the check of one: Argon2id, and SCRAM keys for later logins (RFC 5802, RFC 7677).

All of it is slow on purpose and runs in a worker thread: `credentials` sees to that. Hashes that other servers made are
read in `imported`.
"""

from __future__ import annotations

import stringprep
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from postroad.accounts import imported
from postroad.ports.store import Refused
from postroad.proto.sasl.scram import ScramKeys, make_keys

if TYPE_CHECKING:
    from argon2 import PasswordHasher

MAX_PASSWORD = 1024  # characters
SCRAM_ITERATIONS = 65_536  # RFC 7677 §4 asks for 4,096 at least; a client pays this once a login
SCRAM_MECHANISMS = ("SCRAM-SHA-256",)  # what keys are made for, unless the settings want SCRAM-SHA-1 too
MAX_MEMORY, MAX_PASSES = 256 * 1024, 20  # of an imported Argon2 hash, in KiB
_OURS = "$argon2id$v=19$m=19456,t=2,p=1$"
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


@lru_cache(maxsize=1)
def _argon2() -> PasswordHasher:
    from argon2 import PasswordHasher, Type

    return PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1, type=Type.ID)


def make_secret(password: str, salt: bytes, mechanisms: Sequence[str] = SCRAM_MECHANISMS) -> Secret:
    """Hash `password`. `salt` (16 octets) is for SCRAM; Argon2 brings its own. Raises Refused."""
    prepared = prepare(password)
    if not prepared:
        raise Refused("the password is empty")
    if len(password) > MAX_PASSWORD:
        raise Refused(f"a password has at most {MAX_PASSWORD} characters")
    return Secret(_argon2().hash(prepared), scram_keys(prepared, salt, mechanisms))


def import_secret(password_hash: str) -> Secret:
    """A hash that another server made, as it is: it serves until the first login. Raises Refused."""
    text = _without_scheme(password_hash.strip())
    if not text.startswith("$argon2"):
        try:
            imported.read(text)
        except imported.NotAHash as error:
            raise Refused(f"this hash cannot be taken: {error}") from error
    elif not _is_argon2(text):
        raise Refused("this hash cannot be taken: it is no Argon2 hash, or one that needs too much memory")
    return Secret(text, b"")


def is_current(secret: Secret, mechanisms: Sequence[str] = SCRAM_MECHANISMS) -> bool:
    """Whether it is what would be made today; else the next login makes it anew."""
    return secret.password_hash.startswith(_OURS) and read_scram(secret.scram).keys() >= set(mechanisms)


def matches(password_hash: str, password: str) -> bool:
    """Whether `password` is the one behind the hash. A wrong one takes as long for an imported hash as for ours."""
    if password_hash.startswith("$argon2"):
        return _argon2_matches(password_hash, _prepare_or_raw(password)) or (
            not password_hash.startswith(_OURS) and _argon2_matches(password_hash, _raw(password))
        )
    try:
        right = imported.read(password_hash)(_raw(password))
    except imported.NotAHash:
        right = False
    return right or _argon2_matches(DUMMY_HASH, b"")


def _argon2_matches(password_hash: str, password: bytes) -> bool:
    from argon2.exceptions import Argon2Error, InvalidHashError

    try:
        return _argon2().verify(password_hash, password)
    except (Argon2Error, InvalidHashError):
        return False


def _is_argon2(text: str) -> bool:
    from argon2 import extract_parameters
    from argon2.exceptions import InvalidHashError

    try:
        parameters = extract_parameters(text)
    except InvalidHashError:
        return False
    return parameters.memory_cost <= MAX_MEMORY and parameters.time_cost <= MAX_PASSES


def _without_scheme(text: str) -> str:
    """Dovecot writes `{ARGON2ID}$argon2id$...`."""
    scheme, _, rest = text.partition("}")
    return rest if scheme.upper() in ("{ARGON2ID", "{ARGON2I", "{ARGON2") else text


def scram_keys(prepared: bytes, salt: bytes, mechanisms: Sequence[str] = SCRAM_MECHANISMS) -> bytes:
    """Keys as msgpack: {"SCRAM-SHA-256": [iterations, salt, stored key, server key]}."""
    made = {name: make_keys(name, prepared, salt, SCRAM_ITERATIONS) for name in mechanisms}
    return msgspec.msgpack.encode(
        {name: (keys.iterations, keys.salt, keys.stored_key, keys.server_key) for name, keys in made.items()}
    )


def read_scram(scram: bytes) -> Mapping[str, ScramKeys]:
    """The keys by mechanism; none for an imported hash."""
    if not scram:
        return {}
    kept = msgspec.msgpack.decode(scram, type=dict[str, tuple[int, bytes, bytes, bytes]])
    return {name: ScramKeys(*fields) for name, fields in kept.items()}


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
        return _raw(password)


def _raw(password: str) -> bytes:
    return password.encode("utf-8", "surrogatepass")
