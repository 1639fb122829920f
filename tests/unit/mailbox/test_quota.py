from datetime import UTC, datetime

import pytest

from postroad.mailbox import quota
from postroad.ports.store import AccountRecord


def account(limit, used):
    return AccountRecord(1, "a@example.test", datetime.now(UTC), quota_bytes=limit, used_bytes=used)


def test_room_at_its_edge():
    assert quota.has_room(account(100, 60), 40)
    assert not quota.has_room(account(100, 60), 41)
    assert quota.has_room(account(0, 60), 10**12)


def test_required():
    quota.require_room(None, 1)
    with pytest.raises(quota.OverQuota):
        quota.require_room(account(1, 1), 1)
