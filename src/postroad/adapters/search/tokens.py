"""FTS5's tokenizer, made to see the beginning of a word wherever `content.words` does: it knows an older Unicode, and
takes newer signs, such as most emoji, for letters.
"""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Any

import apsw

from postroad.content.words import is_part

_TABLE = ("unicode61", "remove_diacritics", "0")
_ASKED = range(0x80, 0x20000)  # beyond are ideographs, which are all alike
_SURROGATES = range(0xD800, 0xE000)
_SLICE = 512  # characters, less than a millisecond's work
_PAUSE = 0.001  # seconds


@lru_cache(maxsize=1)
def tokenizer() -> str:
    """For `tokenize=`. The separators go downwards, which FTS5 sorts fastest.

    Found in slices with pauses: the thread that asks holds the interpreter's lock meanwhile, and the loop needs it.
    """
    database = apsw.Connection(":memory:")
    tokenize: Any = database.fts5_tokenizer(_TABLE[0], list(_TABLE[1:]))
    found = []
    for high in range(_ASKED.stop, _ASKED.start, -_SLICE):
        codes = reversed(range(max(high - _SLICE, _ASKED.start), high))
        found += _separators(tokenize, [chr(code) for code in codes if code not in _SURROGATES])
        time.sleep(_PAUSE)
    database.close()
    return f"{' '.join(_TABLE)} separators '{''.join(found)}'"


def _separators(tokenize: Any, asked: list[str]) -> list[str]:
    """Those with which FTS5 goes on with a word, though there it ends: each is asked for between two letters."""
    text = " ".join(f"a{character}b" for character in asked).encode()
    words = [text[start:end].decode() for start, end, *_ in tokenize(text, apsw.FTS5_TOKENIZE_DOCUMENT, None)]
    joined = {word[1] for word in words if len(word) == 3}
    return [character for character in asked if character in joined and not is_part(character)]
