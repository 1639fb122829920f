"""Log lines, JSON or readable text: taken on any thread, written by a thread of their own.

A logger never waits and never raises. Between it and stdout stands a bounded queue: when stdout stalls the queue fills,
further lines are counted and dropped, and mail goes on. Ids travel as fields: `connection`, `message`, `delivery`,
`attempt`, each carried from the step before, so that one search finds the whole way.

Before `start` (in tests, in commands that only read) lines go nowhere.
"""

from __future__ import annotations

import os
import select
import sys
import threading
import time
import traceback
from dataclasses import dataclass, field
from datetime import UTC, datetime
from queue import SimpleQueue
from typing import Any

import msgspec

from postroad.ports.ids import id_text

DEBUG, INFO, WARNING, ERROR = 10, 20, 30, 40
LEVELS = {"debug": DEBUG, "info": INFO, "warning": WARNING, "error": ERROR}
_LEVEL_NAMES = {value: name for name, value in LEVELS.items()}
_PADDED = {value: f"{name:7}" for name, value in LEVELS.items()}

MAX_QUEUED = 4096  # lines; about 4 MiB when stdout stalls
MAX_TEXT = 1000  # characters of one value
BATCH = 1024  # lines written at once
GATHER = 0.02  # seconds: to wake a thread for every line would cost the loop more than the line

_ID_FIELDS = frozenset({"message", "delivery", "attempt", "report", "account"})
_SECRET_FIELDS = frozenset({"password", "secret", "token", "authorization", "credentials", "key", "body", "content"})
_UNUSUAL_FIELDS = _SECRET_FIELDS | {"traceback"}
_LEFT_OUT = "[left out]"


class _Record(msgspec.Struct, gc=False):
    at: float
    level: int
    part: str
    event: str
    fields: dict[str, Any]


@dataclass(slots=True)
class LogWriter:
    """The queue, the thread that empties it, and what was dropped."""

    fd: int
    json: bool
    level: int = INFO
    dropped: int = 0
    _queue: SimpleQueue[_Record | str | None] = field(default_factory=SimpleQueue)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="postroad-log", daemon=True)
        self._thread.start()

    @property
    def thread(self) -> int | None:
        return self._thread.native_id if self._thread else None

    def put(self, item: _Record | str) -> None:
        """Queue one line, or count it as dropped."""
        if self._queue.qsize() >= MAX_QUEUED:
            self.dropped += 1
        else:
            self._queue.put(item)

    def stop(self, patience: float = 2.0) -> None:
        """Write what is queued, unless stdout stalls for longer than `patience` seconds."""
        self._queue.put(None)
        if self._thread:
            self._thread.join(patience)

    def _run(self) -> None:
        render = _as_json if self.json else _as_text
        while (item := self._queue.get()) is not None:
            time.sleep(GATHER)
            lines = [_line(item, render)]
            while len(lines) < BATCH and not self._queue.empty():
                item = self._queue.get()
                if item is None:
                    self._write(b"".join(lines))
                    return
                lines.append(_line(item, render))
            self._write(b"".join(lines))

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self.fd, view) :]
            except BlockingIOError:  # a pipe that somebody made non-blocking
                select.select([], [self.fd], [], 1.0)
            except OSError:  # nobody reads any more: go on without
                self.dropped += data.count(b"\n")
                return


_writer: LogWriter | None = None


def start(*, format: str, level: str, fd: int | None = None) -> LogWriter:  # noqa: A002 - the setting's name
    """Begin to write lines (to stdout, unless told otherwise). The caller calls `stop`."""
    global _writer
    sys.stdout.flush()
    _writer = LogWriter(fd=sys.stdout.fileno() if fd is None else fd, json=format == "json", level=LEVELS[level])
    _writer.start()
    return _writer


def stop() -> None:
    """Write what is queued and end the thread."""
    global _writer
    if _writer:
        _writer.stop()
    _writer = None


def set_level(level: str) -> None:
    """SIGHUP: `[log] level` has changed."""
    if _writer:
        _writer.level = LEVELS[level]


def thread() -> int | None:
    """The writing thread, as the system numbers it."""
    return _writer.thread if _writer else None


def dropped() -> int:
    """Lines that were never written."""
    return _writer.dropped if _writer else 0


def say(line: str) -> None:
    """One plain line among the log lines: `listening mx 127.0.0.1:25`, `ready`."""
    if _writer:
        _writer.put(line)
    else:
        print(line, flush=True)


class Logger:
    """Writes events of one part of the server, with fields bound to it. Cheap to make, cheap to call when off."""

    __slots__ = ("_fields", "_part")

    def __init__(self, part: str, fields: dict[str, Any] | None = None) -> None:
        self._part = part
        self._fields = fields or {}

    def bind(self, **fields: Any) -> Logger:
        """The same logger with more fields: `log.bind(connection=...)`."""
        return Logger(self._part, {**self._fields, **fields})

    def debug(self, event: str, **fields: Any) -> None:
        self._emit(DEBUG, event, fields)

    def info(self, event: str, **fields: Any) -> None:
        self._emit(INFO, event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        self._emit(WARNING, event, fields)

    def error(self, event: str, **fields: Any) -> None:
        self._emit(ERROR, event, fields)

    def exception(self, event: str, error: BaseException, **fields: Any) -> None:
        """A bug of ours: the event with the whole traceback."""
        fields["error"] = repr(error)
        fields["traceback"] = "".join(traceback.format_exception(error))[-8000:]
        self._emit(ERROR, event, fields)

    def _emit(self, level: int, event: str, fields: dict[str, Any]) -> None:
        writer = _writer
        if writer is None or level < writer.level:
            return
        if self._fields:
            fields = {**self._fields, **fields}
        writer.put(_Record(time.time(), level, self._part, event, fields))


def get(part: str) -> Logger:
    """The logger of one part of the server: `log.get("smtp")`."""
    return Logger(part)


def _line(item: _Record | str, render: Any) -> bytes:
    try:
        text: bytes = item.encode() if isinstance(item, str) else render(item)
    except Exception as error:  # a field that cannot be rendered must not end the thread
        text = f"a log line could not be rendered: {error!r}".encode()
    return text + b"\n"


def _as_json(record: _Record) -> bytes:
    line = {
        "at": _time_text(record.at),
        "level": _LEVEL_NAMES[record.level],
        "part": record.part,
        "event": record.event,
    }
    for name, value in record.fields.items():
        line[name] = _plain(name, value)
    return msgspec.json.encode(line)


def _as_text(record: _Record) -> bytes:
    words = [_time_text(record.at), _PADDED[record.level], f"{record.part}:", record.event]
    trace = ""
    for name, value in record.fields.items():
        kind = type(value)
        if kind is int and name not in _UNUSUAL_FIELDS:
            words.append(f"{name}={id_text(value) if name in _ID_FIELDS else value}")
            continue
        if kind is str and len(value) <= MAX_TEXT and value.isprintable() and name not in _UNUSUAL_FIELDS:
            text = value if '"' not in value else value.replace('"', "'")
        elif name == "traceback":
            trace = "\n" + str(value).rstrip()
            continue
        else:
            text = _one_line(str(_plain(name, value)))
        words.append(f'{name}="{text}"' if " " in text or not text else f"{name}={text}")
    return (" ".join(words) + trace).encode("utf-8", "backslashreplace")


def _plain(name: str, value: Any) -> Any:
    """What may stand in a line: ids as people see them, no secrets, no bodies, nothing long."""
    if name in _SECRET_FIELDS:
        return _LEFT_OUT
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return id_text(value) if name in _ID_FIELDS else value
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} octets>"
    if isinstance(value, list | tuple):
        return [_plain("", part) for part in value[:20]]
    text = str(value)
    return text if len(text) <= MAX_TEXT or name == "traceback" else text[:MAX_TEXT] + "…"


def _one_line(text: str) -> str:
    """What a peer sends must not begin a line of its own or colour a terminal."""
    if text.isprintable():
        return text.replace('"', "'")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text).replace('"', "'")


_second: tuple[int, str] = (0, "")  # the last second written out; the writer's thread alone uses it


def _time_text(at: float) -> str:
    global _second
    second = int(at)
    if second != _second[0]:
        _second = second, datetime.fromtimestamp(second, UTC).isoformat().removesuffix("+00:00")
    return f"{_second[1]}.{int((at - second) * 1000):03d}Z"
