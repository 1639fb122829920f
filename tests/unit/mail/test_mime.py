"""The MIME index: offsets of parts, its limits, and looking sections up."""

import pytest

from postroad.mail.mime import MAX_DEPTH, MAX_PARTS, Kind, find_section, header_fields, index, pack_sections

NESTED = (
    b"Content-Type: multipart/mixed; boundary=out\r\n\r\n"
    b"preamble\r\n"
    b"--out\r\n"
    b"Content-Type: text/plain\r\n\r\n"
    b"one\r\n"
    b"--out\r\n"
    b"Content-Type: message/rfc822\r\n\r\n"
    b"Subject: inside\r\n"
    b"Content-Type: multipart/alternative; boundary=in\r\n\r\n"
    b"--in\r\n\r\n"
    b"a\r\n"
    b"--in\r\n"
    b"Content-Type: text/html\r\n\r\n"
    b"<b>\r\n"
    b"--in--\r\n"
    b"--out--\r\n"
    b"epilogue\r\n"
)


def body(content, section):
    return content[section.body_start : section.body_end]


def header(content, section):
    return content[section.header_start : section.body_start]


@pytest.mark.parametrize("content", [NESTED, NESTED.replace(b"\r\n", b"\n")], ids=["crlf", "lf"])
def test_sections_as_imap_names_them(content):
    sections = pack_sections(index(content))
    end = b"\r\n" if b"\r\n" in content else b"\n"

    def find(*path):
        return find_section(sections, path)

    assert find().kind is Kind.MULTIPART
    assert body(content, find(1)) == b"one"
    assert header(content, find(1)) == b"Content-Type: text/plain" + end + end
    assert find(2).kind is Kind.MESSAGE
    assert header(content, find(2).message).startswith(b"Subject: inside")
    assert body(content, find(2)).startswith(b"Subject: inside")
    assert body(content, find(2, 1)) == b"a"
    assert body(content, find(2, 2)) == b"<b>"
    assert [find(*path) for path in ((0,), (3,), (1, 1), (2, 3), (2, 1, 1))] == [None] * 5


def test_the_body_of_a_plain_message_is_its_part_1():
    content = b"Subject: x\r\n\r\nhello\r\n"
    sections = pack_sections(index(content))
    assert find_section(sections, (1,)) == find_section(sections, ())
    assert body(content, find_section(sections, (1,))) == b"hello\r\n"
    assert find_section(sections, (2,)) is None
    assert find_section(sections, (1, 1)) is None


def test_a_message_in_a_message_that_is_no_multipart():
    content = b"Content-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\ntext"
    sections = pack_sections(index(content))
    assert find_section(sections, (1,)).kind is Kind.MESSAGE
    assert body(content, find_section(sections, (1, 1))) == b"text"
    assert find_section(sections, (1, 1, 1)) is None


@pytest.mark.parametrize(
    ("content", "header_size", "text"),
    [
        (b"", 0, b""),
        (b"\r\n", 2, b""),
        (b"\n", 1, b""),
        (b"\r\nbody", 2, b"body"),
        (b"A: b", 4, b""),
        (b"A: b\r\n", 6, b""),
        (b"A: b\r\n\r\nbody", 8, b"body"),
        (b"A: b\n\nbody\r\n\r\n", 6, b"body\r\n\r\n"),
        (b"A: b\r\n\nbody", 7, b"body"),
        (b"A: b\n\r\nbody", 7, b"body"),
    ],
)
def test_where_the_header_ends(content, header_size, text):
    root = index(content)
    assert root.body_start == header_size
    assert content[root.body_start : root.body_end] == text


def parts_of(text, boundary=b"b"):
    root = index(b"Content-Type: multipart/mixed; boundary=%b\r\n\r\n" % boundary + text)
    content = b"Content-Type: multipart/mixed; boundary=%b\r\n\r\n" % boundary + text
    return [content[part.body_start : part.body_end] for part in root.children]


def test_delimiter_lines():
    assert parts_of(b"--b\r\n\r\none\r\n--b  \t\r\n\r\ntwo\r\n--b--") == [b"one", b"two"]  # white space behind it
    assert parts_of(b"--b\r\n\r\none\r\n--bc\r\n\r\ntwo\r\n--b--") == [b"one\r\n--bc\r\n\r\ntwo"]  # another boundary
    assert parts_of(b"--b\r\n\r\none --b\r\n--b--") == [b"one --b"]  # not at the beginning of a line
    assert parts_of(b"--b\r\n\r\none\r\n") == [b"one\r\n"]  # never closed
    assert parts_of(b"--b\r\n\r\none\r\n--b") == [b"one"]  # cut off
    assert parts_of(b"--b\r\nA: b\r\n--b\r\n\r\ntwo\r\n--b--") == [b"", b"two"]  # in the header
    assert parts_of(b"--b\r\n\r\n--b--\r\n--b\r\n\r\nlate") == [b""]  # behind the end
    assert parts_of(b"--x--\r\n\r\none\r\n--x----", b"x--") == [b"one"]


def test_an_inner_multipart_that_is_never_closed_ends_with_the_outer_one():
    content = (
        b"Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\nContent-Type: multipart/mixed; boundary=oi\r\n\r\n"
        b"--oi\r\n\r\ninner\r\n--o\r\n\r\nouter\r\n--o--\r\n"
    )
    inner, outer = index(content).children
    assert [content[part.body_start : part.body_end] for part in inner.children] == [b"inner"]
    assert content[outer.body_start : outer.body_end] == b"outer"


def test_a_multipart_without_parts_is_text():
    for value in (b"multipart/mixed", b"multipart/mixed; boundary=none", b'multipart/mixed; boundary=""', b"nonsense"):
        root = index(b"Content-Type: %b\r\n\r\nreadable\r\n" % value)
        assert (root.kind, root.content_type.type, root.content_type.subtype) == (Kind.LEAF, b"TEXT", b"PLAIN")


def test_parts_of_a_digest_are_messages():
    content = b"Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nSubject: one\r\n\r\ntext\r\n--b--\r\n"
    (part,) = index(content).children
    assert part.kind is Kind.MESSAGE
    assert part.children[0].fields == {b"subject": b"one"}


def test_part_limit():
    text = b"--b\r\n\r\nx\r\n"
    start = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    whole = index(start + text * (MAX_PARTS - 1) + b"--b--\r\n")
    assert len(whole.children) == MAX_PARTS - 1
    assert whole.children[-1].size == 1
    content = start + text * (MAX_PARTS + 50) + b"--b--\r\n"
    cut = index(content)
    assert len(cut.children) == MAX_PARTS
    assert cut.children[-1].body_end == len(content)  # the rest is opaque


def test_parts_that_are_nothing_but_a_delimiter_line_count_too():
    content = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n" * (MAX_PARTS + 50)
    found = index(content)
    assert len(found.children) == MAX_PARTS
    assert found.children[-1].body_end == len(content)


@pytest.mark.parametrize("unit", [b"Content-Type: message/rfc822\r\n\r\n", None])
def test_depth_limit(unit):
    content = b"".join(
        unit or b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (level, level) for level in range(200)
    )
    depth, part = 0, index(content)
    while part.children:
        depth, part = depth + 1, part.children[0]
    assert depth == MAX_DEPTH
    assert part.content_type.type == b"APPLICATION"
    assert part.body_end == len(content)


def test_fields():
    fields = header_fields(
        b"From: a@b\r\nSubject : old\r\n form\r\nfrom: c@d\r\nsubject: second\r\nX-Other: 1\r\nnot a field\r\n"
        b"TO:\r\nCc: \r\nCc: e@f\r\nDate:\r\n\tnext line\r\n\r\n"
    )
    assert fields == {
        b"from": b"a@b, c@d",
        b"subject": b"old form",
        b"to": b"",
        b"cc": b"e@f",
        b"date": b"next line",
    }


def test_very_many_from_fields_are_joined_only_so_far():
    fields = header_fields(b"From: someone@example.org\r\n" * 100_000)
    assert 65_000 < len(fields[b"from"]) < 66_000
