"""Where words begin."""

from __future__ import annotations

import apsw
import pytest

from postroad.adapters.search.tokens import tokenizer
from postroad.content.words import begins, is_part, words


@pytest.mark.parametrize(
    ("text", "needle", "fits"),
    [
        ("Re: invoice 42", "inv", True),
        ("Re: INVOICE 42", "inv", True),
        ("we reinvest", "inv", False),
        ("reinvest the invoice", "inv", True),
        ("<alice@example.com>", "alice@example.c", True),
        ("<alice@example.com>", "example.com", True),
        ("<alice@example.com>", "ample.com", False),
        ("malice@example.com", "alice@example.com", False),
        ("malice@example.com", "@example", True),
        ("550 5.1.1 no such user", "5.1.1 no s", True),
        ("🎉sale", "sale", True),
        ("für Müller", "müll", True),
        ("nai\u0308ve", "ve", False),
        ("", "x", False),
    ],
)
def test_a_needle_fits_from_the_beginning_of_a_word_on(text: str, needle: str, fits: bool) -> None:
    assert begins(text, needle) is fits


def test_words_are_letters_digits_and_marks() -> None:
    assert words("Re: foo_bar, «Müller» – 42€ 🎉sale") == ["re", "foo", "bar", "müller", "42", "sale"]
    assert words("a.b@Example.COM") == ["a", "b", "example", "com"]
    assert words("@@ --") == []


def test_the_index_sees_a_beginning_wherever_we_do() -> None:
    """FTS5 may see more of them, which proposes more; it must never see fewer."""
    kind, *options = tokenizer().split(" ", 3)
    options = [*options[:2], "separators", options[2].removeprefix("separators '").removesuffix("'")]
    asked = [chr(code) for code in range(0x80, 0x20000) if not 0xD800 <= code < 0xE000]
    between = [character for character in asked if not is_part(character)]
    text = " ".join(f"a{character}b" for character in between)
    database = apsw.Connection(":memory:")
    tokens = list(database.fts5_tokenizer(kind, options)(text.encode(), apsw.FTS5_TOKENIZE_DOCUMENT, None))
    database.close()
    assert len(between) > 5000
    assert [token[-1] for token in tokens] == ["a", "b"] * len(between)
