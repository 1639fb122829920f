"""An OpenID issuer for tests: keys of every kind that is taken, tokens, and the two documents over HTTP on loopback."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

_numbers = count(1)


def encoded(value: Mapping[str, Any] | bytes) -> str:
    """A part of a token: JSON, or octets, as base64url."""
    octets = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")


def _number(value: int) -> str:
    return encoded(value.to_bytes((value.bit_length() + 7) // 8))


@dataclass(frozen=True, slots=True)
class SigningKey:
    jwk: dict[str, Any]
    public_pem: bytes
    sign: Callable[[bytes], bytes]


class Issuer:
    """Signs with one key of each algorithm."""

    def __init__(self, url: str, *, rsa_bits: int = 2048) -> None:
        self.url = url
        self.keys = {"RS256": _rsa(rsa_bits), "ES256": _ec(), "EdDSA": _ed25519()}
        self.fetched: list[str] = []
        self.discovery: dict[str, Any] = {}
        self.broken = False

    def sign(
        self, claims: Mapping[str, Any], algorithm: str = "ES256", *, header: Mapping[str, Any] | None = None
    ) -> str:
        key = self.keys[algorithm]
        head = header if header is not None else {"alg": algorithm, "kid": key.jwk["kid"], "typ": "JWT"}
        signed = f"{encoded(head)}.{encoded(claims)}"
        return f"{signed}.{encoded(key.sign(signed.encode()))}"

    @staticmethod
    def sign_hmac(claims: Mapping[str, Any], secret: bytes, algorithm: str, kid: str) -> str:
        """What a forger makes."""
        signed = f"{encoded({'alg': algorithm, 'kid': kid})}.{encoded(claims)}"
        function = {"HS256": "sha256", "HS512": "sha512"}[algorithm]
        return f"{signed}.{encoded(hmac.digest(secret, signed.encode(), function))}"

    def document(self, path: str) -> bytes:
        """What is published there. Raises KeyError."""
        self.fetched.append(path)
        documents: dict[str, dict[str, Any]] = {
            "/.well-known/openid-configuration": {"issuer": self.url, "jwks_uri": f"{self.url}/keys", **self.discovery},
            "/keys": {"keys": [key.jwk for key in self.keys.values()]},
        }
        return json.dumps(documents[path]).encode()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """At http://127.0.0.1, which becomes its name."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield
        finally:
            server.close()
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        try:
            body, status = self.document(request.split()[1].decode()), "503 Broken" if self.broken else "200 OK"
        except KeyError:
            body, status = b"", "404 Not Found"
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()


def _public(key: Any) -> bytes:
    public: bytes = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return public


def _named(jwk: dict[str, Any]) -> dict[str, Any]:
    return {**jwk, "use": "sig", "kid": f"{jwk['kty']}-{next(_numbers)}"}


def _rsa(bits: int) -> SigningKey:
    key = rsa.generate_private_key(65537, bits)
    numbers = key.public_key().public_numbers()
    jwk = _named({"kty": "RSA", "n": _number(numbers.n), "e": _number(numbers.e)})
    return SigningKey(jwk, _public(key), lambda data: key.sign(data, padding.PKCS1v15(), hashes.SHA256()))


def _ec() -> SigningKey:
    key = ec.generate_private_key(ec.SECP256R1())
    numbers = key.public_key().public_numbers()
    x, y = (encoded(part.to_bytes(32)) for part in (numbers.x, numbers.y))

    def sign(data: bytes) -> bytes:
        r, s = decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32) + s.to_bytes(32)

    return SigningKey(_named({"kty": "EC", "crv": "P-256", "x": x, "y": y}), _public(key), sign)


def _ed25519() -> SigningKey:
    key = ed25519.Ed25519PrivateKey.generate()
    raw = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return SigningKey(_named({"kty": "OKP", "crv": "Ed25519", "x": encoded(raw)}), _public(key), key.sign)
