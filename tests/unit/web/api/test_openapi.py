"""The document says what the table says; methods that are not there are answered; problems explain themselves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from postroad.testing.api import PLANS, Api
from postroad.web.api.problems import KINDS, PLACE
from postroad.web.api.reference import api_page
from postroad.web.api.routes import ROOT


async def document(api: Api) -> Any:
    answer = await api.nobody().ask("GET", "/api/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    return answer.json()


async def test_every_row_is_an_operation_with_words_and_scope(api: Api) -> None:
    found = await document(api)
    assert found["openapi"] == "3.1.0"
    operations = [(ROOT + one.route.path, one) for one in PLANS]
    assert sum(len(methods) for methods in found["paths"].values()) == len(operations)
    for path, one in operations:
        operation = found["paths"][path][one.route.method.lower()]
        assert operation["operationId"] == one.route.name
        assert operation["summary"], one.route
        assert operation["security"] == [{"key": [one.route.scope]}]
        names = [parameter["name"] for parameter in operation.get("parameters", ())]
        assert len(set(names)) == len(names)


async def test_operations_and_schemas_have_names_of_their_own(api: Api) -> None:
    assert len({one.route.name for one in PLANS}) == len(PLANS)
    found = await document(api)
    assert not set(references(found)) - {
        f"#/components/{kind}/{name}" for kind in ("schemas", "responses") for name in found["components"][kind]
    }
    assert not [name for name in found["components"]["schemas"] if name.startswith("postroad")], "two of one name"


async def test_examples_of_the_document_fit_their_schemas(api: Api) -> None:
    text = json.dumps(await document(api))
    assert "one.test" not in text
    assert "alice@example.com" in text


async def test_a_problem_s_type_leads_to_what_it_means(api: Api) -> None:
    for kind, row in KINDS.items():
        answer = await api.nobody().ask("GET", PLACE + kind)
        assert row.title in answer.text
        assert str(row.status) in answer.text


def test_the_reference_is_clean() -> None:
    page = Path(__file__).parents[4] / "docs" / "reference" / "http-api.md"
    assert page.read_text("utf-8") == api_page(), "run: .venv/bin/python -m postroad.web.api.reference"


async def test_methods(api: Api) -> None:
    answer = await api.nobody().ask("OPTIONS", "/domains")
    assert (answer.status_code, answer.headers["allow"]) == (204, "GET, HEAD, OPTIONS, POST")
    for method, path in (("PUT", "/domains"), ("POST", "/api/openapi.json"), ("TRACE", "/queue/summary")):
        answer = await api.nobody().ask(method, path)
        assert answer.status_code == 405
        assert "GET" in answer.headers["allow"]
    head = await api.ask("HEAD", "/domains")
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) > 0


NOWHERE = (
    "/api", "/api/", "/api/v1", "/api/v1/", "/api/v2/domains", "/domains/", "/none", "/domains//records",
    "/api/problems/none", "/{}", "/messages/",
)  # fmt: skip


async def test_what_is_not_there(api: Api) -> None:
    for path in NOWHERE:
        assert "/api/openapi.json" in await api.refused("GET", path, 404), path


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)
