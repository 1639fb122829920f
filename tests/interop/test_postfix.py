"""Postfix from the distribution's packages sends to our MX and receives from us. It needs root."""

from __future__ import annotations

import os
import smtplib
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bench.postfix import Postfix, maildir, relay
from tests.interop.foreign import Site, program
from tests.interop.mailbag import added_fields, fetch_by_subject, message

pytestmark = pytest.mark.interop


@pytest.fixture
def start() -> Iterator[Callable[[Callable[[Path], str]], Postfix]]:
    """Starts private instances, in folders that Postfix's own user may enter."""
    program("postfix")
    if os.geteuid() != 0:
        pytest.skip("Postfix can only be started by root")
    running: list[Postfix] = []
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)

        def started(mode: Callable[[Path], str]) -> Postfix:
            home = Path(folder) / str(len(running))
            postfix = Postfix(home, mode(home))
            running.append(postfix)
            postfix.start()
            return postfix

        yield started
        for postfix in running:
            postfix.stop()


def until(condition: Callable[[], bool], what: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.1)


def test_postfix_sends_to_our_mx(site: Site, start: Callable[[Callable[[Path], str]], Postfix]) -> None:
    postfix = start(lambda _: relay("127.0.0.1", site.port("mx")))
    mail = message("from-postfix", "someone@elsewhere.test", site.bob)
    with smtplib.SMTP("127.0.0.1", postfix.port) as link:
        link.sendmail("someone@elsewhere.test", [site.bob], mail, mail_options=["BODY=8BITMIME"])
    until(postfix.drained, "Postfix to pass the message on")
    stored = fetch_by_subject(site.port("imaps"), str(site.ca), site.bob, site.password, "from-postfix")
    fields = added_fields(stored, mail)
    assert fields[:3] == [b"Return-Path", b"Delivered-To", b"Received"]
    assert set(fields[3:]) == {b"Received"}, "the rest are Postfix's own"


def test_postfix_receives_from_us(site: Site, start: Callable[[Callable[[Path], str]], Postfix]) -> None:
    postfix = start(lambda home: maildir(home, "postfix.test"))
    site.server.run("domain", "add", "postfix.test", "--relay-to", f"127.0.0.1:{postfix.port}")
    mail = message("to-postfix", "someone@elsewhere.test", "u1@postfix.test")
    with smtplib.SMTP("127.0.0.1", site.port("mx")) as link:
        link.sendmail("someone@elsewhere.test", ["u1@postfix.test"], mail, mail_options=["BODY=8BITMIME"])
    new = postfix.folder / "mail" / "u1" / "new"
    until(lambda: new.is_dir() and any(new.iterdir()), "the message to reach Postfix's Maildir")
    stored = next(new.iterdir()).read_bytes()
    assert stored.endswith(mail.replace(b"\r\n", b"\n"))
