import pytest

from postroad.intake.checks import Policy
from postroad.intake.checks.loop import hops_are_few
from postroad.intake.transaction import MailTransaction
from postroad.mail.address import parse_reverse_path
from postroad.mail.envelope import Origin
from postroad.mail.header import Header

POLICY = Policy(1 << 20, 100, 50, 1 << 20, lambda _: True, hostname="mx.here.test", max_own_received_fields=10)
MAIL = MailTransaction(Origin("mx", "c1"), parse_reverse_path("a@far.test"))


def header(*, ours=0, others=0):
    return Header(
        b"Received: from x\r\n\tby mx.here.test with ESMTP; now\r\n" * ours
        + b"Received: from mx.here.test by far.test; now\r\n" * others
        + b"\r\n"
    )


@pytest.mark.parametrize(
    ("ours", "others", "why"),
    [
        (10, 0, ""),
        (11, 0, "11 Received fields of our own"),
        (0, 50, ""),
        (10, 40, ""),
        (11, 11, "11 Received fields of our own"),
        (0, 51, "51 Received fields"),
    ],
)
def test_few_hops_and_fewer_of_our_own(ours, others, why):
    refused = hops_are_few(POLICY, MAIL, header(ours=ours, others=others))
    assert (refused.cause if refused else "") == why
    assert not why or str(refused).startswith("554 5.4.6")
