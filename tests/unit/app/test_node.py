"""A node inside the test's loop: it listens, takes mail, answers health, obeys the control socket, ends cleanly."""

from __future__ import annotations

import asyncio
import smtplib
from pathlib import Path

import pytest

from postroad.app import lock, request
from postroad.app.build import Node
from postroad.app.roles import listeners
from postroad.config.load import load
from postroad.config.problems import ConfigError
from postroad.mail.status import Status
from postroad.ports.store import MessageFilter, Refused
from postroad.testing.server import running_node, write_configuration


async def http(node: Node, path: str) -> tuple[str, str]:
    """(status line, body) of one GET."""
    endpoint = node.endpoints["metrics"][0]
    reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    answer = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    head, _, body = answer.partition("\r\n\r\n")
    return head.splitlines()[0], body


async def add_account(node: Node, address: str = "alice@example.test") -> None:
    await node.services.administration.add_domain(address.partition("@")[2])
    await node.services.administration.add_account(address, "secret")


def submit(port: int, recipient: str) -> None:
    with smtplib.SMTP("127.0.0.1", port, "client.test", timeout=20) as client:
        client.sendmail("s@elsewhere.test", [recipient], b"Subject: hi\r\n\r\nhello\r\n")


async def test_mail_for_a_mailbox_is_taken_and_counted(tmp_path: Path) -> None:
    async with running_node(tmp_path, ("mx", "metrics")) as node:
        await add_account(node)
        await asyncio.to_thread(submit, node.endpoints["mx"][0].port, "alice@example.test")
        (message,) = await node.services.store.read(lambda tx: tx.messages.search(MessageFilter()))
        assert message.reverse_path == "s@elsewhere.test"
        status, page = await http(node, "/metrics")
        assert status == "HTTP/1.1 200 OK"
        assert "postroad_queue_depth 0.0" in page
        assert "postroad_store_wal_bytes" in page


async def test_health_tells_live_from_ready(tmp_path: Path) -> None:
    async with running_node(tmp_path, ("metrics",)) as node:
        assert await http(node, "/healthz/live") == ("HTTP/1.1 200 OK", "live\n")
        assert await http(node, "/healthz/ready") == ("HTTP/1.1 200 OK", "ready\n")
        assert (await http(node, "/other"))[0] == "HTTP/1.1 404 Not Found"
    assert await node.not_ready() == "stopping"


async def test_control_socket_makes_changes_and_says_why_not(tmp_path: Path) -> None:
    async with running_node(tmp_path, ("mx",)) as node:
        data_dir = node.settings.data_dir
        assert (data_dir / request.SOCKET).stat().st_mode & 0o777 == 0o600
        made = await request.ask(data_dir, "domain.add", {"name": "example.test"})
        assert made == {"name": "example.test", "kind": "local"}
        with pytest.raises(Refused, match=r"example\.test"):
            await request.ask(data_dir, "domain.add", {"name": "example.test"})
        with pytest.raises(Refused, match="must be of type str"):
            await request.ask(data_dir, "domain.add", {"name": 5})
        with pytest.raises(Refused, match=r"does not know `domain\.burn`"):
            await request.ask(data_dir, "domain.burn", {})
    with pytest.raises(request.NoServer):
        await request.ask(data_dir, "domain.add", {"name": "late.test"})


@pytest.mark.parametrize("request_line", [b"nonsense\n", b"{}\n", b'{"command": 5}\n', b"\xff\xfe\n"])
async def test_control_socket_answers_what_is_no_request(tmp_path: Path, request_line: bytes) -> None:
    async with running_node(tmp_path, ("mx",)) as node:
        reader, writer = await asyncio.open_unix_connection(str(node.settings.data_dir / request.SOCKET))
        writer.write(request_line)
        assert b'"refused":true' in await reader.readline()
        writer.close()
        await writer.wait_closed()


async def test_control_socket_works_in_a_deep_folder(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    async with running_node(deep, ("mx",)) as node:
        assert len(str(node.settings.data_dir)) > 108
        await request.ask(node.settings.data_dir, "domain.add", {"name": "example.test"})


async def test_sendmail_completes_names_and_takes_recipients_from_the_header(tmp_path: Path) -> None:
    async with running_node(tmp_path, ("mx",)) as node:
        await add_account(node)
        content = b"To: Alice <alice@example.test>\nBcc: postmaster\nSubject: x\n\nhello\n"
        arguments = {"sender": "cron", "full_name": "Cron Daemon", "from_header": True, "recipients": []}
        answer = await request.ask(node.settings.data_dir, "sendmail", arguments, content)
        assert answer["reply_code"] == 250
        (message,) = await node.services.store.read(lambda tx: tx.messages.search(MessageFilter()))
        place = await node.services.store.read(lambda tx: tx.messages.place(message.blob))
        assert place
        stored = await node.services.blobs.read(place)
        assert message.reverse_path == "cron@example.test"
        assert b"From: Cron Daemon <cron@example.test>\r\n" in stored
        assert b"Bcc" not in stored
        with pytest.raises(Refused, match="no recipients"):
            await request.ask(node.settings.data_dir, "sendmail", {**arguments, "from_header": False}, content)


async def test_sendmail_is_refused_for_unknown_users_with_the_reply(tmp_path: Path) -> None:
    async with running_node(tmp_path, ("mx",)) as node:
        await add_account(node)
        arguments = {"sender": "<>", "recipients": ["nobody@example.test"]}
        answer = await request.ask(node.settings.data_dir, "sendmail", arguments, b"Subject: x\n\nhello\n")
        assert (answer["reply_code"], answer["enhanced"]) == (550, "5.1.1")


async def test_data_dir_is_locked_while_a_node_runs(tmp_path: Path) -> None:
    async with running_node(tmp_path, ("mx",)) as node:
        with pytest.raises(lock.Locked, match="is in use by process"), lock.held(node.settings.data_dir):
            pass
    with lock.held(node.settings.data_dir):
        pass


async def test_node_that_cannot_listen_says_what_to_do_and_lets_go_of_everything(tmp_path: Path) -> None:
    from postroad.app.build import CannotListen

    async with running_node(tmp_path / "one", ("mx",)) as node:
        taken = str(node.endpoints["mx"][0])
        other = write_configuration(tmp_path / "two", ())
        with pytest.raises(CannotListen, match="Address already in use; another program has it"):
            await _start(other, taken)
    with lock.held(tmp_path / "two" / "data"):
        pass


async def _start(config: Path, address: str) -> None:
    from postroad.app.lifecycle import running

    async with running(load(config, {"POSTROAD_LISTEN": f"mx={address}"})):
        raise AssertionError("it listens where another one does")


async def test_submit_local_works_before_any_domain_is_there(tmp_path: Path) -> None:
    async with running_node(tmp_path, ("metrics",)) as node:
        answer = await node.intake.submit_local("", ["x@nowhere.test"], b"Subject: x\r\n\r\n")
        assert isinstance(answer, Status)


@pytest.mark.parametrize(("ipv6", "more"), [(False, []), (True, ["[::]:25"])])
def test_services_that_are_not_built_are_refused_and_defaults_follow_roles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ipv6: bool, more: list[str]
) -> None:
    monkeypatch.setattr("postroad.app.roles.has_ipv6", lambda: ipv6)
    config = write_configuration(tmp_path, ())
    with pytest.raises(ConfigError, match="`managesieve` is not served by this version"):
        listeners(load(config, {"POSTROAD_LISTEN": "managesieve=127.0.0.1:4190"}))
    with pytest.raises(ConfigError, match="needs the role `imap`"):
        listeners(load(config, {"POSTROAD_LISTEN": "imap=127.0.0.1:0", "POSTROAD_ROLES": "mx"}))
    defaults = listeners(load(config, {"POSTROAD_ROLES": "mx,pop3"}))
    assert [one.address for one in defaults if one.service == "mx"] == ["0.0.0.0:25", *more]
    assert {one.service for one in defaults} == {"mx", "pop3", "metrics"}  # imaps and such need a certificate
    assert defaults[-1].address == "127.0.0.1:9667"
    everything = listeners(load(config, {}))
    assert [one.address for one in everything if one.service == "lmtp"] == ["127.0.0.1:24", "[::1]:24"][: 1 + ipv6]
