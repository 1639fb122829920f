"""Domains, accounts, aliases, servers, streams, tokens and the audit log over the API."""

from __future__ import annotations

from postroad.testing.api import Api


async def with_domain(api: Api) -> None:
    await api.send("POST", "/domains", {"name": "example.com"}, status=201)


async def test_a_name_stands_in_an_address_as_one_word(api: Api) -> None:
    await with_domain(api)
    for address in ("a/b@example.com", '"<b>/../x"@example.com', "ü?#%2f@example.com"):
        made = await api.ask("POST", "/accounts", json={"address": address, "password": "long enough"})
        shown = await api.get(made.headers["location"])
        assert shown["address"] == made.json()["address"]


class TestDomains:
    async def test_added_shown_and_removed(self, api: Api) -> None:
        made = await api.ask("POST", "/domains", json={"name": "EXAMPLE.com"})
        assert made.headers["location"] == "/api/v1/domains/example.com"
        shown = await api.get("/domains/example.com")
        assert (shown["name"], shown["kind"]) == ("example.com", "local")
        await api.send("POST", "/domains", {"name": "shop.test", "relay_to": "192.0.2.7:2525"}, status=201)
        await api.send("POST", "/domains", {"name": "example.net", "alias_of": "example.com"}, status=201)
        assert [(row["name"], row["kind"], row["relay_to"], row["alias_of"]) for row in
                (await api.get("/domains"))["items"]] == [
            ("example.com", "local", "", ""),
            ("example.net", "alias", "", "example.com"),
            ("shop.test", "relay", "192.0.2.7:2525", ""),
        ]  # fmt: skip
        assert "remove that first" in await api.refused("DELETE", "/domains/example.com", 409)
        await api.send("DELETE", "/domains/example.net", status=204)
        await api.send("DELETE", "/domains/example.com", status=204)
        await api.refused("GET", "/domains/example.com", 404)

    async def test_pages_follow_one_another(self, api: Api) -> None:
        for name in ("c.test", "a.test", "b.test"):
            await api.services.administration.add_domain(name)
        first = await api.get("/domains", limit=2)
        assert [row["name"] for row in first["items"]] == ["a.test", "b.test"]
        rest = await api.get("/domains", limit=2, after=first["next"])
        assert [row["name"] for row in rest["items"]] == ["c.test"]
        assert rest["next"] is None

    async def test_records_wanted(self, api: Api) -> None:
        await with_domain(api)
        records = (await api.get("/domains/example.com/records"))["items"]
        assert records[0]["type"] == "MX"
        assert records[0]["value"] == "10 mail.example.test."

    async def test_bounces_get_a_domain_of_their_own(self, api: Api) -> None:
        await with_domain(api)
        path = "/domains/example.com/return-path"
        assert await api.get(path) == {"name": "", "proposed": "bounces.example.com"}
        assert (await api.send("PUT", path, {}))["name"] == "bounces.example.com"
        assert (await api.send("PUT", path, {"name": "Back.Example.com"}))["name"] == "back.example.com"
        records = (await api.get("/domains/example.com/records"))["items"]
        wanted = [(row["name"], row["type"], row["value"]) for row in records if row["name"] == "back.example.com"]
        assert wanted == [
            ("back.example.com", "MX", "10 mail.example.test."),
            ("back.example.com", "TXT", '"v=spf1 mx -all"'),
        ]
        assert "not a domain name" in await api.refused("PUT", path, 409, {"name": "exa mple"})
        await api.send("DELETE", path, status=204)
        assert "no return path of its own" in await api.refused("DELETE", path, 409)
        await api.refused("PUT", "/domains/far.test/return-path", 404, {})

    async def test_what_does_not_fit_is_refused_in_words(self, api: Api) -> None:
        await with_domain(api)
        assert "there already" in await api.refused("POST", "/domains", 409, {"name": "example.com"})
        assert "not a domain name" in await api.refused("POST", "/domains", 409, {"name": "exa mple"})
        both = {"name": "x.test", "relay_to": "192.0.2.7", "alias_of": "example.com"}
        assert "not both" in await api.refused("POST", "/domains", 409, both)


class TestAccounts:
    async def test_added_changed_and_removed(self, api: Api) -> None:
        await with_domain(api)
        body = {"address": "Alice@example.com", "password": "secret", "quota_bytes": 1000}
        made = await api.send("POST", "/accounts", body, status=201)
        assert (made["address"], made["quota_bytes"], made["administrator"]) == ("alice@example.com", 1000, True)
        assert "password" not in str(made)
        changed = await api.send("PATCH", "/accounts/alice@example.com", {"quota_bytes": 2000, "password": "other"})
        assert changed["quota_bytes"] == 2000
        assert await api.services.credentials.verify("alice@example.com", "other")
        assert await api.send("PATCH", "/accounts/alice@example.com", {}) == changed
        assert (await api.get("/accounts", domain="example.com"))["items"] == [changed]
        await api.send("DELETE", "/accounts/alice@example.com", status=204)
        await api.refused("PATCH", "/accounts/alice@example.com", 404, {})

    async def test_refused_in_words(self, api: Api) -> None:
        await with_domain(api)
        elsewhere = {"address": "alice@elsewhere.test", "password": "secret"}
        assert "not a domain of this server" in await api.refused("POST", "/accounts", 409, elsewhere)
        assert "control character" in await api.refused(
            "POST", "/accounts", 409, {"address": "alice@example.com", "password": "a\x07b"}
        )
        await api.refused("GET", "/accounts", 404, domain="no domain")


class TestAliases:
    async def test_set_replaced_and_removed(self, api: Api) -> None:
        await with_domain(api)
        await api.send("PUT", "/aliases/info@example.com", {"targets": ["bob@elsewhere.test"]})
        targets = {"targets": ["bob@elsewhere.test", "carol@elsewhere.test"]}
        changed = await api.send("PUT", "/aliases/info@example.com", targets)
        assert await api.get("/aliases/INFO@example.com") == changed
        await api.send("PUT", "/aliases/%2A@example.com", targets)
        assert [row["address"] for row in (await api.get("/aliases", domain="example.com"))["items"]] == [
            "*@example.com",
            "info@example.com",
        ]
        await api.send("DELETE", "/aliases/info@example.com", status=204)
        await api.refused("DELETE", "/aliases/info@example.com", 404)
        await api.refused("GET", "/aliases/nonsense", 404)

    async def test_a_slash_in_an_address_is_no_border(self, api: Api) -> None:
        await with_domain(api)
        await api.send("PUT", "/aliases/a%2Fb@example.com", {"targets": ["bob@elsewhere.test"]})
        assert (await api.get("/aliases/a%2Fb@example.com"))["address"] == "a/b@example.com"
        await api.refused("GET", "/aliases/a/b@example.com", 404)


class TestServers:
    async def test_added_changed_and_removed(self, api: Api) -> None:
        made = await api.send("POST", "/servers", {"name": "Shop", "color": "blue", "sandbox": True}, status=201)
        assert (made["name"], made["color"], made["sandbox"]) == ("Shop", "blue", True)
        path = f"/servers/{made['id']}"
        assert (await api.send("PATCH", path, {"name": "Boutique"}))["color"] == "blue"
        assert (await api.send("PATCH", path, {"color": ""}))["color"] == ""
        assert (await api.send("PATCH", path, {}))["name"] == "Boutique"
        assert "Boutique" in str(await api.get("/servers"))
        await api.send("DELETE", path, status=204)
        await api.refused("GET", path, 404)
        await api.refused("GET", "/servers/shop", 404)

    async def test_streams(self, api: Api) -> None:
        server = (await api.send("POST", "/servers", {"name": "Shop"}, status=201))["id"]
        path = f"/servers/{server}/streams"
        made = await api.send("POST", path, {"id": "receipts", "kind": "broadcasts"}, status=201)
        assert (made["name"], made["kind"]) == ("receipts", "broadcasts")
        assert "already" in await api.refused("POST", path, 409, {"id": "receipts"})
        archived = await api.send("POST", f"{path}/receipts/archive")
        assert archived["archived"]
        assert await api.get(f"{path}/receipts") == archived
        assert "receipts" not in str(await api.get(path))
        assert "receipts" in str(await api.get(path, archived="true"))
        assert (await api.send("POST", f"{path}/receipts/unarchive"))["archived"] is None
        assert "needs" in await api.refused("POST", f"{path}/outbound/archive", 409)
        await api.refused("GET", f"{path}/none", 404)
        await api.refused("GET", "/servers/77/streams", 404)

    async def test_tokens_show_their_secret_once(self, api: Api) -> None:
        server = (await api.send("POST", "/servers", {"name": "Shop"}, status=201))["id"]
        answer = await api.ask("POST", f"/servers/{server}/tokens", json={"name": "web"})
        made = answer.json()
        record = await api.services.tokens.verify(made["secret"])
        assert record
        assert record.name == "web"
        shown = await api.get(answer.headers["location"])
        assert shown["hint"] == made["secret"][-4:]
        assert made["secret"] not in str(shown)
        assert [row["name"] for row in (await api.get("/tokens", server=server))["items"]] == ["web"]
        first = await api.get("/tokens", limit=1)
        assert [row["name"] for row in (await api.get("/tokens", after=first["next"]))["items"]] == ["web"]
        await api.refused("GET", "/tokens", 404, server=server + 1)
        await api.refused("GET", "/tokens/7zzzzzzzzzzzz", 404)


class TestAudit:
    async def test_every_change_is_there_with_who_made_it(self, api: Api) -> None:
        await with_domain(api)
        await api.send("POST", "/accounts", {"address": "alice@example.com", "password": "secret"}, status=201)
        await api.send("PATCH", "/accounts/alice@example.com", {"password": "other"})
        await api.send("POST", "/servers", {"name": "Shop"}, status=201)
        await api.send("POST", "/queue/cancel", {"all": True})
        rows = (await api.get("/audit"))["items"]
        assert [(row["action"], row["target"]) for row in rows if row["kind"] == "key"] == [
            ("server added", "Shop"),
            ("account password set", "alice@example.com"),
            ("account added", "alice@example.com"),
            ("domain added", "example.com"),
        ]
        assert {row["client"] for row in rows if row["kind"] == "key"} == {"192.0.2.1"}
        assert "secret" not in str(rows)
        found = await api.get("/audit", text="shop", limit=1)
        assert found["items"][0]["target"] == "Shop"
        first = await api.get("/audit", limit=2)
        assert (await api.get("/audit", after=first["next"]))["items"] == rows[2:]


MISFITS = (
    (b'{"name": 5}', 422, "Expected `str`"),
    (b'{"name": "x.test", "more": 1}', 422, "unknown field `more`"),
    (b"{}", 422, "missing required field `name`"),
    (b'"text"', 422, "Expected `object`"),
    (b'{"name": "a\\u0000b"}', 422, "NUL"),
    (b'{"name": "\\ud800"}', 400, ""),
    (b"{", 400, "truncated"),
    (b"", 400, "truncated"),
    (b"\xff\xfe", 400, ""),
    (b"[" * 100_000, 422, ""),
    (b'{"name":' + b"[" * 100_000, 422, ""),
)


async def test_a_body_that_does_not_fit(api: Api) -> None:
    for body, status, words in MISFITS:
        answer = await api.ask("POST", "/domains", content=body, headers={"content-type": "application/json"})
        assert answer.status_code == status, body[:50]
        assert words in answer.json()["detail"]


async def test_a_body_of_another_type(api: Api) -> None:
    for kind in ("", "text/plain", "application/x-www-form-urlencoded"):
        answer = await api.ask("POST", "/domains", content=b'{"name": "x.test"}', headers={"content-type": kind})
        assert answer.status_code == 415, kind


async def test_numbers_may_be_written_with_a_fraction_that_is_none(api: Api) -> None:
    await with_domain(api)
    body = b'{"address": "alice@example.com", "password": "x", "quota_bytes": 5000.0}'
    answer = await api.ask("POST", "/accounts", content=body, headers={"content-type": "application/json"})
    assert answer.json()["quota_bytes"] == 5000
    body = body.replace(b"5000.0", b"5000.5").replace(b"alice", b"bob")
    answer = await api.ask("POST", "/accounts", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422


async def test_a_query_that_does_not_fit(api: Api) -> None:
    for query in ("limit=0", "limit=201", "limit=x", "more=1", "limit=1&limit=2", "after=%00", "after=%ff", "limit"):
        assert await api.refused("GET", f"/domains?{query}", 400), query
