"""Transfer encodings undone, at any cut."""

import quopri
from base64 import encodebytes
from random import Random

import pytest

from postroad.content.transfer import TransferDecoder, decode_transfer

CONTENT = Random(1).randbytes(5000) + b"some words = more\n" * 40


@pytest.mark.parametrize(
    ("encoding", "encode"), [("base64", encodebytes), ("quoted-printable", quopri.encodestring), ("8bit", bytes)]
)
@pytest.mark.parametrize("step", [1, 7, 1000, 100_000])
def test_pieces_give_the_whole(encoding: str, encode, step: int) -> None:
    encoded = encode(CONTENT)
    decoder = TransferDecoder(f" {encoding.upper()} ")
    pieces = [decoder.feed(encoded[at : at + step]) for at in range(0, len(encoded), step)]
    assert b"".join((*pieces, decoder.finish())) == CONTENT


@pytest.mark.parametrize(
    ("octets", "encoding", "decoded"),
    [
        (b"aGVs\xffbG8", "base64", b"hello"),
        (b"aGVsbG8=more", "base64", b"hello\x9b\xab"),
        (b"a", "base64", b""),
        (b"=ZZ=4", "quoted-printable", b"=ZZ=4"),
        (b"x=", "quoted-printable", b"x"),
        (b"as it is", "x-unknown", b"as it is"),
        (b"as it is", "", b"as it is"),
    ],
)
def test_what_is_broken_is_decoded_as_far_as_it_goes(octets: bytes, encoding: str, decoded: bytes) -> None:
    assert decode_transfer(octets, encoding)[:5] == decoded[:5]


def test_a_line_without_end_is_not_kept_for_ever() -> None:
    decoder = TransferDecoder("quoted-printable")
    got = sum(len(decoder.feed(b"=41" * 10_000)) for _ in range(20))
    assert got > 150_000
    assert got + len(decoder.finish()) == 200_000
