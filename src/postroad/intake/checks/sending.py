"""How much of a message's mail to others may go now: a frozen sender's is held, and what is beyond its limits.

Nothing is refused: whoever has a stolen password learns nothing, and whoever has a reason gets all of it sent by one
word of the administrator. Those in `limits.exempt` are not counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

from postroad.accounts.allowance import Allowed, Jumps, Tally
from postroad.accounts.counts import SenderCounts
from postroad.accounts.freezes import Freezes, held_for, token_name
from postroad.accounts.tokens import Access
from postroad.config.networks import Networks
from postroad.config.schema import Submission
from postroad.intake.transaction import MailTransaction, PlannedDelivery
from postroad.ports.clock import Clock
from postroad.ports.senders import SenderKey, SenderKind
from postroad.ports.store import Message

Tell = Callable[[SenderKey, str, bool], None]
"""Of a sender: what is the matter, and whether it is to be frozen."""


class Sending:
    """The step. One for a process."""

    def __init__(
        self, counts: SenderCounts, freezes: Freezes, settings: Submission, exempt: Sequence[str], clock: Clock
    ) -> None:
        self._counts = counts
        self._freezes = freezes
        self._clock = clock
        self._exempt = Networks(exempt)
        self._account = Allowed(settings.account_recipients_per_hour, settings.account_recipients_per_day)
        self._token = Allowed(settings.token_recipients_per_hour, settings.token_recipients_per_day)
        self._new_token = Allowed(self._token.hour, _less(self._token.day, settings.new_token_recipients_per_day))
        self._new_for = timedelta(days=settings.new_token_days)
        self._jumps = Jumps(
            settings.jump_recipients, settings.jump_factor, settings.jump_bounces, settings.jump_bounce_share
        )
        self.tell: Tell = lambda _key, _why, _freeze: None  # set by whoever acts on it

    def judge(self, mail: MailTransaction) -> None:
        """Before the commit: mark what is to be held, count the rest."""
        account, access = mail.account, mail.access
        if account is None and access is None and not self._freezes.any:
            return  # nearly all that comes in
        if self._freezes.any and (why := self._frozen(mail)):
            _mark([planned for planned in mail.planned.values() if planned.end is None], why)
            return
        remote = [planned for planned in mail.planned.values() if planned.end is None and not planned.target.is_local]
        if not remote:
            return  # what stays here is not counted
        if mail.origin.client in self._exempt:
            return
        if account is not None:
            tally = self._counts.accounts.get(account.id)
            if tally is None:
                tally = self._counts.of(SenderKey(SenderKind.ACCOUNT, account.id))
            self._limit(mail, tally, self._account, remote)
        elif access is not None:
            tally = self._counts.of(SenderKey(SenderKind.TOKEN, access.token.id))
            self._limit(mail, tally, self._of_token(access), remote)

    def _frozen(self, mail: MailTransaction) -> str:
        account = mail.account.id if mail.account is not None else None
        token = mail.access.token.id if mail.access is not None else None
        return self._freezes.reason(account, token, mail.server, mail.stream)

    def _of_token(self, access: Access) -> Allowed:
        """A token is new for a while."""
        is_new = self._clock.now() - access.token.created < self._new_for
        return self._new_token if is_new else self._token

    def _limit(self, mail: MailTransaction, tally: Tally, allowed: Allowed, remote: list[PlannedDelivery]) -> None:
        now = int((mail.received or self._clock.now()).timestamp())
        recipients = [planned.target.forward_path for planned in remote]
        spare = tally.spare(now, allowed)
        if spare is not None and spare < len(remote):
            tally.sent(now, recipients[:spare])
            key, why = self._hold(mail, remote[spare:], tally.exceeded(now, allowed))
            self._worth_telling(tally, key, why, now)
            return
        tally.sent(now, recipients)
        if why := tally.jump(now, self._jumps):
            key, why = self._hold(mail, remote, why)
            self.tell(key, why, True)

    def _hold(self, mail: MailTransaction, some: Sequence[PlannedDelivery], why: str) -> tuple[SenderKey, str]:
        """Mark them as held, for the account or token that sends them."""
        access = mail.access
        if mail.account is not None:
            key, name = SenderKey(SenderKind.ACCOUNT, mail.account.id), mail.account.address
        else:
            assert access is not None
            key = SenderKey(SenderKind.TOKEN, access.token.id)
            name = token_name(access.server.name if access.server else "", access.token)
        _mark(some, held_for(key.kind, name, why))
        return key, why

    def _worth_telling(self, tally: Tally, key: SenderKey, why: str, now: int) -> None:
        """Once a day for a sender."""
        if now - tally.told >= 86400:
            tally.told = now
            self.tell(key, why, False)

    def failed(self, message: Message) -> None:
        """A recipient of a message of ours has failed for good."""
        if message.origin.client in self._exempt:
            return
        if message.account is not None:
            key = SenderKey(SenderKind.ACCOUNT, message.account)
        elif message.token is not None:
            key = SenderKey(SenderKind.TOKEN, message.token)
        else:
            return
        tally, now = self._counts.of(key), self._counts.now()
        tally.failed(now)
        why = tally.jump(now, self._jumps)
        if why and not self._freezes.why(message):
            self.tell(key, why, True)


def _mark(some: Sequence[PlannedDelivery], why: str) -> None:
    for planned in some:
        planned.held = planned.held or why  # what a scanner holds is not let go with its sender


def _less(one: int, other: int) -> int:
    """The smaller of two limits, where 0 is none."""
    return min(one, other) if one and other else one or other
