from datetime import UTC, datetime
from itertools import count

import pytest

from postroad.accounts import accounts, aliases, domains
from postroad.accounts.passwords import NO_SECRET
from postroad.ports.store import DomainKind, Refused
from postroad.testing.tenants import MemoryTx

NOW = datetime(2025, 1, 1, tzinfo=UTC)


class Ids:
    def __init__(self):
        self.numbers = count(1)

    def new(self):
        return next(self.numbers)


IDS = Ids()


@pytest.fixture
def tx():
    return MemoryTx()


def add_domain(tx, name="example.com"):
    return domains.add_local(tx, name, now=NOW, ids=IDS)


def add_account(tx, address="alice@example.com", **options):
    return accounts.add(tx, address, NO_SECRET, now=NOW, ids=IDS, **options)


def test_the_first_account_is_the_administrator_and_gets_the_role_addresses(tx):
    add_domain(tx)
    add_domain(tx, "second.test")
    assert tx.aliases.rows == {}
    alice = add_account(tx)
    bob = add_account(tx, "bob@example.com")
    assert alice.is_admin
    assert not bob.is_admin
    assert set(tx.aliases.rows) == {
        "postmaster@example.com", "abuse@example.com", "postmaster@second.test", "abuse@second.test",
    }  # fmt: skip
    assert {row.targets for row in tx.aliases.rows.values()} == {("alice@example.com",)}


def test_a_later_domain_gets_its_role_addresses_at_once(tx):
    add_domain(tx)
    add_account(tx)
    add_domain(tx, "third.test")
    assert tx.aliases.get("abuse@third.test").targets == ("alice@example.com",)


def test_an_administrator_called_postmaster_needs_no_alias(tx):
    add_domain(tx)
    add_account(tx, "postmaster@example.com")
    assert set(tx.aliases.rows) == {"abuse@example.com"}


def test_an_account_takes_the_place_of_a_role_alias(tx):
    add_domain(tx)
    add_account(tx)
    add_account(tx, "abuse@example.com")
    assert tx.aliases.get("abuse@example.com") is None


def test_an_account_has_its_mailboxes(tx):
    add_domain(tx)
    account = add_account(tx, "Alice@EXAMPLE.com")
    assert account.address == "alice@example.com"
    made = {row.name: row.special_use for row in tx.mailboxes.list(account.id)}
    assert made == {
        "INBOX": "", "Sent": "\\Sent", "Drafts": "\\Drafts", "Trash": "\\Trash", "Junk": "\\Junk",
        "Archive": "\\Archive",
    }  # fmt: skip
    validities = [row.uid_validity for row in tx.mailboxes.list(account.id)]
    assert len(set(validities)) == 6


@pytest.mark.parametrize(
    "address", ["no-at", "a@", "a@nowhere.test", "*@example.com", "a b@example.com", "a@relay.test"]
)
def test_accounts_that_cannot_be(tx, address):
    add_domain(tx)
    domains.add_relay(tx, "relay.test", "192.0.2.1", now=NOW, ids=IDS)
    with pytest.raises(Refused):
        add_account(tx, address)


def test_an_account_is_there_once_and_never_where_an_alias_is(tx):
    add_domain(tx)
    add_account(tx)
    aliases.add(tx, "info@example.com", ["alice@example.com"], now=NOW)
    for address in ("ALICE@example.com", "info@example.com"):
        with pytest.raises(Refused):
            add_account(tx, address)


def test_an_internationalized_domain_is_one_name(tx):
    assert add_domain(tx, "bücher.example").name == "xn--bcher-kva.example"
    assert add_account(tx, "jürgen@Bücher.example").address == "jürgen@xn--bcher-kva.example"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("relay.example", ("relay.example", 25)),
        ("relay.example:2525", ("relay.example", 2525)),
        ("192.0.2.1:26", ("192.0.2.1", 26)),
        ("2001:db8::1", ("2001:db8::1", 25)),
        ("[2001:db8::1]:26", ("2001:db8::1", 26)),
    ],
)
def test_relay_hosts(tx, text, expected):
    record = domains.add_relay(tx, "relay.test", text, now=NOW, ids=IDS)
    assert (record.kind, record.relay_host, record.relay_port) == (DomainKind.RELAY, *expected)


@pytest.mark.parametrize("text", ["", "host:0", "host:70000", "host:x", "not a host", "[::1"])
def test_what_is_no_relay_host(text):
    if text == "[::1":
        assert domains.read_relay(text) == ("::1", 25)
        return
    with pytest.raises(Refused):
        domains.read_relay(text)


def test_an_alias_domain_stands_for_one_with_mailboxes(tx):
    add_domain(tx)
    record = domains.add_alias(tx, "example.org", "EXAMPLE.com", now=NOW, ids=IDS)
    assert (record.kind, record.target) == (DomainKind.ALIAS, "example.com")
    for target in ("example.org", "nowhere.test"):
        with pytest.raises(Refused):
            domains.add_alias(tx, "example.net", target, now=NOW, ids=IDS)
    with pytest.raises(Refused, match=r"alice@example\.com"):
        add_account(tx, "alice@example.org")


def test_a_domain_goes_with_its_aliases_but_not_with_accounts(tx):
    add_domain(tx)
    add_domain(tx, "second.test")
    add_account(tx)
    domains.add_alias(tx, "second.example", "second.test", now=NOW, ids=IDS)
    with pytest.raises(Refused, match=r"alice@example\.com"):
        domains.remove(tx, "example.com")
    with pytest.raises(Refused, match=r"second\.example"):
        domains.remove(tx, "second.test")
    domains.remove(tx, "second.example")
    domains.remove(tx, "second.test")
    assert tx.aliases.list("second.test") == []
    with pytest.raises(Refused):
        domains.remove(tx, "second.test")


def test_an_account_that_aliases_point_to_stays(tx):
    add_domain(tx)
    add_account(tx)
    add_account(tx, "bob@example.com")
    aliases.add(tx, "info@example.com", ["Bob@example.com", "x@remote.test"], now=NOW)
    with pytest.raises(Refused, match="info@"):
        accounts.remove(tx, "bob@example.com")
    aliases.remove(tx, "info@example.com")
    accounts.remove(tx, "bob@example.com")
    with pytest.raises(Refused):
        accounts.remove(tx, "bob@example.com")


def test_the_last_account_takes_the_role_addresses_along_and_the_next_gets_them(tx):
    add_domain(tx)
    add_account(tx)
    accounts.remove(tx, "alice@example.com")
    assert tx.aliases.rows == {}
    assert add_account(tx, "carol@example.com").is_admin
    assert tx.aliases.get("postmaster@example.com").targets == ("carol@example.com",)


def test_aliases(tx):
    add_domain(tx)
    add_account(tx)
    record = aliases.add(tx, "Info@example.com", ["Alice@example.com", "Alice@example.com", "B@Remote.test"], now=NOW)
    assert record.address == "info@example.com"
    assert record.targets == ("Alice@example.com", "B@remote.test")
    assert aliases.add(tx, "*@example.com", ["alice@example.com"], now=NOW).address == "*@example.com"
    aliases.remove(tx, "INFO@example.com")
    with pytest.raises(Refused):
        aliases.remove(tx, "info@example.com")


@pytest.mark.parametrize(
    ("address", "targets"),
    [
        ("info@example.com", []),
        ("info@example.com", ["nonsense"]),
        ("info@example.com", ["info@example.com"]),
        ("info@example.com", ["*@example.com"]),
        ("info@example.com", [f"a{n}@x.test" for n in range(501)]),
        ("alice@example.com", ["b@x.test"]),
        ("info@elsewhere.test", ["alice@example.com"]),
    ],
)
def test_aliases_that_cannot_be(tx, address, targets):
    add_domain(tx)
    add_account(tx)
    with pytest.raises(Refused):
        aliases.add(tx, address, targets, now=NOW)


def test_quotas(tx):
    add_domain(tx)
    add_account(tx, quota_bytes=5)
    accounts.set_quota(tx, "alice@example.com", 10)
    assert accounts.get(tx, "alice@example.com").quota_bytes == 10
    with pytest.raises(Refused):
        accounts.set_quota(tx, "alice@example.com", -1)
