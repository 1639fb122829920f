"""Return addresses of streams and of forwarded messages: made, read, and forged in vain."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroad.mail.address import MAX_LOCAL_PART, Address
from postroad.mail.returnaddress import (
    SEVERAL,
    StreamTag,
    domain_tag,
    forward_address,
    looks_like_ours,
    read_forward_address,
    read_stream_address,
    stream_address,
)

KEY = b"k" * 32
STREAMS = st.from_regex(r"[a-z][a-z0-9_-]{0,29}", fullmatch=True)


@given(st.integers(1, 2**40 - 1), STREAMS, st.integers(0, 32767), st.sampled_from(("a.test", "xn--bcher-kva.example")))
def test_one_of_a_stream_says_what_it_is(server, stream, day, domain):
    made = stream_address(KEY, server, stream, day, domain)
    assert len(made) <= MAX_LOCAL_PART
    assert str(Address.parse(f"{made}@b.test")) == f"{made}@b.test"
    assert looks_like_ours(made)
    tag = read_stream_address(KEY, made)
    assert tag == StreamTag(server, stream, day, domain_tag(KEY, domain))
    assert read_stream_address(KEY, made.upper()) == tag
    assert tag.is_for(KEY, domain.upper())
    assert not tag.is_for(KEY, "other.test")


def test_one_for_several_domains_is_for_each():
    tag = read_stream_address(KEY, stream_address(KEY, 1, "outbound", 20_000, SEVERAL))
    assert tag is not None
    assert tag.is_for(KEY, "a.test")
    assert tag.is_for(KEY, "b.test")


def test_every_part_is_proven():
    made = stream_address(KEY, 7, "outbound", 20_000, "a.test")
    _, server, day, domain, mac, stream = made.split("-", 5)
    for forged in (
        f"b-8-{day}-{domain}-{mac}-{stream}",
        f"b-{server}-{day[:-1]}z-{domain}-{mac}-{stream}",
        f"b-{server}-{day}-{domain_tag(KEY, 'b.test')}-{mac}-{stream}",
        f"b-{server}-{day}-{domain}-{'0' * 12}-{stream}",
        f"b-{server}-{day}-{domain}-{mac}-broadcast",
    ):
        assert looks_like_ours(forged)
        assert read_stream_address(KEY, forged) is None
    assert read_stream_address(b"another", made) is None


@pytest.mark.parametrize("text", ["", "b-", "bob", "b-1", "b-1-2-3-4-5", "f-1-2", "b-1-0k0-aaaa-aaaaaaaaaaaa-"])
def test_what_has_not_their_form_is_none(text):
    assert not looks_like_ours(text)
    assert read_stream_address(KEY, text) is None
    assert read_forward_address(KEY, text) is None


def test_one_of_a_forwarded_message_names_it():
    made = forward_address(KEY, "0c1x2d3f4g5h6")
    assert looks_like_ours(made)
    assert read_forward_address(KEY, made.upper()) == "0c1x2d3f4g5h6"
    assert read_forward_address(KEY, made.replace("0c1x", "0c1y")) is None
    assert read_forward_address(b"another", made) is None
    assert read_stream_address(KEY, made) is None
