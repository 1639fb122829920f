"""A server that foreign clients of Postmark's API send through, by changing only the base URL; and what they sent."""

from __future__ import annotations

import json
import os
import shutil
import urllib.request
from dataclasses import dataclass
from email import message_from_string, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from postroad.app import lock
from postroad.app.services import open_services
from postroad.config.load import load
from postroad.testing.server import ServerProcess

ALICE, BOB = "alice@example.com", "bob@example.com"
GONE = "gone@example.com"  # suppressed
WRONG_TOKEN = "00000000-0000-0000-0000-000000000000"
PIXEL = "R0lGODlhAQABAIAAAP///wAAACH5BAEAAAAALAAAAAABAAEAAAICRAEAOw=="


@dataclass(frozen=True)
class SendingSite:
    """One running server, with a token to send with."""

    server: ServerProcess
    ca: Path
    token: str

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.server.port('http')}"

    @property
    def https(self) -> str:
        return f"https://localhost:{self.server.port('https')}"

    def suppress(self, address: str) -> None:
        """As a person would, with nothing but the API."""
        body = json.dumps({"Suppressions": [{"EmailAddress": address}]}).encode()
        header = {"Content-Type": "application/json", "X-Postmark-Server-Token": self.token}
        path = f"{self.http}/message-streams/outbound/suppressions"
        with urllib.request.urlopen(urllib.request.Request(path, body, header)) as answer:
            assert json.load(answer)["Suppressions"][0]["Status"] == "Suppressed"

    def mail(self, message_id: str) -> EmailMessage:
        """What a client sent, found by the MessageID that it was told."""
        source = self.server.run("message", "source", message_id)
        return message_from_string(source, policy=policy.default)  # type: ignore[return-value]


async def prepare(config: Path) -> str:
    """Two accounts and a server; its token. Without the commands, of which each is a process."""
    settings = load(config, {})
    with lock.held(settings.data_dir):
        async with open_services(settings) as services:
            await services.administration.add_domain("example.com")
            for address in (ALICE, BOB):
                await services.administration.add_account(address, "correct horse battery")
            server = await services.sending.add_server("shop")
            return (await services.sending.add_token(server.id)).secret


def node_folder(*packages: str) -> Path:
    """Where npm's packages lie: POSTROAD_NPM, or .cache/npm of the checkout. Skips, or fails where CI demands them."""
    complain: Any = pytest.fail if os.environ.get("POSTROAD_REQUIRE_INTEROP") else pytest.skip
    if shutil.which("node") is None:
        complain("node is not installed")
    named = os.environ.get("POSTROAD_NPM")
    folder = Path(named) if named else Path(__file__).parents[2] / ".cache" / "npm"
    missing = [package for package in packages if not (folder / "node_modules" / package).is_dir()]
    if missing:
        complain(f"npm's {', '.join(missing)} is not in {folder}: npm install --prefix {folder} {' '.join(packages)}")
    return folder / "node_modules"
