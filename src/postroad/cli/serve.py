"""`postroad serve`: the server, in the foreground."""

from __future__ import annotations

import sys

import click

from postroad.cli.context import Context, pass_context


@click.command()
@pass_context
def serve(context: Context) -> None:
    """Run the server in the foreground.

    Prints `listening SERVICE ADDRESS:PORT` for each listener, then `ready`. SIGTERM ends it politely; SIGHUP reads
    certificates and those settings anew that may change.

    \b
    postroad serve
    POSTROAD_LOG_FORMAT=json postroad --config /etc/postroad/postroad.toml serve
    """
    from postroad.app.lifecycle import serve as run

    sys.exit(run(context.settings, context.config_file))
