"""A refusal, from the remote server's words to what people are told of it: row, event, attempt, story, search."""

from __future__ import annotations

from pathlib import Path

from postroad.content.causes import cause_of
from postroad.testing.site import delivery_to, running_site

REASONS = {
    "someone@nullmx.test": "takes_no_mail",
    "someone@nowhere.test": "no_such_domain",
    "550@remote.test": "no_such_mailbox",
    "552@remote.test": "mailbox_full",
}


async def test_each_failure_is_on_record_with_its_reason(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        story = await site.settled(await site.submit(*REASONS))
        for address, reason in REASONS.items():
            delivery = delivery_to(story, address)
            assert delivery.last_status is not None
            assert (delivery.last_status.reason, cause_of(delivery.last_status)) == (reason, reason)
            bounced = [event for event in story.events if event.delivery == delivery.id and event.kind == "bounced"]
            assert [event.detail["reason"] for event in bounced] == [reason]
        kept = {status.reason for _, statuses in story.attempts for status in statuses.values()}
        assert {"no_such_mailbox", "mailbox_full"} <= kept
        told = [line.text for line in story.lines()]
        for words in ("(domain takes no mail)", "(no such domain)", "(no such mailbox)", "(mailbox full)"):
            assert any(text.endswith(words) for text in told), words
