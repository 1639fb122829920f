"""Postfix beside the site, passing mail on to it in three ways, and taking mail from it. It needs root."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.postfix import Postfix, maildir, relay
from tests.interop.foreign import complain, program
from tests.interop.site import ALICE, BY_LMTP, BY_SUBMISSION, PASSWORD, Site

DOMAIN = "postfix.test"
GONE = f"gone@{DOMAIN}"  # is taken, and found to lead nowhere afterwards

# What is for these two goes by LMTP, and as alice's submission; all else to our MX.
MODE = """\
smtputf8_enable = yes
smtp_tls_security_level = may
smtp_tls_CAfile = {ca}
smtp_sasl_auth_enable = yes
smtp_sasl_security_options = noanonymous
smtp_sasl_password_maps = inline:{{ {{ [localhost]:{submission} = {alice}:{password} }} }}
transport_maps = inline:{{
  {{ {by_lmtp} = lmtp:inet:127.0.0.1:{lmtp} }}, {{ {by_submission} = smtp:[localhost]:{submission} }},
  {{ nobody.invalid = error:5.1.1 User unknown }} }}
virtual_alias_maps = inline:{{ {{ {gone} = someone@nobody.invalid }} }}
smtp_host_lookup = native
lmtp_host_lookup = native
"""


@contextmanager
def postfix_home() -> Iterator[Path]:
    """A folder that Postfix's own user may enter."""
    program("postfix")
    needs_root("Postfix")
    with folder_for_all() as folder:
        yield folder


def needs_root(name: str) -> None:
    if os.geteuid() != 0:
        complain(f"{name} can only be started by root")


@contextmanager
def folder_for_all() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


class PostfixPeer(Postfix):
    """One instance; `taken` is what arrived for anybody at postfix.test."""

    def __init__(self, folder: Path, site: Site) -> None:
        mode = MODE.format(
            ca=site.ca, submission=site.port("submission"), lmtp=site.port("lmtp"), alice=ALICE, password=PASSWORD,
            by_lmtp=BY_LMTP, by_submission=BY_SUBMISSION, gone=GONE,
        )  # fmt: skip
        super().__init__(
            folder / "postfix", maildir(folder / "postfix", DOMAIN) + relay("127.0.0.1", site.port("mx")) + mode
        )
        site.server.run("domain", "add", DOMAIN, "--relay-to", f"127.0.0.1:{self.port}")

    def taken(self) -> list[bytes]:
        new = self.folder / "mail" / "u1" / "new"
        return [path.read_bytes() for path in new.iterdir()] if new.is_dir() else []

    def log(self) -> str:
        return (self.folder / "mail.log").read_text("utf-8")
