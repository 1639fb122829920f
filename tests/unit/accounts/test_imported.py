"""Hashes of other servers: every form that is taken, and what is not."""

import pytest

from postroad.accounts import imported, passwords
from postroad.ports.store import Refused

SESAME = "open sesame"
HASHES = [
    "{SSHA}E49j48yRuk1EYsFBtSedDAV/S3NwZXBwZXIxMg==",
    "{SSHA256}Iu3JmD78Hfu5KgevoVR866aoNthdJLBOXMpwnHh5gi9wZXBwZXIxMg==",
    "{SSHA512}CjIUZ+M35p+EWAH4UA1MlMdVHxxo3GMdMDJ/MubbLRGnM2vxi1ZfVfbd4IFJQotdUx8txkIVrQk2hJB8oV1IM3BlcHBlcjEy",
    "{SHA}W8r/fyL/UzygmbNAjq2HbA67qac=",
    "{SHA256}Qe9LsLI2YeZjAarDYGaRLawDeCe0rmOnsRZaWqk+1Os=",
    "pbkdf2_sha256$1000$grain$7JG6p2E+yY6gnSSm2Sku+rJIDzRhzlYR+bOlTit6/Tk=",
    "$pbkdf2-sha256$1000$cGVwcGVyMTI$HLj6cMPCcSzDPOmyUpn5VCYWYiR9nDoLV6Yvp3vYQA4",
    "{PBKDF2-SHA512}1000$cGVwcGVyMTI$Z4H8WCbe4OINLhJKStfCyZmykwN8c5G2QFJD9jqR.pMj55MowqrTmbNqHMi1uUmX825QBuypbZ.AD3CqXdK0SQ",
    "{PBKDF2}$1$grainsalt$1000$dcfecd9c83970d1aa2fa7e784875d6f1d5fc3e64",
    "{ARGON2ID}$argon2id$v=19$m=64,t=1,p=1$k7VihHPk1H6+shlJC5p4WA$MfnW7wxpzw7eroPpIa7i5mRxYGK53er7wTLk750fRFo",
    "{ARGON2I}$argon2i$v=19$m=64,t=1,p=1$AMbpg7irUKWnO+WmlylW5Q$FCCBpKqsM/v0HlTmeWIFCadY4kKEKbJERLkvY82rniA",
    "$6$saltstring$b4SOQO.YI.BXjgbKQa.97c9EQud0NW8Txr5rCRGsAucjEsL95TW5MDF/7KcC3bcG5NoxZbmB6Lh82fxg8soAZ0",
    "{SHA256-CRYPT}$5$saltstring$sOFRiuqOzKEQCZAIFmMrCbPuMEMUPOi/BmBpBwWMgW3",
    "{CRYPT}$6$rounds=1400$anotherlongsalt$NqcCt5tD8604Nlm9o2plsNKmZtChzuPSg6FHswkxxAxbD7Tz1pqqpyjUhy2C/jvGrsRDfflkSieceIQ9GFsUV1",
]


@pytest.mark.parametrize("text", HASHES)
def test_each_form_is_taken_and_checked(text):
    secret = passwords.import_secret(f" {text}\n")
    assert passwords.matches(secret.password_hash, SESAME)
    assert not passwords.matches(secret.password_hash, "open sesam")
    assert not passwords.matches(secret.password_hash, "")
    assert not passwords.is_current(secret)
    assert secret.scram == b""


@pytest.mark.parametrize(
    ("text", "password"),
    [  # made by crypt(3)
        (
            "$6$y$yNWtZ.6jK48k4qCsR4ytB0LJf1HPHcmkibhZk33GJNhn8jHKoPXs1lc8VSk4XhaSmdKdrXd49ad7TzqJY.SlX/",
            "",
        ),
        ("$5$rounds=1000$q$hdG9UuNKmm3L7HmRfw3Wgn45ypiM0Qlp8UQ.Mf/Y419", "x" * 100),
        ("$5$$f0oGE2GUEEa3YIfDYrrOkqeWGiRYGsCrPa44fQrzvL/", "Gr\u00fc\u00dfe"),
    ],
)
def test_sha_crypt_agrees_with_the_system(text, password):
    assert imported.read(text)(password.encode())
    assert not imported.read(text)(b"other")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW", "bcrypt"),
        ("{BLF-CRYPT}$2y$05$bvIG6Nmid91Mu9RcmmWZfO5HJIMCT8riNW0hEp8f6/FuA2/mHZFpe", "bcrypt"),
        ("$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7", "yescrypt"),
        ("$1$salt$qJH7.N4xYta3aEG/dfqo/0", "MD5"),
        ("secret", "no known kind"),
        ("", "no known kind"),
        ("{PLAIN}secret", "no known kind"),
        ("{SSHA}W8r/fyL/UzygmbNAjq2HbA67qac=", "length"),
        ("{SHA}E49j48yRuk1EYsFBtSedDAV/S3NwZXBwZXIxMg==", "length"),
        ("{SSHA}AAA", "cannot be taken"),
        ("$6$rounds=2000001$salt$" + "a" * 86, "rounds"),
        ("$pbkdf2-sha256$2000001$cGVwcGVyMTI$HLj6cMPCcSzDPOmyUpn5VCYWYiR9nDoLV6Yvp3vYQA4", "rounds"),
        ("$pbkdf2-sha256$0$cGVwcGVyMTI$HLj6cMPCcSzDPOmyUpn5VCYWYiR9nDoLV6Yvp3vYQA4", "rounds"),
        ("$argon2id$v=19$m=1048576,t=1,p=1$k7VihHPk1H6+shlJC5p4WA$MfnW7wxpzw7eroPpIa7i5g", "memory"),
        ("$argon2id$rubbish", "Argon2"),
        ("x" * 1025, "long"),
        ("{SSHA}\u00e9", "ASCII"),
    ],
)
def test_what_is_not_taken_is_told_why(text, why):
    with pytest.raises(Refused, match=why):
        passwords.import_secret(text)


def test_the_most_rounds_that_are_taken():
    imported.read("$6$rounds=2000000$salt$" + "a" * 86)
    imported.read("pbkdf2_sha256$2000000$grain$7JG6p2E+yY6gnSSm2Sku+rJIDzRhzlYR+bOlTit6/Tk=")


def test_a_hash_that_cannot_be_read_fits_nothing():
    assert not passwords.matches("{PLAIN}secret", "secret")
