"""Which TLSA records can be used, which fit, and which chains they prove."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256, sha512

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from postroad.adapters.net.verify import described
from postroad.lab.authority import LabAuthority, spki
from postroad.mailauth.chain import EXPIRED, MISMATCH, NO_MATCH, NOT_TRUSTED, NotProven, names_in, prove
from postroad.mailauth.dane import base_name, covers, is_usable, matches_name, usable
from postroad.ports.dns import TlsaRecord

NOW = datetime.now(UTC)
AUTHORITY = LabAuthority(now=NOW)
OTHER = LabAuthority("another", now=NOW)
HOST = "mx.example.test"
LEAF = AUTHORITY.issue(HOST, with_root=True)
DER = LEAF.certificate.public_bytes(Encoding.DER)
ROOT_DER = AUTHORITY.certificate.public_bytes(Encoding.DER)
CHAIN = [LEAF.certificate, AUTHORITY.certificate]


def test_where_records_are():
    assert base_name("mx.example.test", 25) == "_25._tcp.mx.example.test"


@pytest.mark.parametrize(
    ("record", "good"),
    [
        (TlsaRecord(3, 1, 1, b"x" * 32), True),
        (TlsaRecord(2, 0, 2, b"x" * 64), True),
        (TlsaRecord(3, 0, 0, DER), True),
        (TlsaRecord(0, 1, 1, b"x" * 32), False),  # the usages of public authorities
        (TlsaRecord(1, 1, 1, b"x" * 32), False),
        (TlsaRecord(4, 1, 1, b"x" * 32), False),
        (TlsaRecord(3, 2, 1, b"x" * 32), False),
        (TlsaRecord(3, 1, 3, b"x" * 32), False),
        (TlsaRecord(3, 1, 1, b"x" * 31), False),
        (TlsaRecord(3, 1, 2, b"x" * 32), False),
        (TlsaRecord(3, 0, 0, b""), False),
        (TlsaRecord(3, 0, 0, DER[:-1]), False),
        (TlsaRecord(3, 0, 0, DER + b"x"), False),
    ],
    ids=range(13),
)
def test_what_can_be_used(record, good):
    assert is_usable(record) is good


def test_only_the_strongest_digest_of_a_kind_counts():
    weak, strong, full = TlsaRecord(3, 1, 1, b"x" * 32), TlsaRecord(3, 1, 2, b"x" * 64), TlsaRecord(3, 1, 0, DER)
    other = TlsaRecord(2, 1, 1, b"x" * 32)
    assert usable([weak, strong, full, other, weak]) == (strong, full, other)


def numbers(record):
    return f"{record.usage}{record.selector}{record.matching}"


def digests(selector: int, data: bytes, usage: int):
    yield TlsaRecord(usage, selector, 0, data)
    yield TlsaRecord(usage, selector, 1, sha256(data).digest())
    yield TlsaRecord(usage, selector, 2, sha512(data).digest())


@pytest.mark.parametrize("record", [*digests(0, DER, 3), *digests(1, spki(LEAF.certificate), 3)], ids=numbers)
def test_the_servers_own_certificate(record):
    """Neither its name nor its dates count."""
    assert prove(CHAIN, [record], ["other.test"], NOW + timedelta(days=4000)) == record


@pytest.mark.parametrize("record", [*digests(0, ROOT_DER, 2), *digests(1, spki(AUTHORITY.certificate), 2)], ids=numbers)
def test_an_authority_of_the_domains_own(record):
    assert prove(CHAIN, [record], [HOST], NOW) == record


@pytest.mark.parametrize(
    "record", [TlsaRecord(2, 0, 0, ROOT_DER), TlsaRecord(2, 1, 0, spki(AUTHORITY.certificate))], ids=numbers
)
def test_an_authority_that_only_dns_holds(record):
    assert prove([LEAF.certificate], [record], [HOST], NOW) == record


@pytest.mark.parametrize(
    ("chain", "names", "later", "kind"),
    [
        ([], [HOST], 0, NO_MATCH),
        ([OTHER.issue(HOST).certificate, OTHER.certificate], [HOST], 0, NO_MATCH),
        ([OTHER.issue(HOST).certificate, AUTHORITY.certificate], [HOST], 0, NO_MATCH),  # sent along, but not its issuer
        ([LEAF.certificate], [HOST], 0, NO_MATCH),  # the authority was not sent
        (CHAIN, ["other.test"], 0, MISMATCH),
        (CHAIN, [HOST], 100, EXPIRED),
    ],
    ids=["nothing", "another", "smuggled", "missing", "name", "date"],
)
def test_what_proves_nothing(chain, names, later, kind):
    record = next(iter(digests(1, spki(AUTHORITY.certificate), 2)))
    digest = TlsaRecord(2, 1, 1, sha256(record.data).digest())
    with pytest.raises(NotProven) as failure:
        prove(chain, [digest], names, NOW + timedelta(days=later))
    assert failure.value.kind == kind


def test_who_is_no_authority_issues_nothing():
    """A server's own certificate, signed for by DNS as an authority, cannot vouch for another."""
    record = TlsaRecord(2, 1, 1, sha256(spki(LEAF.certificate)).digest())
    with pytest.raises(NotProven) as failure:
        prove([LEAF.certificate, LEAF.certificate], [record], [HOST], NOW)
    assert failure.value.kind in (NO_MATCH, NOT_TRUSTED)


def test_any_one_record_is_enough():
    wrong = TlsaRecord(3, 1, 1, b"x" * 32)
    right = TlsaRecord(2, 0, 1, sha256(ROOT_DER).digest())
    assert prove(CHAIN, [wrong, right], ["other.test", HOST], NOW) == right


@pytest.mark.parametrize(
    ("presented", "name", "covered"),
    [
        ("mx.example.test", "MX.example.test.", True),
        ("*.example.test", "mx.example.test", True),
        ("*.example.test", "a.mx.example.test", False),
        ("*.example.test", "example.test", False),
        ("*.test", "example.test", False),
        ("m*.example.test", "mx.example.test", False),
    ],
)
def test_names(presented, name, covered):
    assert matches_name(presented, name) is covered
    assert covers([presented], [name]) == (name if covered else "")


def test_names_of_a_certificate():
    assert names_in(LEAF.certificate) == [HOST]
    assert names_in(AUTHORITY.certificate) == ["Postroad laboratory"]


def test_a_certificate_that_breaks_its_own_rules_is_one_all_the_same():
    """With an extension twice the library reads none of them; the server's own record is about its octets."""
    odd = x509.load_der_x509_certificate(DER.replace(b"\x55\x1d\x13", b"\x55\x1d\x11", 1))
    assert names_in(odd) == [HOST], "by its common name"
    assert HOST in described(odd)
    record = TlsaRecord(3, 1, 1, sha256(spki(odd)).digest())
    assert prove([odd], [record], [HOST], NOW) == record
    with pytest.raises(NotProven):
        prove([odd, AUTHORITY.certificate], [TlsaRecord(2, 0, 0, ROOT_DER)], [HOST], NOW)
