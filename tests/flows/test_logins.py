"""Logins on a whole server: every mechanism, over SMTP, IMAP and POP3, on real sockets."""

import asyncio
import json
import ssl
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
import trustme

from postroad.testing.issuer import Issuer
from postroad.testing.logins import DIALECTS, Saying, Wire
from postroad.testing.network import authority, write_certificate
from postroad.testing.sasl import ScramClient, bearer_message
from postroad.testing.server import HOSTNAME, running_node
from postroad.testing.site import trusting

ALICE, PASSWORD = "alice@example.com", "correct horse"
SERVICES = tuple(DIALECTS)
QUICK = "[logins]\ndelay = 0\n"


@asynccontextmanager
async def serving(folder, extra=QUICK):
    certificate, key = write_certificate(folder, HOSTNAME, "127.0.0.1")
    async with running_node(folder / "node", SERVICES, certificate=certificate, key=key, extra=extra) as node:
        await node.services.administration.add_domain("example.com")
        await node.services.administration.add_account(ALICE, PASSWORD)
        yield node


async def connect(node, service, context=None):
    endpoint = node.endpoints[service][0]
    return await Wire.connect(service, endpoint.host, endpoint.port, context or trusting(), HOSTNAME)


async def try_all(node, mechanism, exchange, context=None):
    """Whether it is good, by service; each must say the same in its own words."""
    outcomes = set()
    for service in SERVICES:
        wire = await connect(node, service, context)
        line = await wire.log_in(mechanism, exchange(wire))
        outcomes.add(wire.is_good(line))
        await wire.close()
    assert len(outcomes) == 1
    return outcomes.pop()


def scram(password=PASSWORD, **options):
    return lambda _wire: ScramClient(password.encode(), name=ALICE.encode(), **options)


def bound(password=PASSWORD, change=b""):
    return lambda wire: ScramClient(
        password.encode(), name=ALICE.encode(), header=b"p=tls-server-end-point,,", data=wire.end_point() + change
    )


async def test_passwords_and_scram(tmp_path):
    async with serving(tmp_path) as node:
        for service in SERVICES:
            wire = await connect(node, service)
            offered = [word for word in wire.announced if word.isupper() and ("SCRAM" in word or word in "PLAIN LOGIN")]
            assert offered == ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN", "LOGIN"]
            assert "EXTERNAL" not in wire.announced
            await wire.close()
        plain = f"\0{ALICE}\0{PASSWORD}".encode()
        assert await try_all(node, "PLAIN", lambda _: Saying(plain))
        assert await try_all(node, "LOGIN", lambda _: Saying(ALICE.encode(), PASSWORD.encode()))
        assert await try_all(node, "SCRAM-SHA-256", scram())
        assert await try_all(node, "SCRAM-SHA-256-PLUS", bound())
        assert not await try_all(node, "SCRAM-SHA-256-PLUS", bound(change=b"x"))
        assert not await try_all(node, "SCRAM-SHA-256", scram(header=b"y,,"))
        assert not await try_all(node, "SCRAM-SHA-1", scram(function="sha1"))
        assert not await try_all(node, "OAUTHBEARER", lambda _: Saying(bearer_message("a.b.c")))


async def test_failed_logins_are_put_off_banned_and_released(tmp_path):
    settings = "[logins]\ndelay = 0\nfree_by_account = 2\n[limits]\nexempt = []\n"
    async with serving(tmp_path, settings) as node:
        answers = []
        for number, service in enumerate((*SERVICES, "submissions")):
            wire = await connect(node, service)
            answers.append(await wire.log_in("PLAIN", Saying(f"\0{ALICE}\0guess {number}".encode())))
            await wire.close()
        assert [answer[:4] for answer in answers] == [b"535 ", b"b NO", b"-ERR", b"454 "]
        assert b"AUTHENTICATIONFAILED" in answers[1]
        assert b"[AUTH]" in answers[2]
        texts = []
        for service in SERVICES:
            wire = await connect(node, service)
            texts.append(await wire.log_in("SCRAM-SHA-256", scram()(wire)))
            await wire.close()
        assert texts[0].startswith(b"454 4.7.0 too many attempts; try again in ")
        assert texts[1].startswith(b"b NO [UNAVAILABLE] too many attempts")
        assert texts[2].startswith(b"-ERR [SYS/TEMP] too many attempts")
        listed = json.loads(await command(node, "ban", "list", "--json"))
        assert [(ban["subject"], ban["account"], ban["failures"]) for ban in listed] == [("name", ALICE, 3)]
        assert ALICE in await command(node, "ban", "list")
        assert await command(node, "ban", "release", ALICE) == f"{ALICE} may try again at once.\n"
        assert await try_all(node, "SCRAM-SHA-256", scram())
        assert await command(node, "ban", "list") == "Nobody has to wait.\n"


async def command(node, *words):
    from postroad.testing.server import PROGRAM, clean_environment

    config = node.settings.data_dir.parent / "postroad.toml"
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *PROGRAM, "--config", str(config), *words, stdout=pipe, stderr=pipe, env=clean_environment()
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors
    return output.decode()


async def test_app_passwords_are_honoured_by_scope(tmp_path):
    async with serving(tmp_path) as node:
        printer = json.loads(
            await command(node, "account", "app-password", "add", ALICE, "printer", "--scope", "send", "--json")
        )["secret"]
        both = (await command(node, "account", "app-password", "add", ALICE, "phone")).strip()

        async def opens(secret):
            found = []
            for service in SERVICES:
                wire = await connect(node, service)
                plain = await wire.log_in("PLAIN", Saying(f"\0{ALICE}\0{secret}".encode()))
                await wire.close()
                wire = await connect(node, service)
                proof = await wire.log_in("SCRAM-SHA-256", scram(secret)(wire))
                await wire.close()
                assert wire.is_good(plain) == wire.is_good(proof)
                found.append(wire.is_good(plain))
            return found

        assert await opens(printer) == [True, False, False]
        assert await opens(both) == [True, True, True]
        await node.services.app_passwords.close()
        listed = await command(node, "account", "app-password", "list", ALICE)
        assert printer not in listed
        rows = [line.split() for line in listed.splitlines()[1:]]
        assert {row[0]: row[1] for row in rows} == {"printer": "send", "phone": "send,"}
        assert await command(node, "account", "app-password", "revoke", ALICE, "phone") == (
            f"Revoked phone of {ALICE}; it opens nothing any more.\n"
        )
        assert await opens(both) == [False, False, False]
        assert await opens(PASSWORD) == [True, True, True]


async def test_imported_hashes_and_sha_1(tmp_path):
    settings = QUICK + '[auth]\nmechanisms = ["SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN"]\n'
    async with serving(tmp_path, settings) as node:
        sesame = "$5$saltstring$sOFRiuqOzKEQCZAIFmMrCbPuMEMUPOi/BmBpBwWMgW3"
        await node.services.administration.set_password(ALICE, sesame, is_hash=True)
        assert not await try_all(node, "SCRAM-SHA-1", scram("open sesame", function="sha1"))
        assert await try_all(node, "PLAIN", lambda _: Saying(f"\0{ALICE}\0open sesame".encode()))
        await node.services.credentials.close()
        assert await try_all(node, "SCRAM-SHA-1", scram("open sesame", function="sha1"))
        assert await try_all(node, "SCRAM-SHA-256-PLUS", bound("open sesame"))
        assert not await try_all(node, "LOGIN", lambda _: Saying(ALICE.encode(), b"open sesame"))


async def test_tokens_of_an_issuer(tmp_path):
    issuer = Issuer("")
    async with issuer.serving():
        settings = QUICK + f'[auth]\noauth_issuer = "{issuer.url}"\noauth_audience = ["mail"]\n'
        async with serving(tmp_path, settings) as node:
            claims = {"iss": issuer.url, "aud": "mail", "email": ALICE, "exp": datetime.now(UTC).timestamp() + 60}
            for algorithm in ("RS256", "ES256", "EdDSA"):
                token = issuer.sign(claims, algorithm)
                assert await try_all(node, "OAUTHBEARER", lambda _, t=token: Saying(bearer_message(t, ALICE)))
                xoauth2 = f"user={ALICE}\x01auth=Bearer {token}\x01\x01".encode()
                assert await try_all(node, "XOAUTH2", lambda _, message=xoauth2: Saying(message))
            assert len(issuer.fetched) == 2
            for wrong in ({"aud": "shop"}, {"exp": 1}, {"email": "bob@example.com"}):
                token = issuer.sign(claims | wrong)
                assert not await try_all(node, "OAUTHBEARER", lambda _, t=token: Saying(bearer_message(t), b"\x01"))


async def test_client_certificates(tmp_path):
    staff = trustme.CA()
    staff.cert_pem.write_to_path(str(tmp_path / "staff.pem"))
    async with serving(tmp_path, f'client_ca = "{tmp_path / "staff.pem"}"\n{QUICK}') as node:

        def with_certificate(ca, *addresses):
            context = trusting()
            ca.issue_cert(*addresses).configure_cert(context)
            return context

        good, bob = with_certificate(staff, ALICE), with_certificate(staff, "bob@example.com")
        for service in SERVICES:
            wire = await connect(node, service, good)
            assert "EXTERNAL" in wire.announced
            await wire.close()
        assert await try_all(node, "EXTERNAL", lambda _: Saying(b""), good)
        assert await try_all(node, "EXTERNAL", lambda _: Saying(ALICE.encode()), good)
        assert not await try_all(node, "EXTERNAL", lambda _: Saying(b"bob@example.com"), good)
        assert not await try_all(node, "EXTERNAL", lambda _: Saying(b""), bob)
        assert not await try_all(node, "EXTERNAL", lambda _: Saying(b""))
        stranger = with_certificate(trustme.CA(), ALICE)
        assert not await try_all(node, "EXTERNAL", lambda _: Saying(b""), stranger)
        assert await try_all(node, "SCRAM-SHA-256", scram(), stranger)  # it is asked for, never demanded


async def test_names_have_certificates_and_new_ones_need_no_restart(tmp_path):
    for name in ("two", "three"):
        (tmp_path / name).mkdir()
    write_certificate(tmp_path / "two", "mail.two.test")
    table = f'[[tls.certificates]]\ncertificate = "{tmp_path}/two/cert.pem"\nkey = "{tmp_path}/two/key.pem"\n'
    async with serving(tmp_path, table + QUICK) as node:

        async def fits(name):
            endpoint = node.endpoints["submissions"][0]
            context = ssl.create_default_context()
            authority().configure_trust(context)
            try:
                _, writer = await asyncio.open_connection(
                    endpoint.host, endpoint.port, ssl=context, server_hostname=name
                )
            except ssl.SSLCertVerificationError:
                return False
            writer.transport.abort()
            return True

        assert [await fits(name) for name in (HOSTNAME, "mail.two.test", "mail.three.test")] == [True, True, False]
        write_certificate(tmp_path / "two", "mail.three.test")
        node.reload(node.settings)
        assert [await fits(name) for name in (HOSTNAME, "mail.two.test", "mail.three.test")] == [True, False, True]


@pytest.mark.parametrize("service", SERVICES)
async def test_the_greeting_of_somebody_who_has_logged_in_offers_no_login(tmp_path, service):
    async with serving(tmp_path) as node:
        wire = await connect(node, service)
        assert wire.is_good(await wire.log_in("SCRAM-SHA-256", scram()(wire)))
        wire.announced = []
        wire.say(wire.dialect.hello)
        while not (line := await wire.reader.readline()).startswith(wire.dialect.ready):
            wire._note(line)
        assert not [word for word in wire.announced if "SCRAM" in word]
        await wire.close()
