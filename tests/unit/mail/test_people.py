"""Address lists that programs give: who is meant, or who cannot be meant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroad.mail.people import PeopleError, read_people, spell


@pytest.mark.parametrize(
    ("text", "people"),
    [
        ("", []),
        (" , ", []),
        ("bob@b.test", [("", "bob@b.test")]),
        ("Bob Bee <bob@B.test>,carol@c.test", [("Bob Bee", "bob@b.test"), ("", "carol@c.test")]),
        ('"Bee, Bob" <bob@b.test>', [("Bee, Bob", "bob@b.test")]),
        ("Team: bob@b.test, carol@c.test;", [("", "bob@b.test"), ("", "carol@c.test")]),
        ('"john doe"@b.test', [("", '"john doe"@b.test')]),
        ("x@bücher.example", [("", "x@xn--bcher-kva.example")]),
        ("Müller <müller@b.test>", [("Müller", "müller@b.test")]),
        ("undisclosed-recipients:;", []),
    ],
)
def test_who_is_meant(text, people):
    assert [(person.name, str(person.address)) for person in read_people(text)] == people


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("bob", "bob"),
        ("Bob <>", "Bob"),
        ("bob@", "bob"),
        ("@b.test", "b.test"),
        ("user@+", "user@+"),
        ("a@b.test, carol@-", "carol@-"),
        ("a@b.test\r\nBcc: c@d.test", "a@b.test  Bcc: c@d.test"),
        ("x" * 65 + "@b.test", "x" * 65 + "@b.test"),
    ],
)
def test_who_cannot_be_meant(text, given):
    with pytest.raises(PeopleError) as caught:
        read_people(text)
    assert caught.value.given == given
    assert str(caught.value)


@given(st.text(max_size=80))
def test_any_text_is_read_or_refused(text):
    try:
        people = read_people(text)
    except PeopleError:
        return
    for person in people:
        line = b" ".join(spell(person))
        assert line.isascii() or not person.address.is_ascii  # RFC 6532: only the address itself may be beyond ASCII
        assert b"\r" not in line
        assert b"\n" not in line
        assert [found.address for found in read_people(line.decode())] == [person.address]
