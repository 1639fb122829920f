"""`POST /email` and `POST /email/batch`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final

from msgspec import UNSET, Struct, UnsetType

from postroad.intake.commit import TURN
from postroad.intake.refusals import refusal
from postroad.mail.status import Status
from postroad.ports.ids import MessageId
from postroad.ports.sending import IdempotencyRecord
from postroad.ports.uuids import NIL_UUID, uuid_text
from postroad.web.postmark.calls import Answer, Call, Handler, answer, refused
from postroad.web.postmark.checks import Letter, check
from postroad.web.postmark.errors import INACTIVE, ApiError, error
from postroad.web.postmark.idempotency import Asked, read_key
from postroad.web.postmark.outbox import HEAVY, Asker, Ready
from postroad.web.postmark.request import read_json, read_list, read_message, text_of

MAX_BATCH = 500
HEAVY_BODY = 1024 * 1024  # octets of JSON that are read off the loop
REPLAYED = ((b"idempotent-replayed", b"true"),)
_OK, _TEST_OK = "OK", "Test job accepted"


@dataclass(slots=True)
class Item:
    """One message of a request: what was asked, what it says, and what becomes of it. What is read is forgotten, for a
    batch may be large."""

    given: Any
    sender: str = ""  # these two as they were given, for the answer and for the list of refusals
    to: str = ""
    letter: Letter | None = None
    problem: ApiError | None = None
    message: MessageId | None = None
    text: str = _OK


class SendAnswer(
    Struct,
    gc=False,
    rename={"to": "To", "cc": "Cc", "bcc": "Bcc", "at": "SubmittedAt", "id": "MessageID", "code": "ErrorCode",
            "text": "Message"},
):  # fmt: skip
    """What a client learns of one message. `To` is not there when the message had none."""

    to: str | UnsetType = UNSET
    cc: str | UnsetType = UNSET
    bcc: str | UnsetType = UNSET
    at: str | UnsetType = UNSET
    id: str | UnsetType = UNSET
    code: int = 0
    text: str = _OK


@dataclass(frozen=True, slots=True)
class Shape:
    """How one of the two calls is read and answered."""

    path: str
    read: Callable[[Any], list[Any]]
    write: Callable[[Sequence[Item], datetime], Answer]


async def send(call: Call) -> Answer:
    """One message."""
    return await _send(call, _ONE)


async def send_batch(call: Call) -> Answer:
    """Up to 500 messages; 200 as soon as the list itself is right, and an answer for each in their order."""
    return await _send(call, _BATCH)


async def _send(call: Call, shape: Shape) -> Answer:
    items, asked = await _read(call, shape)
    if asked is None:
        return await _carry_out(call, shape, items, None)
    done = await call.api.once.run(asked, lambda: _carry_out(call, shape, items, asked))
    return done if isinstance(done, Answer) else _replayed(done)


async def _read(call: Call, shape: Shape) -> tuple[list[Item], Asked | None]:
    """What the body holds; and what it is known by, where it has a key."""
    body = await call.body()
    key = call.header.get(b"idempotency-key")
    asked = read_key(key, call.server.id, shape.path, body) if key and call.access else None
    run = call.api.services.workers.run
    given = await run(partial(read_json, body)) if len(body) > HEAVY_BODY else read_json(body)
    return [Item(each) for each in shape.read(given)], asked


async def _carry_out(call: Call, shape: Shape, items: Sequence[Item], asked: Asked | None) -> Answer:
    services = call.api.services
    await _read_letters(call, items)
    now = services.clock.now()
    if call.access is None:
        for item in items:
            item.message, item.text = MessageId(services.ids.new()), _TEST_OK
        return shape.write(items, now)
    asker = Asker(call.server, call.access, call.origin)
    ready = await _prepare(call, asker, items)
    _record_refusals(call, asker, items, now)
    return await _commit(call, ready, lambda: shape.write(items, now), asked)


async def _read_letters(call: Call, items: Sequence[Item]) -> None:
    """What each of them says, in turns so that others get the loop too."""
    workers = call.api.services.workers
    for number, item in enumerate(items, 1):
        given, item.given = item.given, None
        item.sender, item.to = text_of(given, "from"), text_of(given, "to")
        try:
            request = read_message(given)
            heavy = sum(len(file.content) for file in request.attachments) > HEAVY
            item.letter = await workers.run(partial(check, request)) if heavy else check(request)
        except ApiError as problem:
            item.problem = problem
        if number % TURN == 0:
            await asyncio.sleep(0)


async def _prepare(call: Call, asker: Asker, items: Sequence[Item]) -> list[tuple[Item, Ready]]:
    """Those that only need their commit."""
    good = [item for item in items if item.letter is not None]
    found = await call.api.outbox.prepare(asker, [item.letter for item in good if item.letter is not None])
    ready = []
    for item, result in zip(good, found, strict=True):
        if isinstance(result, Ready):
            item.message, item.text = result.message, _text(result)
            ready.append((item, result))
        else:
            item.problem = result
    return ready


async def _commit(
    call: Call, ready: Sequence[tuple[Item, Ready]], finish: Callable[[], Answer], asked: Asked | None
) -> Answer:
    """Make the messages ours. The answer if all goes well is kept in their transaction."""
    finished = finish()
    if not ready:
        return finished
    once, then = call.api.once, None
    if asked and len(ready) == 1:
        ready[0][1].prepared.acceptance.idempotency = once.record(asked, finished.status, finished.body)
    elif asked:
        then = once.keeping(asked, finished.status, finished.body, [each.message for _, each in ready])
    problems = await call.api.outbox.commit([each for _, each in ready], then)
    if not any(problems):
        return finished
    if asked and len(ready) == 1 and (earlier := await once.find(asked)):
        return _replayed(earlier)  # another node has carried it out meanwhile
    for (item, _), problem in zip(ready, problems, strict=True):
        item.problem = problem or item.problem
    finished = finish()
    if asked and not all(problems):
        await once.keep(asked, finished.status, finished.body)
    return finished


def _replayed(record: IdempotencyRecord) -> Answer:
    return Answer(record.answer, record.status, fields=REPLAYED)


# --- what is asked and what is answered -------------------------------------------------------------------------------


def _read_one(given: Any) -> list[Any]:
    if not isinstance(given, dict):
        raise error(402, "the body of this request is an object, one message.")
    return [given]


def _read_batch(given: Any) -> list[Any]:
    found = read_list(given)
    if found is None:
        raise error(402, "the body of this request is a list of messages.")
    if len(found) > MAX_BATCH:
        raise error(410, MAX_BATCH)
    return found


def _answer_one(items: Sequence[Item], now: datetime) -> Answer:
    (item,) = items
    if item.problem:
        return refused(item.problem)
    return answer(_good(item, _time(now)))


def _answer_batch(items: Sequence[Item], now: datetime) -> Answer:
    at = _time(now)
    return answer([_failed(item, item.problem, at) if item.problem else _good(item, at) for item in items])


def _good(item: Item, at: str) -> SendAnswer:
    letter = item.letter
    assert letter is not None
    assert item.message is not None
    to, cc, bcc = letter.echo_to or UNSET, letter.echo_cc or UNSET, letter.echo_bcc or UNSET
    return SendAnswer(to, cc, bcc, at, uuid_text(item.message), text=item.text)


def _failed(item: Item, problem: ApiError, at: str) -> SendAnswer:
    """One message of a batch. Typed clients want every key there, whatever happened."""
    return SendAnswer(item.to, at=at, id=NIL_UUID, code=problem.code, text=problem.text)


def _text(ready: Ready) -> str:
    if not ready.inactive:
        return _OK
    return f"Message OK, but will not deliver to these inactive addresses: {', '.join(ready.inactive)}. {INACTIVE}"


_ONE = Shape("/email", _read_one, _answer_one)
_BATCH = Shape("/email/batch", _read_batch, _answer_batch)
ROUTES: Final[dict[str, dict[str, Handler]]] = {_ONE.path: {"POST": send}, _BATCH.path: {"POST": send_batch}}


def _time(now: datetime) -> str:
    """With seven digits, as Postmark has them."""
    return now.isoformat(timespec="microseconds")[:26] + "0Z"


def _record_refusals(call: Call, asker: Asker, items: Sequence[Item], now: datetime) -> None:
    """What was not taken is half of "where is my mail?"."""
    for item in items:
        if item.problem:
            status = Status(item.problem.status, None, item.problem.text, f"ErrorCode {item.problem.code}")
            call.api.services.intake.refuse(
                refusal(asker.origin, "message", status, at=now, reverse_path=item.sender, recipient=item.to)
            )
