import base64
import hashlib
import hmac

import pytest

from postroad.accounts import passwords
from postroad.ports.store import Refused

SALT = b"0123456789abcdef"


def test_a_secret_matches_its_password_alone():
    secret = passwords.make_secret("correct horse", SALT)
    assert secret.password_hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert passwords.matches(secret.password_hash, "correct horse")
    assert not passwords.matches(secret.password_hash, "correct horses")
    assert not passwords.matches("not a hash", "correct horse")
    assert "argon2" not in repr(secret)


def test_the_dummy_hash_costs_what_a_real_one_does():
    assert passwords.DUMMY_HASH.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert not passwords.matches(passwords.DUMMY_HASH, "")


def test_scram_keys_are_those_of_rfc_7677():
    """RFC 7677 §3: user `user`, password `pencil`."""
    salt = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    keys = passwords.make_keys("SCRAM-SHA-256", b"pencil", salt, 4096)
    auth = (
        b"n=user,r=rOprNGfwEbeRWgbNEkqO,"
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,"
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    )
    signature = hmac.digest(keys.server_key, auth, "sha256")
    assert base64.b64encode(signature) == b"6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
    proof = base64.b64decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
    client_signature = hmac.digest(keys.stored_key, auth, "sha256")
    client_key = bytes(a ^ b for a, b in zip(proof, client_signature, strict=True))
    assert hashlib.sha256(client_key).digest() == keys.stored_key


def test_keys_are_made_for_the_mechanisms_that_are_wanted():
    secret = passwords.make_secret("pencil", SALT, ("SCRAM-SHA-256", "SCRAM-SHA-1"))
    keys = passwords.read_scram(secret.scram)
    assert {name: len(one.stored_key) for name, one in keys.items()} == {"SCRAM-SHA-256": 32, "SCRAM-SHA-1": 20}
    assert passwords.is_current(secret, ("SCRAM-SHA-1",))
    usual = passwords.make_secret("pencil", SALT)
    assert passwords.is_current(usual)
    assert not passwords.is_current(usual, ("SCRAM-SHA-256", "SCRAM-SHA-1"))
    assert passwords.read_scram(b"") == {}


@pytest.mark.parametrize(
    ("typed", "prepared"),
    [("I\u00adX", b"IX"), ("user", b"user"), ("\u00aa", b"a"), ("\u2168", b"IX"), ("a\u00a0b", b"a b")],
)
def test_passwords_are_prepared_as_rfc_4013_says(typed, prepared):
    assert passwords.prepare(typed) == prepared


def test_the_same_letters_typed_otherwise_match():
    secret = passwords.make_secret("gr\u00fc\u00df", SALT)
    assert passwords.matches(secret.password_hash, "gru\u0308\u00df")


@pytest.mark.parametrize("password", ["", "\u00ad", "a\x07b", "x" * 1025])
def test_what_cannot_be_a_password_is_refused(password):
    with pytest.raises(Refused):
        passwords.make_secret(password, SALT)
