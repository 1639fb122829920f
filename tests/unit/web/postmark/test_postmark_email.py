"""POST /email: what is accepted becomes a message with rows for everything; what is not is said and recorded."""

import re
import uuid

import pytest

from postroad.ports.sending import SuppressionReason
from postroad.ports.store import DeliveryState, StoreUnavailable
from postroad.ports.uuids import parse_uuid
from postroad.testing.postmark import letter, message_of, postmark_api, problem_of

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_the_answer_has_what_clients_read(api):
    response = await api.send(To="Carol <carol@far.test>", Cc="dan@far.test")
    body = response.json()
    assert response.status_code == 200
    assert list(body) == ["To", "Cc", "SubmittedAt", "MessageID", "ErrorCode", "Message"]
    assert (body["To"], body["ErrorCode"], body["Message"]) == ("Carol <carol@far.test>", 0, "OK")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z", body["SubmittedAt"])
    assert uuid.UUID(body["MessageID"])
    assert "x-pm-apierrorcode" not in response.headers


async def test_the_message_has_its_rows(api):
    fields = {"Tag": "welcome", "Metadata": {"order": 17}, "TrackOpens": True, "TrackLinks": "HtmlOnly"}
    number = await api.sent(To="carol@far.test, bob@here.test", Bcc="dan@far.test", **fields)
    message = await api.message(number)
    assert (message.server, message.stream, message.tag) == (api.server.id, "outbound", "welcome")
    assert message.metadata == {"order": "17"}
    assert (message.reverse_path, message.subject) == ("alice@here.test", "Hello")
    assert (message.origin.service, message.origin.account, message.origin.client) == (
        "api",
        api.server.name,
        "192.0.2.1",
    )
    assert {found.forward_path: found.state for found in await api.deliveries(number)} == {
        "carol@far.test": DeliveryState.QUEUED,
        "bob@here.test": DeliveryState.DELIVERED,
        "dan@far.test": DeliveryState.QUEUED,
    }
    received = (await api.events(number))[0]
    assert (received.detail["track_opens"], received.detail["track_links"]) == ("true", "HtmlOnly")
    assert received.detail["protocol"] == "HTTP"


async def test_the_copy_leads_back_to_its_message(api):
    response = await api.send()
    mail = await api.mail(message_of(response))
    given = response.json()["MessageID"]
    assert mail["x-pm-message-id"] == given
    assert mail["message-id"] == f"<{given}@mail.example.test>"
    assert parse_uuid(mail["x-pm-message-id"]) == message_of(response)
    assert "from" not in mail["received"].split("by")[0]


async def test_bcc_is_in_the_envelope_alone(api):
    number = await api.sent(Bcc="Dan <dan@far.test>")
    assert b"dan" not in await api.content(number)
    assert len(await api.deliveries(number)) == 2


async def test_a_message_to_nobody_but_cc_has_no_to(api):
    body = (await api.send(To="", Cc="carol@far.test")).json()
    assert "To" not in body
    assert body["ErrorCode"] == 0


async def test_unknown_recipients_here_are_taken_and_bounce(api):
    """As with Postmark: a sender learns it from what became of the message."""
    number = await api.sent(To="nobody@here.test, bob@here.test")
    (bounced,) = [found for found in await api.deliveries(number) if found.state is DeliveryState.BOUNCED]
    assert bounced.forward_path == "nobody@here.test"
    assert str(bounced.last_status) == "550 5.1.1 no such user here"
    assert bounced.last_status.reason == "no_such_mailbox"
    (event,) = [event for event in await api.events(number) if event.delivery == bounced.id]
    assert event.kind == "bounced"


async def test_a_full_mailbox_bounces(api):
    await api.web.services.administration.set_quota("alice@here.test", 10)
    number = await api.sent(To="alice@here.test")
    (delivery,) = await api.deliveries(number)
    assert delivery.state is DeliveryState.BOUNCED
    assert delivery.last_status.enhanced == (4, 2, 2)


@pytest.mark.parametrize(
    ("fields", "code", "text"),
    [
        ({"From": "eve@evil.test"}, 400, "The 'From' address you supplied (eve@evil.test) is not a Sender Signature"),
        ({"To": "nobody"}, 300, "Invalid 'To' address: 'nobody'."),
        ({"TextBody": None}, 300, "Provide either email TextBody or HtmlBody or both."),
        ({"MessageStream": "nope"}, 1235, "The stream provided: 'nope' does not exist on this server."),
        ({"MessageStream": "inbound"}, 1236, "The stream provided: 'inbound' cannot be sent on"),
        ({"Subject": ["x"]}, 403, "Invalid request field(s): 'Subject'."),
        ({"Attachments": [{"Name": "x.exe", "Content": "QQ=="}]}, 411, "The attachment 'x.exe' is of a type"),
        ({"To": ",".join(f"r{n}@far.test" for n in range(51))}, 300, "Too many recipients"),
    ],
)
async def test_refusals_are_said_and_recorded(api, fields, code, text):
    response = await api.send(**fields)
    status_code, error_code, said = problem_of(response)
    assert (status_code, error_code) == (422, code)
    assert said.startswith(text)
    (refusal,) = await api.refusals()
    assert (refusal.service, refusal.account, refusal.stage) == ("api", api.server.name, "message")
    assert (refusal.reply_code, refusal.cause) == (422, f"ErrorCode {code}")
    assert refusal.text.startswith(text)


async def test_names_of_streams_that_are_none_are_not_remembered(api):
    sending = api.web.services.sending
    await api.send(MessageStream="nothing" * 1000)
    await api.send()
    assert [stream for server, stream in sending._empty if server == api.server.id] == ["outbound"]


async def test_an_archived_stream_does_not_send(api):
    await api.web.services.sending.archive_stream(api.server.id, "broadcast")
    assert problem_of(await api.send(MessageStream="broadcast"))[1] == 1236


async def test_inactive_recipients(api):
    async def suppress(address):
        await api.web.services.sending.suppress(api.server.id, "outbound", address, SuppressionReason.HARD_BOUNCE)

    await suppress("carol@far.test")
    some = await api.send(To="Carol@far.test, dan@far.test")
    assert (some.status_code, some.json()["ErrorCode"]) == (200, 0)
    assert re.search(r"these inactive addresses: (.+?)\. Inactive", some.json()["Message"])[1] == "carol@far.test"
    assert [found.forward_path for found in await api.deliveries(message_of(some))] == ["dan@far.test"]
    await suppress("dan@far.test")
    status_code, code, text = problem_of(await api.send(To="Carol@far.test", Bcc="dan@far.test"))
    assert (status_code, code) == (422, 406)
    assert re.search(r"Found inactive addresses: (.+?)\. Inactive", text)[1] == "carol@far.test, dan@far.test"
    assert (await api.send(To="carol@far.test", MessageStream="broadcast")).status_code == 200


async def test_the_test_token_sends_nothing(api):
    api.token = "POSTMARK_API_TEST"
    response = await api.send(From="whoever@where.test")
    assert (response.status_code, response.json()["Message"]) == (200, "Test job accepted")
    assert await api.store.read(lambda tx: tx.messages.get(message_of(response))) is None
    assert problem_of(await api.send(To="nobody"))[1] == 300


async def test_a_sandbox_shows_delivered_and_sends_nothing(tmp_path, ledger):
    async with postmark_api(tmp_path, sandbox=True) as api:
        number = await api.sent(To="carol@far.test, bob@here.test")
        deliveries = await api.deliveries(number)
        assert {found.state for found in deliveries} == {DeliveryState.DELIVERED}
        assert {found.dest for found in deliveries} == {"sandbox"}
        bob = await api.store.read(lambda tx: tx.accounts.by_address("bob@here.test"))
        inbox = await api.store.read(lambda tx: tx.mailboxes.by_name(bob.id, "INBOX"))
        assert inbox.total == 0
        assert problem_of(await api.send(From="eve@evil.test"))[1] == 400
        assert not (await ledger(api)).findings


async def test_inline_pictures_and_files(api):
    files = [
        {"Name": "logo.png", "Content": "UE5H", "ContentType": "image/png", "ContentID": "cid:logo"},
        {"Name": "invoice.pdf", "Content": "JVBE\r\nRg==", "ContentType": "application/pdf"},
    ]
    mail = await api.mail(await api.sent(HtmlBody='<img src="cid:logo">', Attachments=files))
    picture, invoice = [part for part in mail.walk() if part.get_filename()]
    assert (picture["content-id"], picture.get_content()) == ("<logo>", b"PNG")
    assert (invoice.get_filename(), invoice.get_content()) == ("invoice.pdf", b"%PDF")


async def test_large_messages_take_the_long_way(api):
    """Composed in a worker, kept in a file of their own."""
    content = "QUJD" * 100_000
    number = await api.sent(To="bob@here.test", Attachments=[{"Name": "a.dat", "Content": content}])
    (part,) = (await api.mail(number)).iter_attachments()
    assert part.get_content() == b"ABC" * 100_000


async def test_a_message_beyond_the_servers_own_limit(tmp_path):
    async with postmark_api(tmp_path, extra="[limits]\nmax_message_size = 65536\n") as api:
        assert (await api.send(TextBody="x" * 60_000)).status_code == 200
        code, text = problem_of(await api.send(TextBody="x" * 66_000))[1:]
        assert (code, text) == (300, "The message was not taken: message size exceeds fixed limit.")


async def test_a_store_that_cannot_be_read_says_later(api, monkeypatch):
    async def fail(*_):
        raise StoreUnavailable("no disk")

    monkeypatch.setattr(api.web.services.sending, "suppressed", fail)
    response = await api.send()
    assert problem_of(response)[:2] == (503, 100)
    assert response.headers["retry-after"] == "5"


async def test_a_message_that_is_not_stored_says_later(api, monkeypatch):
    def fail(*_):
        raise StoreUnavailable("no disk", no_space=True)

    monkeypatch.setattr(api.store, "accept_all", fail)
    status_code, code, text = problem_of(await api.send())
    assert (status_code, code) == (503, 100)
    assert text == "The message was not taken: insufficient system storage, try again later."
    (failed,) = (await api.post("/email/batch", [letter()])).json()
    assert failed["ErrorCode"] == 100
