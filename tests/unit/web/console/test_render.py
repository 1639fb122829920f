"""Templates, addresses, words for figures and times, files under changing names."""

from __future__ import annotations

import gzip
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from postroad.testing.console import Console
from postroad.web.console import wording
from postroad.web.console.assets import FOLDER, Assets, shipped
from postroad.web.console.browsers import browser_name
from postroad.web.console.icons import NAMES, icon
from postroad.web.console.render import _zone, url

NOW = datetime(2026, 11, 23, 14, 3, 22, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
TEMPLATES = sorted((FOLDER.parent / "templates").glob("*.html"))
OURS = [file for file in TEMPLATES if file.name != "message_frame.html"]  # which has a policy of its own


class TestWords:
    @pytest.mark.parametrize(
        ("octets", "text"),
        [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (12_345, "12.3 kB"),
            (999_999, "1.0 MB"),
            (5 * 10**13, "50.0 TB"),
        ],
    )
    def test_sizes(self, octets: int, text: str) -> None:
        assert wording.size(octets) == text

    @pytest.mark.parametrize(
        ("seconds", "text"),
        [
            (0.0004, "0 ms"),
            (0.34, "340 ms"),
            (4.2, "4.2 s"),
            (59.6, "1 min"),
            (185, "3 min 5 s"),
            (1800, "30 min"),
            (7800, "2 h 10 min"),
            (86_400, "1 d"),
            (95_000, "1 d 2 h"),
            (timedelta(days=40), "40 d"),
        ],
    )
    def test_spans(self, seconds: float, text: str) -> None:
        assert wording.duration(seconds) == text

    @pytest.mark.parametrize(
        ("off", "text"),
        [
            (timedelta(seconds=2), "just now"),
            (timedelta(seconds=40), "40 s ago"),
            (timedelta(minutes=7, seconds=50), "7 min ago"),
            (timedelta(hours=23), "23 h ago"),
            (-timedelta(minutes=3), "in 3 min"),
            (timedelta(days=3), "20 Nov, 15:03"),
            (timedelta(days=400), "19 Oct 2025, 16:03"),
        ],
    )
    def test_times_in_the_readers_zone(self, off: timedelta, text: str) -> None:
        assert wording.ago(NOW - off, NOW, BERLIN) == text

    def test_other_forms_of_a_time(self) -> None:
        assert wording.exact(NOW, BERLIN) == "23 Nov 2026, 15:03:22"
        assert wording.clock_time(NOW, BERLIN) == "15:03:22"
        assert wording.day(NOW, BERLIN) == "23 Nov 2026"

    def test_numbers(self) -> None:
        assert [wording.number(value) for value in (7, 1_234_567, 0.25)] == ["7", "1,234,567", "0.2"]

    @pytest.mark.parametrize(
        ("agent", "name"),
        [
            ("Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0", "Firefox on Linux"),
            ("Mozilla/5.0 (iPhone) AppleWebKit/605 Version/18 Mobile Safari/604", "Safari on iPhone"),
            ("Mozilla/5.0 (Windows NT 10.0) Chrome/140 Safari/537 Edg/140", "Edge on Windows"),
            ("", "Unknown program"),
        ],
    )
    def test_browsers(self, agent: str, name: str) -> None:
        assert browser_name(agent) == name


class TestAddresses:
    def test_what_is_empty_is_left_out_and_the_rest_is_escaped(self) -> None:
        assert url() == "/console/"
        assert url("messages", q="a b&c", page=None, state="") == "/console/messages?q=a+b%26c"
        assert url("domains/ü?#.test") == "/console/domains/%C3%BC%3F%23.test"
        assert url("x", from_="me") == "/console/x?from=me"


class TestFiles:
    async def test_a_name_changes_with_the_content(self, tmp_path: Path) -> None:
        (tmp_path / "a.css").write_text("one")
        first = Assets(tmp_path).path("a.css")
        (tmp_path / "a.css").write_text("two")
        assert re.fullmatch(r"/console/static/a\.[0-9a-f]{12}\.css", first)
        assert Assets(tmp_path).path("a.css") != first

    async def test_browsers_keep_them_for_good(self, console: Console) -> None:
        answer = await console.client.get(shipped().path("console.css"), headers={"accept-encoding": "identity"})
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["content-type"] == "text/css; charset=utf-8"
        assert "set-cookie" not in answer.headers

    async def test_they_come_packed(self, console: Console) -> None:
        packed = await console.client.get(shipped().path("vendor/htmx.min.js"), headers={"accept-encoding": "gzip"})
        assert packed.headers["content-encoding"] == "gzip"
        assert packed.content == (FOLDER / "vendor/htmx.min.js").read_bytes()
        assert int(packed.headers["content-length"]) < len(packed.content)

    async def test_other_names_are_not_found(self, console: Console) -> None:
        for name in ("console.css", "console.000000000000.css", "%2e%2e/app.py", "vendor/README.md", ""):
            assert (await console.get(f"static/{name}")).status_code == 404, name

    def test_what_others_wrote_lies_beneath(self, tmp_path: Path) -> None:
        (tmp_path / "base.css").write_text('@charset "UTF-8";b{}')
        (tmp_path / "a.css").write_text('@import url("base.css") layer(base);\nc{}')
        assets = Assets(tmp_path)
        content = assets._by_path[assets.path("a.css")].content
        assert content == b"@layer base {\nb{}\n}\nc{}"

    def test_packing_is_the_same_each_time(self) -> None:
        asset = shipped()._by_path[shipped().path("console.css")]
        assert gzip.decompress(asset.packed) == asset.content
        assert asset.packed == gzip.compress(asset.content, mtime=0)

    def test_the_licences_of_others_come_along(self) -> None:
        told = (FOLDER / "vendor/README.md").read_text()
        for file in (FOLDER / "vendor").glob("*.*s"):
            assert f"`{file.name}`" in told


class TestPages:
    async def test_htmx_gets_only_the_part_that_it_asks_for(self, alice: Console) -> None:
        whole = await alice.get("domains")
        part = await alice.get("domains", HX_Request="true", HX_Target="domain_list")
        assert "<html" in whole.text
        assert part.status_code == 200
        assert "<html" not in part.text
        assert "HX-Target" in part.headers["vary"]
        again = await alice.get(
            "domains", HX_Request="true", HX_Target="domain_list", HX_History_Restore_Request="true"
        )
        assert "<html" in again.text

    async def test_a_word_about_a_change_is_shown_once(self, alice: Console) -> None:
        await alice.post("security/sessions/end-others")
        assert "0 other sessions have ended." in (await alice.get("security")).text
        assert "have ended." not in (await alice.get("security")).text

    async def test_a_word_that_somebody_made_up_is_only_text(self, alice: Console) -> None:
        alice.client.cookies.set("postroad-told", "%7B%22text%22%3A%22%3Cb%3Ehi%22%2C%22kind%22%3A%22good%22%7D")
        assert "&lt;b&gt;hi" in (await alice.get("security")).text
        for nonsense in ("%7Bnonsense", "[" * 3000):
            alice.client.cookies.set("postroad-told", nonsense)
            assert (await alice.get("security")).status_code == 200

    async def test_times_are_told_in_the_zone_that_the_browser_named(self, alice: Console) -> None:
        for zone in ("Asia/Tokyo", "../../etc/passwd", "Nowhere/At_all", "x" * 5000):
            alice.client.cookies.set("postroad-zone", zone)
            assert (await alice.get("security")).status_code == 200, zone

    async def test_zones_that_strangers_make_up_are_not_remembered(self, console: Console) -> None:
        before = _zone.cache_info()
        for name in ("x" * 65, "y" * 20_000):
            await console.get("login", Cookie=f"postroad-zone={name}")
        assert _zone.cache_info() == before
        assert before.maxsize

    async def test_the_theme_that_was_chosen(self, alice: Console) -> None:
        alice.client.cookies.set("postroad-theme", "dark")
        assert '<html lang="en" data-theme="dark">' in (await alice.get("security")).text
        alice.client.cookies.set("postroad-theme", '"><b>')
        assert '<html lang="en">' in (await alice.get("security")).text

    async def test_what_is_not_there_is_said_in_the_frame(self, alice: Console) -> None:
        answer = await alice.get("nowhere")
        assert answer.status_code == 404
        assert "Nothing here" in answer.text
        assert "Alice Weaver" in answer.text


class TestTemplates:
    """The policy forbids what stands inline, so no template may have it."""

    @pytest.mark.parametrize("file", OURS, ids=lambda file: file.name)
    def test_nothing_inline(self, file: Path) -> None:
        text = file.read_text()
        assert not re.search(r"\sstyle\s*=", text)
        assert not re.search(r"\son[a-z]+=[\"\']", text)
        assert "javascript:" not in text
        assert "<style" not in text
        for script in re.findall(r"<script[^>]*>", text):
            assert " src=" in script, script

    @pytest.mark.parametrize("file", TEMPLATES, ids=lambda file: file.name)
    def test_every_form_that_changes_something_has_its_token(self, file: Path) -> None:
        for form in re.findall(r"<form[^>]*method=\"post\"[^>]*>.*?</form>", file.read_text(), re.DOTALL):
            assert "csrf" in form, form

    def test_scripts_evaluate_nothing(self) -> None:
        for file in FOLDER.glob("*.js"):
            text = file.read_text()
            assert not re.search(r"\beval\(|new Function|document\.write|setAttribute\(\"style\"", text), file.name

    def test_every_picture_is_drawn(self) -> None:
        for name in NAMES:
            assert str(icon(name)).count("<svg") == 1
        assert 'aria-label="A &amp; B"' in icon("check", "A & B")
