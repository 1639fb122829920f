"""Wake-ups inside one process."""

from __future__ import annotations

from collections.abc import Callable


class LocalSignals:
    """Implements ports.signals.Signals: a table of listeners by topic."""

    __slots__ = ("_listeners",)

    def __init__(self) -> None:
        self._listeners: dict[str, list[Callable[[], None]]] = {}

    def publish(self, topic: str) -> None:
        listeners = self._listeners.get(topic)
        if listeners:
            for listener in tuple(listeners):  # one may leave while it is called
                listener()

    def listen(self, topic: str, listener: Callable[[], None]) -> Callable[[], None]:
        self._listeners.setdefault(topic, []).append(listener)

        def leave() -> None:
            listeners = self._listeners.get(topic, [])
            if listener in listeners:
                listeners.remove(listener)
            if not listeners:
                self._listeners.pop(topic, None)

        return leave
