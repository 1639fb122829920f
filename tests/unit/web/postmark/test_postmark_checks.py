"""What a message may say: each limit from both sides, addresses, headers and files."""

import base64
import email
import email.policy
from datetime import UTC, datetime

import pytest

from postroad.web.postmark import checks
from postroad.web.postmark.checks import check
from postroad.web.postmark.errors import ApiError
from postroad.web.postmark.request import FileRequest, SendRequest

DATE = datetime(2026, 11, 24, tzinfo=UTC)


def asked(**fields):
    return SendRequest(**({"sender": "alice@a.test", "to": "bob@b.test", "text": "hi"} | fields))


def problem(**fields):
    with pytest.raises(ApiError) as caught:
        check(asked(**fields))
    assert caught.value.status == 422
    return caught.value.code, caught.value.text


def mail(**fields):
    content = check(asked(**fields)).content(uuid="u-1", hostname="mail.test", date=DATE)
    return email.message_from_bytes(content, policy=email.policy.default)


def file(name="a.pdf", content=b"%PDF", kind="application/pdf", cid=""):
    return FileRequest(name, base64.b64encode(content).decode(), kind, cid)


def test_who_writes_to_whom():
    letter = check(asked(sender="Alice <alice@A.test>, other@a.test", to="bob@b.test, B <b@b.test>", cc="bob@b.test",
                         bcc="dan@d.test", reply_to="r@a.test"))  # fmt: skip
    assert (letter.sender.name, str(letter.sender.address)) == ("Alice", "alice@a.test")
    assert [str(address) for address in letter.recipients] == ["bob@b.test", "b@b.test", "dan@d.test"]
    assert [str(person.address) for person in letter.reply_to] == ["r@a.test"]
    assert check(asked(to="", cc="bob@b.test")).to == ()


def test_bcc_is_nowhere_in_the_content():
    found = mail(bcc="Dan <dan@d.test>", cc="carol@c.test", to="")
    assert b"dan" not in bytes(found).lower()
    assert (found["to"], found["cc"]) == (None, "carol@c.test")


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"sender": ""}, "Invalid 'From' address: ''."),
        ({"sender": "alice"}, "Invalid 'From' address: 'alice'."),
        ({"sender": "alice@localhost"}, "Invalid 'From' address: 'alice@localhost'."),
        ({"sender": "a" * 256}, "Invalid 'From' address: it is longer than 255 characters."),
        ({"to": "Invalid@LocalHost"}, "Invalid 'To' address: 'Invalid@localhost'."),
        ({"to": "bob@b.test, bob"}, "Invalid 'To' address: 'bob'."),
        ({"cc": "user@+"}, "Invalid 'Cc' address: 'user@+'."),
        ({"bcc": "bob@[192.0.2.1]"}, "Invalid 'Bcc' address: 'bob@[192.0.2.1]'."),
        ({"reply_to": "nobody"}, "Invalid 'ReplyTo' address: 'nobody'."),
        ({"to": ""}, "Zero recipients specified."),
        ({"to": "undisclosed-recipients:;"}, "Zero recipients specified."),
        ({"text": ""}, "Provide either email TextBody or HtmlBody or both."),
        ({"subject": "a\0b"}, "'Subject' holds a control character."),
        ({"headers": [("Bad Name", "x")]}, "Invalid header name: 'Bad Name'."),
        ({"headers": [("X-A", "a\0b")]}, "'X-A' holds a control character."),
        ({"headers": [("Message-ID", "no id")]}, "Invalid 'Message-ID': 'no id'."),
        ({"attachments": [FileRequest("", "QQ==")]}, "An attachment has no 'Name'."),
        ({"attachments": [FileRequest("a", "***")]}, "The 'Content' of the attachment 'a' is not base64."),
        ({"attachments": [FileRequest("a", "ü")]}, "The 'Content' of the attachment 'a' is not base64."),
        ({"attachments": [FileRequest("a", "QQ==", "", "cid:<a b>")]},
         "The 'ContentID' of the attachment 'a' is not one plain word."),
        ({"metadata": {"": "x"}}, "Invalid metadata content. The key '' does not have 1 to 20 characters."),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(fields, text):
    assert problem(**fields) == (300, text)


@pytest.mark.parametrize(
    ("fits", "too_much"),
    [
        ({"to": ", ".join(f"r{n}@b.test" for n in range(50))}, {"cc": "one@more.test"}),
        ({"subject": "s" * 2000}, {"subject": "s" * 2001}),
        ({"tag": "t" * 1000}, {"tag": "t" * 1001}),
        ({"text": "x" * checks.MAX_BODY}, {"text": "x" * (checks.MAX_BODY - 1) + "ü"}),
        ({"html": "x" * checks.MAX_BODY}, {"html": "x" * (checks.MAX_BODY + 1)}),
        ({"metadata": {str(n): "" for n in range(10)}}, {"metadata": {str(n): "" for n in range(11)}}),
        ({"metadata": {"k" * 20: "v" * 80}}, {"metadata": {"k": "v" * 81}}),
        ({"metadata": {"k" * 20: "v" * 80}}, {"metadata": {"k" * 21: "v"}}),
        ({"headers": [("X-A", "1")] * 100}, {"headers": [("X-A", "1")] * 101}),
        ({"headers": [("X-A", "x" * 16384)]}, {"headers": [("X-A", "x" * 16385)]}),
        ({"attachments": [file("x" * 1000)]}, {"attachments": [file("x" * 1001)]}),
    ],
)
def test_limits_have_two_sides(fits, too_much):
    check(asked(**fits))
    code, text = problem(**(fits | too_much))
    assert code == 300
    assert text


def test_a_message_may_have_ten_megabytes(monkeypatch):
    monkeypatch.setattr(checks, "MAX_MESSAGE", 1000)
    check(asked(text="x" * 400, attachments=[FileRequest("a", "QUFB" * 150)]))
    assert problem(text="x" * 401, attachments=[FileRequest("a", "QUFB" * 150)])[0] == 300


def test_lines_are_unfolded_so_that_nothing_is_smuggled():
    found = mail(subject="one\r\n two\nBcc: x@y.test", headers=[("X-A", "b\r\nBcc: z@y.test")])
    assert found["subject"] == "one two Bcc: x@y.test"
    assert found["x-a"] == "b Bcc: z@y.test"
    assert found["bcc"] is None


@pytest.mark.timeout(20)  # by the square of the spaces it would be hours
def test_lines_are_joined_in_a_time_that_grows_with_them_alone():
    spaces = " " * 1_000_000
    assert str(check(asked(to=f"bob@b.test,{spaces}\n{spaces}carol@b.test")).to[1].address) == "carol@b.test"
    assert checks._unfolded("Name", f" one{spaces}\r\n \n two{spaces}three\n") == f"one  two{spaces}three"


def test_names_that_a_client_has_encoded_already():
    (person,) = check(asked(to="=?utf-8?b?SsO8cmdlbg==?= <j@b.test>")).to
    assert person.name == "Jürgen"


@pytest.mark.parametrize("name", [
    "From", "to", "CC", "Bcc", "Subject", "Date", "MIME-Version", "Content-Type", "content-transfer-encoding",
    "Received", "Return-Path", "X-PM-Tag", "x-pm-message-id",
])  # fmt: skip
def test_headers_that_are_not_the_senders_are_passed_over(name):
    assert check(asked(headers=[(name, "x@y.test")])).fields == []


def test_headers_that_stay():
    headers = [("List-Unsubscribe", "<https://a.test/u>"), ("X-Mailer", "Shop"), ("In-Reply-To", "<1@a.test>")]
    found = mail(headers=[*headers, ("Reply-To", "r@a.test"), ("Message-ID", "own@a.test")])
    assert [(name, found[name]) for name, _ in headers] == headers
    assert (found["reply-to"], found["message-id"]) == ("r@a.test", "<own@a.test>")
    assert mail(reply_to="field@a.test", headers=[("Reply-To", "r@a.test")])["reply-to"] == "field@a.test"


def test_what_we_add():
    found = mail(tag="welcome")
    assert found["message-id"] == "<u-1@mail.test>"
    assert (found["x-pm-message-id"], found["x-pm-tag"]) == ("u-1", "welcome")


@pytest.mark.parametrize(
    "name", ["run.exe", "RUN.EXE", "a.b.Scr", "x.msi.", "x.vbs  ", "x.exe\t", "x. exe", "page.hta"]
)
def test_forbidden_files(name):
    code, text = problem(attachments=[file(name)])
    assert code == 411
    assert f"'{name}'" in text


@pytest.mark.parametrize("name", ["exe", "exe.pdf", "a.txt", "x.exe.zip", "com"])
def test_files_that_only_sound_so(name):
    check(asked(attachments=[file(name)]))


def test_base64_as_clients_write_it():
    content = base64.b64encode(b"\0\xff" * 100).decode()
    lines = "\r\n".join(content[at : at + 60] for at in range(0, len(content), 60))
    for spelling in (content, lines, lines + "\n", content.rstrip("=")):
        (attachment,) = check(asked(attachments=[FileRequest("a", spelling)])).attachments
        assert attachment.content == b"\0\xff" * 100


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("text/calendar; method=REQUEST; name=\"i.ics\"", "text/calendar; method=REQUEST"),
        ("text/plain; charset=\"utf-8\"", "text/plain; charset=utf-8"),
        ("image/png", "image/png"),
        ("", "application/octet-stream"),
        ("nonsense", "application/octet-stream"),
        ("text/plain\r\nBcc: x@y", "application/octet-stream"),
    ],
)  # fmt: skip
def test_media_types(given, found):
    (attachment,) = check(asked(attachments=[file(kind=given)])).attachments
    assert attachment.media_type == found


@pytest.mark.parametrize("cid", ["cid:logo", "logo", "cid:logo@a.test", "<logo>"])
def test_inline_pictures(cid):
    found = mail(html='<img src="cid:logo">', attachments=[file("l.png", b"PNG", "image/png", cid), file()])
    assert [part.get_content_type() for part in found.walk()] == [
        "multipart/mixed", "multipart/alternative", "text/plain", "multipart/related", "text/html", "image/png",
        "application/pdf",
    ]  # fmt: skip
    (picture,) = (part for part in found.walk() if part["content-id"])
    assert picture["content-id"] == f"<{cid.removeprefix('cid:').strip('<>')}>"


def test_tracking_is_kept_as_it_was_asked_for():
    assert check(asked(track_opens=True, track_links="htmlonly")).tracking == {
        "track_opens": "true",
        "track_links": "HtmlOnly",
    }
    assert check(asked(track_opens=False)).tracking == {"track_opens": "false"}
    assert check(asked()).tracking == {}
    assert problem(track_links="Sometimes") == (403, "Invalid request field(s): 'TrackLinks'.")
