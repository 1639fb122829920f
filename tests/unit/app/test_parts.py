"""Pieces of `app` that need no running node: lock, records, check, quickstart, janitor, demo's words."""

from __future__ import annotations

import os
import socket
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from postroad.adapters.net.selfsigned import write_self_signed
from postroad.app import lock
from postroad.app.arguments import Arguments
from postroad.app.check import Finding, Grade, examine, examine_mailboxes
from postroad.app.demo import _empty, _prepare, welcome
from postroad.app.demo_fill import Filled, fill
from postroad.app.janitor import Janitor
from postroad.app.ledger import prove
from postroad.app.operations import OPERATIONS, perform
from postroad.app.quickstart import Plan, carry_out
from postroad.app.sendmail import header_recipients
from postroad.app.services import open_services
from postroad.app.words import command_line
from postroad.config.load import load
from postroad.config.schema import Retention
from postroad.mail.header import Header
from postroad.ports.dns import DnsAnswer, DnsOutcome, MxRecord
from postroad.ports.store import Lane, Refusal, Refused, Tx
from postroad.reports.dnscheck import records_wanted, verify_host, verify_mx, verify_spf
from postroad.testing.server import write_configuration

FOUND, NXDOMAIN, FAILED = DnsOutcome.FOUND, DnsOutcome.NXDOMAIN, DnsOutcome.FAILED


class Zone:
    """Implements ports.dns.Resolver over a table."""

    def __init__(self, **answers: DnsAnswer) -> None:
        self._answers = answers

    def _of(self, kind: str) -> DnsAnswer:
        return self._answers.get(kind, DnsAnswer(NXDOMAIN))

    async def mx(self, name: str) -> DnsAnswer:
        return self._of("mx")

    async def addresses(self, name: str, family: int = 0) -> DnsAnswer:
        return self._of("addresses")

    async def txt(self, name: str) -> DnsAnswer:
        return self._of("txt")

    async def ptr(self, address: str) -> DnsAnswer:
        return self._of("ptr")


class TestLock:
    def test_second_holder_is_told_who_has_it(self, tmp_path: Path) -> None:
        with lock.held(tmp_path / "data"):
            with pytest.raises(lock.Locked, match=f"in use by process {os.getpid()}"), lock.held(tmp_path / "data"):
                pass
        with lock.held(tmp_path / "data"):
            assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700


class TestRecords:
    def test_wanted_are_mx_spf_address_and_reverse(self) -> None:
        wanted = records_wanted("example.com", "mail.example.com")
        assert [(record.name, record.kind) for record in wanted[:3]] == [
            ("example.com", "MX"),
            ("example.com", "TXT"),
            ("mail.example.com", "A"),
        ]

    async def test_mx(self) -> None:
        good = await verify_mx(
            Zone(mx=DnsAnswer(FOUND, mx=(MxRecord(10, "MAIL.example.com"),))), "e", "mail.example.com"
        )
        other = await verify_mx(Zone(mx=DnsAnswer(FOUND, mx=(MxRecord(10, "old.example"),))), "e", "mail.example.com")
        failed = await verify_mx(Zone(mx=DnsAnswer(FAILED, detail="SERVFAIL")), "e", "mail.example.com")
        assert good.good
        assert (other.text, other.change) == ("e MX leads to old.example", "publish: e. IN MX 10 mail.example.com.")
        assert failed.text == "e MX could not be looked up (SERVFAIL)"

    async def test_spf(self) -> None:
        one = await verify_spf(Zone(txt=DnsAnswer(FOUND, ("x", "v=spf1 mx -all"))), "e")
        two = await verify_spf(Zone(txt=DnsAnswer(FOUND, ("v=spf1 a", "v=spf1 mx -all"))), "e")
        none = await verify_spf(Zone(), "e")
        assert (one.good, two.good, none.good) == (True, False, False)
        assert "keep one" in two.change

    async def test_host_and_its_reverse_name(self) -> None:
        zone = Zone(addresses=DnsAnswer(FOUND, ("192.0.2.1",)), ptr=DnsAnswer(FOUND, ("mail.example.com.",)))
        assert [finding.good async for finding in verify_host(zone, "mail.example.com")] == [True]
        zone = Zone(addresses=DnsAnswer(FOUND, ("192.0.2.1",)), ptr=DnsAnswer(FOUND, ("x.provider.example",)))
        (finding,) = [finding async for finding in verify_host(zone, "mail.example.com")]
        assert finding.change == "have whoever rents you 192.0.2.1 set its PTR to mail.example.com"
        (finding,) = [finding async for finding in verify_host(Zone(), "mail.example.com")]
        assert not finding.good


class TestQuickstart:
    async def test_makes_everything_once(self, tmp_path: Path) -> None:
        plan = Plan.make("Me@Example.com", "", tmp_path / "postroad.toml", None)
        records = await carry_out(plan, "secret")
        settings = load(plan.config, {})
        assert records[0].value == "10 mail.example.com."
        assert settings.hostname == "mail.example.com"
        assert settings.tls.key
        assert settings.tls.key.stat().st_mode & 0o077 == 0
        async with open_services(settings) as services:
            (account,) = await services.administration.accounts()
            assert account.is_admin
            assert account.address == "me@example.com"
            assert await services.credentials.verify("me@example.com", "secret")
            aliases = await services.administration.aliases()
            assert [alias.address for alias in aliases] == ["abuse@example.com", "postmaster@example.com"]
        with pytest.raises(Refused, match="exists already"):
            await carry_out(plan, "secret")

    async def test_failure_leaves_the_way_free_for_the_next_try(self, tmp_path: Path) -> None:
        plan = Plan.make("me@example.com", "", tmp_path / "postroad.toml", None)
        with pytest.raises(Refused):
            await carry_out(plan, "")
        await carry_out(plan, "secret") if not (tmp_path / "postroad.toml").exists() else pytest.fail("it is left over")

    @pytest.mark.parametrize(("address", "hostname"), [("nonsense", ""), ("me@example.com", "not a name")])
    def test_what_cannot_be_is_refused(self, tmp_path: Path, address: str, hostname: str) -> None:
        with pytest.raises(Refused):
            Plan.make(address, hostname, tmp_path / "postroad.toml", None)


class TestCheck:
    def of(self, findings: list[Finding], area: str) -> list[tuple[Grade, str]]:
        return [(finding.grade, finding.text) for finding in findings if finding.area == area]

    async def test_good_set_up_has_no_problems(self, tmp_path: Path) -> None:
        cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
        write_self_signed(cert, key, ["mail.example.test"])
        config = write_configuration(tmp_path, ("mx",), certificate=cert, key=key, extra="[limits]\nmin_free = 1\n")
        findings = await examine(load(config, {}), ask_dns=False)
        assert [finding for finding in findings if finding.grade is Grade.PROBLEM] == []
        assert self.of(findings, "database")[0][1].startswith("SQLite 3.")

    async def test_each_problem_says_what_to_change(self, tmp_path: Path) -> None:
        cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
        write_self_signed(cert, key, ["other.example"])
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            config = write_configuration(tmp_path, (), certificate=cert, key=key, extra="[limits]\nmin_free = 1\n")
            listen = f"mx=127.0.0.1:{taken.getsockname()[1]},managesieve=127.0.0.1:0"
            findings = await examine(load(config, {"POSTROAD_LISTEN": listen}), ask_dns=False)
        problems = [finding for finding in findings if finding.grade is Grade.PROBLEM]
        assert {finding.area for finding in problems} == {"tls", "listen[1].service"}
        assert all(finding.change for finding in problems)
        config = write_configuration(
            tmp_path, (), extra=f"[limits]\nmin_free = {1 << 60}\nmax_connections = {1 << 40}\n"
        )
        (tmp_path / "data").mkdir()
        (tmp_path / "data").chmod(0o755)
        problems = [f for f in await examine(load(config, {}), ask_dns=False) if f.grade is Grade.PROBLEM]
        assert {"tls", "disk", "data_dir"} <= {finding.area for finding in problems}

    async def test_taken_port_is_a_problem(self, tmp_path: Path) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            listen = f"mx=127.0.0.1:{taken.getsockname()[1]}"
            settings = load(write_configuration(tmp_path, ()), {"POSTROAD_LISTEN": listen})
            findings = await examine(settings, ask_dns=False)
        ((grade, text),) = self.of(findings, "listener mx")
        assert grade is Grade.PROBLEM
        assert "Address already in use" in text

    async def test_mailboxes_are_proved(self, tmp_path: Path) -> None:
        settings = load(write_configuration(tmp_path, ()), {})
        async with open_services(settings):
            pass
        (finding,) = await examine_mailboxes(settings)
        assert finding.grade is Grade.OK


class TestOperations:
    async def test_every_tenant_operation_does_what_it_says(self, tmp_path: Path) -> None:
        settings = load(write_configuration(tmp_path, ()), {})
        steps = [
            ("domain.add", {"name": "example.test"}),
            ("domain.add", {"name": "branch.test", "relay_to": "10.0.0.5:2525"}),
            ("account.add", {"address": "a@example.test", "password": "one", "quota": 1 << 20}),
            ("account.password", {"address": "a@example.test", "password": "two"}),
            ("account.quota", {"address": "a@example.test", "quota": 0}),
            ("alias.add", {"address": "b@example.test", "targets": ["a@example.test"]}),
            ("alias.remove", {"address": "b@example.test"}),
            ("queue.retry", {"domain": "example.test", "older_than": 60}),
            ("account.remove", {"address": "a@example.test"}),
            ("domain.remove", {"name": "branch.test"}),
        ]
        async with open_services(settings) as services:
            results = {command: await perform(services, command, Arguments(values)) for command, values in steps}
            assert [record.name for record in await services.administration.domains()] == ["example.test"]
            assert await services.administration.accounts() == []
        assert results["account.add"] == {"address": "a@example.test", "is_admin": True}
        assert results["queue.retry"] == 0
        assert {command for command, _ in steps} <= set(OPERATIONS)

    async def test_sendmail_needs_the_running_server(self, tmp_path: Path) -> None:
        async with open_services(load(write_configuration(tmp_path, ()), {})) as services:
            with pytest.raises(Refused, match="needs the running server"):
                await perform(services, "sendmail", Arguments({}))


def test_header_recipients_are_read_as_programs_write_them() -> None:
    header = Header.of(b"To: A <a@x.test>, b@x.test\r\nCc: team: c@x.test;\r\nBcc: root\r\nSubject: d@x.test\r\n\r\n")
    assert header_recipients(header) == ["a@x.test", "b@x.test", "c@x.test", "root"]


async def test_janitor_deletes_what_retention_does_not_keep(tmp_path: Path) -> None:
    settings = load(write_configuration(tmp_path, ()), {})

    def refusal(at: datetime) -> Refusal:
        return Refusal(at, "mx", "c", "127.0.0.1", "", "", "", "x@y.test", "rcpt", 550, "5.1.1", "no", "")

    async with open_services(settings) as services:
        now = services.clock.now()
        old, fresh = refusal(now - timedelta(days=3)), refusal(now - timedelta(hours=1))
        await services.store.write(lambda tx: tx.refusals.add([old, fresh]), lane=Lane.LOW)
        deleted = await Janitor(services.store, services.clock, Retention(refusals=2)).clean()

        def left(tx: Tx) -> list[Refusal]:
            return tx.refusals.search()

        assert deleted["refusals"] == 1
        assert len(await services.store.read(left)) == 1
    assert (await prove(settings, deep=False)).is_clean


class TestDemo:
    def test_configuration_loads_and_words_carry_it(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        config = _prepare(Path(".demo"))
        settings = load(config, {})
        assert ("submission", "127.0.0.1:1587") in [(one.service, one.address) for one in settings.listen]
        assert settings.dns.nameservers == ("127.0.0.1:1053",)
        words = welcome(config, link="http://127.0.0.1:8025/console/enter?secret", token="a-token")
        assert "http://127.0.0.1:8025/console/enter?secret\n" in words
        assert "X-Postmark-Server-Token: a-token" in words
        assert "curl http://127.0.0.1:8025/email " in words
        assert "--config .demo/postroad.toml send --from alice@one.test" in words
        assert "--config .demo/postroad.toml message trace --follow" in words

    def test_an_older_demo_gets_the_listeners_that_came_since(self, tmp_path: Path) -> None:
        config = _prepare(tmp_path / "demo")
        whole = config.read_text("utf-8")
        older = whole.replace('\n[[listen]]\nservice = "http"\naddress = "127.0.0.1:8025"\n', "")
        config.write_text(older, "utf-8")
        assert older != whole
        services = [one.service for one in load(_prepare(tmp_path / "demo"), {}).listen]
        assert services.count("http") == 1
        assert services.count("mx") == 1

    async def test_it_is_filled_once_and_keeps_its_token(self, tmp_path: Path) -> None:
        settings = load(_prepare(tmp_path / "demo"), {})
        first = await fill(settings, tmp_path / "demo")
        again = await fill(settings, tmp_path / "demo")
        assert first.messages > 30
        assert again == Filled(first.token, 0)
        assert (tmp_path / "demo/token").stat().st_mode & 0o077 == 0
        async with open_services(settings) as services:
            assert await services.tokens.verify(first.token)
            assert [admin.email for admin in await services.admins.list()] == ["alice@one.test"]

    def test_fresh_removes_a_demo_and_nothing_else(self, tmp_path: Path) -> None:
        _prepare(tmp_path / "demo")
        _empty(tmp_path / "demo")
        assert not (tmp_path / "demo").exists()
        _empty(tmp_path / "demo")
        (tmp_path / "thesis").mkdir()
        with pytest.raises(Refused, match="left alone"):
            _empty(tmp_path / "thesis")


def test_command_line_is_as_one_types_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "bin" / "postroad"
    program.parent.mkdir()
    program.touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [str(program)])
    assert command_line(tmp_path / "x.toml", "serve") == "bin/postroad --config x.toml serve"
    monkeypatch.setattr("sys.argv", ["/usr/lib/python3/pytest"])
    assert command_line(None, "serve") == "postroad serve"
