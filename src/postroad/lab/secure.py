"""A part of the simulated internet where domains publish what their TLS is like, rightly or wrongly: DANE, MTA-STS.

All of it is below `secure.test`, of which DNS says that it is signed, but for what is below `unsigned.secure.test`.
With it the DNS server validates: what is known to be signed wrongly it refuses.
`SecureQuarter.open(world)` adds it to a world; whoever sends there trusts `authority`, and asks policies at `port`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from cryptography import x509

from postroad.adapters.net.tls import ServerTls
from postroad.lab import oddities
from postroad.lab.authority import Issued, LabAuthority, spki, tlsa
from postroad.lab.dns import Fault
from postroad.lab.oddities import OldTls, TlsOddity
from postroad.lab.policies import Page, PolicyServer, policy
from postroad.lab.profiles.accepting import Accepting
from postroad.lab.receivers import Receiver
from postroad.lab.world import PROBED, World

ROOT = "secure.test"
FIRST_ADDRESS = 32  # 127.0.0.32 and on
POLICY_PORT = 2443


@dataclass(frozen=True, slots=True)
class House:
    """A domain with one mail host, `mx.` before its name. Names are below ROOT."""

    name: str
    what: str
    tlsa: Callable[[Issued, x509.Certificate], tuple[str, ...]] | None = None
    sts: tuple[str, tuple[str, ...]] | None = None  # mode, and hosts; empty: its own
    starttls: bool = True
    oddity: TlsOddity | None = None
    foreign: bool = False  # its certificate is by nobody that is trusted
    expired: bool = False
    other_name: bool = False
    old: bool = False
    with_root: bool = False

    @property
    def host(self) -> str:
        return f"mx.{self.name}.{ROOT}"

    @property
    def address(self) -> str:
        return f"127.0.0.{FIRST_ADDRESS + HOUSES.index(self)}"


def _own(issued: Issued, _root: x509.Certificate) -> tuple[str, ...]:
    return (tlsa(issued.certificate),)


def _authority(_issued: Issued, root: x509.Certificate) -> tuple[str, ...]:
    return (tlsa(root, 2),)


def _wrong(_issued: Issued, _root: x509.Certificate) -> tuple[str, ...]:
    return (f"3 1 1 {sha256(b'another key').hexdigest()}",)


def _unusable(issued: Issued, _root: x509.Certificate) -> tuple[str, ...]:
    return (f"1 1 1 {sha256(spki(issued.certificate)).hexdigest()}",)


HOUSES = (
    House("dane", "DANE: its own certificate, by nobody and out of date", _own, foreign=True, expired=True),
    House("dane-ta", "DANE: an authority of its own", _authority, with_root=True),
    House("dane-name", "DANE: an authority of its own, and another name", _authority, with_root=True, other_name=True),
    House("dane-wrong", "DANE: another certificate than it says", _wrong),
    House("dane-unusable", "DANE: a record that says nothing to us", _unusable, foreign=True),
    House("dane-none", "DANE: and no STARTTLS", _own, starttls=False),
    House("dane-bogus", "DANE: its records cannot be had", _own),
    House("dane-sts", "DANE right, MTA-STS wrong", _own, ("enforce", ("other.test",)), foreign=True),
    House("sts", "MTA-STS: as it should be", None, ("enforce", ())),
    House("sts-name", "MTA-STS: its certificate is for another name", None, ("enforce", ()), other_name=True),
    House("sts-expired", "MTA-STS: its certificate has run out", None, ("enforce", ()), expired=True),
    House("sts-foreign", "MTA-STS: its certificate is by nobody", None, ("enforce", ()), foreign=True),
    House("sts-list", "MTA-STS: its host is not in the policy", None, ("enforce", ("other.test",))),
    House("sts-none", "MTA-STS: and no STARTTLS", None, ("enforce", ()), starttls=False),
    House("sts-testing", "MTA-STS: wrong, but only testing", None, ("testing", ()), foreign=True),
    House("old", "TLS 1.0 and nothing newer", foreign=True, old=True),
    House("refused", "STARTTLS is offered, and refused with 502", oddity=oddities.REFUSED),
    House("later", "STARTTLS is answered 454", oddity=oddities.NOT_NOW),
    House("broken", "what follows STARTTLS is no TLS", oddity=oddities.NO_HANDSHAKE),
    House("smuggling", "commands stand behind the 220 to STARTTLS", oddity=oddities.SMUGGLING),
)


class SecureQuarter:
    """Opened into a world, which closes its receivers; `close` ends the web server."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        """`folder` is where certificates are put."""
        self.authority = LabAuthority()
        self.trusted = folder / "authority.pem"
        folder.mkdir(parents=True, exist_ok=True)
        self.trusted.write_bytes(self.authority.pem)
        self.policies: PolicyServer
        self._folder = folder
        self._nobody = LabAuthority("Nobody in particular")

    @classmethod
    async def open(cls, world: World, folder: Path, port: int = 0, *, also: Sequence[str] = ()) -> SecureQuarter:
        """`port` of the policies; 0: any. `also` are more names below ROOT whose policies the web server may show."""
        quarter = cls(world, folder)
        world.dns.signed(ROOT)
        world.dns.signed(PROBED[1])
        world.dns.fault(PROBED[0], Fault.SERVFAIL)
        world.dns.signed(f"unsigned.{ROOT}", yes=False)
        names = [f"mta-sts.{name}.{ROOT}" for name in (*(house.name for house in HOUSES if house.sts), *also)]
        certificate = quarter.authority.issue(*names).write(folder, "policies")
        quarter.policies = PolicyServer(*certificate)
        await quarter.policies.start(port=port)
        for house in HOUSES:
            await quarter._settle(house)
        return quarter

    async def close(self) -> None:
        await self.policies.stop()

    @property
    def port(self) -> int:
        return self.policies.port

    def publish(self, domain: str, page: Page, *, identity: str = "a1") -> None:
        """A policy for any domain."""
        self.world.dns.put(f"_mta-sts.{domain}", "TXT", f'"v=STSv1; id={identity};"')
        self.world.dns.put(f"mta-sts.{domain}", "A", "127.0.0.1")
        self.policies.pages[f"mta-sts.{domain}"] = page

    async def _settle(self, house: House) -> None:
        domain, host = f"{house.name}.{ROOT}", house.host
        maker = self._nobody if house.foreign else self.authority
        shown = f"other.{ROOT}" if house.other_name else host
        issued = maker.issue(shown, expired=house.expired, with_root=house.with_root)
        tls = (OldTls if house.old else ServerTls)(*issued.write(self._folder, house.name))
        world = self.world
        receiver = Receiver(host, Accepting(), bag=world.bag, starttls=house.starttls, oddity=house.oddity)
        await world.add(host, house.address, receiver, tls if house.starttls else None)
        world.dns.put(domain, "MX", f"10 {host}.")
        if house.tlsa is not None:
            name = f"_{world.port}._tcp.{host}"
            world.dns.put(name, "TLSA", *house.tlsa(issued, self.authority.certificate))
            world.dns.fault(name, Fault.SERVFAIL if house.name == "dane-bogus" else None)
        if house.sts is not None:
            mode, hosts = house.sts
            self.publish(domain, Page(policy(mode, *(hosts or (host,)))))
