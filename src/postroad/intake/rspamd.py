"""Rspamd by HTTP: a whole message is shown to it (`POST /checkv2`), and its answer says what to do.

It acts on the answer as Rspamd's own milter does: `reject` refuses, `soft reject` puts off, `add header` and `rewrite
subject` mark, and what its modules want done stands under `milter`. `greylist` and `no action` are no more than words:
where Rspamd greylists, it says `soft reject`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from postroad.config.schema import Scanner as Settings
from postroad.intake import macros
from postroad.intake.drafts import Draft
from postroad.intake.scanners import Changes, Circuit, ScannerFailed, Slots
from postroad.intake.transaction import MailTransaction
from postroad.mail.address import ForwardPath
from postroad.mail.status import Status, status
from postroad.ports.http import HttpClient, HttpFailed
from postroad.ports.ids import id_text
from postroad.ports.net import Endpoint
from postroad.proto.milterwire import AddRecipient, ChangeSender
from postroad.proto.smtp.parameters import RcptParameters

MAX_ANSWER = 4 * 1024 * 1024
MAX_RECIPIENTS = 1000  # that it is told of
_SPAM = status(550, "5.7.1", "refused as spam")
_LATER = status(451, "4.7.1", "not now, try again later")
_MARK = ("X-Spam", "Yes")  # of `add header`, unless the answer has another


class RspamdScanner:
    """One configured Rspamd. Implements intake.scanners.Scanner."""

    def __init__(self, settings: Settings, http: HttpClient, slots: Slots, circuit: Circuit, hostname: str) -> None:
        self.settings = settings
        self.http = http
        self.slots = slots
        self.circuit = circuit
        self.hostname = hostname
        self.url = settings.url.removeprefix("rspamd:").rstrip("/") + "/checkv2"

    def talk(self, local: Endpoint) -> RspamdTalk:  # noqa: ARG002 - it is not asked
        return RspamdTalk(self)


class RspamdTalk:
    """Implements intake.scanners.Talk: it has nothing to say before the message is there."""

    def __init__(self, scanner: RspamdScanner) -> None:
        self.scanner = scanner
        self.words: list[str] = []

    async def mail(self, mail: MailTransaction) -> Status | None:  # noqa: ARG002
        self.words = []
        return None

    async def rcpt(self, mail: MailTransaction, path: ForwardPath, parameters: RcptParameters) -> None: ...

    async def rejected(self, path: ForwardPath, refusal: Status) -> None: ...

    async def data(self, mail: MailTransaction) -> None: ...

    async def unknown(self, line: str) -> None: ...

    def reset(self) -> None: ...

    def close(self) -> None: ...

    async def message(self, mail: MailTransaction, draft: Draft, changes: Changes) -> Status | None:
        scanner = self.scanner
        if draft.size > scanner.settings.max_size:
            self.words.append(f"too large for it: {draft.size} octets")
            return None
        scanner.circuit.check()
        return self._act(Said(await self._check(mail, draft)), draft, changes)

    async def _check(self, mail: MailTransaction, draft: Draft) -> Mapping[str, Any]:
        """Its answer. Raises ScannerFailed."""
        scanner, settings = self.scanner, self.scanner.settings
        try:
            async with asyncio.timeout(settings.connect_timeout):
                await scanner.slots.take()
        except TimeoutError:
            raise ScannerFailed("limits.max_scans conversations with scanners are under way") from None
        block = draft.fields.header.raw
        headers = [*_about(mail, scanner.hostname), ("Content-Length", str(len(block) + draft.body.size))]
        content = block + draft.body.small_content() if draft.body.is_small else _streamed(block, draft)
        try:
            answer = await scanner.http.request(
                "POST",
                scanner.url,
                headers=headers,
                body=content,
                timeout=settings.message_timeout,
                connect_timeout=settings.connect_timeout,
                max_answer=MAX_ANSWER,
            )
        except HttpFailed as error:
            raise ScannerFailed(str(error)) from error
        finally:
            scanner.slots.give()
        if answer.status != 200:
            said = answer.body[:200].decode("utf-8", "replace").strip()
            raise ScannerFailed(f"it answered {answer.status}: {said}")
        try:
            return msgspec.json.decode(answer.body, type=dict[str, Any])
        except (msgspec.MsgspecError, ValueError) as error:
            raise ScannerFailed("its answer cannot be read") from error

    def _act(self, said: Said, draft: Draft, changes: Changes) -> Status | None:
        action = said.action
        score = f" ({said.score:g} of {said.limit:g})" if said.limit else ""
        self.words.append(f"{action}{score}{said.symbols}")
        if action == "reject":
            return self._reject(said, changes)
        if action == "soft reject":
            return status(451, "4.7.1", said.words).because(self.words[0]) if said.words else _LATER
        if action == "discard":
            changes.discard = self.scanner.settings.name
            return None
        if action == "quarantine":
            changes.quarantine = self._why()
        self._change(said, draft, changes)
        return None

    def _reject(self, said: Said, changes: Changes) -> Status | None:
        """Unless its settings have such mail kept back, or dropped in silence."""
        instead = said.milter.get("reject")
        if instead == "discard":
            changes.discard = self.scanner.settings.name
        elif instead == "quarantine":
            changes.quarantine = self._why()
        else:
            refused = status(550, "5.7.1", said.words) if said.words else _SPAM
            return refused.because(self.words[0])
        return None

    def _why(self) -> str:
        return f"{self.scanner.settings.name}: {self.words[0]}"

    def _change(self, said: Said, draft: Draft, changes: Changes) -> None:
        for name, index in said.removed:
            draft.fields.remove(name, index)
            self.words.append(f"removed {name.decode()}")
        for name, value, place in said.added:
            if place is None:
                draft.fields.add(name, b" " + value)
            else:
                draft.fields.insert(place, name, b" " + value)
            self.words.append(f"added {name.decode()}")
        if said.action == "rewrite subject" and said.subject:
            draft.fields.change(1, b"Subject", b" " + said.subject)
            self.words.append("changed Subject")
        milter = said.milter
        if isinstance(sender := milter.get("change_from"), str):
            changes.sender = ChangeSender(sender.encode())
            self.words.append(f"sender is now {sender}")
        changes.added += [AddRecipient(each.encode()) for each in _texts(milter.get("add_rcpt"))]
        changes.removed += [each.encode() for each in _texts(milter.get("del_rcpt"))]
        self.words += [f"added recipient {each}" for each in _texts(milter.get("add_rcpt"))]
        self.words += [f"removed recipient {each}" for each in _texts(milter.get("del_rcpt"))]


class Said:
    """What Rspamd answered, as far as it makes sense."""

    def __init__(self, answer: Mapping[str, Any]) -> None:
        self.action = _line(str(answer.get("action") or "no action"))
        self.score, self.limit = _number(answer.get("score")), _number(answer.get("required_score"))
        self.milter = _table(answer.get("milter"))
        self.words = _line(str(_table(answer.get("messages")).get("smtp_message") or ""))
        self.subject = str(answer.get("subject") or "").encode("utf-8", "replace")
        self._answer = answer

    @property
    def symbols(self) -> str:
        """The weightiest, for the operator."""
        found = [
            (abs(_number(_table(symbol).get("score"))), name)
            for name, symbol in _table(self._answer.get("symbols")).items()
        ]
        names = [name for score, name in sorted(found, reverse=True)[:3] if score]
        return f" {' '.join(names)}" if names else ""

    @property
    def removed(self) -> list[tuple[bytes, int]]:
        """Fields that go: the name, and which of them (0: all; from the end below zero)."""
        wanted = _table(self.milter.get("remove_headers"))
        return [
            (name.encode(), index if isinstance(index, int) else 0) for name, index in wanted.items() if _is_name(name)
        ]

    @property
    def added(self) -> Iterator[tuple[bytes, bytes, int | None]]:
        """Fields that come: name, value, and the place (None: at the end)."""
        for name, value in _table(self.milter.get("add_headers")).items():
            for one in value if isinstance(value, list) else [value]:
                table = one if isinstance(one, dict) else {"value": one}
                if isinstance(text := table.get("value"), str) and _is_name(name):
                    yield name.encode(), _octets(text), _place(table.get("order"))
        if self.action == "add header":
            name, text = self._mark
            yield name.encode(), _octets(text), None
        for signature in _texts(self._answer.get("dkim-signature")):
            yield b"DKIM-Signature", _octets(signature), 1

    @property
    def _mark(self) -> tuple[str, str]:
        mark = self.milter.get("spam_header")
        if isinstance(mark, str):
            return _MARK[0], mark
        pairs = [(name, text) for name, text in _table(mark).items() if isinstance(text, str) and _is_name(name)]
        return pairs[0] if pairs else _MARK


def _about(mail: MailTransaction, hostname: str) -> Iterator[tuple[str, str]]:
    """What it is told beside the message."""
    origin, name = mail.origin, macros.client_name(mail)
    pairs = [
        ("IP", macros.client_address(origin)),
        ("Helo", origin.helo),
        ("Hostname", "" if name.startswith("[") else name),
        ("From", str(mail.reverse_path) or "<>"),
        ("User", origin.account),
        ("Queue-Id", id_text(mail.message)),
        ("MTA-Name", hostname),
        ("MTA-Tag", "postroad"),
        ("TLS-Version", origin.tls.version if origin.tls else ""),
        ("TLS-Cipher", origin.tls.cipher if origin.tls else ""),
        *(("Rcpt", name) for name in mail.recipients[:MAX_RECIPIENTS]),
    ]
    return ((name, _line(text)) for name, text in pairs if text)


async def _streamed(block: bytes, draft: Draft) -> AsyncIterator[bytes]:
    yield block
    async for piece in draft.body.pieces():
        yield piece


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _texts(value: Any) -> Sequence[str]:
    return [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, str) and each]


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _place(value: Any) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None


def _is_name(name: str) -> bool:
    """RFC 5322 §3.6.8."""
    return 0 < len(name) <= 200 and all("!" <= letter <= "~" and letter != ":" for letter in name)


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _line(text: str) -> str:
    """What may stand in a field of HTTP, or in a reply."""
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()[:2000]
