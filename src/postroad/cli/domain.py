"""`postroad domain`: the domains that this server takes mail for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from postroad.accounts.returnpaths import usual_name
from postroad.cli.context import Context, json_option, pass_context
from postroad.cli.failures import Problem
from postroad.cli.output import print_facts, print_json, print_table, when
from postroad.ports.store import DomainKind, DomainRecord, Refused

if TYPE_CHECKING:
    from postroad.reports.dnscheck import RecordFinding


@click.group()
def domain() -> None:
    """Domains that this server takes mail for.

    \b
    postroad domain add example.com                               mailboxes live here
    postroad domain add old.example --alias-of example.com        another name of it
    postroad domain add branch.example --relay-to 10.0.0.5:2525   taken and passed on
    """


@domain.command()
@click.argument("name")
@click.option("--relay-to", metavar="HOST[:PORT]", default="", help="Pass all its mail on to this host.")
@click.option("--alias-of", metavar="DOMAIN", default="", help="Every address is the same address at DOMAIN.")
@pass_context
def add(context: Context, name: str, relay_to: str, alias_of: str) -> None:
    """Add a domain; postmaster@ and abuse@ go to the administrator.

    \b
    postroad domain add example.com
    """
    if relay_to and alias_of:
        raise click.UsageError("--relay-to and --alias-of cannot both be meant")
    made = context.change("domain.add", name=name, relay_to=relay_to, alias_of=alias_of)
    click.echo(f"Added {made['name']} ({_KINDS[DomainKind(made['kind'])]}).")
    if made["kind"] == DomainKind.LOCAL:
        click.echo(f"Next: postroad account add someone@{made['name']}; postroad domain records {made['name']}")


@domain.command(name="list")
@json_option
@pass_context
def list_(context: Context, as_json: bool) -> None:
    """All domains.

    \b
    postroad domain list --json
    """
    records = context.read(lambda tx: tx.domains.list())
    if as_json:
        print_json(records)
        return
    rows = [(record.name, _KINDS[record.kind], _leads_to(record), when(record.created)) for record in records]
    print_table(("DOMAIN", "KIND", "LEADS TO", "ADDED"), rows, empty="No domains yet: postroad domain add example.com")


@domain.command()
@click.argument("name")
@json_option
@pass_context
def show(context: Context, name: str, as_json: bool) -> None:
    """One domain with its accounts and aliases.

    \b
    postroad domain show example.com
    """
    record = _get(context, name)
    accounts = context.read(lambda tx: tx.accounts.list(record.name))
    aliases = context.read(lambda tx: tx.aliases.list(record.name))
    if as_json:
        print_json({"domain": record, "accounts": [a.address for a in accounts], "aliases": aliases})
        return
    print_facts(
        [
            ("domain", record.name),
            ("kind", _KINDS[record.kind]),
            ("leads to", _leads_to(record)),
            ("added", when(record.created)),
            ("accounts", ", ".join(account.address for account in accounts)),
            *((f"alias {alias.address}", ", ".join(alias.targets)) for alias in aliases),
        ]
    )


@domain.command()
@click.argument("name")
@pass_context
def remove(context: Context, name: str) -> None:
    """Remove a domain that has no accounts any more.

    \b
    postroad domain remove old.example
    """
    made = context.change("domain.remove", name=name)
    click.echo(f"Removed {made['name']}.")


@domain.command()
@click.argument("name")
@json_option
@pass_context
def records(context: Context, name: str, as_json: bool) -> None:
    """The DNS records that a domain wants.

    \b
    postroad domain records example.com
    """
    from postroad.reports.dnscheck import records_wanted

    record = _get(context, name)
    of = record.name
    wanted = records_wanted(of, context.settings.hostname, record.kind, _return_path(context, of))
    if as_json:
        print_json(wanted)
        return
    for one in wanted:
        click.echo(f"{one.name}.\tIN\t{one.kind}\t{one.value}\t; {one.why}")


@domain.command()
@click.argument("name")
@json_option
@pass_context
def verify(context: Context, name: str, as_json: bool) -> None:
    """Compare the DNS records that a domain wants with what DNS has; exit 1 when some differ.

    \b
    postroad domain verify example.com
    """
    from postroad.app.records import verify_records

    record = _get(context, name)
    findings = context.run(verify_records(context.settings, record.name, _return_path(context, record.name)))
    if as_json:
        print_json(findings)
    else:
        print_findings(findings)
    if not all(finding.good for finding in findings):
        raise Problem("DNS does not have what this domain wants; change it as said above")


@domain.command(name="return-path")
@click.argument("name")
@click.argument("host", default="")
@click.option("--off", is_flag=True, help="Back to the server's own return addresses.")
@click.option("--unchecked", is_flag=True, help="Do not look at DNS first.")
@pass_context
def return_path(context: Context, *, name: str, host: str, off: bool, unchecked: bool) -> None:
    """Have bounces of what streams send from a domain come back below that domain, at HOST (bounces.NAME).

    So SPF speaks for the author of the mail, and providers see one name. HOST wants two records in DNS, which are
    looked at first.

    \b
    postroad domain return-path example.com
    postroad domain return-path example.com mail-back.example.com
    postroad domain return-path example.com --off
    """
    record = _get(context, name)
    if not off:
        host = host or usual_name(record.name)
        if not unchecked:
            look_at_return_path(context, host)
    context.change("domain.return_path", domain=record.name, name=host, off=off)
    where = f"the server's own domain, {context.settings.returns.domain or context.settings.hostname}" if off else host
    click.echo(f"Bounces of what streams send from {record.name} come back to {where}.")


def look_at_return_path(context: Context, host: str) -> None:
    """Raises Problem when DNS does not lead here."""
    from postroad.app.records import verify_return_path_of
    from postroad.reports.dnscheck import return_path_wanted

    findings = context.run(verify_return_path_of(context.settings, host))
    if all(finding.good for finding in findings):
        return
    print_findings(findings)
    click.echo("Wanted:")
    for wanted in return_path_wanted(host, context.settings.hostname):
        click.echo(f"{wanted.name}.\tIN\t{wanted.kind}\t{wanted.value}\t; {wanted.why}")
    raise Problem("DNS has not got these records yet; add them first, or say --unchecked")


def print_findings(findings: Sequence[RecordFinding]) -> None:
    for finding in findings:
        click.echo(f"{'ok     ' if finding.good else 'PROBLEM'}  {finding.text}")
        if finding.change:
            click.echo(f"         {finding.change}")


def _return_path(context: Context, domain: str) -> str:
    records = context.read(lambda tx: tx.return_paths.list())
    return next((record.name for record in records if record.domain == domain), "")


_KINDS = {DomainKind.LOCAL: "mailboxes", DomainKind.RELAY: "relay", DomainKind.ALIAS: "alias"}


def _leads_to(record: DomainRecord) -> str:
    if record.kind is DomainKind.RELAY:
        return f"{record.relay_host}:{record.relay_port}"
    return record.target


def _get(context: Context, name: str) -> DomainRecord:
    from postroad.accounts.names import read_domain

    ascii_name = read_domain(name)
    record = context.read(lambda tx: tx.domains.get(ascii_name))
    if record is None:
        raise Refused(f"there is no domain {ascii_name}; `postroad domain list` shows those there are")
    return record
