"""Mutation fuzzing in pure Python: targets, mutations, the loop, and the shrinking of what was found.

A target takes any bytes and raises when its law is broken. `python -m tests.fuzz` runs them for long and is guided by
where an input leads (`trail.py`): what goes a new way is kept, and mutated in its turn. The test suite runs each for a
moment, blindly, and what was kept of the long runs.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from time import process_time

from postroad.testing.trail import Trail

MAX_INPUT = 16 * 1024
MAX_KEPT = 1024  # octets of an input that is kept in the repository
SLOW = 5.0  # seconds of CPU, traced, after which an input is a finding too
_INTERESTING = (
    b"",
    b"\0",
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\n.\r\n",
    b"\xff",
    b"\x80",
    b"0",
    b"-1",
    b"4294967296",
    b"A" * 1100,
)


@dataclass(frozen=True, slots=True)
class Target:
    """What is fuzzed: a function of bytes, good inputs to begin with, and words that mean something to it."""

    run: Callable[[bytes], None]
    seeds: Sequence[bytes]
    dictionary: Sequence[bytes] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """An input that breaks the law, as short as it could be made."""

    data: bytes
    error: Exception


def load_targets(folder: Path) -> dict[str, Target]:
    """`TARGETS` of every `targets*.py` in the folder, by name."""
    found: dict[str, Target] = {}
    for path in sorted(folder.glob("targets*.py")):
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found.update(module.TARGETS)
    return found


def inputs(target: Target, random: Random, pool: Sequence[bytes] = ()) -> Iterator[bytes]:
    """The seeds as they are, then mutations of them, or of what is in the pool by then, without end."""
    yield from target.seeds
    pool = pool or target.seeds
    while True:
        data = random.choice(pool)
        for _ in range(random.randint(1, 6)):
            data = _mutate(data, target, pool, random)
        yield data[:MAX_INPUT]


def _mutate(data: bytes, target: Target, pool: Sequence[bytes], random: Random) -> bytes:
    at = random.randint(0, len(data))
    upto = min(len(data), at + random.randint(1, 32))
    match random.randrange(7):
        case 0:
            return data[:at] + random.randbytes(random.randint(1, 4)) + data[at:]
        case 1:
            return data[:at] + data[upto:]
        case 2:
            return data[:upto] + data[at:]
        case 3:
            return data[:at] + random.choice((*_INTERESTING, *target.dictionary)) + data[at:]
        case 4:
            return data[:at] + random.choice((*_INTERESTING, *target.dictionary)) + data[upto:]
        case 5:
            other = random.choice(pool)
            return data[:at] + other[random.randint(0, len(other)) :]
        case _:
            return data[:at] + bytes([data[at] ^ 1 << random.randrange(8)]) + data[at + 1 :] if at < len(data) else data


def fuzz(target: Target, seed: int, go_on: Callable[[int], bool]) -> tuple[int, Finding | None]:
    """Run inputs while `go_on(runs so far)`; returns how many ran and the first finding."""
    runs = 0
    for data in inputs(target, Random(seed)):  # noqa: S311 - mutations, not secrets
        if not go_on(runs):
            break
        runs += 1
        error = _failure(target, data)
        if error is not None:
            return runs, _shrink(target, Finding(data, error))
    return runs, None


def explore(
    target: Target, pool: list[bytes], seed: int, go_on: Callable[[int], bool]
) -> tuple[int, Finding | None, Trail]:
    """As `fuzz`, guided: what leads on is added to the pool, which is mutated. Slow inputs are findings as well."""
    trail, runs = Trail(), 0
    for data in list(pool):
        _follow(trail, target, data)
        trail.leads_on()
    pool.extend(target.seeds)
    for data in inputs(target, Random(seed), pool):  # noqa: S311 - as above
        if not go_on(runs):
            break
        runs += 1
        error = _follow(trail, target, data)
        if error is not None:
            return runs, _shrink(target, Finding(data, error)), trail
        if trail.leads_on():
            pool.append(data)
    return runs, None, trail


def _follow(trail: Trail, target: Target, data: bytes) -> Exception | None:
    began = process_time()
    try:
        trail.follow(target.run, data)
    except Exception as error:  # as in `_failure`
        return error
    took = process_time() - began
    return TimeoutError(f"an input took {took:.1f} seconds of CPU") if took > SLOW else None


def minimised(target: Target, pool: Iterable[bytes]) -> list[bytes]:
    """Of these the shortest, small ones that together still lead everywhere."""
    trail, kept = Trail(), []
    for data in sorted({data for data in pool if len(data) <= MAX_KEPT}, key=lambda data: (len(data), data)):
        if _follow(trail, target, data) is None and trail.leads_on():
            kept.append(data)
    return kept


def read_corpus(path: Path) -> list[bytes]:
    """What was kept for a target: a literal on each line; nothing where there is no file."""
    return [ast.literal_eval(line) for line in path.read_text("ascii").splitlines()] if path.exists() else []


def write_corpus(path: Path, kept: Iterable[bytes]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(f"{data!r}\n" for data in kept), "ascii")


def _failure(target: Target, data: bytes) -> Exception | None:
    try:
        target.run(data)
    except Exception as error:  # whatever it is, it is a finding
        return error
    return None


def _shrink(target: Target, finding: Finding) -> Finding:
    """Leave out pieces while the same kind of error remains."""
    size = max(len(finding.data) // 2, 1)
    while size:
        start = 0
        while start < len(finding.data):
            shorter = finding.data[:start] + finding.data[start + size :]
            error = _failure(target, shorter)
            if error is not None and type(error) is type(finding.error):
                finding = Finding(shorter, error)
            else:
                start += size
        size //= 2
    return finding
