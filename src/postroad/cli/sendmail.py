"""`postroad sendmail`: the entry that programs have called for forty years, by way of the control socket.

It takes the options that others take and ignores those that say how, not what. Exit codes are those of sysexits.h;
without a running server it is 75: try again later.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass, field

import click

from postroad.cli.context import Context, pass_context
from postroad.config.problems import ConfigError

EX_OK, EX_USAGE, EX_DATAERR, EX_NOUSER, EX_UNAVAILABLE, EX_TEMPFAIL, EX_NOPERM, EX_CONFIG = (
    0,
    64,
    65,
    67,
    69,
    75,
    77,
    78,
)

_WITH_VALUE = frozenset("fFrBCNRVXphLoO")  # options of one letter that take a value, here or in the next word
_MODES = frozenset({"bm"})
_NOTIFY = re.compile(r"never|(success|failure|delay)(,(success|failure|delay))*", re.IGNORECASE)
_REPORTS = {  # option: the argument, what it may be, and how to say so
    "N": ("notify", _NOTIFY, "never, or some of failure,delay,success"),
    "R": ("ret", re.compile("full|hdrs", re.IGNORECASE), "full or hdrs"),
    "V": ("envid", re.compile(r"[!-~]{1,60}"), "a name of your own without blanks, of at most 60 characters"),
}


@dataclass(slots=True)
class _Call:
    """What the words ask for."""

    sender: str = ""
    full_name: str = ""
    from_header: bool = False  # -t: recipients stand in the header
    dot_ends: bool = True  # a line with one dot ends the message, unless -i
    reports: dict[str, str] = field(default_factory=dict)  # what -N, -R and -V ask of reports
    recipients: list[str] = field(default_factory=list)


class _Usage(Exception):  # noqa: N818
    pass


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": True})
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[-t] [-i] [-f SENDER] [RECIPIENT]...")
@pass_context
def sendmail(context: Context, words: tuple[str, ...]) -> None:
    """Take one message from standard input and submit it, as sendmail does.

    \b
    -t         recipients from To, Cc and Bcc (Bcc is taken out)
    -i, -oi    a line with a single dot does not end the message
    -f SENDER  the envelope sender; -f '<>' for none
    -F NAME    the full name, for a message without From
    -N WHEN    when to report to the sender: never, or some of failure,delay,success
    -R WHAT    what of the message a report brings back: full or hdrs
    -V NAME    your own name for the message, which reports repeat
    Other classic options are taken and change nothing.

    \b
    printf 'To: bob@example.com\\nSubject: hi\\n\\nhello\\n' | postroad sendmail -t -i -f alice@example.com

    Exit codes are those of sysexits.h: 64 wrong use, 65 the message, 67 a recipient, 69 refused,
    75 try again later (the server does not run), 77 not allowed, 78 the configuration.
    """
    sys.exit(_run(context, words))


def _run(context: Context, words: tuple[str, ...]) -> int:
    from postroad.app.access import NotRunning, change_running
    from postroad.ports.store import Refused, StoreUnavailable

    try:
        call = _read_words(words)
        content = _read_message(call.dot_ends)
        arguments = {
            "sender": call.sender or _login_name(),
            "full_name": call.full_name,
            "recipients": call.recipients,
            "from_header": call.from_header,
            **call.reports,
        }
        answer = context.run(change_running(context.settings, "sendmail", arguments, content))
    except _Usage as error:
        return _fail(EX_USAGE, str(error))
    except ConfigError as error:
        return _fail(EX_CONFIG, str(error))
    except Refused as error:
        return _fail(EX_DATAERR, str(error))
    except PermissionError:
        return _fail(EX_NOPERM, "the control socket is not open to you; run this as the server's user")
    except (NotRunning, StoreUnavailable, OSError) as error:
        return _fail(EX_TEMPFAIL, str(error))
    return EX_OK if answer["reply_code"] < 400 else _fail(_exit_code(answer), answer["text"])


def _exit_code(answer: dict[str, int | str]) -> int:
    """A refusal's place in sysexits.h."""
    code, enhanced = answer["reply_code"], str(answer["enhanced"])
    if isinstance(code, int) and code < 500:
        return EX_TEMPFAIL
    return EX_NOUSER if enhanced.startswith("5.1.1") else EX_UNAVAILABLE


def _fail(code: int, text: str) -> int:
    print(f"postroad sendmail: {text}", file=sys.stderr)
    return code


def _read_words(words: tuple[str, ...]) -> _Call:
    call = _Call()
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            call.recipients += rest
            break
        if not word.startswith("-") or word == "-":
            call.recipients.append(word)
        else:
            _read_option(call, word[1:], rest)
    if not call.from_header and not call.recipients:
        raise _Usage("no recipients: name them, or give -t to take them from the header")
    return call


def _read_option(call: _Call, option: str, rest: list[str]) -> None:
    letter, value = option[0], option[1:]
    if letter == "b":
        if option not in _MODES:
            raise _Usage(f"-{option} is not done here; only submission (-bm) is")
        return
    if letter in _WITH_VALUE:
        if not value:
            if not rest:
                raise _Usage(f"-{letter} needs a value")
            value = rest.pop(0)
        _set(call, letter, value)
        return
    for flag in option:  # flags may stand together: -ti
        if flag == "t":
            call.from_header = True
        elif flag == "i":
            call.dot_ends = False
        elif flag not in "nvUGmsxq0123456789":
            raise _Usage(f"-{option}: unknown option; see postroad sendmail --help")


def _set(call: _Call, letter: str, value: str) -> None:
    if letter in "fr":
        call.sender = value if value != "" else "<>"
    elif letter == "F":
        call.full_name = value
    elif letter in _REPORTS:
        name, allowed, told = _REPORTS[letter]
        if not allowed.fullmatch(value):
            raise _Usage(f"-{letter} wants {told}")
        call.reports[name] = value
    elif letter == "o" and value == "i":
        call.dot_ends = False


def _read_message(dot_ends: bool) -> bytes:
    """Standard input with CRLF line ends (RFC 5321 §2.3.8), whatever it had."""
    data = sys.stdin.buffer.read()
    lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if dot_ends:
        head, dot, _ = (b"\n" + lines).partition(b"\n.\n")
        lines = head[1:] + b"\n" if dot else lines
    if not lines.endswith(b"\n"):
        lines += b"\n"
    return lines.replace(b"\n", b"\r\n")


def _login_name() -> str:
    """Who runs this, as other sendmails have it: the user's name; the server adds its own."""
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return "nobody"
