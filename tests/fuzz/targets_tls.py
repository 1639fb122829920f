"""What strangers publish about their TLS: policies of MTA-STS, their records, TLSA records and certificates."""

import atexit
import shutil
import warnings
from base64 import b64decode
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import mkdtemp

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.utils import CryptographyDeprecationWarning

from postroad.adapters.net.verify import described, verify
from postroad.lab.authority import spki
from postroad.mailauth.chain import UNREADABLE, NotProven, names_in, prove
from postroad.mailauth.dane import is_usable, usable
from postroad.mailauth.mtasts import MAX_AGE, MAX_MX, BadPolicy, StsMode, policy_id, read_policy
from postroad.ports.dns import TlsaRecord
from postroad.ports.net import TlsFailed
from postroad.testing.fuzzing import Target

NOW = datetime(2026, 11, 24, tzinfo=UTC)
DER = b64decode(
    b"MIIBuzCCAWKgAwIBAgIUfA1DE7lUExwupKeXiQ8X1Lft9dMwCgYIKoZIzj0EAwIwHjEcMBoGA1UEAwwTUG9zdHJvYWQgbGFib3JhdG9yeTAeFw"
    b"0yNjExMjMyMzAwMDBaFw0yNzAyMjIwMDAwMDBaMBoxGDAWBgNVBAMMD214LmV4YW1wbGUudGVzdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IA"
    b"BPjzlZ8j8KRHIbrzgrHCiPzyZOQ9waGKSHY1l9Wzp6mJNoRfAXlKCitZMGLQ/gqVWgQMKWuuz33bb87kLGxt4oGjgYEwfzAdBgNVHQ4EFgQUMr"
    b"RHovZsxfYwE7bS+qet6VYT4mAwGgYDVR0RBBMwEYIPbXguZXhhbXBsZS50ZXN0MAwGA1UdEwEB/wQCMAAwEwYDVR0lBAwwCgYIKwYBBQUHAwEw"
    b"HwYDVR0jBBgwFoAUW1jyGFoicwdaCgVTJh5YCc6VsacwCgYIKoZIzj0EAwIDRwAwRAIgTp7z3WlcvsSma5YhcnqOvnOAGiKiK5sjSoRLfvdQLb"
    b"ACID8elu0w/EDiO/qUCTFIQC06lVE1p/MlrU4qO7HITyMM"
)
ROOT = b64decode(
    b"MIIBgTCCASagAwIBAgIUf9Mwf08InrDD73EQleeQ60i+M0UwCgYIKoZIzj0EAwIwHjEcMBoGA1UEAwwTUG9zdHJvYWQgbGFib3JhdG9yeTAeFw"
    b"0yNjExMjMwMDAwMDBaFw0yNzAyMjIwMDAwMDBaMB4xHDAaBgNVBAMME1Bvc3Ryb2FkIGxhYm9yYXRvcnkwWTATBgcqhkjOPQIBBggqhkjOPQMB"
    b"BwNCAARZpQUhrSYpwzPZMydjOCZr8Hp0btGhJISMOUrwPqvNVyTFfU9EVNcY+6+dkE2ASa01Nwuo75H8S7P6qKj6WZ++o0IwQDAdBgNVHQ4EFg"
    b"QUW1jyGFoicwdaCgVTJh5YCc6VsacwDwYDVR0TAQH/BAUwAwEB/zAOBgNVHQ8BAf8EBAMCAQYwCgYIKoZIzj0EAwIDSQAwRgIhAIXNvrWMTLjv"
    b"JSDCB6hgeWl9n0LsMXXyugkeOIw5LqBzAiEAt0ep+Aa0zTRTxVAGDM0DBGxVjdvQYQpQaw+lpqvR+lM="
)
CHAIN = [x509.load_der_x509_certificate(DER), x509.load_der_x509_certificate(ROOT)]
FOLDER = Path(mkdtemp(prefix="postroad-fuzz-"))
ROOTS = FOLDER / "roots.pem"
atexit.register(shutil.rmtree, FOLDER)
ROOTS.write_bytes(CHAIN[1].public_bytes(Encoding.PEM))


def policy(data: bytes) -> None:
    """A policy that is read says what it was read from."""
    text = data.decode("utf-8", "replace")
    identity = policy_id([text])
    assert identity == "" or (identity.isalnum() and len(identity) <= 32)
    try:
        found = read_policy(text)
    except BadPolicy:
        return
    assert 0 <= found.max_age <= MAX_AGE
    assert len(found.mx) <= MAX_MX
    assert found.mx or found.mode is StsMode.NONE
    assert read_policy("\n".join(found.lines)) == found
    for pattern in found.mx:
        assert found.allows(pattern.replace("*", "x"))


def records(data: bytes) -> None:
    """Three numbers and data: what can be used is judged, and proves only what it is about."""
    if len(data) < 3:
        return
    record = TlsaRecord(data[0] % 5, data[1] % 3, data[2] % 4, data[3:])
    assert (usable([record]) == (record,)) is is_usable(record)
    if not is_usable(record):
        return
    with suppress(NotProven):
        assert prove(CHAIN, [record], ["mx.example.test"], NOW) == record


def certificate(data: bytes) -> None:
    """Whatever a server shows in place of its certificate: names, or none. The library warns of what it will refuse."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        _look_at(data)


def _look_at(data: bytes) -> None:
    try:
        shown = x509.load_der_x509_certificate(data)
    except UNREADABLE:
        return
    assert all(isinstance(name, str) for name in names_in(shown))
    assert described(shown)
    with suppress(TlsFailed):
        verify([shown], ["mx.example.test"], roots=ROOTS)
    with suppress(NotProven):
        prove([shown, CHAIN[1]], [TlsaRecord(2, 0, 0, data)], ["mx.example.test"], NOW)


TARGETS = {
    "sts-policy": Target(
        policy,
        (
            b"version: STSv1\nmode: enforce\nmx: mail.example.com\nmx: *.example.net\nmax_age: 604800\n",
            b"version: STSv1\r\nmode: none\r\nmax_age: 0\r\n",
            b"v=STSv1; id=20160831085700Z;",
        ),
        (
            b"version: STSv1",
            b"mode: ",
            b"testing",
            b"enforce",
            b"mx: ",
            b"*.",
            b"max_age: ",
            b"\r\n",
            b"v=STSv1;",
            b"id=",
        ),
    ),
    "tlsa": Target(
        records,
        (b"\x03\x01\x01" + b"x" * 32, b"\x03\0\0" + DER, b"\x02\x01\0" + spki(CHAIN[1])),
        (b"\x02\x01\x02", b"\x30\x82", b"\x03\0\x02"),
    ),
    "certificate": Target(certificate, (DER,), (b"\x30\x82", b"\x06\x03\x55\x1d\x11", b"\x82\x0f", b"\x13\0")),
}
