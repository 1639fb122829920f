"""`postroad demo`: a whole mail world on localhost."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from postroad.cli.context import Context, pass_context


@click.command()
@click.option("--fresh", is_flag=True, help="Begin anew: what ./.demo holds is removed first.")
@click.option(
    "--folder", default=".demo", show_default=True, type=click.Path(file_okay=False, path_type=Path), help="Its data."
)
@pass_context
def demo(context: Context, fresh: bool, folder: Path) -> None:  # noqa: ARG001 - a command of its own configuration
    """A whole mail world on localhost, at high ports and without root: the server with two domains and accounts, and
    beside it a small simulated internet. Prints what to try.

    \b
    postroad demo
    postroad demo --fresh
    """
    from postroad.app.demo import run_demo

    sys.exit(run_demo(folder, fresh=fresh))
