"""The API as an ASGI application: find the row, see who asks, read what is asked, answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from postroad.ports.store import Refused, StoreUnavailable
from postroad.web.api import (
    accounts,
    aliases,
    audit,
    domains,
    explain,
    messages,
    queue,
    servers,
    statistics,
    streams,
    tlsresults,
    tokens,
)
from postroad.web.api.access import admit
from postroad.web.api.openapi import document
from postroad.web.api.problems import PLACE, Trouble, explanation, not_found, send_problem
from postroad.web.api.reading import read_json, read_query, read_word
from postroad.web.api.routes import ROOT, Plan, Router, Source
from postroad.web.api.values import sentence
from postroad.web.services import WebServices
from postroad.web.wire import Asgi, Receive, Scope, Send, respond

DOCUMENT = "/api/openapi.json"
TEXT = b"text/plain; charset=utf-8"
_IN_WORDS = "@:!$&'()*+,;="  # signs that stand for themselves in a word of a path (RFC 3986 §3.3)

ROUTES = (
    *messages.ROUTES,
    *queue.ROUTES,
    *explain.ROUTES,
    *domains.ROUTES,
    *accounts.ROUTES,
    *aliases.ROUTES,
    *servers.ROUTES,
    *streams.ROUTES,
    *tokens.ROUTES,
    *statistics.ROUTES,
    *tlsresults.ROUTES,
    *audit.ROUTES,
)


def application(services: WebServices) -> Asgi:
    """Answers everything below /api."""
    return Api(services)


class Api:
    """ASGI."""

    def __init__(self, services: WebServices) -> None:
        self._services = services
        self._router = Router(ROUTES)
        self._document = b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._dispatch(scope, receive, send)
        except Trouble as trouble:
            await send_problem(send, trouble)
        except Refused as error:
            await send_problem(send, Trouble("refused", sentence(str(error))))
        except StoreUnavailable as error:
            fields = [(b"retry-after", b"10")]
            await send_problem(send, Trouble("busy", f"The store cannot take this now: {error}.", fields=fields))

    async def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw: bytes = scope.get("raw_path") or scope["path"].encode()
        path = raw.decode("ascii", "replace")
        rows, words = self._router.find(path)
        if not rows:
            await self._plain(scope, path, send)
            return
        found = rows.get(_method(scope, rows))
        if found is None:
            await _other_method(scope, rows, send)
            return
        one, names = found
        call = await admit(scope, self._services, one.route.scope)
        arguments = dict(zip(names, words, strict=True))
        given = {name: read_word(one, name, text) for name, text in arguments.items()}
        if one.query is not None:
            given["query"] = read_query(scope, one.query)
        if one.body is not None:
            given["body"] = await read_json(scope, receive, one.body)
            call = await admit(scope, self._services, one.route.scope)  # the key may be revoked by now
        await _answer(scope, send, one, await one.route.handler(call, **given), given)

    async def _plain(self, scope: Scope, path: str, send: Send) -> None:
        """What is not in the table: the document, and what problems mean."""
        text = explanation(path.removeprefix(PLACE)) if path.startswith(PLACE) else None
        if path != DOCUMENT and text is None:
            raise not_found(f"There is nothing at {path}; {DOCUMENT} describes what there is.")
        if scope["method"] not in ("GET", "HEAD"):
            await _other_method(scope, {"GET": None}, send)
        elif text is not None:
            await _respond(scope, send, 200, text.encode(), content_type=TEXT)
        else:
            self._document = self._document or document(self._router.plans, self._services.hostname)
            await _respond(scope, send, 200, self._document)


def _method(scope: Scope, rows: Mapping[str, Any]) -> str:
    """HEAD is GET without the body."""
    method: str = scope["method"]
    return "GET" if method == "HEAD" and "GET" in rows else method


async def _other_method(scope: Scope, rows: Mapping[str, Any], send: Send) -> None:
    allowed = sorted({*rows, "OPTIONS", *(("HEAD",) if "GET" in rows else ())})
    fields = [(b"allow", ", ".join(allowed).encode())]
    if scope["method"] != "OPTIONS":
        raise Trouble("method-not-allowed", f"This address takes {', '.join(allowed)}.", fields=fields)
    await send({"type": "http.response.start", "status": 204, "headers": fields})
    await send({"type": "http.response.body", "body": b""})


# --- the answer -------------------------------------------------------------------------------------------------------


async def _answer(scope: Scope, send: Send, one: Plan, result: Any, given: Mapping[str, Any]) -> None:
    if isinstance(result, Source):
        await _send_source(scope, send, result)
        return
    fields = []
    if one.route.location:
        words = [quote(word.format(**given, made=result), safe=_IN_WORDS) for word in one.route.location.split("/")]
        fields.append((b"location", f"{ROOT}{'/'.join(words)}".encode()))
    if result is None:
        await send({"type": "http.response.start", "status": 204, "headers": fields})
        await send({"type": "http.response.body", "body": b""})
        return
    await _respond(scope, send, one.route.status, msgspec.json.encode(result), fields=fields)


async def _respond(
    scope: Scope,
    send: Send,
    status: int,
    body: bytes,
    *,
    content_type: bytes = b"application/json",
    fields: list[tuple[bytes, bytes]] | None = None,
) -> None:
    if scope["method"] != "HEAD":
        await respond(send, status, body, content_type, fields or ())
        return
    head = [(b"content-type", content_type), (b"content-length", b"%d" % len(body)), *(fields or ())]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": b""})


async def _send_source(scope: Scope, send: Send, source: Source) -> None:
    """Piece by piece, however large it is."""
    fields = [
        (b"content-type", b"message/rfc822"),
        (b"content-length", b"%d" % source.size),
        (b"content-disposition", f'attachment; filename="{source.name}"'.encode()),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    if scope["method"] != "HEAD":
        async for chunk in source.chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
