"""A search of messages for a command, beside a running server or without one, with whatever index there is."""

from __future__ import annotations

from datetime import datetime

from postroad.adapters.clock import SystemClock
from postroad.adapters.search.opening import open_index
from postroad.app.access import reading
from postroad.config.schema import Settings
from postroad.ports.ids import MessageId
from postroad.ports.store import Delivery, Message, Tx
from postroad.reports.search import Search, parse

PAGE = 500


async def find(settings: Settings, text: str, limit: int) -> list[tuple[Message, list[Delivery]]]:
    """The newest messages that fit, with all their recipients. Raises QueryError, Refused, StoreUnavailable."""
    clock = SystemClock()
    zone = datetime.now().astimezone().tzinfo
    assert zone is not None
    query = parse(text, clock.now(), zone)
    async with reading(settings) as store:
        index = open_index(store, settings.data_dir, settings.retention)
        try:
            search, found, after = Search(store, clock, index), list[Message](), None
            while len(found) < limit:
                page = await search.messages(query, after, min(limit - len(found), PAGE))
                found += [row.message for row in page.rows]
                after = page.next
                if after is None:
                    break
            return await store.read(lambda tx: [(message, _recipients(tx, message.id)) for message in found])
        finally:
            await index.close()


def _recipients(tx: Tx, message: MessageId) -> list[Delivery]:
    return tx.deliveries.of_message(message)
