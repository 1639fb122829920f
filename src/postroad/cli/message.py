"""`postroad message`: what happened to mail, and its bytes."""

from __future__ import annotations

import asyncio
import re
import sys
from datetime import UTC, datetime, timedelta

import click

from postroad.app.access import reading
from postroad.cli.context import Context, json_option, pass_context
from postroad.cli.output import print_facts, print_json, print_table, size_text, when
from postroad.ports.ids import MessageId, id_text, parse_id
from postroad.ports.store import Delivery, DeliveryState, Message, MessageFilter, Refusal, Refused, Store, Tx
from postroad.ports.uuids import parse_uuid
from postroad.reports.story import Line, Story, read_story

RECENT = 50  # messages among which the newest that is no report is looked for
POLL = 0.25  # seconds between two looks with --follow
FRESH = timedelta(minutes=1)  # --follow without ID takes a newest message of this age


@click.group()
def message() -> None:
    """Messages: search them, follow one, read its bytes.

    \b
    postroad message list invoice to:bob since:2h
    postroad message list --refused          what was never accepted
    postroad message trace --follow          the newest message, as it travels
    postroad message trace 0c1x2d3f4g5h6 --dialogue
    """


message_argument = click.argument("ident", metavar="[ID]", default="")


@message.command(name="list")
@click.argument("words", metavar="[QUERY]...", nargs=-1)
@click.option("--address", default="", metavar="TEXT", help="Sender or any recipient.")
@click.option("--sender", default="", metavar="TEXT")
@click.option("--recipient", default="", metavar="TEXT")
@click.option("--subject", default="", metavar="TEXT")
@click.option("--message-id", default="", metavar="TEXT", help="The Message-ID field.")
@click.option("--state", type=click.Choice([state.value for state in DeliveryState]), help="Some recipient is there.")
@click.option("--since", default="", metavar="SPAN|TIME", help="Such as 2h, 3d, or 2026-11-23T09:00.")
@click.option("--until", default="", metavar="SPAN|TIME")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000))
@click.option("--refused", is_flag=True, help="Attempts that were never accepted; --address looks in all their texts.")
@json_option
@pass_context
def list_(
    context: Context,
    *,
    words: tuple[str, ...],
    address: str,
    sender: str,
    recipient: str,
    subject: str,
    message_id: str,
    state: str | None,
    since: str,
    until: str,
    limit: int,
    refused: bool,
    as_json: bool,
) -> None:
    """Search messages, newest first.

    QUERY is as in the console: words, and from: to: address: subject: id: tag: state: reply: stream: server: since:
    until: on: with a value; each fits from the beginning of a word on. The texts of options match anywhere. Case does
    not matter.

    \b
    postroad message list invoice from:alice state:bounced since:1d
    postroad message list 'reply:mailbox full' on:yesterday
    postroad message list --sender alice@example.com --state bounced --since 1d
    postroad message list --refused --address bob@example.com
    """
    begin, end = read_moment(since), read_moment(until)
    if words:
        if refused or any((address, sender, recipient, subject, message_id, state, since, until)):
            raise click.UsageError("QUERY says all by itself: `since:2h` in the place of `--since 2h`")
        _print_messages(_find(context, words, limit), as_json)
        return
    if refused:
        text = address or recipient or sender
        _print_refusals(context.read(lambda tx: tx.refusals.search(text=text, since=begin, limit=limit)), as_json)
        return
    where = MessageFilter(
        address=address,
        sender=sender,
        recipient=recipient,
        subject=subject,
        message_id=message_id,
        state=DeliveryState(state) if state else None,
        since=begin,
        until=end,
    )
    _print_messages(context.read(lambda tx: _search(tx, where, limit)), as_json)


def _search(tx: Tx, where: MessageFilter, limit: int) -> list[tuple[Message, list[Delivery]]]:
    return [(found, tx.deliveries.of_message(found.id)) for found in tx.messages.search(where, limit=limit)]


def _find(context: Context, words: tuple[str, ...], limit: int) -> list[tuple[Message, list[Delivery]]]:
    from postroad.app.find import find
    from postroad.reports.query import QueryError

    try:
        return context.run(find(context.settings, " ".join(map(_kept_together, words)), limit))
    except QueryError as error:
        raise click.UsageError(str(error)) from None


def _kept_together(word: str) -> str:
    """What the shell's quotes held together stays so: `subject:your order` is `subject:"your order"`."""
    if '"' in word or " " not in word:
        return word
    name, colon, text = word.partition(":")
    return f'{name}:"{text}"' if colon and " " not in name else f'"{word}"'


def _print_messages(found: list[tuple[Message, list[Delivery]]], as_json: bool) -> None:
    if as_json:
        print_json([{"message": message, "deliveries": deliveries} for message, deliveries in found])
        return
    rows = [
        (id_text(m.id), when(m.created), m.reverse_path or "<>", _recipients(ds), _states(ds), m.subject[:40])
        for m, ds in found
    ]
    empty = "No messages fit. Was it refused? `postroad message list --refused` shows what was never accepted."
    print_table(("ID", "RECEIVED", "FROM", "TO", "STATE", "SUBJECT"), rows, empty=empty)


def _print_refusals(found: list[Refusal], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    rows = [
        (when(r.at), r.service, r.client, r.reverse_path or "<>", r.recipient, r.stage,
         f"{r.reply_code} {r.enhanced} {r.text}", r.cause)
        for r in found
    ]  # fmt: skip
    columns = ("AT", "SERVICE", "CLIENT", "FROM", "TO", "STAGE", "REPLY", "CAUSE")
    print_table(columns, rows, empty="Nothing was refused.")


def _recipients(deliveries: list[Delivery]) -> str:
    if not deliveries:
        return ""
    more = f" and {len(deliveries) - 1} more" if len(deliveries) > 1 else ""
    return deliveries[0].forward_path + more


def _states(deliveries: list[Delivery]) -> str:
    """`delivered`, or `2 delivered, 1 queued`."""
    states = [delivery.state.value for delivery in deliveries]
    kinds = dict.fromkeys(states)
    return ", ".join(kinds) if len(kinds) < 2 else ", ".join(f"{states.count(kind)} {kind}" for kind in kinds)


@message.command()
@message_argument
@json_option
@pass_context
def show(context: Context, ident: str, as_json: bool) -> None:
    """Facts about one message and its recipients (ID left out: the newest).

    \b
    postroad message show 0c1x2d3f4g5h6
    """
    story = context.read(lambda tx: read_story(tx, find_message(tx, ident)))
    if as_json:
        print_json({"message": story.message, "deliveries": story.deliveries})
        return
    _print_message(story.message)
    click.echo()
    rows = [
        (d.forward_path, d.orig, d.state.value, d.tries, d.dest, when(d.due) if not d.state.is_final else "",
         d.last_status or "")
        for d in story.deliveries
    ]  # fmt: skip
    print_table(("RECIPIENT", "SENT TO", "STATE", "TRIES", "NEXT HOP", "NEXT TRY", "LAST REPLY"), rows, empty="None.")


def _print_message(found: Message) -> None:
    origin = found.origin
    print_facts(
        [
            ("id", id_text(found.id)),
            ("received", when(found.created)),
            ("from", found.reverse_path or "<>"),
            ("subject", found.subject),
            ("message-id", found.message_id),
            ("size", size_text(found.size)),
            ("came by", f"{origin.service}, {origin.protocol}"),
            ("client", " ".join(filter(None, (origin.client, origin.helo)))),
            ("submitted by", origin.account),
            ("stream", found.stream),
            ("tag", found.tag),
            ("metadata", ", ".join(f"{key}: {value}" for key, value in found.metadata.items())),
            ("tls", f"{origin.tls.version} {origin.tls.cipher}" if origin.tls else ""),
            ("connection", origin.connection),
            ("reports on", id_text(found.bounce_of) if found.bounce_of else ""),
        ]
    )


@message.command()
@message_argument
@click.option("--follow", "-f", is_flag=True, help="Go on as things happen, until every recipient is settled.")
@click.option("--dialogue", is_flag=True, help="Show the SMTP dialogue of each attempt.")
@json_option
@pass_context
def trace(context: Context, ident: str, follow: bool, dialogue: bool, as_json: bool) -> None:
    """Tell the story of one message: received, each recipient, each attempt, how each ended.

    Without ID it is the newest message; with --follow it may be one that is yet to come. With --follow and --json it is
    printed once every recipient is settled.

    \b
    postroad message trace --follow
    postroad message trace 0c1x2d3f4g5h6 --dialogue
    """
    context.run(_trace(context, ident, follow=follow, dialogue=dialogue, as_json=as_json))


async def _trace(context: Context, ident: str, *, follow: bool, dialogue: bool, as_json: bool) -> None:
    async with reading(context.settings) as store:
        found = await _wait_for(store, ident, follow)
        story = await store.read(lambda tx: read_story(tx, found))
        tell = _Teller(silent=as_json)
        tell(story)
        while follow and not story.is_finished:
            await asyncio.sleep(POLL)
            story = await store.read(lambda tx: read_story(tx, found))
            tell(story)
    if as_json:
        print_json(_story_json(story))
        return
    _print_end(story)
    if dialogue:
        _print_dialogues(story)


async def _wait_for(store: Store, ident: str, follow: bool) -> Message:
    """The message that is asked for. With --follow and no ID: the newest while it travels, else the next to come."""
    if ident or not follow:
        return await store.read(lambda tx: find_message(tx, ident))
    newest = await store.read(_newest)
    if newest is not None:
        fresh: bool = await store.read(lambda tx: _is_fresh(tx, newest))
        if fresh:
            return newest
    click.echo("Waiting for the next message (Ctrl-C ends) ...", err=True)
    while True:
        found = await store.read(_newest)
        if found and (newest is None or found.id != newest.id):
            return found
        await asyncio.sleep(POLL)


def _newest(tx: Tx) -> Message | None:
    """The newest that is not a report of ours about another one."""
    found = tx.messages.search(MessageFilter(), limit=RECENT)
    return next((message for message in found if not message.bounce_of), found[0] if found else None)


def _is_fresh(tx: Tx, newest: Message) -> bool:
    """Under way, or of the last minute."""
    age = datetime.now(UTC) - newest.created
    return age < FRESH or not all(delivery.state.is_final for delivery in tx.deliveries.of_message(newest.id))


class _Teller:
    """Prints a message's facts, then each line of its story once."""

    def __init__(self, *, silent: bool) -> None:
        self._silent = silent
        self._told: set[Line] = set()

    def __call__(self, story: Story) -> None:
        if self._silent:
            return
        if not self._told:
            _print_message(story.message)
            click.echo()
        for line in story.lines():
            if line not in self._told:
                self._told.add(line)
                stamp = line.at.astimezone().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
                click.echo(f"{stamp}  {_coloured(line.text, line.good)}")
        sys.stdout.flush()


def _print_end(story: Story) -> None:
    click.echo()
    for (text, good), delivery in zip(story.verdicts(), story.deliveries, strict=True):
        click.echo(f"  {_coloured(text, good)}")
        for sentence in why_not(story.message, delivery):
            click.echo(f"      {_coloured(sentence, None)}")


def why_not(message: Message, delivery: Delivery) -> list[str]:
    """What the last refusal means and what to do, in two sentences; nothing where nothing was refused."""
    from postroad.content.explain import explain
    from postroad.reports.facts import plain_facts

    status = delivery.last_status
    if status is None or status.is_success:
        return []
    told = explain(status, plain_facts(recipient=delivery.forward_path, sender=message.reverse_path))
    return [f"{told.title}: {told.happened}", f"{told.whose}: {told.next_step}"]


def _coloured(text: str, good: bool | None) -> str:
    clean = "".join(c if c.isprintable() else "�" for c in text)
    return clean if good is None else click.style(clean, fg="green" if good else "red")


def _print_dialogues(story: Story) -> None:
    for attempt, _ in story.attempts:
        timings = ", ".join(f"{phase} {seconds * 1000:.0f} ms" for phase, seconds in attempt.timings.items())
        click.echo(f"\n{when(attempt.started)}  {attempt.host} ({attempt.address})  {attempt.tls}  {timings}".rstrip())
        for line in attempt.dialogue.splitlines():
            click.echo("    " + "".join(c if c.isprintable() else "�" for c in line))


def _story_json(story: Story) -> dict[str, object]:
    return {
        "message": story.message,
        "deliveries": story.deliveries,
        "events": story.events,
        "attempts": [
            {"attempt": attempt, "replies": {id_text(delivery): str(status) for delivery, status in statuses.items()}}
            for attempt, statuses in story.attempts
        ],
        "story": [{"at": line.at, "text": line.text} for line in story.lines()],
        "finished": story.is_finished,
    }


@message.command()
@message_argument
@pass_context
def source(context: Context, ident: str) -> None:
    """The bytes of one message as they are stored, on standard output.

    \b
    postroad message source 0c1x2d3f4g5h6 > message.eml
    """
    context.run(_source(context, ident))


async def _source(context: Context, ident: str) -> None:
    async with reading(context.settings) as store:
        place = await store.read(lambda tx: tx.messages.place(find_message(tx, ident).blob))
        if place is None:
            raise Refused("its content is no longer kept: [retention] or the removal of its mailbox has taken it away")
        async for piece in store.blobs.stream(place):
            sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()


def find_message(tx: Tx, ident: str) -> Message:
    """A message by its id or UUID, by its Message-ID field, or, for an empty `ident`, the newest. Raises Refused."""
    number = parse_id(ident) or parse_uuid(ident)
    found = tx.messages.get(MessageId(number)) if number else None
    matches = [found] if found else _matching(tx, ident)
    if len(matches) > 1:
        raise Refused(f"several messages have a Message-ID with `{ident}`; `postroad message list` shows their ids")
    if not matches:
        there = f"no message {ident}; `postroad message list` shows those there are" if ident else "no message yet"
        raise Refused(f"there is {there}")
    return matches[0]


def _matching(tx: Tx, ident: str) -> list[Message]:
    if ident:
        return tx.messages.search(MessageFilter(message_id=ident.strip("<>")), limit=2)
    newest = _newest(tx)
    return [newest] if newest else []


_SPAN = re.compile(r"(\d+)\s*([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def read_moment(text: str) -> datetime | None:
    """`2h` ago, or a date and time in the reader's zone; None for an empty text."""
    if not text:
        return None
    if match := _SPAN.fullmatch(text):
        return datetime.now(UTC) - timedelta(seconds=int(match[1]) * _SECONDS[match[2]])
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        raise click.UsageError(f"`{text}` is no time; write 2h, 3d or 2026-11-23T09:00") from None


def read_span(text: str) -> timedelta | None:
    """`2h` as a span; None for an empty text."""
    if not text:
        return None
    match = _SPAN.fullmatch(text)
    if not match:
        raise click.UsageError(f"`{text}` is no span of time; write 45s, 30m, 2h or 3d")
    return timedelta(seconds=int(match[1]) * _SECONDS[match[2]])
