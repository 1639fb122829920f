"""Content targets: whatever octets come, what is shown of them has no script, handler, reference or form."""

from postroad.content.reading import find_part, part_octets, part_text, read_message, read_text
from postroad.content.safe_html import safe_html
from postroad.testing.fuzzing import Target
from postroad.testing.harmless import assert_harmless

NEWSLETTER = b"""<!doctype html><html><head><title>News</title><style>p{background:url(//e.test)}</style>
<!--[if mso]><table><![endif]--></head><body bgcolor="#fff" onload="x()"><table width=600 cellpadding=0><tr>
<td colspan=2 style="font:bold 12px/1.5 Arial;background:url(x) #eee">
<img src="https://e.test/1.gif" width=1 alt="Logo">
<a href="https://e.test/?a=1&amp;b=2" target=_top>Read &nbsp; more</a><td><ul><li>one<li>two</ul></table>
<form action=/x><input type=submit><select><option>1</select></form>
<img src="cid:logo"><svg><a xlink:href="javascript:x">
<math><mtext><table><mglyph><style><!--</style>
<img title="--&gt;&lt;img src=1 onerror=alert(1)&gt;"></math></body></html>"""
LETTER = (
    b"Subject: =?utf-8?q?h=C3=A9?=\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n--b\r\n"
    b"Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    b"<p style=3D'x'>h=C3=A9\r\n"
    b"--b\r\nContent-Type: image/png; name*=utf-8''%e2%82%ac\r\nContent-ID: <logo>\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\n"
    b"iVBORw0KGgo=\r\n--b--\r\n"
)


def html(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    assert_harmless(safe_html(text, lambda _: b"GIF89a\x01\0\x01\0").html)


def message(data: bytes) -> None:
    """Any message can be read, each part that is named is found again, and its HTML becomes harmless."""
    reading = read_message(data)
    read_text(data, reading)
    for part in reading.others[:5]:
        assert find_part(data, part.path) == part
        part_octets(data, part)
        assert part.name
        assert not set(part.name) & set('/\\\r\n"')
    if reading.html:
        assert_harmless(safe_html(part_text(data, reading.html)[0]).html)


WORDS = (
    b"<script>", b"</script>", b"<style>", b"<!--", b"-->", b"<svg>", b"<math>", b"<mtext>", b"<title>",
    b"<textarea>", b"<noscript>",
    b"<template>", b"<form>", b" onclick=x", b" href=javascript:x", b" style='", b"url(", b"&#106;", b"<img src=",
    b"<base href=", b"<table>",
    b"<select>", b"<a href=//e.test>", b"\xc2\xa0", b"\xe2\x80\xae", b"<plaintext>", b"<iframe srcdoc='<script>'>",
)  # fmt: skip
HEADERS = (
    b"Content-Type: text/html; charset=", b"utf-7", b"utf-16", b"--b", b"--b--",
    b"Content-Disposition: attachment; filename=", b"message/rfc822",
    b"Content-Transfer-Encoding: base64", b"\r\n\r\n",
)  # fmt: skip
TARGETS = {
    "content-html": Target(html, [NEWSLETTER, b"<p>a<b>c</p>d", b""], WORDS),
    "content-message": Target(message, [LETTER, LETTER.replace(b"\r\n", b"\n"), NEWSLETTER], (*WORDS, *HEADERS)),
}
