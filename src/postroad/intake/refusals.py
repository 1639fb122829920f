"""Refused attempts are kept too: half of "where is my mail?".

They wait in a bounded buffer and are written in batches behind all mail. A flood writes at most a few rows a second;
what did not fit is counted in a row of its own.
"""

from __future__ import annotations

import asyncio
import re
from datetime import datetime

from msgspec.structs import replace

from postroad.mail.envelope import Origin
from postroad.mail.status import Status
from postroad.observe import log
from postroad.observe.metrics import COUNTERS
from postroad.ports.clock import Clock
from postroad.ports.store import Lane, Refusal, Store, StoreUnavailable, Tx

FLUSH_SECONDS = 2.0
MAX_BUFFERED = 250  # one flush, one slice of the low lane
MAX_TEXT = 500  # characters of each text that is the client's

_UNSTORABLE = re.compile("[\\x00\\ud800-\\udfff]")  # what a client can put into a name and no database takes
_log = log.get("intake")


def refusal(
    origin: Origin, stage: str, status: Status, *, at: datetime, reverse_path: str = "", recipient: str = ""
) -> Refusal:
    """The row of one refused command, recipient or message."""
    return Refusal(
        at,
        origin.service,
        origin.connection,
        origin.client,
        _storable(origin.helo),
        origin.account,
        _storable(reverse_path),
        _storable(recipient),
        stage,
        status.reply_code,
        str(status.enhanced) if status.enhanced else "",
        _storable(status.text),
        _storable(status.cause),
    )


def _storable(text: str) -> str:
    return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text[:MAX_TEXT])


class RefusalBuffer:
    """One for a process; `close` writes what is left."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._waiting: list[Refusal] = []
        self._left_out = 0
        self._task: asyncio.Task[None] | None = None

    def add(self, refusal: Refusal) -> None:
        COUNTERS.refused += 1
        _log.info(
            "refused",
            connection=refusal.connection,
            client=refusal.client,
            stage=refusal.stage,
            sender=refusal.reverse_path,
            recipient=refusal.recipient,
            reply=f"{refusal.reply_code} {refusal.enhanced} {refusal.text}",
            cause=refusal.cause,
        )
        if len(self._waiting) >= MAX_BUFFERED:
            self._left_out += 1
            return
        self._waiting.append(refusal)
        if self._task is None:
            self._task = asyncio.create_task(self._flush_later())

    async def _flush_later(self) -> None:
        while self._waiting:
            await self._clock.sleep(FLUSH_SECONDS)
            await self._flush()
        self._task = None

    async def _flush(self) -> None:
        rows, self._waiting = self._waiting, []
        if self._left_out:
            text = f"{self._left_out} more refusals in these seconds were not recorded"
            rows.append(replace(rows[-1], stage="flood", recipient="", cause=text))
            self._left_out = 0

        def write(tx: Tx) -> None:
            tx.refusals.add(rows)

        try:
            await self._store.write(write, lane=Lane.LOW)
        except StoreUnavailable as error:  # worth a line in the log, never a wait
            _log.warning("refusals were not recorded", count=len(rows), cause=str(error))
        except Exception as error:  # a bug of ours must not end the recording of all that follow
            _log.exception("refusals were not recorded", error, count=len(rows))

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None
        if self._waiting:
            await self._flush()
