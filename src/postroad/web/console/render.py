"""Templates to answers: one environment, autoescaped, and `page`, which every page ends with.

`page` gives the whole page, or, when htmx asks for the element called `fragment`, only the block of that name.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import cache, lru_cache
from itertools import groupby
from typing import Any
from urllib.parse import quote, unquote, urlencode
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from jinja2 import Environment, PackageLoader, StrictUndefined, Template, pass_context
from jinja2.runtime import Context
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from postroad.ports.ids import id_text
from postroad.web.console import wording
from postroad.web.console.assets import Assets
from postroad.web.console.icons import icon

ROOT = "/console"
THEMES = ("light", "dark")
_TOLD = "postroad-told"  # the cookie that carries a word about what was done to the next page
_ZONE = "postroad-zone"
_THEME = "postroad-theme"
_MAX_ZONE = 64  # characters of a zone's name


@dataclass(frozen=True, slots=True)
class Section:
    """One entry of the navigation."""

    key: str
    label: str
    path: str
    icon: str
    group: str = ""
    shortcut: str = ""  # typed after `g`


class Renderer:
    """One for the console: environment, assets and what the navigation shows."""

    def __init__(self, assets: Assets, sections: Sequence[Section], *, hostname: str) -> None:
        self.assets = assets
        self.sections = tuple(sections)
        self.groups = [(name, list(members)) for name, members in groupby(sections, lambda section: section.group)]
        self.hostname = hostname
        self._environment = _environment(assets)

    def text(self, template: str, context: Mapping[str, Any], *, fragment: str = "") -> str:
        """The whole template, or one block of it. `parts` are the macros, which see the same context."""
        found = self._environment.get_template(template)
        values = {"hostname": self.hostname, **context}
        values["parts"] = self._environment.get_template("parts.html").make_module(values)
        if fragment:
            return _block(found, fragment, values)
        return found.render(values)


def page(request: Request, template: str, *, fragment: str = "", status: int = 200, **context: Any) -> Response:
    """The answer. With `fragment`, htmx gets just that block when it asks for the element of that id."""
    wanted = fragment if fragment and _asks_for(request) == fragment else ""
    told = None if wanted else _told(request)
    renderer: Renderer = request.app.state.renderer
    values = {**frame(request), "told": told, **context}
    response = HTMLResponse(renderer.text(template, values, fragment=wanted), status)
    response.headers["vary"] = "HX-Request, HX-Target, Cookie"
    if told:
        response.delete_cookie(_TOLD, path=ROOT)
    return response


def frame(request: Request) -> dict[str, Any]:
    """What every template sees."""
    state, renderer = request.state, request.app.state.renderer
    token = getattr(state, "csrf_token", "")
    return {
        "request": request,
        "admin": getattr(state, "admin", None),
        "session": getattr(state, "session", None),
        "csrf_token": token,
        "csrf": Markup('<input type="hidden" name="csrf_token" value="{}">').format(token),
        "zone": reader_zone(request),
        "now": request.app.state.services.clock.now(),
        "theme": theme if (theme := request.cookies.get(_THEME)) in THEMES else "",
        "sections": renderer.sections,
        "groups": renderer.groups,
        "current": _current(renderer.sections, request.url.path),
    }


def reader_zone(request: Request) -> tzinfo:
    """The zone that the reader's browser told, else UTC."""
    name = request.cookies.get(_ZONE, "")
    return _zone(name) if 0 < len(name) <= _MAX_ZONE else UTC


def done(request: Request, path: str, text: str = "", *, kind: str = "good") -> Response:
    """After a change: on to the page at `path` (below /console), which shows `text` once. `kind`: good, bad, note."""
    return done_at(request, url(path), text, kind=kind)


def done_at(request: Request, target: str, text: str = "", *, kind: str = "good") -> Response:
    """The same for an address that `url` has made, with its query."""
    response: Response
    if "hx-request" in request.headers:
        response = Response(status_code=204, headers={"hx-redirect": target})
    else:
        response = RedirectResponse(target, 303)
    if text:
        value = quote(json.dumps({"text": text[:500], "kind": kind}))
        response.set_cookie(_TOLD, value, path=ROOT, max_age=60, samesite="lax", httponly=True)
    return response


def tell(response: Response, text: str, *, kind: str = "good") -> Response:
    """Have htmx's page show `text` for a moment, with whatever else the response brings."""
    response.headers["hx-trigger"] = json.dumps({"postroad:tell": {"text": text, "kind": kind}})
    return response


def url(path: str = "", **query: object) -> str:
    """A path below /console, with a query of what is not empty."""
    words = {name.rstrip("_"): value for name, value in query.items() if value not in (None, "")}
    address = f"{ROOT}/{quote(path.lstrip('/'), safe='/@:~!$&()*+,;=')}"
    return f"{address}?{urlencode(words)}" if words else address


def _told(request: Request) -> Mapping[str, str] | None:
    try:
        value = json.loads(unquote(request.cookies[_TOLD]))
        return {"text": str(value["text"]), "kind": str(value["kind"])}
    except (KeyError, ValueError, TypeError, RecursionError):
        return None


def _asks_for(request: Request) -> str:
    """The id of the element that htmx wants to fill; empty where a whole page is wanted."""
    headers = request.headers
    whole = "hx-request" not in headers or "hx-boosted" in headers or "hx-history-restore-request" in headers
    return "" if whole else headers.get("hx-target", "")


def _current(sections: Sequence[Section], path: str) -> str:
    """The key of the section in which `path` lies."""
    inside = [section for section in sections if path == url(section.path) or path.startswith(url(section.path) + "/")]
    home = [section for section in sections if section.path == "" and path == f"{ROOT}/"]
    return max(inside or home, key=lambda section: len(section.path)).key if inside or home else ""


@lru_cache(maxsize=1024)  # a cookie has the name, and anybody can send cookies
def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def _block(template: Template, name: str, values: dict[str, Any]) -> str:
    return "".join(template.blocks[name](template.new_context(values)))


@cache
def _environment(assets: Assets) -> Environment:
    environment = Environment(
        loader=PackageLoader("postroad.web.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.globals.update(static=assets.path, url=url, icon=icon)
    environment.filters.update(
        base64=_base64, when=_when, size=wording.size, duration=wording.duration, number=wording.number, id_text=id_text
    )
    return environment


def _base64(octets: bytes) -> str:
    """Octets for a form's field."""
    return base64.urlsafe_b64encode(octets).decode()


@pass_context
def _when(context: Context, at: datetime | None, form: str = "ago") -> str:
    """A time in the reader's zone, exact when pointed at. `form`: ago, near, exact, clock, day."""
    if at is None:
        return Markup("–")
    zone, now = context["zone"], context["now"]
    shown = {
        "ago": lambda: wording.ago(at, now, zone),
        "near": lambda: wording.date_and_time(at, zone, now=now),
        "exact": lambda: wording.exact(at, zone),
        "clock": lambda: wording.clock_time(at, zone),
        "day": lambda: wording.day(at, zone),
    }[form]()
    stamp = at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return Markup('<time datetime="{}" data-when="{}" title="{}">{}</time>').format(
        stamp, form, wording.exact(at, zone), shown
    )
