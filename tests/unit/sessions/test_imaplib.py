"""The standard library's own client over a loopback socket and the real driver."""

import asyncio
import imaplib
from pathlib import Path

from postroad.adapters.net.hub import Hub
from postroad.adapters.net.listen import listen
from postroad.ports.net import Endpoint
from postroad.testing.imap import ADDRESS, PASSWORD
from postroad.testing.mailboxes import open_post

MESSAGE = b"From: a@example.org\r\nSubject: hello\r\n\r\n" + b"a line of text\r\n" * 5000


def read_mail(port: int) -> None:
    """Runs in a thread: imaplib blocks."""
    with imaplib.IMAP4("127.0.0.1", port, timeout=20) as client:
        assert "IDLE" in client.capabilities
        client.login(ADDRESS, PASSWORD)
        assert client.create("Archive")[0] == "OK"
        assert client.append("INBOX", r"(\Flagged)", None, MESSAGE)[0] == "OK"
        assert client.select("INBOX") == ("OK", [b"1"])
        assert client.search(None, "FLAGGED", "SUBJECT", '"HELLO"') == ("OK", [b"1"])
        kind, data = client.fetch("1", "(UID BODY[])")
        assert kind == "OK"
        assert data[0][1] == MESSAGE
        assert client.uid("COPY", "1", "Archive")[0] == "OK"
        assert client.store("1", "+FLAGS", r"(\Deleted)") == ("OK", [rb"1 (FLAGS (\Seen \Flagged \Deleted))"])
        assert client.expunge() == ("OK", [b"1"])
        assert client.status("Archive", "(MESSAGES UNSEEN)") == ("OK", [b"Archive (MESSAGES 1 UNSEEN 0)"])
        assert client.list('""', "A%") == ("OK", [rb'(\HasNoChildren) "/" Archive'])
        assert client.close()[0] == "OK"


async def test_imaplib(tmp_path: Path) -> None:
    async with open_post(tmp_path) as post:
        await post.account()
        bugs: list[BaseException] = []
        hub = Hub(report=lambda _connection, error: bugs.append(error))
        listener = await listen(hub, Endpoint("127.0.0.1", 0), post.connect)
        await asyncio.to_thread(read_mail, listener.endpoint.port)
        listener.close()
        await hub.stop(1)
        assert not bugs
