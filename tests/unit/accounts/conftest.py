import pytest

from postroad.accounts import passwords
from postroad.adapters.ids import NodeIds
from postroad.testing.clock import JumpingClock
from postroad.testing.projects import Tenancy
from postroad.testing.stores import open_store


@pytest.fixture
async def tenancy(tmp_path, monkeypatch):
    """The services over a real store; hashing costs nothing and is counted."""
    monkeypatch.setattr(passwords, "make_secret", lambda password, *_: passwords.Secret(f"hash of {password}", b""))
    monkeypatch.setattr(passwords, "is_current", lambda *_: True)
    monkeypatch.setattr(passwords, "SCRAM_ITERATIONS", 2)
    monkeypatch.setattr(passwords, "matches", lambda hashed, password: hashed == f"hash of {password}")
    clock = JumpingClock()
    async with open_store(tmp_path, clock=clock) as store:
        ids = NodeIds(1, lambda: int(clock.now().timestamp() * 1000))
        tenancy = Tenancy(store, clock, ids)
        yield tenancy
        await tenancy.close()
