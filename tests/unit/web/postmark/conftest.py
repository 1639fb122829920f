"""One node in memory for each module, and on it a server of its own for each test."""

import itertools

import pytest
import pytest_asyncio

from postroad.testing.postmark import postmark_api, postmark_node, server_on

_numbers = itertools.count()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node(tmp_path_factory):
    async with postmark_node(tmp_path_factory.mktemp("postmark")) as web:
        yield web


@pytest_asyncio.fixture(loop_scope="module")
async def api(node):
    """A server among others."""
    return await server_on(node, f"shop-{next(_numbers)}")


@pytest_asyncio.fixture(loop_scope="module")
async def alone(tmp_path):
    """A node of its own, for tests that break or count it."""
    async with postmark_api(tmp_path) as found:
        yield found


@pytest.fixture
def ledger():
    """What the ledger of a node says."""
    return lambda api: api.store.read(lambda tx: tx.ledger.totals())
