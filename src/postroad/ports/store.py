"""The store port: transaction functions, two doors for the hot paths, and the records that rows become.

A transaction is a plain function of a `Tx`; it may run twice and changes nothing else. Times in records are aware UTC.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import Enum, IntEnum, StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from msgspec import Struct

from postroad.mail.envelope import BodyFlag, Origin
from postroad.mail.status import Status
from postroad.mail.terms import RecipientTerms, Terms
from postroad.ports.blobs import BlobPlace
from postroad.ports.ids import (
    AccountId,
    AttemptId,
    BlobId,
    DeliveryId,
    DomainId,
    EventId,
    MailboxId,
    MessageId,
    ModSeq,
    NodeId,
    ServerId,
    TokenId,
    Uid,
)

if TYPE_CHECKING:
    from postroad.ports.admins import Admins, Audit, LoginThrottle, Sessions
    from postroad.ports.apppasswords import AppPasswords
    from postroad.ports.figures import Figures
    from postroad.ports.greylist import GreyRows
    from postroad.ports.queueing import CensusPart, CensusPlace, QueueSample, QueueShares, QueueTally
    from postroad.ports.search import SearchRows
    from postroad.ports.senders import SenderRows
    from postroad.ports.sending import (
        Idempotency,
        IdempotencyRecord,
        ReturnPaths,
        Servers,
        Streams,
        SuppressionRecord,
        Suppressions,
        Tokens,
    )
    from postroad.ports.tls import TlsRows

T = TypeVar("T")


class Record(Struct, frozen=True, gc=False):
    """A row as services see it. A struct, since a dataclass takes many times as long to make, many times a message."""


class StoreUnavailable(Exception):  # noqa: N818
    """The store cannot take this now; try again later. `no_space` tells a full disk apart (answer 452, not 451)."""

    def __init__(self, cause: str, *, no_space: bool = False) -> None:
        super().__init__(cause)
        self.no_space = no_space


class Refused(Exception):  # noqa: N818
    """A transaction function refuses: what it was asked for does not fit the rows. The text is for people."""


class Lane(Enum):
    """Who goes first at the one writer. Bulk work goes LOW, in slices of at most 500 rows or 20 ms."""

    NORMAL = "normal"
    LOW = "low"


# --- tenants ----------------------------------------------------------------------------------------------------------


class DomainKind(StrEnum):
    LOCAL = "local"  # mailboxes and aliases live here
    RELAY = "relay"  # accepted at MX and passed on to `relay_host`
    ALIAS = "alias"  # every address is the same address at `target`


class DomainRecord(Record, frozen=True):
    id: DomainId
    name: str  # A-labels, lower case
    kind: DomainKind
    created: datetime
    relay_host: str = ""  # host or address; [host] is not used
    relay_port: int = 25
    target: str = ""  # ALIAS: the domain that this one stands for


class AccountRecord(Record, frozen=True):
    """A mailbox owner. `address` is the canonical key (lower case, A-labels)."""

    id: AccountId
    address: str
    created: datetime
    password_hash: str = ""  # Argon2id, or an imported hash until the first login
    scram: bytes = b""  # SCRAM keys, msgpack; made when the password is set
    quota_bytes: int = 0  # 0: no limit
    used_bytes: int = 0
    is_admin: bool = False  # receives postmaster@ and abuse@ of new domains
    credential_version: int = 0  # grows with each change of password
    disabled: bool = False


class AliasRecord(Record, frozen=True):
    """`address` is a canonical key, or `*@domain` for the catch-all. Targets are addresses, local or remote."""

    address: str
    targets: tuple[str, ...]
    created: datetime


# --- messages and deliveries ------------------------------------------------------------------------------------------


class Message(Record, frozen=True):
    """One accepted message: immutable."""

    id: MessageId
    created: datetime
    origin: Origin
    reverse_path: str  # "" is the null reverse-path
    size: int  # octets of the stored content
    flags: BodyFlag
    blob: BlobId
    header_size: int = 0  # octets of the header block with its empty line
    subject: str = ""  # decoded, cut to 200 characters, for search
    header_from: str = ""  # decoded, cut
    message_id: str = ""  # the Message-ID field, cut
    body_type: str = ""  # BODY= of MAIL FROM: "", 7BIT, 8BITMIME
    account: AccountId | None = None  # the authenticated submitter
    bounce_of: MessageId | None = None  # a DSN of ours: the message that it reports on
    server: ServerId | None = None  # the sending project that submitted it
    stream: str = ""  # the stream of that server
    tag: str = ""
    metadata: Mapping[str, str] = {}
    terms: Terms | None = None  # what its sender asked of all who carry it; as a rule nothing
    token: TokenId | None = None  # of that server, which it was submitted with

    @property
    def began(self) -> datetime:
        """From when on it is tried: when it came, or when it was released (RFC 4865)."""
        return self.terms.release or self.created if self.terms is not None else self.created


class DeliveryState(StrEnum):
    QUEUED = "queued"
    HELD = "held"
    DELIVERED = "delivered"
    BOUNCED = "bounced"
    EXPIRED = "expired"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        return self not in (DeliveryState.QUEUED, DeliveryState.HELD)


class Wish(StrEnum):
    """What a person asked of a delivery that a node owns; the owner applies it between attempts."""

    NONE = ""
    RETRY = "retry"
    HOLD = "hold"
    CANCEL = "cancel"
    BOUNCE = "bounce"
    REROUTE = "reroute"  # the row has the new way already


class Delivery(Record, frozen=True):
    """One recipient of one message. `dest` is the next-hop key that queueing groups by.

    Next-hop keys: `mx:remote.test`, `host:[192.0.2.7]:2525` or `host:relay.example:25`, `local`.
    """

    id: DeliveryId
    message: MessageId
    dest: str
    forward_path: str  # where it goes now
    state: DeliveryState
    orig: str = ""  # the recipient as the client named it, where an alias or forward changed it
    due: datetime | None = None  # QUEUED: the next attempt, if the owner should die
    tries: int = 0
    expires: datetime | None = None
    last_status: Status | None = None
    owner: NodeId | None = None
    epoch: int = 0  # the owner's epoch: an outcome is written only while both still hold
    wish: Wish = Wish.NONE
    finished: datetime | None = None
    held_for: str = ""  # HELD: why
    terms: RecipientTerms | None = None  # what the sender asked for this recipient; as a rule nothing


class Attempt(Record, frozen=True):
    """One SMTP transaction with one next hop, for one or more recipients of one message."""

    id: AttemptId
    message: MessageId
    started: datetime
    ended: datetime
    host: str  # the MX host or relay
    address: str  # the IP address and port dialled
    tls: str = ""  # "TLSv1.3 TLS_AES_256_GCM_SHA384", or why there was none
    timings: Mapping[str, float] = {}  # seconds by phase: connect, tls, ehlo, mail, rcpt, data
    dialogue: str = ""  # lines "> ..." and "< ...", secrets and bodies as lengths


class Event(Record, frozen=True):
    """Something that happened. `kind` is an events.model.EventKind."""

    id: EventId
    at: datetime
    kind: str
    message: MessageId | None = None
    delivery: DeliveryId | None = None
    detail: Mapping[str, Any] = {}


class Refusal(Record, frozen=True):
    """An attempt that was never accepted: half of "where is my mail?"."""

    at: datetime
    service: str
    connection: str
    client: str
    helo: str
    account: str
    reverse_path: str
    recipient: str  # "" when it was not about one recipient
    stage: str  # connect, auth, mail, rcpt, data, message
    reply_code: int
    enhanced: str
    text: str
    cause: str


# --- mailboxes --------------------------------------------------------------------------------------------------------


class MailboxRecord(Record, frozen=True):
    id: MailboxId
    account: AccountId
    name: str  # UTF-8, "/" between levels; INBOX in capitals
    uid_validity: int
    uid_next: Uid
    highest_modseq: ModSeq
    special_use: str = ""  # "\\Sent" ...
    subscribed: bool = True
    total: int = 0
    unseen: int = 0
    size: int = 0


class SystemFlag(IntEnum):
    """Bits of `MailboxMessage.flags` (RFC 3501 §2.3.2)."""

    SEEN = 1
    ANSWERED = 2
    FLAGGED = 4
    DELETED = 8
    DRAFT = 16


class MailboxMessage(Record, frozen=True):
    mailbox: MailboxId
    uid: Uid
    blob: BlobId
    flags: int  # SystemFlag bits
    keywords: tuple[str, ...]
    modseq: ModSeq
    internal_date: datetime
    size: int  # RFC822.SIZE: prefix and content
    prefix: bytes = b""  # Return-Path and Delivered-To fields, in front of the content


class Content(Record, frozen=True):
    """What is rendered once, at delivery: the exact IMAP wire texts, for sessions without UTF8=ACCEPT."""

    blob: BlobId
    renderer: int  # version; an older one is rendered anew when it is next read
    size: int
    header_size: int
    envelope: bytes  # "(...)" of ENVELOPE
    bodystructure: bytes  # "(...)" of BODYSTRUCTURE, extension data included
    body: bytes  # "(...)" of BODY, without extension data
    sections: bytes  # msgpack: byte offsets of parts, see mail.mime
    message_id: str = ""
    subject: str = ""  # decoded, cut
    sent: datetime | None = None  # the Date field


class NewMailboxMessage(Record, frozen=True):
    """A message about to enter a mailbox; the store gives it its UID and mod-sequence."""

    mailbox: MailboxId
    blob: BlobId
    size: int
    internal_date: datetime
    flags: int = 0
    keywords: tuple[str, ...] = ()
    prefix: bytes = b""
    delivery: DeliveryId | None = None  # local delivery: unique on (mailbox, message), so a repeat finds the first
    message: MessageId | None = None


class MailboxChange(Record, frozen=True):
    """One change since a mod-sequence: a message that is new or has new flags, or one that is gone."""

    uid: Uid
    modseq: ModSeq
    vanished: bool = False
    flags: int = 0
    keywords: tuple[str, ...] = ()


# --- the two doors ----------------------------------------------------------------------------------------------------


class Acceptance(Struct, gc=False):
    """All that one accepted message writes, in one transaction. `abandoned`, set before the commit, has it dropped."""

    message: Message
    content: bytes | None  # small content for the shared segment; None when `place` says where a large one is
    place: BlobPlace | None
    segment_header: bytes  # the envelope as msgpack, kept beside the content in the segment
    deliveries: Sequence[Delivery]
    events: Sequence[Event]
    local: Sequence[NewMailboxMessage] = ()
    rendered: Content | None = None  # needed when `local` is not empty
    abandoned: bool = False
    idempotency: IdempotencyRecord | None = None  # kept with the message; Refused when its key is there already


class Accepted(Record, frozen=True):
    """What became of an acceptance: `dropped` when it was abandoned in time; else the UIDs of `local`, in order."""

    dropped: bool = False
    uids: tuple[Uid, ...] = ()


class DeliveryResult(Record, frozen=True):
    """The new state of one delivery, written only while `owner` and `epoch` still hold."""

    delivery: DeliveryId
    owner: NodeId
    epoch: int
    state: DeliveryState
    status: Status | None
    tries: int
    due: datetime | None = None
    dest: str | None = None  # when the next hop changed
    keep_owner: bool = False  # a deferral normally gives the row back (owner NULL)
    finished: datetime | None = None
    held_for: str = ""
    terms: RecipientTerms | None = None  # when something of them has been done


class Outcomes(Record, frozen=True):
    """What one attempt (or one decision without an attempt) came to: rows of one transaction."""

    results: Sequence[DeliveryResult]
    attempt: Attempt | None = None
    events: Sequence[Event] = ()
    suppressions: Sequence[SuppressionRecord] = ()  # who gets nothing more on a stream because of it


class MailboxAppend(Struct, gc=False):
    """Content that enters a mailbox by APPEND: no message of the queue, no delivery, no event."""

    blob: BlobId
    content: bytes | None  # small content for the shared segment; None when `place` says where a large one is
    place: BlobPlace | None
    segment_header: bytes
    rendered: Content
    local: NewMailboxMessage


class MessageText(NamedTuple):
    """What FETCH sends of one message, as a plain tuple: ten thousand of them are made for one command."""

    uid: Uid
    size: int
    internal_date: int  # seconds since 1970
    blob: BlobId
    renderer: int
    envelope: bytes  # empty where it was not asked for, like the next two
    bodystructure: bytes
    body: bytes


class MessageSource(NamedTuple):
    """All that reading one message takes, from one join. What was not asked for is empty, `renderer` then 0."""

    text: MessageText
    prefix: bytes
    place: BlobPlace
    header_size: int  # of the content
    sections: bytes


# --- the queue as people see it ---------------------------------------------------------------------------------------


MAX_SELECTION = 500  # deliveries named one by one in a filter


class QueueFilter(Record, frozen=True):
    """Which deliveries: every given field must fit. Only queued and held ones are in the queue."""

    message: MessageId | None = None
    delivery: DeliveryId | None = None
    domain: str = ""  # of the forward-path
    dest: str = ""
    state: DeliveryState | None = None
    older_than: timedelta | None = None
    sender: str = ""
    deliveries: tuple[DeliveryId, ...] = ()  # a selection: at most MAX_SELECTION of them
    cause: str | None = None  # of the last reply, as content.causes says it; "" is no reply yet
    younger_than: timedelta | None = None
    recipient: str = ""  # anywhere in the forward-path, without regard to case
    account: AccountId | None = None  # who submitted it, and so on
    token: TokenId | None = None
    server: ServerId | None = None
    stream: str = ""  # of that server
    held_for: str = ""  # what the reason begins with: letters, blanks and colons
    provider: str = ""  # who takes its mail
    tag: str = ""


class MessageFilter(Record, frozen=True):
    """Which messages: every given field must fit; texts match anywhere, without regard to case."""

    address: str = ""  # reverse-path or any recipient
    sender: str = ""
    recipient: str = ""
    subject: str = ""
    message_id: str = ""
    state: DeliveryState | None = None
    since: datetime | None = None
    until: datetime | None = None


class QueueEntry(Record, frozen=True):
    delivery: Delivery
    message: Message


class QueueSummary(Record, frozen=True):
    """One destination's part of the queue."""

    dest: str
    queued: int
    held: int
    oldest: datetime
    next_due: datetime | None
    last_text: str  # the text of a late reply, or ""
    provider: str = ""  # who takes its mail, once that is known


class LedgerFinding(Record, frozen=True):
    """A row that breaks promise 2, in words."""

    message: MessageId | None
    delivery: DeliveryId | None
    problem: str


class LedgerTotals(Record, frozen=True):
    messages: int
    deliveries: int
    by_state: Mapping[str, int]
    findings: tuple[LedgerFinding, ...]


# --- repositories -----------------------------------------------------------------------------------------------------


class Domains(Protocol):
    def get(self, name: str) -> DomainRecord | None: ...
    def list(self) -> list[DomainRecord]: ...
    def add(self, record: DomainRecord) -> None:
        """Raises Refused when the name is taken."""

    def remove(self, name: str) -> bool: ...


class Accounts(Protocol):
    def get(self, account: AccountId) -> AccountRecord | None: ...
    def by_address(self, address: str) -> AccountRecord | None: ...
    def list(self, domain: str = "") -> list[AccountRecord]: ...
    def first_admin(self) -> AccountRecord | None: ...
    def add(self, record: AccountRecord) -> None:
        """Raises Refused when the address is taken."""

    def set_password(self, account: AccountId, password_hash: str, scram: bytes) -> None: ...
    def renew_secret(self, account: AccountId, version: int, password_hash: str, scram: bytes) -> None:
        """The same password, hashed anew; nothing when it is of another version by now."""

    def set_quota(self, account: AccountId, quota_bytes: int) -> None: ...
    def remove(self, account: AccountId) -> None:
        """With its mailboxes; content that no row names any more is swept later."""


class Aliases(Protocol):
    def get(self, address: str) -> AliasRecord | None: ...
    def list(self, domain: str = "") -> list[AliasRecord]: ...
    def put(self, record: AliasRecord) -> None:
        """Add, or replace the targets."""

    def remove(self, address: str) -> bool: ...


class Messages(Protocol):
    def get(self, message: MessageId) -> Message | None: ...
    def search(self, where: MessageFilter, *, after: MessageId | None = None, limit: int = 50) -> list[Message]:
        """Newest first; `after` is the last id of the page before."""

    def attempts(self, message: MessageId) -> list[tuple[Attempt, dict[DeliveryId, Status]]]: ...
    def recent_hosts(self, since: datetime, limit: int) -> list[str]:
        """The hosts of the newest attempts, one for each."""

    def place(self, blob: BlobId) -> BlobPlace | None: ...
    def places(self, blobs: Sequence[BlobId]) -> dict[BlobId, BlobPlace]:
        """Of many at once; for accepted and for appended content."""


class Deliveries(Protocol):
    def get(self, delivery: DeliveryId) -> Delivery | None: ...
    def of_message(self, message: MessageId) -> list[Delivery]: ...
    def claim_due(
        self,
        node: NodeId,
        epoch: int,
        *,
        now: datetime,
        limit: int,
        lease: timedelta,
        avoid: Mapping[str, datetime] | None = None,
    ) -> list[QueueEntry]:
        """Take unowned queued rows that are due, oldest due first and fairly over destinations: owner, epoch and
        tries + 1 are written, and `due` = now + lease, before any attempt. Destinations in `avoid` are left alone until
        the time given there."""

    def take_back(
        self,
        node: NodeId,
        epoch: int,
        *,
        now: datetime,
        limit: int,
        lease: timedelta,
        after: DeliveryId | None = None,
    ) -> list[QueueEntry]:
        """At start-up: this node's own rows of earlier epochs, claimed anew as in `claim_due`; a page by id."""

    def release_dead(self, *, now: datetime, limit: int) -> int:
        """Give up the ownership of rows whose node's lease has ended. Returns how many."""

    def owned(self, node: NodeId, epoch: int, *, after: DeliveryId | None, limit: int) -> list[QueueEntry]:
        """This node's unfinished rows, by id."""

    def next_due(self, *, after: datetime) -> datetime | None:
        """When the next unowned queued row comes due."""

    def queue(self, where: QueueFilter, *, after: DeliveryId | None = None, limit: int = 50) -> list[QueueEntry]: ...
    def depth(self) -> tuple[int, DeliveryId | None]:
        """How many are queued or held, and the oldest of them (ids tell time): cheap however many there are."""

    def ages(self, bands: Sequence[datetime]) -> list[tuple[int, DeliveryId | None]]:
        """How many wait that were accepted since each of these times (latest first) and before the one before it, and
        the first of them; one more for what is older."""

    def shares(self, by: str, place: CensusPlace | None, limit: int) -> QueueShares:
        """One slice of the queue by `domain`, `tenant` or `cause`."""

    def name_providers(self, names: Sequence[tuple[str, str]]) -> None:
        """Destinations, and who takes their mail."""

    def take_sample(self, now: datetime, before: datetime) -> None:
        """Keep how much waits now, for the picture over time; forget what was kept before `before`."""

    def samples(self, since: datetime) -> list[QueueSample]:
        """What was kept since then, in order."""

    def set_dest(self, dests: Sequence[tuple[DeliveryId, str]]) -> None:
        """Another next hop for rows that somebody owns."""

    def ask_unowned(self, deliveries: Sequence[DeliveryId], wish: Wish, *, now: datetime) -> int:
        """A wish for rows that nobody owns: they are due at once, and whoever claims them applies it."""

    def summary(self) -> list[QueueSummary]: ...
    def census(self, place: CensusPlace | None, bands: Sequence[datetime], limit: int) -> CensusPart:
        """Count one slice of the queue from `place` (None: the beginning), by destination, cause, age and state.
        `bands` are times, newest first."""

    def tally(self, where: QueueFilter, limit: int) -> QueueTally:
        """What the filter means, looking at no more than `limit` recipients."""

    def wish(self, where: QueueFilter, wish: Wish, *, after: DeliveryId | None, limit: int) -> list[DeliveryId]:
        """Set the wish on one slice of owned rows; returns their ids (empty: done)."""

    def set_unowned(self, results: Sequence[DeliveryResult], events: Sequence[Event]) -> int:
        """By hand, for rows that nobody owns: write state, due and events. Returns how many rows changed."""

    def wishes(self, node: NodeId, epoch: int) -> list[tuple[DeliveryId, Wish]]:
        """Wishes on this node's rows."""

    def open_before_crash(self, deliveries: Sequence[DeliveryId]) -> None:
        """Mark rows as possibly sent twice (their attempt was open when the process died)."""


class Events(Protocol):
    def add(self, events: Sequence[Event]) -> None: ...
    def of_message(self, message: MessageId) -> list[Event]: ...
    def since(self, after: EventId | None, limit: int) -> list[Event]: ...


class Refusals(Protocol):
    def add(self, refusals: Sequence[Refusal]) -> None: ...
    def search(self, *, text: str = "", since: datetime | None = None, limit: int = 50) -> list[Refusal]: ...


class Mailboxes(Protocol):
    def get(self, mailbox: MailboxId) -> MailboxRecord | None: ...
    def by_name(self, account: AccountId, name: str) -> MailboxRecord | None: ...
    def list(self, account: AccountId) -> list[MailboxRecord]: ...
    def create(self, record: MailboxRecord) -> None:
        """Raises Refused when the name is taken."""

    def rename(self, mailbox: MailboxId, name: str) -> None: ...
    def delete(self, mailbox: MailboxId) -> None: ...
    def subscribe(self, mailbox: MailboxId, subscribed: bool) -> None: ...
    def next_uid_validity(self, account: AccountId) -> int:
        """Greater than any that this account has used, also for mailboxes since deleted."""


class MailboxMessages(Protocol):
    def add(self, messages: Sequence[NewMailboxMessage]) -> list[Uid]:
        """UIDs and mod-sequences are given here; counters of mailbox and account follow."""

    def page(self, mailbox: MailboxId, *, after: Uid | None = None, limit: int = 1000) -> list[MailboxMessage]:
        """By UID, ascending, from the one behind `after`."""

    def get(self, mailbox: MailboxId, uids: Sequence[Uid]) -> list[MailboxMessage]: ...
    def view(self, mailbox: MailboxId, *, after: Uid | None, limit: int) -> list[tuple[Uid, int, tuple[str, ...]]]:
        """(uid, flags, keywords), by UID: what a session's view is built from."""

    def changes(self, mailbox: MailboxId, since: ModSeq, limit: int) -> list[MailboxChange]:
        """Changes above `since`, by mod-sequence; fewer than `limit` means that is all. A page never ends inside one
        mod-sequence, so it may be longer."""

    def store(
        self,
        mailbox: MailboxId,
        uids: Sequence[Uid],
        *,
        add: int = 0,
        remove: int = 0,
        replace: int | None = None,
        add_keywords: Sequence[str] = (),
        remove_keywords: Sequence[str] = (),
        replace_keywords: Sequence[str] | None = None,
    ) -> list[MailboxChange]:
        """Change flags of one slice, set-wise; the result has the rows that exist, with a new mod-sequence."""

    def copy(self, source: MailboxId, uids: Sequence[Uid], target: MailboxId) -> list[tuple[Uid, Uid]]:
        """(old, new) UIDs; flags, keywords and internal date are kept."""

    def expunge(self, mailbox: MailboxId, uids: Sequence[Uid]) -> list[Uid]:
        """Remove one slice; returns those that were there. Leaves `vanished` rows."""

    def texts(
        self, mailbox: MailboxId, *, low: Uid, high: Uid, limit: int, envelope: bool, structure: bool, body: bool
    ) -> list[MessageText]:
        """UIDs `low` to `high`, ascending, at most `limit`: one join, only the columns that are asked for."""

    def sources(
        self, mailbox: MailboxId, uids: Sequence[Uid], *, layout: bool, envelope: bool, structure: bool, body: bool
    ) -> list[MessageSource]:
        """Those that are there, by UID; with `layout` header size and sections too."""

    def contents(self, blobs: Sequence[BlobId]) -> dict[BlobId, Content]: ...
    def put_content(self, content: Content) -> None: ...
    def add_blob(self, blob: BlobId, place: BlobPlace) -> None:
        """For content that enters by APPEND; accepted messages bring theirs through `Store.accept`."""


class Nodes(Protocol):
    def join(self, name: str, *, now: datetime, lease: timedelta) -> tuple[NodeId, int]:
        """Find or make the node called `name`, with a new epoch."""

    def number(self, name: str, *, now: datetime) -> NodeId:
        """Find or make the node called `name` without taking its lease: its number stands in new ids."""

    def renew(self, node: NodeId, epoch: int, *, now: datetime, lease: timedelta) -> bool:
        """False: another process has taken this node's name; stop."""


class Meta(Protocol):
    """Small facts about the whole installation, by name."""

    def get(self, name: str) -> str | None: ...
    def put(self, name: str, value: str) -> None: ...


class LedgerRows(Protocol):
    def totals(self) -> LedgerTotals:
        """Every accepted recipient is in exactly one state, every final one has exactly one final event, every message
        has a Received event and its content's place; counters of mailboxes agree with their rows."""


class Retention(Protocol):
    """What time takes away. Each call deletes at most one slice (use Lane.LOW) and says how much: 0 means done.

    The contents of mailboxes stay until somebody deletes them.
    """

    def messages(self, before: datetime, limit: int = 50) -> int:
        """Messages accepted and finished before then, with their deliveries, attempts and events."""

    def attempts(self, before: datetime, limit: int = 200) -> int:
        """Attempts that ended before then, with their dialogues."""

    def events(self, before: datetime, limit: int = 500) -> int:
        """Events about no message."""

    def refusals(self, before: datetime, limit: int = 500) -> int: ...
    def audit(self, before: datetime, limit: int = 500) -> int: ...
    def idempotency(self, now: datetime, limit: int = 500) -> int:
        """Keys whose day is over."""

    def logins(self, *, sessions_before: datetime, failures_before: datetime, now: datetime, limit: int = 500) -> int:
        """Sessions not used since, sign-in links that have run out, and what was kept of failed logins."""

    def deleted_mailboxes(self, limit: int = 500) -> int:
        """Rows of deleted mailboxes."""


class Places(Protocol):
    """Where content lies: for the sweep and for proving what is on the disk."""

    def walk(self, after: BlobId, limit: int = 500) -> list[tuple[BlobId, BlobPlace, bool]]:
        """By id, from the one behind `after`: its place, and whether a message or a mailbox names it."""

    def forget(self, blobs: Sequence[BlobId]) -> list[BlobId]:
        """Forget those of the blobs that nothing names; their ids."""

    def forget_segments(self, names: Sequence[str]) -> None:
        """Forget files in which nothing lies."""


class Tx(Protocol):
    """One unit of work."""

    @property
    def domains(self) -> Domains: ...
    @property
    def accounts(self) -> Accounts: ...
    @property
    def aliases(self) -> Aliases: ...
    @property
    def messages(self) -> Messages: ...
    @property
    def deliveries(self) -> Deliveries: ...
    @property
    def events(self) -> Events: ...
    @property
    def refusals(self) -> Refusals: ...
    @property
    def mailboxes(self) -> Mailboxes: ...
    @property
    def mailbox_messages(self) -> MailboxMessages: ...
    @property
    def nodes(self) -> Nodes: ...
    @property
    def meta(self) -> Meta: ...
    @property
    def ledger(self) -> LedgerRows: ...
    @property
    def retention(self) -> Retention: ...
    @property
    def places(self) -> Places: ...
    @property
    def servers(self) -> Servers: ...
    @property
    def streams(self) -> Streams: ...
    @property
    def tokens(self) -> Tokens: ...
    @property
    def suppressions(self) -> Suppressions: ...
    @property
    def return_paths(self) -> ReturnPaths: ...
    @property
    def idempotency(self) -> Idempotency: ...
    @property
    def admins(self) -> Admins: ...
    @property
    def sessions(self) -> Sessions: ...
    @property
    def throttle(self) -> LoginThrottle: ...
    @property
    def app_passwords(self) -> AppPasswords: ...
    @property
    def senders(self) -> SenderRows: ...
    @property
    def audit(self) -> Audit: ...
    @property
    def search(self) -> SearchRows: ...
    @property
    def figures(self) -> Figures: ...
    @property
    def tls(self) -> TlsRows: ...
    @property
    def greylist(self) -> GreyRows: ...


class Store(Protocol):
    """The database and the segments behind it. All methods are called on the loop's thread."""

    async def read(self, function: Callable[[Tx], T]) -> T:
        """Run in a read-only transaction of at most a second; results are taken in pages."""

    async def write(self, function: Callable[[Tx], T], *, lane: Lane = Lane.NORMAL) -> T:
        """Run in a transaction, in its own savepoint; returns after the commit. Raises what `function` raised, or
        StoreUnavailable."""

    def accept(self, acceptance: Acceptance) -> Awaitable[Accepted]:
        """Content first, then rows, one sync and one commit for all that wait. Raises StoreUnavailable or Refused."""

    def accept_all(
        self, acceptances: Sequence[Acceptance], then: Callable[[Tx], None] | None = None
    ) -> list[Awaitable[Accepted]]:
        """The same for many that belong together: one sync and one commit for all of them, however many; a result for
        each. `then` is called in that transaction, behind their rows. Raises StoreUnavailable."""

    def append(self, append: MailboxAppend) -> Awaitable[Uid]:
        """APPEND: content, place, rendering and row, in the same groups as `accept`. Raises StoreUnavailable or
        Refused (the mailbox is gone)."""

    def outcomes(self, outcomes: Outcomes) -> Awaitable[int]:
        """Write results, attempt and events. Returns how many of the results still held (owner and epoch)."""

    def has_room(self, size: int) -> bool:
        """False when `size` more octets would eat the soft reserve: answer 452 at MAIL. Cheap: a remembered figure."""

    @property
    def backlog(self) -> int:
        """Units waiting for the writer, for metrics and for stopping to read from sessions."""

    @property
    def stop_dialling(self) -> bool:
        """Outcomes cannot be written at present: start no attempt whose outcome could not be recorded."""
