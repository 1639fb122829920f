"""Where a command takes a password from: a pipe, the environment or the terminal; never the command line's history."""

from __future__ import annotations

import os
import secrets
import sys
from typing import Any

import click

password_option = click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input (its first line)."
)


def read_password(from_stdin: bool, *, confirm: bool) -> str:
    """The password, from standard input, POSTROAD_PASSWORD, or asked for at the terminal."""
    if from_stdin:
        line = sys.stdin.readline().rstrip("\r\n")
        if not line:
            raise click.UsageError("--password-stdin: there was nothing on standard input")
        return line
    if given := os.environ.get("POSTROAD_PASSWORD"):
        return given
    if not sys.stdin.isatty():
        raise click.UsageError("no password: use --password-stdin, or set POSTROAD_PASSWORD")
    answer: Any = click.prompt("Password", hide_input=True, confirmation_prompt=confirm)
    return str(answer)


def make_password() -> str:
    """A password that nobody has to think up: about 95 bits."""
    return "-".join(secrets.token_urlsafe(3) for _ in range(4))
