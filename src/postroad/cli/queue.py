"""`postroad queue`: what waits, why, and what a person may do about it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click
from msgspec import structs

from postroad.cli.context import Context, dry_run_option, json_option, pass_context
from postroad.cli.failures import Problem
from postroad.cli.message import read_span, why_not
from postroad.cli.output import print_json, print_table, span, when
from postroad.ports.ids import DeliveryId, MessageId, id_text, parse_id
from postroad.ports.store import DeliveryState, QueueEntry, QueueFilter, QueueSummary, Tx

PAGE = 500


@click.group()
def queue() -> None:
    """What waits to be delivered.

    \b
    postroad queue summary                        by next hop, with the commonest reply
    postroad queue list --domain example.org
    postroad queue retry --domain example.org     try now
    postroad queue cancel --sender spammer@example.com --dry-run
    """


def filter_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that choose deliveries."""
    options = (
        click.option("--message", default="", metavar="ID", help="Recipients of this message."),
        click.option("--domain", default="", metavar="NAME", help="Recipients at this domain."),
        click.option("--dest", default="", metavar="KEY", help="This next hop, as `queue summary` names it."),
        click.option("--sender", default="", metavar="ADDRESS", help="From this envelope sender."),
        click.option("--older-than", default="", metavar="SPAN", help="Accepted longer ago, such as 2h or 3d."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def read_filter(
    idents: tuple[str, ...], options: dict[str, str], state: DeliveryState | None = None
) -> list[QueueFilter]:
    """One filter for each id given, or one for the options."""
    common = {
        "message": MessageId(_number(options["message"])) if options["message"] else None,
        "domain": options["domain"],
        "dest": options["dest"],
        "sender": options["sender"],
        "older_than": read_span(options["older_than"]),
        "state": state,
    }
    if not idents:
        return [QueueFilter(**common)]  # type: ignore[arg-type]
    return [QueueFilter(**{**common, "delivery": DeliveryId(_number(ident))}) for ident in idents]  # type: ignore[arg-type]


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
    (where,) = read_filter((), options, DeliveryState(state) if state else None)
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
@json_option
@pass_context
def summary(context: Context, as_json: bool) -> None:
    """The queue by next hop.

    \b
    postroad queue summary
    """
    parts = context.read(lambda tx: tx.deliveries.summary())
    if as_json:
        print_json(parts)
        return
    now = datetime.now(UTC)
    rows = [_summary_row(part, now) for part in parts]
    columns = ("NEXT HOP", "QUEUED", "HELD", "OLDEST", "NEXT TRY", "LAST REPLY")
    print_table(columns, rows, empty="The queue is empty.")


def _summary_row(part: QueueSummary, now: datetime) -> tuple[object, ...]:
    age = span((now - part.oldest).total_seconds())
    return part.dest, part.queued, part.held, age, when(part.next_due), part.last_text


def _entry_json(entry: QueueEntry) -> dict[str, object]:
    return {"delivery": entry.delivery, "message": entry.message}


def _action(name: str, done: str, text: str, example: str) -> click.Command:
    """A command that changes what waits: `retry`, `hold`, `release`, `cancel`."""

    @queue.command(
        name=name, help=f"{text}\n\n\b\npostroad queue {name} 0c1x2d3f4g5h6\npostroad queue {name} {example}"
    )
    @click.argument("idents", metavar="[ID]...", nargs=-1)
    @filter_options
    @click.option("--all", "everything", is_flag=True, help="All that waits.")
    @dry_run_option
    @pass_context
    def command(
        context: Context, /, *, idents: tuple[str, ...], everything: bool, dry_run: bool, **options: str
    ) -> None:
        if not (idents or everything or any(options.values())):
            raise click.UsageError("say which: ids, options such as --domain, or --all")
        filters = read_filter(idents, options)
        if dry_run:
            _show_chosen(context, filters, name)
            return
        changed = sum(context.change(f"queue.{name}", **_filter_json(where)) for where in filters)
        if idents and not changed:
            raise Problem(f"nothing of this can be changed so; `postroad queue show {idents[0]}` tells how it stands")
        click.echo(f"{changed} recipient{'s' if changed != 1 else ''} {done}.")

    assert isinstance(command, click.Command)
    return command


def _show_chosen(context: Context, filters: list[QueueFilter], name: str) -> None:
    entries = context.read(lambda tx: [e for where in filters for e in tx.deliveries.queue(where, limit=PAGE)])
    for entry in entries:
        click.echo(f"{id_text(entry.delivery.id)}  {entry.delivery.forward_path}  {entry.delivery.state.value}")
    more = " or more" if len(entries) >= PAGE else ""
    click.echo(f"Would {name} {len(entries)}{more}; nothing has been changed.")


def _filter_json(where: QueueFilter) -> dict[str, Any]:
    """A filter as the control socket carries it."""
    values = {key: value for key, value in structs.asdict(where).items() if value}
    if where.older_than:
        values["older_than"] = int(where.older_than.total_seconds())
    return values


retry = _action("retry", "will be tried now", "Try now, without waiting for the next due time.", "--domain example.org")
hold = _action("hold", "held", "Hold: no more tries until released; nothing is lost.", "--domain example.org")
release = _action("release", "released", "Release what is held; it is tried now.", "--all")
cancel = _action(
    "cancel", "cancelled", "Cancel for good; the sender gets no report.", "--sender bob@example.com --dry-run"
)
