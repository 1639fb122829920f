"""isemail's and flanker's addresses: every case is decided by a class that docs/reference/addresses.md names, with the
reason; no case is decided by its text.
"""

import re
import xml.etree.ElementTree as ET
from collections import Counter
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

import pytest

from postroad.mail.address import Address, AddressError
from postroad.mail.addresses import MISSING_DOMAIN, MISSING_MAILBOX, parse_addresses
from postroad.proto.smtp.lines import Unreadable, read_line
from postroad.testing.vectors import testdata as vectors

PAGE = Path(__file__).parents[2] / "docs/reference/addresses.md"
ISEMAIL = ("tests.xml", "tests-original.xml")

# What flanker and we decide differently, by what such an address has.
FLANKER_GOOD = {
    "an underscore in a host name": re.compile(r"@[^@]*_[^@]*$"),
    "another character that no host name has": re.compile(r"@[^@]*[!#$%&'*+/=?^`{|}~][^@]*$"),
}
FLANKER_BAD = {"a label `xn--` that stands for nothing": re.compile(r"@(.*\.)?xn--[a-z0-9-]+")}
EXCEPTIONS = {
    "a quoted local part that is empty or blank": re.compile(r'" *"@'),
    "a bare CR or LF": re.compile(r"\r(?!\n)|(?<!\r)\n"),
}


def taken(text):
    """By the grammar of envelopes."""
    try:
        Address.parse(text)
    except AddressError:
        return False
    return True


def read(text):
    """The one address that a header field with this value has."""
    found = parse_addresses(text.encode())
    whole = len(found) == 1 and None not in found[0][2:] and found[0].domain != MISSING_DOMAIN
    return found[0] if whole and found[0].local_part != MISSING_MAILBOX else None


def mailbox(line):
    """Whether a header field with this value names one mailbox that an envelope can have; reading drops quotes."""
    found = read(line)
    if found is None:
        return False
    quoted = found.local_part.decode().replace("\\", "\\\\").replace('"', '\\"')
    domain = found.domain.decode()
    return taken(f"{found.local_part.decode()}@{domain}") or taken(f'"{quoted}"@{domain}')


@cache
def decided(diagnosis):
    """What the page says of a class: (envelope, header field)."""
    rows = re.findall(r"^\| (`[A-Z].*?) \| (taken|refused) \| (read|as it comes) \|", PAGE.read_text("utf-8"), re.M)
    fitting = [
        (envelope, header)
        for names, envelope, header in rows
        if any(fnmatchcase(diagnosis, name) for name in re.findall(r"`(.*?)`", names))
    ]
    assert len(fitting) == 1, f"{diagnosis} has {len(fitting)} rows"
    return fitting[0]


def isemail(file):
    """(class, address); control characters are written as U+2400 and up, since XML cannot hold them."""
    for case in ET.parse(vectors(f"address/isemail/{file}")).getroot().iter("test"):
        text = re.sub("[\u2400-\u2420]", lambda found: chr(ord(found[0]) - 0x2400), case.findtext("address") or "")
        yield case.findtext("diagnosis").removeprefix("ISEMAIL_"), text


def flanker(name):
    """The lines, without the remarks behind two spaces and more."""
    text = vectors(f"address/flanker/{name}.txt").read_text("utf-8")
    lines = (re.sub(r"\s{2,}#.*", "", line) for line in text.splitlines() if not line.startswith("#"))
    return [line for line in lines if line.strip()]


def excused(text, classes):
    """The classes of exceptions that it belongs to."""
    return [name for name, pattern in classes.items() if pattern.search(text)]


@pytest.mark.parametrize("file", ISEMAIL)
def test_isemail_in_envelopes(file):
    wrong = [(name, text) for name, text in isemail(file) if taken(text) is not (decided(name)[0] == "taken")]
    assert wrong == []


@pytest.mark.parametrize("file", ISEMAIL)
def test_isemail_in_header_fields(file):
    wrong = [(name, text) for name, text in isemail(file) if decided(name)[1] == "read" and read(text) is None]
    assert [(name, text) for name, text in wrong if not excused(text, EXCEPTIONS)] == []
    assert wrong, "the exceptions are still needed"


@pytest.mark.parametrize("file", ISEMAIL)
def test_isemail_in_a_command(file):
    """The same decisions, where brackets stand around the address and the line is read as it comes."""
    for name, text in isemail(file):
        try:
            command = read_line(b"RCPT TO:<" + text.encode() + b">\r\n")
        except Unreadable:
            assert decided(name)[0] == "refused", (name, text)
        else:
            assert decided(name)[0] == "taken", (name, text, command)


def test_flanker_mailboxes_that_are_good():
    wrong = [line for line in flanker("mailbox_valid") if not mailbox(line)]
    assert [line for line in wrong if not excused(line, FLANKER_GOOD | EXCEPTIONS)] == []
    assert Counter(name for line in wrong for name in excused(line, FLANKER_GOOD)).keys() == FLANKER_GOOD.keys()


def test_flanker_mailboxes_that_are_bad():
    wrong = [line for line in flanker("mailbox_invalid") if taken(line)]
    assert [line for line in wrong if not excused(line, FLANKER_BAD)] == []
    assert wrong, "the exception is still needed"


def test_flanker_local_parts():
    assert [line for line in flanker("abridged_localpart_valid") if not taken(f"{line}@example.com")] == []
    assert [line for line in flanker("abridged_localpart_invalid") if taken(f"{line}@example.com")] == []


def test_the_page_names_every_class_of_ours():
    page = PAGE.read_text("utf-8")
    for name in (*FLANKER_GOOD, *FLANKER_BAD, *EXCEPTIONS):
        assert f"| {name}" in page
