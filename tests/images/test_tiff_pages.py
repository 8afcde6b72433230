"""Which page of a TIFF is the picture, and what a camera's raw data is told by. Files are made by code, pixels are compared."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from PIL import Image

from transforms.core.reasons import ImageError
from transforms.core.records import Header
from transforms.images.fit.fit import fit
from transforms.images.fit.policy import FitPolicy, FittedImage
from transforms.images.headers.head import FAR, NeedMore
from transforms.images.headers.parse import parse

POLICY = FitPolicy(max_bytes=10**6, types=("jpeg", "png"))
REDUCED, PAGE_OF_MANY, MASK = 1, 2, 4  # NewSubfileType


@dataclass
class Page:
    """A grey page of one value. `tags` are more fields: {tag: value}, a LONG each; `below` are its SubIFDs."""

    width: int
    height: int
    grey: int
    tags: dict[int, int] = field(default_factory=dict)
    below: Sequence[Page] = ()


def written(pages: Sequence[Page], order: str = "<", big: bool = False, gap: int = 0) -> bytes:
    """The pages as a TIFF, or a BigTIFF; `gap` bytes stand before each directory."""
    out = bytearray({"<": b"II", ">": b"MM"}[order] + struct.pack(order + "H", 43 if big else 42))
    out += struct.pack(order + "HHQ", 8, 0, 0) if big else bytes(4)
    word, link = (order + "Q", 8) if big else (order + "I", 4)

    def directory(page: Page) -> tuple[int, int]:
        """Writes pixels, SubIFDs and a directory -> (where it begins, where it links to the next one)."""
        pixels = len(out)
        out.extend(bytes([page.grey]) * (page.width * page.height))
        inner = [directory(one)[0] for one in page.below]
        values = {256: page.width, 257: page.height, 258: 8, 259: 1, 262: 1, 273: pixels, 277: 1,
                  278: page.height, 279: page.width * page.height, **page.tags}  # fmt: skip
        fields = {tag: (1, value) for tag, value in values.items()}
        if inner:
            array = len(out)
            out.extend(struct.pack(f"{order}{len(inner)}I", *inner))
            fits = 4 * len(inner) <= link
            fields[330] = (
                len(inner),
                int.from_bytes(out[array : array + 4], "little" if order == "<" else "big") if fits else array,
            )
        out.extend(bytes(gap + len(out) % 2))
        at = len(out)
        out.extend(struct.pack(order + ("Q" if big else "H"), len(fields)))
        for tag, (count, value) in sorted(fields.items()):
            out.extend(struct.pack(order + "HH", tag, 4) + struct.pack(word, count))
            out.extend(struct.pack(order + "I", value).ljust(link, b"\0"))
        out.extend(bytes(link))
        return at, len(out) - link

    place = 8 if big else 4
    for page in pages:
        at, next_place = directory(page)
        out[place : place + link] = struct.pack(word, at)
        place = next_place
    return bytes(out)


def rewritten(data: bytes, policy: FitPolicy = POLICY) -> tuple[tuple[int, int], int, FittedImage]:
    """(size, grey, the rest) of what a TIFF becomes."""
    fitted = fit(data, policy, source="s", header_type="tiff")
    with Image.open(io.BytesIO(fitted.data)) as image:
        low, high = image.convert("L").getextrema()
        assert low == high
        return image.size, int(low), fitted  # type: ignore[arg-type]


LARGE, SMALL = Page(240, 160, 90), Page(24, 16, 200)


@pytest.mark.parametrize(
    ("pages", "size", "grey", "frames"),
    [
        ([Page(24, 16, 200, {254: REDUCED}), LARGE], (240, 160), 90, 1),  # a thumbnail first
        ([Page(24, 16, 200, {255: 2}), LARGE], (240, 160), 90, 1),  # as older writers say it
        ([SMALL, LARGE], (240, 160), 90, 2),  # and as some do not
        ([LARGE, SMALL], (240, 160), 90, 2),
        ([Page(24, 16, 200, {254: REDUCED}, [LARGE])], (240, 160), 90, 1),  # the picture below its thumbnail
        ([Page(240, 160, 90, {}, [Page(120, 80, 1, {254: REDUCED}), Page(60, 40, 2, {254: REDUCED})])], (240, 160), 90, 1),
        ([LARGE, Page(120, 80, 1, {254: REDUCED}), Page(60, 40, 2, {254: REDUCED})], (240, 160), 90, 1),  # a pyramid
        ([Page(400, 300, 255, {254: MASK}), LARGE], (240, 160), 90, 1),  # a mask is no picture, however large
        ([Page(400, 300, 255, {254: MASK | REDUCED}), LARGE], (240, 160), 90, 1),
        ([Page(400, 300, 7, {254: REDUCED}), LARGE], (240, 160), 90, 1),  # what is said wins over size
        ([Page(24, 16, 200, {254: REDUCED}), Page(48, 32, 9, {254: REDUCED})], (48, 32), 9, 2),  # nothing but copies
        ([Page(240, 160, grey) for grey in (10, 20, 30)], (240, 160), 10, 3),  # of equals the first
        ([Page(240, 150, 10, {254: PAGE_OF_MANY}), Page(240, 160, 20, {254: PAGE_OF_MANY})], (240, 150), 10, 2),  # a scan
        ([Page(240, 150, 10, {297: 2}), Page(240, 160, 20, {297: 2})], (240, 150), 10, 2),
        ([Page(24, 16, 7, {254: REDUCED}), Page(240, 150, 10, {255: 3}), Page(240, 160, 20, {255: 3})], (240, 150), 10, 2),
    ],
)  # fmt: skip
@pytest.mark.parametrize(("order", "big"), [("<", False), (">", False), ("<", True), (">", True)])
def test_the_picture_of_a_tiff(
    pages: list[Page], size: tuple[int, int], grey: int, frames: int, order: str, big: bool
) -> None:
    data = written(pages, order, big)
    assert parse(data, len(data)) == Header("tiff", *size, frames=frames)
    if big and order == ">":
        return  # Pillow reads no such file
    found = rewritten(data)
    assert (*found[:2], found[2].frames_dropped, found[2].scale) == (size, grey, frames - 1, 1.0)


@pytest.mark.parametrize(("frames", "reason"), [(1, ""), (2, "animated")])
def test_copies_are_no_frames(frames: int, reason: str) -> None:
    pages = [LARGE] * frames + [Page(24, 16, 200, {254: REDUCED})]
    policy = FitPolicy(max_bytes=10**6, types=("png",), animation="reject")
    try:
        assert rewritten(written(pages), policy)[1] == 90
    except ImageError as error:
        assert error.reason == reason
    else:
        assert reason == ""


def test_a_scan_of_40_pages_is_usable_and_its_pages_are_counted() -> None:
    data = written([Page(240, 160, grey) for grey in range(40)])
    policy = FitPolicy(max_bytes=10**6, types=("png",), max_pixels=240 * 160)
    assert rewritten(data, policy)[2].frames_dropped == 39
    with pytest.raises(ImageError, match="240 x 160 pixels, at most 38399") as caught:
        rewritten(data, FitPolicy(max_bytes=10**6, types=("png",), max_pixels=240 * 160 - 1))
    assert caught.value.reason == "too_many_pixels"


def test_directories_that_are_far_loop_or_are_missing() -> None:
    far = written([SMALL, LARGE], gap=FAR)
    assert parse(far[:4096], len(far)) == Header("tiff", 0, 0, frames=1)  # no directory was reached
    near = written([SMALL], gap=100_000)
    with pytest.raises(NeedMore):
        parse(near[:4096], len(near))
    near = written([SMALL])
    link = len(near) - 4
    onward = near[:link] + struct.pack("<I", 3 * FAR)
    assert parse(onward, 9 * FAR) == Header("tiff", 24, 16, frames=0)  # the second one was not
    thumbnail = written([Page(24, 16, 200, {254: REDUCED})])
    beyond = thumbnail[:-4] + struct.pack("<I", 3 * FAR)
    assert parse(beyond, 9 * FAR) == Header("tiff", 0, 0, frames=0)  # a copy is not believed to be all
    cut = near[:link] + struct.pack("<I", len(near) + 1)
    with pytest.raises(ImageError) as caught:
        parse(cut, len(cut))
    assert caught.value.reason == "truncated_image"
    looped = near[:link] + near[4:8]
    assert parse(looped, len(looped)) == Header("tiff", 24, 16)
    dangling = written([Page(24, 16, 200, {330: 1 << 30})])  # an editor moved the picture and left the pointer
    assert rewritten(dangling)[:2] == ((24, 16), 200)


def test_overlapping_directories_take_linear_time() -> None:
    """Each of 60,000 directories of 65,535 entries begins a byte after the one before."""
    count = 60_000
    inner = struct.pack(f"<{count}I", *range(400_000, 400_000 + count))
    head = b"II*\0" + struct.pack("<IH", 8, 3)
    head += b"".join(struct.pack("<HHII", tag, 4, n, v) for tag, n, v in ((256, 1, 9), (257, 1, 9), (330, count, 100)))
    data = (head.ljust(100, b"\0") + inner).ljust(400_000, b"\0") + b"\xff\xff" * 1_000_000
    with pytest.raises(ImageError) as caught:
        parse(data, len(data))
    assert caught.value.reason == "undecodable"


def dng(**tags: int) -> bytes:
    return written([Page(24, 16, 200, {254: REDUCED, **{int(k[1:]): v for k, v in tags.items()}}, [LARGE])])


RAW = {
    "DNG": dng(t50706=0x00000401),
    "colour filter array": dng(t262=32803),
    "linear raw": dng(t262=34892),
    "pattern in the second page": written([SMALL, Page(240, 160, 90, {33422: 1})]),
    "NEF: below its thumbnail": written([Page(24, 16, 9, {254: REDUCED}, [SMALL, Page(240, 160, 9, {262: 32803})])]),
    "NEF: compression": written([Page(24, 16, 9, {254: REDUCED}, [Page(240, 160, 9, {259: 34713})])]),
    "ARW": written([Page(24, 16, 9, {254: REDUCED}, [Page(240, 160, 9, {259: 32767})])]),
    "PEF": written([Page(24, 16, 9, {259: 65535})], ">"),
    "CR2": b"II*\0\x10\0\0\0CR\x02\0" + bytes(4) + struct.pack("<H", 2) + b"".join(
        struct.pack("<HHII", tag, 4, 1, 9) for tag in (256, 257)) + bytes(4),
    "CR3": struct.pack(">I", 24) + b"ftypcrx \0\0\0\1crx isom" + bytes(64),
    "RAF": b"FUJIFILMCCD-RAW 0201FF393103X-T1" + bytes(64),
    "ORF": b"IIRO\x08\0\0\0" + bytes(64),
    "ORF, older": b"IIRS\x08\0\0\0" + bytes(64),
    "ORF, big-endian": b"MMOR\0\0\0\x08" + bytes(64),
    "RW2": b"IIU\0\x18\0\0\0" + bytes(64),
    "CRW": b"II\x1a\0\0\0HEAPCCDR" + bytes(64),
}  # fmt: skip


@pytest.mark.parametrize("name", RAW)
def test_raw_data_of_cameras_is_told_by_its_bytes(name: str) -> None:
    with pytest.raises(ImageError, match="export it as JPEG, PNG or TIFF") as caught:
        parse(RAW[name], len(RAW[name]))
    assert caught.value.reason == "camera_raw"
    if RAW[name][2:4] in (b"*\0", b"\0*"):  # also where inspection could not reach the directory that says so
        with pytest.raises(ImageError) as again:
            fit(RAW[name], POLICY, source="s", header_type="tiff")
        assert again.value.reason == "camera_raw"


def many_bands(bands: int, bits: int, kind: int) -> bytes:
    """A TIFF of one pixel with more bands than its photometric interpretation, grey, has."""
    pixel = bytes(bands * bits // 8)
    arrays = struct.pack(f"<{2 * bands}H", *[bits] * bands, *[kind] * bands)
    fields = {256: (4, 1, 1), 257: (4, 1, 1), 258: (3, bands, 8), 259: (4, 1, 1), 262: (4, 1, 1), 273: (4, 1, 8 + len(arrays)),
              277: (4, 1, bands), 278: (4, 1, 1), 279: (4, 1, len(pixel)), 339: (3, bands, 8 + 2 * bands)}  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, *rest) for tag, rest in sorted(fields.items()))
    at = 8 + len(arrays) + len(pixel)
    return b"II*\0" + struct.pack("<I", at) + arrays + pixel + struct.pack("<H", len(fields)) + entries + bytes(4)


@pytest.mark.parametrize(
    ("bands", "bits", "kind", "told"),
    [
        (5, 16, 1, "5 bands of 16 bits:"),
        (7, 8, 1, "7 bands of 8 bits:"),
        (3, 32, 3, "3 bands of 32 bits of floating point:"),
        (4, 16, 2, "4 bands of 16 bits with a sign:"),
    ],
)
def test_bands_that_are_not_decoded_are_named(bands: int, bits: int, kind: int, told: str) -> None:
    with pytest.raises(ImageError) as caught:
        fit(many_bands(bands, bits, kind), POLICY, source="s", header_type="tiff")
    assert caught.value.reason == "undecodable" and f"TIFF with {told}" in caught.value.detail


@pytest.mark.parametrize(("compression", "size"), [(1, 100 * 100), (8, 10), (32946, 10), (5, 0)])
def test_a_page_tells_the_fewest_bytes_that_hold_it(compression: int, size: int) -> None:
    page = written([Page(100, 100, 9, {259: compression})])
    assert parse(page, len(page)).least_bytes == size


def test_a_deflated_tiff_of_one_colour_is_whole() -> None:
    image = io.BytesIO()
    Image.new("L", (2000, 2000), 9).save(image, "TIFF", compression="tiff_adobe_deflate")
    data = image.getvalue()
    assert 0 < parse(data, len(data)).least_bytes <= len(data)
    assert len(zlib.compress(bytes(4_000_000), 9)) >= parse(data, len(data)).least_bytes
