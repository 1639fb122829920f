"""The documentation is true: generated pages are clean, every RFC is listed, every example parses."""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from postroad.cli.main import COMMANDS, postroad
from postroad.cli.reference import commands_page
from postroad.config.load import load
from postroad.config.reference import settings_page
from postroad.config.schema import Settings

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SOURCE = ROOT / "src" / "postroad"
PAGES = sorted([ROOT / "README.md", *DOCS.rglob("*.md")])


def test_settings_page_is_clean() -> None:
    page = (DOCS / "reference/settings.md").read_text()
    assert page == settings_page(), "run: .venv/bin/python -m postroad.config.reference"


def test_commands_page_is_clean() -> None:
    page = (DOCS / "reference/commands.md").read_text()
    assert page == commands_page(), "run: .venv/bin/python -m postroad.cli.reference"


def test_every_setting_has_its_sentence() -> None:
    for section in dataclasses.fields(Settings):
        assert section.metadata["text"], section.name


def test_every_command_has_help_with_an_example() -> None:
    for path, command in commands():
        assert command.help, path
        if not isinstance(command, click.Group):
            assert "postroad " in command.help, f"{path} has no example"


def commands(
    group: click.Group = postroad, path: str = "postroad", parent: click.Context | None = None
) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group, info_name=path, parent=parent, **group.context_settings)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command
        yield f"{path} {name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}", context)


# --- examples ---------------------------------------------------------------------------------------------------------


def blocks(page: Path, language: str) -> Iterator[str]:
    for match in re.finditer(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        yield match[1]


def command_lines() -> Iterator[tuple[str, list[str]]]:
    """(where, words behind `postroad`) of every shell example."""
    for page in PAGES:
        for block in blocks(page, "sh"):
            for line in block.replace("\\\n", " ").splitlines():
                yield from ((f"{page.name}: {line}", words) for words in _postroad_words(line))
    for path, command in commands():
        for line in (command.help or "").splitlines():
            if re.match(r"\s*(\S+ \| |printf .* \| |sudo |[A-Z_]+=\S+ )?postroad [a-z-]+", line):
                yield from ((f"{path} --help: {line}", words) for words in _postroad_words(_without_remark(line)))


def _without_remark(line: str) -> str:
    """Help puts a remark behind many spaces."""
    return re.sub(r"(\S)   +.*$", r"\1", line.strip())


def _postroad_words(line: str) -> Iterator[list[str]]:
    """The commands of ours in one line of shell: behind pipes, variables and sudo; redirections left out."""
    if line.startswith(("exec ", "#")) or "$@" in line:
        return
    for part in re.split(r"\s\|\s|;\s", line):
        words = shlex.split(part, comments=True)
        for number, word in enumerate(words):
            if word in (">", "<"):
                words = words[:number]
                break
        starts = [i for i, word in enumerate(words) if word == "postroad" or word.endswith("/bin/postroad")]
        if starts and all("=" in word or word == "sudo" for word in words[: starts[0]]):
            yield words[starts[0] + 1 :]


EXAMPLES = sorted(dict(command_lines()).items())


@pytest.mark.parametrize(("where", "words"), EXAMPLES, ids=[where for where, _ in EXAMPLES])
def test_every_example_is_a_command_that_parses(where: str, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(click.Path, "convert", lambda self, value, param, ctx: Path(value))  # files need not exist here
    command: click.Command = postroad
    parent: click.Context | None = None
    name = "postroad"
    while True:
        context = command.make_context(name, list(words), parent=parent)
        if not isinstance(command, click.Group):
            return
        rest = [*context._protected_args, *context.args]
        if not rest and command.invoke_without_command:
            return
        assert rest, f"{where}: names a group alone"
        found, inner, words = command.resolve_command(context, rest)
        assert inner, where
        command, parent, name = inner, context, found or ""


def test_examples_are_found() -> None:
    """The test above would be happy with none."""
    used = {words[0] if not words[0].startswith("-") else words[2] for _, words in EXAMPLES}
    assert used >= set(COMMANDS) - {"lab", "demo"}


TOML = [(page.name, block) for page in PAGES for block in blocks(page, "toml")]


@pytest.mark.parametrize(("page", "block"), TOML, ids=[f"{page}-{i}" for i, (page, _) in enumerate(TOML)])
def test_every_configuration_example_loads(page: str, block: str, tmp_path: Path) -> None:
    path = tmp_path / "postroad.toml"
    path.write_text(block)
    load(path, {"POSTROAD_HOSTNAME": "mail.example.com", "POSTROAD_DATA_DIR": str(tmp_path)})  # where a part is shown


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


# --- standards --------------------------------------------------------------------------------------------------------


def index() -> dict[int, list[str]]:
    head, *lines = (DOCS / "rfc/index.tsv").read_text().splitlines()
    assert head.split("\t") == ["rfc", "title", "status", "modules"]
    found = {}
    for line in lines:
        number, title, status, modules = line.split("\t")
        assert title, line
        assert status in ("kept", "part", "context"), line
        found[int(number)] = modules.split()
    assert list(found) == sorted(found)
    return found


def cited() -> dict[int, set[str]]:
    found: dict[int, set[str]] = {}
    for path in SOURCE.rglob("*.py"):
        for number in re.findall(r"RFCs? (\d{3,5})(?!\d)", path.read_text()):
            found.setdefault(int(number), set()).add(str(path.relative_to(SOURCE)))
    return found


def test_every_cited_rfc_is_listed_and_the_other_way_round() -> None:
    listed, found = index(), cited()
    assert sorted(set(found) - set(listed)) == [], "add these to docs/rfc/index.tsv"
    assert sorted(set(listed) - set(found)) == [], "these are listed, but no module cites them"


def test_listed_modules_exist_and_cite_their_rfc() -> None:
    found = cited()
    wrong = [(number, module) for number, modules in index().items() for module in modules
             if module not in found.get(number, set())]  # fmt: skip
    assert wrong == []


SURVEYED = [
    2033, 2034, 2852, 3030, 3207, 3461, 3462, 3463, 3464, 4865, 4954, 5248, 5321, 5322, 5802, 6409, 6531, 6532, 6533,
    6710, 7628, 7677, 9422,
]  # fmt: skip


def sections() -> list[tuple[int, str, str, str]]:
    """(RFC, section, status, where) of each surveyed section."""
    head, *lines = (DOCS / "rfc/sections.tsv").read_text().splitlines()
    assert head.split("\t") == ["rfc", "section", "about", "status", "where"]
    rows = [line.split("\t") for line in lines]
    assert all(len(row) == 5 and all(row) for row in rows)
    return [(int(rfc), section, status, where) for rfc, section, _, status, where in rows]


def test_standards_of_smtp_are_gone_through_section_by_section() -> None:
    rows = sections()
    assert sorted({rfc for rfc, *_ in rows}) == SURVEYED
    assert set(SURVEYED) <= set(index())
    assert len({(rfc, section) for rfc, section, *_ in rows}) == len(rows)
    assert {status for _, _, status, _ in rows} <= {"kept", "part", "differs", "left", "none"}


def test_sections_name_what_is_there() -> None:
    quirks = {line.split("|")[1].strip() for line in (DOCS / "quirks.md").read_text().splitlines() if "|" in line}
    for rfc, section, status, where in sections():
        if status in ("kept", "part"):
            assert all((SOURCE / module).is_file() for module in where.split()), f"RFC {rfc} §{section}: {where}"
        elif status == "differs":
            assert where in quirks, f"RFC {rfc} §{section}: no row {where!r} in docs/quirks.md"
