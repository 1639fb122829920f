"""Commands as people call them: what they print, their JSON, their exit codes; without a server and beside one."""

from __future__ import annotations

import asyncio
import json
import re
import smtplib
import ssl
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from postroad.adapters.net.selfsigned import write_self_signed
from postroad.app.build import Node
from postroad.cli import main as program
from postroad.cli.account import read_size
from postroad.cli.failures import explain
from postroad.cli.main import postroad
from postroad.cli.message import read_moment, read_span
from postroad.cli.output import plain, size_text, span
from postroad.config.problems import ConfigError, Problem
from postroad.mail.status import EnhancedCode, Status
from postroad.ports.ids import id_text
from postroad.ports.store import DeliveryState, Refused, StoreUnavailable
from postroad.testing.server import running_node, write_configuration

PASSWORD = "correct horse"


class Shell:
    """Runs commands on one configuration, in this process."""

    def __init__(self, config: Path) -> None:
        self.config = config

    def result(self, *words: str, text: str = "") -> Result:
        return CliRunner().invoke(postroad, ["--config", str(self.config), *words], input=text)

    def __call__(self, *words: str, text: str = "") -> str:
        done = self.result(*words, text=text)
        assert done.exit_code == 0, f"{words}: {done.output} {done.exception!r}"
        return done.output

    def json(self, *words: str) -> Any:
        return json.loads(self(*words, "--json"))

    def refused(self, *words: str, text: str = "") -> str:
        """What a command that must fail with code 1 says."""
        done = self.result(*words, text=text)
        assert done.exit_code == 1, done.output
        return str(done.exception) if isinstance(done.exception, Refused) else done.output


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(write_configuration(tmp_path, ()))


class TestTenants:
    def test_domains(self, shell: Shell) -> None:
        assert "Next: postroad account add" in shell("domain", "add", "Example.test")
        shell("domain", "add", "branch.test", "--relay-to", "10.0.0.5:2525")
        shell("domain", "add", "other.test", "--alias-of", "example.test")
        listed = shell("domain", "list")
        assert [line.split()[:3] for line in listed.splitlines()[1:]] == [
            ["branch.test", "relay", "10.0.0.5:2525"],
            ["example.test", "mailboxes", listed.splitlines()[2].split()[2]],
            ["other.test", "alias", "example.test"],
        ]
        assert {record["name"]: record["kind"] for record in shell.json("domain", "list")} == {
            "branch.test": "relay", "example.test": "local", "other.test": "alias",
        }  # fmt: skip
        assert "example.test.\tIN\tMX\t10 mail.example.test." in shell("domain", "records", "example.test")
        shell("domain", "remove", "branch.test")
        assert "there is no domain branch.test" in shell.refused("domain", "show", "branch.test")
        assert shell.result("domain", "add", "x.test", "--relay-to", "h", "--alias-of", "y.test").exit_code == 2

    def test_accounts(self, shell: Shell) -> None:
        shell("domain", "add", "example.test")
        added = shell("account", "add", "alice@example.test", "--password-stdin", "--quota", "2G", text=PASSWORD + "\n")
        assert added == "Added alice@example.test, the administrator.\n"
        (record,) = shell.json("account", "list")
        assert record["quota_bytes"] == 2 << 30
        assert "password_hash" not in record
        shown = shell.json("account", "show", "alice@example.test")
        assert [mailbox["name"] for mailbox in shown["mailboxes"]][:1] == ["Archive"] or shown["mailboxes"]
        assert "0 B of 2.0 GiB" in shell("account", "show", "alice@example.test")
        shell("account", "quota", "alice@example.test", "0")
        assert "no limit" in shell("account", "list")
        shell("account", "password", "alice@example.test", "--password-stdin", text="new one\n")
        assert shell.result("account", "remove", "alice@example.test").exit_code == 2  # nobody here to say yes
        assert "no account" in shell.refused("account", "remove", "nobody@example.test")
        shell("account", "remove", "alice@example.test", "--yes")
        assert "No accounts yet" in shell("account", "list")
        assert shell.result("account", "add", "bob@example.test", "--password-stdin", text="").exit_code == 2
        assert shell.result("account", "add", "bob@example.test").exit_code == 2

    def test_password_from_the_environment(self, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("POSTROAD_PASSWORD", PASSWORD)
        shell("domain", "add", "example.test")
        shell("account", "add", "alice@example.test")

    def test_aliases(self, shell: Shell) -> None:
        shell("domain", "add", "example.test")
        assert shell("alias", "add", "*@example.test", "x@else.test", "y@else.test") == (
            "*@example.test leads to x@else.test, y@else.test.\n"
        )
        (record,) = shell.json("alias", "list", "--domain", "example.test")
        assert record["targets"] == ["x@else.test", "y@else.test"]
        shell("alias", "remove", "*@example.test")
        assert shell("alias", "list") == "No aliases yet.\n"

    def test_nothing_is_there_yet(self, shell: Shell) -> None:
        assert "there is no database" in shell.refused("domain", "list")


async def send(shell: Shell, node: Node, *words: str) -> Result:
    port = node.endpoints["submission"][0].port
    server = ("--server", f"127.0.0.1:{port}", "--password", PASSWORD)
    return await asyncio.to_thread(shell.result, "send", "--from", "alice@example.test", *server, *words)


class TestBesideAServer:
    async def test_life_of_messages(self, tmp_path: Path) -> None:
        cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
        write_self_signed(cert, key, ["mail.example.test"])
        extra = '[dns]\nnameservers = ["127.0.0.1:9"]\ntimeout = 0.1\n'
        async with running_node(tmp_path, ("mx", "submission"), certificate=cert, key=key, extra=extra) as node:
            shell = Shell(tmp_path / "postroad.toml")

            async def ask(*words: str, text: str = "") -> str:
                return await asyncio.to_thread(shell, *words, text=text)

            await ask("domain", "add", "example.test")
            await ask("account", "add", "alice@example.test", "--password-stdin", text=PASSWORD + "\n")
            await self.sending(shell, node)
            await self.story(ask)
            await self.queue(ask, shell)
            await self.refusals(shell, node)
            summary = await ask("ledger", "--deep")
            assert "Ledger clean." in summary

    async def sending(self, shell: Shell, node: Node) -> None:
        to = ("--to", "alice@example.test", "--to", "far@remote.test")
        done = await send(shell, node, *to, "--subject", "Grüße", "--body", "hello", "--show-dialogue")
        assert done.exit_code == 0, done.output
        assert re.search(r"Accepted: 250 2\.0\.0 queued as \w{13}", done.output)
        assert "> AUTH PLAIN <response, " in done.output
        assert PASSWORD not in done.output
        bad = await send(shell, node, "--to", "nobody@example.test", "--body", "x")
        assert bad.exit_code == 1
        assert "nobody@example.test: refused: 550 5.1.1" in bad.output

    async def story(self, ask: Any) -> None:
        (found,) = json.loads(await ask("message", "list", "--subject", "grüße", "--json"))
        ident = found["message"]["id"]
        assert ident in await ask("message", "list", "--since", "1h", "--recipient", "far@remote.test")
        told = await ask("message", "trace", ident)
        assert "alice@example.test: delivered into INBOX" in told
        assert "far@remote.test: queued for the mail hosts of remote.test" in told
        assert told == await ask("message", "trace")
        document = json.loads(await ask("message", "trace", ident, "--json"))
        assert document["message"]["subject"] == "Grüße"
        assert document["finished"] is False
        assert "far@remote.test" in await ask("message", "show", ident)
        source = await ask("message", "source", ident)
        assert source.startswith("Received: ")
        assert "\nhello" in source

    async def queue(self, ask: Any, shell: Shell) -> None:
        (entry,) = json.loads(await ask("queue", "list", "--domain", "remote.test", "--json"))
        ident = entry["delivery"]["id"]
        assert "mx:remote.test" in await ask("queue", "summary")
        assert "far@remote.test" in await ask("queue", "show", ident)
        assert "Would cancel 1; nothing has been changed." in await ask("queue", "cancel", ident, "--dry-run")
        assert await ask("queue", "hold", "--domain", "elsewhere.test") == "0 recipients held.\n"
        refused = await asyncio.to_thread(shell.refused, "queue", "hold", "0c1x2d3f4g5h6")
        assert "`postroad queue show 0c1x2d3f4g5h6` tells how it stands" in refused
        assert await ask("queue", "cancel", ident) == "1 recipient cancelled.\n"

    async def refusals(self, shell: Shell, node: Node) -> None:
        def knock() -> None:
            with smtplib.SMTP("127.0.0.1", node.endpoints["mx"][0].port, "client.test", timeout=20) as client:
                client.ehlo()
                client.mail("s@elsewhere.test")
                client.rcpt("victim@other.test")

        await asyncio.to_thread(knock)
        await node.intake._services.refusals.close()  # written at once, not in two seconds
        listed = await asyncio.to_thread(shell, "message", "list", "--refused", "--address", "victim@other.test")
        assert "550 5.7.1" in listed


class TestWrongUse:
    def run(self, monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
        monkeypatch.setattr(sys, "argv", ["postroad", *words])
        with pytest.raises(SystemExit) as leaving:
            program.main()
        code = leaving.value.code
        assert isinstance(code, int)
        return code

    @pytest.mark.parametrize(
        ("words", "code", "told"),
        [
            (("--version",), 0, "postroad, version"),
            (("mesage", "list"), 2, "Did you mean `message`?"),
            (("message", "list", "--since", "yesterday"), 2, "is no time"),
            (("queue", "cancel"), 2, "say which: ids, options such as --domain, or --all"),
            (("queue", "show", "x"), 2, "is not an id"),
            (("--config", "/no/such/file", "domain", "list"), 1, "there is no file /no/such/file"),
        ],
    )
    def test_exit_codes(
        self,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        words: tuple[str, ...],
        code: int,
        told: str,
    ) -> None:
        assert self.run(monkeypatch, *words) == code
        output = capsys.readouterr()
        assert told in output.out + output.err

    def test_no_configuration_at_all_says_what_to_do(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.delenv("POSTROAD_CONFIG", raising=False)
        monkeypatch.setattr("postroad.config.load.SYSTEM_FILE", tmp_path / "none.toml")
        assert self.run(monkeypatch, "domain", "list") == 1
        assert "postroad quickstart you@example.com" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("error", "told"),
        [
            (Refused("no such thing"), "Error: no such thing"),
            (UnicodeEncodeError("utf-8", "\udc85", 0, 1, "no"), "not valid UTF-8"),
            (StoreUnavailable("disk"), "looks at disk and database"),
            (PermissionError(13, "Permission denied"), "run this as the user that runs the server"),
            (ConnectionRefusedError(111, "refused"), "is the server running?"),
            (ConfigError([Problem("a.b", "is wrong"), Problem("c", "too")], Path("x.toml")), "2 problems in x.toml:"),
            (ValueError("oops"), "this is a bug in postroad"),
        ],
    )
    def test_every_failure_has_words(self, error: Exception, told: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert explain(error) == 1
        assert told in capsys.readouterr().err


class TestSendmail:
    def run(self, shell: Shell, *words: str, text: str = "Subject: x\n\nhello\n") -> tuple[int, str]:
        done = shell.result("sendmail", *words, text=text)
        return done.exit_code, done.output

    def test_without_server_it_is_75(self, shell: Shell) -> None:
        code, told = self.run(shell, "-t", "-i", "-f", "a@example.test")
        assert code == 75
        assert "no server runs" in told

    @pytest.mark.parametrize(
        ("words", "told"),
        [
            ((), "no recipients"),
            (("-bp",), "-bp is not done here"),
            (("-t", "-f"), "-f needs a value"),
            (("-t", "-N", "never,delay"), "-N wants never, or"),
            (("-t", "-Rall"), "-R wants full or hdrs"),
            (("-t", "-V", "a b"), "-V wants a name"),
        ],
    )
    def test_wrong_use_is_64(self, shell: Shell, words: tuple[str, ...], told: str) -> None:
        code, output = self.run(shell, *words)
        assert code == 64
        assert told in output

    def test_octets_that_are_no_text_are_65(self, shell: Shell) -> None:
        code, told = self.run(shell, "-f", "a@example.test", "b\udc85@example.test")
        assert (code, "not valid UTF-8" in told) == (65, True)

    def test_broken_configuration_is_78(self, tmp_path: Path) -> None:
        config = tmp_path / "postroad.toml"
        config.write_text("nonsense = 1\n")
        assert self.run(Shell(config), "x@example.test")[0] == 78

    async def test_message_goes_by_the_control_socket(self, tmp_path: Path) -> None:
        async with running_node(tmp_path, ("metrics",)) as node:
            shell = Shell(tmp_path / "postroad.toml")
            await node.services.administration.add_domain("example.test")
            await node.services.administration.add_account("alice@example.test", PASSWORD)
            dotted = "To: alice@example.test\nSubject: x\n\nbefore\n.\nafter\n"
            assert await asyncio.to_thread(self.run, shell, "-t", "-oi", text=dotted) == (0, "")
            assert await asyncio.to_thread(self.run, shell, "-t", text=dotted) == (0, "")
            code, told = await asyncio.to_thread(self.run, shell, "-i", "-f", "<>", "--", "nobody@example.test")
            assert (code, "550 5.1.1" in told) == (67, True)
            bodies = await asyncio.to_thread(self.bodies, shell)
        assert bodies == ["before", "before\r\n.\r\nafter"]

    def bodies(self, shell: Shell) -> list[str]:
        idents = [found["message"]["id"] for found in shell.json("message", "list")]
        sources = [shell.result("message", "source", ident).stdout_bytes.decode() for ident in idents]
        return sorted(source.partition("\r\n\r\n")[2].strip() for source in sources)


class TestCheckAndQuickstart:
    def test_from_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.delenv("POSTROAD_PASSWORD", raising=False)
        runner = CliRunner()
        made = runner.invoke(postroad, ["quickstart", "you@example.test"])
        assert made.exit_code == 0, made.output
        assert re.search(r"with the password \S{16,}", made.output)
        assert 'example.test.\tIN\tTXT\t"v=spf1 mx -all"' in made.output
        monkeypatch.setenv("POSTROAD_LISTEN", "mx=127.0.0.1:0")
        checked = runner.invoke(postroad, ["check", "--offline", "--json"])
        grades = {finding["area"]: finding["grade"] for finding in json.loads(checked.stdout)}
        assert grades["settings"] == "ok"
        assert grades["tls"] == "note"
        assert runner.invoke(postroad, ["check", "mailboxes"]).exit_code == 0


def test_sizes_spans_and_moments() -> None:
    assert [read_size(text) for text in ("0", "5k", "2MiB", "1GB")] == [0, 5120, 2 << 20, 1 << 30]
    with pytest.raises(click.UsageError):
        read_size("2X")
    assert [size_text(n) for n in (1023, 1024, 1 << 20, 5 << 30)] == ["1023 B", "1.0 KiB", "1.0 MiB", "5.0 GiB"]
    assert [span(s) for s in (-1, 89, 91, 5400, 172800)] == ["0 s", "89 s", "2 min", "2 h", "2 d"]
    assert read_span("2h")
    assert read_moment("") is None
    moment = read_moment("2026-11-23T09:00+00:00")
    assert moment
    assert moment.hour == 9


def test_json_has_codes_as_they_are_written() -> None:
    assert plain(Status(550, EnhancedCode(5, 1, 1), "no"))["enhanced"] == "5.1.1"


def test_json_shows_ids_and_hides_secrets() -> None:
    assert plain({"message": 1 << 40, "n": 5, "state": DeliveryState.QUEUED, "b": b"x"}) == {
        "message": id_text(1 << 40), "n": 5, "state": "queued", "b": "x",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("b@d.test>\r\nRCPT TO:<x@y.test", "is not an address"),
        ("bücher@d.test", "letters outside ASCII"),
        ("nobody", "is not an address"),
    ],
)
def test_send_refuses_what_it_cannot_say_in_smtp(shell: Shell, tmp_path: Path, address: str, told: str) -> None:
    (tmp_path / "m.eml").write_text("Subject: x\n\nhi\n")
    words = ("send", "--server", "127.0.0.1:1", "--user", "", "--file", str(tmp_path / "m.eml"))
    assert told in shell.refused(*words, "--from", "a@c.test", "--to", address)
    assert "Connection refused" in str(shell.result(*words, "--from", "a@c.test", "--to", "b@bücher.test").exception)


def test_tls_context_is_made_for_the_configured_certificate(tmp_path: Path) -> None:
    from postroad.cli.send import _trust
    from postroad.config.load import load

    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    write_self_signed(cert, key, ["mail.example.test"])
    trusted = _trust(load(write_configuration(tmp_path, (), certificate=cert, key=key), {}))
    assert trusted.verify_mode is ssl.CERT_REQUIRED
    assert not trusted.check_hostname
    assert _trust(None).check_hostname
