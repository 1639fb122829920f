"""The ASGI application: who asks, for what, and the answer, always JSON.

Paths are taken in any case, with a slash at the end or two in the middle, as clients write them. Tokens are looked up
before a body is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from postroad.accounts.tokens import Access
from postroad.observe import log
from postroad.ports.ids import id_text
from postroad.ports.store import StoreUnavailable
from postroad.web.postmark import email, server, suppressions
from postroad.web.postmark.calls import Answer, Api, Call, Handler, refused
from postroad.web.postmark.errors import BUSY, NO_TOKEN, NOT_FOUND, WRONG_TOKEN, ApiError, error
from postroad.web.postmark.idempotency import OnceOnly
from postroad.web.postmark.outbox import Outbox
from postroad.web.services import WebServices
from postroad.web.wire import Asgi, Receive, Scope, Send, respond

TEST_TOKEN = b"postmark_api_test"
SERVER_TOKEN, ACCOUNT_TOKEN = b"x-postmark-server-token", b"x-postmark-account-token"
RETRY_AFTER = (b"retry-after", b"5")

ROUTES: Final[dict[str, dict[str, Handler]]] = {**email.ROUTES, **server.ROUTES, **suppressions.ROUTES}
_TESTABLE = frozenset((email.send, email.send_batch))  # what the test token may ask for

_log = log.get("postmark")


def application(services: WebServices) -> Asgi:
    """For `web.app`: everything that is not another front end's."""
    outbox = Outbox(services.intake, services.sending, services.workers, services.hostname)
    api = Api(services, outbox, OnceOnly(services.store, services.clock))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        number = id_text(services.ids.new())
        try:
            answer = await _handle(api, scope, receive, number)
        except ApiError as problem:
            answer = refused(problem)
        except StoreUnavailable as problem:
            _log.warning("a request has to wait for the store", connection=number, cause=str(problem))
            answer = refused(error(BUSY, "The service is not available at present; try again in a moment."))
        await _respond(send, answer, number)

    return app


async def _handle(api: Api, scope: Scope, receive: Receive, number: str) -> Answer:
    handler, words = find(scope["method"], scope["path"])
    header = dict(scope["headers"])
    access = await _access(api.services, header, handler)
    if scope["method"] != "GET":
        _check_types(header)
    return await handler(Call(api, scope, receive, header, number, access, words))


# --- routes -----------------------------------------------------------------------------------------------------------


def find(method: str, path: str) -> tuple[Handler, Mapping[str, str]]:
    """The handler, and the words of the path that it wants to know. Raises ApiError."""
    methods, words = _EXACT.get(path), _NO_WORDS
    if methods is None:
        methods, words = _match([word for word in path.lower().split("/") if word])
    if methods is None:
        raise error(NOT_FOUND, f"There is no {path} here. This server answers {_ANSWERED}.")
    handler = methods.get(method)
    if handler is None:
        raise error(405, f"{path} does not take {method}; it takes {', '.join(methods)}.")
    return handler, words


def _match(given: list[str]) -> tuple[dict[str, Handler] | None, dict[str, str]]:
    for pattern, methods in _PATTERNS:
        if len(pattern) == len(given) and all(
            wanted[0] == "{" or wanted == word for wanted, word in zip(pattern, given, strict=True)
        ):
            pairs = zip(pattern, given, strict=True)
            return methods, {wanted[1:-1]: word for wanted, word in pairs if wanted[0] == "{"}
    return None, {}


_NO_WORDS: dict[str, str] = {}
_EXACT = {path: methods for path, methods in ROUTES.items() if "{" not in path}
_PATTERNS = [(path.strip("/").split("/"), methods) for path, methods in ROUTES.items()]
_ANSWERED = ", ".join(f"{method} {path}" for path, methods in ROUTES.items() for method in methods)


# --- who asks, and how ------------------------------------------------------------------------------------------------


async def _access(services: WebServices, header: Mapping[bytes, bytes], handler: Handler) -> Access | None:
    """What the token opens; None for the test token. Raises ApiError."""
    token = header.get(SERVER_TOKEN, b"").strip()
    if not token:
        raise error(10, NO_TOKEN)
    if token.lower() == TEST_TOKEN and handler in _TESTABLE:
        return None
    secret = token.decode("latin-1")
    access = services.tokens.known(secret) or await services.tokens.open(secret)
    if access is None or access.server is None:
        raise error(10, WRONG_TOKEN)
    return access


def _check_types(header: Mapping[bytes, bytes]) -> None:
    """JSON comes and JSON goes. Raises ApiError."""
    kind = header.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if kind != b"application/json":
        raise error(409, "The Content-Type of a request is application/json.")
    if header.get(b"content-encoding", b"identity").strip().lower() != b"identity":
        raise error(409, "A request's body is taken as it is, without a Content-Encoding.")
    accepted = header.get(b"accept", b"*/*").lower()
    if not any(word in accepted for word in (b"json", b"*/*", b"application/*")) and accepted.strip():
        raise error(409, "Answers are application/json: Accept has to allow it.")


async def _respond(send: Send, answer: Answer, number: str) -> None:
    fields = [(b"x-request-id", number.encode()), *answer.fields]
    if answer.code:
        fields.append((b"x-pm-apierrorcode", b"%d" % answer.code))
    if answer.status == 503:
        fields.append(RETRY_AFTER)
    await respond(send, answer.status, answer.body, fields=fields)
