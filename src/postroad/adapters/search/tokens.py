"""FTS5's tokenizer, made to tell words as `content.words` does: it knows an older Unicode, and no emoji at all."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import apsw

from postroad.content.words import is_part

_TABLE = ("unicode61", "remove_diacritics", "0")
_ASKED = range(0x80, 0x20000)  # letters end there, but for ideographs, which are all alike
_SURROGATES = range(0xD800, 0xE000)


@lru_cache(maxsize=1)
def tokenizer() -> str:
    """For `tokenize=`; 14 KB, most of it emoji."""
    separators, parts = _exceptions()
    return f"{' '.join(_TABLE)} separators '{separators}' tokenchars '{parts}'"


def _exceptions() -> tuple[str, str]:
    """Characters that FTS5 holds to be parts of words and we do not, and the other way round."""
    asked = [chr(code) for code in _ASKED if code not in _SURROGATES]
    joined = _joined(asked)
    separators = [character for character in asked if character in joined and not is_part(character)]
    parts = [character for character in asked if character not in joined and is_part(character)]
    return "".join(separators), "".join(parts)


def _joined(asked: list[str]) -> set[str]:
    """Those with which FTS5 goes on with a word: each is asked for between two letters."""
    database = apsw.Connection(":memory:")
    tokenize = database.fts5_tokenizer(_TABLE[0], list(_TABLE[1:]))
    text = " ".join(f"a{character}b" for character in asked).encode()
    places: Any = tokenize(text, apsw.FTS5_TOKENIZE_DOCUMENT, None)
    found = [text[start:end].decode() for start, end, *_ in places]
    database.close()
    return {word[1] for word in found if len(word) == 3}
