"""Domains, accounts and aliases."""

# ruff: noqa: S608 - what is put into statements is our own column names and lists of placeholders

from __future__ import annotations

import builtins

from postroad.adapters.sql.connection import Connection, Row, first
from postroad.adapters.sql.values import json_text, json_value, moment, time_of
from postroad.ports.ids import AccountId, DomainId
from postroad.ports.store import AccountRecord, AliasRecord, DomainKind, DomainRecord, Refused

_DOMAIN = ("id", "name", "kind", "created", "relay_host", "relay_port", "target")
_ACCOUNT = (
    "id", "address", "created", "password_hash", "scram", "quota_bytes", "used_bytes", "is_admin",
    "credential_version", "disabled",
)  # fmt: skip
_ALIAS = "address, targets, created"


def _domain(row: Row) -> DomainRecord:
    number, name, kind, created, relay_host, relay_port, target = row
    return DomainRecord(DomainId(number), name, DomainKind(kind), time_of(created), relay_host, relay_port, target)


def _account(row: Row) -> AccountRecord:
    number, address, created, password_hash, scram, quota, used, is_admin, version, disabled = row
    return AccountRecord(
        AccountId(number), address, time_of(created), password_hash, bytes(scram), quota, used, bool(is_admin), version,
        bool(disabled),
    )  # fmt: skip


def _alias(row: Row) -> AliasRecord:
    address, targets, created = row
    return AliasRecord(address, tuple(json_value(targets)), time_of(created))


class Domains:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, name: str) -> DomainRecord | None:
        rows = self._connection.rows(f"SELECT {', '.join(_DOMAIN)} FROM domain WHERE name = ?", (name,))
        return _domain(rows[0]) if rows else None

    def list(self) -> list[DomainRecord]:
        return [_domain(row) for row in self._connection.rows(f"SELECT {', '.join(_DOMAIN)} FROM domain ORDER BY name")]

    def add(self, record: DomainRecord) -> None:
        if self.get(record.name):
            raise Refused(f"the domain {record.name} is there already")
        row = (
            record.id, record.name, record.kind.value, moment(record.created), record.relay_host, record.relay_port,
            record.target,
        )  # fmt: skip
        self._connection.insert("domain", _DOMAIN, [row])

    def remove(self, name: str) -> bool:
        return self._connection.run("DELETE FROM domain WHERE name = ?", (name,)) > 0


class Accounts:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, account: AccountId) -> AccountRecord | None:
        return self._one("id = ?", account)

    def by_address(self, address: str) -> AccountRecord | None:
        return self._one("address = ?", address)

    def first_admin(self) -> AccountRecord | None:
        return self._one("is_admin = ? ORDER BY created, id LIMIT 1", 1)

    def _one(self, where: str, value: object) -> AccountRecord | None:
        row = first(self._connection.rows(f"SELECT {', '.join(_ACCOUNT)} FROM account WHERE {where}", (value,)))
        return _account(row) if row else None

    def list(self, domain: str = "") -> list[AccountRecord]:
        where, params = (" WHERE domain = ?", (domain,)) if domain else ("", ())
        rows = self._connection.rows(f"SELECT {', '.join(_ACCOUNT)} FROM account{where} ORDER BY address", params)
        return [_account(row) for row in rows]

    def add(self, record: AccountRecord) -> None:
        if self.by_address(record.address):
            raise Refused(f"the account {record.address} is there already")
        row = (
            record.id, record.address, moment(record.created), record.password_hash, record.scram, record.quota_bytes,
            record.used_bytes, int(record.is_admin), record.credential_version, int(record.disabled),
            record.address.rpartition("@")[2],
            # An account made again under an old address must not repeat its UIDVALIDITYs: they begin with the time.
            int(record.created.timestamp()),
        )  # fmt: skip
        self._connection.insert("account", (*_ACCOUNT, "domain", "last_uid_validity"), [row])

    def set_password(self, account: AccountId, password_hash: str, scram: bytes) -> None:
        self._connection.run(
            "UPDATE account SET password_hash = ?, scram = ?, credential_version = credential_version + 1 WHERE id = ?",
            (password_hash, scram, account),
        )

    def renew_secret(self, account: AccountId, version: int, password_hash: str, scram: bytes) -> None:
        self._connection.run(
            "UPDATE account SET password_hash = ?, scram = ? WHERE id = ? AND credential_version = ?",
            (password_hash, scram, account, version),
        )

    def set_quota(self, account: AccountId, quota_bytes: int) -> None:
        self._connection.run("UPDATE account SET quota_bytes = ? WHERE id = ?", (quota_bytes, account))

    def remove(self, account: AccountId) -> None:
        self._connection.run("UPDATE mailbox SET deleted = 1 WHERE account = ?", (account,))
        self._connection.run("DELETE FROM app_password WHERE account = ?", (account,))
        self._connection.run("DELETE FROM send_as WHERE account = ?", (account,))
        self._connection.run("DELETE FROM account WHERE id = ?", (account,))


class Aliases:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, address: str) -> AliasRecord | None:
        rows = self._connection.rows(f"SELECT {_ALIAS} FROM alias WHERE address = ?", (address,))
        return _alias(rows[0]) if rows else None

    def list(self, domain: str = "") -> builtins.list[AliasRecord]:
        where, params = (" WHERE domain = ?", (domain,)) if domain else ("", ())
        rows = self._connection.rows(f"SELECT {_ALIAS} FROM alias{where} ORDER BY domain, address", params)
        return [_alias(row) for row in rows]

    def put(self, record: AliasRecord) -> None:
        self._connection.run(
            "INSERT INTO alias (address, domain, targets, created) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (address) DO UPDATE SET targets = excluded.targets",
            (record.address, record.address.rpartition("@")[2], json_text(record.targets), moment(record.created)),
        )

    def remove(self, address: str) -> bool:
        return self._connection.run("DELETE FROM alias WHERE address = ?", (address,)) > 0
