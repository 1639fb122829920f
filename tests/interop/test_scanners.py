"""Rspamd, OpenDKIM and ClamAV as Debian packages them, beside a whole server: each in a folder of its own."""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.interop.foreign import program

from postroad.reports.story import SCANNED
from postroad.testing.conversation import Talk
from postroad.testing.site import ALICE, BOB, Site, letter, running_site

pytestmark = pytest.mark.interop

STRANGER = "stranger@far.test"
# The two test patterns that every scanner knows, in pieces, so that none of them finds this file.
GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-" + "STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
EICAR = "X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-" + "STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"


@asynccontextmanager
async def running(folder: Path, command: Sequence[str], ready: Path | int) -> AsyncIterator[None]:
    """A foreign daemon in the foreground, once its socket is there (a path, or a port of 127.0.0.1)."""
    log = folder / f"{Path(command[0]).name}.out"
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, cwd=folder, start_new_session=True)
    try:
        async with asyncio.timeout(60):
            while not answers(ready):
                assert process.poll() is None, f"{command[0]} exited:\n{log.read_text(errors='replace')}"
                await asyncio.sleep(0.02)
        yield
    finally:  # at once: none of them has anything to save, and some take seconds to say goodbye
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)


def answers(where: Path | int) -> bool:
    kind = socket.AF_INET if isinstance(where, int) else socket.AF_UNIX
    with socket.socket(kind, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(("127.0.0.1", where) if isinstance(where, int) else str(where))
        except OSError:
            return False
    return True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def send(site: Site, content: bytes, sender: str = STRANGER, recipient: str = BOB) -> str:
    """What a stranger's server is told at the end."""
    async with Talk(site, "mx") as talk:
        for line in (f"MAIL FROM:<{sender}>", f"RCPT TO:<{recipient}>", "DATA"):
            assert await talk.say(line) < 400, talk.answer
        await talk.say(content.decode() + ".")
        return talk.answer


async def told(site: Site) -> list[str]:
    """What scanners said of the newest message."""
    story = await site.story((await site.messages())[-1].id)
    return [line.text for line in story.lines() if line.kind == SCANNED]


# --- OpenDKIM ---------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def opendkim(folder: Path) -> AsyncIterator[str]:
    """It signs for here.test whoever has logged in, and looks at the signatures of all others. Its URL."""
    path = program("opendkim")
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = serialization.PrivateFormat.TraditionalOpenSSL
    secret = folder / "key.pem"
    secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    secret.chmod(0o600)
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    record = f"v=DKIM1; k=rsa; p={base64.b64encode(public).decode()}"
    (folder / "keys").write_text(f"sel._domainkey.here.test {record}\n")
    where = folder / "opendkim.sock"
    (folder / "opendkim.conf").write_text(
        f"Mode sv\nSocket local:{where}\nDomain here.test\nSelector sel\nKeyFile {secret}\nRequireSafeKeys no\n"
        f"InternalHosts csl:192.0.2.1\nTestPublicKeys {folder / 'keys'}\nAlwaysAddARHeader yes\n"
        f"AuthservID mail.example.test\nCanonicalization relaxed/simple\nUMask 077\nTemporaryDirectory {folder}\n"
        f"PidFile {folder / 'opendkim.pid'}\nSyslog no\n"
    )
    async with running(folder, (path, "-f", "-x", str(folder / "opendkim.conf")), where):
        yield f"milter:unix:{where}"


async def test_opendkim_signs_and_looks_at_signatures(tmp_path: Path) -> None:
    async with (
        opendkim(tmp_path) as url,
        running_site(tmp_path / "s", {"scanner": [{"name": "dkim", "url": url}]}) as site,
    ):
        await site.submit(BOB, text="Signed, with a line\r\n of two.")
        (raw,) = await site.raw_inbox(BOB)
        signature = raw.find(b"\nDKIM-Signature: ")
        assert 0 < signature < raw.find(b"\nFrom: ")
        assert "added DKIM-Signature" in (await told(site))[0]
        signed = raw[signature + 1 :]
        assert (await send(site, signed, ALICE)).startswith("250")
        assert (await send(site, signed.replace(b"of two", b"of 2"), ALICE)).startswith("250")
        assert (await send(site, b"Authentication-Results: mail.example.test; dkim=pass\r\n" + letter(STRANGER, BOB)))[
            0
        ] == "2"
        inbox = await site.inbox(BOB)
        results = sorted(" ".join(mail["Authentication-Results"].split()) for mail in inbox[1:])
        assert [word.split()[1].rstrip(";") for word in results] == ["dkim=fail", "dkim=none", "dkim=pass"]
        assert all(len(mail.get_all("Authentication-Results")) == 1 for mail in inbox[1:])


# --- ClamAV -----------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def clamav(folder: Path) -> AsyncIterator[str]:
    """clamd with one signature of our own, and its milter. Its URL."""
    clamd, clamav_milter = program("clamd"), program("clamav-milter")
    (folder / "db").mkdir()
    (folder / "db" / "own.ndb").write_text(f"Own-Test:0:*:{EICAR.encode().hex()}\n")
    scanner, milter = folder / "clamd.sock", folder / "milter.sock"
    (folder / "clamd.conf").write_text(
        f"Foreground yes\nLocalSocket {scanner}\nDatabaseDirectory {folder / 'db'}\nTemporaryDirectory {folder}\n"
    )
    (folder / "milter.conf").write_text(
        f"Foreground yes\nMilterSocket unix:{milter}\nClamdSocket unix:{scanner}\nTemporaryDirectory {folder}\n"
        'OnInfected Reject\nRejectMsg "no %v here"\nAddHeader Replace\n'
    )
    async with running(folder, (clamd, f"--config-file={folder / 'clamd.conf'}"), scanner):
        async with running(folder, (clamav_milter, f"--config-file={folder / 'milter.conf'}"), milter):
            yield f"milter:unix:{milter}"


async def test_clamav_refuses_a_virus(tmp_path: Path) -> None:
    async with (
        clamav(tmp_path) as url,
        running_site(tmp_path / "s", {"scanner": [{"name": "clamav", "url": url}]}) as site,
    ):
        assert (await send(site, letter(STRANGER, BOB))).startswith("250")
        (mail,) = await site.inbox(BOB)
        assert mail["X-Virus-Status"] == "Clean"
        virus = base64.encodebytes(EICAR.encode()).decode().replace("\n", "\r\n")
        content = letter(STRANGER, BOB, text=virus, MIME_Version="1.0", Content_Transfer_Encoding="base64")
        for infected in (content, _mixed(virus, ("x" * 70 + "\r\n") * 9000)):
            answer = await send(site, infected)
            assert answer == "550 5.7.1 no Own-Test.UNOFFICIAL here", answer
        rows = await site.refusals(2)
        assert rows[0].cause.startswith("scanner clamav at message: ")
        assert len(await site.messages()) == 1


def _mixed(virus: str, padding: str) -> bytes:
    """A large message whose last part is the virus."""
    head = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n"
    tail = f"--b\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n{virus}--b--\r\n"
    return f"From: <{STRANGER}>\r\nSubject: large\r\n{head}{padding}{tail}".encode()


# --- Rspamd -----------------------------------------------------------------------------------------------------------

_RSPAMD = """
options {{
  pidfile = "{folder}/rspamd.pid"; tempdir = "{folder}"; hs_cache_dir = "{folder}"; control_socket = "{folder}/control";
  cache_file = "{folder}/symbols"; history_file = "{folder}/history"; filters = []; local_addrs = [];
  url_tld = "{folder}/tld"; dns {{ nameserver = ["127.0.0.1:1"]; timeout = 0.1s; retransmits = 1; }}
}}
logging {{ type = "console"; level = "warning"; }}
worker "normal" {{ bind_socket = "127.0.0.1:{http}"; count = 1; }}
worker "rspamd_proxy" {{ bind_socket = "127.0.0.1:{milter}"; count = 1; milter = yes; timeout = 20s;
  upstream "local" {{ default = yes; self_scan = yes; }} }}
lua = "{folder}/own.lua"
modules {{ path = "/usr/share/rspamd/plugins/milter_headers.lua"; }}
metric "default" {{ subject = "[spam] %s";
  actions {{ reject = 15; rewrite_subject = 7; add_header = 6; greylist = 4; }} }}
milter_headers {{ use = ["x-spam-level", "x-spamd-bar"]; skip_local = false; skip_authenticated = false; }}
"""
_RULES = """
local function of(subject) return function(task) return task:get_subject() == subject end end
rspamd_config.MARK_ME = { callback = of('mark me'), score = 6.5 }
rspamd_config.RENAME_ME = { callback = of('rename me'), score = 7.5 }
rspamd_config.GREY = { callback = of('grey'), score = 4.5 }
rspamd_config.NOT_NOW = { callback = function(task)
  if task:get_subject() == 'not now' then task:set_pre_result('soft reject', 'come back later') end
end }
"""


@asynccontextmanager
async def rspamd(folder: Path) -> AsyncIterator[tuple[str, str]]:
    """Its URLs: by its milter worker, and by HTTP."""
    path, http, milter = program("rspamd"), free_port(), free_port()
    (folder / "tld").write_text("test\n")
    (folder / "own.lua").write_text(_RULES)
    (folder / "rspamd.conf").write_text(_RSPAMD.format(folder=folder, http=http, milter=milter))
    command = [path, "-c", str(folder / "rspamd.conf"), "-f", *(["-i"] if os.geteuid() == 0 else [])]
    async with running(folder, command, milter):
        yield f"milter:127.0.0.1:{milter}", f"rspamd:http://127.0.0.1:{http}"


@pytest.mark.parametrize("way", [0, 1], ids=["milter", "http"])
async def test_rspamd_refuses_and_marks_spam(tmp_path: Path, way: int) -> None:
    async with rspamd(tmp_path) as urls:
        async with running_site(tmp_path / "s", {"scanner": [{"name": "rspamd", "url": urls[way]}]}) as site:
            forged = b"X-Spamd-Bar: forged\r\n" + letter(STRANGER, BOB)
            assert (await send(site, forged)).startswith("250")
            (mail,) = await site.inbox(BOB)
            assert mail.get_all("X-Spamd-Bar") == ["/"]
            assert (await told(site))[0].startswith("scanner rspamd: ")
            assert (await send(site, letter(STRANGER, BOB, text=GTUBE)))[3:] == " 5.7.1 Gtube pattern"
            assert (await send(site, letter(STRANGER, BOB, subject="not now"))) == "451 4.7.1 come back later"
            for subject in ("mark me", "rename me", "grey"):
                assert (await send(site, letter(STRANGER, BOB, subject=subject))).startswith("250")
            marked, renamed, grey = (await site.inbox(BOB))[1:]
            assert marked["X-Spam"] == "Yes"
            assert marked["X-Spam-Level"] == "******"
            assert renamed["Subject"] == "[spam] rename me"
            assert grey["X-Spam"] is None
            large = letter(STRANGER, BOB) + b"".join(b"line %d of many\r\n" % number for number in range(40_000))
            assert (await send(site, large)).startswith("250")
            assert (await site.raw_inbox(BOB))[-1].endswith(b"line 39999 of many\r\n")
