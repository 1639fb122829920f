"""django-anymail as a Django site uses it; prints what became of each case, as JSON."""

import json
import sys

import django
from django.conf import settings
from django.core.mail import EmailMessage, EmailMultiAlternatives, get_connection

given = json.loads(sys.argv[1])
settings.configure(
    INSTALLED_APPS=["anymail"],
    EMAIL_BACKEND="anymail.backends.postmark.EmailBackend",
    ANYMAIL={
        "POSTMARK_SERVER_TOKEN": given["token"],
        "POSTMARK_API_URL": given["url"],
        "IGNORE_RECIPIENT_STATUS": True,
    },
    DEFAULT_FROM_EMAIL=given["from"],
    USE_TZ=True,
)
django.setup()

from anymail.exceptions import AnymailAPIError  # noqa: E402 - Django has to be set up first


def case(message):
    try:
        message.send()
    except AnymailAPIError as error:
        return {"error": str(error)}
    status = message.anymail_status
    return {
        "status": {address: each.status for address, each in status.recipients.items()},
        "id": status.message_id if isinstance(status.message_id, str) else None,
        "ids": [each.message_id for each in status.recipients.values() if each.message_id],
    }


def plain():
    message = EmailMultiAlternatives("Grüße", "text", f"Älice <{given['from']}>", [f"Bob Ü <{given['to']}>"])
    message.attach_alternative("<b>html</b>", "text/html")
    message.attach("t.csv", "a,b", "text/csv")
    message.reply_to = [f"Jörg <{given['from']}>"]
    message.extra_headers = {"X-Order": "17"}
    message.tags, message.metadata, message.track_opens = ["welcome"], {"order": 17}, True
    return message


def batch():
    message = EmailMessage("hi", "text", to=[given["to"], given["gone"], given["from"]])
    message.merge_data = {}
    message.merge_metadata = {given["to"]: {"n": 1}}
    return message


def to(*addresses, **more):
    return EmailMessage("hi", "text", to=list(addresses), **more)


wrong = get_connection("anymail.backends.postmark.EmailBackend", server_token=given["wrong"])
print(json.dumps({
    "plain": case(plain()),
    "cc": case(to(cc=[given["to"]], bcc=[given["from"]])),
    "batch": case(batch()),
    "inactive": case(to(given["gone"])),
    "some inactive": case(to(given["gone"], given["to"])),
    "invalid to": case(to("bob@example")),
    "foreign from": case(to(given["to"], from_email="eve@elsewhere.example")),
    "many": case(to(*given["many"])),
    "wrong token": case(to(given["to"], connection=wrong)),
}))  # fmt: skip
