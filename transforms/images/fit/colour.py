"""Colour of decoded pixels: any picture -> mode 1, L, LA, P (opaque), RGB or RGBA, in sRGB, 8 bit a channel. Rejects: undecodable."""

from __future__ import annotations

import io
import math

from PIL import Image, ImageChops, ImageCms, ImageFile, ImageMath, PngImagePlugin, TiffImagePlugin

from transforms.core.reasons import ImageError

_WIDTH, _LENGTH, _BITS, _PHOTOMETRIC, _PLANES, _SAMPLE_FORMAT = 256, 257, 258, 262, 284, 339  # TIFF 6.0
_WHITE_IS_ZERO, _YCBCR, _SEPARATE, _UNSIGNED, _SIGNED = 0, 6, 2, 1, 2
_LEVELS = (0, 10, 25, 50, 100, 150, 200, 255)
_PROBE = [(v, v, v) for v in _LEVELS] + [(v * r, v * g, v * b) for v in (90, 255) for r, g, b in (
    (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0))]  # fmt: skip
# Raw mode of a PNG -> what its transparent colour becomes as Pillow loads its pixels.
_LOADED = {"L;2": lambda v: v * 85, "L;4": lambda v: v * 17, "RGB;16B": lambda v: v >> 8}


def before_load(image: Image.Image) -> None:
    """What Pillow would get wrong while it loads: a PNG's one transparent colour comes in the depth of the file, and is compared
    with loaded pixels; a TIFF's uncompressed planes of 16 bits are taken for planes of 8, and YCbCr for colours.

    Raises:
        ImageError: undecodable: a Sun raster of 32 bits, whose unused byte is taken for a colour, or a TIFF of 8 bits with a sign,
            whose sign is not seen.
    """
    tiff = image.tag_v2 if isinstance(image, TiffImagePlugin.TiffImageFile) else {}
    signed = image.mode in ("L", "LA") and _SIGNED in tiff.get(_SAMPLE_FORMAT, ())
    if signed or (image.format == "SUN" and image.tile and "X" in str(image.tile[0].args)):
        raise ImageError("undecodable", "8 bits with a sign or 32 without alpha: its colours would be wrong")
    if isinstance(image, TiffImagePlugin.TiffImageFile) and image.tile and image.tile[0].codec_name == "raw":
        _by_libtiff(image)
    clear = image.info.get("transparency")
    if clear is None or not isinstance(image, PngImagePlugin.PngImageFile) or not image.tile:
        return
    loaded = _LOADED.get(str(image.tile[0].args))
    if loaded:
        image.info["transparency"] = tuple(map(loaded, clear)) if isinstance(clear, tuple) else loaded(clear)


def check_depth(jp2: bytes) -> None:
    """Refuse a JPEG 2000 that Pillow decodes to wrong pixels: of over 8 bits in colour or with alpha white comes out as black,
    of fewer than 8 as grey. ITU-T T.800, A.5.1: the number of components, and the bits of the first, less one."""
    at = jp2.find(b"\xff\x4f\xff\x51")
    components, bits = int.from_bytes(jp2[at + 40 : at + 42], "big"), (jp2[at + 42] & 127) + 1
    if bits < 8 or (bits > 8 and components > 1):
        raise ImageError("undecodable", f"JPEG 2000 of {components} x {bits} bits: its colours would be wrong")


def _by_libtiff(image: TiffImagePlugin.TiffImageFile) -> None:
    tags, raw = image.tag_v2, "".join(dict.fromkeys(str(tile.args[0]) for tile in image.tile))
    deep = tags.get(_PLANES) == _SEPARATE and tags.get(_BITS, (8,))[0] == 16 and raw == image.mode
    if deep or tags.get(_PHOTOMETRIC) == _YCBCR:
        whole = (0, 0, tags[_WIDTH], tags[_LENGTH])
        image.tile = [ImageFile._Tile("libtiff", whole, 0, (raw + ";16N" * deep, "raw", False, tags.offset))]
        image.use_load_libtiff = True


def changes_values(image: Image.Image) -> bool:
    """Whether `plain` makes other values of the picture's: by its depth, its alpha, its colour space or its profile."""
    return image.mode not in ("1", "L", "P", "RGB") or "icc_profile" in image.info or image.has_transparency_data


def plain(image: Image.Image) -> Image.Image:
    """Any decoded picture -> mode 1, L, LA, P (opaque), RGB or RGBA, in sRGB, without info."""
    profile = image.info.get("icc_profile")
    if image.format == "JPEG" and image.mode == "CMYK" and "adobe" not in image.info:
        image = ImageChops.invert(image)  # Pillow takes all for Adobe's, which are stored inverted
    if image.mode.startswith("I") or image.mode == "F":
        image = _to_8_bit(image)
    elif image.has_transparency_data and image.mode not in ("LA", "RGBA"):
        image = image.convert("LA" if image.mode in ("1", "L") else "RGBA")
    alpha = image.getchannel("A") if image.mode in ("LA", "RGBA") else None
    if alpha is not None and alpha.getextrema() in (
        (0, 0),
        (255, 255),
    ):  # of 0 everywhere it is a byte that was left unused
        image, alpha = image.convert(image.mode[:-1]), None
    elif alpha is not None and profile:
        image = image.convert(image.mode[:-1])
    if profile or image.mode == "LAB":
        image = _to_srgb(image, profile)
    if image.mode not in ("1", "L", "LA", "P", "RGB", "RGBA"):
        image = image.convert("RGB")
    if alpha is not None and image.mode in ("L", "RGB"):
        image.putalpha(alpha)
    image.info = {}  # Pillow's encoders would carry comment, profile and transparency over
    return image


def _to_8_bit(image: Image.Image) -> Image.Image:
    """Grey of 9 to 16 bits -> L, or LA where one grey is transparent; v * 255 / (2^bits - 1), rounded, of the bits that the
    brightest value takes, at least 8: 12 bits come in words of 16. Other integers and floats have no set range: their own
    becomes 0..255."""
    tags = image.tag_v2 if isinstance(image, TiffImagePlugin.TiffImageFile) else None
    if image.mode == "I;16B":
        image = image.convert("I").convert("I;16")  # straight from the one to the other Pillow takes no byte's place
    low, high = image.getextrema()
    if tags and image.mode == "I" and low < 0 and tags.get(_SAMPLE_FORMAT, (_UNSIGNED,))[0] == _UNSIGNED:
        # Pillow takes 32 bits for signed ones. With the first bit turned over they stand in their order again.
        image = ImageMath.lambda_eval(lambda given: given["image"] ^ -(1 << 31), image=image)
        low, high = image.getextrema()
    elif image.mode != "F" and not (tags and image.mode == "I") and low >= 0 and high <= 65_535:
        top = (1 << max(8, int(high).bit_length())) - 1
        table = [min((v * 255 + top // 2) // top, 255) for v in range(65_536)]
        if tags and tags.get(_PHOTOMETRIC, _WHITE_IS_ZERO) == _WHITE_IS_ZERO:
            table = [255 - v for v in table]
        values = image.convert("I")
        grey, clear = values.point(table, "L"), image.info.get("transparency")
        if isinstance(clear, int):
            grey.putalpha(values.point([255 * (v != clear) for v in range(65_536)], "L"))
        return grey
    factor = 255 / (high - low) if math.isfinite(high - low) and high > low else 0.0
    offset = -low * factor if factor else 0.0
    return image.convert("F").point(lambda value: value * factor + offset + 0.5).convert("L")


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert by an ICC profile; one that is damaged or of another kind of pixels leaves the picture as it is."""
    lab = image.mode == "LAB"
    try:
        if lab:
            given = ImageCms.createProfile("LAB")
        else:
            given = ImageCms.ImageCmsProfile(io.BytesIO(profile or b""))
        mode = "RGB" if image.mode == "P" else image.mode
        transform = ImageCms.buildTransform(given, ImageCms.createProfile("sRGB"), mode, "RGB")
        if mode in ("L", "RGB") and _changes_nothing(transform, mode):
            return image
        pixels = image if image.mode == mode else image.convert(mode)
        if pixels.mode == "RGB":
            ImageCms.applyTransform(pixels, transform, inPlace=True)
            return pixels
        converted = ImageCms.applyTransform(pixels, transform)
    except MemoryError:
        raise
    except Exception:
        if lab:
            raise
        return image
    return converted.convert("L") if image.mode in ("1", "L") else converted


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether it moves no colour by more than one level: sRGB under whatever name, which most photographs are in."""
    probe = Image.new("RGB", (len(_PROBE), 1))
    probe.putdata(_PROBE)
    probe = probe.convert(mode)
    moved = ImageChops.difference(ImageCms.applyTransform(probe, transform), probe.convert("RGB"))
    return all(most <= 1 for _, most in moved.getextrema())
