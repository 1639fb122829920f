"""The audit log: who changed what, and who signed in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Meta, Struct

from postroad.ports.admins import AuditRecord
from postroad.ports.ids import AuditId, id_text
from postroad.web.api.routes import Call, Route
from postroad.web.api.values import ById, Page, Text, Time, page_by_id, read_id


class AuditSearch(ById, forbid_unknown_fields=True):
    """One page of the log, newest first."""

    text: Annotated[Text, Meta(description="Stands somewhere in actor, client, action or target.")] = ""


class AuditRow(Struct):
    """One change or login. `kind` is the actor's: admin, key, token, command line, system."""

    id: str
    at: Time
    kind: str
    actor: str
    client: str
    action: str
    target: str
    detail: Mapping[str, Any]


async def list_audit(call: Call, *, query: AuditSearch) -> Page[AuditRow]:
    """The audit log, newest first."""
    after = read_id(query.after, "after")
    rows = await call.services.audit.page(AuditId(after) if after else None, query.limit + 1, query.text)
    return page_by_id(rows, query.limit, lambda row: row.id, _row)


def _row(record: AuditRecord) -> AuditRow:
    return AuditRow(
        id_text(record.id),
        record.at,
        record.kind,
        record.actor,
        record.client,
        record.action,
        record.target,
        record.detail,
    )


ROUTES = (Route("GET", "/audit", "audit:read", list_audit),)
