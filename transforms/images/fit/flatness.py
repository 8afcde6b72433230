"""Pictures that come out blank: tiles before and after their values were changed -> whether one colour is left. Rejects nothing."""

from __future__ import annotations

from PIL import Image

_FLAT = 2  # steps of 255 between darkest and brightest: nobody sees a picture in it
_SHOWS = 8  # steps of its own between darkest and brightest with which a source is a picture


def went_flat(before: Image.Image, after: Image.Image) -> bool:
    """Whether a picture's darkest and brightest values are nearly equal now, and were not before.

    Args:
        before: the same part of it, in any mode; alpha does not count.
        after: in mode 1, L, LA, P, RGB or RGBA.
    """
    if _spread(after) > _FLAT:
        return False
    spread = _spread(before)
    return spread != 0 if before.mode == "F" else spread >= _SHOWS  # floats have no steps; NaN is no 0


def _spread(image: Image.Image) -> float:
    """Between the darkest and brightest value of the band in which they differ most; NaN where a value is none."""
    if image.mode in ("P", "PA"):
        image = image.convert("RGB")
    bands = [band for name, band in zip(image.getbands(), image.split()) if name not in ("A", "a")]
    return float(max(high - low for low, high in (band.getextrema() for band in bands)))
