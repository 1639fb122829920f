"""`postroad account`: mailboxes and their passwords."""

from __future__ import annotations

import sys

import click

from postroad.cli.apppasswords import app_password
from postroad.cli.context import Context, json_option, pass_context
from postroad.cli.output import print_facts, print_json, print_table, size_text, when
from postroad.cli.passwords import password_option, read_password
from postroad.ports.store import AccountRecord, MailboxRecord, Tx

hash_option = click.option(
    "--hash-stdin", is_flag=True, help="Read a hash that another server made ({SSHA}, $6$, PBKDF2, Argon2 ...)."
)


@click.group()
def account() -> None:
    """Mailboxes, their passwords and quotas.

    \b
    postroad account add alice@example.com
    echo "$PASSWORD" | postroad account add bob@example.com --password-stdin
    """


@account.command()
@click.argument("address")
@password_option
@hash_option
@click.option("--quota", default="0", metavar="SIZE", help="Most that it may hold, such as 500M or 2G; 0: no limit.")
@pass_context
def add(context: Context, *, address: str, password_stdin: bool, hash_stdin: bool, quota: str) -> None:
    """Add a mailbox. The first account of all is the administrator.

    A hash of another server serves until the first login, which makes one of ours in its place; until then programs
    can log in by PLAIN and LOGIN alone.

    \b
    postroad account add alice@example.com
    echo "$PASSWORD" | postroad account add alice@example.com --password-stdin --quota 2G
    """
    limit = read_size(quota)
    password = _read(password_stdin, hash_stdin)
    made = context.change("account.add", address=address, password=password, quota=limit, is_hash=hash_stdin)
    click.echo(f"Added {made['address']}{', the administrator' if made['is_admin'] else ''}.")


@account.command(name="list")
@click.option("--domain", default="", metavar="NAME", help="Only accounts of this domain.")
@json_option
@pass_context
def list_(context: Context, domain: str, as_json: bool) -> None:
    """All accounts.

    \b
    postroad account list --domain example.com
    """
    records = context.read(lambda tx: tx.accounts.list(domain))
    if as_json:
        print_json(records)
        return
    rows = [(r.address, size_text(r.used_bytes), _quota(r), "yes" if r.is_admin else "") for r in records]
    print_table(("ADDRESS", "USED", "QUOTA", "ADMINISTRATOR"), rows, empty="No accounts yet: postroad account add ...")


@account.command()
@click.argument("address")
@json_option
@pass_context
def show(context: Context, address: str, as_json: bool) -> None:
    """One account with its mailboxes.

    \b
    postroad account show alice@example.com
    """

    def read(tx: Tx) -> tuple[AccountRecord, list[MailboxRecord]]:
        from postroad.accounts.accounts import get

        record = get(tx, address)
        return record, tx.mailboxes.list(record.id)

    record, mailboxes = context.read(read)
    if as_json:
        print_json({"account": record, "mailboxes": mailboxes})
        return
    print_facts(
        [
            ("address", record.address),
            ("added", when(record.created)),
            ("used", f"{size_text(record.used_bytes)} of {_quota(record)}"),
            ("administrator", "yes" if record.is_admin else ""),
            ("login", "disabled" if record.disabled else "allowed"),
        ]
    )
    click.echo()
    rows = [(m.name, m.total, m.unseen, size_text(m.size)) for m in mailboxes]
    print_table(("MAILBOX", "MESSAGES", "UNSEEN", "SIZE"), rows, empty="No mailboxes.")


@account.command()
@click.argument("address")
@password_option
@hash_option
@pass_context
def password(context: Context, *, address: str, password_stdin: bool, hash_stdin: bool) -> None:
    """Set a new password; logins with the old one end.

    \b
    postroad account password alice@example.com
    echo "$PASSWORD" | postroad account password alice@example.com --password-stdin
    """
    secret = _read(password_stdin, hash_stdin)
    made = context.change("account.password", address=address, password=secret, is_hash=hash_stdin)
    click.echo(f"{made['address']} has a new password.")


@account.command(name="send-as")
@click.argument("address")
@click.argument("others", metavar="[OTHER]...", nargs=-1)
@click.option("--remove", is_flag=True, help="Take the permission away.")
@json_option
@pass_context
def send_as(context: Context, address: str, others: tuple[str, ...], remove: bool, as_json: bool) -> None:
    """Let an account send as OTHER too; without OTHER, list what it was allowed.

    Its own address, with any +detail, and aliases that lead to it alone need no permission. '*@DOMAIN' is everything
    in a domain of this server.

    \b
    postroad account send-as alice@example.com team@example.com '*@example.org'
    postroad account send-as alice@example.com team@example.com --remove
    """
    if remove and not others:
        raise click.UsageError("--remove needs the addresses to take away")
    granted = context.change("account.send-as", account=address, addresses=list(others), remove=remove)
    if as_json:
        print_json(granted)
        return
    click.echo("\n".join(granted) if granted else "Nothing beyond its own addresses.")


@account.command()
@click.argument("address")
@click.argument("size")
@pass_context
def quota(context: Context, address: str, size: str) -> None:
    """Set how much an account may hold; 0 takes the limit away.

    \b
    postroad account quota alice@example.com 2G
    """
    made = context.change("account.quota", address=address, quota=read_size(size))
    click.echo(f"{made['address']} may hold {size if read_size(size) else 'any amount'}.")


@account.command()
@click.argument("address")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_context
def remove(context: Context, address: str, yes: bool) -> None:
    """Remove an account with all its mail.

    \b
    postroad account remove bob@example.com
    postroad account remove bob@example.com --yes
    """
    if not yes:
        _confirm(context, address)
    made = context.change("account.remove", address=address)
    click.echo(f"Removed {made['address']}.")


def _confirm(context: Context, address: str) -> None:
    """Ask whoever sits at the terminal. Raises Refused where there is no such account, Abort for a no."""
    from postroad.accounts.accounts import get

    record = context.read(lambda tx: get(tx, address))
    if not sys.stdin.isatty():
        raise click.UsageError("this removes all its mail and nobody is here to be asked; add --yes")
    click.confirm(f"Remove {record.address} with its {size_text(record.used_bytes)} of mail?", abort=True)


def _read(password_stdin: bool, hash_stdin: bool) -> str:
    """A password, or a hash, which is never asked for at the terminal."""
    if password_stdin and hash_stdin:
        raise click.UsageError("--password-stdin and --hash-stdin cannot both be meant")
    return read_password(password_stdin or hash_stdin, confirm=True)


account.add_command(app_password)

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def read_size(text: str) -> int:
    """`500M` as octets."""
    number = text.upper().removesuffix("IB").removesuffix("B")
    unit = number[-1:] if number[-1:].isalpha() else ""
    digits = number.removesuffix(unit)
    if unit not in _UNITS or not (digits.isascii() and digits.isdigit()):
        raise click.UsageError(f"`{text}` is not a size; write it as 500M or 2G")
    return int(digits) * _UNITS[unit]


def _quota(record: AccountRecord) -> str:
    return size_text(record.quota_bytes) if record.quota_bytes else "no limit"
