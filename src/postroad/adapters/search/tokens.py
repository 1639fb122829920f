"""FTS5's tokenizer, made to see the beginning of a word wherever `content.words` does: it knows an older Unicode, and
takes newer signs, such as most emoji, for letters.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import apsw

from postroad.content.words import is_part

_TABLE = ("unicode61", "remove_diacritics", "0")
_ASKED = range(0x80, 0x20000)  # beyond are ideographs, which are all alike
_SURROGATES = range(0xD800, 0xE000)


@lru_cache(maxsize=1)
def tokenizer() -> str:
    """For `tokenize=`. The separators go downwards, which FTS5 sorts fastest."""
    asked = [chr(code) for code in reversed(_ASKED) if code not in _SURROGATES]
    joined = _joined(asked)
    separators = "".join(character for character in asked if character in joined and not is_part(character))
    return f"{' '.join(_TABLE)} separators '{separators}'"


def _joined(asked: list[str]) -> set[str]:
    """Those with which FTS5 goes on with a word: each is asked for between two letters."""
    database = apsw.Connection(":memory:")
    tokenize = database.fts5_tokenizer(_TABLE[0], list(_TABLE[1:]))
    text = " ".join(f"a{character}b" for character in asked).encode()
    places: Any = tokenize(text, apsw.FTS5_TOKENIZE_DOCUMENT, None)
    found = [text[start:end].decode() for start, end, *_ in places]
    database.close()
    return {word[1] for word in found if len(word) == 3}
