"""Mail flows, and what follows it: the index finds it, figures count it, retention is another story."""

from __future__ import annotations

from datetime import UTC, timedelta
from unittest.mock import patch

from postroad.adapters.search.sqlite import FILE
from postroad.app import follower
from postroad.ports.ids import MessageId, id_text
from postroad.reports.live import Live
from postroad.reports.search import Search, parse
from postroad.reports.statistics import Span, Statistics, StatKind
from postroad.testing.site import ALICE, BOB, running_site, until

COMMITTED = timedelta(seconds=0.5)  # by then what has an id is in the rows, on a busy machine too


async def test_mail_is_indexed_behind_the_node_and_found_at_once(tmp_path) -> None:
    with patch.object(follower, "PAUSE", 0.02), patch.object(follower, "GRACE", COMMITTED):
        async with running_site(tmp_path) as site:
            first = await site.submit("550@remote.test", subject="Invoice 42")
            await site.settled(first)
            node, clock = site.node, site.node.services.clock
            search = Search(site.store, clock, node.index)

            async def found(text: str) -> list[MessageId]:
                page = await search.messages(parse(text, clock.now(), UTC))
                return [row.message.id for row in page.rows]

            async def covers(message: MessageId) -> bool:
                coverage = await node.index.coverage()
                return coverage is not None and coverage.messages > message

            await until(lambda: covers(first), bool)
            second = await site.submit(BOB, subject="Invoice 43")
            for _ in range(2):  # the second one is not indexed yet, then it is
                assert await found("subject:invoice to:550@remote") == [first]
                assert await found("invoice 43") == [second]
                assert await found(f"from:{ALICE} state:delivered") == [second]
                assert first in await found(f"from:{ALICE}")
                assert await found(id_text(second)) == [second]
                assert await found('state:bounced reply:"550 5.1.1"') == [first]
                await until(lambda: covers(second), bool)
            figures = Statistics(site.store, clock)
            totals = (await figures.series(Span.HOUR)).totals
            assert totals[StatKind.IN] == 3, "two messages and a report"
            assert totals[StatKind.BOUNCED] == 1
            live = Live(site.store, search, figures, clock)
            assert (await live.now()).totals[Span.DAY] == totals
    assert (node.settings.data_dir / FILE).exists()
    async with running_site(tmp_path) as again:
        coverage = await again.node.index.coverage()
        assert coverage
        assert coverage.messages > second, "a restart goes on where it was"
