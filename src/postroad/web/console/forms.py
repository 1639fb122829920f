"""What people typed into a form, refusals beside the field that they are about, and one handler for a page's deeds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from starlette.datastructures import ImmutableMultiDict
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from postroad.accounts.audit import Actor
from postroad.ports.store import Refused
from postroad.web.console.failures import sentence

if TYPE_CHECKING:
    from postroad.web.services import WebServices

MAX_FIELDS = 2000


class Form:
    """Values as texts. A template that shows the form again asks it for what was typed."""

    def __init__(self, data: ImmutableMultiDict[str, Any] | None = None) -> None:
        self._data = data if data is not None else ImmutableMultiDict[str, Any]()

    def text(self, name: str, default: str = "") -> str:
        """Without the blanks around it."""
        return self.raw(name, default).strip()

    def raw(self, name: str, default: str = "") -> str:
        """As it was typed: a password may end with a blank."""
        value = self._data.get(name, default)
        return value if isinstance(value, str) else default

    def texts(self, name: str) -> list[str]:
        return [value for value in self._data.getlist(name) if isinstance(value, str)]


async def read_form(request: Request) -> Form:
    return Form(await request.form(max_fields=MAX_FIELDS, max_files=0))


class Wrong(Refused):
    """A refusal that is about one field."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(text)
        self.field = field


@contextmanager
def about(field: str) -> Iterator[None]:
    """Whatever is refused inside is about this field."""
    try:
        yield
    except Wrong:
        raise
    except Refused as refused:
        raise Wrong(field, str(refused)) from refused


def errors_of(refused: Refused, field: str) -> dict[str, str]:
    """What a template shows: the words, by field. `field` is for a refusal that names none."""
    return {refused.field if isinstance(refused, Wrong) else field: sentence(str(refused))}


Deed = Callable[[Request, Form], Awaitable[Response]]


def deeds(table: Mapping[str, Deed]) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint of a page with several forms: the field `do` names what is asked for."""

    async def endpoint(request: Request) -> Response:
        form = await read_form(request)
        deed = table.get(form.text("do"))
        if deed is None:
            raise HTTPException(400)
        return await deed(request, form)

    return endpoint


def services_of(request: Request) -> WebServices:
    return cast("WebServices", request.app.state.services)


def actor_of(request: Request) -> Actor:
    """For the audit log."""
    return cast(Actor, request.state.actor)


def count(number: int, one: str, many: str = "") -> str:
    """`1 recipient`, `1,204 recipients`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
