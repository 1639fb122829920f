"""One connection of a stranger, as the front door sees it: the verdicts so far, and what they come to.

The session tells it what the client does; `intake` asks it at MAIL, at each RCPT and at the end of the message. What is
said against a client is weighed at its first recipient and remembered, so that each further message costs next to
nothing. Refusals wait until RCPT: only then is it known whether they are for somebody who is never refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from postroad.intake.verdicts import Kept, Kind, Verdict, in_words, kept, refused
from postroad.mail.address import ForwardPath
from postroad.mail.status import Status, status
from postroad.observe.metrics import COUNTERS

if TYPE_CHECKING:
    from postroad.intake.clients import Client
    from postroad.intake.door import Door
    from postroad.intake.transaction import MailTransaction

SPARED = frozenset(("postmaster", "abuse"))  # RFC 5321 §4.5.1, RFC 2142 §4: who is refused by mistake can write there
WEIGHED = "weight"  # the step that refuses for all notes together


class Visit:
    """Made when a stranger connects. Nobody has one who is exempt, or has logged in."""

    __slots__ = (
        "_came_again", "_door", "_early", "_helo", "_judgement", "_kept", "_name", "_seen", "_total", "client",
        "connection", "local", "wait", "welcome",
    )  # fmt: skip

    def __init__(self, door: Door, client: Client, *, local: str, connection: str) -> None:
        """`local` is the address that the client has reached us at; `connection` the id that it may refer to."""
        self._door = door
        self.client = client
        self.local = local
        self.connection = connection
        self.welcome: Status | None = None  # what is said in place of the banner
        self.wait = 0.0  # seconds until the banner
        self._name = ""
        self._helo: tuple[Verdict, ...] = ()
        self._early: Verdict | None = None
        self._came_again = False
        self._seen = -1  # the client's revision that the next three were made from
        self._judgement: Verdict | None = None
        self._total = 0.0
        self._kept: Kept = ()

    # --- what the client does -----------------------------------------------------------------------------------------

    def connected(self) -> None:
        for step in self._door.connect_steps:
            verdict = step(self)
            if verdict is None:
                continue
            if verdict.kind is Kind.DELAY:
                self.wait = verdict.weight
            else:
                self.welcome = _said(verdict)
                return

    def hello(self, name: str) -> None:
        """HELO or EHLO; the last one counts."""
        if name == self._name:
            return
        self._name, self._seen = name, -1
        self._helo = tuple(step(self, name) for step in self._door.helo_steps)

    def early(self, before: str) -> None:
        """It talked before it was its turn. Noted once."""
        talkers = self._door.early
        if talkers is not None and self._early is None:
            self._early, self._seen = talkers.judge(before), -1

    def mail(self) -> Status | None:
        """One more message: the refusal, if any."""
        self._came_again = False
        for step in self._door.mail_steps:
            verdict = step(self)
            if verdict is not None:
                return _said(verdict)
        return None

    # --- recipients ---------------------------------------------------------------------------------------------------

    def is_ready(self, transaction: MailTransaction, path: ForwardPath) -> bool:
        """Whether the questions below can be answered; else `prepare` first."""
        door = self._door
        if self.client.task is not None and not door.clients.is_settled(self.client):
            return is_spared(path)
        return door.greylist is None or is_spared(path) or door.greylist.has(self._triplet(transaction, path))

    async def prepare(self, transaction: MailTransaction, path: ForwardPath) -> None:
        """Wait for look-ups and rows. Raises StoreUnavailable."""
        await self._door.clients.settle(self.client)
        greylist = self._door.greylist
        if greylist is not None and not greylist.has(triplet := self._triplet(transaction, path)):
            await greylist.load(triplet)

    def before(self, transaction: MailTransaction, path: ForwardPath) -> Status | None:
        """RCPT, before anything is said about the recipient itself: the refusal, if any."""
        if is_spared(path):
            return None
        for step in self._door.recipient_steps:
            verdict = step(self, transaction, path)
            if verdict is not None:
                return _said(verdict)
        return None

    def after(self, transaction: MailTransaction, path: ForwardPath) -> Status | None:
        """RCPT, where the recipient could be taken."""
        for step in self._door.taking_steps:
            verdict = step(self, transaction, path)
            if verdict is not None:
                return _said(verdict)
        return None

    def unknown(self) -> None:
        """It named somebody whom nobody knows."""
        door = self._door
        if door.probing is not None:
            door.probing.missed(self.client.address, door.clock.monotonic())

    def greylist(self, transaction: MailTransaction, path: ForwardPath) -> Verdict | None:
        """A step: whether a stranger has to come again."""
        door = self._door
        assert door.greylist is not None
        if is_spared(path) or not door.wants_again(self.total):
            return None
        verdict, is_first = door.greylist.judge(self._triplet(transaction, path))
        if verdict.kind is Kind.DEFER:
            return verdict
        self._came_again = self._came_again or is_first
        if not any(note.step == verdict.step for note in transaction.notes):
            transaction.notes += (verdict,)
        return None

    def _triplet(self, transaction: MailTransaction, path: ForwardPath) -> tuple[str, str, str]:
        sender = transaction.reverse_path.address
        return self.client.network, sender.domain.ascii if sender else "<>", str(path).lower()

    # --- the decision -------------------------------------------------------------------------------------------------

    def refusal(self, path: ForwardPath | None = None) -> Verdict | None:
        """Why nobody but those who are spared gets mail from this client; None lets it in."""
        if self._seen != self.client.revision:
            self._weigh()
        judgement = self._judgement
        if judgement is None:
            return None
        return self._explained(judgement, path)

    @property
    def total(self) -> float:
        """What the notes weigh."""
        if self._seen != self.client.revision:
            self._weigh()
        return self._total

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """All that was said of this client."""
        early = (self._early,) if self._early is not None else ()
        return (*self.client.verdicts, *self._helo, *early)

    @property
    def kept(self) -> Kept:
        """The same as it is kept with each message."""
        if self._seen != self.client.revision:
            self._weigh()
        return self._kept

    def _weigh(self) -> None:
        verdicts = self.verdicts
        self._seen = self.client.revision
        self._kept = kept(verdicts)
        self._total = sum(verdict.weight for verdict in verdicts)
        self._judgement = next((each for each in verdicts if each.kind is Kind.REFUSE), None)
        if self._judgement is None and self._total >= self._door.refuse_at:
            said = sorted((each for each in verdicts if each.weight > 0), key=lambda each: -each.weight)
            words = "; ".join(dict.fromkeys(each.public for each in said if each.public))
            self._judgement = refused(WEIGHED, words, status(550, "5.7.1", words or "your server is not trusted here"))

    def _explained(self, judgement: Verdict, path: ForwardPath | None) -> Verdict:
        """With whom to ask, what to refer to; and for the operator all that was found."""
        answer = judgement.status
        assert answer is not None
        domain = path.domain.ascii if path is not None and path.domain is not None else self._door.hostname
        help_ = f"if this is wrong, write to postmaster@{domain} with reference {self.connection}"
        cause = f"{self._total:g} of {self._door.refuse_at:g}: {in_words(self._kept)}"
        told = Status(answer.reply_code, answer.enhanced, f"{answer.text}; {help_}", cause)
        return Verdict(judgement.step, Kind.REFUSE, cause, 0.0, told)

    # --- the message --------------------------------------------------------------------------------------------------

    def message(self, transaction: MailTransaction) -> Status | None:
        """The end of a message: what was noted since its recipients were taken may still refuse it."""
        refusal = self.refusal()
        if refusal is None or all(name.partition("@")[0].lower() in SPARED for name in transaction.recipients):
            return None
        return _said(refusal)

    def taken(self) -> None:
        """A message of it is ours now."""
        self.client.is_known = True
        if self._came_again and self._door.greylist is not None:
            self._came_again = False
            self._door.greylist.came_again(self.client.network)


def _said(verdict: Verdict) -> Status | None:
    """What the client is told; it is counted by the step's name."""
    counts = COUNTERS.door
    counts[verdict.step] = counts.get(verdict.step, 0) + 1
    return verdict.status


def is_spared(path: ForwardPath) -> bool:
    """Whoever was refused by mistake has to be able to say so."""
    return path.local_part.lower() in SPARED
