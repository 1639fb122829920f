"""The console as one ASGI application: its pages, the guard before them, and what goes wrong in words.

It answers below /console; the path comes whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp

from postroad.accounts.recovery import RecoveryCodes
from postroad.ports.store import Refused, StoreUnavailable
from postroad.web.console import (
    accounts,
    admins,
    aliases,
    audit,
    domains,
    failures,
    keys,
    login,
    message,
    messages,
    overview,
    queue,
    security,
    senders,
    servers,
    view,
)
from postroad.web.console.assets import shipped
from postroad.web.console.guard import Guard
from postroad.web.console.headers import Headers
from postroad.web.console.pulse import Pulse
from postroad.web.console.render import ROOT, Renderer, Section
from postroad.web.console.sealed import Seals

if TYPE_CHECKING:
    from postroad.web.services import WebServices

SECTIONS = (
    Section("overview", "Overview", "", "overview", shortcut="o"),
    Section("messages", "Messages", "messages", "messages", shortcut="m"),
    Section("queue", "Queue", "queue", "queue", shortcut="q"),
    Section("domains", "Domains", "domains", "domains", "Addresses", "d"),
    Section("accounts", "Accounts", "accounts", "accounts", "Addresses", "a"),
    Section("aliases", "Aliases", "aliases", "aliases", "Addresses", "l"),
    Section("servers", "Servers", "servers", "servers", "Sending", "s"),
    Section("keys", "API keys", "keys", "keys", "Sending", "k"),
    Section("senders", "Senders", "senders", "senders", "Sending", "f"),
    Section("admins", "Administrators", "admins", "admins", "Console", "p"),
    Section("audit", "Audit log", "audit", "audit", "Console", "u"),
)
PAGES = (
    overview,
    login,
    security,
    messages,
    message,
    view,
    queue,
    domains,
    accounts,
    aliases,
    servers,
    keys,
    senders,
    admins,
    audit,
)


def application(services: WebServices) -> ASGIApp:
    """The console. Assets are read and templates found once, here."""
    assets = shipped()
    app = Starlette(
        routes=[
            Route(ROOT, _home),
            Mount(f"{ROOT}/static", routes=[Route("/{name:path}", assets.serve)]),
            Mount(ROOT, routes=_routes()),
        ],
        middleware=[Middleware(Headers), Middleware(failures.Failures), Middleware(Guard, services=services)],
        exception_handlers=dict.fromkeys((HTTPException, Refused, StoreUnavailable), failures.show),
    )
    app.state.services = services
    app.state.recovery = RecoveryCodes(
        services.store, clock=services.clock, ids=services.ids, signals=services.signals, random=services.random
    )
    app.state.seals = Seals(services.store, services.clock, services.random)
    app.state.renderer = Renderer(assets, SECTIONS, hostname=services.hostname)
    app.state.pulse = Pulse(services, app.state.renderer)
    app.state.dns_watch = overview.DnsWatch(services)
    return app


def _routes() -> list[BaseRoute]:
    """Those of every page."""
    return [route for module in PAGES for route in module.ROUTES]


async def _home(_: Request) -> Response:
    return RedirectResponse(f"{ROOT}/", 308)
