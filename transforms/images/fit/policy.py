"""What a rewritten picture must obey, and what came of it. Options -> FitPolicy; rejects what is no policy: ValueError."""

from __future__ import annotations

from dataclasses import dataclass

from transforms.images.fit.encode import CODEC_VERSIONS

VERSION = 7  # of this fitter: a change of any byte it writes is a new one, so that outputs get new names

CHOICES = {
    "oversize": ("auto", "recompress", "resize", "reject"),
    "alpha": ("keep", "flatten"),
    "animation": ("first_frame", "reject"),
    "effort": ("fast", "best"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FitPolicy:
    """What a rewritten picture must obey.

    Args:
        max_bytes: limit of the whole file, facts included; inclusive.
        types: conforming types; `jpeg` or `png` must be among them, for only these are written.
        max_pixels: of the frame that is decoded; more are rejected from the header.
        min_quality: JPEG quality (1..95) below which pixels are given up instead.
        oversize: what becomes of a file over max_bytes. auto: all pixels where min_quality allows it, else fewer;
            recompress: all pixels or a rejection; resize: first to max_side; reject.
        max_side: pixels of the longer side under oversize=resize.
        alpha: keep: as PNG, with fewer pixels if need be (needs png among types); flatten: laid on white.
        animation: first_frame, or reject what has several frames or pages.
        effort: fast: baseline JPEG; best: progressive, with its own Huffman codes, and the stronger deflate.
    """

    max_bytes: int
    types: tuple[str, ...]
    max_pixels: int = 300_000_000
    min_quality: int = 85
    oversize: str = "auto"
    max_side: int = 3072
    alpha: str = "keep"
    animation: str = "first_frame"
    effort: str = "fast"

    def __post_init__(self) -> None:
        if not {"jpeg", "png"} & set(self.types):
            raise ValueError(f"types are {self.types}; pictures can only be rewritten as jpeg or png: name one of them")
        if not 1 <= self.min_quality <= 95:
            raise ValueError(f"min_quality is {self.min_quality}; it must be 1 to 95")
        for name, least in (("max_pixels", 1), ("max_side", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least {least}")
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} is {getattr(self, name)!r}; it must be one of {', '.join(choices)}")

    def digest_text(self) -> str:
        """Everything beside the source that decides the output's bytes, as stable text to name outputs by."""
        types = ",".join(sorted(set(self.types)))
        return (
            f"fit/{VERSION} max_bytes={self.max_bytes} types={types} max_pixels={self.max_pixels} "
            f"min_quality={self.min_quality} oversize={self.oversize} max_side={self.max_side} alpha={self.alpha} "
            f"animation={self.animation} effort={self.effort} {CODEC_VERSIONS}"
        )


@dataclass(frozen=True, slots=True)
class FittedImage:
    """A picture that obeys its policy."""

    data: bytes
    type: str  # jpeg png
    width: int
    height: int
    quality: int  # whole part of a JPEG's; 0: lossless
    sampling: str  # 4:4:4 4:2:2 4:2:0; "" of a PNG and of grey
    scale: float  # of the longer side; 1.0: all pixels
    encodes: int  # full encodes done, tile samples not counted
    fate: str  # resized | converted | recompressed: the first that holds
    frames_dropped: int = 0  # frames or pages of the source beside the one that is kept
    flat: bool = False  # nearly one colour, and the source was not
