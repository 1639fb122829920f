"""What a command is given: the settings, a way to read rows, a way to ask for changes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import click

from postroad.config.load import find, load
from postroad.config.schema import Settings
from postroad.ports.store import Tx

T = TypeVar("T")


class Context:
    """One run of the program."""

    def __init__(self, config: str | None) -> None:
        self._config = config
        self._settings: Settings | None = None

    @property
    def config_file(self) -> Path | None:
        """The file that is used. Raises ConfigError when the one that was asked for does not exist."""
        return find(self._config, os.environ)

    @property
    def named_config(self) -> str | None:
        """The file named by --config, whether it exists or not."""
        return self._config

    @property
    def settings(self) -> Settings:
        """Raises ConfigError."""
        if self._settings is None:
            self._settings = load(self.config_file, os.environ)
        return self._settings

    def read(self, function: Callable[[Tx], T]) -> T:
        """Run one reading function on the rows, beside a running server or without one."""
        from postroad.app.access import reading

        async def run() -> T:
            async with reading(self.settings) as store:
                return await store.read(function)

        return self.run(run())

    def change(self, command: str, **arguments: Any) -> Any:
        """Have the running server make a change; without one, take the lock and make it here. Raises Refused."""
        from postroad.app.access import change

        return self.run(change(self.settings, command, arguments))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end."""
        return asyncio.run(work)


pass_context = click.make_pass_decorator(Context)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
dry_run_option = click.option("--dry-run", is_flag=True, help="Show what would change, change nothing.")
