"""POST /email/batch: an answer for each in order, one commit for all, and never half of one message."""

import pytest
from msgspec.structs import replace

from postroad.adapters.sql.sqlite.session import SqliteSession
from postroad.adapters.sql.units import MAX_UNITS, GroupQueue
from postroad.ports.ids import MailboxId
from postroad.ports.store import DeliveryState
from postroad.ports.uuids import NIL_UUID, parse_uuid
from postroad.testing.postmark import letter, problem_of

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def commits(monkeypatch):
    """How many messages stood in each commit that had any."""
    found = []
    take = GroupQueue.take

    def counting(queue, timeout):
        group = take(queue, timeout)
        found.append(sum(hasattr(unit, "acceptance") for unit in group or ()))
        return group

    monkeypatch.setattr(GroupQueue, "take", counting)
    return lambda: [number for number in found if number]


async def test_each_has_its_answer_in_order(api):
    batch = [letter(To="carol@far.test"), letter(To="nobody"), "nonsense", letter(To="dan@far.test", Cc="e@far.test")]
    response = await api.post("/email/batch", batch)
    good, bad, odd, last = response.json()
    assert response.status_code == 200
    assert (good["To"], good["ErrorCode"], last["Cc"]) == ("carol@far.test", 0, "e@far.test")
    assert (bad["ErrorCode"], bad["Message"], bad["To"]) == (300, "Invalid 'To' address: 'nobody'.", "nobody")
    assert (odd["ErrorCode"], odd["To"]) == (402, "")
    for failed in (bad, odd):
        assert failed["MessageID"] == NIL_UUID
        assert failed["SubmittedAt"] == good["SubmittedAt"]
    assert parse_uuid(good["MessageID"]) < parse_uuid(last["MessageID"])
    assert len(await api.refusals()) == 2


async def test_an_empty_batch(api):
    for nothing in ([], {}):
        response = await api.post("/email/batch", nothing)
        assert (response.status_code, response.json()) == (200, [])


async def test_more_than_500_are_none(api):
    assert problem_of(await api.post("/email/batch", [{}] * 501)) == (422, 410, "A batch takes at most 500 messages.")
    assert problem_of(await api.post("/email/batch", letter())) == (
        422, 402, "Invalid JSON: the body of this request is a list of messages.",
    )  # fmt: skip
    assert problem_of(await api.post("/email", [letter()]))[1] == 402


async def test_500_messages_are_one_commit(alone, commits, ledger):
    api = alone
    batch = [letter(To="bob@here.test" if number % 2 else f"r{number}@far.test") for number in range(500)]
    response = await api.post("/email/batch", batch)
    assert {each["ErrorCode"] for each in response.json()} == {0}
    assert commits() == [500]
    totals = await ledger(api)
    assert totals.messages == 500
    assert totals.by_state == {DeliveryState.QUEUED: 250, DeliveryState.DELIVERED: 250}
    assert not totals.findings


async def test_a_batch_is_not_split_by_the_bounds_of_a_group(api, commits, monkeypatch):
    monkeypatch.setattr("postroad.adapters.sql.units.MAX_UNITS", 8)
    monkeypatch.setattr("postroad.adapters.sql.units.MAX_OCTETS", 4096)
    assert MAX_UNITS > 8
    await api.post("/email/batch", [letter(TextBody="x" * 1000)] * 40)
    assert commits() == [40]


async def test_when_a_group_fails_each_message_has_its_own_answer(alone, monkeypatch, ledger):
    """A mailbox goes away at the last moment: its message is refused alone, the others are kept."""
    accept_all = alone.store.accept_all

    def without_mailboxes(acceptances, then=None):
        for acceptance in acceptances:
            acceptance.local = [replace(row, mailbox=MailboxId(1)) for row in acceptance.local]
        return accept_all(acceptances, then)

    monkeypatch.setattr(alone.store, "accept_all", without_mailboxes)
    batch = [letter(), letter(To="bob@here.test"), letter()]
    first, lost, last = (await alone.post("/email/batch", batch)).json()
    assert (first["ErrorCode"], last["ErrorCode"]) == (0, 0)
    assert (lost["ErrorCode"], lost["MessageID"]) == (100, NIL_UUID)
    totals = await ledger(alone)
    assert (totals.messages, totals.findings) == (2, ())


async def test_a_commit_that_fails_keeps_none(alone, monkeypatch, ledger):
    def fail(_):
        raise OSError("the disk is gone")

    monkeypatch.setattr(SqliteSession, "commit", fail)
    found = (await alone.post("/email/batch", [letter(), letter()])).json()
    assert [each["ErrorCode"] for each in found] == [100, 100]
    monkeypatch.undo()
    assert (await ledger(alone)).messages == 0


async def test_the_test_token_in_a_batch(api):
    api.token = "postmark_api_test"
    good, bad = (await api.post("/email/batch", [letter(), letter(From="")])).json()
    assert (good["Message"], bad["ErrorCode"]) == ("Test job accepted", 300)
