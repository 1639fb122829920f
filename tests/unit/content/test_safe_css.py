"""Style attributes: what shapes text stays, whatever could fetch, hide, cover or flood goes."""

import pytest

from postroad.content.safe_css import MAX_STYLE, PROPERTIES, fetches, safe_style


@pytest.mark.parametrize(
    ("style", "kept"),
    [
        ("color:red", "color:red"),
        (" COLOR : #FF0000 !important ;; margin: 0 auto", "color:#FF0000;margin:0 auto"),
        ("font:bold 12px/1.5 'Open Sans', sans-serif", "font:bold 12px/1.5 'Open Sans', sans-serif"),
        ("background:url(http://e.test/x) #eee no-repeat", "background-color:#eee"),
        ("background:RGB(1, 2, 3) none", "background-color:RGB(1, 2, 3)"),
        ("background:white", "background-color:white"),
        ("width:100%;height:2999px;width:3001px", "width:100%;height:2999px"),
        ("letter-spacing:.5px;line-height:1.25", "letter-spacing:.5px;line-height:1.25"),
        ("display:none;display:flex", "display:none"),
        ("padding:1px/**/2px", "padding:1px 2px"),
    ],
)
def test_what_stays(style: str, kept: str) -> None:
    assert safe_style(style) == kept


@pytest.mark.parametrize(
    "style",
    [
        "background:url(x)", "background-image:url(x)", "list-style-image:url(x)", "color:\\72 ed",
        "color:var(--x)", "width:calc(1px)",
        "width:expression(1)", "behavior:url(x)", "-moz-binding:url(x)", "position:fixed", "z-index:9",
        "margin:-1px", "margin-left:-999em",
        "color:red}body{color:red", "color:<b", "content:'x'", "font-family:\"a;b", "@import 'x'", "color", ":red",
        "float:left url(x)",
        "width:1e9px", "width:99999999px", "font-size:99999px", "transform:rotate(1deg)", "animation:x 1s",
        "cursor:url(x)", "color:image-set('x')",
        "background:" + "a" * 400, "font-family:'a\\'b'", "filter:url(#x)", "--x:red", "color:attr(title)",
        "mask:url(x)",
    ],
)  # fmt: skip
def test_what_goes(style: str) -> None:
    assert safe_style(style) == ""


def test_only_the_beginning_of_a_long_style_counts() -> None:
    assert safe_style("color:red;" + "x" * MAX_STYLE + ";margin:0") == "color:red"


def test_what_would_be_fetched_is_noticed() -> None:
    assert fetches("background:URL (x)")
    assert not fetches("background:red")


def test_no_property_places_or_fetches() -> None:
    assert not [
        name
        for name in PROPERTIES
        if "image" in name or name in ("position", "content", "cursor", "filter", "background")
    ]
