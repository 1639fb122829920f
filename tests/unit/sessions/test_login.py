"""Logins as all protocols have them: every mechanism to its end, over the real services and rows."""

import asyncio
from datetime import timedelta

import pytest

from postroad.accounts import passwords
from postroad.accounts.authenticator import Authenticator
from postroad.accounts.guesses import Guesses
from postroad.accounts.oauth import OAuth, TokenRules
from postroad.adapters.ids import NodeIds
from postroad.mail.envelope import TlsInfo
from postroad.ports.apppasswords import Scope
from postroad.ports.net import Endpoint
from postroad.ports.store import StoreUnavailable
from postroad.sessions.login import Delays, Logins
from postroad.testing.clock import JumpingClock
from postroad.testing.issuer import Issuer
from postroad.testing.projects import Tenancy
from postroad.testing.sasl import ScramClient, bearer_message
from postroad.testing.stores import open_store

ALICE, BOB, PASSWORD = "alice@example.com", "bob@example.com", "correct horse"
BINDINGS = {"tls-exporter": b"e" * 32, "tls-server-end-point": b"p" * 32}


class Peer:
    """A connection as a login sees it."""

    def __init__(self, host="192.0.2.1", port=4000):
        self.peer = Endpoint(host, port)
        self.tls = TlsInfo("TLSv1.3", "TLS_AES_256_GCM_SHA384")
        self.certified = ()

    def channel_bindings(self):
        return BINDINGS


class Desk:
    """A session's part: keeps what was said."""

    def __init__(self):
        self.challenges = []
        self.login = None
        self.statuses = []

    def challenge(self, data):
        self.challenges.append(data)

    def admit(self, login):
        self.login = login

    def turn_away(self, status):
        self.statuses.append(status)


class NoWait(JumpingClock):
    def __init__(self):
        super().__init__()
        self.slept = []

    async def sleep(self, seconds):
        self.slept.append(seconds)


class World:
    def __init__(self, tenancy, issuer):
        self.tenancy, self.issuer, self.clock = tenancy, issuer, tenancy.clock
        self.guesses = Guesses(tenancy.store, tenancy.clock, tenancy.ids)
        self.authenticator = Authenticator(
            tenancy.store, tenancy.credentials, self.guesses, tenancy.clock, app_passwords=tenancy.app_passwords,
            tokens=tenancy.tokens, oauth=OAuth(TokenRules(issuer.url, ("mail",)), self, tenancy.clock),
        )  # fmt: skip
        self.mechanisms = ("SCRAM-SHA-256", "PLAIN", "LOGIN", "OAUTHBEARER", "XOAUTH2", "EXTERNAL")
        self.peer = Peer()

    async def keys(self, *, newer=False):
        return [key.jwk for key in self.issuer.keys.values()]

    def dialogue(self, scope=Scope.READ, peer=None):
        logins = Logins(
            "test", scope, self.authenticator, self.clock, self.tenancy.random, self.mechanisms, Delays()
        )  # fmt: skip
        desk = Desk()
        return logins.dialogue(desk, peer or self.peer), desk

    async def password(self, name, password, scope=Scope.READ, peer=None):
        dialogue, desk = self.dialogue(scope, peer)
        await done(dialogue.password(name, password))
        return desk

    async def scram(self, client, mechanism="SCRAM-SHA-256", scope=Scope.READ, peer=None):
        dialogue, desk = self.dialogue(scope, peer)
        await done(dialogue.begin(mechanism, client.first))
        if desk.challenges:
            await done(dialogue.respond(client.final(desk.challenges[-1])))
        if len(desk.challenges) == 2:
            assert client.trusts(desk.challenges[1])
            await done(dialogue.respond(b""))
        return desk


async def done(waiting):
    if waiting is not None:
        await waiting


@pytest.fixture(scope="module")
def issuer():
    return Issuer("https://login.example.com")


@pytest.fixture
async def world(tmp_path, monkeypatch, issuer):
    monkeypatch.setattr(passwords, "SCRAM_ITERATIONS", 2)
    clock = NoWait()
    async with open_store(tmp_path, clock=clock) as store:
        tenancy = Tenancy(store, clock, NodeIds(1, lambda: int(clock.now().timestamp() * 1000)))
        await tenancy.administration.add_domain("example.com")
        await tenancy.administration.add_account(ALICE, PASSWORD)
        await tenancy.administration.add_account(BOB, "other")
        yield World(tenancy, issuer)
        await tenancy.credentials.close()
        await tenancy.close()


def alice(password=PASSWORD, **options):
    return ScramClient(password.encode(), name=ALICE.encode(), **options)


# --- passwords --------------------------------------------------------------------------------------------------------


async def test_a_password_and_then_from_memory(world):
    desk = await world.password(ALICE, PASSWORD)
    assert desk.login.account.address == ALICE
    dialogue, desk = world.dialogue()
    assert dialogue.password(ALICE, PASSWORD) is None  # at once
    assert desk.login.account.address == ALICE


@pytest.mark.parametrize("name", [ALICE, "nobody@example.com", "", "alice"])
async def test_a_wrong_one_is_the_same_answer_after_the_same_wait(world, name):
    dialogue, desk = world.dialogue()
    for _ in range(5):
        await done(dialogue.password(name, "wrong"))
    assert {str(status) for status in desk.statuses} == {"535 5.7.8 Authentication credentials invalid"}
    assert world.clock.slept == [2, 4, 8, 16, 16]


@pytest.mark.parametrize(
    ("mechanism", "messages"),
    [
        ("PLAIN", [f"\0{ALICE}\0{PASSWORD}"]),
        ("PLAIN", [None, f"\0{ALICE}\0{PASSWORD}"]),
        ("LOGIN", [None, ALICE, PASSWORD]),
        ("LOGIN", [ALICE, PASSWORD]),
    ],
)
async def test_plain_and_login(world, mechanism, messages):
    dialogue, desk = world.dialogue()
    first, *others = [None if message is None else message.encode() for message in messages]
    await done(dialogue.begin(mechanism, first))
    for message in others:
        await done(dialogue.respond(message))
    assert desk.login.account.address == ALICE
    assert len(desk.challenges) == len(others)


async def test_an_exchange_may_be_given_up_and_another_begun(world):
    dialogue, desk = world.dialogue()
    await done(dialogue.begin("LOGIN", None))
    assert dialogue.respond(None) is None
    await done(dialogue.begin("PLAIN", b"rubbish"))
    await done(dialogue.refuse("not UTF-8"))
    assert [status.cause for status in desk.statuses] == ["PLAIN: not two NULs", "not UTF-8"]
    await done(dialogue.begin("PLAIN", f"\0{ALICE}\0{PASSWORD}".encode()))
    assert desk.login


async def test_what_others_have_remembered_is_not_guessed_for_nothing(world):
    """Else a password could be tried without cost at an account whose owner has logged in lately."""
    await world.password(ALICE, PASSWORD)
    stranger = Peer("198.51.100.7")
    await world.password(BOB, "wrong", peer=stranger)
    dialogue, _ = world.dialogue(peer=stranger)
    waiting = dialogue.password(ALICE, PASSWORD)
    assert waiting is not None  # it goes the long way, where attempts are counted
    await waiting


async def test_too_many_are_put_off_in_words(world):
    stranger = Peer("198.51.100.7")
    for number in range(11):
        await world.password(f"{number}@example.com", "wrong", peer=stranger)
    desk = await world.password(ALICE, PASSWORD, peer=stranger)
    (status,) = desk.statuses
    assert str(status) == "454 4.7.0 too many attempts; try again in 2 seconds"
    assert "alice@example.com" in status.cause
    assert (await world.password(ALICE, PASSWORD)).login  # from elsewhere all is well


async def test_a_store_that_does_not_answer_is_temporary(world, monkeypatch):
    async def broken(function):
        raise StoreUnavailable("gone")

    monkeypatch.setattr(world.tenancy.store, "read", broken)
    assert (await world.password(ALICE, PASSWORD)).statuses[0].reply_code == 454
    assert (await world.scram(alice())).statuses[0].reply_code == 454
    dialogue, desk = world.dialogue()
    world.peer.certified = (ALICE,)
    await done(dialogue.begin("EXTERNAL", b""))
    assert desk.statuses[0].reply_code == 454


# --- SCRAM ------------------------------------------------------------------------------------------------------------


async def test_scram(world):
    desk = await world.scram(alice())
    assert desk.login.account.address == ALICE
    assert desk.login.app_password is None
    assert world.tenancy.workers.runs == 2  # for the two accounts, none for this


async def test_the_same_again_asks_no_rows(world):
    assert (await world.scram(alice())).login
    read, reads = world.tenancy.store.read, []

    async def counting(function):
        reads.append(function)
        return await read(function)

    world.tenancy.store.read = counting
    assert (await world.scram(alice())).login
    assert reads == []
    await world.tenancy.administration.set_password(ALICE, "another")
    assert (await world.scram(alice())).login is None
    assert (await world.scram(alice("another"))).login
    await world.clock.advance(61)
    reads.clear()
    assert (await world.scram(alice("another"))).login
    assert reads


@pytest.mark.parametrize("kind", BINDINGS)
async def test_scram_bound_to_the_channel(world, kind):
    header = f"p={kind},,".encode()
    desk = await world.scram(alice(header=header, data=BINDINGS[kind]), "SCRAM-SHA-256-PLUS")
    assert desk.login
    desk = await world.scram(alice(header=header, data=b"another channel"), "SCRAM-SHA-256-PLUS")
    assert desk.login is None
    assert desk.statuses[0].reply_code == 535


async def test_a_client_that_was_told_that_we_cannot_bind_met_somebody(world):
    assert (await world.scram(alice(header=b"y,,"))).login is None


@pytest.mark.parametrize(
    "client",
    [alice("wrong"), ScramClient(PASSWORD.encode(), name=b"nobody@example.com"), ScramClient(b"x", name=b"no address")],
)
async def test_a_wrong_proof_and_an_unknown_name_are_one_answer(world, client):
    desk = await world.scram(client)
    assert len(desk.challenges) == 1
    assert [str(status) for status in desk.statuses] == ["535 5.7.8 Authentication credentials invalid"]


async def test_an_unknown_name_has_a_salt_that_stays(world):
    def first(desk):
        return dict(part.split(b"=", 1) for part in desk.challenges[0].split(b","))

    nobody = [first(await world.scram(ScramClient(b"x", name=b"nobody@example.com"))) for _ in range(2)]
    somebody = [first(await world.scram(alice("x"))) for _ in range(2)]
    for one, again in (nobody, somebody):
        assert one[b"s"] == again[b"s"]
        assert one[b"i"] == again[b"i"]
    assert len(nobody[0][b"s"]) == len(somebody[0][b"s"])
    assert nobody[0][b"i"] == somebody[0][b"i"]
    await world.tenancy.administration.add_account("nobody@example.com", "x")
    assert first(await world.scram(ScramClient(b"x", name=b"nobody@example.com")))[b"s"] == nobody[0][b"s"]


async def test_guessing_by_scram_costs_the_same(world):
    stranger = Peer("198.51.100.7")
    for number in range(7):
        desk = await world.scram(alice(f"guess {number}"), peer=stranger)
    assert desk.statuses[0].reply_code == 454
    assert (await world.password(ALICE, PASSWORD, peer=stranger)).statuses[0].reply_code == 454


async def test_proofs_at_once_count_one_by_one(world):
    stranger = Peer("198.51.100.7")
    desks = await asyncio.gather(*(world.scram(alice(f"{number}"), peer=stranger) for number in range(40)))
    codes = [desk.statuses[0].reply_code for desk in desks]
    assert codes.count(535) <= 10
    assert codes.count(454) >= 30


async def test_sha_1_is_there_when_it_is_asked_for(world):
    assert (await world.scram(alice(function="sha1"), "SCRAM-SHA-1")).login is None  # no keys were made
    world.tenancy.credentials.mechanisms = ("SCRAM-SHA-256", "SCRAM-SHA-1")
    await world.password(ALICE, PASSWORD)  # a login makes them
    await world.tenancy.credentials.close()
    assert (await world.scram(alice(function="sha1"), "SCRAM-SHA-1")).login
    assert (await world.scram(alice())).login


async def test_something_behind_the_proof_is_refused(world):
    client, (dialogue, desk) = alice(), world.dialogue()
    await done(dialogue.begin("SCRAM-SHA-256", client.first))
    await done(dialogue.respond(client.final(desk.challenges[0])))
    await done(dialogue.respond(b"more"))
    assert desk.login is None
    assert desk.statuses[0].reply_code == 535


async def test_a_disabled_account_proves_nothing(world):
    await world.tenancy.store.write(lambda tx: tx.accounts._connection.run("UPDATE account SET disabled = 1"))
    assert (await world.scram(alice())).login is None


# --- imported hashes --------------------------------------------------------------------------------------------------


async def test_an_imported_hash_serves_until_the_first_login_makes_ours(world):
    sesame = "{SSHA}E49j48yRuk1EYsFBtSedDAV/S3NwZXBwZXIxMg=="
    await world.tenancy.administration.set_password(ALICE, sesame, is_hash=True)
    assert (await world.scram(alice("open sesame"))).login is None
    assert (await world.password(ALICE, "open sesam")).login is None
    login = (await world.password(ALICE, "open sesame")).login
    await world.tenancy.credentials.close()
    account = await world.tenancy.administration.account(ALICE)
    assert account.password_hash.startswith("$argon2id$")
    assert account.credential_version == login.account.credential_version
    assert (await world.scram(alice("open sesame"))).login
    assert (await world.password(ALICE, "open sesame")).login


# --- app passwords and programs ---------------------------------------------------------------------------------------


async def test_app_passwords_open_as_far_as_their_scopes_go(world):
    add = world.tenancy.app_passwords.add
    reads, sends = await add(ALICE, "reader", ["read"]), await add(ALICE, "printer", ["send"])
    for made, good, bad in ((reads, Scope.READ, Scope.SEND), (sends, Scope.SEND, Scope.READ)):
        for _ in range(2):  # from the rows, then from memory
            login = (await world.password(ALICE, made.secret, good)).login
            assert (login.account.address, login.app_password.name) == (ALICE, made.record.name)
            assert (await world.password(ALICE, made.secret, bad)).login is None
        assert (await world.scram(alice(made.secret), scope=good)).login.app_password.name == made.record.name
        assert (await world.scram(alice(made.secret), scope=bad)).login is None
        assert (await world.password(BOB, made.secret, good)).login is None
    await world.tenancy.app_passwords.close()
    assert all(one.last_used for one in await world.tenancy.app_passwords.list(ALICE))
    assert (await world.scram(alice())).login.app_password is None  # the password itself is another key


async def test_an_app_password_of_an_account_without_keys(world):
    made = await world.tenancy.app_passwords.add(ALICE, "phone")
    sesame = "{SSHA}E49j48yRuk1EYsFBtSedDAV/S3NwZXBwZXIxMg=="
    await world.tenancy.administration.set_password(ALICE, sesame, is_hash=True)
    assert (await world.scram(alice(made.secret))).login


async def test_a_revoked_app_password_opens_nothing(world):
    made = await world.tenancy.app_passwords.add(ALICE, "phone")
    await world.password(ALICE, made.secret)
    await world.tenancy.app_passwords.revoke(ALICE, "phone")
    assert (await world.password(ALICE, made.secret)).login is None
    assert (await world.scram(alice(made.secret))).login is None


async def test_a_token_sends_and_does_not_read(world):
    await world.tenancy.sending.add_server("Shop")
    token = (await world.tenancy.sending.add_token("Shop")).secret
    for _ in range(2):
        login = (await world.password(token.upper(), token, Scope.SEND)).login
        assert (login.account, login.access.server.name) == (None, "Shop")
    assert (await world.password(token, token, Scope.READ)).login is None
    assert (await world.password(token, token[:-1] + "x", Scope.SEND)).login is None


# --- tokens of an issuer, certificates --------------------------------------------------------------------------------


def claims(world, email=ALICE):
    expires = world.clock.now() + timedelta(minutes=5)
    return {"iss": world.issuer.url, "aud": "mail", "exp": int(expires.timestamp()), "email": email}


@pytest.mark.parametrize("name", ["", ALICE, "Alice@Example.com"])
async def test_a_bearer_token(world, name):
    dialogue, desk = world.dialogue()
    await done(dialogue.begin("OAUTHBEARER", bearer_message(world.issuer.sign(claims(world)), name)))
    assert desk.login.account.address == ALICE


async def test_xoauth2(world):
    dialogue, desk = world.dialogue()
    token = world.issuer.sign(claims(world))
    await done(dialogue.begin("XOAUTH2", f"user={ALICE}\x01auth=Bearer {token}\x01\x01".encode()))
    assert desk.login.account.address == ALICE


@pytest.mark.parametrize(("email", "name"), [("carol@example.com", ""), (ALICE, BOB), ("no address", "")])
async def test_a_token_for_somebody_else_is_told_as_a_bad_one(world, email, name):
    dialogue, desk = world.dialogue()
    await done(dialogue.begin("OAUTHBEARER", bearer_message(world.issuer.sign(claims(world, email)), name)))
    assert b'"invalid_token"' in desk.challenges[0]
    assert not desk.statuses
    await done(dialogue.respond(b"\x01"))
    assert desk.login is None
    assert [status.reply_code for status in desk.statuses] == [535]


async def test_guessing_tokens_is_slow(world):
    for _ in range(11):
        dialogue, desk = world.dialogue()
        await done(dialogue.begin("OAUTHBEARER", bearer_message("a.b.c")))
    dialogue, desk = world.dialogue()
    await done(dialogue.begin("OAUTHBEARER", bearer_message("a.b.c")))
    assert [status.reply_code for status in desk.statuses] == [454]


@pytest.mark.parametrize(
    ("proves", "asks", "who"),
    [
        ((ALICE,), "", ALICE),
        ((ALICE,), ALICE, ALICE),
        (("ALICE@example.com", "x@elsewhere.test"), "", ALICE),
        ((ALICE, BOB), BOB, BOB),
        ((ALICE, BOB), "", None),  # which of the two?
        ((ALICE,), BOB, None),
        (("x@elsewhere.test",), "", None),
        ((), ALICE, None),
        ((), "", None),
    ],
)
async def test_certificates(world, proves, asks, who):
    world.peer.certified = proves
    dialogue, desk = world.dialogue()
    await done(dialogue.begin("EXTERNAL", asks.encode()))
    assert (desk.login.account.address if desk.login else None) == who
    assert len(desk.statuses) == (who is None)


def test_what_is_offered(world):
    logins = world.dialogue()[0]._logins
    plain = logins.offered()
    assert plain[:2] == ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256")
    assert set(logins.offered(certified=True)) - set(plain) == {"EXTERNAL"}
