"""`postroad tls`: how TLS with other servers went, and what a domain asks of it."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from postroad.cli.context import Context, json_option, pass_context
from postroad.cli.output import print_json, print_table


@click.group()
def tls() -> None:
    """TLS with the servers that mail goes to.

    \b
    postroad tls policy example.com
    postroad tls results --days 1
    """


@tls.command()
@click.argument("domain", default="")
@click.option("--days", default=7, show_default=True, type=click.IntRange(1, 366), help="Today and those before it.")
@json_option
@pass_context
def results(context: Context, domain: str, days: int, as_json: bool) -> None:
    """How sessions went, failures first: of all domains, or of one.

    \b
    postroad tls results
    postroad tls results example.com --days 30 --json
    """
    from postroad.reports.tlssessions import tls_sessions

    now = datetime.now(UTC)
    found = context.read(lambda tx: tls_sessions(tx, now=now, days=days, domain=domain))
    if as_json:
        print_json(found)
        return
    table = [(one.domain, one.policy, one.result or "well", one.sessions, one.host, one.reason) for one in found]
    print_table(("DOMAIN", "POLICY", "WENT", "SESSIONS", "HOST", "WHY"), table, empty="No mail has left in these days.")


@tls.command()
@click.argument("domain")
@json_option
@pass_context
def policy(context: Context, domain: str, as_json: bool) -> None:
    """What each mail host of a domain has to come to before it gets mail, and by whose word.

    \b
    postroad tls policy example.com
    """
    from postroad.app.policies import look_up

    found = context.run(look_up(context.settings, domain))
    if as_json:
        print_json(found)
        return
    table = [(one.host, one.needs, one.by, one.detail) for one in found]
    print_table(("HOST", "NEEDS", "BY", "DETAIL"), table, empty=f"{domain} has no mail host.")
