"""`postroad quickstart`: from nothing to a server for one's own domain."""

from __future__ import annotations

from pathlib import Path

import click

from postroad.cli.context import Context, pass_context
from postroad.cli.passwords import make_password, password_option, read_password


@click.command()
@click.argument("address")
@click.option("--hostname", default="", metavar="NAME", help="Name of this machine; left out: mail.DOMAIN.")
@click.option("--data-dir", default=None, type=click.Path(path_type=Path), help="Left out: postroad-data beside it.")
@click.option("--system", is_flag=True, help="Write /etc/postroad/postroad.toml, keep data in /var/lib/postroad.")
@password_option
@pass_context
def quickstart(
    context: Context, *, address: str, hostname: str, data_dir: Path | None, system: bool, password_stdin: bool
) -> None:
    """Write a configuration, make domain, account and a certificate, print the DNS records to publish.

    ADDRESS becomes the first account and the administrator: postmaster@ and abuse@ go there, and it opens the console
    with the same password (of eight characters or more). An existing configuration is never overwritten.

    \b
    postroad quickstart you@example.com
    sudo postroad quickstart you@example.com --system
    """
    import os

    from postroad.app.quickstart import Plan, carry_out, opens_console
    from postroad.app.words import command_line

    config = Path(context.named_config or "postroad.toml")
    if system:
        config, data_dir = Path("/etc/postroad/postroad.toml"), Path("/var/lib/postroad")
    asked = password_stdin or "POSTROAD_PASSWORD" in os.environ
    password = read_password(password_stdin, confirm=True) if asked else make_password()
    plan = Plan.make(address, hostname, config, data_dir)
    records = context.run(carry_out(plan, password))

    shown = None if config == Path("postroad.toml") else config
    click.echo(f"Wrote {plan.config}; data in {plan.data_dir}.")
    click.echo(f"Account {plan.address}, the administrator" + ("." if asked else f", with the password {password}"))
    way = "with the same address and password" if opens_console(password) else "by the sign-in link below"
    click.echo(f"Console https://{plan.hostname}/console/, {way}.")
    click.echo(f"Certificate {plan.certificate} is self-signed: put one of a real authority in its place for others.")
    click.echo("\nPublish these DNS records:\n")
    for record in records:
        click.echo(f"  {record.name}.\tIN\t{record.kind}\t{record.value}\t; {record.why}")
    click.echo("\nThen:")
    click.echo(f"  {command_line(shown, 'check')}    is everything in place?")
    click.echo(
        f"  {command_line(shown, 'serve')}    run the server (ports below 1024 need root or CAP_NET_BIND_SERVICE)"
    )
    if not opens_console(password):
        click.echo(
            f"  {command_line(shown, 'admin', 'link', plan.address)}    a short password is no key to the console"
        )
