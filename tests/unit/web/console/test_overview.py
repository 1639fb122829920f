"""The overview: its first words, its figures, and what is sent as they change."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request

from postroad.app.certificates import seconds_left
from postroad.intake.checks.zones import Zone
from postroad.ports.figures import Trouble
from postroad.ports.store import DomainKind
from postroad.reports.dnscheck import CheckedRecord, Standing, WantedRecord
from postroad.reports.live import Overview
from postroad.reports.statistics import Series, Span, StatKind
from postroad.testing.console import Console
from postroad.testing.network import write_certificate
from postroad.web.console import charts, overview
from postroad.web.console.overview import Certificate, Disk, DnsGlance, DnsWatch, judged
from postroad.web.console.pulse import BEAT, PARTS, Pulse
from postroad.web.console.verdict import verdict

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
STEPS = {Span.HOUR: 60, Span.DAY: 96, Span.MONTH: 120}


def series(span: Span, **totals: int) -> Series:
    counts = {kind: [0] * (STEPS[span] - 1) + [totals.get(kind.name.lower(), 0)] for kind in StatKind}
    return Series(NOW - timedelta(hours=1), timedelta(minutes=1), counts)


def seen(*troubles: Trouble, queued: int = 0, month: int = 0, **hour: int) -> Overview:
    pictures = {span: series(span, **hour) for span in Span}
    if month:
        pictures[Span.MONTH] = series(Span.MONTH, delivered=month)
    return Overview(NOW, pictures, queued, None, troubles, ())


def trouble(name: str, age: timedelta = timedelta(hours=1)) -> Trouble:
    return Trouble(f"mx:{name}", 3, NOW - age, None, "451 4.7.1 not now")


class TestVerdict:
    def test_mail_flows(self) -> None:
        found = verdict(seen(queued=2, **{"in": 5}, delivered=1234))
        assert (found.kind, found.title) == ("good", "Mail is flowing")
        assert found.text == "1,234 recipients reached in the last hour. 2 recipients wait."

    def test_what_is_deferred_for_a_short_while_is_nothing_to_speak_of(self) -> None:
        assert verdict(seen(trouble("far.test", timedelta(minutes=5)), delivered=1)).kind == "good"

    def test_some_destinations_are_in_trouble(self) -> None:
        found = verdict(seen(trouble("far.test"), delivered=1))
        assert found.kind == "warn"
        assert found.text.startswith("far.test takes no mail now.")
        many = verdict(seen(*(trouble(f"h{number}.test") for number in range(5)), delivered=1))
        assert "h0.test, h1.test, h2.test and 2 more" in many.text

    def test_nothing_gets_through(self) -> None:
        found = verdict(seen(trouble("far.test"), queued=3))
        assert (found.kind, found.href) == ("bad", "/console/queue")

    @pytest.mark.parametrize(("bounced", "kind"), [(5, "good"), (6, "warn")])
    def test_more_bounces_than_should(self, bounced: int, kind: str) -> None:
        assert verdict(seen(delivered=100 - bounced, bounced=bounced)).kind == kind

    def test_of_few_no_share_is_told(self) -> None:
        assert verdict(seen(delivered=1, bounced=9)).kind == "good"

    def test_a_quiet_hour(self) -> None:
        assert verdict(seen(month=7)).title == "All quiet"

    def test_nothing_ever(self) -> None:
        assert verdict(seen()).is_first


class TestFigures:
    @pytest.mark.parametrize(
        ("part", "whole", "text"),
        [
            (0, 0, ""),
            (0, 9, "0% x"),
            (9, 9, "100% x"),
            (9999, 10_000, "99.9% x"),
            (1, 10_000, "0.1% x"),
            (2, 3, "66.7% x"),
        ],
    )
    def test_a_share_never_says_all_or_nothing_where_that_is_not_true(self, part: int, whole: int, text: str) -> None:
        assert charts.share(part, whole, "x") == text

    @pytest.mark.parametrize("count", [1, 30, 31, 60, 96, 120])
    def test_a_thinned_line_keeps_the_sum(self, count: int) -> None:
        thin = charts.thinned(list(range(count)))
        assert len(thin) <= charts.POINTS
        assert sum(thin) == sum(range(count))

    def test_the_drawing_has_every_span(self) -> None:
        drawn = json.loads(charts.drawing(seen(delivered=7).series))
        assert set(drawn) == {"hour", "day", "month"}
        assert drawn["hour"]["step"] == 60
        assert sum(drawn["day"]["delivered"]) == 7

    def test_tiles_say_what_they_count(self) -> None:
        tiles = charts.tiles(series(Span.HOUR, delivered=3, bounced=1))
        assert [(tile.label, tile.total, tile.under) for tile in tiles][2::2] == [
            ("Delivered", 3, "75% reached"),
            ("Bounced", 1, "25% refused"),
        ]


class TestPage:
    async def test_an_empty_server_says_how_to_begin(self, alice: Console) -> None:
        text = (await alice.get("")).text
        assert "Ready for mail" in text
        assert "/console/domains/new" in text
        assert "No mail yet" in text

    async def test_the_span_is_chosen_and_kept(self, alice: Console) -> None:
        assert 'data-span="hour"' in (await alice.get("")).text
        assert 'data-span="day"' in (await alice.get("?span=day")).text
        alice.client.cookies.set("postroad-span", "month")
        assert 'data-span="month"' in (await alice.get("")).text
        assert 'data-span="month"' in (await alice.get("?span=century")).text

    async def test_the_picture_as_a_table(self, alice: Console) -> None:
        for span, words in charts.IN_WORDS.items():
            answer = await alice.get(f"overview/figures?span={span}")
            assert words in answer.text
            assert "No mail in this time." in answer.text

    async def test_disk_and_certificate(self, alice: Console) -> None:
        text = (await alice.get("overview/machine")).text
        assert " free</b> of " in text
        assert "There is none" in text

    async def test_lists_that_are_switched_off_are_told(self, alice: Console) -> None:
        assert "Lists of clients" not in (await alice.get("overview/machine")).text
        alice.web.node.door.zones = zones = (Zone("bl.test"), Zone("wl.test"))
        text = (await alice.get("overview/machine")).text
        assert "bl.test, wl.test switched off" in text
        for zone in zones:
            zone.switch_on(has_ipv6=False)
        text = (await alice.get("overview/machine")).text
        assert "<b>2 in use</b>" in text
        assert "switched off" not in text

    @pytest.mark.parametrize(("left", "kind"), [(-1, "bad"), (13 * 86_400, "warn"), (15 * 86_400, "good")])
    def test_a_certificate_that_ends_soon_is_told(self, left: float, kind: str) -> None:
        assert Certificate(left).kind == kind

    def test_a_disk_that_gets_tight_is_told(self) -> None:
        assert Disk(9, 100).is_tight
        assert not Disk(11, 100).is_tight
        assert (Disk(11, 100).used, Disk(0, 0).used) == (89, 0)


class FixedLive:
    """Gives these snapshots and then no more."""

    def __init__(self, *snapshots: Overview) -> None:
        self.snapshots = snapshots

    async def watch(self) -> AsyncGenerator[Overview, None]:
        for snapshot in self.snapshots:
            yield snapshot


class TestEvents:
    async def test_the_first_has_every_part_and_then_only_what_changed(self, alice: Console) -> None:
        quiet, busy = seen(), seen(delivered=3, queued=1)
        first, second = await _events(alice, quiet, quiet, busy)
        assert set(first) == {*PARTS, "series"}
        assert "Ready for mail" in first["verdict"]
        assert set(second) == {"verdict", "tiles", "waiting", "series"}
        assert "Mail is flowing" in second["verdict"]

    async def test_something_is_said_even_when_nothing_changes(self, alice: Console) -> None:
        quiet = seen()
        _, *beats = await _events(alice, *[quiet] * (1 + 3 * BEAT))
        assert beats == [{}] * 3

    async def test_all_who_watch_share_one_rendering(self, alice: Console) -> None:
        pulse, snapshot = _pulse(alice), seen()
        assert pulse._rendered(snapshot) is pulse._rendered(snapshot)

    async def test_it_ends_with_the_session(self, alice: Console) -> None:
        pulse, request = _pulse(alice, seen(), seen(queued=1)), _request(alice)
        async with aclosing(pulse.events(request)) as events:
            await anext(events)
            (record,) = await alice.services.admins.sessions(alice.alice.id)
            await alice.services.admins.end_session(record.id)
            assert [event async for event in events] == []

    async def test_it_is_an_event_stream_that_nobody_gathers(self, alice: Console) -> None:
        answer = await overview.events(_request(alice))
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["x-accel-buffering"] == "no"

    async def test_what_strangers_wrote_is_only_text(self, alice: Console) -> None:
        nasty = Trouble("mx:far.test", 1, NOW, None, "451 <img src=x onerror=alert(1)>")
        (first,) = await _events(alice, seen(nasty))
        assert "&lt;img src=x" in first["troubles"]
        assert "<img" not in first["troubles"]

    def test_silence_is_shorter_than_the_pages_patience(self) -> None:
        script = (Path(charts.__file__).parent / "static/overview.js").read_text()
        assert "const silence = 15000" in script
        assert BEAT < 15


async def _events(console: Console, *snapshots: Overview) -> list[dict[str, str]]:
    """What one browser is sent of these snapshots."""
    texts = [text async for text in _pulse(console, *snapshots).events(_request(console))]
    assert all(text.startswith("data: ") and text.endswith("\n\n") for text in texts)
    return [json.loads(text.removeprefix("data: ")) for text in texts]


def _pulse(console: Console, *snapshots: Overview) -> Pulse:
    services = dataclasses.replace(console.services, live=FixedLive(*snapshots))
    return Pulse(services, _app(console).state.renderer)


def _request(console: Console) -> Request:
    cookie = f"postroad-session={console.client.cookies['postroad-session']}"
    scope = {"type": "http", "method": "GET", "path": "/console/overview/events", "scheme": "http", "query_string": b""}
    headers = [(b"cookie", cookie.encode()), (b"host", b"mail.example.test")]
    return Request(scope | {"headers": headers, "app": _app(console), "server": ("mail.example.test", 80)})


def _app(console: Console) -> Starlette:
    return console.web.application._fronts["console"].application


class TestDns:
    def record(self, standing: Standing) -> CheckedRecord:
        return CheckedRecord(WantedRecord("x.test", "MX", "", ""), standing, (), f"it is {standing}")

    def test_what_the_records_come_to(self) -> None:
        found, missing, unknown = (self.record(kind) for kind in (Standing.FOUND, Standing.MISSING, Standing.UNKNOWN))
        told = judged(["a.test", "b.test", "c.test"], [[found], [found, missing], [found, unknown]])
        assert told == DnsGlance(3, 1, 1, (("b.test", "it is missing"),))

    async def test_it_is_asked_once_however_many_look(self, alice: Console, monkeypatch: pytest.MonkeyPatch) -> None:
        await alice.services.administration.add_domain("one.test")
        asked = []

        async def check(_resolver: object, name: str, _hostname: str, kind: DomainKind) -> list[CheckedRecord]:
            asked.append(name)
            return [self.record(Standing.MISSING)]

        monkeypatch.setattr("postroad.web.console.overview.check_domain", check)
        for _ in range(3):
            text = (await alice.get("overview/dns")).text
            assert "<b>0 of 1</b> domain complete" in text
        assert asked == ["one.test"]
        await alice.services.administration.add_domain("two.test")
        await alice.get("overview/dns")
        assert asked == ["one.test", "one.test", "two.test"]

    async def test_a_resolver_that_never_answers_is_not_waited_for(
        self, alice: Console, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await alice.services.administration.add_domain("one.test")

        async def check(*_: object) -> list[CheckedRecord]:
            raise TimeoutError

        monkeypatch.setattr("postroad.web.console.overview.check_domain", check)
        assert await DnsWatch(alice.services).look() == DnsGlance(1, unknown=1)

    async def test_without_domains_it_says_so(self, alice: Console) -> None:
        assert "No domain yet" in (await alice.get("overview/dns")).text


def test_how_long_a_certificate_lasts(tmp_path: Path) -> None:
    certificate, _ = write_certificate(tmp_path, "mail.example.test")
    assert seconds_left(certificate, datetime.now(UTC)) > 0
    assert seconds_left(certificate, datetime(9998, 1, 1, tzinfo=UTC)) < 0
    assert seconds_left(tmp_path / "none.pem", NOW) == 0
