"""What may stay of hostile HTML: elements, attributes and values that only shape what is read. Everything else may not.

Pure tables; `safe_html.py` obeys them twice.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from postroad.content.html_tokens import DROPPED
from postroad.content.safe_css import safe_style

MAX_SPAN = 100  # colspan and rowspan: a few large ones make a table of millions
MAX_LENGTH = 3000  # of width and height attributes
MAX_WORDS = 300  # characters of alt and title

_BLOCKS = frozenset(
    ("p", "div", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "pre", "address", "center", "article", "section",
     "header", "footer", "main", "aside", "nav", "figure", "figcaption", "ul", "ol", "li", "dl", "dt", "dd")
)  # fmt: skip
_INLINE = frozenset(
    ("a", "abbr", "b", "big", "bdi", "bdo", "cite", "code", "del", "dfn", "em", "font", "i", "ins", "kbd", "mark", "q",
     "s", "samp", "small", "span", "strike", "strong", "sub", "sup", "tt", "u", "var")
)  # fmt: skip
_TABLE = frozenset(("table", "caption", "colgroup", "thead", "tbody", "tfoot", "tr", "td", "th"))
VOID = frozenset(("br", "hr", "img", "wbr", "col"))
ELEMENTS = _BLOCKS | _INLINE | _TABLE | VOID

# What an element closes that was left open, as far up as the nearest fence (the HTML standard, 13.1.2.4).
_ROWS = frozenset(("thead", "tbody", "tfoot", "caption", "colgroup"))
CLOSES: dict[str, frozenset[str]] = {
    **dict.fromkeys((*_BLOCKS, "table", "hr"), frozenset(("p",))),
    **dict.fromkeys(("dt", "dd"), frozenset(("dt", "dd"))),
    **dict.fromkeys(("td", "th"), frozenset(("td", "th"))),
    **dict.fromkeys(("thead", "tbody", "tfoot"), _ROWS),
    **{name: frozenset((name,)) for name in ("p", "li", "tr", "a")},
}
_CELLS = frozenset(("table", "td", "th", "caption"))
_FENCES: dict[str, frozenset[str]] = {
    "li": _CELLS | {"ul", "ol"},
    **dict.fromkeys(("dt", "dd"), _CELLS | {"dl"}),
    **dict.fromkeys(("td", "th", "tr", "thead", "tbody", "tfoot"), frozenset(("table",))),
}


def fences(name: str, *, closing: bool = False) -> frozenset[str]:
    """Open elements beyond which this one closes nothing."""
    if closing:
        return frozenset(("table",)) if name in _TABLE else _CELLS
    return _FENCES.get(name, _CELLS)


_WORD = re.compile(r"[a-zA-Z0-9 -]{1,40}")
_LENGTH = re.compile(r"([0-9]{1,4})(?:\.[0-9]{1,4})?(%|px)?")
_COLOUR = re.compile(r"#?[a-zA-Z0-9]{1,20}")
SOURCES = ("src", "href", "data", "poster", "background")
_SMALL = re.compile(r"[-+]?[0-9]{1,3}")
CONTROLS = dict.fromkeys((*range(9), 11, 12, *range(14, 32), *range(127, 160)))
SCHEMES = frozenset(("http", "https", "mailto", "tel"))
DATA_PICTURE = re.compile(r"data:image/(?:png|gif|jpe?g|webp);base64,([A-Za-z0-9+/=\s]*)", re.IGNORECASE)

ACTIVE = DROPPED - {"title"} | frozenset(
    ("form", "input", "button", "select", "embed", "frame", "frameset", "base", "meta", "link")
)  # that run, submit or embed: their removal is told  # fmt: skip


def _matching(pattern: re.Pattern[str]) -> Callable[[str], str]:
    return lambda value: value if pattern.fullmatch(value) else ""


def _length(value: str) -> str:
    found = _LENGTH.fullmatch(value)
    return value if found and int(found[1]) <= MAX_LENGTH else ""


def _span(value: str) -> str:
    return value if value.isascii() and value.isdigit() and len(value) < 4 and int(value) <= MAX_SPAN else ""


def _words(value: str) -> str:
    return value[:MAX_WORDS].translate(CONTROLS)


_word, _colour, _small = _matching(_WORD), _matching(_COLOUR), _matching(_SMALL)
_ANYWHERE: dict[str, Callable[[str], str]] = {
    "style": safe_style, "dir": _word, "lang": _word, "title": _words, "align": _word, "valign": _word,
    "width": _length, "height": _length, "bgcolor": _colour,
}  # fmt: skip
_OF: dict[str, dict[str, Callable[[str], str]]] = {
    "font": {"color": _colour, "size": _small, "face": _matching(re.compile(r"[\w ,-]{1,100}"))},
    "table": {"border": _small, "cellpadding": _small, "cellspacing": _small, "bordercolor": _colour},
    "td": {"colspan": _span, "rowspan": _span, "nowrap": _word},
    "th": {"colspan": _span, "rowspan": _span, "nowrap": _word},
    "col": {"span": _span},
    "colgroup": {"span": _span},
    "ol": {"start": _small, "type": _word},
    "ul": {"type": _word},
    "li": {"value": _small},
    "hr": {"size": _small, "color": _colour, "noshade": _word},
    "img": {"alt": _words, "border": _small, "hspace": _small, "vspace": _small},
}


def allowed_attributes(name: str) -> dict[str, Callable[[str], str]]:
    """Attributes of an element, each with what makes its value safe, or empty."""
    return _ALLOWED[name]


_ALLOWED = {name: _ANYWHERE | _OF.get(name, {}) for name in ELEMENTS}
