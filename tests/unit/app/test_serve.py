"""`postroad serve` as a process: what it prints, signals, the lock, what a crash leaves behind."""

from __future__ import annotations

import json
import os
import signal
import smtplib
import ssl
import subprocess
import time
from pathlib import Path

import pytest

from postroad.adapters.net.selfsigned import write_self_signed
from postroad.testing.server import PROGRAM, ServerFailed, ServerProcess

PATIENCE = 20.0


def wait_for(what: object) -> None:
    """Look again and again; a process is on its way."""
    end = time.monotonic() + PATIENCE
    assert callable(what)
    while not what():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)


@pytest.fixture
def server(tmp_path: Path) -> ServerProcess:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    write_self_signed(cert, key, ["mail.example.test"])
    extra = '[log]\nformat = "json"\n'
    return ServerProcess(tmp_path / "node", ("mx", "metrics"), certificate=cert, key=key, extra=extra)


def test_life_of_a_server(server: ServerProcess, tmp_path: Path) -> None:
    server.run("domain", "add", "example.test")  # without a server
    server.start()
    assert set(server.ports) == {"mx", "metrics"}
    server.run("account", "add", "alice@example.test", "--password-stdin", text="secret\n")  # beside it
    with pytest.raises(ServerFailed, match="in use by process"):
        server.run("serve")
    certificate_is_reloaded(server, tmp_path)
    server.kill()
    server.start()
    assert "alice@example.test" in server.run("account", "list")
    server.stop()
    lines = [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]
    assert [line["event"] for line in lines if line["part"] == "node"] == ["reloaded", "stopping", "stopped"]


def certificate_is_reloaded(server: ServerProcess, tmp_path: Path) -> None:
    before = certificate_of(server.port("mx"))
    write_self_signed(tmp_path / "cert.pem", tmp_path / "key.pem", ["mail.example.test"])
    assert server.process
    server.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "reloaded" in server.log.read_text())
    assert certificate_of(server.port("mx")) != before


def certificate_of(port: int) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with smtplib.SMTP("127.0.0.1", port, "client.test", timeout=PATIENCE) as client:
        client.starttls(context=context)
        assert isinstance(client.sock, ssl.SSLSocket)
        certificate = client.sock.getpeercert(binary_form=True)
        client.ehlo()
    assert certificate
    return certificate


def test_wrong_settings_end_it_with_words(tmp_path: Path) -> None:
    config = tmp_path / "postroad.toml"
    config.write_text('hostname = "mail.example.test"\ndata_dir = "data"\n[limits]\nmax_erors = 3\n')
    command = [*PROGRAM, "--config", str(config), "serve"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 1
    assert "limits.max_erors: is not a setting; did you mean `max_errors`?" in done.stderr


def test_stdout_that_nobody_reads_never_stops_mail(tmp_path: Path) -> None:
    """The pipe is full before the first message; acceptance logs all the same, and goes on."""
    server = ServerProcess(tmp_path / "node", ("mx",), extra='[log]\nlevel = "debug"\n')
    server.run("domain", "add", "example.test")
    server.run("account", "add", "alice@example.test", "--password-stdin", text="secret\n")
    reading, writing = os.pipe()
    command = [*PROGRAM, "--config", str(server.config), "serve"]
    process = subprocess.Popen(command, stdout=writing, stderr=subprocess.DEVNULL)
    try:
        port = _read_port(reading)
        _fill(writing)
        with smtplib.SMTP("127.0.0.1", port, "client.test", timeout=PATIENCE) as client:
            for _ in range(50):
                client.sendmail("s@else.test", ["alice@example.test"], b"Subject: x\r\n\r\nhello\r\n")
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
        os.close(reading)
        os.close(writing)
    assert "50 delivered" in server.run("ledger")


def _read_port(reading: int) -> int:
    text = b""
    while b"ready\n" not in text:
        text += os.read(reading, 4096)
    return int(text.split(b"listening mx 127.0.0.1:")[1].split()[0])


def _fill(writing: int) -> None:
    os.set_blocking(writing, False)
    try:
        while True:
            os.write(writing, b"x" * 4096)
    except BlockingIOError:
        pass
    try:
        while True:
            os.write(writing, b"x")
    except BlockingIOError:
        pass
    os.set_blocking(writing, True)
