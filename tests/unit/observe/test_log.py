"""Log lines: shape, secrets, and a stdout that nobody reads."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Iterator

import pytest

from postroad.observe import log
from postroad.ports.ids import id_text


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    log.stop()
    for end in (reading, writing):
        with contextlib.suppress(OSError):
            os.close(end)


def lines_of(pipe: tuple[int, int]) -> list[str]:
    log.stop()
    os.close(pipe[1])
    with os.fdopen(os.dup(pipe[0]), encoding="utf-8") as stream:
        return stream.read().splitlines()


def test_json_lines_carry_ids_from_step_to_step(pipe: tuple[int, int]) -> None:
    log.start(format="json", level="info", fd=pipe[1])
    connection = log.get("smtp").bind(connection="c1")
    connection.bind(message=1 << 40).info("accepted", size=12, recipients=["a@example.com"])
    line = json.loads(lines_of(pipe)[0])
    assert line["at"].endswith("Z")
    assert {k: line[k] for k in ("level", "part", "event", "connection", "message", "size", "recipients")} == {
        "level": "info", "part": "smtp", "event": "accepted", "connection": "c1", "message": id_text(1 << 40),
        "size": 12, "recipients": ["a@example.com"],
    }  # fmt: skip


def test_text_lines_stay_one_line_whatever_a_peer_sends(pipe: tuple[int, int]) -> None:
    log.start(format="text", level="info", fd=pipe[1])
    log.get("smtp").warning("odd", helo='a\r\nroot: "fake" \x1b[31m', none=None)
    (line,) = lines_of(pipe)
    assert "smtp: odd helo=\"a\\r\\nroot: 'fake' \\x1b[31m\" none=None" in line


@pytest.mark.parametrize("shape", ["json", "text"])
def test_secrets_and_bodies_are_left_out(pipe: tuple[int, int], shape: str) -> None:
    log.start(format=shape, level="info", fd=pipe[1])
    log.get("x").info("login", password="hush", token="hush", body="hush", data=b"hush")
    (line,) = lines_of(pipe)
    assert "hush" not in line
    assert "<4 octets>" in line


def test_level_holds_back_and_can_change(pipe: tuple[int, int]) -> None:
    log.start(format="text", level="warning", fd=pipe[1])
    logger = log.get("x")
    logger.info("first")
    log.set_level("info")
    logger.info("second")
    assert [line.split()[-1] for line in lines_of(pipe)] == ["second"]


def test_exception_has_its_traceback(pipe: tuple[int, int]) -> None:
    log.start(format="text", level="info", fd=pipe[1])
    try:
        raise ValueError("broken promise")
    except ValueError as error:
        log.get("x").exception("failed", error)
    lines = lines_of(pipe)
    assert "error=\"ValueError('broken promise')\"" in lines[0]
    assert lines[1].startswith("Traceback")


def test_long_values_are_cut_and_odd_ones_shown(pipe: tuple[int, int]) -> None:
    log.start(format="json", level="info", fd=pipe[1])
    log.get("x").info("e", text="y" * 5000, error=KeyError("k"))
    line = json.loads(lines_of(pipe)[0])
    assert len(line["text"]) == log.MAX_TEXT + 1
    assert line["error"] == "'k'"


def test_before_start_nothing_happens() -> None:
    log.get("x").info("nowhere")
    assert log.dropped() == 0


def test_stalled_stdout_costs_lines_never_time(pipe: tuple[int, int]) -> None:
    writer = log.start(format="text", level="info", fd=pipe[1])
    logger = log.get("x")
    began = time.monotonic()
    for number in range(log.MAX_QUEUED + 5000):  # far more than a pipe holds
        logger.info("line", number=number)
    assert time.monotonic() - began < 20
    assert 0 < writer.dropped <= 5000
    writer.stop(patience=0.05)  # gives up on a stalled reader
    threading.Thread(target=_drain, args=(os.dup(pipe[0]),), daemon=True).start()


def test_reader_that_went_away_is_counted(pipe: tuple[int, int]) -> None:
    writer = log.start(format="text", level="info", fd=pipe[1])
    os.close(pipe[0])
    log.get("x").info("gone")
    log.stop()
    assert writer.dropped == 1


def test_say_stands_among_the_lines_and_without_a_writer_goes_to_stdout(
    pipe: tuple[int, int], capsys: pytest.CaptureFixture[str]
) -> None:
    log.say("ready")
    assert capsys.readouterr().out == "ready\n"
    log.start(format="json", level="info", fd=pipe[1])
    log.say("listening mx 127.0.0.1:25")
    assert lines_of(pipe) == ["listening mx 127.0.0.1:25"]


def _drain(fd: int) -> None:
    while os.read(fd, 65536):
        pass
    os.close(fd)
