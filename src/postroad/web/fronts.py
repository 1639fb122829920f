"""Which front end answers what, how much body each takes, and what is said in its name when it cannot."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import NamedTuple

import msgspec

from postroad.web.api import app as api
from postroad.web.api import problems
from postroad.web.console import app as console
from postroad.web.postmark import app as email
from postroad.web.services import WebServices
from postroad.web.wire import Asgi, Receive, Scope, Send, respond

TEXT, HTML, JSON = b"text/plain; charset=utf-8", b"text/html; charset=utf-8", b"application/json; charset=utf-8"

_WORDS = {
    413: "The request is larger than this address takes.",
    500: "Something went wrong on our side. The log has the details",
    503: "The server is busy; try again in a few seconds.",
}


class Failure(NamedTuple):
    """What is said in a front end's name."""

    content_type: bytes
    body: bytes
    fields: tuple[tuple[bytes, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Front:
    """A front end and what is done in its name. `failure(status, reference)` is an answer that
    it cannot give itself: 413, 500, 503; `reference` names the line in the log of a 500, and is empty otherwise."""

    application: Asgi
    failure: Callable[[int, str], Failure]
    limit: int  # octets of a body
    limits: Mapping[str, int] = field(default_factory=dict)  # by path, in lower case
    overrides: bool = False  # sets security fields of its own

    def limit_of(self, path: str) -> int:
        words = [word for word in path.lower().split("/") if word]  # clients write slashes at the end, and double ones
        return self.limits.get("/" + "/".join(words), self.limit)


def front_ends(services: WebServices) -> tuple[dict[str, Front], Front]:
    """By the first word of the path, and for the rest."""
    small = services.settings.http.max_body_size
    nothing = Front(_nothing, plain, small)
    fronts = {
        ".well-known": nothing,
        "t": nothing,
        "api": Front(api.application(services), problem, small),
        "console": Front(console.application(services), page, small, overrides=True),
    }
    return fronts, sending_front(services)


def sending_front(services: WebServices) -> Front:
    """Postmark's API, which has all paths that nobody else has."""
    http = services.settings.http
    limits = {"/email": http.max_email_size, "/email/batch": http.max_batch_size}
    return Front(email.application(services), postmark, http.max_body_size, limits)


async def _nothing(_: Scope, __: Receive, send: Send) -> None:
    await respond(send, 404, b"404 Not Found\n", TEXT)


# --- what is said in a front end's name -------------------------------------------------------------------------------


def words(status: int, reference: str) -> str:
    """For people."""
    text = _WORDS.get(status) or HTTPStatus(status).phrase + "."
    return f"{text} under {reference}." if reference else text


def plain(status: int, reference: str) -> Failure:
    return Failure(TEXT, f"{words(status, reference)}\n".encode())


def problem(status: int, reference: str) -> Failure:
    return Failure(*problems.failure(status, words(status, reference)))


def postmark(status: int, reference: str) -> Failure:
    """With an ErrorCode that means the same."""
    code = {500: 101, 503: 100, 413: 300}.get(status, status)
    body = msgspec.json.encode({"ErrorCode": code, "Message": words(status, reference)})
    return Failure(JSON, body, ((b"x-pm-apierrorcode", b"%d" % code),))


def page(status: int, reference: str) -> Failure:
    """Words of our own only: nothing of the request stands in it."""
    title = HTTPStatus(status).phrase
    text = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f'<h1>{title}</h1><p>{words(status, reference)}</p><p><a href="/console/">To the overview</a></p></html>'
    )
    return Failure(HTML, text.encode())
