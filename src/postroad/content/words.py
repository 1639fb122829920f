"""Where words begin: what a search for messages goes by. Pure.

A word is letters, digits and the marks on them. A needle fits where it stands in a text from the beginning of a word
on, whatever follows, so that results come while one types: `inv` fits "Re: invoice", but not "reinvest".
"""

from __future__ import annotations

import re
import unicodedata
from itertools import groupby

_ASCII = re.compile(r"[a-z0-9]+")
_UNKNOWN = ("Cn", "Co")  # characters that this program is too old to know, and private ones


def is_part(character: str) -> bool:
    """Whether a word goes on with it."""
    category = unicodedata.category(character)
    return category[0] in "LNM" or category in _UNKNOWN


def words(text: str) -> list[str]:
    """The words of a text, in order, in lower case."""
    text = text.lower()
    if text.isascii():
        return _ASCII.findall(text)
    return ["".join(run) for inside, run in groupby(text, is_part) if inside]


def begins(text: str, needle: str) -> bool:
    """Whether `needle`, in lower case, stands in `text` from the beginning of a word on."""
    text = text.lower()
    at = text.find(needle)
    while at >= 0:
        if at == 0 or not (is_part(text[at - 1]) and is_part(needle[0])):
            return True
        at = text.find(needle, at + 1)
    return False
