"""The one application behind http and https: by the first word of the path to the front end that answers.

Plain ASGI, a few microseconds a request. What every front end needs stands here once: security fields, bounded bodies,
and what happens when a front end fails.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException

from postroad.config.schema import Http
from postroad.observe import log
from postroad.ports.ids import IdSource, id_text
from postroad.web.bodies import Body, BodyRoom
from postroad.web.fronts import Front, front_ends
from postroad.web.proxies import Proxies
from postroad.web.services import WebServices
from postroad.web.wire import SMALL, ClientGone, Message, Receive, Scope, Send, field, respond

SECURITY = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
)  # what every answer carries, unless its front end says otherwise

_log = log.get("http")


class WebApplication:
    """ASGI. `close` ends what would go on for ever, when the node stops."""

    def __init__(self, fronts: Mapping[str, Front], rest: Front, *, http: Http, ids: IdSource) -> None:
        """`fronts` by the first word of the path; `rest` answers everything else."""
        self._fronts = fronts
        self._rest = rest
        self._room = BodyRoom(http.body_memory)
        self._small = min(SMALL, http.max_body_size)  # up to here nobody has to be asked
        self._ids = ids
        self._proxies = Proxies(http.trusted_proxies)
        self._has_proxies = bool(http.trusted_proxies)
        self._hsts = ((b"strict-transport-security", b"max-age=%d" % http.hsts),) if http.hsts else ()
        self._endless: set[asyncio.Task[Any]] = set()
        self._is_closing = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if self._has_proxies or scope["client"] is None:
            self._proxies.look_behind(scope)
            scope["client"] = scope["client"] or ("", 0)  # a Unix socket's peer has no address
        path: str = scope["path"]
        front = self._fronts.get(path[1:].partition("/")[0].lower(), self._rest)
        answer = Answer(send, front, self._hsts if scope["scheme"] == "https" else (), self._endless)
        if path == "/" and b"text/html" in field(scope, b"accept"):
            await respond(answer, 303, fields=((b"location", b"/console/"),))
            return
        length = body_length(scope)
        if length is None or length > self._small:
            await self._with_body(front, scope, receive, answer, length)
        else:
            await self._answer(front, scope, receive, answer)

    async def _with_body(
        self, front: Front, scope: Scope, receive: Receive, answer: Answer, length: int | None
    ) -> None:
        """A body that is large, or does not say how large it is."""
        limit = front.limit_of(scope["path"])
        if length is not None and length > limit:
            await self._refuse(front, answer, 413)
            return
        body = Body(receive, self._room, limit=limit, length=length)
        try:
            await self._answer(front, scope, body, answer)
        finally:
            body.forget()

    async def _answer(self, front: Front, scope: Scope, receive: Receive, answer: Answer) -> None:
        try:
            await front.application(scope, receive, answer)
            await answer.release()
        except ClientGone:
            return
        except HTTPException as error:
            await self._refuse(front, answer, error.status_code, dict(error.headers or {}))
        except asyncio.CancelledError:
            if not (self._is_closing and answer.is_endless):
                raise
            await send_end(answer)
        except Exception as error:  # a bug of ours must not look like one of the client's
            reference = id_text(self._ids.new())
            _log.exception("a request failed", error, reference=reference, method=scope["method"], path=scope["path"])
            await self._refuse(front, answer, 500, reference=reference)
        finally:
            answer.forget()

    async def _refuse(
        self,
        front: Front,
        answer: Answer,
        status: int,
        fields: Mapping[str, str] | None = None,
        *,
        reference: str = "",
    ) -> None:
        """Say no in the front end's own shape. An answer that has begun cannot be taken back; it stays incomplete, and
        the server cuts the connection so that the client notices."""
        if answer.started:
            return
        answer.drop()
        failure = front.failure(status, reference)
        more = [(name.encode(), value.encode()) for name, value in (fields or {}).items()]
        await respond(answer, status, failure.body, failure.content_type, [*failure.fields, *more])
        await answer.release()

    def close(self) -> None:
        """The node stops: end the streams of events, which would keep it waiting."""
        self._is_closing = True
        for task in list(self._endless):
            task.cancel()


class Answer:
    """`send` as a front end sees it: security fields are added, and a 500 waits until it is known whose it is.

    Starlette answers an exception itself and raises it again; we would rather answer in the front end's words.
    """

    __slots__ = ("_endless", "_held", "_more", "_overrides", "_send", "_task", "is_endless", "started")

    def __init__(
        self, send: Send, front: Front, more: tuple[tuple[bytes, bytes], ...], endless: set[asyncio.Task[Any]]
    ) -> None:
        self._send = send
        self._overrides = front.overrides
        self._more = more
        self._endless = endless
        self._task = asyncio.current_task() if front.overrides else None  # a framework may send from a task of its own
        self._held: list[Message] | None = None
        self.started = self.is_endless = False

    async def __call__(self, message: Message) -> None:
        if self.started:
            await self._send(message)
        elif self._held is not None:
            self._held.append(message)
        else:
            self._add_fields(message)
            if message["status"] == 500:
                self._held = [message]
                return
            self.started = True
            await self._send(message)

    def _add_fields(self, message: Message) -> None:
        fields = list(message.get("headers", ()))
        if self._overrides:
            there = {name.lower() for name, _ in fields}
            fields += [pair for pair in SECURITY if pair[0] not in there]
            self._mark_endless(fields)
        else:
            fields += SECURITY
        message["headers"] = [*fields, *self._more]

    def _mark_endless(self, fields: list[tuple[bytes, bytes]]) -> None:
        if any(name == b"content-type" and value.startswith(b"text/event-stream") for name, value in fields):
            assert self._task
            self._endless.add(self._task)
            self.is_endless = True

    async def release(self) -> None:
        """Send a 500 that the front end meant."""
        held, self._held = self._held, None
        for message in held or ():
            self.started = True
            await self._send(message)

    def drop(self) -> None:
        """Forget a 500 that somebody else will answer."""
        self._held = None

    def forget(self) -> None:
        if self._task is not None:
            self._endless.discard(self._task)


async def send_end(answer: Answer) -> None:
    """The end of an answer that has begun."""
    await answer({"type": "http.response.body", "body": b"", "more_body": False})


def body_length(scope: Scope) -> int | None:
    """Octets of the body that is announced; None when the body comes in chunks. The parser has refused nonsense."""
    length: int | None = 0
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value)
        if name == b"transfer-encoding":
            length = None
    return length


def application(services: WebServices) -> WebApplication:
    """The application of a node."""
    http = services.settings.http
    fronts, rest = front_ends(services)
    return WebApplication(fronts, rest, http=http, ids=services.ids)
