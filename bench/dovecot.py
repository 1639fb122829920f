"""Dovecot as the keeper of Postfix's passwords (SASL): a private instance with one password for everybody."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from bench.harness import CpuGroup, Unable, find

CONF = """\
base_dir = {folder}/run
log_path = {folder}/dovecot.log
protocols =
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid=65534 gid=65534 home=/nonexistent
}}
service auth {{
  unix_listener {socket} {{
    mode = 0666
  }}
}}
"""


def asks_dovecot(folder: Path) -> str:
    """The part of main.cf: AUTH without TLS, answered by the Dovecot of the same folder."""
    return f"smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = dovecot\nsmtpd_sasl_path = {_socket(folder)}\n"


def _socket(folder: Path) -> Path:
    return folder / "auth.socket"


class Dovecot:
    """Its authentication service; `group` is Postfix's, so that both are counted."""

    def __init__(self, folder: Path, group: CpuGroup, password: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._socket = _socket(folder)
        self._config = folder / "dovecot.conf"
        self._config.write_text(CONF.format(folder=folder, password=password, socket=self._socket))
        self._group = group
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [find("dovecot") or "dovecot", "-F", "-c", str(self._config)]
        self._process = self._group.start(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(100):
            if self._socket.exists():
                return
            time.sleep(0.05)
        raise Unable("dovecot did not start")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
