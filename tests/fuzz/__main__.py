"""`python -m tests.fuzz [--seconds N] [--target NAME] [--seed S]`: each target for N seconds; exit 1 on a finding.

A finding is printed shrunk, as a Python literal: turn it into a dialogue or a unit test.
"""

import argparse
import sys
import traceback
from pathlib import Path
from time import monotonic

from postroad.testing.fuzzing import fuzz, load_targets


def main() -> int:
    targets = load_targets(Path(__file__).parent)
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Seeded mutation fuzzing.")
    parser.add_argument("--seconds", type=float, default=60.0, help="for each target (default 60)")
    parser.add_argument("--target", action="append", choices=sorted(targets), help="only this one; may be repeated")
    parser.add_argument("--seed", type=int, default=1, help="the same seed tries the same inputs (default 1)")
    options = parser.parse_args()
    findings = 0
    for name in options.target or sorted(targets):
        end = monotonic() + options.seconds
        runs, finding = fuzz(targets[name], options.seed, lambda _runs, end=end: monotonic() < end)
        print(f"{name}: {runs} inputs, seed {options.seed}: {'a finding' if finding else 'nothing found'}", flush=True)
        if finding:
            findings += 1
            print(f"  input: {finding.data!r}")
            traceback.print_exception(finding.error)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
