"""The table is complete: every row parses, is announced where it must be, and has its handler."""

import pytest

from postroad.proto.imap import commands
from postroad.proto.imap.commands import COMMANDS, Cursor, State, lookup
from postroad.proto.imap.profile import ImapProfile
from postroad.proto.imap.server import ImapServer
from postroad.proto.imap.tokens import SyntaxFault
from postroad.sessions.imap import HANDLERS

EXAMPLES = {
    b"CAPABILITY": b"", b"NOOP": b"", b"LOGOUT": b"", b"ID": b' ("name" "x" "version" NIL)', b"STARTTLS": b"",
    b"LOGIN": b" a b", b"AUTHENTICATE": b" PLAIN =", b"SELECT": b" x", b"EXAMINE": b" x", b"LIST": b' "" *',
    b"LSUB": b' "" %', b"STATUS": b" x (MESSAGES UNSEEN)", b"CREATE": b" x", b"DELETE": b" x", b"RENAME": b" x y",
    b"SUBSCRIBE": b" x", b"UNSUBSCRIBE": b" x", b"NAMESPACE": b"", b"IDLE": b"", b"CHECK": b"", b"CLOSE": b"",
    b"UNSELECT": b"", b"EXPUNGE": b"", b"FETCH": b" 1 ALL", b"STORE": b" 1 FLAGS ()", b"SEARCH": b" ALL",
    b"COPY": b" 1 x", b"MOVE": b" 1 x", b"UID FETCH": b" 1 ALL", b"UID STORE": b" 1 -FLAGS.SILENT a",
    b"UID SEARCH": b" 1", b"UID COPY": b" 1 x", b"UID MOVE": b" 1 x", b"UID EXPUNGE": b" 1:*",
}  # fmt: skip
BY_MACHINE = (commands.StartTls, commands.Authenticate, commands.Append)


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != b"APPEND"])
def test_every_row_parses_and_has_a_handler(name):
    cursor = Cursor(name.lower() + EXAMPLES[name])
    found, spec = lookup(cursor)
    command = spec.parse(cursor)
    cursor.end()
    assert found == name
    assert type(command) in HANDLERS or isinstance(command, BY_MACHINE)


def test_expunge_is_never_reported_by_number_while_numbers_are_used():
    """RFC 3501 §7.4.1."""
    silent = {name for name, spec in COMMANDS.items() if not spec.may_report_expunge}
    assert silent == {b"FETCH", b"STORE", b"SEARCH", b"CLOSE", b"UNSELECT"}


def test_what_is_built_is_announced():
    machine = ImapServer(ImapProfile("h", plaintext_login=True))
    machine.authenticated()
    announced = set(machine.capabilities().decode().split())
    assert announced == {
        "IMAP4rev1", "LITERAL+", "SASL-IR", "ID", "NAMESPACE", "IDLE", "UNSELECT", "MOVE", "UIDPLUS", "CHILDREN",
        "SPECIAL-USE",
    }  # fmt: skip


def test_states():
    assert COMMANDS[b"LOGIN"].states is State.NOT_AUTHENTICATED
    assert State.SELECTED in COMMANDS[b"LIST"].states
    assert State.AUTHENTICATED not in COMMANDS[b"FETCH"].states


@pytest.mark.parametrize(
    "text",
    [
        b"", b"UID", b"UID NOOP", b"LOGIN", b"LOGIN a", b"LOGIN a  b", b"SELECT", b"STATUS x ()", b"STATUS x (BOGUS)",
        b"STORE 1 BOGUS ()", b"STORE 1 FLAGS.LOUD ()", b"STORE 1 FLAGS", b"ID (name x)", b'ID ("a")', b"COPY x 1",
        b"ID (" + b" ".join([b'"a" "b"'] * 31) + b")", b"RENAME x", b'LIST "" (', b"NOOP now",
    ],
)  # fmt: skip
def test_refused(text):
    with pytest.raises(SyntaxFault):
        cursor = Cursor(text)
        lookup(cursor)[1].parse(cursor)
        cursor.end()
