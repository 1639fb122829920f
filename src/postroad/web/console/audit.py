"""The audit log as sentences: who did what, when and from where; newest first, searched as one types."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from postroad.accounts.audit import Action
from postroad.ports.admins import AuditRecord
from postroad.ports.ids import AuditId, id_text, parse_id
from postroad.web.console.chosen import cause_words, dest_words
from postroad.web.console.forms import count, services_of
from postroad.web.console.readable import readable_address
from postroad.web.console.render import page
from postroad.web.console.wording import size

PAGE = 50
_ACTORS = {  # icon, and what kind of actor it is
    "admin": ("admins", "administrator"),
    "key": ("keys", "API key"),
    "token": ("keys", "server token"),
    "command line": ("device", "command line"),
    "system": ("servers", "by itself"),
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One row in words: who, did what (`before`, the target, `after`), and more in small print."""

    record: AuditRecord
    icon: str
    kind: str
    before: str
    target: str
    after: str
    more: str
    bad: bool


async def show_audit(request: Request) -> Response:
    find = request.query_params.get("q", "").strip()
    after = parse_id(request.query_params.get("after", ""))
    records = await services_of(request).store.read(
        lambda tx: tx.audit.page(AuditId(after) if after else None, PAGE + 1, find)
    )
    shown = [entry_of(record) for record in records[:PAGE]]
    following = id_text(shown[-1].record.id) if len(records) > PAGE else ""
    return page(
        request, "audit.html", fragment="audit_list", entries=shown, find=find, following=following, after=after
    )


def entry_of(record: AuditRecord) -> Entry:
    """Pure."""
    icon, kind = _ACTORS.get(record.kind, ("question", record.kind))
    if record.action.startswith(f"{Action.QUEUE} "):
        before, after = _QUEUE.get(record.action.partition(" ")[2], (record.action, ""))
        reached = sum(number for name in _REACHED if isinstance(number := record.detail.get(name), int))
        terms = {name: value for name, value in record.detail.items() if name not in _REACHED}
        return Entry(record, icon, kind, before, count(reached, "recipient"), after, _more(terms), bad=False)
    before, after = _SENTENCES.get(record.action, (record.action, ""))
    target = "" if record.action in _ONESELF and record.target == record.actor else readable_address(record.target)
    bad = record.action == Action.SIGN_IN_REFUSED
    return Entry(
        record,
        icon,
        kind,
        before if target else _ONESELF.get(record.action, before),
        target,
        after,
        _more(record.detail),
        bad,
    )


_REACHED = ("changed", "asked")  # in the detail of an action on the queue


_QUEUE = {
    "retry": ("had", "tried at once"),
    "hold": ("held", ""),
    "release": ("released", ""),
    "cancel": ("cancelled", ""),
}
_ONESELF: dict[str, str] = {Action.SIGNED_IN: "signed in", Action.SIGN_IN_REFUSED: "could not sign in"}
_SENTENCES: dict[str, tuple[str, str]] = {
    Action.DOMAIN_ADDED: ("added the domain", ""),
    Action.DOMAIN_REMOVED: ("removed the domain", ""),
    Action.RETURN_PATH_SET: ("set the return path of", ""),
    Action.RETURN_PATH_CLEARED: ("took back the return path of", ""),
    Action.ACCOUNT_ADDED: ("added the account", ""),
    Action.ACCOUNT_REMOVED: ("removed the account", "with its mail"),
    Action.ACCOUNT_PASSWORD: ("set the password of", ""),
    Action.ACCOUNT_QUOTA: ("set the quota of", ""),
    Action.ALIAS_SET: ("set the alias", ""),
    Action.ALIAS_REMOVED: ("removed the alias", ""),
    Action.SERVER_ADDED: ("added the server", ""),
    Action.SERVER_CHANGED: ("changed the server", ""),
    Action.SERVER_REMOVED: ("removed the server", ""),
    Action.STREAM_ADDED: ("added the stream", ""),
    Action.STREAM_ARCHIVED: ("archived the stream", ""),
    Action.STREAM_UNARCHIVED: ("brought back the stream", ""),
    Action.TOKEN_ADDED: ("made the token", ""),
    Action.TOKEN_REVOKED: ("revoked the token", ""),
    Action.ADDRESS_SUPPRESSED: ("suppressed", ""),
    Action.ADDRESS_UNSUPPRESSED: ("let", "have mail again"),
    Action.ADMIN_ADDED: ("added the administrator", ""),
    Action.ADMIN_REMOVED: ("removed the administrator", ""),
    Action.ADMIN_PASSWORD: ("set the password of the administrator", ""),
    Action.TOTP_BEGUN: ("began to set up an authenticator app for", ""),
    Action.TOTP_ADDED: ("added an authenticator app for", ""),
    Action.TOTP_REMOVED: ("removed the authenticator app of", ""),
    Action.PASSKEY_ADDED: ("added a passkey for", ""),
    Action.PASSKEY_REMOVED: ("removed a passkey of", ""),
    Action.LINK_MADE: ("made a sign-in link for", ""),
    Action.SIGNED_IN: ("signed in as", ""),
    Action.SIGN_IN_REFUSED: ("could not sign in as", ""),
    Action.SESSION_ENDED: ("ended a session of", ""),
    Action.SESSIONS_ENDED: ("ended the other sessions of", ""),
}


def _more(detail: Mapping[str, Any]) -> str:
    return "; ".join(text for name, value in detail.items() if (text := _DETAILS.get(name, _plain(name))(value)))


def _plain(name: str) -> Callable[[Any], str]:
    words = name.replace("_", " ")
    return lambda value: f"{words}: {_text(value)}" if value not in ("", None, [], {}, False) else ""


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(inner)}" for name, inner in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return "yes" if value is True else str(value)


_DETAILS: dict[str, Callable[[Any], str]] = {
    "targets": lambda value: f"to {_text(value)}",
    "quota_bytes": lambda value: f"at most {size(value)}" if value else "no limit",
    "dest": lambda value: f"to {dest_words(value)}",
    "cause": cause_words,
    "method": lambda value: f"by {value}",
    "why": str,
    "kind": lambda _: "",  # the sentence says it
    "server": lambda _: "",
    "expires": lambda _: "",
}


ROUTES = [Route("/audit", show_audit)]
