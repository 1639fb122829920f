"""A message's UUID leads back to it, and no other UUID does."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroad.ports.ids import MessageId
from postroad.ports.uuids import NIL_UUID, parse_uuid, uuid_text

IDS = st.integers(0, 2**63 - 1).map(MessageId)


@given(IDS)
def test_there_and_back(message):
    text = uuid_text(message)
    found = uuid.UUID(text)
    assert str(found) == text
    assert found.variant == uuid.RFC_4122
    assert found.version == 8
    assert parse_uuid(text) == message


@given(IDS, IDS)
def test_uuids_sort_as_ids_do(one, other):
    assert (one < other) == (uuid_text(one) < uuid_text(other))


@given(st.uuids())
def test_foreign_uuids_are_known_as_such(foreign):
    found = parse_uuid(str(foreign))
    assert found is None or uuid_text(found) == str(foreign)


@given(IDS, st.integers(0, 127))
def test_a_wrong_bit_is_noticed(message, bit):
    number = uuid.UUID(uuid_text(message)).int ^ 1 << bit
    assert parse_uuid(str(uuid.UUID(int=number))) is None


@pytest.mark.parametrize("spell", [str.upper, lambda text: text.replace("-", ""), lambda text: f" {{{text}}} "])
def test_other_spellings(spell):
    message = MessageId(123456789012345678)
    assert parse_uuid(spell(uuid_text(message))) == message


@pytest.mark.parametrize("text", ["", "no", NIL_UUID, "01b69b4b-a630-f34e", "g" * 32])
def test_what_is_none(text):
    assert parse_uuid(text) is None
