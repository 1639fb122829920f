"""The configuration: where it is found, what wins, and that everything wrong is said at once."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from postroad.config.load import changed, find, load
from postroad.config.problems import ConfigError
from postroad.config.schema import Listen, Log, Settings

MINIMAL = 'hostname = "mail.example.com"\ndata_dir = "data"\n'


def write(folder: Path, text: str) -> Path:
    path = folder / "postroad.toml"
    path.write_text(text)
    return path


def problems(folder: Path, text: str, environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(write(folder, text), environ or {})
    return [str(problem) for problem in caught.value.problems]


class TestFind:
    def test_named_file_comes_before_the_environment(self, tmp_path: Path) -> None:
        named, other = write(tmp_path, MINIMAL), tmp_path / "other.toml"
        other.write_text(MINIMAL)
        assert find(str(named), {"POSTROAD_CONFIG": str(other)}) == named
        assert find(None, {"POSTROAD_CONFIG": str(other)}) == other

    def test_folder_of_the_caller_comes_third(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        write(tmp_path, MINIMAL)
        assert find(None, {}) == Path("postroad.toml")

    @pytest.mark.parametrize(("named", "environ"), [("/no/file", {}), (None, {"POSTROAD_CONFIG": "/no/file"})])
    def test_file_that_was_asked_for_must_exist(self, named: str | None, environ: dict[str, str]) -> None:
        with pytest.raises(ConfigError, match="there is no file /no/file"):
            find(named, environ)


class TestLoad:
    def test_file_alone_gives_defaults_for_the_rest(self, tmp_path: Path) -> None:
        settings = load(write(tmp_path, MINIMAL), {})
        assert settings.hostname == "mail.example.com"
        assert settings.data_dir == tmp_path / "data"
        assert settings.roles == ("all",)
        assert settings.delivery.port == 25
        assert settings.limits.exempt == ("127.0.0.0/8", "::1/128")

    def test_the_contracts_example_is_taken(self, tmp_path: Path) -> None:
        settings = load(
            write(
                tmp_path,
                """
hostname = "mail.example.com"
data_dir = "/var/lib/postroad"
roles    = ["mx", "submission", "sender"]
[storage]
database = "sqlite"
blobs    = "local"
[[listen]]
service = "mx"
address = "0.0.0.0:25"
[[listen]]
service = "lmtp"
address = "unix:/run/postroad/lmtp"
[tls]
certificate = "/etc/postroad/tls/cert.pem"
key         = "tls/key.pem"
[dns]
nameservers = ["127.0.0.1:53"]
[delivery]
port      = 25
smarthost = "smtp://user:password@relay.example:587"
[limits]
exempt = ["127.0.0.0/8"]
""",
            ),
            {},
        )
        assert settings.listen == (Listen("mx", "0.0.0.0:25"), Listen("lmtp", "unix:/run/postroad/lmtp"))
        assert settings.tls.key == tmp_path / "tls/key.pem"
        assert settings.delivery.smarthost == "smtp://user:password@relay.example:587"

    def test_environment_alone_is_enough(self, tmp_path: Path) -> None:
        environ = {
            "POSTROAD_HOSTNAME": "mx.example.org",
            "POSTROAD_DATA_DIR": str(tmp_path),
            "POSTROAD_ROLES": "mx, sender",
            "POSTROAD_LISTEN": "mx=0.0.0.0:25,lmtp=unix:/run/postroad/lmtp",
            "POSTROAD_DELIVERY_RETRY_WAITS": "1,2.5",
            "POSTROAD_LIMITS_MAX_ERRORS": "5",
        }
        settings = load(None, environ)
        assert settings.hostname == "mx.example.org"
        assert settings.roles == ("mx", "sender")
        assert settings.listen == (Listen("mx", "0.0.0.0:25"), Listen("lmtp", "unix:/run/postroad/lmtp"))
        assert settings.delivery.retry_waits == (1.0, 2.5)
        assert settings.limits.max_errors == 5

    def test_environment_wins_over_the_file(self, tmp_path: Path) -> None:
        path = write(tmp_path, MINIMAL + "[delivery]\nport = 25\n")
        assert load(path, {"POSTROAD_DELIVERY_PORT": "2526"}).delivery.port == 2526

    def test_secret_comes_from_its_file_without_the_last_newline(self, tmp_path: Path) -> None:
        secret = tmp_path / "secret"
        secret.write_text("smtp://me:word@relay.example:587\n")
        settings = load(write(tmp_path, MINIMAL), {"POSTROAD_DELIVERY_SMARTHOST_FILE": str(secret)})
        assert settings.delivery.smarthost == "smtp://me:word@relay.example:587"

    def test_names_that_are_not_settings_are_left_alone(self, tmp_path: Path) -> None:
        environ = {
            "POSTROAD_CONFIG": "x",
            "POSTROAD_PORT": "tcp://10.0.0.1:25",
            "POSTROAD_SERVICE_HOST": "10.0.0.1",
            "PATH": "/",
        }
        assert load(write(tmp_path, MINIMAL), environ).hostname == "mail.example.com"


class TestProblems:
    def test_all_are_reported_at_once_with_path_and_suggestion(self, tmp_path: Path) -> None:
        found = problems(
            tmp_path,
            'hostnam = "x"\ndata_dir = 5\n'
            '[[listen]]\nservice = "smtp"\naddress = "localhost:25"\n'
            '[delivery]\nport = "25"\nmax_errors = 3\n[limits]\nmax_errors = 0\n[log]\nformat = "jsn"\n',
            {"POSTROAD_LIMTS_MIN_FREE": "1", "POSTROAD_DNS_TIMEOUT": "soon"},
        )
        assert found == [
            "hostnam: is not a setting; did you mean `hostname`?",
            "hostname: is missing (EHLO name, PTR and certificate); set it in the file, or by POSTROAD_HOSTNAME",
            "data_dir: must be a path in quotes, not 5",
            "listen[0].service: `smtp` is not one of mx, submission, submissions, lmtp, imap, imaps, pop3, pop3s, "
            "managesieve, http, https, metrics",
            "listen[0].address: `localhost` is not an IP address; write 0.0.0.0 for all of IPv4, [::] for all of IPv6",
            "POSTROAD_DNS_TIMEOUT: must be a number, not `soon`",
            "delivery.max_errors: is not a setting; did you mean `limits.max_errors`?",
            "delivery.port: must be a whole number, not '25'; write it without quotes: 25",
            "limits.max_errors: 0 is less than 1",
            "log.format: `jsn` is not one of text, json; did you mean `json`?",
            "POSTROAD_LIMTS_MIN_FREE: is not a setting; did you mean `POSTROAD_LIMITS_MIN_FREE`?",
        ]

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("[delivery]\nport = 0\n", "delivery.port: 0 is not between 1 and 65535"),
            ("[delivery]\nport = 65536\n", "delivery.port: 65536 is not between 1 and 65535"),
            ("[delivery]\nport = true\n", "delivery.port: must be a whole number, not True"),
            ('[limits]\nexempt = "10.0.0.0/8"\n', 'limits.exempt: must be a list, not \'10.0.0.0/8\'; write it as '
             '["10.0.0.0/8"]'),
            ('[limits]\nexempt = ["10.0.0.1/8"]\n', "limits.exempt[0]: 10.0.0.1/8 has host bits set; write it as "
             "192.0.2.0/24"),
            ('limits = 5\n', "limits: must be a table: [limits]"),
            ('roles = []\n', 'roles: is empty: the process would do nothing; write roles = ["all"]'),
            ('roles = ["imp"]\n', "roles[0]: `imp` is not one of all, mx, submission, lmtp, imap, pop3, web, sender, "
             "janitor; did you mean `imap`?"),
            ('listen = ["mx=0.0.0.0:25"]\n', "listen: must be a list of tables; write each as [[listen]] with its keys "
             "below"),
            ('[[listen]]\nservice = "imaps"\naddress = "[::]:993"\n', "listen[0].service: `imaps` speaks TLS from the "
             "first byte, and there is no certificate; set tls.certificate and tls.key, or remove this listener"),
            ('[tls]\nkey = "k.pem"\n', "tls.certificate: is missing while tls.key is set; give both or neither"),
            ('[[listen]]\nservice = "mx"\naddress = "[::1]:25"\n[[listen]]\nservice = "submission"\n'
             'address = "[::1]:25"\n', "listen[1].address: `[::1]:25` is taken by listen[0] already"),
            ('[addresses]\ndelimiter = "@"\n', "addresses.delimiter: `@` cannot stand between a mailbox and its detail;"
             " use one character such as +"),
            ('[dns]\nnameservers = ["127.0.0.1:0"]\n', "dns.nameservers[0]: port 0 is not between 1 and 65535"),
        ],
    )  # fmt: skip
    def test_one_impossible_value(self, tmp_path: Path, text: str, problem: str) -> None:
        assert problems(tmp_path, MINIMAL + text) == [problem]

    @pytest.mark.parametrize(
        "text", ['[delivery]\nsmarthost = "smtp://me:hush@:x"\n', '[storage]\ndatabase = "mysql://me:hush@host/db"\n']
    )
    def test_secrets_are_not_shown(self, tmp_path: Path, text: str) -> None:
        (found,) = problems(tmp_path, MINIMAL + text)
        assert "hush" not in found

    def test_same_port_zero_twice_is_no_clash(self, tmp_path: Path) -> None:
        environ = {"POSTROAD_LISTEN": "mx=127.0.0.1:0,submission=127.0.0.1:0"}
        assert len(load(write(tmp_path, MINIMAL), environ).listen) == 2

    def test_broken_toml_names_the_line(self, tmp_path: Path) -> None:
        (found,) = problems(tmp_path, "hostname = \n")
        assert "line 1" in found

    def test_variable_that_names_a_missing_secret_file(self, tmp_path: Path) -> None:
        (found,) = problems(tmp_path, MINIMAL, {"POSTROAD_STORAGE_DATABASE_FILE": "/no/secret"})
        assert "POSTROAD_STORAGE_DATABASE_FILE" in found

    def test_list_element_of_the_environment_without_equals_sign(self, tmp_path: Path) -> None:
        (found,) = problems(tmp_path, MINIMAL, {"POSTROAD_LISTEN": "0.0.0.0:25"})
        assert found.startswith("POSTROAD_LISTEN: `0.0.0.0:25` must look like SERVICE=ADDRESS")


def test_changed_tells_what_a_reload_applies() -> None:
    old = Settings(hostname="a.example", data_dir=Path("/x"))
    new = dataclasses.replace(old, hostname="b.example", log=Log(level="debug"))
    assert changed(old, new) == (["log.level"], ["hostname"])
    assert changed(old, old) == ([], [])
