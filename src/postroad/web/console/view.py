"""The message itself, as a person may look at it: HTML in a frame where nothing runs, text, header, source, parts.

What a stranger sent is never part of a page of ours: HTML is an answer of its own, made safe, whose policy allows
neither scripts nor requests and which belongs to no origin, in a frame or opened by itself. Everything else goes as a
file. Taking a message apart happens in a worker, a few at a time and within a time limit.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import NamedTuple
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from postroad.content.charset import decode_text
from postroad.content.raster import raster
from postroad.content.reading import PartFacts, Reading, find_part, part_octets, part_text, read_message, read_text
from postroad.content.reading import visible as visible_text
from postroad.content.safe_html import SafeHtml, safe_html
from postroad.content.transfer import TransferDecoder
from postroad.mail.header import header_size
from postroad.ports.blobs import BlobPlace
from postroad.ports.ids import id_text
from postroad.web.console.desk import TooBusy, desk_of, stored
from postroad.web.console.forms import count, services_of
from postroad.web.console.render import page

MAX_SOURCE = 256 * 1024  # octets of the source that are shown; the file has all
SMALL_PICTURES = 12  # attachments that are shown as small pictures
MAX_SMALL = 1024 * 1024  # octets of one
MAX_SHOWN_PART = 16 * 1024 * 1024  # octets of a picture that is shown

_ALONE = "sandbox; default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_FRAMED = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; img-src data:; "
    "style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
FRAME_HEADERS = {
    "content-security-policy": _FRAMED,
    "x-frame-options": "SAMEORIGIN",
    "referrer-policy": "no-referrer",
    "x-robots-tag": "noindex",
}
FILE_HEADERS = {
    "content-security-policy": _ALONE,
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}
VIEWS = {"html": "HTML", "text": "Text", "headers": "Headers", "parts": "Attachments", "source": "Source"}


# --- what is shown ----------------------------------------------------------------------------------------------------


class Panel(NamedTuple):
    """What the page shows of the message under one of the VIEWS."""

    view: str
    views: dict[str, str]  # that there are, with their words
    reading: Reading
    text: str = ""
    whole: bool = True  # `text` is all of it
    pictures: frozenset[str] = frozenset()  # paths of parts that can be shown as small pictures


def panel(content: bytes, whole: bool, view: str) -> Panel:
    """Take the message apart for one view; without one, for the best that there is. Pure."""
    reading = read_message(content, whole=whole)
    views = {key: words for key, words in VIEWS.items() if key != "html" or reading.html}
    if reading.others:
        views["parts"] = count(reading.parts - len(reading.texts) - bool(reading.html), "attachment").capitalize()
    else:
        del views["parts"]
    view = view if view in views else next(iter(views))
    text, all_of_it = _READERS[view](content, reading) if view in _READERS else ("", True)
    pictures = _pictures(content, reading.others) if view == "parts" else frozenset[str]()
    return Panel(view, views, reading, text, all_of_it, pictures)


def _pictures(content: bytes, parts: Sequence[PartFacts]) -> frozenset[str]:
    """A few that are pictures by their octets: what only says so is not asked for."""
    some = [part for part in parts if part.is_picture and part.size <= MAX_SMALL][: 2 * SMALL_PICTURES]
    return frozenset([part.path for part in some if raster(part_octets(content, part))][:SMALL_PICTURES])


def _source(content: bytes, _: Reading) -> tuple[str, bool]:
    return visible_text(decode_text(content[:MAX_SOURCE])[0].replace("\r\n", "\n")), len(content) <= MAX_SOURCE


def _raw_header(content: bytes, _: Reading) -> tuple[str, bool]:
    size = header_size(content)
    return visible_text(decode_text(content[: min(size, MAX_SOURCE)])[0].replace("\r\n", "\n")), size <= MAX_SOURCE


_READERS: dict[str, Callable[[bytes, Reading], tuple[str, bool]]] = {
    "text": read_text,
    "source": _source,
    "headers": _raw_header,
}


async def show_content(request: Request) -> Response:
    """The part of the message's page that shows the message itself."""
    found = await stored(request)
    view, shown, problem = request.query_params.get("view", ""), None, ""
    if found.place is not None:
        try:
            shown = await desk_of(request).work(
                request, found.place, lambda content, whole: panel(content, whole, view)
            )
        except TooBusy as error:
            problem = str(error)
    return page(
        request, "message_content.html", fragment="message_content", ident=id_text(found.message.id),
        message=found.message, shown=shown, problem=problem, is_gone=found.place is None,
    )  # fmt: skip


# --- HTML in its frame ------------------------------------------------------------------------------------------------


async def show_html(request: Request) -> Response:
    """The HTML by itself, safe however it is opened."""
    found = await stored(request)
    if found.place is None:
        raise HTTPException(404)
    try:
        made = await desk_of(request).work(request, found.place, safe_page)
    except TooBusy as error:
        made = SafeHtml("", notices=(str(error),))
    if made is None:
        raise HTTPException(404)
    html = request.app.state.renderer.text("message_frame.html", {"made": made, "words": what_is_missing(made)})
    return Response(html, media_type="text/html; charset=utf-8", headers=FRAME_HEADERS)


def safe_page(content: bytes, whole: bool) -> SafeHtml | None:
    """The message's HTML made safe; None when it has none. Pure."""
    reading = read_message(content, whole=whole)
    if reading.html is None:
        return None
    text, complete = part_text(content, reading.html)

    def picture(name: str) -> bytes | None:
        part = reading.pictures.get(name)
        return part_octets(content, part) if part else None

    made = safe_html(text, picture)
    return made if complete else made._replace(notices=(*made.notices, "The end of the HTML is not shown."))


def what_is_missing(made: SafeHtml) -> list[str]:
    """For the reader, in sentences."""
    told = []
    if made.blocked:
        hosts = f" from {', '.join(made.hosts[:3])}{' and others' if len(made.hosts) > 3 else ''}" if made.hosts else ""
        was = "was" if made.blocked == 1 else "were"
        told.append(f"{count(made.blocked, 'picture')}{hosts} {was} not loaded: the sender would see that you look.")
    if made.missing:
        told.append(f"{count(made.missing, 'picture')} of the message cannot be shown.")
    if made.removed:
        was = "was" if made.removed == 1 else "were"
        told.append(f"{count(made.removed, 'active part')} (scripts, forms and the like) {was} left out.")
    return [*told, *made.notices]


# --- files ------------------------------------------------------------------------------------------------------------


async def download_source(request: Request) -> Response:
    """The octets as they are stored."""
    found = await stored(request)
    if found.place is None:
        raise HTTPException(404)
    pieces = services_of(request).blobs.stream(found.place)
    return _file(pieces, f"{id_text(found.message.id)}.eml", "message/rfc822", found.place.length)


async def download_part(request: Request) -> Response:
    """One part, decoded, as a file of no kind that a browser opens."""
    found, part = await _part(request)
    return _file(_decoded(request, found, part), part.name, "application/octet-stream")


async def show_picture(request: Request) -> Response:
    """A part that is a picture of a safe kind, told by its octets; anything else is not found."""
    found, part = await _part(request)
    if part.size > MAX_SHOWN_PART or not part.is_picture:
        raise HTTPException(404)
    octets = b"".join([piece async for piece in _decoded(request, found, part)])
    kind = raster(octets)
    if kind is None:
        raise HTTPException(404)
    return Response(octets, media_type=kind.type, headers={**FILE_HEADERS, "cache-control": "private, max-age=600"})


async def _part(request: Request) -> tuple[BlobPlace, PartFacts]:
    found, path = await stored(request), request.path_params["path"]
    if found.place is None:
        raise HTTPException(404)
    try:
        part = await desk_of(request).work(request, found.place, lambda content, _: find_part(content, path))
    except TooBusy as error:
        raise HTTPException(503, str(error)) from error
    if part is None:
        raise HTTPException(404)
    return found.place, part


async def _decoded(request: Request, place: BlobPlace, part: PartFacts) -> AsyncIterator[bytes]:
    decoder = TransferDecoder(part.encoding)
    async for piece in services_of(request).blobs.stream(place, part.start, part.end - part.start):
        yield decoder.feed(piece)
    yield decoder.finish()


def _file(pieces: AsyncIterator[bytes], name: str, kind: str, size: int | None = None) -> Response:
    plain = "".join(sign if sign.isascii() and sign.isprintable() and sign not in '"\\' else "_" for sign in name)
    headers = {
        **FILE_HEADERS,
        "content-disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}",
    }
    if size is not None:
        headers["content-length"] = str(size)
    return StreamingResponse(pieces, media_type=kind, headers=headers)


ROUTES = [
    Route("/messages/{id}/content", show_content),
    Route("/messages/{id}/html", show_html),
    Route("/messages/{id}/source", download_source),
    Route("/messages/{id}/parts/{path}", download_part),
    Route("/messages/{id}/pictures/{path}", show_picture),
]
