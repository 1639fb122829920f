"""isemail's and flanker's addresses: every case is decided, and where we differ a row says why."""

import xml.etree.ElementTree as ET

import pytest

from postroad.mail.address import Address, AddressError
from postroad.mail.addresses import MISSING_DOMAIN, parse_addresses
from postroad.testing.vectors import testdata as vectors

# Grammars of isemail and whether an SMTP server takes them: RFC 5321 is our grammar, RFC 5322 is that of header fields.
TAKEN = {
    "ISEMAIL_VALID_CATEGORY": True,
    "ISEMAIL_DNSWARN": True,  # the syntax is good; DNS is not asked here
    "ISEMAIL_RFC5321": True,  # quoted strings, address literals, single labels: unusual, but in the grammar
    "ISEMAIL_CFWS": False,  # comments and folding white space: not in RFC 5321 §4.1.2
    "ISEMAIL_DEPREC": False,  # obsolete forms of RFC 5322 §4.4
    "ISEMAIL_RFC5322": False,  # only good in a header field
    "ISEMAIL_ERR": False,
}

# (file, id): (taken, why)
DIFFERENT = {
    ("tests.xml", "71"): (True, "`::` for a single group: RFC 5952 §4.2.2 would write it out, every parser reads it"),
}

FLANKER_REFUSED = {
    "bob@under_scope": "no host name has an underscore (RFC 5321 §4.1.2)",
    'Bill Gates <"billy"@retired.Micr!osoft99.com>': "no host name has an exclamation mark",
}

FLANKER_TAKEN = {"test@xn--example.com": "not a true A-label, but a host name (RFC 5321 §4.1.2); DNS will know"}


@pytest.mark.parametrize("file", ["tests.xml", "tests-original.xml"])
def test_isemail(file):
    path = vectors(f"address/isemail/{file}")
    wrong = []
    for case in ET.parse(path).getroot().iter("test"):
        text = _controls(case.findtext("address") or "")
        expected = DIFFERENT.get((file, case.get("id")), (TAKEN[case.findtext("category")], ""))[0]
        if _taken(text) is not expected:
            wrong.append((case.get("id"), text, case.findtext("diagnosis")))
    assert wrong == []


def test_flanker_mailboxes_that_are_good():
    wrong = [line for line in _lines("mailbox_valid") if not _readable(line)]
    assert wrong == list(FLANKER_REFUSED)


def test_flanker_mailboxes_that_are_bad():
    assert [line for line in _lines("mailbox_invalid") if _taken(line)] == list(FLANKER_TAKEN)


def test_flanker_local_parts():
    assert [line for line in _lines("abridged_localpart_valid") if not _taken(f"{line}@example.com")] == []
    assert [line for line in _lines("abridged_localpart_invalid") if _taken(f"{line}@example.com")] == []


def _taken(text):
    try:
        Address.parse(text)
    except AddressError:
        return False
    return True


def _readable(line):
    """One mailbox with an address that SMTP takes; the header's grammar has dropped quotes that it may need again."""
    found = parse_addresses(line.encode())
    if len(found) != 1 or found[0].domain in (None, MISSING_DOMAIN):
        return False
    local_part, domain = found[0].local_part.decode(), found[0].domain.decode()
    quoted = local_part.replace("\\", "\\\\").replace('"', '\\"')
    return _taken(f"{local_part}@{domain}") or _taken(f'"{quoted}"@{domain}')


def _controls(text):
    """isemail writes control characters as U+2400 and up, since XML cannot hold them."""
    return "".join(
        chr(ord(character) - 0x2400) if 0x2400 <= ord(character) <= 0x2420 else character for character in text
    )


def _lines(name):
    text = vectors(f"address/flanker/{name}.txt").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
