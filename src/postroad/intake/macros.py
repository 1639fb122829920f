"""What milters are told beside the commands: macros by their names in sendmail, as Postfix fills them."""

from __future__ import annotations

from ipaddress import ip_address

from postroad import __version__
from postroad.intake.transaction import TRUSTED_SERVICE, MailTransaction
from postroad.intake.verdicts import Kind
from postroad.mail.envelope import Origin
from postroad.ports.ids import id_text
from postroad.ports.net import Endpoint
from postroad.routing.routes import LOCAL_DEST

_LOOPBACK = "127.0.0.1"


def client_name(mail: MailTransaction) -> str:
    """The client's confirmed name, else its address in brackets, as sendmail has it."""
    origin = mail.origin
    if origin.service == TRUSTED_SERVICE:
        return "localhost"
    if mail.visit is not None:
        for verdict in mail.visit.verdicts:
            if verdict.step == "rdns" and verdict.kind is Kind.PASS:
                return verdict.reason
    return f"[{client_address(origin)}]"


def client_address(origin: Origin) -> str:
    """What came by a Unix socket, or was made here, is of this machine."""
    return origin.client or _LOOPBACK


def family(address: str) -> bytes:
    """As the connection's packet says it."""
    try:
        return b"6" if ip_address(address).version == 6 else b"4"
    except ValueError:
        return b"U"


def of_connection(mail: MailTransaction, hostname: str, local: Endpoint) -> dict[str, str]:
    origin, name = mail.origin, client_name(mail)
    address = client_address(origin)
    return {
        "j": hostname,
        "v": f"Postroad {__version__}",
        "_": f"{name} [{address}]" if not name.startswith("[") else name,
        "{daemon_name}": origin.service,
        "{daemon_addr}": local.host,
        "{daemon_port}": str(local.port),
        "{if_name}": hostname,
        "{if_addr}": local.host,
        "{client_addr}": address,
        "{client_name}": "unknown" if name.startswith("[") else name,
        "{client_ptr}": "unknown" if name.startswith("[") else name,
        "{client_port}": str(origin.client_port),
    }


def of_greeting(origin: Origin) -> dict[str, str]:
    tls = origin.tls
    if tls is None:
        return {}
    found = {"{tls_version}": tls.version, "{cipher}": tls.cipher}
    if tls.peer_subject:
        found["{cert_subject}"] = tls.peer_subject
    return found


def of_sender(mail: MailTransaction) -> dict[str, str]:
    sender = mail.reverse_path.address
    found = {
        "{mail_addr}": str(sender) if sender is not None else "<>",
        "{mail_host}": sender.domain.ascii if sender is not None else "",
        "{mail_mailer}": "smtp" if sender is not None else "local",
    }
    if mail.origin.account:
        found |= {"{auth_type}": "AUTH", "{auth_authen}": mail.origin.account, "{auth_author}": mail.origin.account}
    return found


def of_recipient(mail: MailTransaction, name: str) -> dict[str, str]:
    led_to = (each.target.dest for each in reversed(mail.planned.values()) if name in each.recipients)
    dest = next(led_to, LOCAL_DEST)
    return {
        "{rcpt_addr}": name,
        "{rcpt_host}": name.rpartition("@")[2],
        "{rcpt_mailer}": "local" if dest == LOCAL_DEST else "smtp",
    }


def of_message(mail: MailTransaction) -> dict[str, str]:
    return {"i": id_text(mail.message)} if mail.message else {}
