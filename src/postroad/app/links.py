"""Where the console is to be found, as far as the settings say."""

from __future__ import annotations

import ipaddress

from postroad.app.roles import listeners
from postroad.config.schema import Listen, Settings
from postroad.config.values import split_address

CONSOLE = "/console/"
_DEFAULT_PORTS = {"http": 80, "https": 443}


def console_url(settings: Settings, path: str = "") -> str:
    """The address to open in a browser: over https, unless only this machine is meant. Empty without such a listener.

    This machine is called localhost: browsers let passkeys work there, which they do not for an IP address.
    """
    urls = [_url(settings, listen) for listen in listeners(settings) if listen.service in _DEFAULT_PORTS]
    found = sorted(filter(None, urls), key=lambda url: (not url.startswith("http://localhost"), "https:" not in url))
    return f"{found[0]}{CONSOLE}{path}" if found else ""


def sign_in_url(settings: Settings, secret: str) -> str:
    """Where a one-time link leads. Without a listener that can be named, the path alone."""
    return console_url(settings, f"enter?{secret}") or f"{CONSOLE}enter?{secret}"


def _url(settings: Settings, listen: Listen) -> str:
    if listen.address.startswith("unix:"):
        return ""
    host, port = split_address(listen.address)
    if not port:
        return ""
    shown = f":{port}" if port != _DEFAULT_PORTS[listen.service] else ""
    return f"{listen.service}://{_name(host, settings.hostname)}{shown}"


def _name(host: str, hostname: str) -> str:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.is_unspecified:
        return hostname
    if address.is_loopback:
        return "localhost"
    return f"[{address}]" if address.version == 6 else str(address)
