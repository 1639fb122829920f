"""Idempotency-Key: the same again is carried out once; something else under the same key is refused."""

import asyncio
from datetime import timedelta

import pytest

from postroad.ports.sending import IdempotencyRecord
from postroad.testing.postmark import letter, message_of, problem_of

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def count(api):
    return len(await api.messages())


@pytest.mark.parametrize(("path", "content"), [("/email", letter()), ("/email/batch", [letter(), letter(To="no")])])
async def test_the_same_again_gets_the_first_answer(api, path, content):
    first = await api.post(path, content, Idempotency_Key="order-17")
    again = await api.post(path.upper() + "/", content, Idempotency_Key='"order-17"')
    assert first.status_code == again.status_code == 200
    assert first.content == again.content
    assert ("idempotent-replayed" in first.headers, again.headers["idempotent-replayed"]) == (False, "true")
    assert await count(api) == 1
    assert (await api.post(path, content, Idempotency_Key="order-18")).content != first.content


async def test_another_body_under_the_same_key(api):
    await api.post("/email", letter(), Idempotency_Key="a")
    code, text = problem_of(await api.post("/email", letter(Subject="other"), Idempotency_Key="a"))[1:]
    assert code == 300
    assert text.startswith("The Idempotency-Key 'a' was used for another request")
    assert problem_of(await api.post("/email/batch", [letter()], Idempotency_Key="a"))[1] == 300
    assert await count(api) == 1


async def test_another_server_has_keys_of_its_own(api):
    sending = api.web.services.sending
    first = await api.post("/email", letter(), Idempotency_Key="a")
    api.token = (await sending.add_token((await sending.add_server(f"{api.server.name} too")).id)).secret
    assert message_of(await api.post("/email", letter(), Idempotency_Key="a")) != message_of(first)


async def test_two_at_once_are_one(api):
    answers = await asyncio.gather(*(api.post("/email", letter(), Idempotency_Key="a") for _ in range(5)))
    assert len({answer.content for answer in answers}) == 1
    assert sum("idempotent-replayed" in answer.headers for answer in answers) == 4
    assert await count(api) == 1


async def test_what_was_refused_may_be_tried_again(api):
    sending, outbound = api.web.services.sending, (api.server.id, "outbound", "carol@far.test")
    await sending.suppress(*outbound)
    assert problem_of(await api.post("/email", letter(), Idempotency_Key="a"))[1] == 406
    await sending.unsuppress(*outbound)
    assert (await api.post("/email", letter(), Idempotency_Key="a")).status_code == 200


async def test_a_key_lasts_a_day(api):
    first = await api.post("/email", letter(), Idempotency_Key="a")
    now = api.web.services.clock.now()
    read = api.store.read

    def record(after):
        return read(lambda tx: tx.idempotency.get(api.server.id, "a", now + after))

    kept = await record(timedelta(hours=23, minutes=59))
    assert (kept.status, kept.answer) == (200, first.content)
    assert await record(timedelta(hours=24, minutes=1)) is None


@pytest.mark.parametrize("key", ["x" * 256, '""', "a\tb", "ü"])
async def test_keys_that_are_none(api, key):
    response = await api.web.client.post(
        "/email", json=letter(), headers=[*api.header().items(), ("Idempotency-Key", key.encode("latin-1"))]
    )
    assert problem_of(response)[1:] == (300, "An Idempotency-Key has 1 to 255 characters of ASCII.")


async def test_another_node_was_faster(api, monkeypatch):
    """Both looked when nothing was there: the rows of the second are refused, and it repeats the first one's answer."""
    once = api.web.services
    store_accept = api.store.accept_all

    def overtaken(acceptances, then=None):
        (acceptance,) = acceptances
        mine = acceptance.idempotency
        other = IdempotencyRecord(mine.server, mine.key, mine.digest, 200, b'{"first":true}', mine.expires)
        now = once.clock.now()
        waiting = asyncio.ensure_future(api.store.write(lambda tx: tx.idempotency.put(other, now)))

        async def after():
            await waiting
            (commit,) = store_accept(acceptances, then)
            return await commit

        return [after()]

    monkeypatch.setattr(api.store, "accept_all", overtaken)
    response = await api.post("/email", letter(), Idempotency_Key="a")
    assert (response.status_code, response.json()) == (200, {"first": True})
    assert response.headers["idempotent-replayed"] == "true"
    assert await count(api) == 0


async def test_a_batch_that_was_taken_in_part_is_remembered_as_it_was(api, monkeypatch):
    store_accept = api.store.accept_all

    def lose_the_first(acceptances, then=None):
        acceptances[0].abandoned = True
        return store_accept(acceptances, then)

    monkeypatch.setattr(api.store, "accept_all", lose_the_first)
    content = [letter(), letter(To="dan@far.test")]
    first = await api.post("/email/batch", content, Idempotency_Key="a")
    assert [each["ErrorCode"] for each in first.json()] == [100, 0]
    monkeypatch.undo()
    again = await api.post("/email/batch", content, Idempotency_Key="a")
    assert again.content == first.content
    assert again.headers["idempotent-replayed"] == "true"
    assert await count(api) == 1
