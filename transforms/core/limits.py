"""What each model takes: limits and the cost of an image in tokens, each value with its page and date.

MB and GB are not defined on any page; powers of ten are the smaller reading, so files that obey it obey both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

LINE_BYTES = 16_000_000  # that a row may have by default

# Pages. "1.5-era" and "2.0-era" are archived copies of a page that has since changed; they carry no date of their own.
_SITE = "https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/"
_LIMITS = _SITE + "tuning/supervised-tuning"
_IMAGES = _SITE + "tuning/image"
_GEMINI_3 = _SITE + "start/get-started-with-gemini-3"
_OLD_LIMITS = "https://cloud.google.com/vertex-ai/generative-ai/docs/models/gemini-supervised-tuning"
_OLD_IMAGES = "https://cloud.google.com/vertex-ai/generative-ai/docs/models/tune_gemini/image_tune"
_READ = "2026-08-22"
LIMITS_PAGE, IMAGES_PAGE = f"{_LIMITS} ({_READ})", f"{_IMAGES} ({_READ})"  # as tables cite them
_ASKED = "2026-11-29"  # when what can be tuned was last looked up; the newest pages to be had were those of _READ

# Types: "image understanding" page, which the tuning page refers to (read 2026-08-22). Google's tuning notebook names
# only JPEG and PNG (October 2024, unchanged since), hence the warning for the others.
_TYPES = ("png", "jpeg", "webp", "heic", "heif")
_WARN_TYPES = ("webp", "heic", "heif")

# Larger images are scaled to fit (firebase.google.com/docs/ai-logic/input-file-requirements).
_LONGEST_SIDE = 3072  # pixels
_SMALL_SIDE = 384  # pixels; up to here an image is one tile ("image understanding" page, 2.0-era)


@dataclass(frozen=True)
class ImageTokens:
    """Tokens of one image by media resolution, as the pages estimate them. A resolution that is not set is high."""

    low: int
    medium: int
    high: int
    ultra_high: int
    per_tile: int  # added to `high` for each pan-and-scan tile
    source: str

    def estimate(self, resolution: str = "", size: tuple[int, int] | None = None) -> int:
        """Tokens of an image of `size` (width, height in pixels) at `resolution` (`MEDIA_RESOLUTION_...` or "").

        An image of unknown size counts no tiles, which makes the estimate a lower bound.
        """
        if resolution == "MEDIA_RESOLUTION_LOW":
            return self.low
        if resolution == "MEDIA_RESOLUTION_MEDIUM":
            return self.medium
        if resolution == "MEDIA_RESOLUTION_ULTRA_HIGH":
            return self.ultra_high
        if self.per_tile and size:
            return self.high + self.per_tile * tiles(*size)
        return self.high


@dataclass(frozen=True)
class ModelStatus:
    """Whether a tuning job takes the models of a profile, as the pages say it."""

    name: str  # preview, retired or unknown
    meaning: str  # a clause: what is known
    date: str  # when it was looked up: YYYY-MM-DD
    source: str  # the page

    @property
    def tunable(self) -> bool:
        return self.name == "preview"


@dataclass(frozen=True)
class Profile:
    """The limits of one model; all inclusive: a value exactly at its limit conforms."""

    name: str
    max_images: int  # an example
    max_image_bytes: int  # an image file
    max_file_bytes: int  # a JSONL file; images do not count, only their URIs
    max_file_examples: int  # a JSONL file, with images in its examples
    max_validation: int  # examples
    max_tokens: int  # an example, input and output together
    image_tokens: ImageTokens
    source: str  # pages, with the date they were read
    types: tuple[str, ...] = _TYPES  # conform
    longest_side: int = _LONGEST_SIDE  # pixels: the model scales larger images down to it
    warn_types: tuple[str, ...] = _WARN_TYPES  # conform, but counted with a warning
    part_resolution: bool = False  # whether each image may have a media resolution of its own
    status: ModelStatus | None = None  # None: it is no model's
    models: tuple[str, ...] = ()  # that can be tuned on images, as a tuning job names them; the first is the smallest


@lru_cache(maxsize=4096)  # a data set holds few sizes
def tiles(width: int, height: int) -> int:
    """Pan-and-scan tiles of an image: none up to 384 x 384, else squares of two thirds of the short side (256 to 768).

    >>> tiles(384, 384), tiles(960, 540), tiles(3072, 3072), tiles(6144, 6144)
    (0, 6, 16, 16)
    """
    scale = min(1.0, _LONGEST_SIDE / max(width, height))
    width, height = max(1, round(width * scale)), max(1, round(height * scale))
    if max(width, height) <= _SMALL_SIDE:
        return 0
    side = min(max(min(width, height) * 2 // 3, 256), 768)
    return math.ceil(width / side) * math.ceil(height / side)


# "Gemini versions 3 and earlier" while tuning: HIGH is 256 and 256 for each tile. They have no ULTRA_HIGH: as HIGH.
_TUNING_TOKENS = ImageTokens(64, 256, 256, 256, per_tile=256, source=f"{_IMAGES} (read {_READ})")
# The page gives these as approximate maxima.
_GEMINI_3_TOKENS = ImageTokens(280, 560, 1120, 2240, per_tile=0, source=f"{_GEMINI_3} (read {_READ})")

_STATUS_2_5 = ModelStatus(
    "unknown",
    "the day of its retirement, 2026-10-16 or 2026-10-20, has passed, and may have been put off",
    _ASKED,
    f"{_SITE}gemini/2-5-flash",
)
_STATUS_3 = ModelStatus("preview", "in Preview, until May 2027 at least", _ASKED, _LIMITS)

_NOW = f"{_LIMITS} and {_IMAGES} (read {_READ}; the limits again 2026-09-25)"

PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile(
            name="image-tuning",
            max_images=16,  # _OLD_IMAGES, 1.5-era: the project's stated limit
            max_image_bytes=20_000_000,  # _OLD_IMAGES, and every later copy: "20 MB"
            max_file_bytes=1_000_000_000,  # _LIMITS, read 2026-08-22: "1 GB"
            max_file_examples=300_000,  # _LIMITS, read 2026-08-22: "300K multimodal examples"
            max_validation=5_000,  # _LIMITS, read 2026-08-22
            max_tokens=131_072,  # _LIMITS, read 2026-08-22
            image_tokens=_TUNING_TOKENS,
            source=f"{_OLD_IMAGES} (1.5-era: 16 images, 20 MB); the rest {_NOW}",
        ),
        Profile(
            name="gemini-1.5",
            max_images=16,  # _OLD_IMAGES, 1.5-era
            max_image_bytes=20_000_000,  # _OLD_IMAGES, 1.5-era
            max_file_bytes=1_000_000_000,  # _OLD_LIMITS, 1.5-era
            max_file_examples=300_000,  # not stated in the 1.5 era: the later pages' value
            max_validation=256,  # _OLD_LIMITS, 1.5-era
            max_tokens=32_000,  # _OLD_LIMITS, 1.5-era; 1.5 Flash alone took 128,000 later
            image_tokens=_TUNING_TOKENS,
            source=f"{_OLD_LIMITS} and {_OLD_IMAGES} (1.5-era copies)",
            status=ModelStatus("retired", "the limits name it no longer", _ASKED, _LIMITS),
        ),
        Profile(
            name="gemini-2.0",
            max_images=30,  # _OLD_IMAGES, 2.0-era, and every later copy
            max_image_bytes=20_000_000,  # _OLD_IMAGES, 2.0-era
            max_file_bytes=1_000_000_000,  # _OLD_LIMITS, 2.0-era
            max_file_examples=300_000,  # _OLD_LIMITS, 2.0-era
            max_validation=5_000,  # _OLD_LIMITS, 2.0-era
            max_tokens=131_072,  # _OLD_LIMITS, 2.0-era
            image_tokens=_TUNING_TOKENS,
            source=f"{_OLD_LIMITS} and {_OLD_IMAGES} (2.0-era copies)",
            status=ModelStatus("retired", "since 2026-06-01", _ASKED, _LIMITS),
        ),
        *(
            Profile(
                name=name,
                max_images=30,  # _IMAGES, read 2026-08-22
                max_image_bytes=20_000_000,  # _IMAGES, read 2026-08-22
                max_file_bytes=1_000_000_000,  # _LIMITS, read 2026-08-22
                max_file_examples=300_000,  # _LIMITS, read 2026-08-22 (10M when without images)
                max_validation=5_000,  # _LIMITS, read 2026-08-22; "or 30% of the training examples" above 1,000
                max_tokens=131_072,  # _LIMITS, read 2026-08-22
                image_tokens=tokens,
                source=_NOW,
                part_resolution=tokens is _GEMINI_3_TOKENS,  # _GEMINI_3, read 2026-08-22
                status=status,
                models=models,
            )
            for name, tokens, status, models in (
                ("gemini-2.5", _TUNING_TOKENS, _STATUS_2_5, ()),
                ("gemini-3", _GEMINI_3_TOKENS, _STATUS_3, ("gemini-3.1-flash-lite", "gemini-3.5-flash")),
            )
        ),
    )
}
DEFAULT_PROFILE = "image-tuning"  # the user's limits: no model, so it has no status
TUNABLE = tuple(profile for profile in PROFILES.values() if profile.status and profile.status.tunable)
TUNING_REGIONS = ("us-central1", "europe-west4")  # _LIMITS, read 2026-08-22; others, and `global`, are refused


def takes_more(profile: Profile, max_images: int) -> tuple[Profile, ...]:
    """The profiles that can be tuned and take whole what the default cuts; none where somebody chose the limit.

    Args:
      profile, max_images: of a run.
    """
    if profile.name != DEFAULT_PROFILE or max_images != profile.max_images:
        return ()
    return tuple(other for other in TUNABLE if other.max_images > max_images)


def profile_of(model: str) -> str:
    """The name of the profile whose limits a model has; a name of no known family as it is.

    >>> profile_of("gemini-2.5-flash"), profile_of("publishers/google/models/gemini-3.5-flash-001"), profile_of("gemini-30")
    ('gemini-2.5', 'gemini-3', 'gemini-30')
    """
    name = model.rpartition("/")[2]
    return next((family for family in PROFILES if name.startswith((f"{family}-", f"{family}."))), model)


def profiles_in_words() -> str:
    """What each profile is, for the help of --model.

    >>> profiles_in_words().split("; ")[0]
    'image-tuning: 16 images an example, of no model'
    """
    return "; ".join(
        f"{profile.name}: {profile.max_images} images an example, {_standing(profile)}" for profile in PROFILES.values()
    )


def _standing(profile: Profile) -> str:
    status = profile.status
    if status is None:
        return "of no model"
    models = f" ({', '.join(profile.models)})" if profile.models else ""
    return f"{status.name}{models}, as of {status.date}"
