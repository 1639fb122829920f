"""Content-Type and Content-Disposition, read leniently."""

import pytest

from postroad.mail.parameters import MAX_PARAMETERS, parse_content_type, parse_disposition, strip_comments


@pytest.mark.parametrize(
    ("value", "kind", "parameters"),
    [
        (b"text/plain", b"TEXT/PLAIN", {}),
        (b"Text / Plain ; Charset = us-ascii (Plain text)", b"TEXT/PLAIN", {b"CHARSET": b"us-ascii"}),
        (b'text/plain; charset="a\\"b;c"; x=y', b"TEXT/PLAIN", {b"CHARSET": b'a"b;c', b"X": b"y"}),
        (b"text/plain;;;; = ;; a=b", b"TEXT/PLAIN", {b"A": b"b"}),
        (b'text/plain charset=x\tname="y"', b"TEXT/PLAIN", {b"CHARSET": b"x", b"NAME": b"y"}),
        (b'text/plain; a="never closed; b=c', b"TEXT/PLAIN", {b"A": b"never closed; b=c"}),
        (b"(a(b)) text/(c)plain", b"TEXT/PLAIN", {}),
        (b'text/plain; a="(no comment)"', b"TEXT/PLAIN", {b"A": b"(no comment)"}),
        (b"x/y; n*0*=us-ascii'en'a%20; n*1*=b; n*2=\"c d\"", b"X/Y", {b"N*": b"us-ascii'en'a%20bc%20d"}),
        (b"x/y; n*1=b; n*0=a; n*10=d; n*2=c", b"X/Y", {b"N": b"abcd"}),
        (b"x/y; ****=1; *0=2; a*b*c=3", b"X/Y", {b"****": b"1", b"*0": b"2", b"A*B*C": b"3"}),
    ],
)
def test_content_types(value, kind, parameters):
    parsed = parse_content_type(value)
    assert parsed.type + b"/" + parsed.subtype == kind
    assert dict(parsed.parameters) == parameters


@pytest.mark.parametrize("value", [b"", b"text", b"/plain", b"text/", b";charset=x", b"=", b"\0", b"(text/plain"])
def test_what_is_no_content_type(value):
    assert parse_content_type(value) is None


@pytest.mark.parametrize(
    ("value", "boundary"),
    [(b"boundary=a", b"a"), (b'BOUNDARY="a b  "', b"a b"), (b"boundary*=us-ascii''a%2Fb", b"a/b"), (b"x=y", b"")],
)
def test_boundaries(value, boundary):
    assert parse_content_type(b"multipart/mixed; " + value).boundary == boundary


def test_dispositions():
    assert parse_disposition(b"attachment;filename=a.txt") == (b"ATTACHMENT", ((b"FILENAME", b"a.txt"),))
    assert parse_disposition(b"inline") == (b"INLINE", ())
    assert parse_disposition(b"; filename=x") is None


def test_parameter_limit():
    value = b"a/b" + b"".join(b"; p%d=1" % number for number in range(MAX_PARAMETERS + 50))
    assert len(parse_content_type(value).parameters) == MAX_PARAMETERS


@pytest.mark.parametrize(
    ("value", "stripped"),
    [(b"a (b) c", b"a   c"), (b"a", b"a"), (b"(a", b""), (b"a)b", b"a)b"), (b'"(a)"', b'"(a)"'), (b"(\\)) b", b"  b")],
)
def test_comments(value, stripped):
    assert strip_comments(value) == stripped
