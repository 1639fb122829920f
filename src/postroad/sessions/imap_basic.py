"""IMAP commands that need neither mailbox nor message: CAPABILITY, NOOP, LOGOUT, ID, LOGIN, NAMESPACE, IDLE."""

from __future__ import annotations

from postroad.proto.imap import commands
from postroad.proto.imap.responses import Line, ok
from postroad.sessions.imap_core import ImapConversation, Waiting


def capability(session: ImapConversation, _: commands.Capability) -> Waiting:
    session.machine.send(Line(b"CAPABILITY " + session.machine.capabilities()))
    return session.done(ok("that is all"))


def noop(session: ImapConversation, _: commands.Noop) -> Waiting:
    """Also CHECK: everything is on disk already. Polls, whatever the signals say (RFC 3501 §6.1.2)."""
    return session.done(ok("done")) if session.view is None else _poll(session)


async def _poll(session: ImapConversation) -> None:
    await session.look()
    await session.end(ok("done"))


def logout(session: ImapConversation, _: commands.Logout) -> None:
    session.machine.bye("until next time")
    session.machine.finish(ok("logged out"))


def identify(session: ImapConversation, _: commands.Id) -> Waiting:
    session.machine.send(Line(b'ID ("name" "Postroad")'))
    return session.done(ok("nice to meet you"))


def login(session: ImapConversation, command: commands.Login) -> Waiting:
    try:
        name, password = command.user.decode("utf-8"), command.password.decode("utf-8")
    except UnicodeDecodeError:
        return session.login.refuse("LOGIN: not UTF-8")
    return session.login.password(name, password)


def start_idle(session: ImapConversation, _: commands.Idle) -> Waiting:
    return session.start_idle()


def namespace(session: ImapConversation, _: commands.Namespace) -> Waiting:
    """RFC 2342: one personal namespace, nothing shared."""
    session.machine.send(Line(b'NAMESPACE (("" "/")) NIL NIL'))
    return session.done(ok("that is all"))
