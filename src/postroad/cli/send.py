"""`postroad send`: compose one message and submit it by SMTP, showing the dialogue on request."""

from __future__ import annotations

import secrets
import smtplib
import ssl
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from postroad.cli.context import Context, pass_context
from postroad.cli.failures import Problem
from postroad.cli.passwords import password_option, read_password
from postroad.config.problems import ConfigError
from postroad.config.schema import Settings
from postroad.config.values import split_address
from postroad.ports.store import Refused

TIMEOUT = 60.0
_TLS = {"submission": "starttls", "submissions": "implicit"}


@click.command()
@click.option("--from", "sender", required=True, metavar="ADDRESS", help="Who it is from; also the login's name.")
@click.option("--to", "recipients", required=True, multiple=True, metavar="ADDRESS", help="May be given many times.")
@click.option("--subject", default="Hello from Postroad", show_default=True)
@click.option("--body", default=None, metavar="TEXT", help="The text; left out: standard input, when that is a pipe.")
@click.option("--attach", "attachments", multiple=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--file", "message_file", type=click.File("rb"), help="A whole message, header and all, sent as it is.")
@click.option("--server", default="", metavar="HOST:PORT", help="Left out: the submission listener configured here.")
@click.option("--tls", type=click.Choice(["starttls", "implicit", "none"]), help="Left out: as the listener has it.")
@click.option("--user", default=None, metavar="NAME", help="Log in as; left out: the sender. Empty: no login.")
@click.option("--password", default=None, metavar="TEXT", help="Better kept out of the history; see --password-stdin.")
@password_option
@click.option("--show-dialogue", "-v", is_flag=True, help="Show what is said; secrets and bodies as their lengths.")
@pass_context
def send(
    context: Context,
    *,
    sender: str,
    recipients: tuple[str, ...],
    subject: str,
    body: str | None,
    attachments: tuple[Path, ...],
    message_file: Any,
    server: str,
    tls: str | None,
    user: str | None,
    password: str | None,
    password_stdin: bool,
    show_dialogue: bool,
) -> None:
    """Compose and submit one message.

    \b
    postroad send --from alice@example.com --to bob@example.org --subject Hi --body "How are you?"
    postroad send --from alice@example.com --to bob@example.org --show-dialogue < text
    """
    settings = _settings(context, needed=not server)
    host, port, way = _server(settings, server, tls)
    name = sender if user is None else user
    secret = (password or read_password(password_stdin, confirm=False)) if name else ""
    content = message_file.read() if message_file else _compose(sender, recipients, subject, body, attachments)
    envelope_from, envelope_to = _envelope(sender), tuple(map(_envelope, recipients))
    client = _connect(settings, host, port, way, show_dialogue)
    with client:
        _log_in(client, name, secret)
        answer, refused = _submit(client, envelope_from, envelope_to, content)
    for recipient, reply in refused:
        click.echo(f"{recipient}: refused: {reply}", err=True)
    if not answer:
        raise Problem("no recipient was taken; nothing has been sent")
    click.echo(f"Accepted: {answer}")
    if refused:
        raise Problem(f"{len(refused)} of {len(recipients)} recipients were refused")


def _settings(context: Context, *, needed: bool) -> Settings | None:
    """The configuration; with --server one can do without."""
    try:
        return context.settings
    except ConfigError:
        if needed:
            raise
        return None


def _server(settings: Settings | None, named: str, tls: str | None) -> tuple[str, int, str]:
    """Host, port, and how TLS begins."""
    if named:
        host, _, port = named.rpartition(":")
        if not host or not port.isdigit():
            raise click.UsageError(f"--server {named} must be HOST:PORT")
        return host.strip("[]"), int(port), tls or ("implicit" if port.endswith("465") else "starttls")
    assert settings is not None
    for listen in settings.listen:
        if listen.service in _TLS and not listen.address.endswith(":0") and not listen.address.startswith("unix:"):
            host, number = split_address(listen.address)
            reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - what was bound, not a bind
            return reachable, number, tls or _TLS[listen.service]
    if settings.listen:
        raise Refused("no submission listener with a fixed port is configured; name a server with --server HOST:PORT")
    return "127.0.0.1", 587, tls or "starttls"


def _compose(
    sender: str, recipients: tuple[str, ...], subject: str, body: str | None, attachments: tuple[Path, ...]
) -> bytes:
    from postroad.mail.compose import Attachment, ComposeError, compose

    text = body if body is not None else "" if sys.stdin.isatty() else sys.stdin.read()
    try:
        return compose(
            header_from=sender,
            to=list(recipients),
            subject=subject,
            date=datetime.now(UTC),
            message_id=f"<{secrets.token_hex(12)}@{sender.rpartition('@')[2]}>",
            text=text or "This message was sent by `postroad send`.\n",
            attachments=[Attachment(path.name, path.read_bytes(), _media_type(path)) for path in attachments],
        )
    except ComposeError as error:
        raise Refused(str(error)) from None


def _media_type(path: Path) -> str:
    import mimetypes

    return mimetypes.guess_type(path.name)[0] or "application/octet-stream"


class _Spoken:
    """Shows a conversation as it goes; what follows AUTH is shown as its length."""

    show = False
    _secret = False

    def putcmd(self, cmd: str, args: str = "") -> None:
        if self.show:
            click.echo(f"> {self._safe(cmd, args)}", err=True)
        super().putcmd(cmd, args)  # type: ignore[misc]

    def getreply(self) -> tuple[int, bytes]:
        code, text = super().getreply()  # type: ignore[misc]
        if self.show:
            for line in text.split(b"\n"):
                click.echo(f"< {code} {line.decode('utf-8', 'replace')}", err=True)
        self._secret = code == 334  # RFC 4954 §4: what we say next is a response
        return code, text

    def _safe(self, cmd: str, args: str) -> str:
        if self._secret:
            return f"<response, {len(cmd)} octets>"
        if cmd.upper() == "AUTH":
            mechanism, _, initial = args.partition(" ")
            return f"AUTH {mechanism}" + (f" <response, {len(initial)} octets>" if initial else "")
        return f"{cmd} {args}".rstrip()


class _Plain(_Spoken, smtplib.SMTP):
    pass


class _Implicit(_Spoken, smtplib.SMTP_SSL):
    pass


def _connect(settings: Settings | None, host: str, port: int, tls: str, show: bool) -> smtplib.SMTP:
    trust = _trust(settings)
    client: _Plain | _Implicit
    client = _Implicit(timeout=TIMEOUT, context=trust) if tls == "implicit" else _Plain(timeout=TIMEOUT)
    client.show = show
    client._host = host  # type: ignore[union-attr]  # the name that smtplib checks the certificate by
    code, text = client.connect(host, port)
    if code != 220:
        raise Refused(f"{host}:{port} does not want to talk: {code} {text.decode('utf-8', 'replace')}")
    client.ehlo_or_helo_if_needed()
    if tls == "starttls":
        if not client.has_extn("starttls"):
            raise Refused(f"{host}:{port} does not offer STARTTLS; --tls none goes without, in the clear")
        client.starttls(context=trust)
        client.ehlo()
    return client


def _trust(settings: Settings | None) -> ssl.SSLContext:
    """Who may be our server: the very certificate that is configured here, else whoever the system trusts."""
    context = ssl.create_default_context()
    if settings and settings.tls.certificate:
        context.load_verify_locations(settings.tls.certificate)
        context.check_hostname = False  # we dial 127.0.0.1, the certificate names the host
    return context


def _log_in(client: smtplib.SMTP, name: str, secret: str) -> None:
    if not name:
        return
    try:
        client.login(name, secret)
    except smtplib.SMTPNotSupportedError:
        raise Refused("the server offers no login here; use the submission port, with TLS") from None
    except smtplib.SMTPAuthenticationError as error:
        raise Refused(f"login as {name} failed: {error.smtp_code} {_text(error.smtp_error)}") from None


def _envelope(text: str) -> str:
    """An address as SMTP without SMTPUTF8 has it: its domain in A-labels."""
    from postroad.mail.address import Address, AddressError

    if not text:
        return ""  # the null reverse-path
    try:
        address = Address.parse(text)
    except AddressError as error:
        raise Refused(f"`{text}` is not an address: {error}") from None
    if not address.is_ascii:
        raise Refused(f"`{text}` has letters outside ASCII before its @, which few servers take yet")
    return str(address)


def _submit(
    client: smtplib.SMTP, sender: str, recipients: tuple[str, ...], content: bytes
) -> tuple[str, list[tuple[str, str]]]:
    """The server's answer to the message (empty: nobody took it), and the refused recipients."""
    code, text = client.mail(sender, [f"size={len(content)}"] if client.has_extn("size") else [])
    if code != 250:
        raise Refused(f"the sender {sender} was refused: {code} {_text(text)}")
    replies = [(recipient, *client.rcpt(recipient)) for recipient in recipients]
    refused = [(recipient, f"{code} {_text(text)}") for recipient, code, text in replies if code not in (250, 251)]
    if len(refused) == len(recipients):
        return "", refused
    code, text = client.data(content)
    if code != 250:
        raise Refused(f"the message was refused: {code} {_text(text)}")
    return f"{code} {_text(text)}", refused


def _text(reply: bytes | str) -> str:
    return reply if isinstance(reply, str) else reply.decode("utf-8", "replace")
