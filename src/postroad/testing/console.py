"""The console in tests: in memory, with an administrator who can be signed in at once."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from postroad.ports.admins import AdminRecord
from postroad.testing.web import Web, bare_web
from postroad.web.app import WebApplication
from postroad.web.console.app import application
from postroad.web.console.guard import csrf_token
from postroad.web.fronts import Front, page
from postroad.web.services import WebServices

ALICE = "alice@example.com"
PASSWORD = "correct horse battery"  # noqa: S105 - of a test
CLIENT = "192.0.2.1"
_TOKEN = re.compile(r'name="csrf_token" value="([0-9a-f]*)"')


class Console:
    """What a test of a page works with."""

    def __init__(self, web: Web, alice: AdminRecord) -> None:
        self.web = web
        self.services = web.services
        self.client = web.client
        self.alice = alice

    async def sign_in(self) -> str:
        """Alice's browser has a session from now on; its secret."""
        secret = await self.services.admins.begin_session(self.alice.id, CLIENT, "Firefox/130 Linux")
        self.client.cookies.set("postroad-session", secret)
        return secret

    async def get(self, path: str, **headers: str) -> httpx.Response:
        """`path` below /console/; header fields with an underscore for the dash."""
        return await self.client.get(f"/console/{path}", headers=_fields(headers))

    async def post(self, path: str, data: Mapping[str, str] | None = None, **headers: str) -> httpx.Response:
        """As one of our own pages does: with the token."""
        fields = {**(data or {}), "csrf_token": self.token()}
        return await self.client.post(f"/console/{path}", data=fields, headers=_fields(headers))

    async def post_json(self, path: str, content: str) -> httpx.Response:
        """As a script of one of our pages does."""
        headers = {"X-CSRF-Token": self.token(), "Content-Type": "application/json", "Sec-Fetch-Site": "same-origin"}
        return await self.client.post(f"/console/{path}", content=content, headers=headers)

    def token(self) -> str:
        """The token that belongs to the cookie that the browser has."""
        cookies = self.client.cookies
        return csrf_token(cookies.get("postroad-session") or cookies.get("postroad-visit") or "")


def token_of(response: httpx.Response) -> str:
    """The token that stands in a page."""
    found = _TOKEN.search(response.text)
    assert found, response.text
    return found[1]


@asynccontextmanager
async def running_console(folder: Path, *, extra: str = "") -> AsyncIterator[Console]:
    """The console alone, with Alice as its administrator; nobody is signed in."""
    async with bare_web(folder, extra=extra, make=_console_alone) as web:
        yield Console(web, await web.services.admins.add(ALICE, PASSWORD, "Alice Weaver"))


def _console_alone(services: WebServices) -> WebApplication:
    front = Front(application(services), page, services.settings.http.max_body_size, overrides=True)
    return WebApplication({"console": front}, front, http=services.settings.http, ids=services.ids)


def _fields(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
