"""Images whose bytes something was done to on their way: what the rejection says of it."""

from __future__ import annotations

import base64

import pytest
from folders import encoded, jpeg, png

from transforms.core.reasons import ImageError
from transforms.images.headers.parse import parse

J, P = jpeg(), png()
TEXT_MODE = ", by a transfer or a checkout in text mode: copy it again as binary"
LOST = "it was read as text and written again, by which bytes were lost: copy it again as binary"
HEADERS = b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\n\r\n"


def said(data: bytes) -> str:
    with pytest.raises(ImageError) as error:
        parse(data, len(data))
    assert error.value.reason == "not_an_image"
    return error.value.detail.removeprefix("looks like ")


@pytest.mark.parametrize(
    "data, detail",
    [
        (P.replace(b"\r\n", b"\n"), f"a PNG whose CR LF became LF{TEXT_MODE}"),
        (P.replace(b"\n", b"\r\n"), f"a PNG whose LF became CR LF{TEXT_MODE}"),
        (P.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"), f"a PNG whose LF became CR LF{TEXT_MODE}"),
        (P.replace(b"\r", b"\n"), f"a PNG whose CR became LF{TEXT_MODE}"),
        (P.replace(b"\n", b"\r"), f"a PNG whose LF became CR{TEXT_MODE}"),
        (P.replace(b"\n", b""), f"a PNG whose LF were dropped{TEXT_MODE}"),
        (P[:6], f"a PNG that ends at its Ctrl-Z{TEXT_MODE}"),
        (P[:7], f"a PNG that ends at its Ctrl-Z{TEXT_MODE}"),
        (bytes(byte & 127 for byte in P), "a PNG of which a transfer of 7 bits kept no eighth"),
        (bytes(byte & 127 for byte in J), "a JPEG of which a transfer of 7 bits kept no eighth"),
        (P.decode("utf-8", "replace").encode(), f"a PNG: {LOST}"),
        (J.decode("utf-8", "replace").encode(), f"a JPEG: {LOST}"),
        (P.decode("latin-1").encode("ascii", "replace"), f"a PNG: {LOST}"),
        (J.decode("latin-1").encode("ascii", "replace"), f"a JPEG: {LOST}"),
        (P.decode("latin-1").encode(), "a PNG that was read as Latin-1 and written as UTF-8: iconv"),
        (J.decode("latin-1").encode(), "a JPEG that was read as Latin-1 and written as UTF-8"),
        (P.decode("cp1252", "replace").encode(), "a PNG that was read as Windows-1252"),
        (
            b"\xff\xfe" + P.decode("cp437").encode("utf-16-le"),
            "an image in letters of UTF-16, as PowerShell's > writes",
        ),
        (
            b"\xff\xfe" + J.decode("cp437").encode("utf-16-le"),
            "an image in letters of UTF-16, as PowerShell's > writes",
        ),
        (base64.b64encode(J), "a JPEG in base64: decode it"),
        (base64.b64encode(P), "a PNG in base64: decode it"),
        (b"data:image/png;base64," + base64.b64encode(P), "an image in a data URL: decode"),
        (J.hex().encode(), "a JPEG in hexadecimal digits"),
        (repr(J).encode(), "a JPEG as Python prints bytes"),
        (repr(P).encode(), "a PNG as Python prints bytes"),
        (P[1:], "a PNG without its first byte"),
        (J[1:], "a JPEG without its first byte"),
        (P[:4] + b"?" + P[5:], "a PNG whose signature is damaged"),
        (J[:2], "a JPEG that is damaged at its third byte, or ends before it"),
        (b"\n" + J, "a JPEG behind 1 byte that is not its own (0a): cut it off"),
        (b"\xef\xbb\xbf" + J, "a JPEG behind 3 bytes that are not its own (ef bb bf): cut them off"),
        (b"\r\n" + P, "a PNG behind 2 bytes that are not its own (0d 0a): cut them off"),
        (HEADERS + J, f"a JPEG behind {len(HEADERS)} bytes of text: cut them off"),
    ],
)
def test_what_befell_an_image_is_told(data: bytes, detail: str) -> None:
    assert said(data).startswith(detail)


@pytest.mark.parametrize(
    "before, told", [(b"\0" * 15, True), (b"\0" * 16, True), (b"\0" * 17, False), (b" " * 17, True)]
)
def test_an_image_far_inside_other_bytes_is_none(before: bytes, told: bool) -> None:
    assert said(before + J).startswith("a JPEG behind") is told


@pytest.mark.parametrize("length, told", [(1023, True), (1024, True), (1032, False)])
def test_text_before_an_image_is_bounded(length: int, told: bool) -> None:
    assert said(b"x" * length + J).startswith("a JPEG behind") is told


@pytest.mark.parametrize("data", [J, P, *(encoded(kind) for kind in ("GIF", "BMP", "WEBP", "TIFF"))])
def test_whole_images_are_read(data: bytes) -> None:
    assert parse(data, len(data)).width == 64
