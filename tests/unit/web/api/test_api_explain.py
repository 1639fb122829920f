"""What a reply means, over the API."""

from __future__ import annotations

from datetime import timedelta

from postroad.ports.ids import AttemptId
from postroad.ports.store import Attempt, DeliveryResult, DeliveryState, Outcomes
from postroad.testing.api import Api
from postroad.testing.stores import Mail


async def test_a_reply_is_explained(api: Api) -> None:
    told = await api.get("/explain", text="550-5.7.26 Unauthenticated email from x is not accepted\n550 5.7.26 - gsmtp")
    assert (told["reason"], told["fault"], told["certainty"]) == ("unauthenticated", "ours", "pattern")
    assert told["speaker"] == "Gmail and Google Workspace"
    assert told["permanent"]
    assert not told["hard"]
    assert told["whose_move"] == "Your move"
    assert told["documented"].startswith("https://support.google.com/")
    assert told["bounce_type"] == "Blocked"


async def test_unknown_words_are_told_by_their_codes(api: Api) -> None:
    told = await api.get("/explain", text="552 5.2.2 zzq", recipient="bob@example.com")
    assert (told["reason"], told["certainty"]) == ("mailbox_full", "enhanced")
    assert "bob@example.com" in told["happened"]
    assert (await api.get("/explain"))["reason"] == "unknown"


async def test_our_own_facts_are_told(api: Api) -> None:
    """The host name is ours; what DNS says of us is told too."""
    told = await api.get("/explain", text="550 5.7.25 no PTR record", sender="alice@example.test")
    facts = {fact["label"]: fact["value"] for fact in told["facts"]}
    assert facts["as"] == api.services.hostname
    assert facts["sender's domain"] == "example.test"
    assert "SPF" in facts
    assert "DMARC" in facts


async def test_what_went_there_lately_is_counted(api: Api) -> None:
    mail = Mail(api.services.clock)
    acceptance = mail.remote()
    await api.services.store.accept(acceptance)
    now, delivery = api.services.clock.now(), acceptance.deliveries[0]
    for number, host in enumerate(("alt1.gmail-smtp-in.l.google.com", "aspmx.l.google.com", "mx.example.com")):
        attempt = Attempt(AttemptId(api.services.ids.new()), acceptance.message.id, now, now, host, "192.0.2.9:25")
        result = DeliveryResult(
            delivery.id, delivery.owner, delivery.epoch, DeliveryState.QUEUED, None, number, due=now + timedelta(1)
        )
        await api.services.store.outcomes(Outcomes([result], attempt, []))
    told = await api.get("/explain", text="421 4.7.0 unusual rate of unsolicited mail - gsmtp")
    assert {"label": "sent there lately", "value": "2 messages in 10 minutes"} in told["facts"]
