"""Networks: who is in, who is not, and what is no address."""

import pytest

from postroad.config.networks import Networks

LISTED = Networks(("192.0.2.0/24", "2001:db8::/32", "198.51.100.7"))


@pytest.mark.parametrize(
    ("host", "inside"),
    [
        ("192.0.2.0", True),
        ("192.0.2.255", True),
        ("192.0.3.0", False),
        ("198.51.100.7", True),
        ("198.51.100.8", False),
        ("2001:db8::1", True),
        ("2001:db9::1", False),
        ("", False),
        ("/run/socket", False),
    ],
)
def test_who_is_in(host: str, inside: bool) -> None:
    assert (host in LISTED) is inside
    assert (host in LISTED) is inside  # remembered
    assert host not in Networks()


def test_whether_there_are_any() -> None:
    assert LISTED
    assert not Networks()
