"""Codes of an authenticator app (RFC 6238): the secret as a picture to scan, and which time step a code belongs to.

Pure. `Admins` keeps the secret, and the last step taken, so that no code counts twice.
"""

from __future__ import annotations

import hmac
from datetime import datetime
from io import BytesIO

ISSUER = "Postroad"
STEP = 30  # seconds
DIGITS = 6
DRIFT = 1  # steps that a clock may be off, either way (RFC 6238 §5.2 recommends one)


def enrolment_uri(secret: str, email: str, hostname: str) -> str:
    """What an authenticator app reads from the picture."""
    from pyotp import TOTP

    return TOTP(secret, digits=DIGITS, interval=STEP).provisioning_uri(name=email, issuer_name=f"{ISSUER} {hostname}")


def picture(uri: str) -> bytes:
    """The QR code as SVG, dark on light in every theme, since cameras want that."""
    import segno

    out = BytesIO()
    segno.make(uri, error="m", micro=False).save(
        out, kind="svg", xmldecl=False, svgclass=None, lineclass=None, omitsize=True, light="#fff", border=3
    )
    return out.getvalue()


def spelled(secret: str) -> str:
    """The secret in groups of four, for typing."""
    return " ".join(secret[at : at + 4] for at in range(0, len(secret), 4))


def counter_of(secret: str, code: str, now: datetime) -> int | None:
    """The time step that `code` is right for, or None. All steps are compared, so that time tells nothing."""
    from pyotp import TOTP

    typed = "".join(code.split())
    totp, current = TOTP(secret, digits=DIGITS, interval=STEP), int(now.timestamp()) // STEP
    found = None
    for counter in range(current - DRIFT, current + DRIFT + 1):
        if hmac.compare_digest(totp.generate_otp(counter).encode(), typed.encode("utf-8", "surrogatepass")):
            found = counter
    return found
