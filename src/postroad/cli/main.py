"""`postroad NOUN VERB`: the table of commands, and the one place where errors become words and exit codes.

Commands are imported when they are called, so that `sendmail` does not pay for `serve`. Exit codes: 0 good, 1 a problem
found or an operation refused, 2 wrong use.
"""

from __future__ import annotations

import importlib
import sys

import click

from postroad import __version__
from postroad.cli.context import Context

# name: module with a command of that name, and what `postroad --help` says of it
COMMANDS = {
    "demo": "a whole mail world on localhost to try things in",
    "quickstart": "write a configuration, a domain, an account, an administrator; print the DNS records",
    "serve": "run the server in the foreground",
    "check": "examine settings, DNS, TLS, ports, disk and clock",
    "domain": "domains: add, list, show, remove, records, verify, return-path",
    "account": "mailboxes: add, list, show, password, quota, app-password, send-as, remove",
    "alias": "aliases, forwards, catch-all: add, list, remove",
    "server": "sending projects, with streams and tokens of their own: add, list, rename, remove",
    "stream": "message streams of a server: add, list, archive, unarchive, return-path",
    "suppression": "who gets nothing more on a stream: list, add, remove",
    "token": "secrets to send with, keys for the API: add, list, revoke",
    "admin": "administrators of the console: add, list, password, link, reset, remove",
    "freeze": "stop a sender's mail within a second: an account, a token, a stream, or all",
    "ban": "who has to wait after wrong passwords: list, release",
    "queue": "what waits: list, show, summary, retry, hold, release, cancel",
    "message": "what happened: list, show, trace, source",
    "explain": "what an SMTP reply means, and what to do about it",
    "send": "compose and submit one message",
    "sendmail": "the classic sendmail entry, for programs",
    "tls": "TLS with other servers: results, and what a domain asks of it",
    "ledger": "prove that every accepted recipient is accounted for",
    "lab": "the simulated internet alone, to test a set-up against",
}


class LazyGroup(click.Group):
    """A group whose commands live in modules of their own, imported when called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        command = getattr(importlib.import_module(f"postroad.cli.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from postroad.config.values import suggest

            hint = suggest(args[0], COMMANDS).capitalize()
            raise click.UsageError(f"{error.message.rstrip('.')}. {hint}".rstrip(), ctx) from None


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--config", "-c", metavar="FILE", help="The configuration file; see docs/reference/settings.md.")
@click.version_option(__version__, prog_name="postroad")
@click.pass_context
def postroad(ctx: click.Context, config: str | None) -> None:
    """Your own mail server: send, receive, relay and read email, see everything, lose nothing.

    \b
    New here?             postroad demo
    Your own domain:      postroad quickstart you@example.com
    Where is my mail?     postroad message list; postroad message trace ID
    """
    ctx.obj = Context(config)


def main() -> None:
    """The program."""
    try:
        sys.exit(postroad(standalone_mode=False, prog_name="postroad") or 0)  # --help and --version give their code
    except click.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except BrokenPipeError:  # `postroad message list | head`
        sys.stderr.close()
        sys.exit(0)
    except Exception as error:
        from postroad.cli.failures import explain

        sys.exit(explain(error))


if __name__ == "__main__":
    main()
