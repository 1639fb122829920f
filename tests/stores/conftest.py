"""Every test here runs on both engines, unless it is about one of them."""

import pytest

from postroad.testing.clock import JumpingClock
from postroad.testing.stores import ENGINES, Mail, engine_of, open_store


@pytest.fixture
def clock():
    return JumpingClock()


@pytest.fixture
def mail(clock):
    return Mail(clock)


@pytest.fixture(params=ENGINES)
def engine(request, tmp_path):
    with engine_of(request.param, tmp_path) as engine:
        yield engine


@pytest.fixture
async def store(engine, tmp_path, clock):
    async with open_store(tmp_path, engine, clock=clock) as store:
        yield store
