"""`server`, `stream`, `token`, `admin`: what they print, their JSON, what they refuse; alone and beside a server."""

from __future__ import annotations

import json
import re
import smtplib
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner, Result

from postroad.app.links import console_url
from postroad.cli.main import postroad
from postroad.config.load import load
from postroad.config.schema import Listen
from postroad.ports.store import Refused
from postroad.testing.network import write_certificate
from postroad.testing.server import HOSTNAME, ServerProcess, write_configuration
from postroad.testing.site import trusting

PASSWORD = "correct horse"


class Shell:
    def __init__(self, config: Path) -> None:
        self.config = config

    def result(self, *words: str, text: str = "") -> Result:
        return CliRunner().invoke(postroad, ["--config", str(self.config), *words], input=text)

    def __call__(self, *words: str, text: str = "") -> str:
        done = self.result(*words, text=text)
        assert done.exit_code == 0, f"{words}: {done.output} {done.exception!r}"
        return done.stdout

    def json(self, *words: str) -> Any:
        return json.loads(self(*words, "--json"))

    def refused(self, *words: str, text: str = "") -> str:
        done = self.result(*words, text=text)
        assert isinstance(done.exception, Refused), done.output
        return str(done.exception)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(write_configuration(tmp_path, ()))


def test_servers(shell: Shell) -> None:
    assert shell("server", "add", "My shop", "--color", "Blue") == (
        "Added My shop, number 1.\nNext: postroad token add --server 'My shop'\n"
    )
    assert "a sandbox" in shell("server", "add", "Try", "--sandbox")
    assert shell.json("server", "list")[0] | {"created": ""} == {
        "id": 1, "name": "My shop", "created": "", "color": "blue", "sandbox": False,
    }  # fmt: skip
    assert re.search(r"Try +2 +broadcast, inbound, outbound +sandbox", shell("server", "list"))
    assert "My shop already" in shell.refused("server", "add", "MY SHOP")
    assert "called Store now" in shell("server", "rename", "1", "Store")
    assert shell.result("server", "remove", "Store").exit_code == 2  # nobody here to say yes
    assert "no server shop" in shell.refused("server", "remove", "shop")
    shell("server", "remove", "store", "--yes")
    shell("server", "remove", "try", "--yes")
    assert "No servers yet" in shell("server", "list")


def test_streams(shell: Shell) -> None:
    shell("server", "add", "Shop")
    assert shell("stream", "add", "shop", "letters", "--kind", "broadcasts", "--name", "Weekly") == (
        "Added letters (broadcasts) to shop.\n"
    )
    assert [record["id"] for record in shell.json("stream", "list", "Shop")] == [
        "broadcast", "inbound", "outbound", "letters",
    ]  # fmt: skip
    assert "postroad stream unarchive shop letters" in shell("stream", "archive", "shop", "letters")
    assert "letters" not in shell("stream", "list", "shop")
    assert "Weekly" in shell("stream", "list", "shop", "--archived")
    shell("stream", "unarchive", "shop", "letters")
    assert "cannot be a stream's id" in shell.refused("stream", "add", "shop", "Capital")
    assert shell.result("stream", "add", "shop", "x", "--kind", "inbound").exit_code == 2


def test_tokens(shell: Shell) -> None:
    shell("server", "add", "Shop")
    secret = shell("token", "add", "--server", "shop").splitlines()[0]
    assert uuid.UUID(secret).version == 4
    key = json.loads(shell("token", "add", "--key", "--name", "dash", "--scope", "queue:read", "--json"))
    assert key["secret"].startswith("pr_")
    assert key["scopes"] == ["queue:read"]
    listed = shell("token", "list")
    assert f"…{secret[-4:]}" in listed
    assert "server Shop" in listed
    assert secret not in listed
    assert [record["hint"] for record in shell.json("token", "list", "--server", "Shop")] == [secret[-4:]]
    assert "digest" not in shell("token", "list", "--json")
    assert f"Revoked dash (…{key['hint']})" in shell("token", "revoke", key["id"])
    assert "Revoked Shop token" in shell("token", "revoke", f"…{secret[-4:]}")
    assert "no token" in shell.refused("token", "revoke", secret[-4:])
    assert "revoked already" in shell.refused("token", "revoke", key["id"])
    assert "No tokens yet" in shell("token", "list")
    assert key["id"] in shell("token", "list", "--revoked")
    for wrong in ((), ("--key", "--server", "shop"), ("--key", "--name", "x"), ("--server", "shop", "--scope", "*")):
        assert shell.result("token", "add", *wrong).exit_code == 2
    assert "there is no scope" in shell.refused("token", "add", "--key", "--name", "x", "--scope", "fly")


def test_a_hint_that_two_have_is_not_enough(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    shell("server", "add", "Shop")
    monkeypatch.setattr("postroad.accounts.sending.make_token", lambda _random: f"{uuid.uuid4()}"[:-4] + "beef")
    for _ in range(2):
        shell("token", "add", "--server", "shop")
    assert "2 tokens end in beef" in shell.refused("token", "revoke", "beef")


def test_admins(shell: Shell) -> None:
    added = shell("admin", "add", "Alice@example.test", "--password-stdin", text=f"{PASSWORD}\n")
    assert added.startswith("Added alice@example.test.\n")
    assert "admin link bob@example.test" in shell("admin", "add", "bob@example.test", "--no-password", "--name", "Bob")
    assert "8 characters" in shell.refused("admin", "add", "c@example.test", "--password-stdin", text="short\n")
    assert shell.result("admin", "add", "c@example.test").exit_code == 2  # no password, and nobody to ask
    assert [(record["email"], record["totp"], record["passkeys"]) for record in shell.json("admin", "list")] == [
        ("alice@example.test", False, 0), ("bob@example.test", False, 0),
    ]  # fmt: skip
    assert PASSWORD not in shell("admin", "list", "--json")
    assert "every session has ended" in shell(
        "admin", "password", "alice@example.test", "--password-stdin", text="battery staple\n"
    )
    link = shell("admin", "link", "bob@example.test", "--valid", "2h").splitlines()[0]
    assert urlsplit(link).path == "/console/enter"
    assert len(urlsplit(link).query) == 40
    assert shell.json("admin", "link", "bob@example.test")["email"] == "bob@example.test"
    assert shell.result("admin", "link", "bob@example.test", "--valid", "soon").exit_code == 2
    assert "at most 7 days" in shell.refused("admin", "link", "bob@example.test", "--valid", "9d")
    assert "no administrator" in shell.refused("admin", "link", "nobody@example.test")
    assert "password alone" in shell("admin", "reset", "bob@example.test")
    shell("admin", "remove", "bob@example.test")
    assert "last administrator" in shell.refused("admin", "remove", "alice@example.test")


@pytest.mark.parametrize(
    ("listeners", "url"),
    [
        ([], ""),
        ([("http", "127.0.0.1:8025")], "http://localhost:8025/console/"),
        ([("http", "0.0.0.0:80"), ("https", "0.0.0.0:443")], f"https://{HOSTNAME}/console/"),
        ([("https", "[::]:8443"), ("http", "[::1]:8025")], "http://localhost:8025/console/"),
        ([("https", "192.0.2.7:443")], "https://192.0.2.7/console/"),
        ([("http", "unix:/run/p.sock"), ("http", "127.0.0.1:0")], ""),
    ],
)
def test_where_the_console_is(tmp_path: Path, listeners: list[tuple[str, str]], url: str) -> None:
    settings = load(write_configuration(tmp_path, ()), {})
    listen = tuple(Listen(service, address) for service, address in [("mx", "127.0.0.1:0"), *listeners])
    assert console_url(replace(settings, listen=listen)) == url


def test_beside_a_running_server_and_by_smtp(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path, "127.0.0.1", HOSTNAME)
    server = ServerProcess(tmp_path / "node", ("submissions",), certificate=certificate, key=key)
    shell = Shell(server.config)
    shell("domain", "add", "here.test")
    shell("account", "add", "bob@here.test", "--password-stdin", text=f"{PASSWORD}\n")
    shell("admin", "add", "alice@here.test", "--password-stdin", text=f"{PASSWORD}\n")
    shell("server", "add", "Shop")
    server.start()
    try:
        secret = shell("token", "add", "--server", "Shop").splitlines()[0]
        link = shell("admin", "link", "alice@here.test").splitlines()[0]
        letter = "From: shop@here.test\r\nTo: bob@here.test\r\nX-PM-Tag: first\r\nSubject: hi\r\n\r\nhello\r\n"

        with smtplib.SMTP_SSL("127.0.0.1", server.port("submissions"), context=trusting(), timeout=20) as client:
            client.login(secret, secret)
            assert client.sendmail("shop@here.test", ["bob@here.test"], letter) == {}
        (found,) = shell.json("message", "list")
        assert (found["message"]["tag"], found["message"]["stream"]) == ("first", "outbound")
        assert "Revoked" in shell("token", "revoke", secret[-4:])
    finally:
        server.stop()
    said = server.log.read_bytes()
    kept = b"".join(path.read_bytes() for path in (tmp_path / "node" / "data").rglob("*") if path.is_file())
    for plain in (secret, PASSWORD, urlsplit(link).query):
        assert plain.encode() not in said + kept


@pytest.mark.parametrize(
    ("password", "told"), [(PASSWORD, "with the same address and password"), ("short", "admin link you@example.test")]
)
def test_quickstart_makes_an_administrator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, password: str, told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    made = CliRunner().invoke(postroad, ["quickstart", "you@example.test", "--password-stdin"], input=f"{password}\n")
    assert made.exit_code == 0, made.output
    assert told in made.output
    (record,) = Shell(tmp_path / "postroad.toml").json("admin", "list")
    assert record["email"] == "you@example.test"
