"""How the API says no: RFC 9457. `type` is an address that explains itself; `detail` says what to do in this case."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec
from msgspec import Struct

from postroad.web.wire import Send, respond

CONTENT_TYPE = b"application/problem+json"
PLACE = "/api/problems/"

Fields = Iterable[tuple[bytes, bytes]]


class Kind(NamedTuple):
    """One row: the status, what happened, and what that means for whoever asked."""

    status: int
    title: str
    text: str


KINDS = {
    "invalid-parameter": Kind(
        400, "A parameter cannot be understood", "`detail` names the parameter; see the description of this address."
    ),
    "not-json": Kind(400, "The body is not JSON", "The body has to be one JSON value in UTF-8."),
    "unauthorized": Kind(
        401,
        "Who is asking?",
        "Send `Authorization: Bearer KEY`; `postroad token add --key` and the console make keys.",
    ),
    "forbidden": Kind(
        403, "The key does not reach that far", "`scope` names what is missing; a key's scopes are set when it is made."
    ),
    "foreign-request": Kind(
        403,
        "The request is not one of the console's own",
        "With the console's session a change needs the header field `X-CSRF-Token` and must come from our own pages.",
    ),
    "not-found": Kind(404, "Not found", "There is nothing at this address; `detail` says what is missing."),
    "method-not-allowed": Kind(405, "Not that method", "The header field `Allow` names the methods of this address."),
    "refused": Kind(
        409, "Refused", "The request is well formed, but does not fit what is there. `detail` says why, and what to do."
    ),
    "too-long": Kind(413, "Too long", "The body is longer than this address takes."),
    "media-type": Kind(415, "Not JSON", "Send `Content-Type: application/json`."),
    "invalid-body": Kind(
        422, "The body does not fit", "`detail` names the field; see the description of this address."
    ),
    "failure": Kind(
        500, "Our mistake", "Something went wrong on our side; the log has the details under the id given."
    ),
    "busy": Kind(503, "Not now", "The store cannot take this now, or too much is asked at once. Try again later."),
}
_BY_STATUS = {413: "too-long", 500: "failure", 503: "busy"}


class Problem(Struct, omit_defaults=True):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    scope: str = ""  # what the key lacks


class Trouble(Exception):  # noqa: N818 - an answer, not an error
    """Raised by whoever answers a request, instead of an answer."""

    def __init__(self, kind: str, detail: str, *, scope: str = "", fields: Fields = ()) -> None:
        super().__init__(detail)
        self.fields = tuple(fields)
        row = KINDS[kind]
        self.problem = Problem(PLACE + kind, row.title, row.status, detail, scope)


def not_found(detail: str) -> Trouble:
    return Trouble("not-found", detail)


async def send_problem(send: Send, trouble: Trouble) -> None:
    problem = trouble.problem
    await respond(send, problem.status, msgspec.json.encode(problem), CONTENT_TYPE, trouble.fields)


def failure(status: int, detail: str) -> tuple[bytes, bytes]:
    """(content type, body) of an answer that is given before or after the API itself."""
    kind = _BY_STATUS.get(status, "failure")
    return CONTENT_TYPE, msgspec.json.encode(Problem(PLACE + kind, KINDS[kind].title, status, detail))


def explanation(kind: str) -> str | None:
    """The page behind a problem's `type`."""
    row = KINDS.get(kind)
    return f"{row.title} (status {row.status})\n\n{row.text}\n" if row else None
