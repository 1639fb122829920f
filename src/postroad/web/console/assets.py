"""Style sheets, scripts and pictures, under names that change with their content, so that browsers keep them for good.

A style sheet may begin with `@import url("name") layer(name);`: the named file is put in its place, in that layer, so
that one request brings all and what others wrote stays beneath what we wrote.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

FOLDER = Path(__file__).parent / "static"
PREFIX = "/console/static/"
FOREVER = "public, max-age=31536000, immutable"

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_IMPORT = re.compile(r'^@import url\("([^"]+)"\) layer\((\w+)\);$', re.MULTILINE)
_WORTH_PACKING = 512  # octets


@dataclass(frozen=True, slots=True)
class Asset:
    """One file as it is sent."""

    path: str
    content_type: str
    content: bytes
    packed: bytes  # by gzip; empty where that is not worth it


class Assets:
    """All of them, read once."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._by_name = {
            file.relative_to(folder).as_posix(): _load(folder, file)
            for file in sorted(folder.rglob("*"))
            if file.suffix in _TYPES
        }
        self._by_path = {asset.path: asset for asset in self._by_name.values()}

    def path(self, name: str) -> str:
        """Where the file called `name` is to be had. Raises KeyError."""
        return self._by_name[name].path

    async def serve(self, request: Request) -> Response:
        """One file; any other name, an old hash too, is not found."""
        asset = self._by_path.get(request.url.path)
        if asset is None:
            return PlainTextResponse("There is no such file.\n", 404)
        headers = {"cache-control": FOREVER, "vary": "accept-encoding"}
        packed = asset.packed and "gzip" in request.headers.get("accept-encoding", "")
        if packed:
            headers["content-encoding"] = "gzip"
        return Response(asset.packed if packed else asset.content, headers=headers, media_type=asset.content_type)


@cache
def shipped() -> Assets:
    """Those of the package, for every console of the process."""
    return Assets()


def _load(folder: Path, file: Path) -> Asset:
    content = _with_imports(folder, file) if file.suffix == ".css" else file.read_bytes()
    packed = gzip.compress(content, mtime=0) if len(content) >= _WORTH_PACKING else b""
    digest = hashlib.sha256(content).hexdigest()[:12]
    name = file.relative_to(folder).with_name(f"{file.stem}.{digest}{file.suffix}").as_posix()
    return Asset(PREFIX + name, _TYPES[file.suffix], content, packed)


def _with_imports(folder: Path, file: Path) -> bytes:
    def put(match: re.Match[str]) -> str:
        imported = (folder / match[1]).read_text("utf-8").removeprefix('@charset "UTF-8";')
        return f"@layer {match[2]} {{\n{imported}\n}}"

    return _IMPORT.sub(put, file.read_text("utf-8")).encode()
