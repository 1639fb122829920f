"""Servers, streams, tokens and suppressions as people manage them."""

import uuid

import pytest

from postroad.accounts.audit import COMMAND_LINE, Actor
from postroad.accounts.projects import MAX_STREAMS
from postroad.ports.sending import StreamKind, SuppressionReason, TokenKind
from postroad.ports.store import Refused

ALICE = Actor("admin", "alice@example.com", "192.0.2.1")


async def test_a_new_server_has_the_three_streams_of_postmark(tenancy):
    server = await tenancy.sending.add_server("  My   Shop ", color="Blue", by=ALICE)
    assert (server.name, server.color, server.sandbox) == ("My Shop", "blue", False)
    streams = await tenancy.sending.streams(server.id)
    assert {stream.id: stream.kind for stream in streams} == {
        "outbound": StreamKind.TRANSACTIONAL, "inbound": StreamKind.INBOUND, "broadcast": StreamKind.BROADCASTS,
    }  # fmt: skip
    assert [await tenancy.sending.server(name) for name in ("my shop", str(server.id), server.id)] == [server] * 3
    assert await tenancy.told() == [("alice@example.com", "server added", "My Shop")]


@pytest.mark.parametrize("name", ["", "   ", "x" * 101, "a\0b", "a\x1b[31m"])
async def test_names_that_cannot_be_are_refused_and_nothing_is_written_down(tenancy, name):
    with pytest.raises(Refused):
        await tenancy.sending.add_server(name)
    assert await tenancy.sending.servers() == []
    assert await tenancy.told() == []


async def test_a_server_is_renamed_recoloured_and_removed(tenancy):
    server = await tenancy.sending.add_server("Shop")
    await tenancy.sending.add_server("Club")
    with pytest.raises(Refused, match="Club"):
        await tenancy.sending.rename_server("Shop", "club")
    with pytest.raises(Refused, match="none of the colours"):
        await tenancy.sending.change_server("Shop", color="pink")
    changed = await tenancy.sending.change_server("Shop", name="Store", color="red")
    assert (changed.id, changed.name, changed.color) == (server.id, "Store", "red")
    assert (await tenancy.sending.change_server("Store", color="")).color == ""
    await tenancy.sending.remove_server("Store")
    with pytest.raises(Refused, match="no server Store"):
        await tenancy.sending.server("Store")
    assert (await tenancy.told())[-1] == (COMMAND_LINE.name, "server removed", "Store")


@pytest.mark.parametrize("name", ["", "Letters", "9lives", "a" * 31, "a b", "pm-letters", "grüße", "a.b"])
async def test_a_streams_id_has_a_form(tenancy, name):
    await tenancy.sending.add_server("Shop")
    with pytest.raises(Refused):
        await tenancy.sending.add_stream("Shop", name)


async def test_streams_are_added_archived_and_taken_back(tenancy):
    await tenancy.sending.add_server("Shop")
    made = await tenancy.sending.add_stream("shop", "letters", "", StreamKind.BROADCASTS, "weekly", by=ALICE)
    assert (made.id, made.name, made.description) == ("letters", "letters", "weekly")
    for refused in ("letters", "inbound"):
        with pytest.raises(Refused, match="already"):
            await tenancy.sending.add_stream("Shop", refused)
    with pytest.raises(Refused, match="only one"):
        await tenancy.sending.add_stream("Shop", "another", kind=StreamKind.INBOUND)
    await tenancy.clock.advance(60)
    gone = await tenancy.sending.archive_stream("Shop", "letters")
    assert gone.archived == gone.updated == tenancy.clock.now()
    with pytest.raises(Refused, match="archived already"):
        await tenancy.sending.archive_stream("Shop", "letters")
    with pytest.raises(Refused, match="every server needs"):
        await tenancy.sending.archive_stream("Shop", "outbound")
    with pytest.raises(Refused, match="no stream"):
        await tenancy.sending.archive_stream("Shop", "other")
    assert "letters" not in [stream.id for stream in await tenancy.sending.streams("Shop")]
    assert "letters" in [stream.id for stream in await tenancy.sending.streams("Shop", archived=True)]
    assert (await tenancy.sending.unarchive_stream("Shop", "letters")).archived is None
    with pytest.raises(Refused, match="not archived"):
        await tenancy.sending.unarchive_stream("Shop", "letters")
    assert [target for _, action, target in await tenancy.told() if action.startswith("stream")] == ["Shop/letters"] * 3


async def test_a_server_has_so_many_streams_and_archived_ones_do_not_count(tenancy):
    await tenancy.sending.add_server("Shop")
    for number in range(3, MAX_STREAMS):
        await tenancy.sending.add_stream("Shop", f"s{number}")
    with pytest.raises(Refused, match="at most 10"):
        await tenancy.sending.add_stream("Shop", "one-more")
    await tenancy.sending.archive_stream("Shop", "s3")
    await tenancy.sending.add_stream("Shop", "one-more")
    with pytest.raises(Refused, match="at most 10"):
        await tenancy.sending.unarchive_stream("Shop", "s3")


async def test_a_servers_token_is_a_uuid_and_only_its_digest_is_kept(tenancy, tmp_path):
    server = await tenancy.sending.add_server("Shop")
    made = await tenancy.sending.add_token("Shop", by=ALICE)
    assert str(uuid.UUID(made.secret)) == made.secret
    assert uuid.UUID(made.secret).version == 4
    assert (made.record.kind, made.record.server, made.record.hint) == (TokenKind.SERVER, server.id, made.secret[-4:])
    assert made.secret not in repr(made)
    key = await tenancy.sending.add_key("dash", ["queue:read", "queue:read"])
    assert len(key.secret) == 43
    assert key.secret.startswith("pr_")
    assert key.record.scopes == ("queue:read",)
    for path in tmp_path.rglob("*"):
        if path.is_file():
            kept = path.read_bytes()  # the log of what was committed is there, though the database may lag behind
            assert made.secret.encode() not in kept
            assert key.secret.encode() not in kept


async def test_keys_need_scopes_that_exist(tenancy):
    for scopes in ([], ["queue:fly"], ["*", "nonsense"]):
        with pytest.raises(Refused, match="scope"):
            await tenancy.sending.add_key("dash", scopes)
    with pytest.raises(Refused, match="needs a name"):
        await tenancy.sending.add_key("", ["*"])
    assert (await tenancy.sending.add_key("all", ["queue:read", "*"])).record.scopes == ("*",)


async def test_a_token_is_revoked_once(tenancy):
    await tenancy.sending.add_server("Shop")
    made = await tenancy.sending.add_token("Shop", "checkout")
    assert [token.id for token in await tenancy.sending.tokens("Shop")] == [made.record.id]
    gone = await tenancy.sending.revoke(made.record.id, by=ALICE)
    assert gone.revoked == tenancy.clock.now()
    with pytest.raises(Refused, match="revoked already"):
        await tenancy.sending.revoke(made.record.id)
    with pytest.raises(Refused, match="no such token"):
        await tenancy.sending.revoke(12345)
    assert await tenancy.sending.tokens() == []
    assert [token.id for token in await tenancy.sending.tokens(revoked=True)] == [made.record.id]
    assert (await tenancy.told())[-1][1:] == ("token revoked", f"checkout (…{made.secret[-4:]})")
    assert made.secret not in str(await tenancy.audit.page())


class TestSuppressions:
    async def test_who_is_suppressed_gets_nothing_on_that_stream(self, tenancy):
        server = (await tenancy.sending.add_server("Shop")).id
        asked = ["Bob@Remote.test", "alice@remote.test"]
        assert await tenancy.sending.suppressed(server, "outbound", asked) == set()
        assert tenancy.sending.suppresses_nobody(server, "outbound")
        made = await tenancy.sending.suppress("Shop", "outbound", "bob@remote.TEST", by=ALICE)
        assert made.address == "bob@remote.test"
        assert not tenancy.sending.suppresses_nobody(server, "outbound")  # at once
        assert await tenancy.sending.suppressed(server, "outbound", asked) == {"Bob@Remote.test"}
        assert await tenancy.sending.suppressed(server, "broadcast", asked) == set()
        again = await tenancy.sending.suppress("Shop", "outbound", "bob@remote.test", SuppressionReason.HARD_BOUNCE)
        assert again == made  # what is there stays
        assert await tenancy.sending.suppressions("Shop", "outbound") == [made]
        await tenancy.sending.unsuppress("Shop", "outbound", "BOB@remote.test")
        assert await tenancy.sending.suppressed(server, "outbound", asked) == set()
        with pytest.raises(Refused, match="not suppressed"):
            await tenancy.sending.unsuppress("Shop", "outbound", "bob@remote.test")

    async def test_what_another_node_suppressed_counts_within_seconds(self, tenancy):
        server = (await tenancy.sending.add_server("Shop")).id
        assert await tenancy.sending.suppressed(server, "outbound", ["bob@remote.test"]) == set()
        record = await tenancy.sending.suppress("Shop", "broadcast", "bob@remote.test")
        await tenancy.sending.suppressed(server, "outbound", ["bob@remote.test"])
        elsewhere = type(record)(server, "outbound", record.address, record.reason, record.origin, record.created)
        await tenancy.store.write(lambda tx: tx.suppressions.put(elsewhere))
        await tenancy.clock.advance(11)
        assert await tenancy.sending.suppressed(server, "outbound", ["bob@remote.test"]) == {"bob@remote.test"}

    async def test_a_complaint_is_the_recipients_to_take_back(self, tenancy):
        await tenancy.sending.add_server("Shop")
        await tenancy.sending.suppress("Shop", "outbound", "bob@remote.test", SuppressionReason.SPAM_COMPLAINT)
        with pytest.raises(Refused, match="only the recipient"):
            await tenancy.sending.unsuppress("Shop", "outbound", "bob@remote.test")

    async def test_what_is_no_address_or_stream_is_refused(self, tenancy):
        server = (await tenancy.sending.add_server("Shop")).id
        with pytest.raises(Refused, match="not an address"):
            await tenancy.sending.suppress("Shop", "outbound", "bob")
        with pytest.raises(Refused, match="no stream"):
            await tenancy.sending.suppress("Shop", "nowhere", "bob@remote.test")
        await tenancy.sending.suppress("Shop", "outbound", "bob@remote.test")
        assert await tenancy.sending.suppressed(server, "outbound", ["no address", ""]) == set()
