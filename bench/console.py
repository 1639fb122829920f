"""The console over much mail: its pages and searches with a million messages stored, and what ten live views cost.

The mail is made in bulk (see mailbag.py); then the server indexes and counts it by itself, which is measured too. The
pages are asked for one after another, as a browser does, by an administrator who has signed in.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import re
import sqlite3
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote, urlencode

from bench.compare import send
from bench.harness import Unable, machine, require_root_and, say
from bench.mailbag import DOMAINS, FIRST, LAST, MONTHS, THINGS, Mailbag
from bench.ours import Postroad
from postroad.ports.ids import id_text

MARK = 100.0  # milliseconds for 95 of 100 requests
WATCHERS, WATCH_MARK = 10, 2.0  # per cent of the mail path's CPU
ADMIN = "alice@bench.test"
_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')
_NEWEST, _SAMPLE = 5_000, 2_000


class Browser:
    """One kept connection, signed in."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._link = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.cookies: dict[str, str] = {}

    def ask(self, method: str, path: str, fields: dict[str, str] | None = None) -> tuple[int, str]:
        """Status and text of the answer."""
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        if fields is not None:
            headers |= {"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}
        self._link.request(method, path, urlencode(fields) if fields else None, headers)
        response = self._link.getresponse()
        for line in response.headers.get_all("set-cookie", []):
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
        return response.status, response.read().decode()

    def page(self, path: str) -> str:
        status, text = self.ask("GET", f"/console/{path}")
        if status != 200:
            raise Unable(f"/console/{path} was answered {status}")
        return text

    def sign_in(self, link: str) -> None:
        """By a link, as printed by `postroad admin link`."""
        secret = link.partition("?")[2]
        _, text = self.ask("GET", f"/console/enter?{secret}")
        found = _TOKEN.search(text)
        if found is None:
            raise Unable("the console did not show how to sign in")
        status, _ = self.ask("POST", "/console/enter", {"csrf_token": found[1], "secret": secret})
        if status != 303:
            raise Unable(f"signing in was answered {status}")


# --- pages ------------------------------------------------------------------------------------------------------------


def samples(database: Path) -> list[tuple[int, str, str]]:
    """(id, sender, Message-ID) of some of the newest messages, and of some from all times."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as rows:
        columns = "SELECT id, reverse_path, message_id FROM message"
        newest = rows.execute(f"{columns} ORDER BY id DESC LIMIT ?", (_NEWEST,)).fetchall()
        (low,), (high,) = rows.execute("SELECT MIN(id) FROM message UNION ALL SELECT MAX(id) FROM message").fetchall()
        spread = [
            rows.execute(f"{columns} WHERE id >= ? LIMIT 1", (low + (high - low) * part // _SAMPLE,)).fetchone()
            for part in range(_SAMPLE)
        ]
    return [*newest, *spread]


def kinds(known: Sequence[tuple[int, str, str]], choose: random.Random) -> dict[str, Callable[[], str]]:
    """What is asked for, by name: each call gives another path."""

    def search(text: str) -> str:
        return f"messages?q={quote(text)}"

    def any_of() -> tuple[int, str, str]:
        return choose.choice(known)

    return {
        "messages": lambda: "messages",
        "one message": lambda: f"messages/{id_text(any_of()[0])}",
        "search by address": lambda: search(
            choose.choice(
                (
                    f"address:{any_of()[1]}",
                    f"to:{choose.choice(FIRST)}.{choose.choice(LAST)[:3]}",
                    f"from:@{choose.choice(DOMAINS)}",
                )
            )
        ),
        "search by subject words": lambda: search(
            choose.choice(
                (
                    f"subject:{choose.choice(THINGS)} subject:{choose.choice(MONTHS)}",
                    f"{choose.choice(THINGS)} {choose.randrange(10_000, 99_999)}",
                    choose.choice(THINGS)[: choose.randrange(1, 5)],
                )
            )
        ),
        "search by id": lambda: search(f"id:{choose.choice((id_text(any_of()[0]), any_of()[2]))}"),
        "search by state": lambda: search(
            f"state:{choose.choice(('bounced', 'expired', 'held', 'deferred', 'failed'))}"
            + choose.choice(("", f" to:{choose.choice(DOMAINS)}", f" {choose.choice(THINGS)}"))
        ),
        "search by reply text": lambda: search(
            choose.choice(('reply:"mailbox is full"', "reply:greylisted", f"reply:{choose.randrange(1 << 44):011X}"))
            + choose.choice(("", f" to:{choose.choice(FIRST)}"))
        ),
    }


def time_pages(browser: Browser, name: str, path_of: Callable[[], str], requests: int) -> None:
    for _ in range(20):  # warm
        browser.page(path_of())
    took: list[float] = []
    for _ in range(requests):
        path, begin = path_of(), time.perf_counter()
        browser.page(path)
        took.append((time.perf_counter() - begin) * 1000)
    took.sort()
    p50, p95, p99 = (took[int(len(took) * part)] for part in (0.5, 0.95, 0.99))
    verdict = "" if p95 < MARK else f"   MISSED: {MARK:.0f} ms"
    say(f"  {name:24} p50 {p50:6.1f}   p95 {p95:6.1f}   p99 {p99:6.1f}   slowest {took[-1]:6.1f} ms{verdict}")


# --- what follows the mail --------------------------------------------------------------------------------------------


def followed(server: Postroad, count: int) -> None:
    """Wait until all is indexed and counted, and say what that took."""
    begin, cpu = time.monotonic(), server.group.seconds()
    index = server.database.with_name("search.sqlite")
    while not (index.exists() and _is_indexed(index)):
        time.sleep(0.2)
    wall, cpu = time.monotonic() - begin, server.group.seconds() - cpu
    cpu, size = cpu / count * 1e6, index.stat().st_size / count
    say(f"  indexed and counted by itself in {wall:.0f} s: {cpu:.0f} us CPU and {size:.0f} octets a message")


def _is_indexed(index: Path) -> bool:
    with closing(sqlite3.connect(f"file:{index}?mode=ro", uri=True)) as rows:
        try:
            return bool(rows.execute("SELECT built >= target FROM progress").fetchone()[0])
        except (sqlite3.OperationalError, TypeError):
            return False


# --- live views -------------------------------------------------------------------------------------------------------


class Watcher(threading.Thread):
    """A browser with the overview open: reads what is sent, and throws it away."""

    def __init__(self, port: int, cookies: dict[str, str]) -> None:
        super().__init__(daemon=True)
        self._link = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._cookie = "; ".join(f"{name}={value}" for name, value in cookies.items())
        self.octets = 0

    def run(self) -> None:
        self._link.request("GET", "/console/overview/events", headers={"Cookie": self._cookie})
        response = self._link.getresponse()
        try:
            while piece := response.read1(65536):
                self.octets += len(piece)
        except (OSError, ValueError, http.client.HTTPException):
            return

    def stop(self) -> None:
        if self._link.sock:
            self._link.sock.shutdown(2)
        self.join(5)


@contextmanager
def watching(server: Postroad, browser: Browser) -> Iterator[list[Watcher]]:
    watchers = [Watcher(server.ports["http"], browser.cookies) for _ in range(WATCHERS)]
    for watcher in watchers:
        watcher.start()
    time.sleep(2)
    yield watchers
    for watcher in watchers:
        watcher.stop()


def watch_cost(server: Postroad, browser: Browser, chosen: argparse.Namespace) -> None:
    """The server's CPU a message, with nobody watching and with ten who watch, in turn."""
    alone: list[float] = []
    watched: list[float] = []
    for run in range(chosen.runs + 1):
        plain = _flow(server, chosen)
        with watching(server, browser) as watchers:
            seen = _flow(server, chosen)
        if run:  # the first one warms up
            alone.append(plain)
            watched.append(seen)
        octets = sum(watcher.octets for watcher in watchers) / len(watchers)
        say(f"  run {run}: {plain:6.1f} us a message alone, {seen:6.1f} watched; {octets:,.0f} octets to each watcher")
    more = statistics.median(seen / plain - 1 for seen, plain in zip(watched, alone, strict=True)) * 100
    verdict = "" if more < WATCH_MARK else f"   MISSED: {WATCH_MARK} %"
    say(f"  {WATCHERS} live views cost {more:+.1f} % of the mail path's CPU{verdict}")
    time.sleep(20)  # what follows the mail is done with it
    with watching(server, browser):
        cpu, begin = server.group.seconds(), time.monotonic()
        time.sleep(10)
        share = (server.group.seconds() - cpu) / (time.monotonic() - begin) * 100
    say(f"  and {share:.2f} % of a core while nothing happens")


def _flow(server: Postroad, chosen: argparse.Namespace) -> float:
    """CPU of one message, in microseconds."""
    cpu = server.group.seconds()
    send(server.port, messages=chosen.flow, size=1024, sessions=20, many=True, to="bob@bench.test")
    time.sleep(0.3)
    return (server.group.seconds() - cpu) / chosen.flow * 1e6


# --- all of it --------------------------------------------------------------------------------------------------------


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="bench console", description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--requests", type=int, default=1_000)
    parser.add_argument("--flow", type=int, default=10_000, help="messages sent in one run while somebody watches")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", choices=("pages", "watch"))
    chosen = parser.parse_args(arguments)
    require_root_and("smtp-source")
    say(machine())
    with tempfile.TemporaryDirectory(dir="/var/tmp") as temporary:
        _measure(Path(temporary), chosen)


def _measure(folder: Path, chosen: argparse.Namespace) -> None:
    server = Postroad(folder, services=("mx", "http"))
    server.command("domain", "add", "bench.test")
    server.command("account", "add", "bob@bench.test", "--password-stdin", text="correct horse battery\n")
    server.command("admin", "add", ADMIN, "--password-stdin", text="correct horse battery staple\n")
    begin = time.monotonic()
    Mailbag(folder / "data", chosen.messages).fill()
    say(f"{chosen.messages:,} messages written in bulk in {time.monotonic() - begin:.0f} s:"
        f" {server.database.stat().st_size / 2**20:,.0f} MiB")  # fmt: skip
    server.start()
    try:
        followed(server, chosen.messages)
        browser = Browser(server.ports["http"])
        browser.sign_in(json.loads(server.command("admin", "link", ADMIN, "--json"))["url"])
        if chosen.only != "watch":
            known, choose = samples(server.database), random.Random(1)
            for name, path_of in kinds(known, choose).items():
                time_pages(browser, name, path_of, chosen.requests)
        if chosen.only != "pages":
            watch_cost(server, browser, chosen)
    finally:
        server.stop()
