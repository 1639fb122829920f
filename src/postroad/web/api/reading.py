"""What is asked, read into the types of the handler: words of the path, query, body. Whatever does not fit is a
problem that names the place.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import msgspec

from postroad.web.api.problems import Trouble, not_found
from postroad.web.api.routes import Plan
from postroad.web.api.values import sentence
from postroad.web.wire import Receive, Scope, field, read_body

MAX_PARAMETERS = 50
_NUL = "a text holds the character NUL"  # PostgreSQL has no place for it, and no name has it


def read_word(one: Plan, name: str, text: str) -> Any:
    """A word of the path. One that cannot be meant names nothing. Raises Trouble."""
    try:
        _refuse_nul(text)
        return msgspec.convert(text, one.words[name], strict=False)
    except msgspec.ValidationError:
        raise not_found(f"“{text}” cannot be the {name} of anything here.") from None


def read_query(scope: Scope, query: Any) -> Any:
    """The query string. Raises Trouble."""
    try:
        text = scope["query_string"].decode("ascii")
        pairs = parse_qsl(text, True, errors="strict", max_num_fields=MAX_PARAMETERS)
        for _, value in pairs:
            _refuse_nul(value)
        values = dict(pairs)
        if len(values) != len(pairs):
            raise msgspec.ValidationError("a parameter is given twice")
        return msgspec.convert(values, query, strict=False)
    except (msgspec.ValidationError, ValueError) as error:
        raise Trouble("invalid-parameter", sentence(_words(error))) from None


async def read_json(scope: Scope, receive: Receive, decoder: msgspec.json.Decoder[Any]) -> Any:
    """The body. Raises Trouble, ClientGone."""
    kind = field(scope, b"content-type").partition(b";")[0].strip().lower()
    if kind != b"application/json":
        raise Trouble("media-type", f"The body is “{kind.decode('latin-1') or 'of no type'}”; JSON is needed here.")
    body = await read_body(receive)
    try:
        if b"\\u0000" in body:
            raise msgspec.ValidationError(_NUL)
        return _decode(body, decoder)
    except msgspec.ValidationError as error:
        raise Trouble("invalid-body", sentence(_words(error))) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Trouble("not-json", sentence(str(error))) from None


def _decode(body: bytes | bytearray, decoder: msgspec.json.Decoder[Any]) -> Any:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        if "got `float`" not in str(error):
            raise
    return msgspec.convert(_whole(msgspec.json.decode(body)), decoder.type)


def _whole(value: Any) -> Any:
    """With 5 for 5.0: JSON has one kind of number, and some programs write whole ones so."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_whole(one) for one in value]
    return {name: _whole(one) for name, one in value.items()} if isinstance(value, dict) else value


def _refuse_nul(text: str) -> None:
    if "\0" in text:
        raise msgspec.ValidationError(_NUL)


def _words(error: Exception) -> str:
    """msgspec's words, with our names for where it is."""
    return str(error).replace(" - at `$.", " - at `").replace("Object ", "It ")
