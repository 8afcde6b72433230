"""Decode one picture. bytes -> Decoded: its first frame in plain pixels, sRGB; rejects: ImageError.

    decoders    one, chosen by what images/headers/parse.py found; never by Pillow's guess
    picture     the first frame; of a TIFF the page that tiff.py takes; a JPEG may lack its end (jpeg_end.py)
    pixels      of all that is decoded, counted from the header before anything is
    colour      by the ICC profile to sRGB, 8 bit a channel; CMYK as its Adobe marker says it is stored
    the turn    that EXIF asks for is told, not done: what will be shrunk is turned afterwards, which is cheaper

Meant for the helper processes (transforms.images.helper): pictures are hostile, and the helper sets Pillow's process-wide
settings and registers the HEIF decoder. At this boundary every exception but a memory error says something about the
picture, not about us.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import PIL
from PIL import Image, JpegImagePlugin

from transforms.core.reasons import ImageError
from transforms.images.fit.colour import before_load, changes_values, check_depth, plain
from transforms.images.fit.encode import SCALED_QUALITY, STEPS, tables
from transforms.images.fit.flatness import went_flat
from transforms.images.fit.jpeg_end import with_end
from transforms.images.fit.pixels import SIDEWAYS, turned
from transforms.images.fit.tiles import rough_mosaic
from transforms.images.headers.rare import RARE
from transforms.images.headers.signatures import sniff
from transforms.images.headers.structure import walk
from transforms.images.headers.tiff import pages_of, with_first_page

# The only decoders that hostile bytes reach, by header type. JPEG XL and SVG have none.
DECODERS = {"jpeg": "JPEG", "png": "PNG", "webp": "WEBP", "gif": "GIF", "bmp": "BMP", "tiff": "TIFF", "ico": "ICO",
            "jp2": "JPEG2000", "avif": "AVIF", "heic": "HEIF", "heif": "HEIF",
            **{name: name.upper() for name in RARE}}  # fmt: skip
# Formats of frames or pages; an MPO's or ICO's others are copies.
_SEVERAL = ("GIF", "PNG", "WEBP", "TIFF", "AVIF", "HEIF")
_SURELY = 0.5  # of the bytes that it is thought to take: 4:2:0 takes fewer, and some pictures fall faster
_HUNGER = 12  # bytes a pixel that a decoder may want at once
_SOF3 = b"\xff\xc3"  # of a lossless JPEG, which libjpeg decodes whole into Pillow's smaller memory (as of 12.3). No scan can hold it.
_TIFF, _JPEG = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), b"\xff\xd8\xff"
_ORIENTATION = 0x0112  # EXIF tag
_TURN = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_Made = TypeVar("_Made")
_SAMPLINGS = {0: "4:4:4", 1: "4:2:2", 2: "4:2:0"}  # as Pillow numbers them


@dataclass(frozen=True, slots=True)
class Coding:
    """How a JPEG was coded: what a prediction can be checked against."""

    tables: list[list[int]]  # of quantisation, as Pillow takes them
    sampling: str  # 4:4:4 4:2:2 4:2:0, or "" for grey and anything else
    progressive: bool


@dataclass(slots=True)
class Decoded:
    """A picture in mode 1, L, LA, P (opaque), RGB or RGBA, in sRGB, without info, `turn` still to be done."""

    image: Image.Image
    turn: Image.Transpose | None
    full: tuple[int, int]  # upright size of the whole picture, whatever it was decoded at
    coding: Coding | None = None  # of a JPEG that was decoded whole
    frames: int = 1  # of the file
    flat: bool = False  # nearly one colour, and the source was not

    @property
    def size(self) -> tuple[int, int]:
        """Of the picture once it is turned."""
        width, height = self.image.size
        return (height, width) if self.turn in SIDEWAYS else (width, height)

    def crop(self, box: tuple[int, int, int, int]) -> Image.Image:
        """A part of the turned picture, without turning the whole of it."""
        left, top, right, bottom = box
        width, height = self.size
        if self.turn is None:
            return self.image.crop(box)
        # Each turn swaps the axes, or counts from the other end, or both.
        if self.turn in _MIRRORS_X:
            left, right = width - right, width - left
        if self.turn in _MIRRORS_Y:
            top, bottom = height - bottom, height - top
        if self.turn in SIDEWAYS:
            left, top, right, bottom = top, left, bottom, right
        return self.image.crop((left, top, right, bottom)).transpose(self.turn)

    def upright(self) -> Image.Image:
        """The turned picture. It takes the place of the one that was decoded; only a quarter turn needs both at once."""
        if self.turn is not None:
            self.image = turned(self.image, self.turn)
            self.turn = None
        return self.image


_T = Image.Transpose
_MIRRORS_X = (_T.FLIP_LEFT_RIGHT, _T.ROTATE_180, _T.ROTATE_270, _T.TRANSVERSE)  # of the turned picture's axes
_MIRRORS_Y = (_T.FLIP_TOP_BOTTOM, _T.ROTATE_180, _T.ROTATE_90, _T.TRANSVERSE)


def decode(
    data: bytes, header_type: str, max_pixels: int, *, side: int = 0, limit: int = 0, one_frame: bool = False
) -> Decoded:
    """Decode the first frame.

    Args:
        data: the whole file.
        max_pixels: of the frame.
        side: a JPEG is decoded 2, 4 or 8 times smaller if that leaves its longer side at least so long; 0: not.
        limit: or if it has to lose as much to take so many bytes; 0: not.
        one_frame: reject what has more frames or pages.

    Raises:
        ImageError: undecodable, truncated_image, too_many_pixels, animated or decoder_memory.
    """
    if header_type not in DECODERS:
        raise ImageError("undecodable", f"no decoder for {header_type}")

    def work(image: Image.Image, frames: int) -> Decoded:
        _measure(image, max_pixels)
        if frames > 1 and one_frame:
            raise ImageError("animated", "more than one frame, under --animation reject")
        width, height = image.size
        smaller = next((s for s in (8, 4, 2) if side and max(width, height) >= s * side), 1)
        if limit and image.format in ("JPEG", "MPO"):
            smaller = _must_lose(image, len(data) / limit)
        if smaller > 1 and _SOF3 not in data:
            image.draft(None, (max(1, width // smaller), max(1, height // smaller)))
        if header_type == "jp2":
            check_depth(data)
        before_load(image)
        image.load()
        if image.size == (width, height):
            coding = _coding(image)
        else:
            coding = None
            if smaller == 1:  # TIFF turns its own pixels while loading
                width, height = image.size
        turn = _turn(image)
        before = rough_mosaic(image.crop, image.size) if changes_values(image) else None
        image = plain(image)
        flat = before is not None and went_flat(before, rough_mosaic(image.crop, image.size))
        return Decoded(image, turn, (height, width) if turn in SIDEWAYS else (width, height), coding, frames, flat)

    return _guarded(data, (DECODERS[header_type],), work)


def _must_lose(image: Image.Image, over: float) -> int:
    """1, 2, 4 or 8: what a JPEG of `over` times its limit will lose of its sides at least, to be coded at SCALED_QUALITY.

    Bytes go about with the square root of the tables' finesse. What comes of it is checked by who asked: _SURELY, so that few
    are decoded twice.
    """
    usual = tables(SCALED_QUALITY * STEPS)[0]
    table = next(iter(image.quantization.values()), usual)  # type: ignore[attr-defined]
    over *= _SURELY * min(1.0, math.sqrt(sum(table) / sum(usual))) * (0.5 if image.mode == "CMYK" else 1.0)
    return next((s for s in (8, 4, 2) if over >= s * s), 1)


def check_decode(data: bytes, max_pixels: int) -> None:
    """Decode every frame in full.

    Raises:
        ImageError: undecodable, truncated_image, too_many_pixels or decoder_memory.
    """

    def work(image: Image.Image, frames: int) -> None:
        _measure(image, max_pixels, frames)
        for frame in range(_frames(image)):
            if frame:
                image.seek(frame)
            image.load()

    _guarded(data, tuple(dict.fromkeys(DECODERS.values())), work)


def _guarded(data: bytes, formats: tuple[str, ...], work: Callable[[Image.Image, int], _Made]) -> _Made:
    """What `work` makes of the opened picture and the number of its file's frames, every error being one of the picture."""
    Image.init()
    known = [name for name in formats if name in Image.OPEN]  # AVIF and HEIF may be missing
    pixels, pages = 0, None
    try:
        if data.startswith(_TIFF) and "TIFF" in known:
            pages = pages_of(data, len(data))
            data = with_first_page(data, pages.main)
        elif data.startswith(_JPEG):
            data = with_end(data)
        with Image.open(io.BytesIO(data), formats=known) as image:
            pixels = image.width * image.height
            return work(image, len(pages.full) if pages else _frames(image))
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageError("decoder_memory", "the picture needs more memory than the decoder may use") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        size = str(error).partition(" exceeds")[0]  # what Pillow goes on to call the limit may be twice as much
        raise ImageError("too_many_pixels", f"{size}: at most {Image.MAX_IMAGE_PIXELS} are decoded") from error
    except PIL.UnidentifiedImageError as error:  # its text holds a memory address, which no two runs share
        told = f"TIFF with {pages.main.describe()}: " if pages else ""
        raise ImageError(_reason(data, error), f"{told}not readable as {', '.join(formats)}") from error
    except Exception as error:
        raise ImageError(_reason(data, error, pixels), f"{type(error).__name__}: {error}"[:200]) from error


def _frames(image: Image.Image) -> int:
    return max(1, int(getattr(image, "n_frames", 1))) if image.format in _SEVERAL else 1


def _measure(image: Image.Image, max_pixels: int, frames: int = 1) -> None:
    """Raises ImageError: undecodable, too_many_pixels (of the frames that are to be decoded, together)."""
    width, height = image.size
    if width < 1 or height < 1:
        raise ImageError("undecodable", f"{width} x {height} pixels")
    if width * height * frames > max_pixels:
        several = f"{frames} frames of " if frames > 1 else ""
        detail = f"{several}{width} x {height} pixels, at most {max_pixels} are decoded"
        raise ImageError("too_many_pixels", detail)


def _reason(data: bytes, error: Exception, pixels: int = 0) -> str:
    text = str(error).lower()
    if "out of memory" in text or "memory allocation" in text:
        return "decoder_memory"
    ends = ("truncated", "unexpected end", "end of file")
    if isinstance(error, EOFError) or any(word in text for word in ends):
        return "truncated_image"
    try:
        walk(data, sniff(data[:4096]))  # not every decoder says that it came to the end
    except ImageError as found:
        return found.reason
    try:
        bytes(pixels * _HUNGER)
    except MemoryError:  # most decoders call it broken data, too
        return "decoder_memory"
    return "undecodable"


def _coding(image: Image.Image) -> Coding | None:
    if image.format != "JPEG" or image.mode not in ("L", "RGB"):
        return None
    sampling = _SAMPLINGS.get(JpegImagePlugin.get_sampling(image), "") if image.mode == "RGB" else ""
    tables = [list(image.quantization[key]) for key in sorted(image.quantization)]  # type: ignore[attr-defined]
    return Coding(tables, sampling, "progressive" in image.info)


def _turn(image: Image.Image) -> Image.Transpose | None:
    """The turn that EXIF asks for; read apart from `Image.getexif`, which would also believe XMP."""
    exif = Image.Exif()
    try:
        exif.load(image.info.get("exif", b""))
        return _TURN.get(exif.get(_ORIENTATION))
    except MemoryError:
        raise
    except Exception:  # damaged EXIF costs the turn, not the picture
        return None
