"""The OpenAPI 3.1 document, written from the table that routes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from postroad import __version__
from postroad.web.api.problems import KINDS, Problem
from postroad.web.api.routes import ROOT, Plan, Source

_REFERENCE = "#/components/schemas/{name}"
_JSON, _PROBLEM = "application/json", "application/problem+json"
_ABOUT = """\
Everything that the console and the command line do, for programs. Times are UTC; ids are 13 characters; lists come in
pages, `next` of one being `after` of the following."""


def document(plans: Sequence[Plan], hostname: str) -> bytes:
    """The whole document as JSON."""
    types = [*dict.fromkeys(kind for plan in plans for kind in _types(plan)), Problem]
    schemas, components = msgspec.json.schema_components(types, ref_template=_REFERENCE)
    schema_of = dict(zip(types, schemas, strict=True))
    queries = {_name(schema_of[plan.query]) for plan in plans if plan.query is not None}
    writer = _Writer(schema_of, components)
    paths: dict[str, Any] = {}
    for plan in plans:
        paths.setdefault(ROOT + plan.route.path, {})[plan.route.method.lower()] = writer.operation(plan)
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {"title": f"Postroad at {hostname}", "version": __version__, "description": _ABOUT},
            "servers": [{"url": "/"}],
            "paths": paths,
            "components": {
                "schemas": {name: schema for name, schema in components.items() if name not in queries},
                "responses": dict(writer.refusals()),
                "securitySchemes": {
                    "key": {"type": "http", "scheme": "bearer", "description": KINDS["unauthorized"].text},
                },
            },
        }
    )


def _types(plan: Plan) -> Iterator[Any]:
    yield from plan.words.values()
    yield from (kind for kind in (plan.query, plan.body_type) if kind is not None)
    if plan.result not in (Source, type(None)):
        yield plan.result


class _Writer:
    def __init__(self, schema_of: dict[Any, Any], components: dict[str, Any]) -> None:
        self._schema_of = schema_of
        self._components = components

    def operation(self, plan: Plan) -> dict[str, Any]:
        route = plan.route
        written = {
            "operationId": route.name,
            "summary": route.summary.rstrip("."),
            "description": route.description,
            "tags": [route.path.split("/")[1]],
            "security": [{"key": [route.scope]}],
            "parameters": [*self._words(plan), *self._query(plan)],
            "requestBody": self._body(plan),
            "responses": {**self._success(plan), **dict(self._refusals(plan))},
        }
        return {name: value for name, value in written.items() if value}

    def _words(self, plan: Plan) -> Iterator[dict[str, Any]]:
        for name, kind in plan.words.items():
            yield {"name": name, "in": "path", "required": True, "schema": self._schema_of[kind]}

    def _query(self, plan: Plan) -> Iterator[dict[str, Any]]:
        if plan.query is None:
            return
        for name, schema in self._components[_name(self._schema_of[plan.query])]["properties"].items():
            yield {"name": name, "in": "query", "required": False, "schema": schema}

    def _body(self, plan: Plan) -> dict[str, Any] | None:
        if plan.body is None:
            return None
        return {"required": True, "content": {_JSON: {"schema": self._schema_of[plan.body_type]}}}

    def _success(self, plan: Plan) -> dict[str, Any]:
        if plan.result is type(None):
            return {"204": {"description": "Done"}}
        if plan.result is Source:
            content = {"message/rfc822": {"schema": {"type": "string", "format": "binary"}}}
        else:
            content = {_JSON: {"schema": self._schema_of[plan.result]}}
        answer: dict[str, Any] = {"description": plan.route.summary, "content": content}
        if plan.route.location:
            where = {"description": "Where it is", "required": True, "schema": {"type": "string"}}
            answer["headers"] = {"Location": where}
        return {str(plan.route.status): answer}

    def _refusals(self, plan: Plan) -> Iterator[tuple[str, Any]]:
        statuses = [401, 403, 503]
        statuses += [404] if plan.words or plan.query else []
        statuses += [400] if plan.query else []
        statuses += [400, 413, 415, 422] if plan.body else []
        statuses += [409] if plan.route.refuses else []
        for status in sorted(set(statuses)):
            yield str(status), {"$ref": f"#/components/responses/{status}"}

    def refusals(self) -> Iterator[tuple[str, Any]]:
        """What every operation may answer, by status."""
        content = {_PROBLEM: {"schema": self._schema_of[Problem]}}
        for status in sorted({kind.status for kind in KINDS.values()}):
            titles = [kind.title for kind in KINDS.values() if kind.status == status]
            yield str(status), {"description": "; or: ".join(titles), "content": content}


def _name(reference: dict[str, str]) -> str:
    return reference["$ref"].rpartition("/")[2]
