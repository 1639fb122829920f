"""Secrets that are shown once: made by a form, shown by the page that the form leads to, then forgotten.

They wait in memory for a minute at most, for the session that made them. A reload shows nothing any more.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from starlette.requests import Request

from postroad.web.console.forms import services_of

SECONDS = 60.0
MOST = 1000


@dataclass(frozen=True, slots=True)
class Secret:
    """What is shown, and what it belongs to."""

    kind: str
    name: str
    value: str


class Once:
    """One for the console, in `app.state`."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, tuple[float, int, Secret]] = OrderedDict()

    def put(self, secret: Secret, *, session: int, key: str, now: float) -> None:
        self._waiting[key] = (now + SECONDS, session, secret)
        while len(self._waiting) > MOST:
            self._waiting.popitem(last=False)

    def take(self, key: str, *, session: int, now: float) -> Secret | None:
        until, owner, secret = self._waiting.get(key, (0.0, 0, None))
        if secret is None or owner != session:
            return None
        del self._waiting[key]
        return secret if now <= until else None


def keep_once(request: Request, secret: Secret) -> str:
    """The word by which `shown_once` finds it: put it into the address of the page that comes next."""
    services = services_of(request)
    key = services.random.token(16).hex()
    _once(request).put(secret, session=request.state.session.id, key=key, now=services.clock.monotonic())
    return key


def shown_once(request: Request) -> Secret | None:
    """The secret that this page was opened for, the first time that it is."""
    key = request.query_params.get("made", "")
    if not key:
        return None
    return _once(request).take(key, session=request.state.session.id, now=services_of(request).clock.monotonic())


def _once(request: Request) -> Once:
    state = request.app.state
    if not hasattr(state, "once"):
        state.once = Once()
    found: Once = state.once
    return found
