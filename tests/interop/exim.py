"""Exim beside the site: from Debian's packages, unpacked into .cache/exim by `make exim`, since to install it would
remove Postfix. It needs root.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.harness import free_port, wait_for
from tests.interop.foreign import CACHE, complain
from tests.interop.peers import folder_for_all, needs_root
from tests.interop.site import ALICE, PASSWORD, Site

DOMAIN = "exim.test"
USER = "Debian-exim"  # what the packages were built for

# A message with the field X-Port goes there, in the clear, so that a test can listen.
CONFIGURE = """\
exim_path = {program}
spool_directory = {folder}/spool
log_file_path = {folder}/log/%slog
pid_file_path = {folder}/spool/exim.pid
primary_hostname = exim.test
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
disable_ipv6
host_lookup =
chunking_advertise_hosts = *
smtputf8_advertise_hosts = *
dsn_advertise_hosts = *
prdr_enable
tls_advertise_hosts = *
tls_certificate = {certificate}
tls_privatekey = {key}
acl_smtp_rcpt = accept
acl_smtp_data = accept
log_selector = +all -ident_timeout -pid -incoming_interface

begin routers
here:
  driver = accept
  domains = exim.test
  transport = maildir
by_lmtp:
  driver = manualroute
  local_parts = by-lmtp
  route_list = * "127.0.0.1" byname
  self = send
  transport = lmtp
by_password:
  driver = manualroute
  local_parts = by-submission
  route_list = * "localhost::{submission}" byname
  self = send
  transport = password
by_certificate:
  driver = manualroute
  local_parts = by-cert
  route_list = * "localhost::{submissions}" byname
  self = send
  transport = certificate
relay:
  driver = manualroute
  route_list = * "127.0.0.1::${{if def:h_X-Port:{{$h_X-Port:}}{{{mx}}}}}" byname
  self = send
  transport = relay

begin transports
relay:
  driver = smtp
  allow_localhost
  hosts_avoid_tls = ${{if def:h_X-Port:{{*}}}}
  tls_verify_certificates = {ca}
lmtp:
  driver = smtp
  protocol = lmtp
  port = {lmtp}
  allow_localhost
  hosts_avoid_tls = *
password:
  driver = smtp
  allow_localhost
  hosts_require_auth = *
  hosts_require_tls = *
  tls_verify_certificates = {ca}
  tls_verify_hosts = *
certificate:
  driver = smtp
  protocol = smtps
  allow_localhost
  hosts_require_auth = *
  tls_certificate = {alice_certificate}
  tls_privatekey = {alice_key}
  tls_verify_certificates = {ca}
  tls_verify_hosts = *
maildir:
  driver = appendfile
  directory = {folder}/mail
  maildir_format
  return_path_add
  delivery_date_add
  user = {user}
  group = {user}

begin retry
* * F,1h,10m

begin authenticators
external:
  driver = external
  public_name = EXTERNAL
  client_send = {alice}
plain:
  driver = plaintext
  public_name = PLAIN
  client_send = ^{alice}^{password}
"""


def find_exim() -> Path:
    return next(iter(sorted((CACHE / "exim").glob("usr/sbin/exim4"))), None) or complain("Exim: see `make exim`")


@contextmanager
def exim_home() -> Iterator[Path]:
    find_exim()
    needs_root("Exim")
    try:
        pwd.getpwnam(USER)
    except KeyError:
        complain(f"Exim has no user {USER}: see `make exim`")
    with folder_for_all() as folder:
        yield folder


class Exim:
    """One daemon; `taken` is what arrived for exim.test."""

    def __init__(self, folder: Path, site: Site) -> None:
        self.folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        for name in ("spool", "log", "mail", "tls"):
            (folder / name).mkdir()
            shutil.chown(folder / name, USER, USER)
        self._configure(site)
        site.server.run("domain", "add", DOMAIN, "--relay-to", f"127.0.0.1:{self.port}")

    def _configure(self, site: Site) -> None:
        kept = {
            "program": shutil.copy(find_exim(), self.folder / "exim4")
        }  # Exim's user may not enter our .cache either
        for name, path in zip(("ca", "certificate", "key", "alice_certificate", "alice_key"),
                              (site.ca, *site.pair("two"), *site.pair("alice")), strict=True):  # fmt: skip
            kept[name] = shutil.copy(path, self.folder / "tls")  # Exim's user may not enter the site's folder
            shutil.chown(kept[name], USER, USER)
        ports = {name: site.port(name) for name in ("mx", "submission", "submissions", "lmtp")}
        text = CONFIGURE.format(
            folder=self.folder, port=self.port, user=USER, alice=ALICE, password=PASSWORD, **kept, **ports
        )
        (self.folder / "configure").write_text(text, "utf-8")

    @property
    def command(self) -> list[str]:
        return [str(self.folder / "exim4"), "-C", str(self.folder / "configure")]

    def start(self) -> None:
        self._process = subprocess.Popen(
            [*self.command, "-bdf", "-q10m"], stdin=subprocess.DEVNULL, env=os.environ | {"TZ": "UTC"}
        )
        wait_for(self.port)

    def stop(self) -> None:
        assert self._process
        self._process.terminate()
        self._process.wait(10)

    def drained(self) -> bool:
        return not list((self.folder / "spool" / "input").glob("*"))

    def taken(self) -> list[bytes]:
        new = self.folder / "mail" / "new"
        return [path.read_bytes() for path in new.iterdir()] if new.is_dir() else []

    def log(self) -> str:
        """Its main log: `=>` lines tell how a message left."""
        return (self.folder / "log" / "mainlog").read_text("utf-8", errors="replace")
