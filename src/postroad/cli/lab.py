"""`postroad lab`: the simulated internet on its own, to test a set-up against, and clients that visit it."""

from __future__ import annotations

import click

from postroad.cli.context import Context, pass_context
from postroad.cli.output import print_table


@click.group(invoke_without_command=True)
@click.option(
    "--home", default="127.0.0.1:1025", show_default=True, metavar="HOST:PORT",
    help="Your server: where late bounces and complaints are brought.",
)  # fmt: skip
@pass_context
@click.pass_context
def lab(click_context: click.Context, context: Context, home: str) -> None:
    """Run the simulated internet: DNS at 127.0.0.1:1053, receiving servers at 127.0.0.10-21:2526.

    Recipients at remote.test choose their fate by name: accept@ 550@ 451@ greylist@ throttle@ slow@ drop@. At
    late.test it is reported afterwards, by mail: bounce@ full@ delay@ prose@ away@ challenge@. At complain.test all of
    it is called spam.

    \b
    postroad lab
    postroad lab visitors
    postroad lab visit impostor --to bob@two.test
    """
    if click_context.invoked_subcommand is None:
        from postroad.app.demo import run_lab
        from postroad.config.values import listen_address

        if wrong := listen_address(home):
            raise click.UsageError(f"--home: {wrong}")
        context.run(run_lab(home))


@lab.command()
def visitors() -> None:
    """List the clients that can be sent to a front door, good ones and bad ones.

    \b
    postroad lab visitors
    """
    from postroad.lab.visitors import VISITORS

    rows = [(kind, visitor.address, visitor.does) for kind, visitor in VISITORS.items()]
    print_table(("KIND", "COMES FROM", "WHAT IT DOES"), rows, empty="There are none.")


@lab.command()
@click.argument("kind")
@click.option("--to", "recipient", default="bob@two.test", show_default=True, metavar="ADDRESS")
@click.option("--at", "server", default="127.0.0.1:1025", show_default=True, metavar="HOST:PORT", help="The server.")
@pass_context
def visit(context: Context, kind: str, recipient: str, server: str) -> None:
    """Send one client to a server, and show what both sides say. The server's DNS has to be the laboratory's.

    \b
    postroad lab visit hasty
    postroad lab visit listed --to alice@one.test --at 127.0.0.1:1025
    """
    from postroad.config.values import listen_address, split_address, suggest
    from postroad.lab.visitors import VISITORS
    from postroad.lab.visitors import visit as send
    from postroad.ports.net import Endpoint
    from postroad.ports.store import Refused

    if kind not in VISITORS:
        hint = suggest(kind, VISITORS) or "`postroad lab visitors` lists them"
        raise click.UsageError(f"there is no visitor `{kind}`; {hint}")
    if wrong := listen_address(server):
        raise click.UsageError(f"--at: {wrong}")
    try:
        lines = context.run(send(kind, Endpoint(*split_address(server)), recipient))
    except (OSError, TimeoutError) as error:
        raise Refused(f"the conversation with {server} failed: {str(error) or 'no answer'}") from error
    for line in lines:
        click.echo("".join(c if c.isprintable() else "�" for c in line))
