"""A lenient reader of hostile HTML: any text in, tags and runs of text out, in one pass forward.

It cuts markup the way browsers do (the HTML standard, 13.2.5) where that matters: quoted values, comments, and elements
whose content is no markup. It need not be exact, since nothing is shown as it stands here: `safe_html.py` writes what
it keeps anew, in a form that can be read in one way only.

Every search starts where the last one ended and each tag yields at most MAX_ATTRIBUTES, so that the work grows with the
text and with nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from typing import NamedTuple

MAX_ATTRIBUTES = 40  # of one tag; real ones have ten, and a parser compares each with all before it
MAX_VALUE = 256 * 1024  # characters of an attribute's value (a picture may stand in one); longer ones are left out
DROPPED = frozenset(
    ("script", "style", "title", "textarea", "xmp", "iframe", "noembed", "noframes", "plaintext", "template", "object",
     "applet", "audio", "video", "svg", "math")
)  # elements that go with all that is in them  # fmt: skip

_TAG = re.compile(r"(/?)([a-zA-Z][^\s/>]{0,40}+)[^\s/>]*+")
_ATTRIBUTE = re.compile(
    r"[\s/]*+([^\s/>][^\s/>=]*+)(?:\s*+=\s*+(?:\"([^\"]*+)(\"|\Z)|'([^']*+)('|\Z)|((?![\"'])[^\s>]*+)))?"
)
_END = re.compile(r"[\s/]*+>")
_COMMENT_END = re.compile(r"--!?>")
_LONG_NUMBER = re.compile(r"&#[xX]?[0-9a-fA-F]{10,}+;?")  # Python refuses to read numbers of many thousand digits
_CLOSERS = {name: re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE) for name in DROPPED}


class Tag(NamedTuple):
    """`name` in lower case. Values are unescaped; of attributes of one name the first counts, as in browsers."""

    name: str
    closing: bool
    attributes: dict[str, str]


def tokens(html: str) -> Iterator[Tag | str]:
    """Tags and runs of text; text comes unescaped. Comments, declarations and dropped elements are passed over."""
    at, end = 0, len(html)
    while at < end:
        mark = html.find("<", at)
        if mark < 0:
            mark = end
        if mark > at:
            yield _plain(html[at:mark])
        if mark == end:
            return
        tag = _TAG.match(html, mark + 1)
        if tag is None:
            at = _after_no_tag(html, mark)
            if at == mark + 1:
                yield "<"
            continue
        token, at = _tag(html, tag)
        if token is None:
            return  # the text ends inside a tag: browsers drop such a tag too
        if token.name in DROPPED and not token.closing:
            closer = _CLOSERS[token.name].search(html, at)
            at = closer.start() if closer else end
        yield token


def _after_no_tag(html: str, mark: int) -> int:
    """Where reading goes on behind a `<` that begins no tag: behind the comment or declaration, else at once."""
    if html.startswith("<!--", mark):
        if html.startswith((">", "->"), mark + 4):  # an empty comment, as browsers see it
            return html.index(">", mark + 4) + 1
        comment_end = _COMMENT_END.search(html, mark + 4)
        return comment_end.end() if comment_end else len(html)
    if html.startswith(("<!", "<?", "</"), mark):
        close = html.find(">", mark + 2)
        return close + 1 if close >= 0 else len(html)
    return mark + 1


def _tag(html: str, tag: re.Match[str]) -> tuple[Tag | None, int]:
    """The tag whose name was matched, and where it ends; None when it has no end."""
    at = tag.end()
    attributes: dict[str, str] = {}
    while not (close := _END.match(html, at)):
        found = _ATTRIBUTE.match(html, at)
        if found is None:
            return None, len(html)
        at = found.end()
        if len(attributes) < MAX_ATTRIBUTES:
            name, double, _, single, _, bare = found.groups()
            value = next((text for text in (double, single, bare) if text is not None), "")
            if len(value) <= MAX_VALUE:
                attributes.setdefault(name.lower(), _plain(value))
    return Tag(tag[2].lower(), bool(tag[1]), attributes), close.end()


def _plain(text: str) -> str:
    """Text with its character references read."""
    return unescape(_LONG_NUMBER.sub("\ufffd", text)) if "&" in text else text
