"""Postmark's clients from PyPI, pointed at us by their base URL alone: send, batch, and read what is wrong."""

import base64
import json
import subprocess
import sys
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from pathlib import Path

import pytest
from tests.interop.senders import ALICE, BOB, GONE, PIXEL, WRONG_TOKEN

pytestmark = pytest.mark.interop
MANY = [f"r{number}@example.com" for number in range(51)]
PICTURE = {"Name": "p.gif", "Content": PIXEL, "ContentType": "image/gif", "ContentID": "cid:p"}


# --- postmarker -------------------------------------------------------------------------------------------------------


@pytest.fixture
def postmarker(sending, request):
    from postmarker.core import PostmarkClient

    client = PostmarkClient(server_token=sending.token, root_api_url=sending.http)
    yield client
    client.session.close()


def test_postmarker_sends(sending, postmarker):
    answer = postmarker.emails.send(
        From=f"Älice <{ALICE}>", To=[BOB, f"Carol <{ALICE}>"], Subject="Grüße", TextBody="text", HtmlBody="<b>html</b>",
        Headers={"X-Order": "17"}, Tag="welcome", Metadata={"order": "17"}, TrackOpens=True, Attachments=[PICTURE],
    )  # fmt: skip
    assert (answer["ErrorCode"], answer["Message"]) == (0, "OK")
    mail = sending.mail(answer["MessageID"])
    assert (mail["subject"], mail["x-order"], mail["from"]) == ("Grüße", "17", f"Älice <{ALICE}>")
    assert mail["x-pm-message-id"] == answer["MessageID"]
    (picture,) = (part for part in mail.walk() if part.get_filename() == "p.gif")
    assert picture.get_content() == base64.b64decode(PIXEL)


def test_postmarker_sends_what_python_composed(sending, postmarker):
    message = MIMEMultipart()
    message["Subject"], message["From"], message["To"] = "From MIME", ALICE, BOB
    message.attach(MIMEText("How are you?"))
    answer = postmarker.emails.send(message)
    assert sending.mail(answer["MessageID"]).get_content().strip() == "How are you?"


def test_postmarker_sends_batches(sending, postmarker):
    plain = {"From": ALICE, "Subject": "batch", "TextBody": "hi"}
    answers = postmarker.emails.send_batch(*[plain | {"To": BOB, "Tag": str(number)} for number in range(501)])
    assert [answer["ErrorCode"] for answer in answers] == [0] * 501
    good, bad = postmarker.emails.send_batch(plain | {"To": BOB}, plain | {"To": GONE})
    assert (good["ErrorCode"], bad["ErrorCode"]) == (0, 406)


def test_postmarker_tells_what_is_wrong(sending, postmarker):
    from postmarker.exceptions import ClientError

    def code(**changes):
        with pytest.raises(ClientError) as caught:
            postmarker.emails.send(**({"From": ALICE, "To": BOB, "Subject": "x", "TextBody": "x"} | changes))
        return caught.value.error_code

    assert code(From="eve@elsewhere.example") == 400
    assert code(To="nobody") == 300
    assert code(To=MANY) == 300
    assert code(To=GONE) == 406
    assert code(MessageStream="nope") == 1235
    assert code(Attachments=[("x.exe", "QQ==", "application/octet-stream")]) == 411
    postmarker.server_token = WRONG_TOKEN
    assert code() == 10


def test_postmarker_sees_its_server(postmarker):
    assert postmarker.server.get().Name == "shop"


# --- postmark-python --------------------------------------------------------------------------------------------------


@pytest.fixture
def official(sending):
    import postmark.sync

    with postmark.sync.ServerClient(sending.token, base_url=sending.http, retries=0) as client:
        yield client


def test_the_official_client_sends(sending, official):
    answer = official.outbound.send(
        {
            "sender": ALICE, "to": BOB, "cc": f"Carol <{ALICE}>", "subject": "hello", "text_body": "text",
            "html_body": '<img src="cid:p">', "tag": "t", "metadata": {"a": "b"}, "track_opens": True,
            "message_stream": "outbound", "attachments": [PICTURE], "headers": [{"Name": "X-A", "Value": "1"}],
        }
    )  # fmt: skip
    assert answer.success
    assert sending.mail(answer.message_id)["x-a"] == "1"


def test_the_official_client_sends_batches(official):
    plain = {"sender": ALICE, "subject": "batch", "text_body": "hi"}
    answers = official.outbound.send_batch([plain | {"to": BOB}, plain | {"to": GONE}, plain | {"to": BOB}])
    assert [answer.success for answer in answers] == [True, False, True]
    assert answers[1].error_code == 406
    assert len(official.outbound.send_batch([plain | {"to": BOB}] * 500)) == 500


@pytest.mark.parametrize(
    ("changes", "kind", "code"),
    [
        ({"to": GONE}, "InactiveRecipientException", 406),
        ({"sender": "eve@elsewhere.example"}, "ValidationException", 400),
        ({"to": ",".join(MANY)}, "ValidationException", 300),
        ({"message_stream": "nope"}, "ValidationException", 1235),
    ],
)
def test_the_official_client_tells_what_is_wrong(official, changes, kind, code):
    import postmark

    with pytest.raises(getattr(postmark, kind)) as caught:
        official.outbound.send({"sender": ALICE, "to": BOB, "subject": "x", "text_body": "x"} | changes)
    assert (caught.value.error_code, caught.value.http_status) == (code, 422)
    assert caught.value.request_id
    if kind == "InactiveRecipientException":
        assert caught.value.inactive_recipients == [GONE]


def test_the_official_client_and_a_wrong_token(sending):
    import postmark.sync

    with (
        postmark.sync.ServerClient(WRONG_TOKEN, base_url=sending.http, retries=0) as client,
        pytest.raises(postmark.InvalidAPIKeyException),
    ):
        client.server.get()


def test_the_official_client_over_https(sending, monkeypatch):
    import postmark.sync

    monkeypatch.setenv("SSL_CERT_FILE", str(sending.ca))
    with postmark.sync.ServerClient(sending.token, base_url=sending.https, retries=0) as client:
        assert client.server.get().name == "shop"
        assert client.outbound.send({"sender": ALICE, "to": BOB, "subject": "x", "text_body": "x"}).success


def test_the_official_client_suppresses(official):
    (made,) = official.suppressions.create("outbound", ["new@example.com"])
    assert made.status == "Suppressed"
    (found,) = official.suppressions.dump("outbound", email_address="new@example.com")
    assert (found.suppression_reason, found.origin) == ("ManualSuppression", "Customer")
    (gone,) = official.suppressions.delete("outbound", ["new@example.com"])
    assert (gone.status, gone.message) == ("Deleted", None)


# --- django-anymail, in a process of its own: Django has one configuration for all ------------------------------------


@pytest.fixture(scope="module")
def anymail(sending):
    """What each of its cases came to."""
    script = Path(__file__).with_name("anymail_client.py")
    settings = {"url": sending.http, "token": sending.token, "wrong": WRONG_TOKEN, "from": ALICE, "to": BOB,
                "gone": GONE, "many": MANY}  # fmt: skip
    command = [sys.executable, "-W", "error", str(script), json.dumps(settings)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_anymail_sends(sending, anymail):
    assert anymail["plain"]["status"] == {BOB: "sent"}
    mail = sending.mail(anymail["plain"]["id"])
    assert (mail["subject"], mail["reply-to"], mail["x-order"]) == ("Grüße", f"Jörg <{ALICE}>", "17")
    assert [part.get_content_type() for part in mail.walk()][-1] == "text/csv"
    assert anymail["cc"]["status"] == {BOB: "sent", ALICE: "sent"}


def test_anymail_sends_batches(anymail):
    assert anymail["batch"]["status"] == {BOB: "sent", GONE: "rejected", ALICE: "sent"}
    assert len(set(anymail["batch"]["ids"])) == 2


def test_anymail_tells_what_is_wrong(anymail):
    assert anymail["inactive"]["status"] == {GONE: "rejected"}
    assert anymail["some inactive"]["status"] == {GONE: "rejected", BOB: "sent"}
    assert anymail["invalid to"]["status"] == {"bob@example": "invalid"}
    assert "Invalid 'From' address" not in anymail["foreign from"]["error"]
    assert "not a Sender Signature" in anymail["foreign from"]["error"]
    assert "Too many recipients" in anymail["many"]["error"]
    assert "valid token" in anymail["wrong token"]["error"]
