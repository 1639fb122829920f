"""`postroad check`: what is wrong with this set-up, and what to change."""

from __future__ import annotations

import click

from postroad.cli.context import Context, json_option, pass_context
from postroad.cli.failures import Problem
from postroad.cli.output import print_json

_MARKS = {"ok": ("ok     ", "green"), "note": ("note   ", "yellow"), "problem": ("PROBLEM", "red")}


@click.command()
@click.argument("what", required=False, default="all", type=click.Choice(["all", "mailboxes"]))
@click.option("--offline", is_flag=True, help="Ask no DNS server.")
@json_option
@pass_context
def check(context: Context, what: str, offline: bool, as_json: bool) -> None:
    """Examine settings, DNS, TLS, ports, disk, clock and database; each finding says what to change.

    `check mailboxes` proves the counts and UIDs of every mailbox instead.

    \b
    postroad check
    postroad check --offline --json
    postroad check mailboxes
    """
    from postroad.app.check import Grade, examine, examine_mailboxes

    settings = context.settings
    work = examine_mailboxes(settings) if what == "mailboxes" else examine(settings, ask_dns=not offline)
    findings = context.run(work)
    if as_json:
        print_json(findings)
    else:
        for finding in findings:
            mark, colour = _MARKS[finding.grade.value]
            click.echo(f"{click.style(mark, fg=colour)}  {finding.area}: {finding.text}")
            if finding.change:
                click.echo(f"         {finding.change}")
    problems = sum(finding.grade is Grade.PROBLEM for finding in findings)
    if problems:
        raise Problem(f"{problems} problem{'s' if problems > 1 else ''} found")
