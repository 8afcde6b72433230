"""Make one picture fit a byte limit at the best quality found. bytes -> FittedImage; rejects: ImageError.

    decode      first frame only, pixels limited from the header, upright, sRGB, 8 bit a channel, no metadata kept
    as PNG      a lossless source (png gif bmp ico tiff) or a picture with alpha, where the limit holds it so
    as JPEG     everything else, and what does not fit as PNG (alpha is then flattened on white): 4:2:0, grey stays grey
    quality     the highest of min_quality..95 whose size, predicted from a mosaic of tiles, fits; then verified
    pixels      if none fits: LANCZOS to the largest scale that holds quality 88, then the quality search again

Nothing over the limit is ever returned. The result carries its own facts (core/facts.py) in its first 64 KiB. The same
bytes, policy and CODEC_VERSIONS give the same output. Meant for the helper processes of transforms.decoding: pictures
are hostile, and the helper sets Pillow's process-wide settings (Image.MAX_IMAGE_PIXELS must allow `max_pixels`).
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import PIL
from PIL import Image, ImageCms, features

from .facts import Facts, embed_facts, segment
from .reasons import ImageError

VERSION = 1  # of this fitter: a change of any byte it writes is a new one, so that outputs get new names
_CODECS = ("libjpeg_turbo", "zlib", "zlib_ng", "littlecms2", "libtiff", "webp", "jpg_2000", "avif")
CODEC_VERSIONS = " ".join(
    [f"pillow-{PIL.__version__}"] + [f"{c}-{features.version(c)}" for c in _CODECS if c in features.get_supported()]
)

# The only decoders that hostile bytes reach, by header type. HEIC, JPEG XL, PSD and SVG have none here.
_DECODERS = {"jpeg": "JPEG", "png": "PNG", "webp": "WEBP", "gif": "GIF", "bmp": "BMP", "tiff": "TIFF", "ico": "ICO",
             "jp2": "JPEG2000", "avif": "AVIF"}  # fmt: skip
_LOSSLESS = ("png", "gif", "bmp", "ico", "tiff")
_TOP_QUALITY = 95  # above it bytes grow fast and nothing can be seen
_SCALED_QUALITY = 88  # the quality that shrinking aims at; PSNR at equal bytes is flat over 85..92 and falls below 80
_JPEG_SIDE = 65_500  # libjpeg's JPEG_MAX_DIMENSION
_MARGIN = 0.99  # of the limit that a prediction from tiles may use: it is within 1 % on photographs
_SURE_MARGIN = 0.997  # once a full encode has told what the tiles were wrong by
_TILE, _GRID = 256, 8
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
_SIDEWAYS = tuple(_TURN[orientation] for orientation in (5, 6, 7, 8))


@dataclass(frozen=True, slots=True, kw_only=True)
class FitPolicy:
    """What a rewritten picture must obey.

    Args:
        max_bytes: limit of the whole file, facts included; inclusive.
        types: conforming types; `jpeg` or `png` must be among them, for only these are written.
        max_pixels: of the decoded picture; more are rejected from the header.
        min_quality: JPEG quality (1..95) below which pixels are given up instead.
    """

    max_bytes: int
    types: tuple[str, ...]
    max_pixels: int = 300_000_000
    min_quality: int = 85

    def __post_init__(self) -> None:
        if not {"jpeg", "png"} & set(self.types):
            raise ValueError(f"types are {self.types}; pictures can only be rewritten as jpeg or png: name one of them")
        if not 1 <= self.min_quality <= _TOP_QUALITY:
            raise ValueError(f"min_quality is {self.min_quality}; it must be 1 to {_TOP_QUALITY}")

    def digest_text(self) -> str:
        """Everything beside the source that decides the output's bytes, as stable text to name outputs by."""
        types = ",".join(sorted(set(self.types)))
        return (
            f"fit/{VERSION} max_bytes={self.max_bytes} types={types} max_pixels={self.max_pixels} "
            f"min_quality={self.min_quality} {CODEC_VERSIONS}"
        )


@dataclass(frozen=True, slots=True)
class FittedImage:
    """A picture that obeys its policy."""

    data: bytes
    type: str  # jpeg png
    width: int
    height: int
    quality: int  # 0: lossless
    scale: float  # of the longer side; 1.0: all pixels
    encodes: int  # full encodes done, tile samples not counted
    fate: str  # resized | converted | recompressed: the first that holds


def fit(data: bytes, policy: FitPolicy, *, source: str, header_type: str) -> FittedImage:
    """Rewrite a picture under `policy.max_bytes`.

    Args:
        data: the whole file.
        source: opaque identity of the source, embedded in the result.
        header_type: what the bytes are, as transforms.core.headers says; chooses the decoder.

    Raises:
        ImageError: undecodable, truncated_image, too_many_pixels, cannot_fit or decoder_memory.
    """
    if header_type not in _DECODERS:
        raise ImageError("undecodable", f"no decoder for {header_type}")
    formats = (_DECODERS[header_type],)
    try:
        if header_type == "jpeg" and (shrink := _shrink_on_load(len(data), policy.max_bytes)) > 1:
            image, full = _decode(data, formats, policy.max_pixels, shrink)
            writer = _Writer(policy, source, header_type, len(data), full)
            if "jpeg" in policy.types and writer.must_shrink(image):
                return writer.shrink(image, "jpeg")
            del image  # it need not lose that much: decoded again, whole
        image, full = _decode(data, formats, policy.max_pixels)
        writer = _Writer(policy, source, header_type, len(data), full)
        if "jpeg" not in policy.types:
            return writer.at_this_size(image, "png") or writer.shrink(_to_channels(image), "png")
        lossless = "png" in policy.types and (header_type in _LOSSLESS or image.mode in ("LA", "RGBA"))
        fitted = writer.at_this_size(image, "png") if lossless else None
        if fitted is None:
            image = _flatten(image)
            fitted = writer.at_this_size(image, "jpeg") or writer.shrink(image, "jpeg")
        return fitted
    except MemoryError as error:
        raise ImageError("decoder_memory", "the picture needs more memory than the decoder may use") from error


def check_decode(data: bytes, max_pixels: int) -> None:
    """Decode the first frame in full.

    Raises:
        ImageError: undecodable, truncated_image, too_many_pixels or decoder_memory.
    """
    _decode(data, tuple(_DECODERS.values()), max_pixels)


# Decoding: the boundary where every exception but a memory error says something about the picture, not about us.


def _decode(
    data: bytes, formats: tuple[str, ...], max_pixels: int, shrink: int = 1
) -> tuple[Image.Image, tuple[int, int]]:
    """Decode the first frame -> (mode 1, L, LA, P, RGB or RGBA; without info), upright full size before `shrink`."""
    try:
        with Image.open(io.BytesIO(data), formats=formats) as image:
            width, height = image.size
            if width < 1 or height < 1:
                raise ImageError("undecodable", f"{width} x {height} pixels")
            if width * height > max_pixels:
                raise ImageError("too_many_pixels", f"{width} x {height} pixels, at most {max_pixels} are decoded")
            if shrink > 1:
                image.draft(None, (width // shrink, height // shrink))
            image.load()
            turn = _turn(image)
            # TIFF turns its own pixels while loading, so its size is read again.
            width, height = (width, height) if shrink > 1 else image.size
            return _plain(image, turn), (height, width) if turn in _SIDEWAYS else (width, height)
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageError("decoder_memory", "the picture needs more memory than the decoder may use") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError("too_many_pixels", str(error)) from error
    except PIL.UnidentifiedImageError as error:  # its text holds a memory address, which no two runs share
        raise ImageError(_reason(data, error), f"not readable as {', '.join(formats)}") from error
    except Exception as error:
        raise ImageError(_reason(data, error), f"{type(error).__name__}: {error}"[:200]) from error


def _reason(data: bytes, error: Exception) -> str:
    text = str(error).lower()
    if "out of memory" in text:
        return "decoder_memory"
    cut_webp = data[:4] == b"RIFF" and len(data) < 8 + int.from_bytes(data[4:8], "little")  # its decoder does not say
    if cut_webp or isinstance(error, EOFError) or any(word in text for word in ("truncated", "unexpected end")):
        return "truncated_image"
    return "undecodable"


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


def _plain(image: Image.Image, turn: Image.Transpose | None) -> Image.Image:
    """Any decoded picture -> mode 1, L, LA, P (opaque), RGB or RGBA, in sRGB, turned, without info."""
    profile = image.info.get("icc_profile")
    if image.mode.startswith("I") or image.mode == "F":
        image = _to_8_bit(image)
    elif image.has_transparency_data and image.mode not in ("LA", "RGBA"):
        image = image.convert("LA" if image.mode in ("1", "L") else "RGBA")
    alpha = image.getchannel("A") if image.mode in ("LA", "RGBA") else None
    if alpha is not None:
        image = image.convert(image.mode[:-1])
    if profile:
        image = _to_srgb(image, profile)
    if image.mode not in ("1", "L", "P", "RGB"):
        image = image.convert("RGB")
    if alpha is not None and alpha.getextrema() != (255, 255):
        image.putalpha(alpha)
    image.info = {}  # Pillow's encoders would carry comment, profile and transparency over
    return image if turn is None else image.transpose(turn)


def _to_8_bit(image: Image.Image) -> Image.Image:
    """16-bit grey -> L, v / 257 rounded; other integers and floats have no set range: their own becomes 0..255."""
    low, high = image.getextrema()
    if image.mode != "F" and low >= 0 and high <= 65_535:
        return image.convert("I").point([(v + 128) // 257 for v in range(65_536)], "L")
    factor = 255 / (high - low) if math.isfinite(high - low) and high > low else 0.0
    offset = -low * factor if factor else 0.0
    return image.convert("F").point(lambda value: value * factor + offset + 0.5).convert("L")


def _to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Convert by an ICC profile; one that is damaged or of another kind of pixels leaves the picture as it is."""
    try:
        given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if ImageCms.getProfileDescription(given).startswith("sRGB"):
            return image
        pixels = image.convert("RGB") if image.mode == "P" else image
        converted = ImageCms.profileToProfile(pixels, given, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except MemoryError:
        raise
    except Exception:
        return image
    return converted.convert("L") if image.mode in ("1", "L") else converted


def _to_channels(image: Image.Image) -> Image.Image:
    """1 -> L, P -> RGB: modes that can be resampled."""
    return image.convert({"1": "L", "P": "RGB"}[image.mode]) if image.mode in ("1", "P") else image


def _flatten(image: Image.Image) -> Image.Image:
    """Any plain mode -> L or RGB, alpha laid on white."""
    if image.mode not in ("LA", "RGBA"):
        return _to_channels(image)
    ground = Image.new(image.mode[:-1], image.size, "white")
    ground.paste(image.convert(ground.mode), mask=image.getchannel("A"))
    return ground


# Encoding: predict from tiles, encode, verify.


def _encode(image: Image.Image, type: str, quality: int) -> bytes:
    buffer = io.BytesIO()
    if type == "png":
        image.save(buffer, "PNG", optimize=True)
    elif image.mode == "L":
        image.save(buffer, "JPEG", quality=quality)
    else:
        image.save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    return buffer.getvalue()


class _Sample:
    """Predicts the encoded size of a picture from up to 64 tiles of it, laid out as one mosaic."""

    def __init__(self, image: Image.Image, type: str) -> None:
        width, height = image.size
        wide, high = min(_TILE, width), min(_TILE, height)
        columns = min(_GRID, width // wide)
        rows = min(_GRID * _GRID // columns, height // high)
        columns = min(_GRID * _GRID // rows, width // wide)  # a long strip takes its 64 tiles along its length
        self.whole = 2 * columns * wide * rows * high >= width * height
        self.mosaic = image if self.whole else image.crop((0, 0, columns * wide, rows * high))
        if not self.whole:
            for column in range(columns):
                for row in range(rows):
                    # On the 16-pixel grid, so that a tile of a former JPEG shows the blocks that the picture has.
                    x = (2 * column + 1) * width // (2 * columns) - wide // 2 & ~15
                    y = (2 * row + 1) * height // (2 * rows) - high // 2 & ~15
                    self.mosaic.paste(image.crop((x, y, x + wide, y + high)), (column * wide, row * high))
        self.ratio = width * height / (self.mosaic.width * self.mosaic.height)
        self.type, self.sizes = type, dict[int, float]()

    def bytes_at(self, quality: int) -> float:
        """Predicted size of the picture in bytes; exact where the sample is the whole picture."""
        if quality not in self.sizes:
            self.sizes[quality] = len(_encode(self.mosaic, self.type, quality)) * self.ratio
        return self.sizes[quality]

    def best(self, floor: int, room: float) -> int | None:
        """The highest quality in floor..95 predicted to take at most `room` bytes, by bisection."""
        low, high = floor - 1, _TOP_QUALITY
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self.bytes_at(middle) <= room else (low, middle - 1)
        return low if low >= floor else None

    def scale_for(self, quality: int, room: float) -> float:
        """The scale (0..1) at which the picture is predicted to take `room` bytes: bytes ~ scale^2, corrected twice
        on the shrunk mosaic, because small pixels hold more detail each (or less noise)."""
        scale = min(1.0, math.sqrt(room / self.bytes_at(quality)))
        for _ in range(2):
            small = _resize(self.mosaic, scale)
            ratio = self.ratio * self.mosaic.width * self.mosaic.height * scale**2 / (small.width * small.height)
            scale = min(1.0, scale * math.sqrt(room / (len(_encode(small, self.type, quality)) * ratio)))
        return scale


def _resize(image: Image.Image, scale: float) -> Image.Image:
    size = max(1, math.floor(image.width * scale)), max(1, math.floor(image.height * scale))
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def _shrink_on_load(size: int, limit: int) -> int:
    """1, 2, 4 or 8: how much smaller a JPEG of `size` bytes may be decoded when it will be shrunk at least so much.

    Quality 88 takes down to a quarter of the bytes of the best quality, so a source of over 4 s^2 times the limit must
    lose a factor s of its sides; `must_shrink` checks what came of it.
    """
    return next((s for s in (8, 4, 2) if size >= 4 * s * s * limit), 1)


class _Writer:
    """Encodes one source's picture under its policy, facts embedded, and counts the full encodes."""

    def __init__(
        self, policy: FitPolicy, source: str, header_type: str, source_bytes: int, full: tuple[int, int]
    ) -> None:
        self.policy, self.source, self.header_type, self.full = policy, source, header_type, full
        self.source_bytes, self.encodes = source_bytes, 0

    def must_shrink(self, image: Image.Image) -> bool:
        """Whether even this picture, already decoded smaller than it is, exceeds the limit at the scaled quality."""
        room = self._room(image, "jpeg")
        return _Sample(image, "jpeg").bytes_at(self._scaled_quality) * _MARGIN > room

    def at_this_size(self, image: Image.Image, type: str) -> FittedImage | None:
        """The best quality that fits with all pixels of `image`, after at most two corrections; None: there is none."""
        if type == "jpeg" and max(image.size) > _JPEG_SIDE:
            return None
        room, sample = self._room(image, type), _Sample(image, type)
        if type == "png":
            # A prediction for drawings is rough: only what is hopeless is spared the encode.
            return self._write(image, type, 0)[0] if sample.bytes_at(0) <= 1.2 * room else None
        if image.width * image.height * 2 <= room:  # white noise at quality 95 takes less than 2 bytes a pixel
            quality: int | None = _TOP_QUALITY
        else:
            quality = sample.best(self.policy.min_quality, room if sample.whole else room * _MARGIN)
        best: FittedImage | None = None
        for _ in range(3):
            if quality is None or (best is not None and quality <= best.quality):
                break
            written, size = self._write(image, type, quality)
            best = written or best
            if quality == _TOP_QUALITY and written is not None:
                break
            # What the tiles were wrong by at this quality they are wrong by, very nearly, at the next ones too.
            error = size / sample.bytes_at(quality)
            quality = sample.best(self.policy.min_quality, room / error * (1.0 if sample.whole else _SURE_MARGIN))
        return best

    def shrink(self, image: Image.Image, type: str) -> FittedImage:
        """The largest scale that holds the scaled quality. Raises ImageError: cannot_fit."""
        quality = self._scaled_quality if type == "jpeg" else 0
        room = self._room(image, type) * _MARGIN
        if room > 0:
            scale = min(_Sample(image, type).scale_for(quality, room), 0.98)
            if type == "jpeg":
                scale = min(scale, _JPEG_SIDE / max(image.size))
            for factor in (1.0, 0.9, 0.8, *(0.5**n for n in range(1, 18))):  # the last ones for limits near nothing
                small = _resize(image, scale * factor)
                if fitted := self.at_this_size(small, type):
                    return fitted
                if small.size == (1, 1):
                    break
        raise ImageError("cannot_fit", f"no size of it takes {self.policy.max_bytes} bytes or less, its facts included")

    @property
    def _scaled_quality(self) -> int:
        return max(_SCALED_QUALITY, self.policy.min_quality)

    def _facts(self, size: tuple[int, int], type: str, quality: int) -> Facts:
        fate = "resized" if size != self.full else "converted" if type != self.header_type else "recompressed"
        # Cut, not rounded: 1.0 means all pixels.
        scale = math.floor(1_000_000 * max(size) / max(self.full)) / 1_000_000
        return {"fate": fate, "height": size[1], "quality": quality, "scale": scale, "source": self.source,
                "source_bytes": self.source_bytes, "width": size[0]}  # fmt: skip

    def _room(self, image: Image.Image, type: str) -> int:
        """Bytes left for the encoded picture beside its facts (exact for two-digit qualities)."""
        return self.policy.max_bytes - len(segment(self._facts(image.size, type, 0 if type == "png" else 99), type))

    def _write(self, image: Image.Image, type: str, quality: int) -> tuple[FittedImage | None, int]:
        """-> (the picture if it obeys the limit, size of the encode without facts)."""
        self.encodes += 1
        encoded = _encode(image, type, quality)
        facts = self._facts(image.size, type, quality)
        data = embed_facts(encoded, type, facts)
        if len(data) > self.policy.max_bytes:
            return None, len(encoded)
        scale, fate = float(facts["scale"]), str(facts["fate"])
        fitted = FittedImage(data, type, image.width, image.height, quality, scale, self.encodes, fate)
        return fitted, len(encoded)
