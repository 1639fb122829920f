"""`[[scanner]]`: addresses, names, services, and each side of a limit."""

import pytest

from postroad.config.load import load
from postroad.config.problems import ConfigError
from postroad.config.values import scanner, word

BASE = 'hostname = "mx.example.com"\ndata_dir = "data"\n'


def settings(tmp_path, *tables: str, more: str = ""):
    path = tmp_path / "postroad.toml"
    path.write_text(BASE + "".join(f"[[scanner]]\n{table}\n" for table in tables) + more)
    return load(path, {})


def test_what_is_left_out(tmp_path):
    (found,) = settings(tmp_path, 'name = "rspamd"\nurl = "milter:127.0.0.1:11332"').scanner
    assert (found.services, found.on_failure) == (("mx", "submission"), "defer")


def test_by_the_environment():
    environ = {
        "POSTROAD_HOSTNAME": "a.test",
        "POSTROAD_DATA_DIR": "/x",
        "POSTROAD_SCANNER": "a=milter:unix:/x,b=milter:h:1",
    }
    assert [each.name for each in load(None, environ).scanner] == ["a", "b"]


@pytest.mark.parametrize(
    "url",
    [
        "milter:unix:/run/x",
        "milter:localhost:1",
        "milter:[::1]:65535",
        "rspamd:http://h:11333",
        "rspamd:https://h/path",
    ],
)
def test_addresses(url: str):
    assert scanner(url) == ""


@pytest.mark.parametrize(
    "url",
    ["", "unix:/run/x", "milter:unix:run/x", "milter:h", "milter:h:0", "milter:h:65536", "milter:::1:25", "milter::25",
     "rspamd:h:11333", "rspamd:ftp://h", "rspamd:http://h:0", "rspamd:http://h?x"],
)  # fmt: skip
def test_what_is_no_address(url: str):
    assert scanner(url)


@pytest.mark.parametrize(
    ("name", "is_fine"), [("a" * 32, True), ("a" * 33, False), ("a b", False), ("", False), ("A", False)]
)
def test_names(name: str, is_fine: bool):
    assert (word(name) == "") == is_fine


def test_names_are_distinct(tmp_path):
    table = 'name = "x"\nurl = "milter:unix:/x"'
    with pytest.raises(ConfigError, match="name of another one"):
        settings(tmp_path, table, table)


@pytest.mark.parametrize(
    ("key", "low", "high"),
    [("connect_timeout", 0.1, 60), ("command_timeout", 0.1, 300), ("message_timeout", 0.1, 540), ("rest", 1, 3600)],
)
def test_limits(tmp_path, key: str, low: float, high: float):
    table = f'name = "x"\nurl = "milter:unix:/x"\n{key} = '
    for good in (low, high):
        assert getattr(settings(tmp_path, f"{table}{good}").scanner[0], key) == good
    for bad in (low - 0.05, high + 1):
        with pytest.raises(ConfigError, match=key):
            settings(tmp_path, f"{table}{bad}")


@pytest.mark.parametrize(
    ("line", "what"),
    [("max_size = 1023", "max_size"), ('services = ["imap"]', "services"), ('on_failure = "x"', "on_failure")],
)
def test_what_cannot_be(tmp_path, line: str, what: str):
    with pytest.raises(ConfigError, match=what):
        settings(tmp_path, f'name = "x"\nurl = "milter:unix:/x"\n{line}')


def test_conversations_at_once(tmp_path):
    assert settings(tmp_path, more="[limits]\nmax_scans = 1\n").limits.max_scans == 1
    with pytest.raises(ConfigError, match="max_scans"):
        settings(tmp_path, more="[limits]\nmax_scans = 0\n")
