"""Setting where bounces come back to: who may, what is proposed, and what the audit log says."""

from datetime import UTC, datetime

import pytest

from postroad.accounts.audit import Changes
from postroad.accounts.returnpaths import ReturnPaths, usual_name
from postroad.ports.ids import DomainId
from postroad.ports.store import DomainKind, DomainRecord, Refused
from postroad.testing.clock import JumpingClock
from postroad.testing.tenants import MemoryStore

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Ids:
    number = 0

    def new(self):
        self.number += 1
        return self.number


class Signals:
    def __init__(self):
        self.published = []

    def publish(self, topic):
        self.published.append(topic)


@pytest.fixture
def store():
    store = MemoryStore()
    for number, (name, relay) in enumerate((("here.test", ""), ("passed.test", "inner.test"))):
        kind = DomainKind.RELAY if relay else DomainKind.LOCAL
        store.tx.domains.add(DomainRecord(DomainId(number), name, kind, NOW, relay))
    return store


@pytest.fixture
def signals():
    return Signals()


@pytest.fixture
def paths(store, signals):
    clock = JumpingClock(NOW)
    return ReturnPaths(store, clock, Changes(store, clock, Ids(), signals))


async def test_a_domain_gets_the_usual_one_or_another(paths, store, signals):
    assert (await paths.set_of_domain("Here.test")).name == usual_name("here.test") == "bounces.here.test"
    assert await paths.of_domain("here.test") == "bounces.here.test"
    await paths.set_of_domain("here.test", "back.here.test")
    assert await paths.of_domain("here.test") == "back.here.test"
    await paths.clear_of_domain("here.test")
    assert await paths.of_domain("here.test") == ""
    assert signals.published == ["config"] * 3
    told = [(row.action, row.target, dict(row.detail)) for row in store.tx.audit.rows]
    assert told == [
        ("return path set", "here.test", {"name": "bounces.here.test"}),
        ("return path set", "here.test", {"name": "back.here.test"}),
        ("return path cleared", "here.test", {}),
    ]


@pytest.mark.parametrize(
    ("domain", "name", "why"),
    [
        ("far.test", "", "not a domain of this server"),
        ("here.test", "passed.test", "passed on to inner.test"),
        ("here.test", "no host name", "no host name"),
    ],
)
async def test_what_cannot_be_is_refused(paths, domain, name, why):
    with pytest.raises(Refused, match=why):
        await paths.set_of_domain(domain, name)
    with pytest.raises(Refused, match="no return path of its own"):
        await paths.clear_of_domain("here.test")
