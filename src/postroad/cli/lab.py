"""`postroad lab`: the simulated internet on its own, to test a set-up against."""

from __future__ import annotations

import click

from postroad.cli.context import Context, pass_context


@click.command()
@pass_context
def lab(context: Context) -> None:
    """Run the simulated internet: DNS at 127.0.0.1:1053, receiving servers at 127.0.0.10-19:2526.

    Recipients at remote.test choose their fate by name: accept@ 550@ 451@ greylist@ throttle@ slow@ drop@.

    \b
    postroad lab
    """
    from postroad.app.demo import run_lab

    context.run(run_lab())
