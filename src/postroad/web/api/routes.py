"""The table that the API is made of: method, path, scope, handler. The router, the checks and the OpenAPI document are
all read from it, types from the handler's signature:

    async def change(call: Call, *, server: ServerNumber, body: ServerChange) -> Server: ...

`query` and `body` are structs; every other keyword is a word of the path.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_type_hints
from urllib.parse import unquote

import msgspec

from postroad.accounts.audit import Actor
from postroad.web.services import WebServices

ROOT = "/api/v1"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

Handler = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Call:
    """One request: what it works with, and who asks. `scopes` is what the asker may do."""

    services: WebServices
    actor: Actor
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """An answer that is not JSON: a message as it is stored."""

    chunks: AsyncIterator[bytes]
    size: int
    name: str


@dataclass(frozen=True, slots=True)
class Route:
    """One row. `path` stands below ROOT. With `location`, a path, the answer says where the thing made is."""

    method: str
    path: str
    scope: str
    handler: Handler
    status: int = 200
    location: str = ""
    refuses: bool = False  # may answer 409

    @property
    def name(self) -> str:
        return self.handler.__name__

    @property
    def summary(self) -> str:
        return (inspect.getdoc(self.handler) or "").partition("\n")[0]

    @property
    def description(self) -> str:
        return (inspect.getdoc(self.handler) or "").partition("\n")[2].strip().replace("\n", " ")


@dataclass(frozen=True, slots=True)
class Plan:
    """A row with the types of its handler, made once."""

    route: Route
    words: Mapping[str, Any]
    query: Any
    body: msgspec.json.Decoder[Any] | None
    body_type: Any
    result: Any


def plan(route: Route) -> Plan:
    """Read the handler's signature."""
    hints = get_type_hints(route.handler, include_extras=True)
    hints.pop("call")
    result, query, body = hints.pop("return"), hints.pop("query", None), hints.pop("body", None)
    return Plan(route, hints, query, msgspec.json.Decoder(body) if body else None, body, result)


class Router:
    """Finds a row by path and method."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.plans = [plan(route) for route in routes]
        self._tree: dict[str, Any] = {}
        for one in self.plans:
            self._insert(one)

    def _insert(self, one: Plan) -> None:
        node, names = self._tree, []
        for word in one.route.path.strip("/").split("/"):
            names += [word[1:-1]] if word.startswith("{") else []
            node = node.setdefault("{}" if word.startswith("{") else word, {})
        assert set(names) == set(one.words), f"{one.route.name} takes {set(one.words)}, its path has {names}"
        node.setdefault("", {})[one.route.method] = one, names

    def find(self, raw_path: str) -> tuple[Mapping[str, tuple[Plan, list[str]]], list[str]]:
        """The rows of this path by method (none: nothing is there), and the words that stand for its parameters."""
        node: Any = self._tree
        values: list[str] = []
        if not raw_path.startswith(f"{ROOT}/"):
            return {}, values
        for word in raw_path.removeprefix(f"{ROOT}/").split("/"):
            text = unquote(word)
            if text in node and text not in ("", "{}"):
                node = node[text]
            elif "{}" in node and text:
                node = node["{}"]
                values.append(text)
            else:
                return {}, values
        return node.get("", {}), values
