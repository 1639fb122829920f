"""schemathesis holds a whole node against its own OpenAPI document: boundaries of every parameter and field, wrong
methods, wrong types, missing keys. `make api` goes on with random requests in random order.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from pathlib import Path

import pytest

from postroad.ports.ids import id_text
from postroad.testing.server import clean_environment
from postroad.testing.stores import Mail
from postroad.testing.web import web_node

PROGRAM = shutil.which("schemathesis", path=str(Path(sys.executable).parent))
EXAMPLES = int(os.environ.get("POSTROAD_API_EXAMPLES", "0"))  # random requests for each operation
SHORT = ("--phases", "coverage", "--generation-deterministic")
LONG = (
    *("--phases", "examples,coverage,fuzzing,stateful", "--max-examples", str(EXAMPLES)),
    *("--seed", os.environ.get("POSTROAD_API_SEED", "1")),
    *("--exclude-operation-id", "revoke_token"),  # it would revoke the key that asks
)


@pytest.mark.timeout(3600 if EXAMPLES else 120)
async def test_every_answer_is_as_the_document_promises(tmp_path: Path) -> None:
    assert PROGRAM, "schemathesis is in the lock file"
    async with web_node(tmp_path) as (node, client):
        services = node.services
        key = await services.sending.add_key("schemathesis", ["*"])
        await services.administration.add_domain("example.com")
        await services.administration.add_account("alice@example.com", "secret")
        await services.sending.add_server("Shop")
        accepted = Mail(services.clock).remote("alice@remote.test", owned=False)
        await services.store.accept(accepted)
        known = f'[parameters]\n"path.message" = "{id_text(accepted.message.id)}"\n'
        (tmp_path / "schemathesis.toml").write_text(known)
        said, code = await run(
            tmp_path,
            *("run", f"{client.base_url}/api/openapi.json", "--header", f"Authorization: Bearer {key.secret}"),
            *("--checks", "all", "--no-color", "--generation-allow-x00", "false"),
            *(LONG if EXAMPLES else SHORT),
        )
    assert code == 0, said
    assert "Missing test data" not in said or EXAMPLES, said


async def run(folder: Path, *words: str) -> tuple[str, int]:
    """What the program printed, and its exit code."""
    assert PROGRAM
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        PROGRAM, *words, stdout=pipe, stderr=asyncio.subprocess.STDOUT, env=clean_environment(), cwd=folder
    )
    said, _ = await process.communicate()
    return said.decode("utf-8", "replace"), process.returncode or 0
