"""The services that manage projects and administrators, on both engines; and that no change goes unwritten."""

import asyncio
import inspect

import pytest

from postroad.accounts import passwords
from postroad.accounts.administration import Administration
from postroad.accounts.admins import Admins
from postroad.accounts.audit import Actor
from postroad.accounts.logins import BY_NAME, TooManyLogins
from postroad.accounts.sending import Sending
from postroad.ports.admins import PasskeyRecord
from postroad.ports.ids import SessionId
from postroad.ports.store import QueueFilter, Refused
from postroad.queue.actions import NAMES, Actions
from postroad.testing.projects import Tenancy

ALICE = Actor("admin", "alice@example.com", "192.0.2.1")
PASSWORD = "correct horse"


@pytest.fixture
async def tenancy(store, mail, clock, monkeypatch):
    monkeypatch.setattr(passwords, "make_secret", lambda password, *_: passwords.Secret(f"hash of {password}", b""))
    monkeypatch.setattr(passwords, "is_current", lambda *_: True)
    monkeypatch.setattr(passwords, "matches", lambda hashed, password: hashed == f"hash of {password}")
    tenancy = Tenancy(store, clock, mail.ids)
    yield tenancy
    await tenancy.close()


async def ready(tenancy):
    """Something of everything, for changes to work on."""
    await tenancy.administration.add_domain("example.com")
    await tenancy.administration.add_domain("old.test")
    await tenancy.administration.add_account("alice@example.com", PASSWORD)
    await tenancy.administration.add_account("bob@example.com", PASSWORD)
    await tenancy.administration.add_alias("info@example.com", ["alice@example.com"])
    shop = await tenancy.sending.add_server("Shop")
    await tenancy.sending.add_server("Club")
    for stream in ("letters", "gone"):
        await tenancy.sending.add_stream("Shop", stream)
    await tenancy.sending.archive_stream("Shop", "gone")
    await tenancy.sending.suppress("Shop", "outbound", "bob@remote.test")
    token = await tenancy.sending.add_token("Shop")
    admin = await tenancy.admins.add("alice@example.com", PASSWORD)
    other = await tenancy.admins.add("bob@example.com", PASSWORD)
    await tenancy.admins.add_passkey(PasskeyRecord(b"p", admin.id, b"", 0, "Laptop", tenancy.clock.now()))
    await tenancy.admins.totp_begin(admin.id)
    secret = await tenancy.admins.begin_session(admin.id)
    session = await tenancy.admins.session(secret)
    return {"shop": shop.id, "token": token.record.id, "admin": admin.id, "other": other.id, "session": session.id}


# Every method that takes `by`, with a call that changes something.
CHANGES = {
    Administration: {
        "add_domain": lambda s, have, by: s.add_domain("new.test", by=by),
        "remove_domain": lambda s, have, by: s.remove_domain("old.test", by=by),
        "add_account": lambda s, have, by: s.add_account("carol@example.com", PASSWORD, by=by),
        "set_password": lambda s, have, by: s.set_password("bob@example.com", "other", by=by),
        "set_quota": lambda s, have, by: s.set_quota("bob@example.com", 5, by=by),
        "remove_account": lambda s, have, by: s.remove_account("bob@example.com", by=by),
        "add_alias": lambda s, have, by: s.add_alias("x@example.com", ["alice@example.com"], by=by),
        "remove_alias": lambda s, have, by: s.remove_alias("info@example.com", by=by),
    },
    Sending: {
        "add_server": lambda s, have, by: s.add_server("New", by=by),
        "change_server": lambda s, have, by: s.change_server("Shop", color="red", by=by),
        "rename_server": lambda s, have, by: s.rename_server("Shop", "Store", by=by),
        "remove_server": lambda s, have, by: s.remove_server("Club", by=by),
        "add_stream": lambda s, have, by: s.add_stream("Shop", "new", by=by),
        "archive_stream": lambda s, have, by: s.archive_stream("Shop", "letters", by=by),
        "unarchive_stream": lambda s, have, by: s.unarchive_stream("Shop", "gone", by=by),
        "add_token": lambda s, have, by: s.add_token("Shop", by=by),
        "add_key": lambda s, have, by: s.add_key("dash", ["*"], by=by),
        "revoke": lambda s, have, by: s.revoke(have["token"], by=by),
        "suppress": lambda s, have, by: s.suppress("Shop", "outbound", "x@remote.test", by=by),
        "unsuppress": lambda s, have, by: s.unsuppress("Shop", "outbound", "bob@remote.test", by=by),
    },
    Admins: {
        "add": lambda s, have, by: s.add("new@example.com", PASSWORD, by=by),
        "remove": lambda s, have, by: s.remove(have["other"], by=by),
        "set_password": lambda s, have, by: s.set_password(have["admin"], "battery staple", by=by),
        "totp_begin": lambda s, have, by: s.totp_begin(have["admin"], by=by),
        "totp_confirm": lambda s, have, by: s.totp_confirm(have["admin"], 1, by=by),
        "totp_remove": lambda s, have, by: s.totp_remove(have["admin"], by=by),
        "add_passkey": lambda s, have, by: s.add_passkey(
            PasskeyRecord(b"q", have["admin"], b"", 0, "Phone", s._clock.now()), by=by
        ),
        "remove_passkey": lambda s, have, by: s.remove_passkey(have["admin"], b"p", by=by),
        "reset_second_step": lambda s, have, by: s.reset_second_step(have["admin"], by=by),
        "login_link": lambda s, have, by: s.login_link(have["admin"], by=by),
        "end_session": lambda s, have, by: s.end_session(have["session"], by=by),
        "end_sessions": lambda s, have, by: s.end_sessions(have["admin"], by=by),
    },
}
_ALL = [(service, name) for service, calls in CHANGES.items() for name in calls]


@pytest.mark.parametrize("service", CHANGES, ids=lambda service: service.__name__)
def test_the_table_has_every_method_that_changes(service):
    changing = {
        name
        for name, method in inspect.getmembers(service, inspect.iscoroutinefunction)
        if "by" in inspect.signature(method).parameters and not name.startswith("_")
    }
    assert changing == set(CHANGES[service])


async def test_each_change_is_one_row_of_the_audit_log_and_holds_no_secret(tenancy):
    have = await ready(tenancy)
    services = {Administration: tenancy.administration, Sending: tenancy.sending, Admins: tenancy.admins}
    before = len(await tenancy.audit.page(limit=1000))
    last = [
        "totp_remove",
        "reset_second_step",
        "set_password",
        "revoke",
        "archive_stream",
        "rename_server",
        "remove_account",
        "remove",
    ]
    order = sorted(_ALL, key=lambda each: last.index(each[1]) if each[1] in last else -1)
    for number, (service, name) in enumerate(order, 1):
        result = await CHANGES[service][name](services[service], have, ALICE)
        rows = await tenancy.audit.page(limit=1000)
        assert len(rows) == before + number, name
        assert (rows[0].kind, rows[0].actor, rows[0].client) == ("admin", ALICE.name, ALICE.client), name
        assert rows[0].target, name
        text = str([(row.target, row.detail) for row in rows])
        for secret in (
            PASSWORD,
            "battery staple",
            getattr(result, "secret", None),
            result if name == "login_link" else None,
        ):
            assert secret is None or secret not in text, name


async def test_what_is_refused_is_not_in_the_log(tenancy):
    await ready(tenancy)
    before = await tenancy.audit.page(limit=1000)
    for refused in (
        tenancy.administration.add_domain("example.com"),
        tenancy.administration.remove_alias("nobody@example.com"),
        tenancy.sending.add_server("shop"),
        tenancy.sending.archive_stream("Shop", "outbound"),
        tenancy.admins.add("alice@example.com", PASSWORD),
        tenancy.admins.remove_passkey(1, b"x"),
    ):
        with pytest.raises(Refused):
            await refused
    await tenancy.admins.end_session(SessionId(1))  # there is none
    assert await tenancy.audit.page(limit=1000) == before


@pytest.mark.parametrize("name", NAMES)
async def test_an_action_on_the_queue_is_one_row_however_many_slices(store, mail, clock, tenancy, monkeypatch, name):
    monkeypatch.setattr("postroad.queue.actions.SLICE", 2)
    units = [mail.remote(f"{n}@remote.test", owned=False) for n in range(5)]
    await asyncio.gather(*(store.accept(unit) for unit in units))
    actions = Actions(store, clock=clock, ids=mail.ids, signals=tenancy.signals)
    to = "relay.test:25" if name == "reroute" else ""
    if name == "release":
        await actions.hold(QueueFilter(), ALICE)
    before = len(await tenancy.audit.page())
    await actions.act(name, QueueFilter(domain="remote.test"), ALICE, dry_run=True, to=to)
    assert len(await tenancy.audit.page()) == before
    done = await actions.act(name, QueueFilter(domain="remote.test"), ALICE, to=to)
    assert done.changed == 5
    rows = await tenancy.audit.page()
    assert len(rows) == before + 1
    assert (rows[0].actor, rows[0].action, rows[0].target) == (ALICE.name, f"queue {name}", "domain remote.test")
    assert rows[0].detail == {"changed": 5, "asked": 0, "domain": "remote.test"} | ({"to": to} if to else {})
    assert (await actions.act(name, QueueFilter(domain="else.test"), ALICE, to=to)).total == 0
    assert len(await tenancy.audit.page()) == before + 1  # nothing was changed


async def test_attempts_at_once_on_two_connections_count_one_by_one(tenancy):
    admits = [tenancy.throttle.admit("198.51.100.7", "alice@example.com") for _ in range(30)]
    results = await asyncio.gather(*admits, return_exceptions=True)
    assert sum(result is None for result in results) == BY_NAME.free + 1
    assert {type(result) for result in results} == {type(None), TooManyLogins}


async def test_servers_made_at_once_have_numbers_of_their_own(tenancy):
    made = await asyncio.gather(*(tenancy.sending.add_server(f"Shop {n}") for n in range(10)))
    assert sorted(server.id for server in made) == list(range(1, 11))


async def test_a_sign_in_from_end_to_end(tenancy):
    await ready(tenancy)
    record = await tenancy.admins.log_in("alice@example.com", PASSWORD, "192.0.2.1")
    secret = await tenancy.admins.begin_session(record.id, "192.0.2.1", "Browser/1")
    session = await tenancy.admins.session(secret)
    assert session.admin == record.id
    token = await tenancy.sending.add_token("Shop")
    access = await tenancy.tokens.open(token.secret)
    assert access.server.name == "Shop"
    assert sorted(access.streams) == ["broadcast", "gone", "inbound", "letters", "outbound"]
    assert await tenancy.sending.suppressed(access.server.id, "outbound", ["Bob@remote.test"]) == {"Bob@remote.test"}
