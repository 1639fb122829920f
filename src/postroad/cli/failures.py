"""Errors as people read them: what happened, and the next step. A bug of ours keeps its traceback."""

from __future__ import annotations

import sys
import traceback

import click

from postroad.config.problems import ConfigError
from postroad.ports.store import Refused, StoreUnavailable

# Exceptions of `app` whose text says all, by name: to import them would have every command import the whole server.
_PLAIN = frozenset({"Locked", "NotRunning", "CannotListen"})
_NO_CONFIGURATION = frozenset({"hostname", "--config", "POSTROAD_CONFIG"})  # what is wrong where there is no file
PROBLEM = 1
MISUSE = 2


class Problem(click.ClickException):
    """Something was found wrong, or refused: exit code 1."""

    exit_code = PROBLEM


def explain(error: Exception) -> int:
    """Write what an exception means to stderr; the exit code to leave with."""
    match error:
        case ConfigError():
            _explain_config(error)
        case Refused():
            _say(str(error))
        case _ if type(error).__name__ in _PLAIN:
            _say(str(error))
        case StoreUnavailable():
            _say(f"the store cannot take this now: {error}", "`postroad check` looks at disk and database")
        case PermissionError():
            _say(str(error), "run this as the user that runs the server")
        case ConnectionRefusedError():
            _say(str(error), "is the server running? start it with `postroad serve`")
        case OSError():
            _say(str(error))
        case UnicodeEncodeError():
            _say("what was typed is not valid UTF-8")
        case _:
            traceback.print_exception(error)
            _say("this is a bug in postroad", "please report it with the lines above")
    return PROBLEM


def _explain_config(error: ConfigError) -> None:
    where = f" in {error.source}" if error.source else ""
    number = len(error.problems)
    _say(f"{number} problem{'s' if number > 1 else ''}{where}:")
    for problem in error.problems:
        print(f"  {problem}", file=sys.stderr)
    if error.source is None and any(problem.path in _NO_CONFIGURATION for problem in error.problems):
        print("Write a configuration with: postroad quickstart you@example.com", file=sys.stderr)
        print("or name one with --config FILE; to just look around: postroad demo", file=sys.stderr)


def _say(text: str, step: str = "") -> None:
    print(f"Error: {text}" + (f"\n  {step}" if step else ""), file=sys.stderr)
