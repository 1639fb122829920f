"""Octets of a message's part as text: the charset that is declared, then UTF-8, then windows-1252. Never fails.

Python knows codecs that are no charsets and some that a hostile text makes slow, so only those named here are used.
"""

from __future__ import annotations

import codecs
import re
from functools import lru_cache

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,39}")
_CHARSETS = re.compile(
    r"ascii|utf-(?:7|8|8-sig|16|16-le|16-be|32|32-le|32-be)|iso8859-\d{1,2}|cp\d{3,4}|koi8-[rut]|kz1048|gb2312|gbk|gb18030|hz"
    r"|big5|big5hkscs|euc_(?:jp|kr|jis_2004|jisx0213)|shift_jis(?:_2004|x0213)?|iso2022_(?:jp|kr)\w*|johab|tis-620|ptcp154"
    r"|mac-\w+|hp-roman8"
)


def decode_text(octets: bytes, declared: str = "") -> tuple[str, str]:
    """The text, and the charset that it was read in; where octets do not fit there, they become U+FFFD."""
    known = _codec(declared.strip().strip("\"'"))
    for name in dict.fromkeys((known, "utf-8")):
        if name:
            try:
                return octets.decode(name), name
            except (UnicodeError, ValueError):
                continue
    if known and known not in ("ascii", "utf-8"):  # a few wrong octets: better a hole than another alphabet
        return octets.decode(known, "replace"), known
    return octets.decode("cp1252", "replace"), "windows-1252"


@lru_cache(maxsize=64)
def _codec(declared: str) -> str:
    """Python's name for a charset that we read; "" for others."""
    if not _NAME.fullmatch(declared):
        return ""
    try:
        name = codecs.lookup(declared).name
    except (LookupError, ValueError):
        return ""
    return name if _CHARSETS.fullmatch(name) else ""
