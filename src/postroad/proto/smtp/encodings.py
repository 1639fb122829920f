"""How values are written into a line: base64 (RFC 4648 §4), xtext (RFC 3461 §4), addresses beyond ASCII (RFC 6533 §3).

Strict readers: None for what is not so written, or for what hides a control character that a line, a log or a report
may not have.
"""

from __future__ import annotations

import re
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64

# Controls, and the marks that turn the direction of what stands behind them: on a screen they forge what was said.
CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")

_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*")
_UTF8_TEXT = re.compile(r"(?:[!-*,-<>-\[\]-~\u0080-\ud7ff\ue000-\U0010ffff]|\\x\{[0-9A-F]{2,6}\})+")
_EMBEDDED = re.compile(r"\\x\{([0-9A-F]{2,6})\}")
_EMBEDDED_ASCII = frozenset((0x20, 0x2B, 0x3D, 0x5C))  # what cannot stand for itself


def decode_base64(data: bytes) -> bytes | None:
    """No other characters, padded; None otherwise."""
    try:
        return a2b_base64(data, strict_mode=True) if data else b""
    except Base64Error:
        return None


def encode_base64(data: bytes) -> bytes:
    return b2a_base64(data, newline=False)


def decode_xtext(text: str) -> str | None:
    """Printable ASCII, or None."""
    if not _XTEXT.fullmatch(text):
        return None
    decoded = re.sub(r"\+([0-9A-F]{2})", lambda match: chr(int(match[1], 16)), text)
    return decoded if decoded.isascii() and decoded.isprintable() else None


def decode_xtext_utf8(text: str) -> str | None:
    """The same for UTF-8 written as xtext octet by octet: Postfix does so, though RFC 6533 §3 has another way."""
    if not _XTEXT.fullmatch(text):
        return None
    octets = re.sub(rb"\+([0-9A-F]{2})", lambda match: bytes([int(match[1], 16)]), text.encode("ascii"))
    try:
        decoded = octets.decode()
    except UnicodeDecodeError:
        return None
    return None if CONTROLS.search(decoded) else decoded


def encode_xtext(text: str) -> str:
    if text.isascii() and text.isprintable() and not ("+" in text or "=" in text or " " in text):
        return text  # nearly every address
    return "".join(char if "!" <= char <= "~" and char not in "+=" else f"+{ord(char):02X}" for char in text)


def decode_utf8_address(text: str) -> str | None:
    r"""`utf-8-addr-xtext` or `utf-8-addr-unitext`: characters as they are, or as `\x{HEX}` (RFC 6533 §3)."""
    if not _UTF8_TEXT.fullmatch(text):
        return None
    for digits in _EMBEDDED.findall(text):
        code = int(digits, 16)
        if digits != f"{code:02X}" or (code < 0x80 and code not in _EMBEDDED_ASCII) or code > 0x10FFFF:
            return None
    decoded = _EMBEDDED.sub(lambda match: chr(int(match[1], 16)), text)
    return None if CONTROLS.search(decoded) or any("\ud800" <= char <= "\udfff" for char in decoded) else decoded


def encode_utf8_address(text: str) -> str:
    """The ASCII form, which servers with and without SMTPUTF8 take."""
    return "".join(char if "!" <= char <= "~" and char not in "+=\\" else f"\\x{{{ord(char):02X}}}" for char in text)
