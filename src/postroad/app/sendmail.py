"""What `sendmail` asks of the running server: a message from a program of this machine, with classic conveniences.

The envelope sender may be a bare user name; with `from_header` (-t) the recipients stand in To, Cc and Bcc; a message
without From gets one. Bcc is taken out and Date and Message-ID are added where they are missing by `intake`.
"""

from __future__ import annotations

from email.utils import formataddr
from typing import Any

from postroad.app.arguments import Arguments
from postroad.app.services import Services
from postroad.intake.fields import wire_lines
from postroad.mail.addresses import MISSING_DOMAIN, parse_addresses
from postroad.mail.header import Header
from postroad.ports.store import DomainKind, Refused, Tx
from postroad.proto.smtp.encodings import encode_xtext
from postroad.proto.smtp.parameters import MailParameters, RcptParameters, read_mail_parameters, read_rcpt_parameters
from postroad.proto.smtp.reply import CommandFault

_RECIPIENT_FIELDS = (b"to", b"cc", b"bcc")


async def sendmail(services: Services, arguments: Arguments) -> dict[str, Any]:
    """Submit one message. The answer is the reply that SMTP would give."""
    if services.intake is None:
        raise Refused("sendmail needs the running server")
    limit = services.settings.limits.max_message_size
    content = wire_lines(await _gather(arguments, limit))
    header = Header.of(content)
    recipients = arguments.texts("recipients")
    if arguments.truth("from_header"):
        recipients = [*recipients, *header_recipients(header)]
    if not recipients:
        raise Refused("there are no recipients, neither named nor in To, Cc or Bcc")
    sender = await _sender(services, arguments.text("sender"))
    if not header.has(b"from") and sender:
        content = _from_field(arguments.text("full_name"), sender) + content
    recipients = [await _complete(services, recipient) for recipient in dict.fromkeys(recipients)]
    parameters, wish = _wishes(arguments)
    status = await services.intake.submit_local(sender, recipients, content, parameters=parameters, wish=wish)
    enhanced = str(status.enhanced or "")
    return {"reply_code": status.reply_code, "enhanced": enhanced, "text": f"{status}{_why(status.cause)}"}


def _wishes(arguments: Arguments) -> tuple[MailParameters, RcptParameters]:
    """What -R, -V and -N ask of reports (RFC 3461 §4), for the message and for each recipient."""
    given = {"RET": arguments.text("ret"), "ENVID": encode_xtext(arguments.text("envid"))}
    notify = arguments.text("notify")
    try:
        mail = read_mail_parameters(" ".join(f"{word}={value}" for word, value in given.items() if value))
        return mail, read_rcpt_parameters(f"NOTIFY={notify}" if notify else "")
    except CommandFault as fault:
        raise Refused(str(fault)) from None


def _why(cause: str) -> str:
    return f" ({cause})" if cause else ""


async def _gather(arguments: Arguments, limit: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in arguments.content:
        size += len(chunk)
        if size > limit:
            raise Refused(f"the message is larger than limits.max_message_size, {limit} octets")
        chunks.append(chunk)
    return b"".join(chunks)


def header_recipients(header: Header) -> list[str]:
    """The addresses in To, Cc and Bcc."""
    found = []
    for name in _RECIPIENT_FIELDS:
        for value in header.all(name):
            for mailbox in parse_addresses(value):
                if mailbox.local_part and mailbox.domain:  # a group's name and its end have no domain
                    bare = mailbox.domain == MISSING_DOMAIN
                    found.append(_text(mailbox.local_part) + ("" if bare else f"@{_text(mailbox.domain)}"))
    return found


def _text(part: bytes) -> str:
    return part.decode("utf-8", "replace")


async def _sender(services: Services, given: str) -> str:
    return "" if given == "<>" else await _complete(services, given.strip("<>"))


async def _complete(services: Services, address: str) -> str:
    """A bare user name belongs to our own domain: the host's, else the first one with mailboxes."""
    if not address or "@" in address:
        return address
    hostname = services.settings.hostname

    def domain(tx: Tx) -> str:
        names = [record.name for record in tx.domains.list() if record.kind is DomainKind.LOCAL]
        return hostname if hostname in names or not names else names[0]

    return f"{address}@{await services.store.read(domain)}"


def _from_field(full_name: str, sender: str) -> bytes:
    safe = "".join(character for character in full_name if character.isprintable())
    return f"From: {formataddr((safe, sender)) if safe else sender}\r\n".encode()
