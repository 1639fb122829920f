"""What the settings say about the way out: which addresses are our own, and what destinations must come to."""

from __future__ import annotations

from pathlib import Path

import pytest

from postroad.app.outbound import own_places, tls_rules
from postroad.config.schema import DeliverySettings, FrontDoor, Listen, Settings, TlsPolicy
from postroad.delivery.policy import TlsLevel
from postroad.ports.net import Endpoint

EVERYWHERE = Listen("mx", "0.0.0.0:25")
ONE = Listen("mx", "192.0.2.5:2525")


@pytest.mark.parametrize(
    ("listen", "public", "address", "port", "ours"),
    [
        ((), (), "127.0.0.1", 25, True),
        ((), (), "::1", 25, True),
        ((), (), "127.0.0.1", 2525, False),
        ((), (), "198.51.100.1", 25, False),
        ((EVERYWHERE,), (), "127.0.0.9", 25, True),
        ((ONE,), (), "192.0.2.5", 2525, True),
        ((ONE,), (), "192.0.2.5", 587, False),
        ((ONE,), (), "127.0.0.1", 2525, False),
        ((ONE,), ("203.0.113.1",), "203.0.113.1", 25, True),  # behind NAT
        ((ONE,), ("203.0.113.1",), "203.0.113.1", 2525, True),
        ((ONE,), ("203.0.113.1",), "203.0.113.1", 587, False),
        ((Listen("submission", "0.0.0.0:587"),), (), "127.0.0.1", 587, False),
        ((Listen("mx", "127.0.0.1:0"), Listen("mx", "unix:/run/x")), (), "127.0.0.1", 2526, False),
    ],
)
def test_addresses_of_our_own(listen, public, address, port, ours):
    settings = Settings("mail.here.test", Path("x"), listen=listen, front_door=FrontDoor(own_addresses=public))
    assert own_places(settings)(Endpoint(address, port)) is ours


def test_destinations():
    settings = Settings(
        "mail.here.test",
        Path("x"),
        delivery=DeliverySettings(tls="encrypt"),
        tls_policy=(TlsPolicy("far.test", "verify"), TlsPolicy(".far.test", "none")),
    )
    rules = tls_rules(settings)
    assert [rules.of(name) for name in ("far.test", "a.far.test", "near.test")] == [
        TlsLevel.VERIFY,
        TlsLevel.NONE,
        TlsLevel.ENCRYPT,
    ]
