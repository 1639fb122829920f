"""Names inside the messages of SCRAM and OAUTHBEARER (saslname, RFC 5802 §5.1, and RFC 5801 §4)."""

from __future__ import annotations

import re
from typing import Final

_SASLNAME: Final = re.compile(r"(?:[^=\0,]|=2C|=3D)+")


def unescaped(text: str) -> str | None:
    """`=2C` is a comma and `=3D` an equals sign; any other `=` is a mistake, which is None."""
    return text.replace("=2C", ",").replace("=3D", "=") if _SASLNAME.fullmatch(text) else None
