"""`python -m tests.fuzz [--seconds N] [--target NAME] [--seed S] [--keep]`: each target for N seconds.

The exit code is 1 when there is a finding. It is printed shrunk, as a Python literal: turn it into a dialogue or a unit
test. With `--keep` what led somewhere is written, as little of it as leads everywhere, to `corpora/NAME.txt`, which the
test suite plays back.
"""

import argparse
import sys
import traceback
from pathlib import Path
from time import monotonic

from postroad.testing.fuzzing import explore, load_targets, minimised, read_corpus, write_corpus

FOLDER = Path(__file__).parent


def main() -> int:
    targets = load_targets(FOLDER)
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Mutation fuzzing, guided by coverage.")
    parser.add_argument("--seconds", type=float, default=60.0, help="for each target (default 60)")
    parser.add_argument("--target", action="append", choices=sorted(targets), help="only this one; may be repeated")
    parser.add_argument("--seed", type=int, default=1, help="where chance begins (default 1)")
    parser.add_argument("--keep", action="store_true", help="write what led somewhere to corpora/")
    options = parser.parse_args()
    findings = 0
    for name in options.target or sorted(targets):
        target, path = targets[name], FOLDER / "corpora" / f"{name}.txt"
        pool, end = read_corpus(path), monotonic() + options.seconds
        runs, finding, trail = explore(target, pool, options.seed, lambda _runs, end=end: monotonic() < end)
        print(
            f"{name}: {runs} inputs, seed {options.seed}, {len(trail.seen)} steps, {len(pool)} led on:",
            "a finding" if finding else "nothing found", flush=True,
        )  # fmt: skip
        if finding:
            findings += 1
            print(f"  input: {finding.data!r}")
            traceback.print_exception(finding.error)
        if options.keep:
            write_corpus(path, minimised(target, pool))
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
