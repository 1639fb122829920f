"""The signing keys of an OpenID issuer, fetched by HTTPS (OpenID Connect Discovery §4, RFC 7517).

Asked for when the first token comes, in a thread, and kept for an hour; old ones serve while new ones are fetched. An
issuer that is slow, long-winded or broken costs logins by token, and nothing else.
"""

from __future__ import annotations

import asyncio
import http.client
import ipaddress
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

from postroad.observe import log
from postroad.ports.clock import Clock
from postroad.ports.openid import Jwk
from postroad.ports.store import StoreUnavailable

MAX_AGE = 3600.0  # seconds
MIN_PAUSE = 60.0  # between two looks for a key that is missing
RETRY_PAUSE = 15.0  # after one that failed
TIMEOUT = 10.0
MAX_DOCUMENT = 256 * 1024
MAX_KEYS = 100

_log = log.get("logins")


class OpenIdKeys:
    """Implements ports.openid.IssuerKeys."""

    def __init__(self, issuer: str, clock: Clock, fetch: Callable[[str], bytes] | None = None) -> None:
        self._issuer = issuer
        self._clock = clock
        self._fetch = fetch or fetch_document
        self._keys: list[Jwk] = []
        self._fetched = float("-inf")
        self._tried = float("-inf")
        self._failure = ""
        self._fetching: asyncio.Task[None] | None = None

    async def keys(self, *, newer: bool = False) -> Sequence[Jwk]:
        now = self._clock.monotonic()
        pause = RETRY_PAUSE if self._failure else MIN_PAUSE
        stale = now - self._fetched > MAX_AGE
        if (stale or newer) and (now - self._tried > pause or self._fetching):
            fetching = self._begin(now)
            if newer or not self._keys:
                await asyncio.shield(fetching)
        if not self._keys:
            raise StoreUnavailable(f"the keys of {self._issuer} cannot be had: {self._failure or 'there are none'}")
        return self._keys

    def _begin(self, now: float) -> asyncio.Task[None]:
        """One fetch at a time."""
        if self._fetching is None:
            self._tried = now
            self._fetching = asyncio.get_running_loop().create_task(self._refresh())
        return self._fetching

    async def _refresh(self) -> None:
        try:
            self._keys = await asyncio.to_thread(self._look_up)
            self._fetched, self._failure = self._clock.monotonic(), ""
        except (OSError, ValueError, http.client.HTTPException) as error:
            self._failure = str(error) or type(error).__name__
            _log.warning("the issuer's keys cannot be fetched", issuer=self._issuer, error=self._failure)
        finally:
            self._fetching = None

    def _look_up(self) -> list[Jwk]:
        """In a thread. Raises OSError or ValueError."""
        document = _object(self._fetch(f"{self._issuer.rstrip('/')}/.well-known/openid-configuration"))
        if document.get("issuer") != self._issuer:  # OpenID Connect Discovery §4.3
            raise ValueError(f"the document is that of {document.get('issuer')!r}")
        keys = _object(self._fetch(str(document.get("jwks_uri", "")))).get("keys")
        if not isinstance(keys, list) or len(keys) > MAX_KEYS:
            raise ValueError("there is no list of keys")
        return [key for key in keys if isinstance(key, dict)]

    async def close(self) -> None:
        """Wait for a fetch that is under way."""
        if self._fetching is not None:
            await asyncio.wait([self._fetching])


def _object(document: bytes) -> dict[str, Any]:
    return msgspec.json.decode(document, type=dict[str, Any])


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_args: Any, **_more: Any) -> None:
        return None


def fetch_document(url: str) -> bytes:
    """Blocks. Raises OSError or ValueError."""
    if not is_safe(url):
        raise ValueError(f"{url} is not an https address")
    opener = urllib.request.build_opener(_NoRedirects)
    request = urllib.request.Request(url, headers={"Accept": "application/json"})  # noqa: S310 - see is_safe
    with opener.open(request, timeout=TIMEOUT) as response:
        document: bytes = response.read(MAX_DOCUMENT + 1)
    if len(document) > MAX_DOCUMENT:
        raise ValueError(f"{url} is larger than {MAX_DOCUMENT} octets")
    return document


def is_safe(url: str) -> bool:
    """https; or http on this machine, where nobody is in between."""
    parts = urlsplit(url)
    if parts.scheme == "https":
        return bool(parts.hostname)
    try:
        return parts.scheme == "http" and ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False
