"""Content-Transfer-Encoding undone: at once or piece by piece, as much as can be decoded, never an error (RFC 2045 §6).

What is not of the encoding is passed over, as every mail program does.
"""

from __future__ import annotations

import binascii

_NOT_BASE64 = bytes(n for n in range(256) if not (chr(n).isascii() and (chr(n).isalnum() or chr(n) in "+/")))
_MAX_LINE = 64 * 1024  # octets of a quoted-printable line that are kept back to wait for its end


class TransferDecoder:
    """Feed it the octets of a part's body, then `finish`."""

    __slots__ = ("_encoding", "_kept")

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding.strip().lower()
        self._kept = b""

    def feed(self, octets: bytes) -> bytes:
        """What can be decoded by now."""
        if self._encoding == "base64":
            packed = self._kept + octets.translate(None, _NOT_BASE64)
            whole = len(packed) - len(packed) % 4
            self._kept = packed[whole:]
            return binascii.a2b_base64(packed[:whole])
        if self._encoding == "quoted-printable":
            text = self._kept + octets
            whole = text.rfind(b"\n") + 1
            if len(text) - whole > _MAX_LINE:
                last = text.rfind(b"=", -3)
                whole = last if last >= 0 else len(text)
            self._kept = text[whole:]
            return binascii.a2b_qp(text[:whole])
        return octets

    def finish(self) -> bytes:
        """What was kept back."""
        kept, self._kept = self._kept, b""
        if self._encoding == "base64":
            kept = kept[: len(kept) - (len(kept) % 4 == 1)]
            return binascii.a2b_base64(kept + b"=" * (-len(kept) % 4))
        return binascii.a2b_qp(kept) if kept else b""


def decode_transfer(octets: bytes, encoding: str) -> bytes:
    """All of it at once."""
    decoder = TransferDecoder(encoding)
    return decoder.feed(octets) + decoder.finish()
