"""What goes wrong, in words: a page in the console's own frame, or a short word where htmx only wanted a part."""

from __future__ import annotations

from collections.abc import Callable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from postroad.observe import log
from postroad.ports.ids import id_text
from postroad.ports.store import Refused, StoreUnavailable
from postroad.web.console.render import page, tell

_log = log.get("console")

_WORDS = {
    403: ("Not allowed", "You may not do this."),
    404: ("Nothing here", "This page does not exist, or what it showed is gone."),
    405: ("Not possible", "This address does not take that kind of request."),
}


class Failures:
    """ASGI middleware outside the guard: whatever is raised inside becomes an answer, once and for all."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def watch(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except Exception as error:
            request = Request(scope, receive)
            answer = _answer(request, error)
            if not begun:
                await answer(scope, receive, send)


async def show(request: Request, error: Exception) -> Response:
    """The answer to what a page or the router raised."""
    return _answer(request, error)


def _answer(request: Request, error: Exception) -> Response:
    for kind, say in _ANSWERS:
        if isinstance(error, kind):
            return say(request, error)
    return _bug(request, error)


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    title, text = _WORDS.get(error.status_code, ("That did not work", "Please go back and try again."))
    return problem(request, error.status_code, title, text)


def _refused(request: Request, error: Exception) -> Response:
    """A change that does not fit; a page that can show it beside the field catches it itself."""
    return problem(request, 422, "That cannot be done", sentence(str(error)))


def _unavailable(request: Request, error: Exception) -> Response:
    _log.warning("a page could not be shown", path=request.url.path, cause=str(error))
    text = "The store cannot answer at the moment, so this page cannot be shown. Mail waits; nothing is lost."
    return problem(request, 503, "Please wait a moment", text)


def _bug(request: Request, error: Exception) -> Response:
    number = id_text(request.app.state.services.ids.new())
    _log.exception("a page failed", error, path=request.url.path, problem=number)
    return problem(
        request, 500, "Something went wrong", f"This is our fault, not yours. The log has the details under {number}."
    )


_ANSWERS: tuple[tuple[type[Exception], Callable[[Request, Exception], Response]], ...] = (
    (HTTPException, _http),
    (Refused, _refused),
    (StoreUnavailable, _unavailable),
)


def problem(request: Request, status: int, title: str, text: str) -> Response:
    """A page, or, for htmx, a word on the page that is there."""
    if "hx-request" in request.headers:
        return tell(Response(status_code=status, headers={"hx-reswap": "none"}), text, kind="bad")
    return page(request, "problem.html", status=status, problem_title=title, problem_text=text)


def sentence(text: str) -> str:
    """A refusal's words as a sentence."""
    first = text.partition(" ")[0]
    start = text[:1].upper() if first.isalpha() else text[:1]  # an address or a domain stays as it is
    return start + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
