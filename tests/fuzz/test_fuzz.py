"""Each fuzz target for a moment, with a fixed seed, and what long runs have kept; `make fuzz` goes on from there."""

from pathlib import Path

import pytest

from postroad.testing.fuzzing import Target, explore, fuzz, load_targets, minimised, read_corpus

FOLDER = Path(__file__).parent
TARGETS = load_targets(FOLDER)
CORPORA = sorted((FOLDER / "corpora").glob("*.txt"))


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_target(name: str) -> None:
    runs, finding = fuzz(TARGETS[name], 2026, lambda runs: runs < 150)
    assert finding is None, finding
    assert runs == 150


@pytest.mark.parametrize("path", CORPORA, ids=lambda path: path.stem)
def test_what_was_kept(path: Path) -> None:
    for data in read_corpus(path):
        TARGETS[path.stem].run(data)


def test_what_leads_on_is_kept_and_no_more_of_it_than_is_needed() -> None:
    target = TARGETS["proxy-header"]
    pool: list[bytes] = []
    runs, finding, trail = explore(target, pool, 1, lambda runs: runs < 300)
    assert (runs, finding) == (300, None)
    assert len(pool) > len(target.seeds), "nothing new was found from the seeds"
    kept = minimised(target, [*pool, *pool, b"not a header at all", b"nor this"])
    assert 5 < len(kept) < len(pool)
    assert len(trail.seen) > 50


def test_a_broken_law_is_found_and_shrunk() -> None:
    def run(data: bytes) -> None:
        assert b"\xff" not in data

    runs, finding = fuzz(Target(run, [b"a long and harmless seed"], [b"\xff"]), 1, lambda runs: runs < 10_000)
    assert finding is not None
    assert finding.data == b"\xff"
    assert runs < 10_000
