"""A resolver of dictionaries, for unit tests of whatever looks names up; failures and stalls on request."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address

from postroad.ports.dns import DnsAnswer, DnsOutcome, MxRecord


class TableResolver:
    """Implements ports.dns.Resolver. What is in no table does not exist; `asked` says what was asked for."""

    def __init__(self) -> None:
        self.hosts: dict[str, tuple[str, ...]] = {}  # name: addresses
        self.names: dict[str, tuple[str, ...]] = {}  # address: names
        self.failing: set[str] = set()  # names and addresses whose look-up fails
        self.gate: asyncio.Event | None = None  # every answer waits for it
        self.asked: list[str] = []

    def host(self, name: str, *addresses: str) -> None:
        """A host with forward and reverse records."""
        self.hosts[name] = addresses
        for address in addresses:
            self.names[address] = (*self.names.get(address, ()), name)

    async def mx(self, name: str) -> DnsAnswer:
        found = await self.addresses(name)
        return DnsAnswer(found.outcome, mx=(MxRecord(0, name),) if found.records else ())

    async def txt(self, name: str) -> DnsAnswer:
        return await self._answer(name, ())

    async def ptr(self, address: str) -> DnsAnswer:
        return await self._answer(address, self.names.get(address, ()))

    async def cname(self, name: str) -> DnsAnswer:
        return await self._answer(name, ())

    async def tlsa(self, name: str) -> DnsAnswer:
        return await self._answer(name, ())

    async def addresses(self, name: str, family: int = 0) -> DnsAnswer:
        found = self.hosts.get(name, ())
        return await self._answer(name, tuple(a for a in found if not family or ip_address(a).version == family))

    def forget(self) -> None:
        """It keeps nothing."""

    async def _answer(self, key: str, records: tuple[str, ...]) -> DnsAnswer:
        self.asked.append(key)
        if self.gate is not None:
            await self.gate.wait()
        if key in self.failing:
            return DnsAnswer(DnsOutcome.FAILED, detail="SERVFAIL")
        return DnsAnswer(DnsOutcome.FOUND if records else DnsOutcome.NXDOMAIN, records)
