"""The command table: where each command may stand, how it is read, and what may be reported while it runs.

A new command is a row here, a dataclass above it, and a handler in `sessions.imap` (RFC 3501 §6 unless cited).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, IntFlag

from postroad.proto.imap.fetch import FetchItems, parse_items
from postroad.proto.imap.search import Key, parse_search
from postroad.proto.imap.sequence import SequenceSet
from postroad.proto.imap.tokens import Cursor, SyntaxFault

MAX_ID_PAIRS = 30  # RFC 2971 §3.3


class State(IntFlag):
    """RFC 3501 §3, as bits so that a row can name several."""

    NOT_AUTHENTICATED = 1
    AUTHENTICATED = 2
    SELECTED = 4
    LOGGED_IN = 6
    ANY = 7


@dataclass(frozen=True, slots=True)
class Capability:
    pass


@dataclass(frozen=True, slots=True)
class Noop:
    """NOOP and CHECK."""


@dataclass(frozen=True, slots=True)
class Logout:
    pass


@dataclass(frozen=True, slots=True)
class Id:
    """RFC 2971: what the client says it is."""

    fields: tuple[tuple[bytes, bytes | None], ...]


@dataclass(frozen=True, slots=True)
class StartTls:
    pass


@dataclass(frozen=True, slots=True)
class Login:
    user: bytes
    password: bytes


@dataclass(frozen=True, slots=True)
class Authenticate:
    mechanism: str
    initial: bytes | None  # still in base64, RFC 4959


@dataclass(frozen=True, slots=True)
class Select:
    mailbox: str
    read_only: bool


@dataclass(frozen=True, slots=True)
class List:
    reference: str
    pattern: str
    subscribed: bool  # LSUB


@dataclass(frozen=True, slots=True)
class Status:
    mailbox: str
    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Create:
    mailbox: str


@dataclass(frozen=True, slots=True)
class Delete:
    mailbox: str


@dataclass(frozen=True, slots=True)
class Rename:
    mailbox: str
    new_name: str


@dataclass(frozen=True, slots=True)
class Subscribe:
    mailbox: str
    subscribed: bool


@dataclass(frozen=True, slots=True)
class Namespace:
    """RFC 2342."""


@dataclass(frozen=True, slots=True)
class Append:
    """All of APPEND before its literal."""

    mailbox: str
    flags: int
    keywords: tuple[str, ...]
    internal_date: datetime | None


@dataclass(frozen=True, slots=True)
class Idle:
    """RFC 2177."""


@dataclass(frozen=True, slots=True)
class Close:
    """CLOSE, or with `keep` UNSELECT (RFC 3691), which expunges nothing."""

    keep: bool


@dataclass(frozen=True, slots=True)
class Expunge:
    uids: SequenceSet | None  # UID EXPUNGE, RFC 4315 §2.1


@dataclass(frozen=True, slots=True)
class Fetch:
    numbers: SequenceSet
    items: FetchItems
    uid: bool


class StoreMode(Enum):
    REPLACE = b"FLAGS"
    ADD = b"+FLAGS"
    REMOVE = b"-FLAGS"


@dataclass(frozen=True, slots=True)
class Store:
    numbers: SequenceSet
    mode: StoreMode
    silent: bool
    flags: int
    keywords: tuple[str, ...]
    uid: bool


@dataclass(frozen=True, slots=True)
class Copy:
    """COPY, or with `move` MOVE (RFC 6851)."""

    numbers: SequenceSet
    mailbox: str
    uid: bool
    move: bool


@dataclass(frozen=True, slots=True)
class Search:
    key: Key
    uid: bool


Command = (
    Capability | Noop | Logout | Id | StartTls | Login | Authenticate | Select | List | Status | Create | Delete
    | Rename | Subscribe | Namespace | Append | Idle | Close | Expunge | Fetch | Store | Copy | Search
)  # fmt: skip
Parser = Callable[[Cursor], Command]


@dataclass(frozen=True, slots=True)
class CommandSpec:
    """One row. `parse` reads what follows the name, from its first space on."""

    states: State
    parse: Parser
    uses_sequence_numbers: bool = False
    may_report_expunge: bool = True  # RFC 3501 §7.4.1: never during FETCH, STORE and SEARCH
    capability: str = ""  # announced because this row is here


def _bare(command: Command) -> Parser:
    """A command without arguments."""
    return lambda _: command


def _login(cursor: Cursor) -> Command:
    cursor.space()
    user = cursor.astring()
    cursor.space()
    return Login(user, cursor.astring())


def _authenticate(cursor: Cursor) -> Command:
    cursor.space()
    mechanism = cursor.atom().decode("ascii").upper()
    if cursor.at_end:
        return Authenticate(mechanism, None)
    cursor.space()
    initial, cursor.position = cursor.data[cursor.position :], len(cursor.data)
    return Authenticate(mechanism, initial)


def _id(cursor: Cursor) -> Command:
    cursor.space()
    if cursor.data[cursor.position :].upper() == b"NIL":
        cursor.position += 3
        return Id(())
    cursor.expect(b"(")
    fields: list[tuple[bytes, bytes | None]] = []
    while not cursor.accept(b")"):
        if fields:
            cursor.space()
        if len(fields) == MAX_ID_PAIRS:
            raise SyntaxFault("ID has too many fields")
        name = cursor.string()
        cursor.space()
        fields.append((name, cursor.nstring()))
    return Id(tuple(fields))


def _mailbox(make: Callable[[str], Command]) -> Parser:
    """A command whose one argument is a mailbox name."""

    def parse(cursor: Cursor) -> Command:
        cursor.space()
        return make(cursor.mailbox())

    return parse


def _list(*, subscribed: bool) -> Parser:
    def parse(cursor: Cursor) -> Command:
        cursor.space()
        reference = cursor.mailbox()
        cursor.space()
        return List(reference, cursor.list_mailbox(), subscribed)

    return parse


STATUS_ITEMS = ("MESSAGES", "RECENT", "UIDNEXT", "UIDVALIDITY", "UNSEEN")


def _status(cursor: Cursor) -> Command:
    cursor.space()
    mailbox = cursor.mailbox()
    cursor.expect(b" (")
    items = [cursor.atom().decode("ascii").upper()]
    while cursor.accept(b" "):
        items.append(cursor.atom().decode("ascii").upper())
    cursor.expect(b")")
    for item in items:
        if item not in STATUS_ITEMS:
            raise SyntaxFault(f"STATUS knows no item {item}")
    return Status(mailbox, tuple(dict.fromkeys(items)))


def _rename(cursor: Cursor) -> Command:
    cursor.space()
    mailbox = cursor.mailbox()
    cursor.space()
    return Rename(mailbox, cursor.mailbox())


def _append(cursor: Cursor) -> Command:
    """Up to the literal, which the machine has seen announced and hands out by itself."""
    cursor.space()
    mailbox = cursor.mailbox()
    cursor.space()
    flags, keywords = 0, tuple[str, ...]()
    if cursor.peek(b"("):
        flags, keywords = cursor.flag_list()
        cursor.space()
    internal_date = None
    if cursor.peek(b'"'):
        internal_date = cursor.date_time()
        cursor.space()
    if not cursor.peek(b"{"):
        raise SyntaxFault("APPEND needs the message as a literal")
    return Append(mailbox, flags, keywords, internal_date)


def _fetch(*, uid: bool) -> Parser:
    def parse(cursor: Cursor) -> Command:
        cursor.space()
        numbers = cursor.sequence_set()
        cursor.space()
        return Fetch(numbers, parse_items(cursor), uid)

    return parse


def _store(*, uid: bool) -> Parser:
    def parse(cursor: Cursor) -> Command:
        cursor.space()
        numbers = cursor.sequence_set()
        cursor.space()
        name = cursor.atom().upper()
        silent = name.endswith(b".SILENT")
        try:
            mode = StoreMode(name.removesuffix(b".SILENT"))
        except ValueError:
            raise SyntaxFault("STORE changes FLAGS, +FLAGS or -FLAGS, each with .SILENT or not") from None
        cursor.space()
        flags, keywords = cursor.flag_list() if cursor.peek(b"(") else cursor.flags()
        return Store(numbers, mode, silent, flags, keywords, uid)

    return parse


def _copy(*, uid: bool, move: bool) -> Parser:
    def parse(cursor: Cursor) -> Command:
        cursor.space()
        numbers = cursor.sequence_set()
        cursor.space()
        return Copy(numbers, cursor.mailbox(), uid, move)

    return parse


def _search(*, uid: bool) -> Parser:
    def parse(cursor: Cursor) -> Command:
        cursor.space()
        return Search(parse_search(cursor), uid)

    return parse


def _uid_expunge(cursor: Cursor) -> Command:
    cursor.space()
    return Expunge(cursor.sequence_set())


def _selected(
    parse: Parser, *, uses_sequence_numbers: bool = False, may_report_expunge: bool = True, capability: str = ""
) -> CommandSpec:
    return CommandSpec(State.SELECTED, parse, uses_sequence_numbers, may_report_expunge, capability)


_ANY, _NOT_AUTHENTICATED, _LOGGED_IN = State.ANY, State.NOT_AUTHENTICATED, State.LOGGED_IN

COMMANDS: dict[bytes, CommandSpec] = {
    b"CAPABILITY": CommandSpec(_ANY, _bare(Capability())),
    b"NOOP": CommandSpec(_ANY, _bare(Noop())),
    b"LOGOUT": CommandSpec(_ANY, _bare(Logout())),
    b"ID": CommandSpec(_ANY, _id, capability="ID"),
    b"STARTTLS": CommandSpec(_NOT_AUTHENTICATED, _bare(StartTls())),
    b"LOGIN": CommandSpec(_NOT_AUTHENTICATED, _login),
    b"AUTHENTICATE": CommandSpec(_NOT_AUTHENTICATED, _authenticate),
    b"SELECT": CommandSpec(_LOGGED_IN, _mailbox(lambda name: Select(name, read_only=False))),
    b"EXAMINE": CommandSpec(_LOGGED_IN, _mailbox(lambda name: Select(name, read_only=True))),
    b"LIST": CommandSpec(_LOGGED_IN, _list(subscribed=False)),
    b"LSUB": CommandSpec(_LOGGED_IN, _list(subscribed=True)),
    b"STATUS": CommandSpec(_LOGGED_IN, _status),
    b"CREATE": CommandSpec(_LOGGED_IN, _mailbox(Create)),
    b"DELETE": CommandSpec(_LOGGED_IN, _mailbox(Delete)),
    b"RENAME": CommandSpec(_LOGGED_IN, _rename),
    b"SUBSCRIBE": CommandSpec(_LOGGED_IN, _mailbox(lambda name: Subscribe(name, subscribed=True))),
    b"UNSUBSCRIBE": CommandSpec(_LOGGED_IN, _mailbox(lambda name: Subscribe(name, subscribed=False))),
    b"NAMESPACE": CommandSpec(_LOGGED_IN, _bare(Namespace()), capability="NAMESPACE"),
    b"APPEND": CommandSpec(_LOGGED_IN, _append),
    b"IDLE": CommandSpec(_LOGGED_IN, _bare(Idle()), capability="IDLE"),
    b"CHECK": _selected(_bare(Noop())),
    b"CLOSE": _selected(_bare(Close(keep=False)), may_report_expunge=False),
    b"UNSELECT": _selected(_bare(Close(keep=True)), may_report_expunge=False, capability="UNSELECT"),
    b"EXPUNGE": _selected(_bare(Expunge(None))),
    b"FETCH": _selected(_fetch(uid=False), uses_sequence_numbers=True, may_report_expunge=False),
    b"STORE": _selected(_store(uid=False), uses_sequence_numbers=True, may_report_expunge=False),
    b"SEARCH": _selected(_search(uid=False), uses_sequence_numbers=True, may_report_expunge=False),
    b"COPY": _selected(_copy(uid=False, move=False), uses_sequence_numbers=True),
    b"MOVE": _selected(_copy(uid=False, move=True), uses_sequence_numbers=True, capability="MOVE"),
    b"UID FETCH": _selected(_fetch(uid=True)),
    b"UID STORE": _selected(_store(uid=True)),
    b"UID SEARCH": _selected(_search(uid=True), uses_sequence_numbers=True),  # sequence numbers may be keys
    b"UID COPY": _selected(_copy(uid=True, move=False)),
    b"UID MOVE": _selected(_copy(uid=True, move=True)),
    b"UID EXPUNGE": _selected(_uid_expunge, capability="UIDPLUS"),
}


def lookup(cursor: Cursor) -> tuple[bytes, CommandSpec]:
    """The row that the next word (or `UID` and the word behind it) names. Raises SyntaxFault."""
    name = cursor.atom().upper()
    if name == b"UID":
        cursor.space()
        name += b" " + cursor.atom().upper()
    spec = COMMANDS.get(name)
    if spec is None:
        raise SyntaxFault(f"there is no command {name[:40].decode('ascii')}")
    return name, spec
