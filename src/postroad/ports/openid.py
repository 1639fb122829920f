"""The keys by which an OpenID issuer signs its tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

Jwk = Mapping[str, Any]  # RFC 7517 §4


class IssuerKeys(Protocol):
    async def keys(self, *, newer: bool = False) -> Sequence[Jwk]:
        """The issuer's keys. `newer` asks for them anew, because one is missing: no more than once a minute. Raises
        StoreUnavailable when they cannot be had."""
