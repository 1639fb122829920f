"""The steps that every message takes behind the front door, and those of our own people: a part of `bench steps`.

A node with one account gives the real parts; what they know is in memory, as it is for all messages but the first.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from bench.ours import POSTROAD
from postroad.app.build import Node
from postroad.app.lifecycle import running
from postroad.config.load import load
from postroad.intake.pipeline import MESSAGE_STEPS, RECIPIENT_STEPS, SENDER_STEPS
from postroad.intake.transaction import MailTransaction
from postroad.mail.address import parse_forward_path, parse_reverse_path
from postroad.mail.envelope import Origin
from postroad.mail.header import Header
from postroad.ports.store import AccountRecord
from postroad.routing.aliases import Resolution

USER, PASSWORD = "alice@here.test", "correct horse battery"
CONFIG = """\
hostname = "mx.here.test"
data_dir = "data"

[limits]
min_free = 16777216

[[listen]]
service = "mx"
address = "127.0.0.1:0"
"""
HEADER = Header(
    b"Received: from a.far.test ([192.0.2.7])\r\n\tby b.far.test with ESMTPS id 1;\r\n"
    b"\tTue, 24 Nov 2026 02:05:31 +0000\r\n"
    b"From: Alice <alice@here.test>\r\nTo: bob@here.test\r\nSubject: steps\r\nDate: Tue, 24 Nov 2026 02:05:31 +0000\r\n"
    b"Message-ID: <1@here.test>\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
)
Row = tuple[str, str, float]
Timer = Callable[[Callable[[], object]], float]


async def rows(microseconds: Timer) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "postroad.toml"
        config.write_text(CONFIG)
        for words in (("domain", "add", "here.test"), ("account", "add", USER, "--password-stdin")):
            command = [*POSTROAD, "--config", str(config), *words]
            subprocess.run(command, input=PASSWORD + "\n", text=True, stdout=subprocess.DEVNULL, check=True)
        async with running(load(config, {})) as node:
            return await _measured(node, microseconds)


async def _measured(node: Node, microseconds: Timer) -> list[Row]:
    intake: Any = node.intake
    policy, services = intake._policy, intake._services
    path = parse_forward_path(USER)
    resolution: Any = node.directory.resolve(path)
    resolution = resolution if isinstance(resolution, Resolution) else await resolution
    stranger = MailTransaction(
        Origin("mx", "c", "192.0.2.7", helo="a.far.test"), parse_reverse_path("a@far.test"), 1024
    )
    stranger.add(path, resolution.targets)
    account = await node.services.store.read(lambda tx: tx.accounts.by_address(USER))
    works: list[tuple[str, str, Callable[[], object]]] = [
        *(("MAIL", _words(step), lambda step=step: step(policy, stranger)) for step in SENDER_STEPS),
        ("RCPT", "its recipient looked up, from memory", lambda: node.directory.resolve(path)),
        *(("RCPT", _words(step), lambda step=step: step(policy, stranger, resolution)) for step in RECIPIENT_STEPS),
        *(("message", _words(step), lambda step=step: step(policy, stranger, HEADER)) for step in MESSAGE_STEPS),
        ("message", "scanners, none named", lambda: intake._spool_for(stranger)),
        ("message", "sending limits: mail of a stranger", lambda: services.sending.judge(stranger)),
    ]
    assert account is not None
    works += await _of_our_own(services, account)
    return [(stage, name, microseconds(work)) for stage, name, work in works]


async def _of_our_own(services: Any, account: AccountRecord) -> list[tuple[str, str, Callable[[], object]]]:
    """What an account's message takes more."""
    sender = parse_reverse_path(USER)
    mail = MailTransaction(Origin("submission", "c", "192.0.2.7", account=USER), sender, 1024, account=account)
    mail.add(parse_forward_path("x@far.test"), (await _remote(services),))
    fields = HEADER.all(b"from")
    for verdict in (
        services.ownership.sender(account, sender.address),
        services.ownership.author(account, HEADER, fields),
    ):
        if isinstance(verdict, Awaitable):
            assert await verdict is None
    return [
        ("MAIL", "ownership: MAIL FROM of an account", lambda: services.ownership.sender(account, sender.address)),
        ("message", "ownership: From of an account", lambda: services.ownership.author(account, HEADER, fields)),
        ("message", "sending limits: one remote recipient", lambda: services.sending.judge(mail)),
    ]


async def _remote(services: Any) -> Any:
    found = services.directory.resolve(parse_forward_path("x@far.test"))
    found = found if isinstance(found, Resolution) else await found
    return found.targets[0]


def _words(step: Any) -> str:
    """`limits.size_fits` as the step is called in the pipeline."""
    return f"{step.__module__.rpartition('.')[2]}.{step.__name__}"
