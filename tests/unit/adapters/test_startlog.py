"""Start records: what a killed process leaves behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from postroad.adapters.startlog import FIRST_SLOTS, SLOT, MappedStartLog
from postroad.ports.attempts import OpenAttempt


@pytest.fixture
def path(tmp_path):
    return tmp_path / "attempts.open"


def died(log):
    """As after SIGKILL: no clean end. (Closing the map changes no record.)"""
    log.close()


def test_nothing_is_open_at_first_and_after_a_clean_end(path):
    log = MappedStartLog(path)
    assert log.crashed() == []
    ticket = log.begin(7)
    log.dot_out(ticket)
    log.end(ticket)
    log.close()
    log = MappedStartLog(path)
    assert log.crashed() == []
    log.close()


def test_an_open_record_tells_whether_the_dot_was_out(path):
    log = MappedStartLog(path)
    log.begin(7)
    log.dot_out(log.begin(8))
    died(log)
    log = MappedStartLog(path)
    assert sorted(log.crashed(), key=lambda attempt: attempt.delivery) == [
        OpenAttempt(7, False, 1),
        OpenAttempt(8, True, 1),
    ]
    log.close()


def test_deaths_in_a_row_are_counted(path):
    for expected in (1, 2, 3):
        log = MappedStartLog(path)
        log.begin(7)
        died(log)
        log = MappedStartLog(path)
        assert log.crashed() == [OpenAttempt(7, False, expected)]
        log.close()


def test_a_death_without_an_attempt_does_not_count_and_does_not_forget(path):
    log = MappedStartLog(path)
    log.begin(7)
    died(log)
    log = MappedStartLog(path)  # nothing is tried before this one dies
    died(log)
    log = MappedStartLog(path)
    assert log.crashed() == []
    log.begin(7)
    died(log)
    log = MappedStartLog(path)
    assert log.crashed() == [OpenAttempt(7, False, 2)]
    log.close()


def test_a_finished_attempt_begins_the_count_anew(path):
    log = MappedStartLog(path)
    log.begin(7)
    died(log)
    log = MappedStartLog(path)
    log.end(log.begin(7))
    log.begin(7)
    died(log)
    log = MappedStartLog(path)
    assert log.crashed() == [OpenAttempt(7, False, 1)]
    log.settle([7])
    log.begin(7)
    died(log)
    log = MappedStartLog(path)
    assert log.crashed() == [OpenAttempt(7, False, 1)]
    log.close()


def test_grows(path):
    log = MappedStartLog(path)
    tickets = [log.begin(number) for number in range(1, FIRST_SLOTS + 10)]
    assert len(set(tickets)) == len(tickets)
    assert path.stat().st_size == 2 * FIRST_SLOTS * SLOT
    died(log)
    log = MappedStartLog(path)
    assert len(log.crashed()) == len(tickets)
    log.close()


def test_a_torn_record_is_skipped(path):
    log = MappedStartLog(path)
    log.begin(7)
    died(log)
    content = bytearray(path.read_bytes())
    at = next(index for index in range(0, len(content), SLOT) if any(content[index : index + SLOT]))
    content[at + 8] ^= 1
    path.write_bytes(content)
    log = MappedStartLog(path)
    assert log.crashed() == []
    log.close()


def test_survives_sigkill(path):
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from postroad.adapters.startlog import MappedStartLog\n"
        "log = MappedStartLog(Path(sys.argv[1])); log.dot_out(log.begin(42)); log.begin(43)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, os.fspath(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    log = MappedStartLog(path)
    assert {(attempt.delivery, attempt.dot_out) for attempt in log.crashed()} == {(42, True), (43, False)}
    log.close()
