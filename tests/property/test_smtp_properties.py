"""Laws of the SMTP machine and its parts, for any input that hypothesis can think of."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from postroad.mail.address import Address, Domain, ForwardPath, ReversePath
from postroad.proto.dotstuff import DotReader, DotStuffer, unstuff
from postroad.proto.smtp.encodings import decode_xtext, encode_xtext
from postroad.proto.smtp.grammar import VERBS, Mail, Rcpt
from postroad.proto.smtp.parameters import MailParameters
from postroad.proto.smtp.profile import Dialect, ServerProfile
from postroad.testing.smtp import converse

PROFILES = st.sampled_from([
    ServerProfile("mail.example.com", max_size=60, max_recipients=2, starttls=True),
    ServerProfile("mail.example.com", max_errors=1000),
    ServerProfile(
        "mail.example.com", Dialect.SUBMISSION, secured=True, auth_mechanisms=("PLAIN", "LOGIN"), require_auth=True,
        repair_bare_lf=True, max_errors=1000,
    ),
    ServerProfile("mail.example.com", Dialect.LMTP, max_errors=1000),
])  # fmt: skip
LOGIN = b"AUTH PLAIN AGFsaWNlQGV4YW1wbGUuY29tAHNlY3JldA==\r\n"
ENVELOPE = b"MAIL FROM:<a@b.example>\r\nRCPT TO:<bob@example.com>\r\nDATA\r\n"
WORDS = st.sampled_from([
    b"EHLO x\r\n", b"HELO x\r\n", b"LHLO x\r\n", b"MAIL FROM:<a@b.example>\r\n", b"MAIL FROM:<> SIZE=61\r\n",
    b"DATA\r\n", b"RCPT TO:<bob@example.com>\r\n", b"RCPT TO:<Postmaster>\r\n", b"RSET\r\n", b"NOOP\r\n",
    b"QUIT\r\n", b"\r\n", b"STARTTLS\r\n", LOGIN, b"AUTH LOGIN\r\n", b"*\r\n", b"YQ==\r\n", b"VRFY a\r\n", b".\r\n",
    b"..\r\n", b"BDAT 3\r\na\r\n", b"BDAT 0 LAST\r\n", b"BDAT 7 LAST\r\n", b"BDAT 61\r\n", b"BDAT\r\n",
    b"\n",
    b"\r", b".", b"a line\r\n", b"\n.\r\n", b"\r\n.\n", b"x" * 520, b"GET / HTTP/1.1\r\n",
])  # fmt: skip
TALK = st.lists(st.one_of(WORDS, WORDS, WORDS, st.binary(max_size=20)), max_size=25).map(b"".join)
HELLOS = [b"EHLO x\r\n", b"LHLO x\r\n", b"EHLO x\r\n" + LOGIN]
PREFIX = st.sampled_from([b"", *HELLOS, *(hello + ENVELOPE for hello in HELLOS)])


@given(profile=PROFILES, prefix=PREFIX, talk=TALK, cuts=st.lists(st.integers(0, 600), max_size=12))
@settings(max_examples=300, deadline=None)
def test_any_bytes_give_documented_events_and_no_cut_matters(
    profile: ServerProfile, prefix: bytes, talk: bytes, cuts: list[int]
) -> None:
    data = prefix + talk
    places = [0, *sorted(cuts), len(data)]
    whole = converse(profile, [data])
    assert converse(profile, [data[a:b] for a, b in pairwise(places)]) == whole
    assert converse(profile, [data[i : i + 1] for i in range(len(data))]) == whole


CONTENT = st.lists(st.sampled_from([b"\r\n", b".", b"..", b"\r", b"\n", b"text", b"\0"]), max_size=30).map(b"".join)


@given(content=CONTENT, size=st.integers(1, 9), other=st.integers(1, 9))
@settings(deadline=None)
def test_dot_stuffing_comes_back(content: bytes, size: int, other: int) -> None:
    writer, reader, got = DotStuffer(), DotReader(), b""
    wire = b"".join(writer.write(content[i : i + size]) for i in range(0, len(content), size)) + writer.finish()
    rest = None
    for start in range(0, len(wire), other):
        assert rest is None
        piece = reader.feed(wire[start : start + other])
        got, rest = got + unstuff(piece), piece.rest
    assert rest == b""
    assert got == (content if content.endswith(b"\r\n") or not content else content + b"\r\n")


LABEL = st.from_regex(r"[a-z0-9](?:[a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
DOMAIN = st.lists(LABEL, min_size=1, max_size=4).map(".".join).map(Domain.parse)
LOCAL = st.one_of(
    st.from_regex(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,20}(?:\.[A-Za-z0-9]{1,10}){0,2}", fullmatch=True),
    st.from_regex(r'"(?:[ !#-\[\]-~]|\\[ -~]){0,20}"', fullmatch=True),
)
ADDRESS = st.builds(Address, LOCAL, DOMAIN)
PARAMETERS = st.builds(
    MailParameters,
    size=st.none() | st.integers(0, 10**20 - 1),
    body=st.sampled_from(["", "7BIT", "8BITMIME"]),
    auth=st.none() | st.just("") | ADDRESS.map(str),
)


def read(line: bytes) -> object:
    word, _, argument = line.decode("ascii").rstrip("\r\n").partition(" ")
    reader = VERBS[word].read
    assert reader is not None
    return reader(word, argument)


@given(address=st.none() | ADDRESS, parameters=PARAMETERS)
@settings(deadline=None)
def test_mail_is_read_as_it_was_written(address: Address | None, parameters: MailParameters) -> None:
    command = Mail(ReversePath(address), parameters)
    assert read(command.line()) == command


@given(address=ADDRESS)
@settings(deadline=None)
def test_rcpt_is_read_as_it_was_written(address: Address) -> None:
    command = Rcpt(ForwardPath(address.local_part, address.domain))
    assert read(command.line()) == command


@given(text=st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_xtext_comes_back(text: str) -> None:
    assert decode_xtext(encode_xtext(text)) == text
