"""Colour of decoded pixels: any picture -> mode 1, L, LA, P (opaque), RGB or RGBA, in sRGB, 8 bit a channel. Rejects nothing."""

from __future__ import annotations

import io
import math

from PIL import Image, ImageChops, ImageCms


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
    if alpha is not None and (profile or alpha.getextrema() == (255, 255)):
        image = image.convert(image.mode[:-1])
    if profile or image.mode == "LAB":
        image = _to_srgb(image, profile)
    if image.mode not in ("1", "L", "LA", "P", "RGB", "RGBA"):
        image = image.convert("RGB")
    if alpha is not None and image.mode in ("L", "RGB") and alpha.getextrema() != (255, 255):
        image.putalpha(alpha)
    image.info = {}  # Pillow's encoders would carry comment, profile and transparency over
    return image


def _to_8_bit(image: Image.Image) -> Image.Image:
    """16-bit grey -> L, v / 257 rounded; other integers and floats have no set range: their own becomes 0..255."""
    low, high = image.getextrema()
    if image.mode != "F" and low >= 0 and high <= 65_535:
        return image.convert("I").point([(v + 128) // 257 for v in range(65_536)], "L")
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
            if ImageCms.getProfileDescription(given).startswith("sRGB"):
                return image
        pixels = image.convert("RGB") if image.mode == "P" else image
        transform = ImageCms.buildTransform(given, ImageCms.createProfile("sRGB"), pixels.mode, "RGB")
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
