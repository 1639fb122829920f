"""The peer: a private Postfix below a folder, with the shipped process model and durability."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

from bench.harness import CpuGroup, free_port, wait_for

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
DISCARD = """\
virtual_mailbox_domains = bench.test
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = static:u1/
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
virtual_transport = discard:
"""
RELAY = "relayhost = [{host}]:{port}\n"


class Postfix:
    """One instance, started in a CPU group of its own."""

    name = "Postfix"

    def __init__(self, folder: Path, relay_to: tuple[str, int] | None = None) -> None:
        self.folder = folder
        self.port = free_port()
        self.group = CpuGroup("postfix")
        self._write(
            DISCARD.format(folder=folder) if relay_to is None else RELAY.format(host=relay_to[0], port=relay_to[1])
        )

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
                return
            time.sleep(0.1)
