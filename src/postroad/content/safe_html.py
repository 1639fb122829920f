"""Hostile HTML made safe to show: what a message says, without anything that runs, fetches, submits or hides.

Two defences, neither of which trusts the other. First the text is read leniently (`html_tokens.py`) and written anew
from allow-lists of elements, attributes and values, within limits, every element closed where it belongs; then nh3,
which parses as browsers do, cleans that by the same lists. Whoever shows the result adds two more: a sandboxed frame
and a policy header. Nothing here knows any attack by name.

Pictures from elsewhere become placeholders, pictures of the message are put into the page as data. Links stay links,
open elsewhere, and show their true host.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Callable
from html import escape
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import nh3

from postroad.content.html_rules import (
    ACTIVE,
    CLOSES,
    CONTROLS,
    DATA_PICTURE,
    ELEMENTS,
    MAX_WORDS,
    SCHEMES,
    SOURCES,
    VOID,
    allowed_attributes,
    fences,
)
from postroad.content.html_tokens import Tag, tokens
from postroad.content.raster import raster
from postroad.content.safe_css import PROPERTIES, fetches

MAX_INPUT = 1024 * 1024  # characters; mail programs clip at a tenth of that
MAX_TOKENS = 60_000  # tags and runs of text; a long newsletter has 5,000
MAX_ELEMENTS = 20_000
MAX_DEPTH = 100  # elements in one another; table-built newsletters reach 40
MAX_REFERENCES = 20_000  # signs in text that are written as `&amp;` and the like: nh3's time grows with their square
MAX_PICTURES = 8 * 1024 * 1024  # octets of pictures put into the page, each use counted
MAX_HREF = 2048
_LONGEST_HOST = 255
_WITH_HOST = re.compile(r"//[^/\\]")
_HOST = re.compile(r"[a-z0-9._:-]{1,255}")
_IN_URLS = {ord(" "): "%20", ord("<"): "%3C", ord(">"): "%3E", ord('"'): "%22", **dict.fromkeys(map(ord, "\t\r\n"))}


class SafeHtml(NamedTuple):
    """`html` may stand in the body of a page. `notices` say in plain words what was left out, for people."""

    html: str
    blocked: int = 0  # pictures and other things that would have been fetched from elsewhere
    hosts: tuple[str, ...] = ()  # from where, as far as is known
    missing: int = 0  # pictures that should be in the message and are not, or cannot be shown
    removed: int = 0  # elements that run, submit or embed
    notices: tuple[str, ...] = ()


Pictures = Callable[[str], bytes | None]


def safe_html(html: str, pictures: Pictures = lambda _: None) -> SafeHtml:
    """Make `html` safe; `pictures` gives the octets of the part with a Content-ID. Bounded whatever the text."""
    writer = _Writer(pictures)
    writer.read(html)
    return SafeHtml(
        _CLEANER(writer.written()),
        writer.blocked,
        tuple(writer.hosts),
        writer.missing,
        writer.removed,
        tuple(writer.notices),
    )


class _Writer:
    """Writes anew what it reads, from the allow-lists. `_open` are the names of the elements open now."""

    def __init__(self, pictures: Pictures) -> None:
        self._pictures = pictures
        self._budget = MAX_PICTURES
        self._seen: dict[str, str] = {}
        self._open: list[str] = []
        self._out: list[str] = []
        self._elements = self._references = 0
        self.blocked = self.missing = self.removed = 0
        self.hosts: dict[str, None] = {}
        self.notices: dict[str, None] = {}

    def read(self, html: str) -> None:
        if len(html) > MAX_INPUT:
            self.notices[f"Only the first {MAX_INPUT // 1024} KiB of the HTML are shown."] = None
        for count, token in enumerate(tokens(html[:MAX_INPUT])):
            if count >= MAX_TOKENS or self._elements >= MAX_ELEMENTS or self._references > MAX_REFERENCES:
                self._too_much()
                return
            if isinstance(token, str):
                self._text(token.translate(CONTROLS))
            elif token.name not in ELEMENTS:
                self._unknown(token)
            elif token.closing:
                self._end(token.name)
            else:
                self._start(token)

    def written(self) -> str:
        return "".join((*self._out, *(f"</{name}>" for name in reversed(self._open))))

    def _too_much(self) -> None:
        self.notices["There is more in the HTML than can be shown; the rest was left out."] = None

    def _text(self, text: str) -> None:
        references = _references(text)
        if self._references + references > MAX_REFERENCES:
            text = text[: MAX_REFERENCES - self._references]
            self._too_much()
        self._references += references
        self._out.append(escape(text, quote=False))

    def _unknown(self, token: Tag) -> None:
        if token.closing:
            return
        if token.name in ACTIVE:
            self.removed += 1
        source = next((value for name in SOURCES if (value := token.attributes.get(name))), "")
        if source and token.name != "base":
            self._block(source)

    def _start(self, token: Tag) -> None:
        name = token.name
        self._close_implied(name)
        if name not in VOID and len(self._open) >= MAX_DEPTH:
            self.notices[f"Elements nested deeper than {MAX_DEPTH} were flattened."] = None
            return
        self._elements += 1
        attributes = self._attributes(token)
        if name == "img":
            source = (token.attributes.get("src", "") or token.attributes.get("srcset", "")).strip()
            if _is_pixel(attributes) and not _is_inside(source):
                self._block(source)
                return
            attributes |= self._picture(source, attributes.get("alt", ""))
        elif name == "a":
            attributes |= _link(token.attributes.get("href", ""))
        text = "".join(f' {key}="{escape(value)}"' for key, value in attributes.items())
        self._references += _references(text)
        self._out.append(f"<{name}{text}>")
        if name not in VOID:
            self._open.append(name)

    def _attributes(self, token: Tag) -> dict[str, str]:
        allowed = allowed_attributes(token.name)
        if "background" in token.attributes:
            self._block(token.attributes["background"])
        if fetches(token.attributes.get("style", "")):
            self._block("")
        safe = ((name, allowed[name](value)) for name, value in token.attributes.items() if name in allowed)
        return {name: value for name, value in safe if value or name == "alt"}

    def _close_implied(self, name: str) -> None:
        closes, limits = CLOSES.get(name), fences(name)
        if closes is None:
            return
        for at in range(len(self._open) - 1, -1, -1):
            if self._open[at] in closes:
                self._close_to(at)
                return
            if self._open[at] in limits:
                return

    def _end(self, name: str) -> None:
        limits = fences(name, closing=True)
        for at in range(len(self._open) - 1, -1, -1):
            if self._open[at] == name:
                self._close_to(at)
                return
            if self._open[at] in limits:
                return

    def _close_to(self, at: int) -> None:
        while len(self._open) > at:
            self._out.append(f"</{self._open.pop()}>")

    def _picture(self, source: str, alt: str) -> dict[str, str]:
        """Where the picture comes from: the message itself, or nowhere, with words that say why."""
        data = self._data(source)
        if data and len(data) <= self._budget:
            self._budget -= len(data)
            return {"src": data}
        if _is_inside(source):
            self.missing += 1
            why = "picture that cannot be shown"
        else:
            self._block(source)
            why = "picture not loaded"
        return {"class": "blocked", "alt": f"[{why}: {alt}]" if alt else f"[{why}]", "title": _host(source)}

    def _data(self, source: str) -> str:
        """A picture of the message as a `data:` URL; "" where it is none of a safe kind. Each is read once."""
        if source not in self._seen:
            octets = self._octets(source)
            found = raster(octets) if octets else None
            data = f"data:{found.type};base64,{b64encode(octets).decode('ascii')}" if found and octets else ""
            self._seen[source] = data
        return self._seen[source]

    def _octets(self, source: str) -> bytes | None:
        if source[:4].lower() == "cid:":
            return self._pictures(unquote(source[4:]).strip("<> "))
        data = DATA_PICTURE.fullmatch(source)
        try:
            return b64decode(data[1]) if data else None
        except NotBase64:
            return None

    def _block(self, url: str) -> None:
        self.blocked += 1
        if (host := _host(url)) and len(self.hosts) < 20:
            self.hosts[host] = None


def _is_pixel(attributes: dict[str, str]) -> bool:
    """A picture that nobody is meant to see: it is there to be fetched."""
    return any(attributes.get(side, "").rstrip("px") in ("0", "1", "2") for side in ("width", "height"))


def _is_inside(source: str) -> bool:
    """It says that the message itself has it."""
    return source[:5].lower().startswith(("cid:", "data:"))


def _references(text: str) -> int:
    return sum(map(text.count, "&<>\xa0"))


def _host(url: str) -> str:
    """The host that a URL leads to, as a browser would find it; "" where there is none to name."""
    try:
        host = urlsplit(url.strip().replace("\\", "/")).hostname or ""
        return host if host.isascii() else host[:_LONGEST_HOST].encode("idna").decode("ascii")
    except (ValueError, UnicodeError):
        return ""


def _link(url: str) -> dict[str, str]:
    """A link's attributes; none for what leads nowhere that a mail may lead."""
    url = url.strip(" \t\r\n\f").translate(_IN_URLS)
    scheme, colon, rest = url.partition(":")
    scheme = scheme.lower()
    if not colon or scheme not in SCHEMES or len(url) > MAX_HREF or not url.isprintable():
        return {}
    if scheme in ("http", "https"):  # `https:name` without slashes would lead to ourselves
        shown = _host(url) if _WITH_HOST.match(rest) else ""
        shown = shown if _HOST.fullmatch(shown) else ""
    else:
        shown = rest.partition("?")[0][:100]
    return {"href": url, "data-host": shown, "title": url[:MAX_WORDS]} if shown else {}


def _second_look(_element: str, attribute: str, value: str) -> str | None:
    """nh3 asks about every attribute that it would keep."""
    if attribute == "src" and not DATA_PICTURE.fullmatch(value):
        return None
    return value if attribute != "href" or value.partition(":")[0].lower() in SCHEMES else None


_OURS = {"a": ("href", "data-host"), "img": ("src",)}  # attributes that are written here and nowhere else
_CLEANER = nh3.Cleaner(
    tags=set(ELEMENTS),
    attributes={name: {*allowed_attributes(name), *_OURS.get(name, ())} for name in ELEMENTS},
    attribute_filter=_second_look,
    allowed_classes={"img": {"blocked"}},
    url_schemes={*SCHEMES, "data"},
    url_relative="deny",
    filter_style_properties=set(PROPERTIES),
    link_rel="noopener noreferrer nofollow",
    set_tag_attribute_values={"a": {"target": "_blank"}},
    strip_comments=True,
).clean
