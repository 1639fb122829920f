"""The suppressions of a stream, and GET /server."""

import re

import pytest

from postroad.ports.sending import SuppressionOrigin, SuppressionReason
from postroad.testing.postmark import postmark_api, problem_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATH = "/message-streams/outbound/suppressions"


def entries(*addresses):
    return {"Suppressions": [{"EmailAddress": address} for address in addresses]}


async def test_suppress_show_and_take_back(api):
    made = await api.post(PATH, entries("Carol@Far.test", "nonsense"))
    assert made.json() == {
        "Suppressions": [
            {"EmailAddress": "Carol@Far.test", "Status": "Suppressed", "Message": None},
            {"EmailAddress": "nonsense", "Status": "Failed", "Message": "An invalid email address was provided."},
        ]
    }
    (shown,) = (await api.get(f"{PATH}/dump")).json()["Suppressions"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", shown.pop("CreatedAt"))
    assert shown == {"EmailAddress": "carol@far.test", "SuppressionReason": "ManualSuppression", "Origin": "Customer"}
    assert problem_of(await api.send())[1] == 406
    gone = await api.post(f"{PATH}/delete", entries("carol@far.test", "never@there.test"))
    assert [(each["Status"], each["Message"]) for each in gone.json()["Suppressions"]] == [("Deleted", None)] * 2
    assert (await api.send()).status_code == 200


async def test_who_did_it_is_in_the_audit_log(api):
    await api.post(PATH, entries("carol@far.test"))
    newest = (await api.store.read(lambda tx: tx.audit.page()))[0]
    assert (newest.kind, newest.action, newest.target) == ("token", "address suppressed", "carol@far.test")
    assert newest.client == "192.0.2.1"


@pytest.mark.parametrize(
    ("reason", "origin", "status"),
    [
        (SuppressionReason.SPAM_COMPLAINT, SuppressionOrigin.RECIPIENT, "Failed"),
        (SuppressionReason.MANUAL, SuppressionOrigin.RECIPIENT, "Failed"),
        (SuppressionReason.HARD_BOUNCE, SuppressionOrigin.RECIPIENT, "Deleted"),
        (SuppressionReason.MANUAL, SuppressionOrigin.CUSTOMER, "Deleted"),
    ],
)
async def test_what_recipients_decided_is_theirs(api, reason, origin, status):
    await api.web.services.sending.suppress(api.server.id, "outbound", "carol@far.test", reason, origin)
    (found,) = (await api.post(f"{PATH}/delete", entries("carol@far.test"))).json()["Suppressions"]
    assert found["Status"] == status
    assert (found["Message"] is None) == (status == "Deleted")


async def test_filters(api):
    suppress = api.web.services.sending.suppress
    await suppress(api.server.id, "outbound", "a@far.test", SuppressionReason.HARD_BOUNCE, SuppressionOrigin.RECIPIENT)
    await suppress(api.server.id, "outbound", "b@far.test")

    async def found(**query):
        return [each["EmailAddress"] for each in (await api.get(f"{PATH}/dump", **query)).json()["Suppressions"]]

    assert await found() == ["a@far.test", "b@far.test"]
    assert await found(SuppressionReason="hardbounce") == await found(origin="Recipient") == ["a@far.test"]
    assert await found(emailAddress="B@far.test") == ["b@far.test"]
    assert await found(fromDate="2020-01-01", to_date="2020-12-31T23:59:59") == []
    assert await found(fromdate="2020-01-01", todate="2099-12-31", origin="") == ["a@far.test", "b@far.test"]


async def test_the_dump_is_not_cut(api, monkeypatch):
    monkeypatch.setattr("postroad.web.postmark.suppressions.PAGE", 3)
    addresses = [f"r{number}@far.test" for number in range(7)]
    await api.post(PATH, entries(*addresses))
    shown = (await api.get(f"{PATH}/dump")).json()["Suppressions"]
    assert [each["EmailAddress"] for each in shown] == addresses


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ([], 1409), ({}, 1409), ({"Suppressions": "x"}, 1409), (entries(*(["a@b.test"] * 51)), 1410),
        ({"Suppressions": ["a@b.test"]}, 1411), ({"Suppressions": [{"EmailAddress": 5}]}, 1411),
    ],
)  # fmt: skip
async def test_bodies_that_are_none(api, content, code):
    status_code, found, _ = problem_of(await api.post(PATH, content))
    assert (status_code, found) == (422, code)


async def test_queries_that_are_none(api):
    assert problem_of(await api.get(f"{PATH}/dump", SuppressionReason="Mood"))[1] == 1404
    assert problem_of(await api.get(f"{PATH}/dump", Origin="Mars"))[1] == 1405
    assert problem_of(await api.get(f"{PATH}/dump", fromdate="soon"))[1] == 403


async def test_an_unknown_stream(api):
    for response in (
        await api.get("/message-streams/nope/suppressions/dump"),
        await api.post("/message-streams/nope/suppressions", entries("a@b.test")),
    ):
        assert problem_of(response) == (422, 1226, "The message stream for the provided 'ID' was not found.")


async def test_the_server_of_a_token(tmp_path):
    async with postmark_api(tmp_path, sandbox=True) as api:
        found = (await api.get("/server/")).json()
        assert (found["ID"], found["Name"], found["DeliveryType"]) == (api.server.id, "shop", "Sandbox")
        assert found["ApiTokens"] == [api.token]
        assert found["ServerLink"] == f"http://mail.example.test/console/servers/{api.server.id}"
        assert found["TrackLinks"] == "None"
