"""Domains, accounts, aliases, nodes and facts."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from postroad.ports.ids import AccountId, DomainId
from postroad.ports.store import AccountRecord, AliasRecord, DomainKind, DomainRecord, Refused


async def test_a_domain_is_kept_listed_and_removed(store, mail):
    relay = DomainRecord(DomainId(2), "relay.test", DomainKind.RELAY, mail.now, "inside.test", 2525)
    alias = DomainRecord(DomainId(3), "alias.test", DomainKind.ALIAS, mail.now, target="local.test")

    def add(tx):
        mail.domain(tx)
        tx.domains.add(relay)
        tx.domains.add(alias)

    await store.write(add)
    assert await store.read(lambda tx: tx.domains.get("relay.test")) == relay
    assert await store.read(lambda tx: tx.domains.get("none.test")) is None
    names = [domain.name for domain in await store.read(lambda tx: tx.domains.list())]
    assert names == ["alias.test", "local.test", "relay.test"]
    assert await store.write(lambda tx: tx.domains.remove("relay.test"))
    assert not await store.write(lambda tx: tx.domains.remove("relay.test"))


async def test_a_name_that_is_taken_is_refused(store, mail):
    await store.write(mail.domain)
    with pytest.raises(Refused, match=r"local\.test"):
        await store.write(mail.domain)
    await store.write(mail.account)
    with pytest.raises(Refused, match=r"alice@local\.test"):
        await store.write(mail.account)


async def test_an_account_changes_password_and_quota(store, mail):
    record = AccountRecord(
        AccountId(7), "bob@local.test", mail.now, "hash", b"\x00scram", quota_bytes=10, is_admin=True, disabled=True
    )
    await store.write(lambda tx: tx.accounts.add(record))
    assert await store.read(lambda tx: tx.accounts.get(AccountId(7))) == record

    def change(tx):
        tx.accounts.set_password(AccountId(7), "other", b"new")
        tx.accounts.set_quota(AccountId(7), 99)

    await store.write(change)
    changed = replace(record, password_hash="other", scram=b"new", quota_bytes=99, credential_version=1)
    assert await store.read(lambda tx: tx.accounts.by_address("bob@local.test")) == changed


async def test_accounts_are_listed_by_domain_and_the_oldest_admin_found(store, mail, clock):
    def add(tx):
        for number, (address, admin, age) in enumerate(
            [("z@b.test", True, 1), ("a@b.test", True, 2), ("c@c.test", False, 3)], 1
        ):
            created = mail.now - timedelta(hours=age)
            tx.accounts.add(AccountRecord(AccountId(number), address, created, is_admin=admin))

    await store.write(add)
    assert [a.address for a in await store.read(lambda tx: tx.accounts.list("b.test"))] == ["a@b.test", "z@b.test"]
    assert len(await store.read(lambda tx: tx.accounts.list())) == 3
    assert (await store.read(lambda tx: tx.accounts.first_admin())).address == "a@b.test"


async def test_an_account_takes_its_mailboxes_with_it_and_never_repeats_a_uid_validity(store, mail, clock):
    account = await store.write(mail.account)
    inbox = await store.write(lambda tx: mail.mailbox(tx, account))
    before = (await store.read(lambda tx: tx.mailboxes.get(inbox))).uid_validity
    await store.write(lambda tx: tx.accounts.remove(account))
    assert await store.read(lambda tx: tx.accounts.get(account)) is None
    assert await store.read(lambda tx: tx.mailboxes.get(inbox)) is None
    await clock.advance(1)
    again = await store.write(mail.inbox)
    assert (await store.read(lambda tx: tx.mailboxes.get(again))).uid_validity > before


async def test_an_alias_is_put_replaced_and_removed(store, mail):
    first = AliasRecord("sales@local.test", ("alice@local.test", "x@remote.test"), mail.now)
    catch_all = AliasRecord("*@local.test", ("alice@local.test",), mail.now)
    other = AliasRecord("a@other.test", ("alice@local.test",), mail.now)

    def put(tx):
        for record in (first, catch_all, other):
            tx.aliases.put(record)

    await store.write(put)
    assert await store.read(lambda tx: tx.aliases.list("local.test")) == [catch_all, first]
    second = replace(first, targets=("bob@local.test",))
    await store.write(lambda tx: tx.aliases.put(second))
    assert await store.read(lambda tx: tx.aliases.get("sales@local.test")) == second
    assert await store.write(lambda tx: tx.aliases.remove("sales@local.test"))
    assert await store.read(lambda tx: tx.aliases.get("sales@local.test")) is None
    assert len(await store.read(lambda tx: tx.aliases.list())) == 2


async def test_a_node_gets_a_new_epoch_at_each_start_and_an_older_one_is_told(store, mail):
    lease = timedelta(seconds=60)
    node, first = await store.write(lambda tx: tx.nodes.join("a", now=mail.now, lease=lease))
    again, second = await store.write(lambda tx: tx.nodes.join("a", now=mail.now, lease=lease))
    other, _ = await store.write(lambda tx: tx.nodes.join("b", now=mail.now, lease=lease))
    assert again == node
    assert other == node + 1  # however often a node starts, numbers are used up by new nodes alone
    assert second == first + 1
    assert await store.write(lambda tx: tx.nodes.renew(node, second, now=mail.now, lease=lease))
    assert not await store.write(lambda tx: tx.nodes.renew(node, first, now=mail.now, lease=lease))


async def test_facts_are_remembered(store):
    assert await store.read(lambda tx: tx.meta.get("x")) is None
    await store.write(lambda tx: tx.meta.put("x", "1"))
    await store.write(lambda tx: tx.meta.put("x", "2"))
    assert await store.read(lambda tx: tx.meta.get("x")) == "2"
