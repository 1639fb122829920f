"""`postroad queue`: what waits, why, and what a person may do about it."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click
from msgspec import structs

from postroad.adapters.ids import made_at
from postroad.cli.context import Context, dry_run_option, json_option, pass_context
from postroad.cli.failures import Problem
from postroad.cli.message import read_span, why_not
from postroad.cli.output import print_json, print_table, span, when
from postroad.ports.ids import AccountId, DeliveryId, MessageId, ServerId, id_text, parse_id
from postroad.ports.store import DeliveryState, QueueEntry, QueueFilter, QueueSummary, Tx
from postroad.queue import view
from postroad.queue.view import KEYS

PAGE = 500
MANY = 50_000  # recipients, of which counting shows how far it is


@click.group()
def queue() -> None:
    """What waits to be delivered.

    \b
    postroad queue summary                        by next hop; --by provider, age, domain, tenant, cause
    postroad queue list --domain example.org
    postroad queue retry --domain example.org     try now
    postroad queue cancel --sender spammer@example.com --dry-run
    """


def filter_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that choose deliveries."""
    options = (
        click.option("--message", default="", metavar="ID", help="Recipients of this message."),
        click.option("--domain", default="", metavar="NAME", help="Recipients at this domain."),
        click.option("--recipient", default="", metavar="TEXT", help="Addresses that hold this text."),
        click.option("--dest", default="", metavar="KEY", help="This next hop, as `queue summary` names it."),
        click.option("--provider", default="", metavar="NAME", help="All that this provider takes mail for."),
        click.option("--sender", default="", metavar="ADDRESS", help="From this envelope sender."),
        click.option("--account", default="", metavar="ADDRESS", help="Sent by this account."),
        click.option("--server", default="", metavar="NAME", help="Sent by this project."),
        click.option("--stream", default="", metavar="NAME", help="Of this message stream."),
        click.option("--tag", default="", metavar="NAME", help="With this tag."),
        click.option("--cause", default="", metavar="REASON", help="Put off for this reason, such as greylisted."),
        click.option("--older-than", default="", metavar="SPAN", help="Accepted longer ago, such as 2h or 3d."),
        click.option("--younger-than", default="", metavar="SPAN", help="Accepted within so long."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def read_filter(
    context: Context, idents: tuple[str, ...], options: dict[str, str], state: DeliveryState | None = None
) -> list[QueueFilter]:
    """One filter for each id given, or one for the options."""
    texts: Any = {name: options[name] for name in ("dest", "provider", "sender", "stream", "tag", "recipient")}
    common = QueueFilter(
        message=MessageId(_number(options["message"])) if options["message"] else None,
        domain=options["domain"].lower(),
        cause=options["cause"] or None,
        older_than=read_span(options["older_than"]),
        younger_than=read_span(options["younger_than"]),
        account=_account(context, options["account"]) if options["account"] else None,
        server=_server(context, options["server"]) if options["server"] else None,
        state=state,
        **texts,
    )
    if not idents:
        return [common]
    return [structs.replace(common, delivery=DeliveryId(_number(ident))) for ident in idents]


def _account(context: Context, address: str) -> AccountId:
    record = context.read(lambda tx: tx.accounts.by_address(address.lower()))
    if record is None:
        raise click.UsageError(f"there is no account {address}; `postroad account list` shows them")
    return record.id


def _server(context: Context, name: str) -> ServerId:
    servers = context.read(lambda tx: tx.servers.list())
    found = next((server.id for server in servers if server.name == name), None)
    if found is None:
        raise click.UsageError(f"there is no project {name}; `postroad server list` shows them")
    return found


def _number(ident: str) -> int:
    number = parse_id(ident)
    if number is None:
        raise click.UsageError(f"`{ident}` is not an id; `postroad queue list` shows them")
    return number


@queue.command(name="list")
@filter_options
@click.option("--state", type=click.Choice(["queued", "held"]), help="Only these.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 100_000))
@json_option
@pass_context
def list_(context: Context, /, *, state: str | None, limit: int, as_json: bool, **options: str) -> None:
    """Recipients that wait, oldest first.

    \b
    postroad queue list --domain example.org --older-than 2h
    """
    (where,) = read_filter(context, (), options, DeliveryState(state) if state else None)
    entries = context.read(lambda tx: tx.deliveries.queue(where, limit=limit))
    if as_json:
        print_json([_entry_json(entry) for entry in entries])
        return
    now = datetime.now(UTC)
    rows = [
        (id_text(e.delivery.id), e.delivery.forward_path, e.message.reverse_path or "<>", _state(e),
         span((now - e.message.created).total_seconds()), e.delivery.tries, when(e.delivery.due),
         e.delivery.last_status or "")
        for e in entries
    ]  # fmt: skip
    columns = ("ID", "RECIPIENT", "FROM", "STATE", "AGE", "TRIES", "NEXT TRY", "LAST REPLY")
    print_table(columns, rows, empty="The queue is empty.")


def _state(entry: QueueEntry) -> str:
    wish = f", {entry.delivery.wish.value} asked" if entry.delivery.wish else ""
    return entry.delivery.state.value + wish


@queue.command()
@click.argument("ident", metavar="ID")
@json_option
@pass_context
def show(context: Context, ident: str, as_json: bool) -> None:
    """One waiting recipient (or all of one message) with its last reply and next try.

    \b
    postroad queue show 0c1x2d3f4g5h6
    """
    number = _number(ident)

    def read(tx: Tx) -> list[QueueEntry]:
        by_delivery = tx.deliveries.queue(QueueFilter(delivery=DeliveryId(number)))
        return by_delivery or tx.deliveries.queue(QueueFilter(message=MessageId(number)))

    entries = context.read(read)
    if not entries:
        raise click.ClickException(f"{ident} does not wait; `postroad message show {ident}` tells what became of it")
    if as_json:
        print_json([_entry_json(entry) for entry in entries])
        return
    from postroad.cli.output import print_facts

    for entry in entries:
        delivery = entry.delivery
        print_facts(
            [
                ("id", id_text(delivery.id)),
                ("message", id_text(entry.message.id)),
                ("from", entry.message.reverse_path or "<>"),
                ("recipient", delivery.forward_path),
                ("sent to", delivery.orig),
                ("subject", entry.message.subject),
                ("state", _state(entry)),
                ("held for", delivery.held_for),
                ("next hop", delivery.dest),
                ("tries", delivery.tries),
                ("next try", when(delivery.due)),
                ("given up", when(delivery.expires)),
                ("last reply", delivery.last_status or ""),
                *zip(("what happened", "next step"), why_not(entry.message, delivery), strict=False),
            ]
        )
        click.echo()


@queue.command()
@click.option("--by", type=click.Choice(KEYS), default="dest", show_default=True, help="What is counted together.")
@json_option
@pass_context
def summary(context: Context, by: str, as_json: bool) -> None:
    """The queue in figures. By `domain`, `tenant` and `cause` each recipient is looked at: a few seconds for a million.

    \b
    postroad queue summary
    postroad queue summary --by provider
    """
    if by == "dest":
        _summarize_dests(context, as_json)
        return
    shares = _shares(context, by, quiet=as_json)
    if as_json:
        print_json([dataclasses.asdict(share) for share in shares])
        return
    now = datetime.now(UTC)
    rows = [
        (share.key or "(none)", share.queued, share.held,
         span((now - share.oldest).total_seconds()) if share.oldest else "", share.last_text)
        for share in shares
    ]  # fmt: skip
    print_table((by.upper(), "QUEUED", "HELD", "OLDEST", "LAST REPLY"), rows, empty="The queue is empty.")


def _shares(context: Context, by: str, *, quiet: bool) -> list[view.Share]:
    if by == "provider":
        return view.by_provider(context.read(lambda tx: tx.deliveries.summary()))
    if by == "age":
        return context.read(lambda tx: view.by_age(tx, datetime.now(UTC), made_at))
    return context.run(_count(context, by, quiet))


async def _count(context: Context, by: str, quiet: bool) -> list[view.Share]:
    """Slice by slice, saying how far it is."""
    from postroad.app.access import reading

    async with reading(context.settings) as store:
        total, _ = await store.read(lambda tx: tx.deliveries.depth())
        found: dict[str, view.Share] = {}
        with click.progressbar(length=total, label="Counting", file=sys.stderr, hidden=quiet or total < MANY) as bar:
            place = None
            while True:
                part = await store.read(view.slice_of(by, place))
                bar.update(view.add_up(found, part))
                if part.place is None:
                    return view.largest_first(found)
                place = part.place


def _summarize_dests(context: Context, as_json: bool) -> None:
    parts = context.read(lambda tx: tx.deliveries.summary())
    if as_json:
        print_json(parts)
        return
    now = datetime.now(UTC)
    rows = [_summary_row(part, now) for part in parts]
    columns = ("NEXT HOP", "PROVIDER", "QUEUED", "HELD", "OLDEST", "NEXT TRY", "LAST REPLY")
    print_table(columns, rows, empty="The queue is empty.")


def _summary_row(part: QueueSummary, now: datetime) -> tuple[object, ...]:
    age = span((now - part.oldest).total_seconds())
    return part.dest, part.provider, part.queued, part.held, age, when(part.next_due), part.last_text


def _entry_json(entry: QueueEntry) -> dict[str, object]:
    return {"delivery": entry.delivery, "message": entry.message}


def _action(name: str, done: str, text: str, example: str, *extra: Callable[..., Any]) -> click.Command:
    """A command that changes what waits: `retry`, `hold`, `release`, `cancel`, `bounce`, `reroute`."""
    flags = " --to smarthost" if extra else ""

    @queue.command(
        name=name, help=f"{text}\n\n\b\npostroad queue {name} 0c1x2d3f4g5h6{flags}\npostroad queue {name} {example}"
    )
    @click.argument("idents", metavar="[ID]...", nargs=-1)
    @filter_options
    @click.option("--all", "everything", is_flag=True, help="All that waits.")
    @dry_run_option
    @_with(extra)
    @pass_context
    def command(
        context: Context, /, *, idents: tuple[str, ...], everything: bool, dry_run: bool, to: str = "", **options: str
    ) -> None:
        if not (idents or everything or any(options.values())):
            raise click.UsageError("say which: ids, options such as --domain, or --all")
        filters = read_filter(context, idents, options)
        if dry_run:
            _show_chosen(context, filters, name)
            return
        more = {"to": to} if to else {}
        changed = sum(context.change(f"queue.{name}", **_filter_json(where), **more) for where in filters)
        if idents and not changed:
            raise Problem(f"nothing of this can be changed so; `postroad queue show {idents[0]}` tells how it stands")
        click.echo(f"{changed} recipient{'s' if changed != 1 else ''} {done}.")

    assert isinstance(command, click.Command)
    return command


def _with(options: tuple[Callable[..., Any], ...]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def apply(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in options:
            command = option(command)
        return command

    return apply


def _show_chosen(context: Context, filters: list[QueueFilter], name: str) -> None:
    entries = context.read(lambda tx: [e for where in filters for e in tx.deliveries.queue(where, limit=PAGE)])
    for entry in entries:
        click.echo(f"{id_text(entry.delivery.id)}  {entry.delivery.forward_path}  {entry.delivery.state.value}")
    more = " or more" if len(entries) >= PAGE else ""
    click.echo(f"Would {name} {len(entries)}{more}; nothing has been changed.")


def _filter_json(where: QueueFilter) -> dict[str, Any]:
    """A filter as the control socket carries it."""
    values = {key: value for key, value in structs.asdict(where).items() if value}
    for name in ("older_than", "younger_than"):
        if name in values:
            values[name] = int(values[name].total_seconds())
    if where.state:
        values["state"] = where.state.value
    return values


retry = _action("retry", "will be tried now", "Try now, without waiting for the next due time.", "--domain example.org")
hold = _action("hold", "held", "Hold: no more tries until released; nothing is lost.", "--domain example.org")
release = _action("release", "released", "Release what is held; it is tried now.", "--all")
cancel = _action(
    "cancel", "cancelled", "Cancel for good; the sender gets no report.", "--sender bob@example.com --dry-run"
)
bounce = _action(
    "bounce",
    "returned",
    "Return to the senders, with a report; nothing more is tried.",
    "--domain example.org --dry-run",
)
reroute = _action(
    "reroute",
    "sent another way",
    "Send another way: `mx`, `smarthost`, a host such as relay.example:25, lmtp://host:24, or `usual` again.",
    "--to smarthost --provider microsoft",
    click.option("--to", required=True, metavar="WAY", help="The way: see above."),
)


@queue.command(name="trust-clock")
@pass_context
def trust_clock(context: Context) -> None:
    """Say that the clock of this machine is right. While it is not believed, nothing expires.

    \b
    postroad queue trust-clock
    """
    now = context.change("queue.trust-clock")
    click.echo(f"The queue goes by the clock again: it is {now}.")
