"""What the administrator is told of a sender that is held back, or of a clock that is wrong: an event, and a message to
the postmaster's mailbox."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

from postroad.accounts.freezes import words
from postroad.events.recorder import Recorder
from postroad.mail.compose import compose
from postroad.mail.status import Status
from postroad.observe import log
from postroad.ports.clock import Clock
from postroad.ports.ids import IdSource, id_text
from postroad.ports.senders import SenderKind
from postroad.ports.store import Lane, Store, StoreUnavailable
from postroad.queue.senders import Trouble
from postroad.queue.steady import Jump

Submit = Callable[[str, Sequence[str], bytes], Awaitable[Status]]
POSTMASTER = "postmaster"  # RFC 5321 §4.1.1.3: without a domain it is the administrator

_TEXT = """\
{who} is held back: {why}.

{what}

If this is as it should be, let it go on; what is held is sent then:

    postroad freeze {command} --release

If it is not, its password or token is probably in wrong hands:

    postroad freeze {command}
    postroad {change}

and see what waits before you cancel it: postroad queue list. In the console, all of this is under Senders.
"""
_CLOCK = """\
The clock of this machine says {wall} UTC; by the time that has passed it should be {steady} UTC. It is {off}.

Mail goes on, and nothing is given up or thrown away for its age until the clock is right again.

See what sets the clock, and put it right: then nothing else is to be done. If it is right as it is now (the server had
stopped for a long time, or the clock had been wrong before), say so:

    postroad queue trust-clock
"""
_FROZEN = "It is frozen: its mail, here already or still to come, is held until somebody releases it."
_LIMITED = "What is beyond its limits is held; the rest was sent. You are told of this once a day at most."


class Alarm:
    """One for a process; `tell` is queue.senders.Alarm."""

    def __init__(self, submit: Submit, store: Store, clock: Clock, ids: IdSource, hostname: str) -> None:
        """`submit` is intake.pipeline.Intake.submit_local."""
        self._submit = submit
        self._store = store
        self._clock = clock
        self._ids = ids
        self._recorder = Recorder(ids)
        self._hostname = hostname
        self._log = log.get("senders")

    async def tell(self, trouble: Trouble) -> None:
        who, now = words(trouble.kind, trouble.name), self._clock.now()
        action = "sender frozen" if trouble.frozen else "sender over its limits"
        event = self._recorder.admin(now, action=action, by="postroad", what=[who, trouble.why])
        try:
            await self._store.write(lambda tx: tx.events.add([event]), lane=Lane.LOW)
        except StoreUnavailable as error:
            self._log.warning("an event was not written", error=str(error))
        told = await self._submit("", [POSTMASTER], self._message(trouble, who))
        if not told.is_success:
            self._log.warning("the administrator was not told", sender=who, reply=str(told), cause=told.cause)

    async def ring(self, jump: Jump) -> None:
        """The wall clock cannot be believed."""
        off = f"{abs(jump.off)} {'ahead' if jump.off > timedelta() else 'back'}"
        event = self._recorder.admin(self._clock.now(), action="clock wrong", by="postroad", what=[f"it is {off}"])
        try:
            await self._store.write(lambda tx: tx.events.add([event]), lane=Lane.LOW)
        except StoreUnavailable as error:
            self._log.warning("an event was not written", error=str(error))
        text = _CLOCK.format(off=off, wall=f"{jump.wall:%Y-%m-%d %H:%M:%S}", steady=f"{jump.steady:%Y-%m-%d %H:%M:%S}")
        told = await self._submit("", [POSTMASTER], self._letter("The clock of the mail server is wrong", text))
        if not told.is_success:
            self._log.warning("the administrator was not told", reply=str(told), cause=told.cause)

    def _message(self, trouble: Trouble, who: str) -> bytes:
        is_account = trouble.kind is SenderKind.ACCOUNT
        name = trouble.name if is_account else trouble.name.rpartition("…")[2].rstrip(")")
        change = f"account password {name}" if is_account else f"token revoke {name}"
        text = _TEXT.format(
            who=who.capitalize() if not is_account else f"The account {trouble.name}",
            why=trouble.why,
            what=_FROZEN if trouble.frozen else _LIMITED,
            command=f"{trouble.kind} {name}",
            change=change,
        )
        return self._letter(f"{who} is held back: {trouble.why}", text)

    def _letter(self, subject: str, text: str) -> bytes:
        return compose(
            header_from=f"Postroad <{POSTMASTER}@{self._hostname}>",
            to=[f"{POSTMASTER}@{self._hostname}"],
            subject=subject,
            date=self._clock.now(),
            message_id=f"<{id_text(self._ids.new())}.alarm@{self._hostname}>",
            text=text,
            fields=[("Auto-Submitted", "auto-generated")],  # RFC 3834 §5
        )
