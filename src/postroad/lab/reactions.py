"""What simulated receivers send back for mail that they have taken: bounces, complaints, answers of robots."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from postroad.lab.visitors import Talk
from postroad.mail.header import header_size
from postroad.ports.net import Endpoint

if TYPE_CHECKING:
    from postroad.lab.receivers import Letter


@dataclass(frozen=True, slots=True)
class Reaction:
    """One message of a receiver's own, some time after it has taken another."""

    host: str  # who sends it
    recipient: str
    content: bytes
    reverse_path: str = ""
    after: float = 0.0  # seconds


def header_of(letter: Letter) -> bytes:
    """What a report gives back of a letter; nothing where contents are not kept."""
    content = letter.content or b"\r\n"
    return content[: header_size(content)]


async def post(reaction: Reaction, server: Endpoint) -> str:
    """Bring it to a server; the last word of that one. Raises OSError, TimeoutError."""
    reader, writer = await asyncio.open_connection(server.host, server.port)
    talk = Talk(reader, writer, reaction.host, reaction.recipient)
    try:
        await talk.hear()
        await talk.ask(f"EHLO {reaction.host}")
        await talk.ask(f"MAIL FROM:<{reaction.reverse_path}>")
        answer = await talk.ask(f"RCPT TO:<{reaction.recipient}>")
        if answer.startswith("250"):
            await talk.ask("DATA")
            writer.write(reaction.content.replace(b"\r\n.", b"\r\n..") + b".\r\n")
            answer = await talk.hear()
        await talk.ask("QUIT")
        return answer
    finally:
        writer.close()
