"""The page docs/reference/http-api.md, written from the table of the API; a test keeps the two one."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec

from postroad.accounts.tokens import SCOPES
from postroad.web.api.app import DOCUMENT, ROUTES
from postroad.web.api.openapi import document
from postroad.web.api.problems import KINDS, PLACE
from postroad.web.api.routes import plan

_HEAD = f"""\
# HTTP API

<!-- Written by `python -m postroad.web.api.reference`; change src/postroad/web/api/ instead. -->

Everything that the console and the command line do, for programs. A server describes its own API in OpenAPI 3.1 at
`{DOCUMENT}`, which nobody needs a key to read: give it to a generator of clients, or to a viewer. (To *send* mail, use
SMTP or the Postmark-compatible API at the root of the same listener.)

```sh
postroad token add --key --name Monitoring --scope statistics:read --scope queue:read
curl -H "Authorization: Bearer pr_..." https://mail.example.com/api/v1/queue/summary
```

- **Who asks**: a key in `Authorization: Bearer KEY`. A key opens as much as its scopes say, and can make keys that open
  no more than itself. In the console's own pages the session does as well; a change then needs `X-CSRF-Token`.
- **JSON** in UTF-8, `Content-Type: application/json`. Field names are `snake_case`; unknown ones are refused, so that a
  slip of the pen is not taken for a wish. A body has at most `http.max_body_size` octets.
- **Ids** are 13 characters that sort by time. A message is also found by the id of one of its recipients, and by its
  UUID, the MessageID of Postmark's clients. **Times** are UTC, `2026-11-23T09:00:00Z`.
- **Pages**: a list answers `{{"items": [...], "next": ...}}`. `next` is the `after` of the following page; `null`: that
  was all. `limit` is 50 unless told, at most 200.
- **Success** is 200, 201 with `Location` where something was made, 204 where there is nothing to say.
- **Problems** are RFC 9457, `application/problem+json`: `type`, `title`, `status`, and `detail`, which says what to do.
- **HEAD** answers like GET without the body, **OPTIONS** with the methods of the address.
- **Every change** stands in the audit log, with the key that made it.

The listener bounds what a client may cost: line and header fields, bodies, patience, connections; see `[http]` and
`[limits]` in [settings](settings.md). A client that is slow gets 408, one that sends too much 413, 414 or 431, and one
that finds no room 503 with `Retry-After`. Behind a reverse proxy, name it in `http.trusted_proxies`, so
that its word on the client is believed, and in `limits.exempt`, so that it may hold more connections than one client.
"""


def api_page() -> str:
    """The whole page."""
    found = _choices_in_place(msgspec.json.decode(document([plan(route) for route in ROUTES], "mail.example.com")))
    lines = [_HEAD, *_scopes(), *_problems()]
    for tag, routes in groupby(ROUTES, key=lambda route: route.path.split("/")[1]):
        lines.append(f"## {tag.capitalize()}\n")
        for route in routes:
            operation = found["paths"][f"/api/v1{route.path}"][route.method.lower()]
            lines += _operation(f"{route.method} /api/v1{route.path}", operation, found)
    return "\n".join([*lines, *_records(found)]).rstrip() + "\n"


def _choices_in_place(found: Any) -> Any:
    """The document with the words of a choice where its name stood."""
    schemas = found["components"]["schemas"]

    def inside(value: Any) -> Any:
        if isinstance(value, list):
            return [inside(one) for one in value]
        if not isinstance(value, dict):
            return value
        named = schemas.get(str(value.get("$ref", "")).rpartition("/")[2], {})
        return named if "enum" in named else {name: inside(one) for name, one in value.items()}

    return inside(found)


def _records(found: Any) -> Iterator[str]:
    """What answers are made of."""
    yield "## Records\n"
    bodies = {_body_name(operation) for path in found["paths"].values() for operation in path.values()}
    for name, schema in sorted(found["components"]["schemas"].items()):
        if name not in bodies and "properties" in schema and not name.startswith("Page_"):
            yield f"### {name}\n\n{' '.join(schema.get('description', '').split())}\n"
            yield from (f"- `{field}`: {_type(inner)}" for field, inner in schema["properties"].items())
            yield ""


def _body_name(operation: Any) -> str:
    content = operation.get("requestBody", {}).get("content", {"": {"schema": {"$ref": ""}}})
    return str(next(iter(content.values()))["schema"]["$ref"].rpartition("/")[2])


def _scopes() -> Iterator[str]:
    yield "## Scopes\n\n| scope | what it opens |\n|---|---|"
    for scope, text in SCOPES.items():
        yield f"| `{scope}` | {text} |"
    yield "| `*` | everything |\n"


def _problems() -> Iterator[str]:
    yield "## Problems\n\n| status | `type` | what it means |\n|---|---|---|"
    for name, kind in KINDS.items():
        yield f"| {kind.status} | `{PLACE}{name}` | {kind.text} |"
    yield ""


def _operation(title: str, operation: Any, found: Any) -> Iterator[str]:
    yield f"### `{title}`\n"
    yield f"{operation['summary']}. {operation.get('description', '')}".rstrip() + "\n"
    yield f"Scope `{operation['security'][0]['key'][0]}`{_answers(operation)}.\n"
    rows = [*_parameters(operation), *_fields(operation, found)]
    if rows:
        yield "| name | where | type | |\n|---|---|---|---|"
        yield from rows
        yield ""


def _answers(operation: Any) -> str:
    status, answer = next(iter(operation["responses"].items()))
    schema = next(iter(answer.get("content", {"": {}}).values())).get("schema", {})
    return f"; answers {status}" + (f" with {_type(schema)}" if schema else "")


def _parameters(operation: Any) -> Iterator[str]:
    for parameter in operation.get("parameters", ()):
        yield _row(parameter["name"], parameter["in"], parameter["schema"])


def _fields(operation: Any, found: Any) -> Iterator[str]:
    if "requestBody" in operation:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        yield from _inside(schema["$ref"].rpartition("/")[2], found, "")


def _inside(name: str, found: Any, prefix: str) -> Iterator[str]:
    schema = found["components"]["schemas"][name]
    for field, inner in schema["properties"].items():
        inner_name = _object_in(inner)
        if inner_name:
            yield from _inside(inner_name, found, f"{prefix}{field}.")
        else:
            wanted = field in schema.get("required", ())
            yield _row(prefix + field, "body, required" if wanted else "body", inner)


def _object_in(schema: Any) -> str:
    reference = schema.get("$ref") or next((part["$ref"] for part in schema.get("allOf", ()) if "$ref" in part), "")
    return str(reference).rpartition("/")[2] if reference and "default" in schema else ""


def _row(name: str, where: str, schema: Any) -> str:
    return f"| `{name}` | {where} | {_type(schema)} | {schema.get('description', '')} |"


def _type(schema: Any) -> str:
    """In words. A name stands for a record below."""
    if "$ref" in schema:
        return f"`{str(schema['$ref']).rpartition('/')[2].replace('_', ' ').strip()}`"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"] if value != "")
    if "anyOf" in schema:
        return ", or ".join(_type(part) for part in schema["anyOf"])
    if "allOf" in schema:
        return _type(schema["allOf"][0])
    if schema.get("type") == "array" and "items" in schema:
        return f"list of {_type(schema['items'])}"
    kind = str(schema.get("format", schema.get("type", "")))
    return {
        "string": "text",
        "integer": "number",
        "boolean": "yes or no",
        "date-time": "time",
        "null": "null",
        "binary": "the message",
    }.get(kind, kind)


if __name__ == "__main__":
    page = Path(__file__).parents[4] / "docs" / "reference" / "http-api.md"
    page.write_text(api_page(), "utf-8")
