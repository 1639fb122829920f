"""The network port: how a machine and a session are coupled to a connection, and how a connection is made.

The driver (adapters.net.driver) owns the socket. It feeds the machine, hands each event to `Session.answer`, and
flushes once for a group. A session that must wait returns an awaitable; nothing is read from the peer meanwhile.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from msgspec import Struct

from postroad.mail.envelope import TlsInfo
from postroad.ports.dns import TlsaRecord
from postroad.proto.wire import Machine


class Endpoint(Struct, frozen=True, gc=False):
    """An IP address and port, or a Unix socket path in `host` with port 0."""

    host: str
    port: int

    def __str__(self) -> str:
        if not self.port:
            return f"unix:{self.host}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


PORT_UNKNOWN: Final = 1  # of a client whom a balancer or gateway told us of without its port: 0 is a Unix socket's


@dataclass(frozen=True, slots=True)
class ClientTls:
    """What we ask of a TLS handshake as a client. By default nothing is verified, and old versions are taken."""

    server_name: str  # asked for by SNI
    verify: bool = False  # the certificate has to prove one of `names` by a public authority, or to fit `tlsa`
    names: tuple[str, ...] = ()  # empty: `server_name`
    tlsa: tuple[TlsaRecord, ...] = ()  # DANE: these alone decide
    report: bool = False  # verify, but only say how it ended: the connection stands either way

    @property
    def reference(self) -> tuple[str, ...]:
        """The names of which the certificate has to cover one."""
        return self.names or (self.server_name,)


class PeerTls(TlsInfo, frozen=True, gc=False):
    """What a handshake of ours agreed on, and what the server showed."""

    proof: str = ""  # what proves the server: `DANE 3 1 1 0a1b...`, `a public authority`; empty: nothing was asked
    fault: str = ""  # why it is not proven, where that is only reported
    fault_kind: str = ""  # the same as a result type of RFC 8460 §4.3
    certificate: str = ""  # for people: for whom, by whom, until when, its SHA-256


class TlsFailed(ConnectionError):  # noqa: N818 - it names what happened
    """The handshake failed, the peer broke TLS, or its certificate does not prove what it has to. Opportunistic senders
    try again without TLS. `kind` is a result type of RFC 8460 §4.3."""

    def __init__(self, text: str, kind: str = "validation-failure") -> None:
        super().__init__(text)
        self.kind = kind


class Connection(Protocol):
    """One connection, as its session sees it. All methods are called on the loop's thread."""

    @property
    def peer(self) -> Endpoint: ...

    @property
    def local(self) -> Endpoint: ...

    @property
    def tls(self) -> TlsInfo | None: ...

    @property
    def certified(self) -> tuple[str, ...]:
        """Mail addresses that the client's certificate proves, when it was asked for one and it leads to an authority
        of ours."""

    def channel_bindings(self) -> Mapping[str, bytes]:
        """What tells this TLS connection from any other, by channel binding type (RFC 5056): `tls-exporter`
        (RFC 9266), `tls-server-end-point` (RFC 5929). Empty without TLS of our own."""

    def wake(self) -> None:
        """The machine was given something from outside an `answer` call: run it, send what it has."""

    def start_tls(self, client: ClientTls | None = None) -> None:
        """After what is queued has been sent, begin a handshake: as server with the listener's certificate, or as
        client. Plaintext already received is dropped. Then the machine's `tls_established(info)` is called, then
        `Session.secured(info)`; a failed handshake ends the connection."""

    def send(self, data: bytes) -> None:
        """Write bytes of the machine's `data_to_send` early, for long answers given in pieces."""

    async def drained(self) -> None:
        """Wait until the peer has read enough. Raises ConnectionResetError when the peer has gone."""

    def set_read_size(self, size: int) -> None:
        """Read up to `size` bytes at once from now on. 16 KiB until a session raises it (after authentication, for a
        body that was announced as large)."""

    @property
    def half_closed(self) -> bool:
        """The peer has ended its side: it sends no more, but may still read."""

    @property
    def closing(self) -> bool:
        """True once either side began to end the connection."""

    def close(self) -> None:
        """Send what is queued, then close."""

    def abort(self) -> None:
        """Close now."""


class Session(Protocol):
    """A protocol front end, or a client's conversation."""

    def connected(self, connection: Connection) -> Awaitable[None] | None:
        """The connection stands (and, with implicit TLS, is secured). Called once, before any event."""

    def answer(self, event: Any) -> Awaitable[None] | None:
        """Answer one event of the machine; an awaitable when the answer must wait. An exception is a bug of ours: the
        driver logs it and calls `failed`."""

    def secured(self, info: TlsInfo) -> None:
        """A handshake that `start_tls` began is done."""

    def failed(self, error: Exception) -> None:
        """`answer` raised or its awaitable did: put `451 4.3.0` (or `NO [SERVERBUG]`) into the machine and go on."""

    def disconnected(self, error: Exception | None) -> None:
        """The connection is gone. Called once after `connected`, whatever happened (TlsFailed, TimeoutError); also
        after our own close. A pending awaitable of `answer` is left to finish (a commit must not be torn), its result
        unused."""


class Dialer(Protocol):
    """Makes outgoing connections."""

    async def connect(
        self,
        endpoint: Endpoint | Sequence[Endpoint],
        machine: Machine,
        session: Session,
        *,
        timeout: float,
        tls: ClientTls | None = None,
        source: str | None = None,
    ) -> Connection:
        """Connect and couple. Of several addresses the first one that answers is taken: each gets a short head start
        before the next (RFC 8305); `connection.peer` tells which. With `tls` the handshake comes first (implicit TLS).
        Raises OSError or TimeoutError."""
