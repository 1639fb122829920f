"""Paths, tokens, types and errors: the same for every call."""

import json

import pytest

from postroad.testing.postmark import JSON, letter, problem_of
from postroad.web.postmark import app
from postroad.web.postmark.errors import ApiError

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("path", ["/email", "/EMAIL", "/Email/", "//email", "/email//", "/email/Batch/"])
async def test_paths_as_clients_write_them(api, path):
    content = [letter()] if "atch" in path else letter()
    assert (await api.post(f"http://mail.example.test{path}", content)).status_code == 200


@pytest.mark.parametrize("path", ["/nothing", "/email/withTemplate", "/email/batch/x", "/bounces", "/..%2f", "/ü", "/"])
async def test_what_is_not_here_is_said_in_json(api, path):
    status, code, text = problem_of(await api.post(path, {}))
    assert (status, code) == (404, 404)
    assert "POST /email/batch" in text


@pytest.mark.parametrize(("method", "path"), [("GET", "/email"), ("PUT", "/server"), ("DELETE", "/email/batch")])
async def test_methods(api, method, path):
    response = await api.web.client.request(method, path, headers=api.header())
    assert problem_of(response)[:2] == (405, 405)


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ({}, "does not contain a valid Server token"),
        ({"X-Postmark-Server-Token": ""}, "does not contain a valid Server token"),
        ({"X-Postmark-Account-Token": "00000000-0000-0000-0000-000000000000"}, "valid Server token"),
        ({"X-Postmark-Server-Token": "00000000-0000-0000-0000-000000000000"}, "using a valid token"),
        ({"X-Postmark-Server-Token": "x" * 5000}, "using a valid token"),
        ({"X-Postmark-Server-Token": "\xff"}, "using a valid token"),
    ],
)
async def test_without_a_right_token(api, header, words):
    encoded = {name: value.encode("latin-1") for name, value in header.items()}
    for method, path in (("POST", "/email"), ("POST", "/email/batch"), ("GET", "/server")):
        response = await api.web.client.request(method, path, json=letter(), headers={**JSON, **encoded})
        status, code, text = problem_of(response)
        assert (status, code) == (401, 10)
        assert words in text


async def test_every_route_wants_a_token(api):
    for path, methods in app.ROUTES.items():
        for method in methods:
            response = await api.web.client.request(method, path.format(stream="outbound"), headers=JSON)
            assert problem_of(response)[:2] == (401, 10)
            if "email" not in path:
                header = {**JSON, "X-Postmark-Server-Token": "POSTMARK_API_TEST"}
                response = await api.web.client.request(method, path.format(stream="outbound"), headers=header)
                assert problem_of(response)[:2] == (401, 10)


async def test_tokens_in_any_case_and_keys_of_the_other_api(api):
    token = api.token
    api.token = f" {token.upper()} "
    assert (await api.send()).status_code == 200
    api.token = (await api.web.services.sending.add_key("dashboard", ["*"])).secret
    assert problem_of(await api.send())[1] == 10


async def test_a_revoked_token(api):
    (token,) = await api.web.services.sending.tokens(api.server.id)
    assert (await api.send()).status_code == 200
    await api.web.services.sending.revoke(token.id)
    assert problem_of(await api.send())[1] == 10


async def test_a_token_that_is_revoked_while_the_body_comes(api):
    (token,) = await api.web.services.sending.tokens(api.server.id)
    content = json.dumps(letter()).encode()

    async def slowly():
        yield content[:10]
        await api.web.services.sending.revoke(token.id)
        yield content[10:]

    response = await api.web.client.post("/email", content=slowly(), headers=api.header())
    assert problem_of(response)[:2] == (401, 10)
    assert await api.messages() == []


@pytest.mark.parametrize(
    "header",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": ""},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Accept": "text/html"},
        {"Accept": "application/xml, text/*"},
        {"Content-Encoding": "gzip"},
    ],
)
async def test_types_that_are_not_json(api, header):
    response = await api.web.client.post("/email", content=b"{}", headers=api.header() | header)
    assert problem_of(response)[:2] == (415, 409)


@pytest.mark.parametrize(
    "header",
    [
        {"Content-Type": "application/json; charset=utf-8"},
        {"Content-Type": "APPLICATION/JSON"},
        {"Accept": "*/*"},
        {"Accept": ""},
        {"Accept": "text/html, application/json;q=0.9"},
    ],
)
async def test_types_that_are(api, header):
    assert (await api.web.client.post("/email", json=letter(), headers=api.header() | header)).status_code == 200


@pytest.mark.parametrize("body", [b"", b"{", b"null", b"5", b"\xff\xfe"])
async def test_bodies_that_are_not_json(api, body):
    response = await api.web.client.post("/email", content=body, headers=api.header())
    assert problem_of(response)[:2] == (422, 402)


async def test_a_body_that_is_too_long(api, monkeypatch):
    much = letter(TextBody="x" * (10 * 1024 * 1024))
    assert problem_of(await api.post("http://mail.example.test//Email/", much))[:2] == (413, 300)
    assert problem_of(await api.post("/server", much))[0] == 413
    assert (await api.post("/email/batch", [much])).json()[0]["ErrorCode"] == 300


async def test_every_answer_has_an_id(api):
    good, bad = await api.send(), await api.send(To="")
    assert len({good.headers["x-request-id"], bad.headers["x-request-id"]}) == 2
    number = await api.sent()
    assert (await api.message(number)).origin.connection


async def test_a_bug_of_ours_is_a_clean_500(api, monkeypatch):
    def fail(*_):
        raise RuntimeError("oops")

    monkeypatch.setattr("postroad.web.postmark.email.read_json", fail)
    status, code, text = problem_of(await api.send())
    assert (status, code) == (500, 101)
    assert "oops" not in text


async def test_routes_are_found_by_their_words():
    handler, words = app.find("GET", "/Message-Streams/Out/suppressions//dump/")
    assert handler.__name__ == "dump"
    assert words == {"stream": "out"}
    with pytest.raises(ApiError):
        app.find("GET", "/message-streams/suppressions/dump")
