"""From letters to messages that are ours: sender, stream and recipients are looked up, content is composed, all commit.

Many letters are one batch: they are prepared one after the other, in turns so that others get the loop too, and then
handed to the store in one step, which writes them in one transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from postroad.accounts.sending import Sending
from postroad.accounts.tokens import Access
from postroad.intake.commit import TURN, Prepared
from postroad.intake.pipeline import Intake
from postroad.intake.transaction import MailTransaction
from postroad.mail.address import Address, ForwardPath, ReversePath
from postroad.mail.envelope import Origin
from postroad.mail.status import Status
from postroad.ports.ids import MessageId
from postroad.ports.sending import DEFAULT_STREAM, ServerRecord, StreamKind, StreamRecord
from postroad.ports.store import Tx
from postroad.ports.uuids import uuid_text
from postroad.ports.workers import Workers
from postroad.web.postmark.checks import Letter
from postroad.web.postmark.errors import BUSY, ApiError, error, invalid

HEAVY = 128 * 1024  # octets of a message that is composed off the loop


@dataclass(frozen=True, slots=True)
class Asker:
    """Who sends."""

    server: ServerRecord
    access: Access
    origin: Origin

    @property
    def streams(self) -> Mapping[str, StreamRecord]:
        return self.access.streams


@dataclass(frozen=True, slots=True)
class Ready:
    """A message that only needs its commit."""

    prepared: Prepared
    inactive: tuple[str, ...]  # recipients that are left out

    @property
    def message(self) -> MessageId:
        return self.prepared.acceptance.message.id


class Outbox:
    """One for a process."""

    def __init__(self, intake: Intake, sending: Sending, workers: Workers, hostname: str) -> None:
        self._intake = intake
        self._sending = sending
        self._workers = workers
        self._hostname = hostname

    async def prepare(self, asker: Asker, letters: Sequence[Letter]) -> list[Ready | ApiError]:
        """Each letter ready, or why it cannot be sent. Raises StoreUnavailable."""
        inactive = await self._inactive(asker, letters)
        if not asker.server.sandbox:
            await self._intake.learn(_path(address) for letter in letters for address in letter.recipients)
        done: list[Ready | ApiError] = []
        for number, letter in enumerate(letters, 1):
            done.append(await self._ready(asker, letter, inactive))
            if number % TURN == 0:
                await asyncio.sleep(0)
        return done

    async def commit(self, ready: Sequence[Ready], then: Callable[[Tx], None] | None = None) -> list[ApiError | None]:
        """Make them ours, in one transaction. What became of each; None is good."""
        answers = await self._intake.commit_all([each.prepared for each in ready], then)
        return [None if status.is_success else _refusal(status) for status in answers]

    # --- one letter ---------------------------------------------------------------------------------------------------

    async def _ready(self, asker: Asker, letter: Letter, inactive: Mapping[str, set[str]]) -> Ready | ApiError:
        try:
            stream = _stream(asker, letter)
            await self._check_sender(letter.sender.address)
            left_out = inactive[stream]
            wanted = [address for address in letter.recipients if str(address) not in left_out]
            if not wanted:
                raise error(406, ", ".join(_spelled(letter.recipients)))
            transaction = self._begin(asker, letter, stream)
            await self._take(transaction, wanted)
            prepared = await self._compose(transaction, letter)
        except ApiError as problem:
            return problem
        gone = [address for address in letter.recipients if str(address) in left_out] if left_out else []
        return Ready(prepared, tuple(_spelled(gone)))

    def _begin(self, asker: Asker, letter: Letter, stream: str) -> MailTransaction:
        begun = self._intake.begin(asker.origin, ReversePath(letter.sender.address), letter.size)
        if isinstance(begun, Status):
            raise _refusal(begun)
        begun.server, begun.sandbox, begun.stream = asker.server.id, asker.server.sandbox, stream
        begun.access = asker.access
        begun.tag, begun.metadata, begun.tracking = letter.tag, letter.metadata, letter.tracking
        return begun

    async def _take(self, transaction: MailTransaction, addresses: Sequence[Address]) -> None:
        for address in addresses:
            taken = await self._intake.bounce_or_take(transaction, _path(address))
            if not taken.is_success:
                raise _refusal(taken)

    async def _check_sender(self, address: Address) -> None:
        known = self._intake.is_ours(address.domain.ascii)
        if not (known if isinstance(known, bool) else await known):
            raise error(400, address)

    async def _compose(self, transaction: MailTransaction, letter: Letter) -> Prepared:
        spool = self._intake.spool(transaction)
        date, uuid = transaction.received, uuid_text(transaction.message)
        assert date is not None
        if letter.size > HEAVY:
            content = await self._workers.run(lambda: letter.content(uuid=uuid, hostname=self._hostname, date=date))
        else:
            content = letter.content(uuid=uuid, hostname=self._hostname, date=date)
        letter.forget()
        prepared = await self._intake.prepare(transaction, spool, content)
        if isinstance(prepared, Status):
            raise _refusal(prepared)
        return prepared

    # --- suppressed recipients ----------------------------------------------------------------------------------------

    async def _inactive(self, asker: Asker, letters: Sequence[Letter]) -> dict[str, set[str]]:
        """By stream, those recipients that get nothing there. Only of streams that there are: names are remembered."""
        addresses: dict[str, set[str]] = {}
        for letter in letters:
            if (stream := letter.stream or DEFAULT_STREAM) in asker.streams:
                addresses.setdefault(stream, set()).update(map(str, letter.recipients))
        server = asker.server.id
        return {stream: await self._sending.suppressed(server, stream, some) for stream, some in addresses.items()}


def _stream(asker: Asker, letter: Letter) -> str:
    name = letter.stream or DEFAULT_STREAM
    stream = asker.streams.get(name)
    if stream is None:
        raise error(1235, name)
    if stream.kind is StreamKind.INBOUND:
        raise error(1236, name, "it is for mail that comes in")
    if stream.archived is not None:
        raise error(1236, name, "it is archived")
    return stream.id


def _path(address: Address) -> ForwardPath:
    return ForwardPath(address.local_part, address.domain)


def _spelled(addresses: Sequence[Address]) -> list[str]:
    """As clients find them in a text: without names, in lower case."""
    return [str(address).lower() for address in addresses]


def _refusal(status: Status) -> ApiError:
    """What intake says, in Postmark's terms: later, or never like this."""
    if status.is_temporary:
        return error(BUSY, f"The message was not taken: {status.text}.")
    return invalid(f"The message was not taken: {status.text}.")
