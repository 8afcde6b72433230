"""Make one picture fit a byte limit at the best quality found. bytes -> FittedImage; rejects: ImageError.

    decode      decode.py: one frame, pixels limited from the header, sRGB, 8 bit a channel, upright, no metadata kept
    as PNG      a lossless source (png gif bmp ico tiff ...) or a picture with alpha, where the limit holds it so
    as JPEG     everything else, and what does not fit as PNG; alpha is then laid on white, unless the policy keeps it
    quality     the highest from min_quality up that is foretold to fit (predict.py), at the subsampling that does least
                harm; encoded, measured, and corrected at most twice
    pixels      if none fits: LANCZOS to the largest scale that holds quality 85, then the search again

Nothing over the limit is ever returned. The result carries its own facts (embedded_facts.py) in its first 64 KiB. The same
bytes, policy and CODEC_VERSIONS give the same output. Meant for the helper processes (images/helper).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from PIL import Image

from transforms.core.reasons import ImageError
from transforms.images.fit.decode import Decoded, decode
from transforms.images.fit.embedded_facts import Facts, embed_facts, segment
from transforms.images.fit.encode import (
    SAMPLINGS,
    SCALED_QUALITY,
    STEPS,
    Setting,
    encode_jpeg,
    encode_png,
    without_waste,
)
from transforms.images.fit.flatness import went_flat
from transforms.images.fit.pixels import flatten, resize, to_channels, without_hidden
from transforms.images.fit.policy import FitPolicy, FittedImage
from transforms.images.fit.predict import Sample, png_bytes, png_scale_for, scan_bytes
from transforms.images.fit.tiles import first_half, mosaic, rough_mosaic
from transforms.images.headers.rare import RARE

_LOSSLESS = ("png", "gif", "bmp", "ico", "tiff", *RARE)
_ENOUGH = 95 * STEPS  # quality of what was not over the limit: above it bytes grow fast and nothing can be seen
_TOP = 100 * STEPS - 1  # as libjpeg's 100: no coefficient is rounded to less than a whole one
# Of the scale foretold; the last ones are for limits near nothing.
_LESS = (1.0, 0.97, 0.9, 0.8, *(0.5**n for n in range(1, 18)))
_JPEG_SIDE = 65_500  # libjpeg's JPEG_MAX_DIMENSION
_AIM = 0.994  # of the limit that a prediction from tiles may use: it is within half a percent on most photographs
_SURE_AIM = 0.998  # once a full encode has told what the tiles were wrong by
_FULL = 0.975  # of the limit: what takes as much is not encoded again for more
_HOPELESS = 1.3  # times the limit: a PNG that is foretold to take more is not tried


def fit(data: bytes, policy: FitPolicy, *, source: str, header_type: str) -> FittedImage:
    """Rewrite a picture under `policy.max_bytes`.

    Args:
        data: the whole file.
        source: opaque identity of the source, embedded in the result.
        header_type: what the bytes are, as transforms.images.headers.parse says; chooses the decoder.

    Raises:
        ImageError: undecodable, truncated_image, camera_raw, too_many_pixels, animated, too_large, cannot_fit or decoder_memory.
    """
    over = len(data) > policy.max_bytes
    if over and policy.oversize == "reject":
        raise ImageError("too_large", f"{len(data)} bytes, over {policy.max_bytes}, under --oversize reject")
    side = policy.max_side if over and policy.oversize == "resize" else 0
    one_frame = policy.animation == "reject"
    try:
        may_shrink = header_type == "jpeg" and "jpeg" in policy.types and policy.oversize == "auto"
        limit = policy.max_bytes if may_shrink else 0
        decoded = decode(data, header_type, policy.max_pixels, side=side, limit=limit, one_frame=one_frame)
        if limit and decoded.size != decoded.full:
            writer = _Writer(policy, source, header_type, data, decoded)
            if writer.must_shrink(decoded):
                return writer.shrink_jpeg(decoded)
            del decoded  # it need not lose that much: decoded again, whole
            decoded = decode(data, header_type, policy.max_pixels, one_frame=one_frame)
        writer = _Writer(policy, source, header_type, data, decoded)
        if side and max(decoded.size) > side:
            decoded = _smaller(decoded, side / max(decoded.size))
        del data  # the helper has given it away: it need not stand beside the picture
        return writer.write(decoded)
    except MemoryError as error:
        raise ImageError("decoder_memory", "the picture needs more memory than the decoder may use") from error


def _smaller(decoded: Decoded, scale: float) -> Decoded:
    return Decoded(resize(to_channels(decoded.image), scale), decoded.turn, decoded.full)


class _Writer:
    """Encodes one source's picture under its policy, facts embedded, and counts the full encodes."""

    def __init__(self, policy: FitPolicy, source: str, header_type: str, data: bytes, decoded: Decoded) -> None:
        self.policy, self.source, self.header_type, self.full = policy, source, header_type, decoded.full
        self.frames_dropped, self.flat = decoded.frames - 1, decoded.flat
        self.source_bytes, self.scan_bytes, self.encodes = len(data), scan_bytes(data), 0
        self.best = policy.effort == "best"
        self.floor = policy.min_quality * STEPS
        self.top = max(self.floor, _TOP if len(data) > policy.max_bytes else _ENOUGH)

    def write(self, decoded: Decoded) -> FittedImage:
        """The picture with all its pixels, or as many as the policy and the limit leave it."""
        types, alpha = self.policy.types, decoded.image.mode in ("LA", "RGBA")
        if alpha and (self.policy.alpha == "flatten" or "png" not in types):
            tiles = rough_mosaic(decoded.crop, decoded.size)
            self.flat = self.flat or went_flat(tiles, flatten(tiles))
            decoded.image, alpha = flatten(decoded.image), False
        if "jpeg" not in types or alpha:
            return self.as_png(decoded) or self.shrink_png(decoded)
        if "png" in types and self.header_type in _LOSSLESS and (fitted := self.as_png(decoded)):
            return fitted
        return self.as_jpeg(decoded) or self.shrink_jpeg(decoded)

    def must_shrink(self, decoded: Decoded) -> bool:
        """Whether even this picture, already decoded smaller than it is, exceeds the limit at the least quality."""
        told = self._sample(decoded).bytes_at(Setting("4:2:0", self.floor, self.best))
        return told * _AIM > self._room(decoded, "jpeg")

    def as_jpeg(self, decoded: Decoded) -> FittedImage | None:
        """The best setting that fits with all pixels of `decoded`, after at most two corrections; None: there is none."""
        room = self._room(decoded, "jpeg")
        if max(decoded.size) > _JPEG_SIDE or room <= 0:
            return None
        sample = self._sample(decoded)
        setting = sample.best(self.floor, self.top, room if sample.exact else room * _AIM, self.best)
        found: FittedImage | None = None
        reached = self.floor - 1
        for _ in range(3):
            if setting is None or setting.step <= reached:
                break
            decoded.image = flatten(decoded.image)
            fitted, size = self._write(encode_jpeg(decoded.upright(), setting), decoded.size, "jpeg", setting)
            if fitted is not None:
                found, reached = fitted, setting.step
                if setting.step == self.top or size >= _FULL * room:
                    break
            # What the tiles were wrong by at this setting they are wrong by, very nearly, at the next ones too.
            sample.factor *= size / sample.bytes_at(setting)
            setting = sample.again(setting, self.floor, self.top, room if sample.exact else room * _SURE_AIM)
        return found

    def shrink_jpeg(self, decoded: Decoded) -> FittedImage:
        """The largest scale that holds the scaled quality. Raises ImageError: cannot_fit."""
        room = self._room(decoded, "jpeg") * _AIM
        self._may_shrink()
        if room > 0:
            scale = min(self._sample(decoded).scale_for(self._scaled, room, resize), _JPEG_SIDE / max(decoded.size))
            for factor in _LESS:
                small = _smaller(decoded, min(scale, 0.98) * factor)
                if fitted := self.as_jpeg(small):
                    return fitted
                if small.size == (1, 1):
                    break
        raise self._cannot_fit()

    def as_png(self, decoded: Decoded) -> FittedImage | None:
        """All pixels of `decoded` without loss, in the plainest way that fits; None: there is none."""
        room = self._room(decoded, "png")
        tiles, pixels = rough_mosaic(decoded.crop, decoded.size), decoded.size[0] * decoded.size[1]
        known = self.header_type == "png" and self.source_bytes <= room  # tiles would break up what repeats
        # Half of them tell what is hopeless. (Half of a whole picture does not.)
        told = 0.0 if known or tiles.size == decoded.size else png_bytes(first_half(tiles), pixels, self.best)
        for lean, stronger in self._ways(tiles):
            few = lean(tiles, tiles)
            if few is tiles and told > 2 * room:
                continue  # the stronger deflate alone does not save half
            told = 0.0 if known else png_bytes(few, pixels, stronger)
            if told > _HOPELESS * room:
                continue
            encoded = encode_png(lean(decoded.upright(), tiles), stronger)
            if fitted := self._write(encoded, decoded.size, "png", None)[0]:
                return fitted
        return None

    def shrink_png(self, decoded: Decoded) -> FittedImage:
        """The largest scale that fits as PNG, or nearly. Raises ImageError: cannot_fit."""
        room = self._room(decoded, "png")
        self._may_shrink()
        if room > 0:
            decoded.image = to_channels(decoded.image)
            tiles, pixels = rough_mosaic(decoded.crop, decoded.size), decoded.size[0] * decoded.size[1]
            scale = min(png_scale_for(tiles, pixels, room * _AIM, resize), 0.98)
            for _ in range(40):
                small = _smaller(decoded, scale)
                fitted, size = self._write(encode_png(small.upright(), True), small.size, "png", None)
                if fitted:
                    return fitted
                if small.size == (1, 1):
                    break
                scale *= max(0.5, min(0.97, math.sqrt(room / size) * 0.99))
        raise self._cannot_fit()

    @property
    def _scaled(self) -> Setting:
        return Setting("4:2:0", max(SCALED_QUALITY * STEPS, self.floor), self.best)

    def _sample(self, decoded: Decoded) -> Sample:
        tiles = flatten(mosaic(decoded.crop, decoded.size))
        sample = Sample(tiles, decoded.size[0] * decoded.size[1])
        if decoded.coding and decoded.coding.sampling == "4:2:0":
            sample.samplings = SAMPLINGS[:2]  # half of the colour is not there: the finest would only cost bytes
        if decoded.coding:
            sample.learn(decoded.coding, self.scan_bytes)
        return sample

    def _ways(self, tiles: Image.Image) -> Iterator[tuple[Callable[[Image.Image, Image.Image], Image.Image], bool]]:
        """Ways to hold a picture without loss, as (what its mode and the mode of its tiles become, the stronger deflate)."""
        yield (lambda image, _: image), self.best
        yield without_waste, True
        if tiles.mode in ("LA", "RGBA") and tiles.getchannel("A").getextrema()[0] == 0:
            yield (lambda image, sample: without_hidden(image.copy() if image is sample else image)), True

    def _may_shrink(self) -> None:
        if self.policy.oversize in ("recompress", "reject"):
            why = f"it takes over {self.policy.max_bytes} bytes at quality {self.policy.min_quality}"
            if max(self.full) > _JPEG_SIDE and "png" not in self.policy.types:
                why = f"a JPEG has at most {_JPEG_SIDE} pixels a side"
            raise ImageError(
                "cannot_fit", f"with all its pixels {why}, and --oversize {self.policy.oversize} takes none away"
            )

    def _cannot_fit(self) -> ImageError:
        return ImageError(
            "cannot_fit", f"no size of it takes {self.policy.max_bytes} bytes or less, its facts included"
        )

    def _facts(self, size: tuple[int, int], image_type: str, quality: int, sampling: str) -> Facts:
        fate = "resized" if size != self.full else "converted" if image_type != self.header_type else "recompressed"
        # Cut, not rounded: 1.0 means all pixels.
        scale = math.floor(1_000_000 * max(size) / max(self.full)) / 1_000_000
        facts: Facts = {"fate": fate, "height": size[1], "quality": quality, "scale": scale,
                        "source": self.source, "source_bytes": self.source_bytes, "width": size[0]}  # fmt: skip
        if sampling:
            facts["sampling"] = sampling
        if self.frames_dropped:
            facts["frames_dropped"] = self.frames_dropped
        if self.flat:
            facts["flat"] = 1
        return facts

    def _room(self, decoded: Decoded, image_type: str) -> int:
        """Bytes left for the encoded picture beside its facts (exact for two-digit qualities)."""
        grey = decoded.image.mode in ("1", "L", "LA")
        facts = self._facts(
            decoded.size, image_type, 99 if image_type == "jpeg" else 0, "" if grey or image_type == "png" else "4:2:0"
        )
        return self.policy.max_bytes - len(segment(facts, image_type))

    def _write(
        self, encoded: bytes, size: tuple[int, int], image_type: str, setting: Setting | None
    ) -> tuple[FittedImage | None, int]:
        """-> (the picture if it obeys the limit, size of the encode without facts)."""
        self.encodes += 1
        quality, sampling = (setting.quality, setting.sampling) if setting else (0, "")
        facts = self._facts(size, image_type, quality, sampling)
        data = embed_facts(encoded, image_type, facts)
        if len(data) > self.policy.max_bytes:
            return None, len(encoded)
        scale, fate = float(facts["scale"]), str(facts["fate"])
        fitted = FittedImage(
            data, image_type, *size, quality, sampling, scale, self.encodes, fate, self.frames_dropped, self.flat
        )
        return fitted, len(encoded)
