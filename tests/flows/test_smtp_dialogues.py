"""The SMTP dialogues against the whole server: real sockets, real TLS, the real intake and store."""

import asyncio
import ssl
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import pytest

from postroad.app.build import Node
from postroad.app.lifecycle import running
from postroad.config.load import load
from postroad.testing import smtp as smtp_kit
from postroad.testing.dialogue import Dialogue, StreamPeer, dialogue_files, play, random_cuts
from postroad.testing.network import authority, write_certificate
from postroad.testing.server import prove_ledger, write_configuration

LIMITS = {name: name for name in smtp_kit.LIMITS} | {"max_size": "max_message_size"}
NAME = "mail.example.com"


Limits = tuple[tuple[str, int | tuple[str, ...]], ...]


def by_limits() -> dict[Limits, list[Dialogue]]:
    """The dialogues that a whole server can play, by the limits that they need: one server for each set."""
    found = defaultdict(list)
    for path in dialogue_files(Path(__file__).parent.parent / "dialogues" / "smtp", ".smtp"):
        dialogue = Dialogue.load(path)
        if not dialogue.machine_only:
            facts = dialogue.facts.items()
            limits: dict[str, int | tuple[str, ...]]
            limits = {LIMITS[name]: int(value) for name, value in facts if name in LIMITS}
            limits |= {name: (value,) for name, value in facts if name in smtp_kit.NETWORKS}
            found[tuple(sorted(limits.items()))].append(dialogue)
    return found


GROUPS = by_limits()


@pytest.mark.parametrize("limits", sorted(GROUPS), ids=str)
async def test_dialogues(limits: Limits, tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path, NAME)
    services = ("mx", "submission", "submissions", "lmtp")
    path = write_configuration(tmp_path / "node", services, certificate=certificate, key=key)
    # Without the role `sender` nothing leaves for elsewhere.example.
    roles = {"POSTROAD_ROLES": "mx,submission,lmtp", "POSTROAD_FRONT_DOOR_RDNS": "off"}
    settings = load(path, {"POSTROAD_HOSTNAME": NAME, "POSTROAD_LOGINS_DELAY": "0", **roles})
    # Put in afterwards: the dialogues' limits are smaller than any that a configuration may have.
    settings = replace(settings, limits=replace(settings.limits, **dict(limits)))
    async with running(settings) as node:
        await furnish(node)
        for dialogue in GROUPS[limits]:
            await play_on(node, dialogue)
    await prove_ledger(settings)


async def furnish(node: Node) -> None:
    """Who lives at example.com, as `testing.smtp` has it."""
    tenants = node.services.administration
    await tenants.add_domain("example.com")
    await tenants.add_account("alice@example.com", "secret")
    await tenants.add_account("bob@example.com", "secret")
    if not any(alias.address.startswith("postmaster@") for alias in await tenants.aliases()):
        await tenants.add_alias("postmaster@example.com", ["alice@example.com"])


async def play_on(node: Node, dialogue: Dialogue) -> None:
    service = dialogue.facts["listener"]
    context = ssl.create_default_context()
    authority().configure_trust(context)
    endpoint = node.endpoints[service][0]
    implicit = {"ssl": context, "server_hostname": NAME} if service == "submissions" else {}
    reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port, **implicit)
    try:
        await play(
            dialogue, StreamPeer(reader, writer, tls=context, server_name=NAME), random_cuts(len(dialogue.steps))
        )
    finally:
        writer.transport.abort()
