"""Each fuzz target for a moment, with a fixed seed; `make fuzz` goes on from there."""

from pathlib import Path

import pytest

from postroad.testing.fuzzing import Target, fuzz, load_targets

TARGETS = load_targets(Path(__file__).parent)


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_target(name: str) -> None:
    runs, finding = fuzz(TARGETS[name], 2026, lambda runs: runs < 150)
    assert finding is None, finding
    assert runs == 150


def test_a_broken_law_is_found_and_shrunk() -> None:
    def run(data: bytes) -> None:
        assert b"\xff" not in data

    runs, finding = fuzz(Target(run, [b"a long and harmless seed"], [b"\xff"]), 1, lambda runs: runs < 10_000)
    assert finding is not None
    assert finding.data == b"\xff"
    assert runs < 10_000
