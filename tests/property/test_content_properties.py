"""Whatever octets a stranger sends, what is shown of them is harmless, and nothing fails on the way."""

from hypothesis import given, settings
from hypothesis import strategies as st

from postroad.content.html_rules import ELEMENTS
from postroad.content.reading import part_octets, part_text, read_message, read_text
from postroad.content.safe_css import safe_style
from postroad.content.safe_html import safe_html
from postroad.testing.harmless import assert_harmless

PIECES = (
    "<", ">", "</", "/>", "<!--", "-->", "--!>", "<![CDATA[", "]]>", "<?", "'", '"', "=", " ", "\n", "\0", "&",
    "&lt;", "&#x6a;", "&colon;",
    "<script>", "</script>", "<style>", "</style>", "<svg>", "<math>", "<mtext>", "<mglyph>",
    "<annotation-xml encoding=text/html>",
    "<foreignObject>", "<title>", "<textarea>", "<noscript>", "<template>", "<iframe srcdoc=",
    "<form><input name=x>", "<img src=x onerror=alert(1)>",
    "<a href=javascript:alert(1)>", "<p style='background:url(//e.test)'>", "<base href=//e.test>",
    "<meta http-equiv=refresh content=0>",
    "<table>", "<tr>", "<td>", "<select>", "<option>", "<plaintext>", "<xmp>", "onclick=", "javascript:",
    "data:text/html,", "url(", "\\75rl(",
    "cid:x", "xlink:href=", "text",
)  # fmt: skip
SOUP = st.lists(
    st.sampled_from((*PIECES, *(f"<{name}>" for name in sorted(ELEMENTS)))) | st.text(max_size=5), max_size=60
).map("".join)


@settings(max_examples=150, deadline=None)
@given(SOUP)
def test_html_becomes_harmless(html: str) -> None:
    safe = safe_html(html, lambda name: b"GIF89a\x01\0\x01\0" if name == "x" else None)
    assert_harmless(safe.html)
    assert_harmless(safe_html(safe.html).html)


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="colrbackgundwith:;()#0123456789%,.'\"/*\\!url @-", max_size=80))
def test_a_safe_style_is_its_own_safe_style(style: str) -> None:
    safe = safe_style(style)
    assert safe_style(safe) == safe
    assert "(" not in safe.replace("rgb(", "").replace("hsl(", "") or "url" not in safe


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from((
    b"Content-Type: ", b"multipart/mixed; boundary=b", b"text/html", b"; charset=utf-7", b"\r\n", b"\r\n\r\n",
    b"--b", b"--b--", b"text/plain",
    b"Content-Transfer-Encoding: base64", b"message/rfc822", b"<p>x", b"+ADw-script+AD4-", b"Content-ID: <x>",
    b"image/png", b"\xff", b"=?utf-8?b?",
)) | st.binary(max_size=5), max_size=40).map(b"".join))  # fmt: skip
def test_any_octets_can_be_read(content: bytes) -> None:
    reading = read_message(content)
    text, _ = read_text(content, reading)
    assert "\0" not in text
    if reading.html:
        pictures = {name: part_octets(content, part) for name, part in reading.pictures.items()}
        assert_harmless(safe_html(part_text(content, reading.html)[0], pictures.get).html)
