"""Messages, queue and figures over the API."""

from __future__ import annotations

from typing import Any

import pytest

from postroad.ports.ids import id_text
from postroad.ports.store import Acceptance, DeliveryState
from postroad.ports.uuids import uuid_text
from postroad.testing.api import Api
from postroad.testing.stores import Mail

CONTENT = b"Subject: hello\r\n\r\nbody\r\n"


@pytest.fixture
def mail(api: Api) -> Mail:
    return Mail(api.services.clock)


async def accept(api: Api, acceptance: Acceptance) -> Acceptance:
    await api.services.store.accept(acceptance)
    return acceptance


class TestMessages:
    async def test_found_by_words_newest_first_in_pages(self, api: Api, mail: Mail) -> None:
        made = [await accept(api, mail.remote(subject=f"invoice {number}")) for number in range(3)]
        await accept(api, mail.remote(subject="other"))
        first = await api.get("/messages", q="subject:invoice", limit=2)
        assert [row["message"]["subject"] for row in first["items"]] == ["invoice 2", "invoice 1"]
        assert first["items"][0]["recipients"][0]["address"] == "r@remote.test"
        assert first["items"][0]["states"] == {"queued": 1}
        rest = await api.get("/messages", q="subject:invoice", limit=2, after=first["next"])
        assert [row["message"]["id"] for row in rest["items"]] == [id_text(made[0].message.id)]
        assert rest["next"] is None

    async def test_a_query_that_cannot_be_read_says_what_would_be(self, api: Api) -> None:
        assert "subject:" in await api.refused("GET", "/messages", 400, q="sbject:invoice")
        assert "after" in await api.refused("GET", "/messages", 400, after="nonsense")

    async def test_one_with_its_way(self, api: Api, mail: Mail) -> None:
        made = await accept(api, mail.remote("alice@remote.test", "bob@remote.test"))
        alice = made.deliveries[0]
        await api.services.store.outcomes(mail.outcome(alice))
        for name in (id_text(made.message.id), id_text(alice.id), uuid_text(made.message.id)):
            found = await api.get(f"/messages/{name}")
            assert found["message"]["id"] == id_text(made.message.id)
            assert found["message"]["from"] == "Sender <sender@client.test>"
        assert {row["address"]: row["state"] for row in found["recipients"]} == {
            "alice@remote.test": "delivered",
            "bob@remote.test": "queued",
        }
        assert found["finished"] is False
        steps = (await api.get(f"/messages/{name}/timeline"))["items"]
        assert [step["good"] for step in steps if "alice@remote.test: delivered" in step["text"]] == [True]
        (attempt,) = (await api.get(f"/messages/{name}/attempts"))["items"]
        assert attempt["dialogue"] == "> QUIT\n< 221 bye\n"
        assert attempt["timings"] == {"connect": 0.01}
        assert [(one["address"], one["reply"]["code"]) for one in attempt["outcomes"]] == [("alice@remote.test", 250)]

    async def test_its_source_octet_by_octet(self, api: Api, mail: Mail) -> None:
        content = b"Subject: hello\r\n\r\n" + b"\xff\x00\r\n" * 50_000
        made = await accept(api, mail.remote(content=content))
        path = f"/messages/{id_text(made.message.id)}/source"
        answer = await api.ask("GET", path)
        assert answer.content == content
        assert answer.headers["content-disposition"] == f'attachment; filename="{id_text(made.message.id)}.eml"'
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        head = await api.ask("HEAD", path)
        assert (head.content, head.headers["content-length"]) == (b"", str(len(content)))

    async def test_none(self, api: Api) -> None:
        for name in ("1m2n3p4q5r6st", "nonsense", "%00", "9" * 5000):
            for rest in ("", "/timeline", "/attempts", "/source"):
                assert await api.refused("GET", f"/messages/{name}{rest}", 404)


class TestQueue:
    async def waiting(self, api: Api, mail: Mail) -> list[Acceptance]:
        return [
            await accept(api, mail.remote("alice@one.test", dest="mx:one.test", owned=False)),
            await accept(api, mail.remote("bob@two.test", "carol@two.test", dest="mx:two.test", owned=False)),
        ]

    async def test_listed_by_any_field_in_pages(self, api: Api, mail: Mail) -> None:
        one, _ = await self.waiting(api, mail)
        first = await api.get("/queue", limit=2)
        rest = await api.get("/queue", after=first["next"])
        assert addresses(first) + addresses(rest) == ["alice@one.test", "bob@two.test", "carol@two.test"]
        assert rest["next"] is None
        for query, found in (
            ({"destination": "mx:one.test"}, ["alice@one.test"]),
            ({"domain": "TWO.test"}, ["bob@two.test", "carol@two.test"]),
            ({"recipient": "CAROL"}, ["carol@two.test"]),
            ({"message": id_text(one.message.id)}, ["alice@one.test"]),
            ({"state": "held"}, []),
            ({"older_than": 3600}, []),
            ({"younger_than": 3600, "sender": "sender@client.test", "limit": 1}, ["alice@one.test"]),
        ):
            assert addresses(await api.get("/queue", **query)) == found, query

    async def test_summed_up_by_destination(self, api: Api, mail: Mail) -> None:
        await self.waiting(api, mail)
        rows = (await api.get("/queue/summary"))["items"]
        assert {row["destination"]: row["queued"] for row in rows} == {"mx:one.test": 1, "mx:two.test": 2}

    async def test_actions_are_previewed_then_done(self, api: Api, mail: Mail) -> None:
        await self.waiting(api, mail)
        order = {"where": {"domain": "two.test"}, "dry_run": True}
        meant = await api.send("POST", "/queue/hold", order)
        assert (meant["changed"], meant["preview"]["recipients"], meant["preview"]["messages"]) == (2, 2, 1)
        assert meant["preview"]["destinations"] == {"mx:two.test": 2}
        assert addresses({"items": meant["preview"]["examples"]}) == ["bob@two.test", "carol@two.test"]
        assert addresses(await api.get("/queue", state="held")) == []
        done = await api.send("POST", "/queue/hold", {"where": {"domain": "two.test"}})
        assert (done["changed"], done["preview"]) == (2, None)
        held = await api.get("/queue", state="held")
        assert addresses(held) == ["bob@two.test", "carol@two.test"]
        assert held["items"][0]["recipient"]["held_for"]
        chosen = {"recipients": [held["items"][0]["recipient"]["id"]]}
        assert (await api.send("POST", "/queue/release", chosen))["changed"] == 1
        assert (await api.send("POST", "/queue/cancel", {"all": True}))["changed"] == 3
        assert addresses(await api.get("/queue")) == []
        actions = [row["action"] for row in (await api.get("/audit"))["items"] if row["kind"] == "key"]
        assert actions == ["queue cancel", "queue release", "queue hold"]

    async def test_another_way_and_a_return(self, api: Api, mail: Mail) -> None:
        await self.waiting(api, mail)
        order = {"where": {"domain": "two.test"}, "to": "relay.test:25"}
        assert (await api.send("POST", "/queue/reroute", order | {"dry_run": True}))["changed"] == 2
        assert (await api.send("POST", "/queue/reroute", order))["changed"] == 2
        rows = (await api.get("/queue/summary"))["items"]
        assert {row["destination"]: row["queued"] for row in rows} == {"mx:one.test": 1, "to:relay.test:25": 2}
        assert "no way" in await api.refused("POST", "/queue/reroute", 409, {"all": True, "to": "no way"})
        assert (await api.send("POST", "/queue/bounce", {"where": {"domain": "one.test"}}))["changed"] == 1

    async def test_over_time(self, api: Api, mail: Mail) -> None:
        await self.waiting(api, mail)
        now = api.services.clock.now()
        await api.services.store.write(lambda tx: tx.deliveries.take_sample(now, now))
        (sample,) = (await api.get("/queue/history", hours=1))["items"]
        assert (sample["queued"], sample["held"]) == (3, 0)

    async def test_a_node_is_asked_about_what_it_sends(self, api: Api, mail: Mail) -> None:
        made = await accept(api, mail.remote(owned=True))
        done = await api.send("POST", "/queue/cancel", {"where": {"message": id_text(made.message.id)}})
        assert (done["changed"], done["asked"]) == (0, 1)

    async def test_everything_has_to_be_said(self, api: Api, mail: Mail) -> None:
        await self.waiting(api, mail)
        for body in ({}, {"where": {}}, {"recipients": []}, {"dry_run": True}):
            assert "all" in await api.refused("POST", "/queue/cancel", 409, body)
        await api.refused("POST", "/queue/burn", 404, {"all": True})
        await api.refused("POST", "/queue/cancel", 422, {"all": True, "recipients": ["x"]})


class TestStatistics:
    async def test_figures_of_now(self, api: Api, mail: Mail) -> None:
        made = await accept(api, mail.remote())
        await api.services.store.outcomes(mail.outcome(made.deliveries[0], DeliveryState.DELIVERED))
        for span, steps in (("hour", 60), ("day", 96), ("month", 120)):
            figures = await api.get("/statistics", span=span)
            assert figures["totals"]["delivered"] == 1
            assert [len(counts) for counts in figures["counts"].values()] == [steps] * len(figures["counts"])
        assert (await api.get("/statistics", stream="none"))["totals"]["delivered"] == 0
        assert (await api.get("/statistics", server=5))["totals"]["delivered"] == 0
        await api.refused("GET", "/statistics", 400, span="year")


def addresses(page: Any) -> list[str]:
    return [row["recipient"]["address"] for row in page["items"]]
