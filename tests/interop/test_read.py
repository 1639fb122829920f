"""Foreign programs read what arrived: over IMAP and POP3, with STARTTLS, STLS and implicit TLS."""

from __future__ import annotations

import imaplib
import os
import poplib
import pty
import re
import select
import smtplib
import ssl
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.interop.foreign import program, run
from tests.interop.mailbag import added_fields, message
from tests.interop.site import READER, Site

pytestmark = pytest.mark.interop

TOKENS = ("first", "second", "third")


@pytest.fixture
def filled(site: Site) -> str:
    """The INBOX of an account of its own with exactly the three messages: a program that deletes disturbs nobody."""
    reader = READER
    with open_imap(site, reader) as box:
        box.select("INBOX")
        box.store("1:*", "+FLAGS", r"\Deleted")
        box.expunge()
    with smtplib.SMTP("localhost", site.port("mx")) as link:
        for token in TOKENS:
            link.sendmail("someone@elsewhere.test", [reader], message(token, "someone@elsewhere.test", reader),
                          mail_options=["BODY=8BITMIME"])  # fmt: skip
    return reader


def open_imap(site: Site, user: str) -> imaplib.IMAP4:
    box = imaplib.IMAP4("localhost", site.port("imap"))
    box.starttls(ssl.create_default_context(cafile=str(site.ca)))
    box.login(user, site.password)
    return box


def expect_three(found: list[bytes], reader: str) -> None:
    """Each program may change line ends and add fields of its own in front; nothing else."""
    texts = [text.replace(b"\r\n", b"\n") for text in found]
    assert len(texts) == len(TOKENS)
    for token in TOKENS:
        original = message(token, "someone@elsewhere.test", reader).replace(b"\r\n", b"\n")
        assert any(text.rstrip(b"\n").endswith(original.rstrip(b"\n")) for text in texts), (token, texts)


def maildir(folder: Path) -> Path:
    for name in ("cur", "new", "tmp"):
        (folder / name).mkdir(parents=True)
    return folder


def maildir_texts(folder: Path) -> list[bytes]:
    return [path.read_bytes() for name in ("cur", "new") for path in (folder / name).iterdir()]


def test_imaplib_reads_marks_copies_and_deletes(site: Site, filled: str) -> None:
    with open_imap(site, filled) as box:
        assert box.select("INBOX")[1] == [b"3"]
        _, data = box.fetch("1", "(FLAGS RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY.PEEK[])")
        stored = data[0][1]
        original = message("first", "someone@elsewhere.test", filled)
        assert added_fields(stored, original) == [b"Return-Path", b"Delivered-To", b"Received"]
        assert f"RFC822.SIZE {len(stored)}".encode() in data[0][0]
        box.store("1", "+FLAGS", r"(\Flagged $Label)")
        assert box.search(None, "FLAGGED")[1] == [b"1"]
        assert box.create("Kept")[0] == "OK"
        assert box.copy("1", "Kept")[0] == "OK"
        box.store("1", "+FLAGS", r"\Deleted")
        assert box.expunge()[1] == [b"1"]
        assert box.select("Kept")[1] == [b"1"]
        assert rb"\Flagged" in box.fetch("1", "(FLAGS)")[1][0]
        box.close()
        assert box.delete("Kept")[0] == "OK"


@pytest.mark.parametrize("mode", ["pop3", "pop3s"])
def test_poplib_reads_and_deletes(site: Site, filled: str, mode: str) -> None:
    context = ssl.create_default_context(cafile=str(site.ca))
    if mode == "pop3s":
        link: poplib.POP3 = poplib.POP3_SSL("localhost", site.port(mode), context=context)
    else:
        link = poplib.POP3("localhost", site.port(mode))
        link.stls(context)
    link.user(filled)
    link.pass_(site.password)
    count, size = link.stat()
    texts = [b"\r\n".join(link.retr(number)[1]) + b"\r\n" for number in range(1, count + 1)]
    assert size == sum(len(text) for text in texts)
    expect_three(texts, filled)
    link.dele(2)
    link.quit()
    with open_imap(site, filled) as box:
        assert box.select("INBOX")[1] == [b"2"]


def getmail(site: Site, user: str, tmp: Path) -> list[bytes]:
    target = tmp / "mail"
    target.mkdir()
    (tmp / "getmailrc").write_text(
        f"[retriever]\ntype = SimplePOP3SSLRetriever\nserver = localhost\nport = {site.port('pop3s')}\n"
        f"username = {user}\npassword = {site.password}\nca_certs = {site.ca}\n"
        f"[destination]\ntype = MDA_external\npath = /bin/sh\nallow_root_commands = true\n"
        f"arguments = ('-c', 'cat > {target}/$$')\n[options]\nread_all = true\nverbose = 1\n"
        "delivered_to = false\nreceived = false\n"
    )
    run([program("getmail"), f"--getmaildir={tmp}", "--rcfile=getmailrc"])
    # Python's email package, by which getmail writes, keeps one space behind a field's colon.
    return [path.read_bytes().replace(b"X-Odd: two", b"X-Odd:   two") for path in target.iterdir()]


def fetchmail(site: Site, user: str, tmp: Path) -> list[bytes]:
    target = tmp / "mail"
    target.mkdir()
    rc = tmp / "fetchmailrc"
    rc.write_text(
        f'poll localhost protocol imap port {site.port("imaps")} user "{user}" password "{site.password}"\n'
        f'  ssl sslcertck sslcertfile "{site.ca}" fetchall keep no rewrite\n'
        f"  mda \"sh -c 'cat > {target}/$$'\"\n"
    )
    rc.chmod(0o600)
    run([program("fetchmail"), "-f", rc, "--nosyslog", "--invisible", "--pidfile", tmp / "pid", "-v"],
        env={"FETCHMAILHOME": str(tmp), "HOME": str(tmp)})  # fmt: skip
    return [path.read_bytes() for path in target.iterdir()]


def mpop(site: Site, user: str, tmp: Path) -> list[bytes]:
    target = maildir(tmp / "mail")
    run([
        program("mpop"), "--file=/dev/null", "--host=localhost", f"--port={site.port('pop3s')}", "--tls=on",
        "--tls-starttls=off", f"--tls-trust-file={site.ca}", "--auth=user", f"--user={user}",
        f"--passwordeval=echo {site.password}", "--keep=on", "--received-header=off",
        f"--delivery=maildir,{target}", f"--uidls-file={tmp}/uidls",
    ])  # fmt: skip
    return maildir_texts(target)


def isync(site: Site, user: str, tmp: Path) -> list[bytes]:
    (tmp / "mail").mkdir()
    (tmp / "mbsyncrc").write_text(
        f'IMAPAccount postroad\nHost localhost\nPort {site.port("imap")}\nUser {user}\nPass "{site.password}"\n'
        f"SSLType STARTTLS\nCertificateFile {site.ca}\n\nIMAPStore far\nAccount postroad\n\n"
        f"MaildirStore near\nPath {tmp}/mail/\nInbox {tmp}/mail/INBOX\nSubFolders Verbatim\n\n"
        "Channel all\nFar :far:\nNear :near:\nPatterns *\nCreate Both\nExpunge Both\nSyncState *\n"
    )
    config = ["--config", str(tmp / "mbsyncrc"), "-a"]
    run([program("mbsync"), *config])
    texts = [re.sub(rb"^X-TUID: .*\n", b"", text, flags=re.M) for text in maildir_texts(tmp / "mail" / "INBOX")]
    upload = tmp / "mail" / "INBOX" / "new" / "1700000000.1.host"
    upload.write_bytes(b"From: <alice@example.test>\nSubject: written offline\n\nhello\n")
    run([program("mbsync"), *config])
    run([program("mbsync"), *config])
    with open_imap(site, user) as box:
        box.select("INBOX")
        assert len(box.search(None, "SUBJECT", '"written offline"')[1][0].split()) == 1
    return texts


PROGRAMS: dict[str, Callable[[Site, str, Path], list[bytes]]] = {
    "getmail": getmail,
    "fetchmail": fetchmail,
    "mpop": mpop,
    "isync": isync,
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_fetches_every_message_whole(site: Site, filled: str, tmp_path: Path, name: str) -> None:
    expect_three(PROGRAMS[name](site, filled, tmp_path), filled)


def test_curl_reads_over_imap_and_pop3(site: Site, filled: str) -> None:
    common = [
        program("curl"),
        "--silent",
        "--show-error",
        "--cacert",
        str(site.ca),
        "--user",
        f"{filled}:{site.password}",
    ]
    texts = [run([*common, f"pop3s://localhost:{site.port('pop3s')}/{number}"]) for number in (1, 2, 3)]
    expect_three(texts, filled)
    texts = [run([*common, f"imaps://localhost:{site.port('imaps')}/INBOX;MAILINDEX={number}"]) for number in (1, 2, 3)]
    expect_three(texts, filled)


def test_mutt_opens_tags_and_saves(site: Site, filled: str, tmp_path: Path) -> None:
    """mutt wants a terminal: it gets one, tags all messages, copies them to a Maildir, deletes one, and quits."""
    rc = tmp_path / "muttrc"
    rc.write_text(
        f'set folder="imaps://localhost:{site.port("imaps")}/" spoolfile="+INBOX"\n'
        f'set imap_user="{filled}" imap_pass="{site.password}" certificate_file="{site.ca}" ssl_force_tls=yes\n'
        f'set header_cache="" message_cachedir="" mbox_type=Maildir confirmcreate=no confirmappend=no delete=yes\n'
        f"set quit=yes resolve=no wait_key=no copy=no move=no mark_old=no ssl_verify_host=yes\n"
        f'push "<tag-pattern>.<enter><tag-prefix><copy-message><kill-line>{tmp_path}/saved<enter>'
        '<untag-pattern>.<enter><delete-pattern>~s\\ second<enter><sync-mailbox><quit>"\n'
    )
    in_terminal([program("mutt"), "-n", "-F", str(rc)], tmp_path)
    own = re.compile(rb"^(Content-Length|Lines): .*\n", re.M)  # fields that mutt adds to what it saves
    expect_three([own.sub(b"", text) for text in maildir_texts(tmp_path / "saved")], filled)
    with open_imap(site, filled) as box:
        assert box.select("INBOX")[1] == [b"2"]


def in_terminal(command: list[str], home: Path, seconds: float = 40) -> None:
    """Run a full-screen program on a terminal of its own until it ends."""
    main, child = pty.openpty()
    env = {**os.environ, "TERM": "vt100", "HOME": str(home), "LINES": "24", "COLUMNS": "80"}
    process = subprocess.Popen(command, stdin=child, stdout=child, stderr=child, env=env, start_new_session=True)
    os.close(child)
    screen = bytearray()
    deadline = time.monotonic() + seconds
    try:
        while process.poll() is None and time.monotonic() < deadline:
            if select.select([main], [], [], 0.2)[0]:
                try:
                    screen += os.read(main, 65536)
                except OSError:
                    break
        shown = screen.decode(errors="replace")
        assert process.wait(5) == 0, shown
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(main)
