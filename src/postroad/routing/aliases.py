"""Expand one recipient: mailbox, alias, forward, catch-all, relay domain or remote; a plain transaction function.

The order for an address of ours: the mailbox of that very name, then its alias; the same again without the detail
(`anna+lists` is `anna`); then the domain's catch-all. Aliases may point to aliases, in circles too: each address is
visited once.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from postroad.accounts import aliases, domains
from postroad.accounts.aliases import POSTMASTER
from postroad.mail.address import Address, AddressError, Domain, ForwardPath
from postroad.mail.status import Status, status
from postroad.ports.ids import AccountId, MailboxId
from postroad.ports.store import AccountRecord, AliasRecord, DomainKind, DomainRecord, Tx
from postroad.routing.routes import LOCAL_DEST, RouteSettings, transport

MAX_DEPTH = 10  # aliases of aliases
MAX_TARGETS = 1000  # mailboxes and forwards that one recipient becomes

UNKNOWN_USER = status(550, "5.1.1", "no such user here")
TOO_WIDE = status(451, "4.3.5", "this address is not set up correctly here, try again later")


@dataclass(frozen=True, slots=True)
class Rules:
    """What of the configuration decides about recipients."""

    hostname: str
    delimiter: str = "+"
    routes: RouteSettings = field(default_factory=RouteSettings)


@dataclass(frozen=True, slots=True)
class Target:
    """One place where a recipient's mail goes: a mailbox of ours, or a next hop."""

    forward_path: str  # the account's address, or the remote address
    dest: str  # `local`, or the next hop's key
    account: AccountId | None = None
    mailbox: MailboxId | None = None  # INBOX of the account
    quota_bytes: int = 0
    used_bytes: int = 0
    via: str = ""  # the alias, catch-all or forward that led here

    @property
    def is_local(self) -> bool:
        return self.mailbox is not None


@dataclass(frozen=True, slots=True)
class Resolution:
    """What a recipient comes to. Either `targets`, or the `refusal` that says why there are none."""

    is_ours: bool  # in a domain of this server, relay domains included: taken from anyone
    targets: tuple[Target, ...] = ()
    refusal: Status | None = None
    bounces_only: bool = False  # an address that stands for a sender elsewhere: for what has no sender itself

    @property
    def is_metered(self) -> bool:
        """Some target has a quota, so that its use is looked up anew now and then."""
        return any(target.quota_bytes for target in self.targets)


def expand(tx: Tx, path: ForwardPath, rules: Rules) -> Resolution:
    """What `path` comes to with the rows as they are."""
    address = path.address or _postmaster(tx, rules)
    if address is None:
        return Resolution(True, refusal=UNKNOWN_USER.because("no domain of ours, no administrator: nobody to take it"))
    address, domain = domains.follow(tx, address)
    if domain is None or domain.kind is not DomainKind.LOCAL:
        return expand_elsewhere(address, domain, rules)
    return _Expansion(tx, rules).run(address)


def expand_elsewhere(address: Address, domain: DomainRecord | None, rules: Rules) -> Resolution:
    """The same for an address whose domain is not ours (None), or a relay domain."""
    return Resolution(domain is not None, (_remote(address, domain, rules, via=""),))


def _postmaster(tx: Tx, rules: Rules) -> Address | None:
    """RFC 5321 §4.1.1.3: `<Postmaster>` without a domain is ours: of our host's domain, or of the first one."""
    names = [record.name for record in tx.domains.list() if record.kind is DomainKind.LOCAL]
    if rules.hostname in names:
        return Address(POSTMASTER, Domain(rules.hostname))
    administrator = tx.accounts.first_admin()
    if administrator is not None:
        return Address.parse(administrator.address)
    return Address(POSTMASTER, Domain(names[0])) if names else None


def _remote(address: Address, domain: DomainRecord | None, rules: Rules, via: str) -> Target:
    return Target(str(address), transport(address.domain.ascii, domain, rules.routes).dest, via=via)


class _Expansion:
    """One walk over aliases."""

    def __init__(self, tx: Tx, rules: Rules) -> None:
        self._tx = tx
        self._rules = rules
        self._visited: set[str] = set()
        self._targets: dict[str, Target] = {}
        self._failure: Status | None = None

    def run(self, address: Address) -> Resolution:
        self._visit(address, via="", depth=0)
        if self._failure:
            return Resolution(True, refusal=self._failure)
        if not self._targets:
            return Resolution(True, refusal=UNKNOWN_USER.because(f"{address} is neither mailbox nor alias"))
        return Resolution(True, tuple(self._targets.values()))

    def _visit(self, address: Address, via: str, depth: int) -> None:
        address, domain = domains.follow(self._tx, address)
        if domain is None or domain.kind is not DomainKind.LOCAL:
            self._keep(f"{address.local_part}@{address.domain.ascii}", _remote(address, domain, self._rules, via))
            return
        if address.key in self._visited:
            return
        self._visited.add(address.key)
        found = self._look_up(address)
        if isinstance(found, AccountRecord):
            self._keep(found.address, self._mailbox(found, via))
        elif found is not None:
            self._follow(found, depth)

    def _look_up(self, address: Address) -> AccountRecord | AliasRecord | None:
        found = aliases.find(self._tx, address.key, self._rules.delimiter)
        return found or self._tx.aliases.get(f"*@{address.domain.ascii}")

    def _follow(self, alias: AliasRecord, depth: int) -> None:
        if depth >= MAX_DEPTH:
            self._failure = TOO_WIDE.because(f"{alias.address}: aliases lead more than {MAX_DEPTH} steps on")
            return
        for text in alias.targets:
            if self._failure:
                return
            try:
                self._visit(Address.parse(text), alias.address, depth + 1)
            except AddressError:
                self._failure = TOO_WIDE.because(f"{alias.address} has the target {text!r}, which is no address")

    def _mailbox(self, account: AccountRecord, via: str) -> Target:
        inbox = self._tx.mailboxes.by_name(account.id, "INBOX")
        return Target(
            account.address,
            LOCAL_DEST,
            account.id,
            inbox.id if inbox else None,
            account.quota_bytes,
            account.used_bytes,
            via,
        )

    def _keep(self, key: str, target: Target) -> None:
        if target.dest == LOCAL_DEST and target.mailbox is None:
            self._failure = TOO_WIDE.because(f"{target.forward_path} has no INBOX")
        elif len(self._targets) >= MAX_TARGETS:
            self._failure = TOO_WIDE.because(f"one recipient became more than {MAX_TARGETS}")
        else:
            self._targets.setdefault(key, target)
