"""Our own HTTP API in tests: requests with a key, whose answers are held against the OpenAPI document."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import msgspec

from postroad.testing.web import Web
from postroad.web.api.app import ROUTES
from postroad.web.api.problems import Problem
from postroad.web.api.routes import ROOT, Plan, Source, plan

PLANS = tuple(plan(route) for route in ROUTES)


class Api:
    """A client of one application. Each answer must be what the document promises."""

    def __init__(self, web: Web, secret: str = "") -> None:
        self.web = web
        self.services = web.services
        self._headers = {"authorization": f"Bearer {secret}"} if secret else {}

    async def key(self, *scopes: str) -> Api:
        """The same application, asked with a new key."""
        made = await self.services.sending.add_key("another", scopes)
        return Api(self.web, made.secret)

    def nobody(self) -> Api:
        return Api(self.web)

    async def get(self, path: str, **parameters: Any) -> Any:
        """What is there; the answer must be 200."""
        answer = await self.ask("GET", path, params=parameters or None)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def send(self, method: str, path: str, body: Any = None, *, status: int = 200) -> Any:
        """A change; what it answers, or the path of what was made."""
        answer = await self.ask(method, path, json=body) if body is not None else await self.ask(method, path)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    async def refused(self, method: str, path: str, status: int, body: Any = None, **parameters: Any) -> str:
        """`detail` of the problem that this request gets."""
        more = {"json": body} if body is not None else {}
        answer = await self.ask(method, path, params=parameters or None, **more)
        assert answer.status_code == status, answer.text
        return msgspec.json.decode(answer.content, type=Problem).detail

    async def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """The bare answer, proved to be in the shape that the document tells."""
        headers: Mapping[str, str] = {**self._headers, **options.pop("headers", {})}
        url = path if path.startswith("/api") else ROOT + path
        answer = await self.web.client.request(method, url, headers=headers, **options)
        prove(method, url, answer)
        return answer


def prove(method: str, url: str, answer: httpx.Response) -> None:
    """Raises AssertionError for an answer that the document does not tell of."""
    kind = answer.headers.get("content-type", "")
    if answer.status_code >= 400:
        assert kind == "application/problem+json", kind
        assert msgspec.json.decode(answer.content, type=Problem).status == answer.status_code
        return
    one = _plan_of(method, url)
    if one is None or method != one.route.method:
        return
    wanted = 204 if one.result is type(None) else one.route.status
    assert answer.status_code == wanted, answer.text
    if one.result is Source:
        assert kind == "message/rfc822"
    elif wanted != 204:
        assert kind == "application/json"
        msgspec.json.decode(answer.content, type=one.result)


def _plan_of(method: str, url: str) -> Plan | None:
    for one in PLANS:
        pattern = re.sub(r"\{\w+\}", "[^/]+", ROOT + one.route.path)
        if one.route.method == method and re.fullmatch(pattern, url.partition("?")[0]):
            return one
    return None


def filled(one: Plan, words: Mapping[str, str]) -> str:
    """The path of a row, with `words` for its parameters."""
    return ROOT + one.route.path.format(**words)


def scopes_but(wanted: str, scopes: Sequence[str]) -> list[str]:
    """All scopes that are not the wanted one."""
    return [scope for scope in scopes if scope != wanted]
