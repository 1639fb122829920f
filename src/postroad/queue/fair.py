"""Requests of one destination that wait: senders take turns, so that a bulk mailing never stands before a password
reset. Higher priorities go first (RFC 6710 §5); within one sender and priority, the order of arrival.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from postroad.delivery.agent import AttemptRequest

Key = tuple[int | None, int | None, str]


def sender_of(request: AttemptRequest) -> Key:
    """Who takes a turn: a stream of a project, or an account; what nobody submitted (reports, forwards) is one too."""
    message = request.message
    return message.server, message.account, message.stream


def priority_of(request: AttemptRequest) -> int:
    terms = request.message.terms
    return terms.priority if terms is not None else 0


class _Turns:
    """One priority's requests: a line for each sender, and whose turn it is."""

    __slots__ = ("lines", "turns")

    def __init__(self) -> None:
        self.lines: dict[Key, deque[AttemptRequest]] = {}
        self.turns: deque[Key] = deque()

    def line(self, key: Key) -> deque[AttemptRequest]:
        line = self.lines.get(key)
        if line is None:
            line = self.lines[key] = deque()
            self.turns.append(key)
        return line

    def popleft(self) -> AttemptRequest:
        key = self.turns[0]
        line = self.lines[key]
        request = line.popleft()
        if not line:
            del self.lines[key]
            self.turns.popleft()
        elif len(self.turns) > 1:
            self.turns.rotate(-1)
        return request

    def put_first(self, request: AttemptRequest) -> None:
        """It was next already, and is again."""
        key = sender_of(request)
        self.line(key).appendleft(request)
        if self.turns[0] != key:
            self.turns.remove(key)
            self.turns.appendleft(key)

    def remove(self, request: AttemptRequest) -> None:
        key = sender_of(request)
        self.lines[key].remove(request)
        if not self.lines[key]:
            del self.lines[key]
            self.turns.remove(key)

    def __iter__(self) -> Iterator[AttemptRequest]:
        """Turn by turn, as they would go."""
        lines = [iter(self.lines[key]) for key in self.turns]
        while lines:
            left = []
            for line in lines:
                if (request := next(line, None)) is not None:
                    yield request
                    left.append(line)
            lines = left


class _Many:
    """Requests of several senders, or of several ranks."""

    __slots__ = ("_count", "_plain", "_ranked")

    def __init__(self) -> None:
        self._plain = _Turns()
        self._ranked: dict[int, _Turns] = {}  # by priority, where it is not 0; as a rule none
        self._count = 0

    def append(self, request: AttemptRequest) -> None:
        self._level(request).line(sender_of(request)).append(request)
        self._count += 1

    def appendleft(self, request: AttemptRequest) -> None:
        self._level(request).put_first(request)
        self._count += 1

    def popleft(self) -> AttemptRequest:
        level = self._first()
        self._count -= 1
        request = level.popleft()
        if self._ranked and not level.turns and level is not self._plain:
            self._forget_empty()
        return request

    def remove(self, request: AttemptRequest) -> None:
        self._level(request).remove(request)
        self._count -= 1
        self._forget_empty()

    def _forget_empty(self) -> None:
        self._ranked = {priority: one for priority, one in self._ranked.items() if one.turns}

    def clear(self) -> None:
        self._plain, self._ranked, self._count = _Turns(), {}, 0

    def __getitem__(self, at: int) -> AttemptRequest:
        assert at == 0, "only the first is looked at"
        level = self._first()
        return level.lines[level.turns[0]][0]

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[AttemptRequest]:
        if not self._ranked:
            yield from self._plain
            return
        levels = {0: self._plain} | self._ranked
        for priority in sorted(levels, reverse=True):
            yield from levels[priority]

    def __contains__(self, request: AttemptRequest) -> bool:
        level = self._plain if not (rank := priority_of(request)) else self._ranked.get(rank)
        return level is not None and request in level.lines.get(sender_of(request), ())

    def _level(self, request: AttemptRequest) -> _Turns:
        rank = priority_of(request)
        return self._plain if not rank else self._ranked.setdefault(rank, _Turns())

    def _first(self) -> _Turns:
        if not self._ranked:
            return self._plain
        best = max(self._ranked)
        if best < 0 and self._plain.turns:
            return self._plain
        return self._ranked[best]


class Ready:
    """A queue with turns. It behaves as a deque does, as far as lanes need it; and it is one, while all that waits is
    one sender's and of no rank."""

    __slots__ = ("_key", "_many", "_one")

    def __init__(self) -> None:
        self._one: deque[AttemptRequest] = deque()
        self._key: Key = (None, None, "")  # whose these are
        self._many: _Many | None = None

    def append(self, request: AttemptRequest) -> None:
        if self._many is None and not self._fits(request):
            self._part()
        (self._one if self._many is None else self._many).append(request)

    def appendleft(self, request: AttemptRequest) -> None:
        if self._many is None and not self._fits(request):
            self._part()
        (self._one if self._many is None else self._many).appendleft(request)

    def popleft(self) -> AttemptRequest:
        if self._many is None:
            return self._one.popleft()
        request = self._many.popleft()
        self._join()
        return request

    def remove(self, request: AttemptRequest) -> None:
        if self._many is None:
            self._one.remove(request)
        else:
            self._many.remove(request)
            self._join()

    def clear(self) -> None:
        self._one.clear()
        self._many = None

    def __getitem__(self, at: int) -> AttemptRequest:
        return self._one[at] if self._many is None else self._many[at]

    def __len__(self) -> int:
        return len(self._one) if self._many is None else len(self._many)

    def __iter__(self) -> Iterator[AttemptRequest]:
        return iter(self._one if self._many is None else self._many)

    def __contains__(self, request: AttemptRequest) -> bool:
        return request in self._one if self._many is None else request in self._many

    def _fits(self, request: AttemptRequest) -> bool:
        message = request.message
        if message.terms is not None and message.terms.priority:
            return False
        key = (message.server, message.account, message.stream)
        if not self._one:
            self._key = key
        return key == self._key

    def _part(self) -> None:
        self._many = _Many()
        for request in self._one:
            self._many.append(request)
        self._one.clear()

    def _join(self) -> None:
        if not self._many:
            self._many = None
