import pytest

from postroad.proto.imap.sequence import MAX_RANGES, SequenceError, SequenceSet, compact, merge


def test_parse_and_resolve():
    numbers = SequenceSet.parse(b"2,4:7,9,12:*")
    assert numbers.resolve(15) == [(2, 2), (4, 7), (9, 9), (12, 15)]
    assert numbers.highest == 12
    assert bytes(numbers) == b"2,4:7,9,12:*"


def test_star_and_order_do_not_matter():
    assert SequenceSet.parse(b"*:4").resolve(9) == SequenceSet.parse(b"4:*").resolve(9) == [(4, 9)]
    assert SequenceSet.parse(b"*").resolve(3) == [(3, 3)]
    assert SequenceSet.parse(b"10:*").resolve(3) == [(3, 10)]  # RFC 3501 §6.4.8: 10:* holds the last one always
    assert SequenceSet.parse(b"*").highest == 0


def test_a_huge_range_is_cheap():
    assert SequenceSet.parse(b"1:4294967295").resolve(7) == [(1, 4294967295)]


@pytest.mark.parametrize(
    "text", [b"", b"0", b"1,", b",1", b"1:", b":1", b"1:2:3", b"4294967296", b"1-2", b"**", b"99999999999"]
)
def test_refused(text):
    with pytest.raises(SequenceError):
        SequenceSet.parse(text)


def test_number_of_ranges_is_limited():
    assert SequenceSet.parse(b",".join([b"1"] * MAX_RANGES))
    with pytest.raises(SequenceError):
        SequenceSet.parse(b",".join([b"1"] * (MAX_RANGES + 1)))


def test_compact_keeps_the_order():
    assert compact([1, 2, 3, 7, 5, 6]) == b"1:3,7,5:6"
    assert compact([]) == b""


def test_merge():
    assert merge([(5, 6), (1, 2), (3, 3), (6, 9)]) == [(1, 3), (5, 9)]
