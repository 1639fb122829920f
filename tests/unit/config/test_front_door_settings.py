from pathlib import Path

import pytest

from postroad.config.load import load
from postroad.config.problems import ConfigError
from postroad.config.schema import DnsList, FrontDoor

START = 'hostname = "mail.example.com"\ndata_dir = "/var/lib/postroad"\n'


def read(tmp_path: Path, text: str, **environ: str):
    path = tmp_path / "postroad.toml"
    path.write_text(START + text)
    return load(path, environ)


def test_lists_are_tables_of_their_own(tmp_path):
    text = """
[[dns_list]]
zone = "bl.example.org"
weight = 6
codes = ["127.0.0.2", "127.0.0.4-7", "127.0.*.1"]
help = "https://bl.example.org/{client}"
[[dns_list]]
zone = "wl.example.org"
weight = -2.5
"""
    assert read(tmp_path, text).dns_list == (
        DnsList(
            "bl.example.org", 6.0, ("127.0.0.2", "127.0.0.4-7", "127.0.*.1"), "https://bl.example.org/{client}"
        ),
        DnsList("wl.example.org", -2.5),
    )  # fmt: skip


def test_lists_of_the_environment(tmp_path):
    settings = read(tmp_path, "", POSTROAD_DNS_LIST="bl.example.org=6, wl.example.org=-2.5")
    assert settings.dns_list == (DnsList("bl.example.org", 6.0), DnsList("wl.example.org", -2.5))


def test_everything_that_needs_others_is_off(tmp_path):
    settings = read(tmp_path, "")
    assert settings.dns_list == ()
    door = settings.front_door
    assert (door.greylist, door.banner_wait) == ("off", 0.0)
    assert door.rdns_weight + door.helo_weight + door.early_weight < door.refuse_at


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ('[[dns_list]]\nzone = "bl.test"\nweight = 1\ncodes = ["127.0.0"]', "`127.0.0` is no answer of a list"),
        ('[[dns_list]]\nzone = "bl.test"\nweight = 1\ncodes = ["10.0.0.2"]', "`10.0.0.2` is no answer of a list"),
        ('[[dns_list]]\nzone = "bl.test"\nweight = 1\ncodes = ["127.0.0.2-300"]', "is above 255"),
        ('[[dns_list]]\nzone = "bl.test"', "weight: is missing"),
        ('[[dns_list]]\nzone = "no zone"\nweight = 1', "is not a host name"),
        ('dns_list = ["bl.test"]', "write each as [[dns_list]] with its keys below"),
        ('[front_door]\nrdns = "maybe"', "`maybe` is not one of off, note, refuse"),
        ('[front_door]\ngreylist = "everybody"', "is not one of off, suspicious, all"),
        ("[front_door]\nrefuse_at = 0", "0.0 is not between 0.1 and 1000"),
        ("[front_door]\nclients = 99", "99 is less than 100"),
        ('[front_door]\nown_addresses = ["here"]', "`here` is not an IP address"),
    ],
)
def test_what_cannot_be_meant(tmp_path, text, wrong):
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text + "\n")
    assert wrong in str(caught.value)


def test_the_weights_that_the_guide_tells():
    door = FrontDoor()
    assert (door.rdns_weight, door.helo_weight, door.early_weight, door.refuse_at) == (2.0, 2.0, 3.0, 10.0)
