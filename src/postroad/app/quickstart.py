"""From nothing to a configured server: file, data, certificate, domain, account, administrator of the console."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from postroad.accounts.admins import MIN_PASSWORD
from postroad.app import lock
from postroad.app.arguments import Arguments
from postroad.app.operations import perform
from postroad.app.services import open_services
from postroad.config.load import load
from postroad.config.problems import ConfigError, Problem
from postroad.config.values import hostname as hostname_problem
from postroad.mail.address import Address, AddressError
from postroad.ports.store import Refused
from postroad.reports.dnscheck import WantedRecord, records_wanted

_CONFIGURATION = """\
# Written by `postroad quickstart`. Every setting: docs/reference/settings.md. `postroad check` says what is wrong.
hostname = "{hostname}"
data_dir = "{data_dir}"

[tls]
certificate = "{certificate}"
key = "{key}"
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be made. All paths are absolute."""

    address: str
    domain: str
    hostname: str
    config: Path
    data_dir: Path

    @classmethod
    def make(cls, address: str, hostname: str, config: Path, data_dir: Path | None) -> Plan:
        """Raises Refused when it cannot be done as asked."""
        try:
            parsed = Address.parse(address)
        except AddressError as error:
            raise Refused(f"`{address}` is not an address: {error}") from None
        name = hostname or f"mail.{parsed.domain.ascii}"
        if wrong := hostname_problem(name):
            raise Refused(wrong)
        config = config.absolute()
        return cls(
            parsed.key, parsed.domain.ascii, name, config, (data_dir or config.parent / "postroad-data").absolute()
        )

    @property
    def certificate(self) -> Path:
        return self.data_dir / "tls" / "cert.pem"

    @property
    def key(self) -> Path:
        return self.data_dir / "tls" / "key.pem"


async def carry_out(plan: Plan, password: str) -> list[WantedRecord]:
    """Make everything; the DNS records to publish. Never overwrites. Raises Refused."""
    if plan.config.exists():
        raise Refused(f"{plan.config} exists already; remove it, or name another file with --config")
    plan.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with lock.held(plan.data_dir):
        _make_certificate(plan)
        _write_configuration(plan)
        try:
            await _fill(plan, password)
        except BaseException:
            plan.config.unlink()  # so that the next try begins where this one did
            raise
    return records_wanted(plan.domain, plan.hostname)


def opens_console(password: str) -> bool:
    """Whether the account's password may be the administrator's too; if not, a sign-in link is the way in."""
    return len(password) >= MIN_PASSWORD


def _make_certificate(plan: Plan) -> None:
    from postroad.adapters.net.selfsigned import write_self_signed

    if not plan.certificate.exists():
        write_self_signed(plan.certificate, plan.key, [plan.hostname, plan.domain, "localhost"])


def _write_configuration(plan: Plan) -> None:
    plan.config.parent.mkdir(parents=True, exist_ok=True)
    text = _CONFIGURATION.format(
        hostname=plan.hostname,
        data_dir=_quoted(plan.data_dir),
        certificate=_quoted(plan.certificate),
        key=_quoted(plan.key),
    )
    with os.fdopen(os.open(plan.config, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640), "w", encoding="utf-8") as file:
        file.write(text)


def _quoted(path: Path) -> str:
    """For a TOML basic string."""
    return str(path).replace("\\", "\\\\").replace('"', '\\"')


async def _fill(plan: Plan, password: str) -> None:
    """The environment is left out here: what is made belongs to the file."""
    try:
        settings = load(plan.config, {})
    except ConfigError as error:
        raise ConfigError([*error.problems, Problem("", "quickstart wrote this")], plan.config) from error
    async with open_services(settings) as services:
        if await services.administration.domain(plan.domain) is None:
            await perform(services, "domain.add", Arguments({"name": plan.domain}))
        await perform(services, "account.add", Arguments({"address": plan.address, "password": password}))
        console = password if opens_console(password) else ""
        await perform(services, "admin.add", Arguments({"email": plan.address, "password": console}))
