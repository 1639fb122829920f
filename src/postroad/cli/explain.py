"""`postroad explain`: what an SMTP reply means and what to do."""

from __future__ import annotations

import click

from postroad.cli.context import Context, json_option, pass_context
from postroad.cli.output import print_json
from postroad.config.problems import ConfigError
from postroad.config.schema import Settings
from postroad.content.explain import Explanation


@click.command()
@click.argument("text", metavar="TEXT", nargs=-1, required=True)
@click.option("--recipient", default="", metavar="ADDRESS", help="To whom the message went.")
@click.option("--sender", default="", metavar="ADDRESS", help="Who sent it: its domain's SPF and DMARC are looked up.")
@click.option(
    "--host", default="", metavar="NAME", help="The server that said it: it may be a provider with a dialect."
)
@click.option("--offline", is_flag=True, help="Ask no DNS server.")
@json_option
@pass_context
def explain(
    context: Context, text: tuple[str, ...], *, recipient: str, sender: str, host: str, offline: bool, as_json: bool
) -> None:
    """Say what an SMTP reply means: what happened, whose move it is, the next step.

    TEXT is the reply as a log, a report or a bounce has it, of one line or several. Replies that are not known are told
    by their codes.

    \b
    postroad explain "550-5.7.26 Unauthenticated email from example.com is not accepted"
    postroad explain --host mx.example.org --recipient bob@example.org "450 4.2.0 come back later"
    postroad explain 5.1.1
    """
    from postroad.app.explain import explain_text

    work = explain_text(
        _settings(context), " ".join(text), recipient=recipient, sender=sender, host=host, ask_dns=not offline
    )
    told = context.run(work)
    if as_json:
        print_json(told)
        return
    print_explanation(told)


def _settings(context: Context) -> Settings | None:
    """None where nothing is set up here: a reply can be explained anywhere."""
    try:
        return context.settings
    except ConfigError:
        if context.config_file is not None:
            raise
        return None


def _printable(text: str) -> str:
    """A stranger's words do not steer the terminal."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def print_explanation(told: Explanation) -> None:
    """In sentences, with the facts below."""
    by = f" ({told.speaker})" if told.speaker else ""
    click.echo(f"{click.style(told.title, bold=True)}{by}")
    click.echo()
    for sentence in (told.happened, f"{told.whose}: {told.next_step}", told.retry):
        click.echo(_printable(sentence))
    click.echo()
    rows = [
        ("reason", told.reason),
        ("lies with", told.fault),
        ("bounce type", told.bounce_type),
        ("known by", told.found_by),
        ("documented", told.doc),
        *told.facts,
    ]
    width = max(len(label) for label, value in rows if value)
    for label, value in rows:
        if value:
            click.echo(f"  {label:<{width}}  {_printable(value)}")
