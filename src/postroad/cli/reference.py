"""The page docs/reference/commands.md, written from the commands themselves; a test keeps the two one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from postroad.cli.main import COMMANDS, postroad

_HEAD = """\
# Commands

<!-- Written by `python -m postroad.cli.reference`; change src/postroad/cli/ instead. -->

`postroad [--config FILE] NOUN VERB`. Exit codes: 0 good, 1 a problem found or an operation refused, 2 wrong use
(`sendmail`: those of sysexits.h). Commands that read work beside a running server and without one; those that change
something go through its control socket, and without a server take the lock on `data_dir` and do the same.
"""


def commands_page() -> str:
    """The whole page."""
    lines = [_HEAD]
    root = click.Context(postroad, info_name="postroad", **postroad.context_settings)
    for name in COMMANDS:
        command = postroad.get_command(root, name)
        assert command is not None
        lines += _sections(command, click.Context(command, info_name=name, parent=root))
    return "\n".join(lines).rstrip() + "\n"


def _sections(command: click.Command, context: click.Context) -> Iterator[str]:
    yield (
        f"## `{context.command_path}`\n"
        if context.parent and not context.parent.parent
        else (f"### `{context.command_path}`\n")
    )
    yield f"```text\n{_help(command, context)}\n```\n"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from _sections(inner, click.Context(inner, info_name=name, parent=context))


def _help(command: click.Command, context: click.Context) -> str:
    """What `--help` prints, at one width whatever the terminal."""
    formatter = click.HelpFormatter(width=100, max_width=100)
    command.format_help(context, formatter)
    return "\n".join(line.rstrip() for line in formatter.getvalue().rstrip().splitlines())


if __name__ == "__main__":
    page = Path(__file__).parents[3] / "docs" / "reference" / "commands.md"
    page.write_text(commands_page(), "utf-8")
