"""Style attributes of hostile HTML, taken apart and put together again: known properties with harmless values only.

Harmless means that a value is made of words, numbers, colours and quoted font names. There is no escape, no `url()`, no
`var()`, no `@` and no other function in it, so that nothing is fetched whatever a browser may come to know. Nothing may
leave its place on the page either: no `position`, no negative margin, nothing of absurd size.
"""

from __future__ import annotations

import re

MAX_STYLE = 4096  # characters of one style attribute that are looked at
MAX_VALUE = 300  # characters of one value
MAX_NUMBER = 3000  # of any unit: a page wider or higher than that is an attack

_SIDES = ("-top", "-right", "-bottom", "-left")
PROPERTIES = frozenset(
    (
        "background-color", "border-collapse", "border-color", "border-radius", "border-spacing", "border-style",
        "border-width", "caption-side", "clear", "color", "direction", "display", "empty-cells", "float", "font",
        "font-family", "font-size", "font-style", "font-variant", "font-weight", "height", "letter-spacing",
        "line-height", "list-style-type", "margin", "max-height", "max-width", "min-height", "min-width", "opacity",
        "overflow-wrap", "padding", "table-layout", "text-align", "text-decoration", "text-indent", "text-transform",
        "vertical-align", "white-space", "width", "word-break", "word-spacing", "word-wrap", "border",
        *(f"{name}{side}" for name in ("margin", "padding", "border") for side in _SIDES),
        *(f"border{side}-{what}" for side in _SIDES for what in ("color", "style", "width")),
    )
)  # fmt: skip
_TOKEN = re.compile(
    r"""\s*+(?:[,/] | (?:(?P<word>[a-zA-Z][a-zA-Z-]*+)
        | (?P<number>(?:[0-9]{1,6}+(?:\.[0-9]{0,8}+)?|\.[0-9]{1,8}+)(?:%|px|pt|r?em|ex|ch|in|cm|mm|pc)?)
        | (?P<colour>\#[0-9a-fA-F]{3,8}+|(?:rgb|hsl)a?\([0-9.,%\s/]{1,60}+\))
        | (?P<text>"[\w\ -]{1,60}+"|'[\w\ -]{1,60}+'))(?=[\s,/]|\Z))""",
    re.VERBOSE | re.IGNORECASE,
)
_SPACE = re.compile(r"\s+(?![^()]*\))")  # not inside rgb( )
_DIGITS = re.compile(r"[0-9.]+")
_COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)", re.DOTALL)
_DISPLAYS = frozenset(
    ("block", "inline", "inline-block", "none", "table", "table-cell", "table-row", "list-item", "inline-table",
     "table-row-group", "table-header-group", "table-footer-group", "table-column", "table-caption")
)  # fmt: skip
_FETCHES = re.compile(r"url\s*\(|image-set|@import", re.IGNORECASE)


def safe_style(style: str) -> str:
    """What may stay of a style attribute; may be empty."""
    kept = []
    for declaration in _COMMENT.sub(" ", style[:MAX_STYLE]).split(";"):
        name, colon, value = declaration.partition(":")
        name, value = name.strip().lower(), _unweighted(value.strip())
        if not colon:
            continue
        if name == "background":  # of its many values only the colour is taken
            name, value = "background-color", _colour(value)
        if name in PROPERTIES and 0 < len(value) <= MAX_VALUE and _is_harmless(name, value):
            kept.append(f"{name}:{value}")
    return ";".join(kept)


def fetches(style: str) -> bool:
    """Whether it would load something from elsewhere: that is counted and told."""
    return _FETCHES.search(style[:MAX_STYLE]) is not None


def _is_harmless(name: str, value: str) -> bool:
    """Every token is of a known kind, no number is absurd; `display` is one of those that stay in their place."""
    if name == "display":
        return value.lower() in _DISPLAYS
    at = 0
    while at < len(value):
        token = _TOKEN.match(value, at)
        if token is None or (token["number"] and float(_DIGITS.match(token["number"])[0]) > MAX_NUMBER):  # type: ignore[index]
            return False
        at = token.end()
    return True


def _unweighted(value: str) -> str:
    """Without `!important`, by which a sender fights style sheets that are not here."""
    before, mark, word = value.rpartition("!")
    return before.rstrip() if mark and word.strip().lower() == "important" else value


def _colour(value: str) -> str:
    """The colour among the values of `background`; "" when there is none."""
    if len(value) > MAX_VALUE:
        return ""
    tokens = [token for word in _SPACE.split(value) if (token := _TOKEN.fullmatch(word))]
    found = [token["colour"] or token["word"] for token in tokens if token["colour"] or token["word"]]
    return next((word for word in found if word[0] == "#" or "(" in word), found[0] if len(found) == 1 else "")
