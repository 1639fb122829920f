"""`postroad ledger`: the proof that every accepted recipient is accounted for."""

from __future__ import annotations

import click

from postroad.cli.context import Context, json_option, pass_context
from postroad.cli.failures import Problem
from postroad.cli.output import print_json


@click.command()
@click.option("--deep", is_flag=True, help="Read the segments too and compare them with the rows.")
@json_option
@pass_context
def ledger(context: Context, deep: bool, as_json: bool) -> None:
    """Prove that every accepted recipient is in exactly one state, or list what breaks that.

    \b
    postroad ledger          rows against rows, beside a running server
    postroad ledger --deep   rows against content too; reads all of it
    """
    from postroad.app.ledger import prove

    report = context.run(prove(context.settings, deep=deep))
    if as_json:
        print_json({"totals": report.totals, "problems": report.problems, "clean": report.is_clean})
    else:
        click.echo(report.summary)
        for problem in report.problems:
            click.echo(f"PROBLEM  {problem}")
    if not report.is_clean:
        raise Problem("the ledger does not balance")
