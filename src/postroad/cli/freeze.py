"""`postroad freeze`: stop what a sender has sent and sends, and let it go on."""

from __future__ import annotations

from collections.abc import Callable

import click

from postroad.cli.context import Context, json_option, pass_context
from postroad.cli.output import print_json, print_table, when
from postroad.ports.senders import SenderKind


@click.group()
def freeze() -> None:
    """Hold all mail of a sender: what waits, within a second, and what it sends from now on.

    \b
    postroad freeze account alice@example.com
    postroad freeze list
    postroad freeze account alice@example.com --release
    """


_release_option = click.option("--release", is_flag=True, help="Let it send again, and send what was held of it.")
Decorator = Callable[[Callable[..., None]], click.Command]


def _command(kind: SenderKind) -> Decorator:
    return freeze.command(name=kind.value)


def _act(context: Context, kind: SenderKind, name: str, release: bool) -> None:
    if release:
        count = context.change("senders.release", kind=kind.value, name=name)
        click.echo(f"Released; {count} recipient{'s' if count != 1 else ''} will be tried now.")
        return
    made = context.change("senders.freeze", kind=kind.value, name=name)
    who = f"{made['kind']} {made['name']}".strip()
    click.echo(f"Frozen: {who}. Its mail is held until: postroad freeze {kind} {name}".rstrip() + " --release")


@_command(SenderKind.ACCOUNT)
@click.argument("address")
@_release_option
@pass_context
def account(context: Context, address: str, release: bool) -> None:
    """All mail that an account submits.

    \b
    postroad freeze account alice@example.com
    postroad freeze account alice@example.com --release
    """
    _act(context, SenderKind.ACCOUNT, address, release)


@_command(SenderKind.TOKEN)
@click.argument("token")
@_release_option
@pass_context
def token(context: Context, token: str, release: bool) -> None:
    """All mail sent with a token; TOKEN is its id, or the last four characters of its secret.

    \b
    postroad freeze token 0b6x1c2d3e4f5
    """
    _act(context, SenderKind.TOKEN, token, release)


@_command(SenderKind.STREAM)
@click.argument("stream", metavar="SERVER/STREAM")
@_release_option
@pass_context
def stream(context: Context, stream: str, release: bool) -> None:
    """All mail of one message stream.

    \b
    postroad freeze stream shop/broadcast
    """
    _act(context, SenderKind.STREAM, stream, release)


@_command(SenderKind.ALL)
@_release_option
@pass_context
def all_(context: Context, release: bool) -> None:
    """Everything: nothing leaves this server, and nothing reaches a mailbox, until it is released.

    \b
    postroad freeze all
    postroad freeze all --release
    """
    _act(context, SenderKind.ALL, "", release)


@freeze.command(name="list")
@json_option
@pass_context
def list_(context: Context, as_json: bool) -> None:
    """Who is frozen, and who is over its limits, with what is held of them.

    \b
    postroad freeze list
    """
    from postroad.queue.senders import read_states

    states = context.read(read_states)
    if as_json:
        print_json(states)
        return
    rows = [(s.key.kind, s.name, "frozen" if s.hold else "limit", s.held, when(s.since), s.why) for s in states]
    print_table(("KIND", "NAME", "STATE", "HELD", "SINCE", "WHY"), rows, empty="Nobody is held back.")
