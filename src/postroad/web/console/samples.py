"""How to send, in the words of the tools that people use: texts with the address and the token put in. Pure."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit


class Sample(NamedTuple):
    """One way to send: its key and name, and what to paste."""

    key: str
    label: str
    text: str
    note: str


_CURL = """\
curl {base}/email \\
  -H "Content-Type: application/json" \\
  -H "X-Postmark-Server-Token: {token}" \\
  -d '{{"From": "{sender}",
       "To": "someone@example.org",
       "Subject": "Hello",
       "TextBody": "It works."}}'"""

_PYTHON = """\
# pip install postmarker
from postmarker.core import PostmarkClient

client = PostmarkClient(
    server_token="{token}",
    root_api_url="{base}/",
)
client.emails.send(
    From="{sender}",
    To="someone@example.org",
    Subject="Hello",
    TextBody="It works.",
)"""

_NODE = """\
// npm install postmark
const {{ ServerClient }} = require("postmark");

const client = new ServerClient("{token}", {{
  useHttps: {https},
  requestHost: "{host}",
}});
client.sendEmail({{
  From: "{sender}",
  To: "someone@example.org",
  Subject: "Hello",
  TextBody: "It works.",
}});"""

_SAMPLES = (
    Sample("curl", "curl", _CURL, "Any language: one request for one message."),
    Sample("python", "Python", _PYTHON, "Postmark's clients work as they are: only the address is another."),
    Sample("node", "Node", _NODE, "Postmark's own client for Node: only the address is another."),
)


def samples(base: str, token: str, sender: str) -> list[Sample]:
    """`base` is the address of this server, without a path."""
    parts = urlsplit(base)
    values = {
        "base": base,
        "token": token,
        "sender": sender,
        "host": parts.netloc,
        "https": "true" if parts.scheme == "https" else "false",
    }
    return [sample._replace(text=sample.text.format_map(values)) for sample in _SAMPLES]
