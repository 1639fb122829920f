"""What a stranger sent, as it is shown: answers of their own that no browser runs, files that none opens."""

import asyncio
import re
from email.message import EmailMessage
from time import thread_time

import pytest

from postroad.adapters.clock import SystemClock
from postroad.ports.ids import id_text
from postroad.testing.harmless import assert_harmless
from postroad.testing.stores import Mail
from postroad.web.console import desk, view

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x10\0\0\0\x10\x08\x06\0\0\0"


@pytest.fixture
def mail():
    return Mail(SystemClock())


def letter():
    message = EmailMessage()
    message["Subject"] = "Hello"
    message.set_content("In plain words\n")
    message.add_alternative(
        '<p onclick="x()">Hello <img src="cid:logo"><img src="https://track.test/a.gif"><script>alert(1)</script>',
        "html",
    )
    message.get_payload()[1].add_related(PNG, "image", "png", cid="<logo>")
    message.add_attachment(b"<svg onload=alert(1)>", "image", "svg+xml", filename='a"b.svg')
    message.add_attachment(PNG, "application", "octet-stream", filename="é.bin")
    message.add_attachment("<script>", subtype="html", filename="page.html")
    return message.as_bytes()


async def accept(alice, mail, content):
    acceptance = mail.remote("bob@far.test", content=content)
    await alice.services.store.accept(acceptance)
    return f"messages/{id_text(acceptance.message.id)}"


class TestHtml:
    async def test_it_is_safe_in_the_frame_and_alone(self, alice, mail):
        answer = await alice.get(await accept(alice, mail, letter()) + "/html")
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "img-src data:;" in policy
        assert "script-src" not in policy
        assert re.search(r"sandbox(?! allow-scripts)(?!.*allow-same-origin)", policy)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert_harmless(answer.text.partition("<main>")[2].partition("</main>")[0])
        assert "1 picture from track.test was not loaded" in answer.text
        assert "data:image/png;base64," in answer.text

    async def test_a_message_without_html(self, alice, mail):
        assert (await alice.get(await accept(alice, mail, b"Subject: x\r\n\r\ntext") + "/html")).status_code == 404


class TestContent:
    async def test_each_view(self, alice, mail):
        where = await accept(alice, mail, letter()) + "/content"
        assert '<iframe src="/console/' in (await alice.get(where)).text
        assert "In plain words" in (await alice.get(f"{where}?view=text")).text
        headers = (await alice.get(f"{where}?view=headers")).text
        assert "<dt>Subject</dt><dd><bdi>Hello</bdi></dd>" in headers
        source = (await alice.get(f"{where}?view=source")).text
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in source
        parts = (await alice.get(f"{where}?view=parts")).text
        assert "4 attachments" in parts
        assert "é.bin" in parts

    async def test_a_view_that_there_is_not_gives_the_best(self, alice, mail):
        answer = await alice.get(await accept(alice, mail, b"Subject: x\r\n\r\n<script>text") + "/content?view=html")
        assert "&lt;script&gt;text" in answer.text
        assert "iframe" not in answer.text

    async def test_content_that_is_gone(self, alice, mail, monkeypatch):
        where, found = await accept(alice, mail, letter()), mail.message()

        async def gone(_):
            return desk.Stored(found, None)

        monkeypatch.setattr(view, "stored", gone)
        assert "no longer kept" in (await alice.get(f"{where}/content")).text
        for path in ("html", "source", "parts/2"):
            assert (await alice.get(f"{where}/{path}")).status_code == 404

    async def test_large_texts_are_cut_and_say_so(self, alice, mail):
        where = await accept(alice, mail, b"Subject: x\r\n\r\n" + b"word \r\n" * 100_000) + "/content"
        for name in ("text", "source"):
            answer = await alice.get(f"{where}?view={name}")
            assert "only the beginning" in answer.text
            assert len(answer.text) < 800_000

    async def test_ten_thousand_parts(self, alice, mail):
        content = (
            b"Content-Type: multipart/mixed; boundary=x\r\n\r\n"
            + b"--x\r\nContent-Type: image/gif\r\n\r\ny\r\n" * 10_500
        )
        answer = await alice.get(await accept(alice, mail, content) + "/content?view=parts")
        assert answer.text.count('class="file"') == 200
        assert "parts; 200 of them are listed" in answer.text


class TestFiles:
    async def test_the_source_is_the_octets(self, alice, mail):
        content = letter()
        answer = await alice.get(await accept(alice, mail, content) + "/source")
        assert answer.content == content
        assert answer.headers["content-type"] == "message/rfc822"
        assert re.fullmatch(r'attachment; filename="\w{13}\.eml"; .*', answer.headers["content-disposition"])

    @pytest.mark.parametrize(
        ("path", "content", "name"),
        [("2", b"<svg onload=alert(1)>", "a_b.svg"), ("3", PNG, "_.bin"), ("4", b"<script>\n", "page.html")],
    )
    async def test_parts_are_files_of_no_kind(self, alice, mail, path, content, name):
        answer = await alice.get(await accept(alice, mail, letter()) + f"/parts/{path}")
        assert answer.content == content
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-disposition"].startswith(f'attachment; filename="{name}"; filename*=UTF-8')
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"].startswith("sandbox; default-src 'none'")

    async def test_pictures_are_told_by_their_octets(self, alice, mail):
        where = await accept(alice, mail, letter())
        answer = await alice.get(f"{where}/pictures/1.2.2")
        assert (answer.content, answer.headers["content-type"]) == (PNG, "image/png")
        for path in ("1.1", "2", "3", "9", "x"):
            assert (await alice.get(f"{where}/pictures/{path}")).status_code == 404

    async def test_what_is_not_there(self, alice, mail):
        where = await accept(alice, mail, letter())
        for path in ("parts/9", "parts/1", "pictures/9"):
            assert (await alice.get(f"{where}/{path}")).status_code == 404
        assert (await alice.get("messages/0000000000001/source")).status_code == 404


class TestDesk:
    async def test_who_waits_too_long_is_told(self, alice, mail, monkeypatch):
        where = await accept(alice, mail, letter())
        monkeypatch.setattr(desk, "SECONDS", 0.01)
        release = asyncio.Event()
        read = alice.services.blobs.read

        async def slow(*arguments):
            await release.wait()
            return await read(*arguments)

        monkeypatch.setattr(type(alice.services.blobs), "read", lambda _, *arguments: slow(*arguments))
        for _ in range(3):
            assert "takes too long" in (await alice.get(f"{where}/content")).text
        assert "Please try again" in (await alice.get(f"{where}/content")).text
        assert (await alice.get(f"{where}/parts/2")).status_code == 503
        release.set()
        monkeypatch.setattr(desk, "SECONDS", 6.0)
        assert "iframe" in (await alice.get(f"{where}/content")).text

    async def test_nobody_without_a_session_sees_anything(self, alice, mail):
        where = await accept(alice, mail, letter())
        alice.client.cookies.clear()
        for path in ("", "/content", "/html", "/source", "/parts/2", "/pictures/1.2.2", "/act?do=hold"):
            assert (await alice.get(where + path)).status_code == 303


def many(parts, inside=b"x"):
    head = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>x\r\n"
    return head + b"--b\r\nContent-Type: image/png; name=x.png\r\n\r\n" * parts + inside + b"\r\n--b--\r\n"


def html(text):
    return b"Content-Type: text/html\r\n\r\n" + text


@pytest.mark.parametrize(
    "content",
    [
        many(10_000), many(50_000), many(20, PNG * 100_000),
        b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(5000)),
        b"Content-Type: message/rfc822\r\n\r\n" * 5000, b"X-Field: value\r\n" * 50_000,
        html(b"<tr><td rowspan=65000 colspan=1000>x</td></tr>" * 10_000), html(b"<table><tr><td>" * 20_000),
        html(b"&nbsp;&amp;&lt;" * 60_000), html(b"".join(b"<b title=%d><p>" % n for n in range(30_000))),
    ],
    ids=range(10),
)  # fmt: skip
def test_any_message_is_taken_apart_soon(content):
    before = thread_time()
    view.safe_page(content, True)
    for name in view.VIEWS:
        view.panel(content, True, name)
    assert thread_time() - before < 5.0
