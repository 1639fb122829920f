"""Which front end answers what, how much body each takes, and what is said in its name when it cannot."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from importlib import import_module

import msgspec

from postroad.web.services import WebServices
from postroad.web.wire import Asgi, Receive, Scope, Send, respond

TEXT, HTML, JSON = b"text/plain; charset=utf-8", b"text/html; charset=utf-8", b"application/json; charset=utf-8"
PROBLEM = b"application/problem+json"

_WORDS = {
    413: "The request is larger than this address takes.",
    500: "Something went wrong on our side. The log has the details",
    503: "The server is busy; try again in a few seconds.",
}


@dataclass(frozen=True, slots=True)
class Front:
    """A front end and what is done in its name. `failure(status, reference)` is (content type, body) of an answer that
    it cannot give itself: 413, 500, 503; `reference` names the line in the log of a 500, and is empty otherwise."""

    application: Asgi
    failure: Callable[[int, str], tuple[bytes, bytes]]
    limit: int  # octets of a body
    limits: Mapping[str, int] = field(default_factory=dict)  # by path, in lower case
    overrides: bool = False  # sets security fields of its own

    def limit_of(self, path: str) -> int:
        return self.limits.get(path.rstrip("/").lower(), self.limit)


def front_ends(services: WebServices) -> tuple[dict[str, Front], Front]:
    """By the first word of the path, and for the rest."""
    http = services.settings.http
    small, one, many = http.max_body_size, http.max_email_size, http.max_batch_size
    nothing = Front(_nothing, plain, small)
    sending = {
        "/email": one,
        "/email/withtemplate": one,
        "/email/batch": many,
        "/email/batchwithtemplates": many,
        "/email/bulk": many,
    }
    fronts = {
        ".well-known": nothing,
        "t": nothing,
        "api": Front(_load("api", services), problem, small),
        "console": Front(_load("console", services), page, small, overrides=True),
    }
    return fronts, Front(_load("postmark", services), postmark, small, sending)


def _load(name: str, services: WebServices) -> Asgi:
    try:
        module = import_module(f"postroad.web.{name}.app")
    except ImportError:
        return _nothing
    made: Asgi = module.application(services)
    return made


async def _nothing(_: Scope, __: Receive, send: Send) -> None:
    await respond(send, 404, b"404 Not Found\n", TEXT)


# --- what is said in a front end's name -------------------------------------------------------------------------------


def words(status: int, reference: str) -> str:
    """For people."""
    text = _WORDS.get(status) or HTTPStatus(status).phrase + "."
    return f"{text} under {reference}." if reference else text


def plain(status: int, reference: str) -> tuple[bytes, bytes]:
    return TEXT, f"{words(status, reference)}\n".encode()


def problem(status: int, reference: str) -> tuple[bytes, bytes]:
    """RFC 9457."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    return PROBLEM, msgspec.json.encode(body | {"detail": words(status, reference)})


def postmark(status: int, reference: str) -> tuple[bytes, bytes]:
    code = {500: 101, 503: 100}.get(status, status)
    return JSON, msgspec.json.encode({"ErrorCode": code, "Message": words(status, reference)})


def page(status: int, reference: str) -> tuple[bytes, bytes]:
    """Words of our own only: nothing of the request stands in it."""
    title = HTTPStatus(status).phrase
    return HTML, (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f'<h1>{title}</h1><p>{words(status, reference)}</p><p><a href="/console/">To the overview</a></p></html>'
    ).encode()
