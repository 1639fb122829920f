"""The peer: a private Postfix below a folder, with the shipped process model and durability."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

from bench.harness import CpuGroup, free_port, wait_for
from postroad.adapters.net.selfsigned import write_self_signed

MAIN_CF = """\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = mx.bench.test
mydestination =
mynetworks = 127.0.0.0/8
inet_protocols = ipv4
maillog_file = {folder}/mail.log
maillog_file_prefixes = {folder}
alias_maps =
alias_database =
local_recipient_maps =
smtpd_client_connection_rate_limit = 0
smtpd_client_connection_count_limit = 0
smtpd_peername_lookup = no
smtp_dns_support_level = disabled
"""
LOCAL = """\
virtual_mailbox_domains = {domain}
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = static:u1/
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
virtual_mailbox_limit = 0
virtual_transport = {transport}
"""


def discard(folder: Path) -> str:
    """Take everything for bench.test and drop it once its queue file is synced."""
    return LOCAL.format(folder=folder, domain="bench.test", transport="discard:")


def maildir(folder: Path, domain: str) -> str:
    """Take everything for `domain` into one Maildir, `folder`/mail/u1."""
    return LOCAL.format(folder=folder, domain=domain, transport="virtual")


def relay(host: str, port: int) -> str:
    """Pass everything on to one host."""
    return f"relayhost = [{host}]:{port}\n"


def tls(folder: Path) -> str:
    """STARTTLS with a certificate of its own, of the kind that ours has."""
    folder.mkdir(parents=True, exist_ok=True)
    write_self_signed(folder / "cert.pem", folder / "key.pem", ["mx.bench.test"])
    files = f"smtpd_tls_cert_file = {folder}/cert.pem\nsmtpd_tls_key_file = {folder}/key.pem\n"
    return f"smtpd_tls_security_level = may\n{files}"


class Postfix:
    """One instance; `mode` is the part of main.cf that says what becomes of mail."""

    name = "Postfix"
    host = "127.0.0.1"

    def __init__(self, folder: Path, mode: str, group: CpuGroup | None = None) -> None:
        self.folder = folder
        self.port = free_port()
        self.group = group or CpuGroup("postfix")
        self._write(mode)

    def _write(self, mode: str) -> None:
        etc = self.folder / "etc"
        for name in ("etc", "queue", "data", "mail"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)
        shutil.chown(self.folder / "mail", 65534, 65534)
        (etc / "main.cf").write_text(MAIN_CF.format(folder=self.folder) + mode)
        (etc / "master.cf").write_text("".join(self._services()))

    def _services(self) -> list[str]:
        """The shipped master.cf with our listener, and without chroot."""
        lines = []
        for line in Path("/etc/postfix/master.cf.proto").read_text().splitlines():
            fields = line.split()
            if not fields or line[0] in "# \t" or len(fields) < 8:
                continue
            if fields[:2] == ["smtp", "inet"]:
                fields[0] = f"127.0.0.1:{self.port}"
            fields[4] = "n"
            lines.append(" ".join(fields) + "\n")
        if not any(line.startswith("postlog ") for line in lines):
            lines.append("postlog unix-dgram n - n - 1 postlogd\n")
        return lines

    def start(self) -> None:
        subprocess.run(["postfix", "-c", str(self.folder / "etc"), "set-permissions"], check=False, capture_output=True)
        starter = self.group.start(["postfix", "-c", str(self.folder / "etc"), "start"],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
        starter.wait(30)
        wait_for(self.port)

    def queue_length(self) -> int:
        return sum(len(files) for name in ("maildrop", "incoming", "active", "deferred")
                   for _, _, files in os.walk(self.folder / "queue" / name))  # fmt: skip

    def drained(self) -> bool:
        return self.queue_length() == 0

    def stop(self) -> None:
        subprocess.run(["postfix", "-c", str(self.folder / "etc"), "stop"], check=False, capture_output=True)
        for _ in range(50):
            if not self.group.pids():
                break
            time.sleep(0.1)
        self.group.remove()
