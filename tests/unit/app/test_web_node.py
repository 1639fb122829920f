"""HTTP as a part of a node: listeners, certificate, sockets, the end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx

from postroad.app.roles import listeners
from postroad.config.load import load
from postroad.testing.network import write_certificate
from postroad.testing.server import running_node, write_configuration
from postroad.testing.site import trusting
from postroad.testing.web import web_node


async def test_http_https_and_metrics_stand_side_by_side(tmp_path: Path) -> None:
    async with web_node(tmp_path, ("http", "https", "metrics")) as (node, client):
        assert (await client.get("/api/openapi.json")).status_code == 200
        assert (await client.get("/", headers={"accept": "text/html"})).headers["location"] == "/console/"
        assert (await client.get("/console/static/none")).status_code == 404
        assert (await client.get("/.well-known/none")).status_code == 404
        async with httpx.AsyncClient(verify=trusting()) as other:
            secure = f"https://{node.endpoints['https'][0]}"
            assert (await other.get(f"{secure}/api/openapi.json")).status_code == 200
            metrics = f"http://{node.endpoints['metrics'][0]}"
            page = (await other.get(f"{metrics}/metrics")).text
            assert 'postroad_connections_total{service="https"}' in page
            assert (await other.get(f"{metrics}/api/openapi.json")).status_code == 404


async def test_a_new_certificate_is_taken_on_reload(tmp_path: Path) -> None:
    async with web_node(tmp_path, ("https",)) as (node, client):
        endpoint = node.endpoints["https"][0]
        before = await certificate(endpoint.host, endpoint.port)
        write_certificate(tmp_path, "mail.example.test", "127.0.0.1")
        node.reload(node.settings)
        assert await certificate(endpoint.host, endpoint.port) != before
        assert (await client.get("/api/openapi.json")).status_code == 200


async def certificate(host: str, port: int) -> bytes:
    _, writer = await asyncio.open_connection(host, port, ssl=trusting())
    found: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await writer.wait_closed()
    return found


async def test_a_unix_socket_behind_a_proxy(tmp_path: Path) -> None:
    path = tmp_path / "http.sock"
    listen = f'[[listen]]\nservice = "http"\naddress = "unix:{path}"\n'
    async with running_node(tmp_path, (), extra=listen) as node:
        key = await node.services.sending.add_key("proxy", ["*"])
        headers = {"authorization": f"Bearer {key.secret}", "x-forwarded-for": "203.0.113.9"}
        transport = httpx.AsyncHTTPTransport(uds=str(path))
        async with httpx.AsyncClient(transport=transport, base_url="http://mail.example.test") as client:
            made = await client.post("/api/v1/domains", json={"name": "example.com"}, headers=headers)
            assert made.status_code == 201
            (row, *_) = (await client.get("/api/v1/audit", headers=headers)).json()["items"]
            assert row["client"] == "203.0.113.9"


async def test_the_end_waits_for_nobody_who_only_watches(tmp_path: Path) -> None:
    async with web_node(tmp_path) as (node, _):
        endpoint = node.endpoints["http"][0]
        reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port)
        writer.write(b"GET /api/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
    while await reader.read(65536):
        pass
    writer.close()


def test_default_listeners_of_the_role(tmp_path: Path) -> None:
    plain = load(write_configuration(tmp_path / "a", (), extra='roles = ["web"]\n'), {})
    assert {listen.service for listen in listeners(plain)} == {"http", "metrics"}
    certificate, key = write_certificate(tmp_path, "127.0.0.1")
    more = load(write_configuration(tmp_path / "b", (), certificate=certificate, key=key), {"POSTROAD_ROLES": "web"})
    assert {(listen.service, listen.address.rpartition(":")[2]) for listen in listeners(more)} == {
        ("http", "80"),
        ("https", "443"),
        ("metrics", "9667"),
    }
