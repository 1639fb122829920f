"""Pictures are told by their octets."""

import pytest

from postroad.content.raster import MAX_PIXELS, Raster, raster

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x01\0\0\0\0\x10"
JPEG = b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0\xff\xff\xc0\0\x11\x08\0\x20\0\x40\x03"


@pytest.mark.parametrize(
    ("octets", "found"),
    [
        (PNG, Raster("image/png", 256, 16)),
        (b"GIF87a\x02\0\x03\0", Raster("image/gif", 2, 3)),
        (b"GIF89a\x02\0\x03\0", Raster("image/gif", 2, 3)),
        (JPEG, Raster("image/jpeg", 64, 32)),
        (b"RIFF\0\0\0\0WEBPVP8 \0\0\0\0\0\0\0\x9d\x01\x2a\x05\0\x06\0", Raster("image/webp", 5, 6)),
        (b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f\x04\x40\x01\0" + b"\0" * 6, Raster("image/webp", 5, 6)),
        (b"RIFF\0\0\0\0WEBPVP8X\0\0\0\0\0\0\0\0\x04\0\0\x05\0\0", Raster("image/webp", 5, 6)),
        (b"", None),
        (PNG[:20], None),
        (b"GIF89a", None),
        (b"GIF8xx\x02\0\x03\0", None),
        (b"\xff\xd8<script>", None),
        (b"\xff\xd8" + b"\xff\xe0\0\x02" * 1000, None),
        (b"RIFF\0\0\0\0WAVE" + b"\0" * 30, None),
        (b"<svg onload=alert(1)>", None),
        (PNG.replace(b"IHDR\0\0\x01\0", b"IHDR\0\0\0\0"), None),
    ],
)
def test_kind_and_size(octets: bytes, found: Raster | None) -> None:
    assert raster(octets) == found


def test_a_picture_of_too_many_points_is_none() -> None:
    side = (MAX_PIXELS // 100).to_bytes(4, "big")
    assert raster(PNG[:16] + side + (100).to_bytes(4, "big"))
    assert raster(PNG[:16] + side + (101).to_bytes(4, "big")) is None
