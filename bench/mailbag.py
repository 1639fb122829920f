"""A database full of believable mail: rows as acceptance and delivery would have written them, in bulk.

People, domains and subjects are as uneven as in life; most mail is delivered at once, some after a wait, some never.
The same seed gives the same mail.
"""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import msgspec

from postroad.adapters.blobs.segments import SegmentBlobs
from postroad.adapters.ids import NodeIds
from postroad.ports.blobs import BlobPlace, BlobRecord
from postroad.ports.ids import BlobId, id_text


def words(text: str) -> list[str]:
    return text.split()


DAYS = 44  # kept for 45
CHUNK = 5_000  # messages in one transaction
CONTENTS = 200  # different ones
OURS = ("example.com", "example.net", "example.org")
DOMAINS = [f"{name}{number}.test" for number in range(160) for name in ("mail", "post", "shop", "works", "home")]
FIRST = words(
    "alice bob carol dave erin frank grace heidi ivan judy kim lena mallory nina oscar peggy quentin rupert sybil trent"
    " ursula victor wendy xavier yvonne zoe anna bruno clara dora emil flora gustav hanna igor jana karl lotte max nora"
)
LAST = words(
    "adams baker clark davis evans foster green harris ingram jones keller lopez martin novak olsen parker quinn reyes"
    " smith taylor underwood vance walker xiong young zimmer"
)
THINGS = words(
    "invoice order receipt booking ticket report statement contract offer reminder parcel shipment subscription account"
    " password invitation newsletter agenda minutes proposal payment refund delivery appointment survey update release"
    " draft photo recipe itinerary warranty certificate timetable budget forecast audit schedule"
)
SHAPES = (
    "Your {thing} {number}", "Re: {thing} for {place}", "{place}: {thing} of {month}", "Reset your password",
    "Fwd: {thing} {number}", "{month} {thing} from {place}", "Welcome to {place}", "Meeting about the {thing}",
    "Confirm your {thing}", "{thing} {number} is on its way",
)  # fmt: skip
PLACES = [
    f"{first} {last}"
    for first in words("Blue North River Stone Maple Harbour Summit Willow Copper")
    for last in words("Press Bakery Software Travel Garden Studio Clinic Energy Books")
]
MONTHS = words("January February March April May June July August September October November December")
TAGS = ("", "", "receipt", "reset", "welcome", "digest", "alert", "invite")
STREAMS = ((None, ""), (None, ""), (1, "outbound"), (1, "broadcast"), (2, "outbound"), (3, "outbound"))
GOOD = "2.0.0 Ok: queued as {queue_id}"
LATER = ((451, "4.7.1 Greylisted, please try again in {n} minutes"), (421, "4.7.0 Too many messages, slow down"),
         (452, "4.2.2 Mailbox is full, try later"), (450, "4.1.8 Sender address could not be verified"))  # fmt: skip
NEVER = (
    (550, "5.1.1 <{to}>: Recipient address rejected: User unknown"),
    (552, "5.2.2 Mailbox is over its quota"),
    (554, "5.7.1 Message refused by content policy {n}"),
    (550, "5.7.26 Unauthenticated mail is not accepted"),
)
DIALOGUE = """< 220 {host} ESMTP
> EHLO mx.bench.test
< 250-{host} greets mx.bench.test
< 250-PIPELINING
< 250-SIZE 52428800
< 250-STARTTLS
< 250 8BITMIME
> MAIL FROM:<{sender}> SIZE={size}
> RCPT TO:<{to}>
> DATA
< 250 2.1.0 Ok
< 250 2.1.5 Ok
< 354 End data with <CR><LF>.<CR><LF>
> ({size} octets)
< {reply}
"""
_US = 1_000_000


@dataclass(slots=True)
class _Rows:
    """Of one chunk, by table."""

    blob: list[tuple[object, ...]] = field(default_factory=list)
    message: list[tuple[object, ...]] = field(default_factory=list)
    delivery: list[tuple[object, ...]] = field(default_factory=list)
    event: list[tuple[object, ...]] = field(default_factory=list)
    attempt: list[tuple[object, ...]] = field(default_factory=list)
    delivery_attempt: list[tuple[object, ...]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Fate:
    """What became of one recipient: its state, and each reply with how long after acceptance it came."""

    state: str
    replies: tuple[tuple[float, int, str], ...]


class Mailbag:
    """Writes `count` messages that end at `until` (seconds) into the database of `data`."""

    def __init__(self, data: Path, count: int, until: float | None = None, seed: int = 1) -> None:
        self._data = data
        self._count = count
        self._until = until or time.time()
        self._random = random.Random(seed)
        self._now = 0  # milliseconds
        self._ids = NodeIds(1, lambda: self._now)
        self._json = msgspec.json.Encoder()
        self._dests: dict[str, int] = {}
        self._people = [self._person(domain) for domain in DOMAINS for _ in range(60)]
        self._staff = [self._person(domain) for domain in OURS for _ in range(200)]

    def _person(self, domain: str) -> str:
        choose = self._random
        return f"{choose.choice(FIRST)}.{choose.choice(LAST)}{choose.randrange(100) or ''}@{domain}"

    def fill(self) -> None:
        """In order of time."""
        with closing(sqlite3.connect(self._data / "postroad.db", isolation_level=None)) as rows:
            rows.execute("PRAGMA synchronous = OFF")
            rows.execute("PRAGMA cache_size = -200000")
            places = self._contents(rows)
            self._dests = {"local": self._dest(rows, "local")}
            for domain in DOMAINS:
                self._dests[domain] = self._dest(rows, f"mx:{domain}")
            moments = self._moments()
            while some := list(islice(moments, CHUNK)):
                self._write(rows, self._chunk(some, places))
            rows.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _moments(self) -> Iterator[float]:
        start, span = self._until - DAYS * 86400, DAYS * 86400
        return (start + span * number / self._count for number in range(self._count))

    def _contents(self, rows: sqlite3.Connection) -> list[tuple[int, BlobPlace]]:
        """Some real content, which all messages share."""
        blobs = SegmentBlobs(self._data, fill_ahead=0)
        blobs.prepare()
        self._now = int((self._until - DAYS * 86400) * 1000)
        found = []
        for number in range(CONTENTS):
            text = f"How are you? This is message {number}.\r\n" * (10 + number)
            content = (
                f"From: Alice <alice@example.com>\r\nTo: bob@example.net\r\nSubject: Your order {number}\r\n"
                f"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{text}"
            ).encode()
            (place,) = blobs.append_group([BlobRecord(BlobId(self._ids.new()), b"", content)])
            found.append((len(content), place))
        blobs.close()
        segments = {}
        for _, place in found:
            rows.execute("INSERT OR IGNORE INTO segment (name) VALUES (?)", (place.segment,))
            segments[place.segment] = rows.execute(
                "SELECT id FROM segment WHERE name = ?", (place.segment,)
            ).fetchone()[0]
        self._segments: dict[str, int] = segments
        return found

    def _dest(self, rows: sqlite3.Connection, name: str) -> int:
        rows.execute("INSERT OR IGNORE INTO dest (name) VALUES (?)", (name,))
        return int(rows.execute("SELECT id FROM dest WHERE name = ?", (name,)).fetchone()[0])

    def _write(self, database: sqlite3.Connection, rows: _Rows) -> None:
        database.execute("BEGIN")
        for table, columns in _COLUMNS.items():
            values = getattr(rows, table)
            marks = ", ".join("?" * len(columns.split(", ")))
            database.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks})", values)
        database.execute("COMMIT")

    def _chunk(self, moments: list[float], places: list[tuple[int, BlobPlace]]) -> _Rows:
        rows = _Rows()
        for at in moments:
            self._now = max(self._now, int(at * 1000))
            self._message(rows, at, *self._random.choice(places))
        return rows

    def _message(self, rows: _Rows, at: float, size: int, place: BlobPlace) -> None:
        choose = self._random
        number, created = self._ids.new(), int(at * _US)
        outward = choose.random() < 0.7
        sender = choose.choice(self._staff) if outward else self._stranger()
        server, stream = choose.choice(STREAMS) if outward else (None, "")
        to = [self._stranger() if outward else choose.choice(self._staff) for _ in range(_few(choose))]
        shape = choose.choice(SHAPES)
        subject = shape.format(thing=choose.choice(THINGS), number=choose.randrange(10_000, 99_999),
                               place=choose.choice(PLACES), month=choose.choice(MONTHS))  # fmt: skip
        name = " ".join(part.capitalize() for part in sender.split("@")[0].split("."))
        origin = {"service": "submission" if outward else "mx", "connection": id_text(number),
                  "client": f"192.0.2.{choose.randrange(250)}", "client_port": choose.randrange(1024, 65535),
                  "helo": "client.test", "account": sender if outward else "", "esmtp": True, "tls": None}  # fmt: skip
        rows.blob.append((number, self._segments[place.segment], place.offset, place.length))
        rows.message.append((
            number, created, self._text(origin), sender, size, 0, number, 200, subject, f"{name} <{sender}>",
            f"<{number:x}.{choose.randrange(1 << 40):x}@{sender.split('@')[1]}>", "8BITMIME", None, None, server,
            stream, choose.choice(TAGS) if server else "", "",
        ))  # fmt: skip
        self._event(rows, "received", created, number, None, client=origin["client"], helo="client.test",
                    protocol="ESMTPS", size=size, recipients=len(to))  # fmt: skip
        for address in dict.fromkeys(to):
            self._recipient(rows, number, created, address, outward=outward, sender=sender, size=size)

    def _recipient(
        self, rows: _Rows, message: int, created: int, to: str, *, outward: bool, sender: str, size: int
    ) -> None:
        number, domain = self._ids.new(), to.split("@")[1]
        if not outward:
            rows.delivery.append((number, message, self._dests["local"], to, "", "delivered", None, 0, None,
                                  self._text([250, "2.0.0", "delivered to the mailbox", "", "", ""]), None, 0, "",
                                  created, ""))  # fmt: skip
            self._event(rows, "delivered", created, message, number, mailbox="INBOX")
            return
        fate = self._fate(to)
        self._event(rows, "queued", created, message, number, dest=f"mx:{domain}")
        status: str | None = None
        ended = created
        for tries, (wait, code, text) in enumerate(fate.replies, 1):
            ended = created + int(wait * _US)
            status = self._attempt(rows, message, number, ended, f"mx1.{domain}", code, text, sender, to, size)
            kind = fate.state if tries == len(fate.replies) and fate.state != "queued" else "deferred"
            self._event(rows, kind, ended, message, number, reply=f"{code} {text}", host=f"mx1.{domain}")
        over = fate.state in ("delivered", "bounced", "expired")
        due = None if over else int((time.time() + 3600) * _US)
        rows.delivery.append((number, message, self._dests[domain], to, "", fate.state, due, len(fate.replies),
                              created + 5 * 86400 * _US, status, None, 0, "", ended if over else None,
                              ""))  # fmt: skip

    def _attempt(self, rows: _Rows, message: int, delivery: int, ended: int, host: str, code: int, text: str,
                 sender: str, to: str, size: int) -> str:  # fmt: skip
        number = self._ids.new()
        enhanced, _, words = text.partition(" ")
        status = self._text([code, enhanced, words, "", host, ""])
        dialogue = DIALOGUE.format(host=host, sender=sender, to=to, size=size, reply=f"{code} {text}")
        timings = {"connect": 0.021, "tls": 0.034, "ehlo": 0.011, "mail": 0.012, "rcpt": 0.011, "data": 0.05}
        rows.attempt.append((number, message, ended - 150_000, ended, host, "198.51.100.7:25",
                             "TLSv1.3 TLS_AES_256_GCM_SHA384", self._text(timings), dialogue))  # fmt: skip
        rows.delivery_attempt.append((delivery, number, status))
        return status

    def _fate(self, to: str) -> _Fate:
        choose = self._random
        drawn = choose.random()
        good = (0.4, 250, GOOD.format(queue_id=f"{choose.randrange(1 << 44):011X}"))
        later = [(wait, *self._words(LATER, to)) for wait in (0.4, 300.0, 1200.0)]
        if drawn < 0.93:
            return _Fate("delivered", (good,))
        if drawn < 0.97:
            return _Fate("delivered", (later[0], (320.0, *good[1:])))
        if drawn < 0.992:
            return _Fate("bounced", ((0.4, *self._words(NEVER, to)),))
        if drawn < 0.997:
            return _Fate("expired", tuple(later))
        return _Fate("queued", tuple(later)) if drawn < 0.999 else _Fate("held", ())

    def _words(self, replies: tuple[tuple[int, str], ...], to: str) -> tuple[int, str]:
        code, text = self._random.choice(replies)
        return code, text.format(to=to, n=self._random.randrange(1, 30))

    def _stranger(self) -> str:
        """A few domains get most of the mail."""
        return self._people[int(len(self._people) * self._random.random() ** 3)]

    def _event(self, rows: _Rows, kind: str, at: int, message: int, delivery: int | None, **detail: object) -> None:
        rows.event.append((self._ids.new(), at, kind, message, delivery, self._text(detail)))

    def _text(self, value: object) -> str:
        return self._json.encode(value).decode()


def _few(choose: random.Random) -> int:
    drawn = choose.random()
    return 1 if drawn < 0.88 else 2 if drawn < 0.97 else choose.randrange(3, 9)


_COLUMNS = {
    "blob": "id, segment, start, length",
    "message": "id, created, origin, reverse_path, size, flags, blob, header_size, subject, header_from, message_id,"
    " body_type, account, bounce_of, server, stream, tag, metadata",
    "delivery": "id, message, dest, forward_path, orig, state, due, tries, expires, last_status, owner, epoch, wish,"
    " finished, held_for",
    "event": "id, at, kind, message, delivery, detail",
    "attempt": "id, message, started, ended, host, address, tls, timings, dialogue",
    "delivery_attempt": "delivery, attempt, status",
}
