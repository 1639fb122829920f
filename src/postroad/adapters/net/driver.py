"""The one driver, for every machine, client and server: it couples a transport, a machine and a session.

It runs the machine inside `buffer_updated`; an answer that must wait is carried on without a task (`answer.py`).
Turns are bounded, reads are small until the session raises them, one write serves a group of replies, one timer serves
a connection. TLS is a filter (`tls.py`) between transport and machine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from math import inf
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol, cast

from postroad.adapters.net.answer import Answer
from postroad.adapters.net.gone import GONE
from postroad.adapters.net.hub import LARGE_READ, SMALL_READ, Hub
from postroad.adapters.net.patience import Patience
from postroad.mail.envelope import TlsInfo
from postroad.ports.net import ClientTls, Endpoint, Session, TlsFailed
from postroad.proto.wire import Interruption, Machine, Signal

if TYPE_CHECKING:  # a server without TLS need not load it
    from postroad.adapters.net.tls import TlsFilter

EVENTS_PER_TURN = 32
SECONDS_PER_TURN = 0.001
FREE_TURNS = 3  # a group of a hundred recipients, or one that something has held up; who has more to do is a flood
HIGH_WATER = 64 * 1024  # unsent bytes above which nothing more is read or answered
LINGER = 5.0  # a closing peer that does not take its last bytes is cut after this
LINGER_BYTES = 1024 * 1024  # nor does anybody swallow more than this of one that talks on
LINGER_FREE = 256 * 1024  # so much at once, for what was on its way; the rest with pauses, in which TCP slows the peer
LINGER_PAUSE = 0.1

NEED_DATA, PAUSED = Signal.NEED_DATA, Signal.PAUSED
NOWHERE = Endpoint("", 0)


class FilterFactory(Protocol):
    """Makes the TLS filter of one connection: as server (`client` is None) or as client."""

    def __call__(self, client: ClientTls | None) -> TlsFilter: ...


class _Securable(Protocol):
    def tls_established(self, info: TlsInfo) -> None: ...


class Driver(asyncio.BufferedProtocol):
    """One connection. Implements ports.net.Connection towards the session."""

    __slots__ = (
        "_answer", "_blocked", "_closing", "_connected", "_drain", "_error", "_filter", "_handshaking", "_held",
        "_hub", "_implicit", "_interruption", "_leave", "_local", "_lost", "_machine", "_make_filter", "_opened",
        "_patience", "_paused", "_peer", "_reading", "_running", "_session", "_swallowed", "_tls", "_transport",
        "_turn", "_turns", "_window",
        "half_closed",
    )  # fmt: skip

    def __init__(
        self,
        hub: Hub,
        machine: Machine,
        session: Session,
        *,
        make_filter: FilterFactory | None = None,
        implicit: bool = False,
        client: ClientTls | None = None,
        opened: asyncio.Future[None] | None = None,
        admit: Callable[[Driver], Callable[[], None] | None] | None = None,
    ) -> None:
        """`implicit` begins with a handshake (as client with `client`). `opened` is set when the connection stands.

        `admit` is asked once the peer is known; it returns what to call at the end, or None to turn the peer away.
        """
        self._hub = hub
        self._machine = machine
        self._session = session
        self._make_filter = make_filter
        self._implicit: ClientTls | bool = client if client is not None else implicit
        self._opened = opened
        self._leave: Any = admit
        self._filter: TlsFilter | None = None
        self._tls: TlsInfo | None = None
        self._transport: asyncio.Transport = cast(asyncio.Transport, None)
        self._peer = self._local = NOWHERE
        self._window = hub.window(SMALL_READ)
        self._answer: Answer | None = None  # that is waited for
        self._drain: asyncio.Future[None] | None = None
        self._turn = False  # the next bounded turn is scheduled
        self._turns = 0  # used up, one after another
        self._running = False  # inside advance
        self._reading = False  # inside advance because bytes came
        self._paused = False  # the session will wake us
        self._blocked = False  # above the high-water mark
        self._held = False  # reading is paused
        self._swallowed = 0  # octets that came after our close
        self._closing = self._lost = self._connected = self._handshaking = self.half_closed = False
        self._interruption: Interruption | None = None
        self._error: Exception | None = None
        self._patience = Patience(hub.timers, self._expired)

    # -- what the session sees ---------------------------------------------------------------------------------

    @property
    def peer(self) -> Endpoint:
        return self._peer

    @property
    def local(self) -> Endpoint:
        if self._local is NOWHERE:
            self._local = endpoint_of(self._transport.get_extra_info("sockname"))
        return self._local

    @property
    def tls(self) -> TlsInfo | None:
        return self._tls

    @property
    def closing(self) -> bool:
        return self._closing or self._lost

    @property
    def certified(self) -> tuple[str, ...]:
        return self._filter.certified if self._filter is not None else ()

    def channel_bindings(self) -> Mapping[str, bytes]:
        return self._filter.channel_bindings() if self._filter is not None else {}

    def set_read_size(self, size: int) -> None:
        """Read up to `size` bytes at once: larger after authentication and for bodies, smaller again after."""
        self._window = self._hub.window(size)

    def wake(self) -> None:
        if self._answer is not None and not self._blocked:
            self.flush()
        elif not self._running:
            self.advance()

    def send(self, data: bytes) -> None:
        if self._lost or self._closing or not data:
            return
        self._transport.write(data if self._filter is None else self._filter.send(data))

    async def drained(self) -> None:
        if self._lost or self._closing:
            raise ConnectionResetError("the peer has gone")
        if not self._blocked:
            return
        if self._drain is None:
            self._drain = self._hub.loop.create_future()
        await asyncio.shield(self._drain)

    def start_tls(self, client: ClientTls | None = None) -> None:
        if self._make_filter is None:
            raise RuntimeError("this connection has no TLS to offer")
        self.flush()
        self._begin_handshake(client)

    def close(self) -> None:
        """Send what is queued, then close. A peer that does not take it within LINGER is cut."""
        if self._lost or self._closing:
            return
        self.flush()
        self._closing = True
        if self._filter is not None:
            self._transport.write(self._filter.close())
        self._patience.arm(LINGER)
        self._release_drain()
        if self._held and not self.half_closed:
            self._half_close()
        else:
            self._transport.close()

    def abort(self) -> None:
        if not self._lost:
            self._closing = True
            self._release_drain()
            if self._transport is not None:
                self._transport.abort()

    def interrupt(self, reason: Interruption) -> None:
        """End the conversation with the machine's own last words; after the answer that is being worked on."""
        if self._lost or self._closing:
            return
        if not self._connected or self._handshaking:
            self.abort()
        elif self._answer is not None or self._paused:
            self._interruption = reason
        else:
            self._end(reason)

    def _end(self, reason: Interruption) -> None:
        """Say the last words. The session hears of it as of any event; what it still has to do is left to it."""
        self._interruption = None
        self._machine.interrupt(reason)
        self._turn = self._paused = False
        self.advance()
        self.close()

    def introduce(self, peer: Endpoint, local: Endpoint, tls: TlsInfo | None) -> None:
        """Who the client is, as a balancer said: called before `connection_made`. With `tls` the balancer has ended
        TLS, and what comes is as good as secured."""
        self._peer, self._local = peer, local
        if tls is not None and not self._implicit:
            self._tls = tls
            cast(_Securable, self._machine).tls_established(tls)

    # -- what the transport calls ------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport = cast(asyncio.Transport, transport)
        transport.set_write_buffer_limits(high=HIGH_WATER)
        if self._peer is NOWHERE:
            self._peer = endpoint_of(transport.get_extra_info("peername"))
        self._hub.enter(self)
        if self._leave is not None:
            self._leave = self._leave(self)
            if self._leave is None:
                self._turn_away()
                return
        if self._implicit:
            self._begin_handshake(self._implicit if isinstance(self._implicit, ClientTls) else None)
        else:
            self._open()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - the loop's guess; ours is the limit
        return self._window

    def buffer_updated(self, nbytes: int) -> None:
        if self._closing:
            self._swallow(nbytes)
            return
        data = bytes(self._window[:nbytes])
        try:
            if self._filter is None:
                self._machine.receive_data(data)
                self._received()
            else:
                self._receive_tls(data)
        except Exception as error:
            self._broken(error)

    def eof_received(self) -> bool:
        """The peer will send no more. It may still read: answers under way are sent (RFC 9293 §3.6)."""
        self.half_closed = True
        if self._closing or self._handshaking or not self._connected:
            return False
        self._receive_eof()
        return True

    def pause_writing(self) -> None:
        self._blocked = True
        if not self._closing:
            self._patience.arm(self._hub.write_timeout)

    def resume_writing(self) -> None:
        self._blocked = False
        self._release_drain()
        if not self._closing:
            self._patience.disarm()
            self.advance()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._patience.end()
        self._release_drain()
        if self._answer is not None:
            self._hub.keep(self._answer)
        error = self._error or (None if self._closing else exc)  # after our own close a reset is no news
        self._error = None  # it knows by its traceback who we are: a circle that kept the TLS of noise-makers alive
        session, self._session, self._machine, self._filter = self._session, GONE, GONE, None
        if self._opened is not None and not self._opened.done():
            self._opened.set_exception(error or ConnectionResetError("the peer closed the connection"))
        if self._connected:
            self._guard(session.disconnected, error)
        if self._leave is not None:
            self._leave()
        self._hub.leave(self)

    # -- running the machine -----------------------------------------------------------------------------------

    @property
    def _busy(self) -> bool:
        """The machine may not run, or would say PAUSED."""
        return self._answer is not None or self._turn or self._blocked or self._paused

    def advance(self) -> None:
        """Run until the machine wants bytes or an answer must wait; at most one turn."""
        if self._answer is not None or self._turn or self._blocked or self._handshaking or not self._connected:
            return
        if self._running or self._lost or self._closing:
            return
        self._running = True
        self._paused = False
        try:
            self._run_turn()
        except Exception as error:  # a bug of ours ends one connection, never the loop
            self._broken(error)
        finally:
            self._running = False

    def _run_turn(self) -> None:
        next_event, answer = self._machine.next_event, self._session.answer
        end = perf_counter() + SECONDS_PER_TURN
        for events in range(EVENTS_PER_TURN):
            event = next_event()
            if event is NEED_DATA or event is PAUSED:
                self._settle(event, moved=events > 0 or not self._reading)
                return
            try:
                waiting = answer(event)
            except Exception as error:  # told to the session, which says 451 and goes on
                self._fail(error)
                waiting = None
            if waiting is not None and self._wait(waiting):
                return
            if self._closing or self._handshaking:
                return
            if perf_counter() > end:
                break
        self.flush()
        self._turn = True
        if not self._held and not self.half_closed and not self._lost:  # it has sent enough to be busy with
            self._held = True
            self._transport.pause_reading()
        self._turns += 1
        if self._turns <= FREE_TURNS:
            self._hub.loop.call_soon(self.next_turn)
        else:
            self._hub.queue_turn(self)

    def next_turn(self) -> None:
        """It is our turn again."""
        self._turn = False
        self.advance()

    def _settle(self, signal: Signal, *, moved: bool) -> None:
        """Nothing to do until bytes come, or (PAUSED) until the session wakes us: then the peer is not to blame.

        Bytes that have moved nothing (the beginning of a line) do not earn the peer another patience.
        """
        self.flush()
        if self._closing:
            return
        if signal is PAUSED:
            self._paused = True
            self._patience.disarm()
        elif self._interruption is not None:
            self._end(self._interruption)
        elif not self._blocked:
            self._turns = 0
            if moved or self._patience.deadline == inf:
                self._patience.arm(self._machine.patience)
            if self._held:
                self._held = False
                self._transport.resume_reading()

    def _wait(self, waiting: Awaitable[None]) -> bool:
        """Leave the machine alone until the answer is there; False when it already is."""
        self.flush()
        self._answer = answer = Answer(waiting, self._answered)
        answer.run()
        if answer.done:
            return False
        if not self._closing and not self._blocked:
            self._patience.disarm()
        return True

    def _answered(self, answer: Answer) -> None:
        self._answer = None
        if self._lost:
            self._hub.forget(answer)
        if answer.error is not None:
            self._broken_off(answer.error)
        if self._lost or self._running:  # running: the answer was there at once, and the turn goes on
            return
        if self._interruption is None:
            self.advance()
        else:
            self._end(self._interruption)

    def _broken_off(self, error: BaseException) -> None:
        """The answer ended without an answer: cancelled at the end of a grace, or by a bug."""
        if isinstance(error, Exception):
            self._fail(error)
        else:
            self.abort()

    def _fail(self, error: Exception) -> None:
        """A bug of ours: logged, then the session turns it into a temporary refusal."""
        if isinstance(error, ConnectionError) and self.closing:
            return  # the peer went while an answer was being sent; `disconnected` tells
        self._hub.bug(self, error)
        self._guard(self._session.failed, error)

    def _broken(self, error: Exception) -> None:
        """The machine itself raised: nothing more can be said."""
        self._hub.bug(self, error)
        self._error = error
        self.abort()

    def _guard(self, function: Callable[..., None], *args: Any) -> None:
        try:
            function(*args)
        except Exception as error:  # see _broken
            self._broken(error)

    # -- bytes in ----------------------------------------------------------------------------------------------

    def _received(self) -> None:
        """The machine has new bytes. While it may not run, one read is kept, and then reading stops: so the usual
        peer, who waits for its answer, costs no pausing, and one that goes away meanwhile is noticed."""
        if self._answer is None and not (self._turn or self._blocked or self._paused):
            self._reading = True
            self.advance()
            self._reading = False
        elif not self._held:
            self._held = True
            self._transport.pause_reading()

    def _receive_eof(self) -> None:
        self._machine.receive_eof()
        if not self._busy:
            self.advance()

    # -- bytes out ---------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """One write for everything that the machine has gathered."""
        data = self._machine.data_to_send()
        if data and not self._closing:
            self._transport.write(data if self._filter is None else self._filter.send(data))

    def _release_drain(self) -> None:
        drain, self._drain = self._drain, None
        if drain is not None and not drain.done():
            if self.closing:
                drain.set_exception(ConnectionResetError("the peer has gone"))
                drain.exception()  # retrieved: a waiter may have been cancelled
            else:
                drain.set_result(None)

    def _half_close(self) -> None:
        """Close while the peer is still sending: a plain close would answer its bytes with a reset, which may destroy
        our last reply on its way. So end our side and swallow what comes, for LINGER at most."""
        self._held = False
        self._window = self._hub.window(LARGE_READ)
        self._transport.resume_reading()
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()

    def _swallow(self, count: int) -> None:
        """The peer talks on, and nobody listens; who floods us shall not cost more after the end than before."""
        self._swallowed += count
        if self._swallowed > LINGER_BYTES:
            self.abort()
        elif self._swallowed > LINGER_FREE:
            self._transport.pause_reading()
            self._hub.timers.call_later(LINGER_PAUSE, self._listen_again)

    def _listen_again(self) -> None:
        if not self._lost and not self._transport.is_closing():
            self._transport.resume_reading()

    def _turn_away(self) -> None:
        """Too many connections: the machine's own words for it (421), and no session. No handshake is spent on it."""
        self._session = GONE
        if not self._implicit:
            self._machine.interrupt(Interruption.OVERLOAD)
            self.flush()
        self.close()

    # -- opening and TLS ---------------------------------------------------------------------------------------

    def _open(self) -> None:
        self._connected = True
        if self._opened is not None and not self._opened.done():
            self._opened.set_result(None)
        try:
            waiting = self._session.connected(self)
        except Exception as error:  # see _broken
            self._broken(error)
            return
        if waiting is None or not self._wait(waiting):
            self.advance()

    def _begin_handshake(self, client: ClientTls | None) -> None:
        if self._make_filter is None:
            raise RuntimeError("this connection has no TLS to offer")
        self._handshaking = True
        if self._held:
            self._held = False
            self._transport.resume_reading()
        self._filter = self._make_filter(client)
        self._patience.arm(self._hub.handshake_timeout)
        self._receive_tls(b"")

    def _receive_tls(self, data: bytes) -> None:
        """Bytes through the filter: records of a handshake, or plaintext for the machine."""
        tls = self._filter
        assert tls is not None
        try:
            plain = tls.receive(data)
        except TlsFailed as error:
            self._tls_failed(error, tls)
            return
        if out := tls.data_to_send():
            self._transport.write(out)
        if self._handshaking and tls.info is not None:
            self._secured(tls.info)
        if plain:
            self._machine.receive_data(plain)
            self._received()
        if tls.eof and not self.half_closed and not self.closing:
            self.half_closed = True
            self._receive_eof()

    def _secured(self, info: TlsInfo) -> None:
        self._handshaking = False
        self._tls = info
        self._patience.disarm()
        if not self._connected:
            self._open()
            return
        cast(_Securable, self._machine).tls_established(info)
        self._guard(self._session.secured, info)
        self.advance()

    def _tls_failed(self, error: TlsFailed, tls: TlsFilter) -> None:
        """Send the alert, then end: there is no way back to plaintext."""
        self._error = error
        if out := tls.data_to_send():
            self._transport.write(out)
        self._filter = None
        self._closing = True
        self._release_drain()
        self._patience.arm(LINGER)
        self._transport.close()

    # -- patience ----------------------------------------------------------------------------------------------

    def _expired(self) -> None:
        self._error = self._error or TimeoutError("the peer took too long")
        if self._closing or self._blocked or self._handshaking:
            self.abort()
        else:
            self._end(Interruption.TIMEOUT)


def endpoint_of(name: Any) -> Endpoint:
    """`peername` or `sockname` of a transport as an Endpoint; a Unix socket has a path or nothing."""
    if isinstance(name, tuple):
        host = str(name[0])
        if host.startswith("::ffff:") and "." in host:
            host = host[7:]  # an IPv4 peer of a dual-stack socket
        return Endpoint(host, int(name[1]))
    return Endpoint(name.decode() if isinstance(name, bytes) else str(name or ""), 0)
