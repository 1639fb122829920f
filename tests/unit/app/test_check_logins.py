"""`check` on what logins need: certificates by name, authorities, and a proxy that hides everybody."""

from datetime import UTC, datetime, timedelta

import trustme

from postroad.adapters.net.selfsigned import write_self_signed
from postroad.app.check import Grade, examine
from postroad.app.services import open_services
from postroad.config.load import load
from postroad.ports.admins import FailedLogins
from postroad.testing.server import HOSTNAME, write_configuration


def settings_with(folder, tls="", extra=""):
    write_self_signed(folder / "cert.pem", folder / "key.pem", [HOSTNAME])
    more = f"{tls}\n[limits]\nmin_free = 1\n{extra}"
    path = write_configuration(folder, ("mx",), certificate=folder / "cert.pem", key=folder / "key.pem", extra=more)
    return load(path, {})


async def findings(settings, area):
    return [(one.grade, one.text, one.change) for one in await examine(settings, ask_dns=False) if one.area == area]


async def test_each_certificate_is_looked_at(tmp_path):
    write_self_signed(tmp_path / "two.pem", tmp_path / "two.key", ["mail.two.test"])
    pairs = [("two.pem", "two.key"), ("two.pem", "key.pem"), ("missing.pem", "two.key")]
    tables = "".join(f'[[tls.certificates]]\ncertificate = "{c}"\nkey = "{k}"\n' for c, k in pairs)
    found = await findings(settings_with(tmp_path, tables), "tls")
    assert [grade for grade, *_ in found] == [Grade.NOTE, Grade.NOTE, Grade.PROBLEM, Grade.PROBLEM]
    assert "the certificate for mail.two.test is self-signed" in found[1][1]
    assert "key.pem" in found[2][1]
    assert "missing.pem" in found[3][1]


async def test_authorities_of_clients(tmp_path):
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "staff.pem"))
    found = await findings(settings_with(tmp_path, 'client_ca = "staff.pem"'), "tls")
    assert found[-1][:2] == (Grade.OK, "client certificates of 1 authority")
    (tmp_path / "staff.pem").write_text("rubbish")
    found = await findings(settings_with(tmp_path, 'client_ca = "staff.pem"'), "tls")
    assert found[-1][0] is Grade.PROBLEM
    assert "client_ca" in found[-1][1]


async def test_a_proxy_that_hides_everybody_is_a_problem_for_a_week(tmp_path):
    settings = settings_with(tmp_path)
    assert await findings(settings, "logins") == []
    for age, number in ((timedelta(days=6), 1), (timedelta(days=8), 0)):
        last = datetime.now(UTC) - age
        async with open_services(settings) as services:
            row = FailedLogins("shared 10.0.0.1", 0, last, last)
            await services.store.write(lambda tx, row=row: tx.throttle.put([row]))
        found = await findings(settings, "logins")
        assert len(found) == number
        assert all(
            grade is Grade.PROBLEM and "10.0.0.1" in text and "limits.proxies" in change
            for grade, text, change in found
        )
