"""The page of reasons and replies is what the tables say."""

from pathlib import Path

from postroad.cli.reasons import reasons_page

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "reasons.md"


def test_the_page_is_clean() -> None:
    assert PAGE.read_text(encoding="utf-8") == reasons_page(), "run: .venv/bin/python -m postroad.cli.reasons"
