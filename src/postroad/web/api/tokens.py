"""Tokens of servers, which send mail, and keys of this API. A secret is shown once, when it is made."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from postroad.accounts.tokens import ANY_SCOPE, SCOPES
from postroad.ports.ids import ServerId, TokenId, id_text, parse_id
from postroad.ports.sending import TokenKind, TokenRecord
from postroad.web.api.problems import Trouble, not_found
from postroad.web.api.routes import Call, Route
from postroad.web.api.values import (
    PAGE,
    AfterId,
    IdText,
    Limit,
    Page,
    ServerNumber,
    Time,
    existing,
    page_by_id,
    read_id,
)

Scope = Literal[  # type: ignore[valid-type]  # the table is the truth
    (*SCOPES, ANY_SCOPE)
]


class Token(Struct):
    """What is kept of a token: `hint` is the end of its secret. `server`: whose mail it sends; `scopes`: what a key
    opens. `last_used` is to the minute."""

    id: str
    kind: TokenKind
    name: str
    hint: str
    server: int | None
    scopes: tuple[str, ...]
    created: Time
    last_used: Time | None
    revoked: Time | None


class NewSecret(Struct):
    """A token just made, with its secret: it is never shown again."""

    token: Token
    secret: str


class TokenSearch(Struct, forbid_unknown_fields=True):
    """One page of tokens and keys, oldest first."""

    server: Annotated[int, Meta(ge=0, le=2**31 - 1, description="Only those of this server; 0: all.")] = 0
    revoked: Annotated[bool, Meta(description="Revoked ones too.")] = False
    limit: Limit = PAGE
    after: AfterId = ""


class NewToken(Struct, forbid_unknown_fields=True):
    """A token that sends the mail of a server."""

    name: Annotated[str, Meta(max_length=100)] = ""


class NewKey(Struct, forbid_unknown_fields=True):
    """A key of this API. It can open no more than the key that makes it."""

    name: Annotated[str, Meta(min_length=1, max_length=100, examples=["Monitoring"])]
    scopes: Annotated[
        list[Scope],
        Meta(min_length=1, max_length=20, examples=[["messages:read", "statistics:read"]]),
    ]


async def list_tokens(call: Call, *, query: TokenSearch) -> Page[Token]:
    """Tokens and keys, oldest first."""
    server = ServerId(query.server) if query.server else None
    rows = await existing(call.services.sending.tokens(server, revoked=query.revoked))
    after = read_id(query.after, "after") or 0
    rows = sorted((row for row in rows if row.id > after), key=lambda row: row.id)
    return page_by_id(rows[: query.limit + 1], query.limit, lambda row: row.id, _token)


async def get_token(call: Call, *, token: IdText) -> Token:
    """One token or key."""
    return _token(await _found(call, token))


async def add_token(call: Call, *, server: ServerNumber, body: NewToken) -> NewSecret:
    """Make a token that sends a server's mail: by HTTP, or as user and password of SMTP."""
    record = await existing(call.services.sending.server(ServerId(server)))
    made = await call.services.sending.add_token(record.id, body.name, by=call.actor)
    return NewSecret(_token(made.record), made.secret)


async def add_key(call: Call, *, body: NewKey) -> NewSecret:
    """Make a key of this API, which can open no more than whoever makes it."""
    if ANY_SCOPE not in call.scopes and (more := sorted(set(body.scopes) - set(call.scopes))):
        raise Trouble("forbidden", f"Your key does not have {', '.join(more)}, so it cannot give it.", scope=more[0])
    made = await call.services.sending.add_key(body.name, tuple(body.scopes), by=call.actor)
    return NewSecret(_token(made.record), made.secret)


async def revoke_token(call: Call, *, token: IdText) -> None:
    """From now on the token opens nothing."""
    record = await _found(call, token)
    await call.services.sending.revoke(record.id, by=call.actor)


async def _found(call: Call, text: str) -> TokenRecord:
    number = TokenId(parse_id(text) or 0)
    record = await call.services.store.read(lambda tx: tx.tokens.get(number))
    if record is None:
        raise not_found(f"There is no token {text}.")
    return record


def _token(record: TokenRecord) -> Token:
    return Token(
        id_text(record.id),
        record.kind,
        record.name,
        record.hint,
        record.server,
        record.scopes,
        record.created,
        record.last_used,
        record.revoked,
    )


READ, WRITE = "tenants:read", "tenants:write"
ROUTES = (
    Route("GET", "/tokens", READ, list_tokens),
    Route("GET", "/tokens/{token}", READ, get_token),
    Route("DELETE", "/tokens/{token}", WRITE, revoke_token, 204, refuses=True),
    Route("POST", "/keys", WRITE, add_key, 201, "/tokens/{made.token.id}", refuses=True),
    Route("POST", "/servers/{server}/tokens", WRITE, add_token, 201, "/tokens/{made.token.id}", refuses=True),
)
