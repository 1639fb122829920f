"""`postroad explain`, with a configuration and anywhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from postroad.cli.main import postroad


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No configuration is found."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("POSTROAD_CONFIG", "POSTROAD_HOSTNAME", "POSTROAD_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)


def run(*words: str) -> str:
    done = CliRunner().invoke(postroad, ["explain", "--offline", *words])
    assert done.exit_code == 0, done.output
    return done.output


def test_it_says_what_happened_and_what_to_do() -> None:
    told = run("--recipient", "bob@example.com", "552 5.2.2 mailbox full")
    assert told.startswith("Mailbox full\n")
    assert "The mailbox bob@example.com has no room left." in told
    assert "The recipient's move:" in told
    assert "These words are known." in told


def test_words_need_no_quotes() -> None:
    assert "No such mailbox" in run("550", "5.1.1", "user", "unknown")


def test_the_host_may_be_a_provider_with_a_dialect() -> None:
    told = run("--host", "lsean.ezweb.ne.jp", "550 <bob@ezweb.ne.jp>: User unknown")
    assert "KDDI au" in told
    assert "HardBounce" in told


def test_as_json() -> None:
    told = json.loads(run("--json", "421 4.7.0 too many connections"))
    assert (told["reason"], told["permanent"], told["bounce_type"]) == ("too_many_connections", False, "Transient")


def test_a_broken_configuration_is_told(tmp_path: Path) -> None:
    (tmp_path / "broken.toml").write_text("nonsense = 1\n")
    done = CliRunner().invoke(postroad, ["--config", str(tmp_path / "broken.toml"), "explain", "5.1.1"])
    assert done.exit_code != 0


def test_strange_characters_do_not_reach_the_terminal() -> None:
    assert "\x1b" not in run("--recipient", "bob\x1b[31m@example.com", "550 5.1.1 no")
