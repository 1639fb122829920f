"""The law that HTML shown to people must keep, whatever a stranger sent. Written apart from what makes HTML safe."""

from __future__ import annotations

import re
from html.parser import HTMLParser

_RUNS_OR_FETCHES = frozenset(
    ("script", "style", "link", "meta", "base", "iframe", "frame", "frameset", "object", "embed", "applet", "form",
     "input", "button", "select", "option", "textarea", "svg", "math", "audio", "video", "source", "track", "picture",
     "template", "noscript", "portal", "dialog", "marquee", "bgsound", "isindex", "xml", "html", "head", "body",
     "title")
)  # fmt: skip
_REFERENCES = frozenset(
    ("action", "formaction", "background", "cite", "codebase", "data", "dynsrc", "longdesc", "lowsrc", "manifest",
    "ping",
     "poster", "profile", "srcset", "srcdoc", "usemap", "xlink:href", "xmlns", "id", "name", "http-equiv", "is",
     "slot")
)  # fmt: skip
_HREF = re.compile(r"(?:https?://[^/\\\s]|mailto:|tel:)[^\s<>]*", re.IGNORECASE)
_SRC = re.compile(r"data:image/(?:png|gif|jpeg|webp);base64,[A-Za-z0-9+/]+={0,2}")
_CSS_DANGER = re.compile(  # any function but those of colours, any escape or comment, anything that leaves its place
    r"(?<!rgb)(?<!rgba)(?<!hsl)(?<!hsla)\(|[@\\<{}]|/\*|(?:behavior|binding|position|content|image|cursor)\s*:",
    re.IGNORECASE,
)


def assert_harmless(html: str) -> None:
    """Nothing in it runs, fetches, submits or names an element. Raises AssertionError."""
    judge = _Judge()
    judge.feed(html)
    judge.close()
    assert not judge.open, f"left open: {judge.open}"
    assert "\0" not in html


class _Judge(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in _RUNS_OR_FETCHES, tag
        for name, value in attrs:
            self._attribute(tag, name, value or "")
        if tag not in ("br", "hr", "img", "wbr", "col"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, tag
        assert self.open.pop() == tag

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data[:50]}")

    def handle_decl(self, decl: str) -> None:
        raise AssertionError(f"a declaration: {decl[:50]}")

    def handle_pi(self, data: str) -> None:
        raise AssertionError(f"a processing instruction: {data[:50]}")

    def unknown_decl(self, data: str) -> None:
        raise AssertionError(f"a marked section: {data[:50]}")

    @staticmethod
    def _attribute(tag: str, name: str, value: str) -> None:
        assert not name.startswith("on"), name
        assert name not in _REFERENCES, name
        if name == "href":
            assert tag == "a"
            assert _HREF.fullmatch(value), value
        elif name == "src":
            assert tag == "img"
            assert _SRC.fullmatch(value), value[:80]
        elif name == "style":
            assert not _CSS_DANGER.search(value), value
