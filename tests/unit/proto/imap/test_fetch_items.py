import pytest

from postroad.proto.imap.fetch import Item, Part, parse_items
from postroad.proto.imap.tokens import Cursor, SyntaxFault


def parse(text):
    cursor = Cursor(text)
    items = parse_items(cursor)
    cursor.end()
    return items


def test_macros_and_simple_items():
    fast = Item.FLAGS | Item.INTERNALDATE | Item.SIZE
    assert parse(b"FAST").simple == fast
    assert parse(b"all").simple == fast | Item.ENVELOPE
    assert parse(b"FULL").simple == fast | Item.ENVELOPE | Item.BODY
    assert parse(b"(UID BODY BODYSTRUCTURE)").simple == Item.UID | Item.BODY | Item.BODYSTRUCTURE


@pytest.mark.parametrize(
    ("text", "label", "part", "numbers"),
    [
        (b"BODY[]", b"BODY[]", Part.WHOLE, ()),
        (b"body.peek[header]<3.10>", b"BODY[HEADER]<3>", Part.HEADER, ()),
        (b"BODY[TEXT]", b"BODY[TEXT]", Part.TEXT, ()),
        (b"BODY[1.2.3]", b"BODY[1.2.3]", Part.WHOLE, (1, 2, 3)),
        (b"BODY[2.MIME]", b"BODY[2.MIME]", Part.MIME, (2,)),
        (b"BODY[4.1.TEXT]", b"BODY[4.1.TEXT]", Part.TEXT, (4, 1)),
        (b'BODY[HEADER.FIELDS (From "X-{")]', b'BODY[HEADER.FIELDS (From "X-{")]', Part.FIELDS, ()),
        (b"BODY[1.HEADER.FIELDS.NOT (DATE)]", b"BODY[1.HEADER.FIELDS.NOT (DATE)]", Part.FIELDS_NOT, (1,)),
        (b"RFC822", b"RFC822", Part.WHOLE, ()),
        (b"RFC822.HEADER", b"RFC822.HEADER", Part.HEADER, ()),
        (b"RFC822.TEXT", b"RFC822.TEXT", Part.TEXT, ()),
    ],
)
def test_sections(text, label, part, numbers):
    (section,) = parse(text).sections
    assert (section.label, section.part, section.numbers) == (label, part, numbers)


def test_what_sets_seen():
    assert parse(b"(FLAGS BODY[1])").sets_seen
    assert parse(b"RFC822").sets_seen
    assert parse(b"RFC822.TEXT").sets_seen
    for peeking in (b"BODY.PEEK[1]", b"RFC822.HEADER", b"ENVELOPE", b"BODY"):
        assert not parse(peeking).sets_seen


def test_fields_are_compared_in_lower_case():
    (section,) = parse(b"BODY.PEEK[HEADER.FIELDS (Subject X-Foo)]").sections
    assert section.fields == (b"subject", b"x-foo")


@pytest.mark.parametrize(
    "text",
    [
        b"", b"()", b"(FLAGS", b"FLAGS UID", b"BOGUS", b"BODY.PEEK", b"BODY[MIME]", b"BODY[1.]", b"BODY[0]",
        b"BODY[1.0]", b"BODY[01]", b"BODY[1TEXT]", b"BODY[BOGUS]", b"BODY[]<1>", b"BODY[]<1.0>", b"BODY[]<a.1>",
        b"BODY[HEADER.FIELDS]",
        b"BODY[HEADER.FIELDS ()]", b'BODY[HEADER.FIELDS ("a:b")]', b'BODY[HEADER.FIELDS ("")]', b"(ALL)", b"RFC822[]",
        b"BODY[" + b".".join([b"1"] * 51) + b"]", b"(" + b" ".join([b"BODY[]"] * 102) + b")",
    ],
)  # fmt: skip
def test_refused(text):
    with pytest.raises(SyntaxFault):
        parse(text)


@pytest.mark.parametrize(("lists", "good"), [(8, True), (9, False)])
def test_header_blocks_held_at_once_are_few(lists, good):
    text = b"(" + b" ".join(b"BODY.PEEK[%d.HEADER.FIELDS (To)]" % n for n in range(1, lists + 1)) + b" FLAGS)"
    if good:
        assert len(parse_items(Cursor(text)).sections) == lists
        return
    with pytest.raises(SyntaxFault, match="too many items"):
        parse_items(Cursor(text))
