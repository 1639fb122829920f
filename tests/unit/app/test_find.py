"""`postroad message list QUERY`: the console's searches, from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from postroad.adapters.clock import SystemClock
from postroad.cli.main import postroad
from postroad.cli.message import _kept_together
from postroad.testing.search import catch_up, small_index
from postroad.testing.server import write_configuration
from postroad.testing.stores import Mail, open_store


@pytest.fixture
async def config(tmp_path) -> Path:
    """Two messages that are indexed, and one that is not yet."""
    config = write_configuration(tmp_path)
    data = tmp_path / "data"
    data.mkdir()
    mail = Mail(SystemClock())
    async with open_store(data, clock=mail.clock) as store:
        await store.accept(mail.remote("bob@far.test", subject="Your order 41"))
        await store.accept(mail.remote("carol@far.test", subject="order from you"))
        index = small_index(store, data)
        await catch_up(index, mail.now)
        await index.close()
        await store.accept(mail.remote("bob@far.test", subject="Your order 42"))
    return config


def run(config: Path, *words: str, code: int = 0) -> str:
    done = CliRunner().invoke(postroad, ["--config", str(config), "message", "list", *words])
    assert done.exit_code == code, done.output
    return done.output


@pytest.mark.parametrize(
    ("words", "subjects"),
    [
        (["order", "to:bob"], ["Your order 42", "Your order 41"]),
        (["subject:your order"], ["Your order 42", "Your order 41"]),
        (["your order"], ["Your order 42", "Your order 41"]),
        (["order", "--limit", "2"], ["Your order 42", "order from you"]),
        (["state:bounced"], []),
    ],
)
def test_a_query_finds_what_is_indexed_and_what_is_not(config, words, subjects) -> None:
    found = json.loads(run(config, *words, "--json"))
    assert [one["message"]["subject"] for one in found] == subjects
    assert all(one["deliveries"] for one in found)


def test_what_cannot_be_understood_is_told(config) -> None:
    assert "did you mean `subject:`" in run(config, "subjet:x", code=2)
    assert "QUERY says all by itself" in run(config, "order", "--since", "2h", code=2)


def test_quotes_of_the_shell_hold_words_together() -> None:
    assert _kept_together("subject:your order") == 'subject:"your order"'
    assert _kept_together("your order") == '"your order"'
    assert _kept_together("the answer: no") == '"the answer: no"'
    assert _kept_together('to:"a b"') == 'to:"a b"'
    assert _kept_together("order") == "order"
