"""`python -m bench accept|matrix|logins|relay|queue|idle|api|console|steps [options]`; without a name, all of them."""

from __future__ import annotations

import importlib
import sys

from bench.harness import Unable, say

NAMES = ("accept", "matrix", "logins", "relay", "queue", "idle", "api", "console", "steps")


def main() -> int:
    words = sys.argv[1:]
    if words and words[0].startswith("-h"):
        say(__doc__ or "")
        return 0
    if words and words[0] not in NAMES:
        say(f"no benchmark is called {words[0]}; there are: {', '.join(NAMES)}")
        return 2
    try:
        for name in words[:1] or NAMES:
            importlib.import_module(f"bench.{name}").main(words[1:])
    except Unable as reason:
        say(f"bench stops: {reason}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
