"""When what was put off is tried again: by the stream's curve, by why it was put off, and by what was learned of the
destination. `results` asks; nothing here is on the way of mail that is taken.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from postroad.mail.status import Status
from postroad.ports.store import Delivery, Message
from postroad.queue.groups import Group, Groups
from postroad.queue.heard import Heard, hear, hint_of
from postroad.queue.schedule import Schedule, Schedules

AT_ONCE = 0.5  # seconds until another way is tried
MARGIN = 5.0  # seconds at most, behind what a greylist is known to want

OtherWay = Callable[[Message, Delivery, str], bool]


class Advice:
    """One for a process. `other_way` is routing.rules.Router.other_way."""

    def __init__(self, schedules: Schedules, groups: Groups, other_way: OtherWay | None = None) -> None:
        self._schedules = schedules
        self._groups = groups
        self._other_way = other_way

    def schedule(self, message: Message) -> Schedule:
        return self._schedules.of(message.stream)

    def wait(self, message: Message, delivery: Delivery, verdict: Status, dest: str, now: datetime) -> float:
        """Seconds until the next try, without spread."""
        if self._other_way is not None and self._other_way(message, delivery, dest):
            return AT_ONCE
        heard = hear(verdict)
        usual = self._schedules.of(message.stream).wait_after(delivery.tries, heard)
        if heard is Heard.GREYLISTED:
            return self._greylisted(message, verdict, self._groups.find(dest), now, usual)
        if heard is Heard.THROTTLED and (hint := hint_of(verdict)):
            return max(hint, usual)
        return usual

    def _greylisted(self, message: Message, verdict: Status, group: Group | None, now: datetime, usual: float) -> float:
        """When the window opens: as the reply says, or as it was before."""
        if hint := hint_of(verdict):
            return hint + min(MARGIN, hint)
        if group is None or not group.grey.open:
            return usual
        left = group.grey.open - (now - message.began).total_seconds()
        return left + MARGIN if left > 0 else usual
