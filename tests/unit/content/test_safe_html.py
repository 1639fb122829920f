"""Hostile HTML made safe: what stays, what goes, what is told, and how long it may take."""

from base64 import b64encode
from time import thread_time

import pytest

from postroad.content.safe_html import (
    MAX_DEPTH,
    MAX_ELEMENTS,
    MAX_INPUT,
    MAX_PICTURES,
    MAX_REFERENCES,
    SafeHtml,
    safe_html,
)
from postroad.testing.harmless import assert_harmless

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x10\0\0\0\x10\x08\x06\0\0\0" + b"x" * 20
GIF_TEXT = "data:image/gif;base64," + b64encode(b"GIF89a\x10\0\x10\0rest").decode()
SECONDS = 2.0  # of work on any input; none takes a quarter of it


def clean(html: str) -> str:
    return made(html).html


def made(html: str) -> SafeHtml:
    safe = safe_html(html, {"logo@here.test": PNG, "page@here.test": b"<html>", "big@here.test": b"\x89PNG"}.get)
    assert_harmless(safe.html)
    return safe


@pytest.mark.parametrize(
    ("html", "kept"),
    [
        ("plain &amp; simple", "plain &amp; simple"),
        ("1 < 2 > 0", "1 &lt; 2 &gt; 0"),
        ("<p>one<p>two", "<p>one</p><p>two</p>"),
        ("<b>bold <i>both</b> none</i>", "<b>bold <i>both</i></b> none"),
        ("<ul><li>a<ul><li>b</ul><li>c</ul>", "<ul><li>a<ul><li>b</li></ul></li><li>c</li></ul>"),
        ("<table><tr><td>1<td>2<tr><td>3</table>",
         "<table><tbody><tr><td>1</td><td>2</td></tr><tr><td>3</td></tr></tbody></table>"),
        ("<p style='COLOR:red; position:fixed'>x</p>", '<p style="color:red">x</p>'),
        ("<td></td>text</div>", "text"),
        ("<h1 class=x id=y onclick=z data-a=b>t</h1>", "<h1>t</h1>"),
        ("<unknown>kept</unknown>", "kept"),
        ("a<br/>b<hr>", "a<br>b<hr>"),
        ("<p title='&quot;><script>'>x", '<p title="&quot;&gt;&lt;script&gt;">x</p>'),
        ("<p/title=a>x", '<p title="a">x</p>'),
        ("<p a='b'title=c>x", '<p title="c">x</p>'),
        ("<p title=first title=second>x", '<p title="first">x</p>'),
        ("<td colspan=100 rowspan=101>x", "x"),
        ("<noscript><p>seen</p></noscript>", "<p>seen</p>"),
        ("&#" + "9" * 5000 + ";", "\ufffd"),
        ("<p\0title=x>\0y", "y"),
    ],
)  # fmt: skip
def test_what_stays(html: str, kept: str) -> None:
    assert clean(html) == kept


@pytest.mark.parametrize(
    "html",
    [
        "<script>alert(1)</script>", "<SCRIPT\n>alert(1)</sCript >", "<script>alert(1)", "<style>p{}</style>",
        "<title>x</title>",
        "<!-- comment --!>", "<!-->", "<!--->", "<!-- open", "<!doctype html>", "<?php echo ?>", "</ bogus>",
        "<![CDATA[x]]>",
        "<iframe src=//e.test>x</iframe>", "<svg><script>x</script></svg>", "<math><mi>x</mi></math>",
        "<template><p>x</p></template>",
        "<object data=x>y</object>", "<textarea><p>x</textarea>", "<p title='", "<a href=x",
    ],
)  # fmt: skip
def test_what_goes_with_its_content(html: str) -> None:
    assert clean(html) == ""


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://good.test/a?b=c&d", "good.test"),
        ("  https://good.test/a b", "good.test"),
        ("ht\ntps://good.test", "good.test"),
        ("https://bank.test@evil.test/", "evil.test"),
        ("https:\\\\evil.test", ""),
        ("https://evil.test\\@bank.test", "evil.test"),
        ("https://b\u00fccher.test/", "xn--bcher-kva.test"),
        ("https://a%2eb.test/", ""),
        ("https:name", ""),
        ("//evil.test", ""),
        ("/console/sign-out", ""),
        ("#top", ""),
        ("mailto:carol@example.com?subject=x", "carol@example.com"),
        ("tel:+15550100", "+15550100"),
        ("javascript:alert(1)", ""),
        ("java\tscript:alert(1)", ""),
        ("&#106;avascript:alert(1)", ""),
        ("data:text/html,x", ""),
        ("vbscript:x", ""),
        ("https://good.test/" + "x" * 3000, ""),
        ("https://[broken/", ""),
    ],
)
def test_links_show_where_they_lead(url: str, host: str) -> None:
    html = clean(f'<a href="{url}" target=_self rel=opener data-host=bank.test>text</a>')
    assert 'target="_blank" rel="noopener noreferrer nofollow"' in html
    assert (f'data-host="{host}"' in html) == bool(host)
    assert ("href=" in html) == bool(host)
    assert "bank.test" not in html.partition("data-host=")[2].partition(" ")[0]


def test_pictures_from_elsewhere_are_counted_and_not_fetched() -> None:
    safe = made(
        '<img src="https://track.test/1.gif" width=1 height=1><img src="//pics.test/a" alt="Logo"><img src=local.png>'
        '<body background="http://back.test/x"><p style="background:#fff url(http://css.test/y)">x</p>'
        '<link rel=stylesheet href="http://style.test/"><table background=z><tr><td>'
    )
    assert safe.blocked == 7
    assert safe.hosts == ("track.test", "pics.test", "back.test", "style.test")
    assert safe.html.count('class="blocked"') == 2  # nobody was meant to see the pixel
    assert 'alt="[picture not loaded: Logo]"' in safe.html
    assert 'style="background-color:#fff"' in safe.html


def test_pictures_of_the_message_are_put_in_by_what_they_are() -> None:
    safe = made(
        '<img src="cid:logo@here.test"><img src="CID:page%40here.test"><img src=cid:none><img src="cid:big@here.test">'
    )
    assert safe.html.count(b64encode(PNG).decode()) == 1
    assert (safe.missing, safe.blocked) == (3, 0)


def test_pictures_inside_the_html_too() -> None:
    safe = made(
        f'<img src="{GIF_TEXT}"><img src="data:image/svg+xml;base64,PHN2Zz4="><img src="data:image/png;base64,!">'
    )
    assert safe.html.count("data:image/gif") == 1
    assert safe.missing == 2


def test_pictures_have_a_budget() -> None:
    octets = PNG + b"x" * (MAX_PICTURES // 4)
    reads = []
    safe = safe_html("<img src=cid:a>" * 10, lambda name: reads.append(name) or octets)
    assert safe.html.count("base64") == 2
    assert safe.missing == 8
    assert reads == ["a"]


def test_what_runs_is_counted() -> None:
    safe = made(
        "<script>x</script><form action=/x><input name=a><button>go</button></form><meta http-equiv=refresh content=0>"
    )
    assert safe.html == "go"
    assert safe.removed == 5


def test_limits_are_told() -> None:
    assert made("x" * (MAX_INPUT + 1)).notices == ("Only the first 1024 KiB of the HTML are shown.",)
    assert made("x" * MAX_INPUT).notices == ()
    assert made("<div>" * MAX_DEPTH).notices == ()
    assert "deeper" in made("<div>" * (MAX_DEPTH + 1) + "x").notices[0]
    assert made("<br>" * MAX_ELEMENTS).notices == ()
    assert "more" in made("<br>" * (MAX_ELEMENTS + 1)).notices[0]
    assert made("&" * MAX_REFERENCES).notices == ()
    assert "more" in made("&" * (MAX_REFERENCES + 1)).notices[0]


@pytest.mark.parametrize(
    "html",
    [
        "<b>" * 300_000, "<a " + "a=1 " * 250_000 + ">", "<a x='" * 150_000, "<" * 1_000_000, "&" * 1_000_000,
        "\xa0" * 1_000_000, "\xa0" * 20_000 + "x" * 900_000, "<!--" * 250_000, "<!---->" * 140_000,
        "<style>" * 140_000,
        "<table>" + ("<tr>" + "<td>x</td>" * 10 + "</tr>") * 9_000, "<table>" * 200_000,
        "<table>" + "<b>x</b>" * 100_000,
        ("<p style='background:" + "a " * 2000 + "'>") * 250, ("<p style='" + "/*" * 2000 + "'>") * 250,
        "<div>" * 100 + "</p>" * 200_000, "<a" + "/" * 900_000, "<a x=" + " " * 900_000, "&#x" + "f" * 900_000,
        "".join(f"<b a{n}=1><p>" for n in range(60_000)), f'<img src="{GIF_TEXT}">' * 20_000,
        "<td rowspan=100 colspan=100>" * 40_000,
    ],
    ids=range(22),
)  # fmt: skip
def test_any_text_is_done_with_soon(html: str) -> None:
    before = thread_time()
    made(html)
    assert thread_time() - before < SECONDS
