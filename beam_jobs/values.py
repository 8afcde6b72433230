"""Values of options that argparse cannot judge: Settings -> nothing, or OptionError with what was found and expected."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from beam_jobs.option_values import shown
from beam_jobs.options import OptionError
from transforms.core.splits import parse_splits
from transforms.core.templates import TemplateError, parse_template

if TYPE_CHECKING:
    from beam_jobs.settings import Settings

DELIMITERS = {"comma": ",", "tab": "\t", "semicolon": ";", "pipe": "|"}


def check(settings: Settings) -> None:
    """Values that argparse cannot judge.

    Raises:
      OptionError: with what was found and what was expected.
    """
    for name, least in (
        ("max_images", 1),
        ("max_image_bytes", 1024),
        ("block_bytes", 1024),
        ("max_line_bytes", 1024),
        ("threads", 1),
        ("max_side", 1),
        ("max_pixels", 1),
        ("max_validation", 0),
    ):
        if getattr(settings, name) < least:
            raise OptionError(f"--{name} {getattr(settings, name)}: expected at least {least}")
    for prefix in settings.allow_prefix:
        if "://" in prefix and not prefix.startswith(("gs://", "file://")):
            raise OptionError(
                f"--allow_prefix {prefix}: expected folders and gs:// prefixes; nothing else is ever read"
            )
    if settings.trust_uris and not settings.previous:
        raise OptionError(
            "--trust_uris says something of images that an earlier night looked at: it needs --previous FOLDER"
        )
    if settings.require_previous and not settings.previous:
        raise OptionError("--require_previous says that --previous FOLDER has to be of use: name one")
    if settings.previous and not settings.image_folder:
        raise OptionError(
            "--previous needs --image_folder FOLDER, the same every night: rewritten images would lie in each night's own "
            "folder otherwise, and no block of one night could be used in another"
        )
    if settings.threads > 256:
        raise OptionError(
            f"--threads {settings.threads}: expected at most 256, for that many connections are kept open"
        )
    if settings.stage == "copy" and not settings.output.startswith("gs://"):
        raise OptionError("--stage copy copies within Cloud Storage, so --output must be gs://BUCKET/...")
    if settings.stage == "copy" and settings.verify == "none":
        raise OptionError(
            "--verify none looks at no image, so --stage copy cannot tell which conform: use another level"
        )
    if not 0 <= settings.max_rejected_fraction <= 1:
        raise OptionError(f"--max_rejected_fraction {settings.max_rejected_fraction}: expected a number from 0 to 1")
    for name in ("prompt", "answer", "system"):
        try:
            parse_template(getattr(settings, name))
        except TemplateError as error:
            raise OptionError(f"--{name} {getattr(settings, name)}: {error}") from None
    if settings.delimiter not in ("auto", *DELIMITERS) and (
        len(settings.delimiter) != 1 or not settings.delimiter.isascii() or settings.delimiter in '"\r\n'
    ):
        raise OptionError(
            f"--delimiter {shown(settings.delimiter)}: expected one ASCII character, or {', '.join(DELIMITERS)}"
        )
    if settings.decode_memory < 0:
        raise OptionError(f"--decode_memory {settings.decode_memory}: expected megabytes, or 0 for 400 a core")
    if not 1 <= settings.min_quality <= 95:
        raise OptionError(f"--min_quality {settings.min_quality}: expected a JPEG quality from 1 to 95")
    if settings.max_side != settings.profile.longest_side and settings.oversize != "resize":
        raise OptionError(f"--max_side {settings.max_side} is for --oversize resize: add it, or leave --max_side out")
    if settings.preview < 0:
        raise OptionError(f"--preview {settings.preview}: expected a number of examples")
    if settings.preview and settings.dry_run:
        raise OptionError("--preview and --dry_run: give one of them")
    if settings.dry_run and settings.no_wait:
        raise OptionError("--dry_run has its answer at the end: leave --no_wait out")
    known = ("png", "jpeg", "webp", "heic", "heif")
    for name in settings.types:
        if name not in known:
            raise OptionError(f"--types {name}: expected some of {', '.join(known)}")
    if not {"jpeg", "png"} & set(settings.types):
        raise OptionError("--types must hold jpeg or png: images are rewritten as one of them")
    try:
        parse_splits(settings.splits)
    except ValueError as error:
        raise OptionError(str(error)) from None
    for name in ("seed", "shuffle_seed"):
        if len(getattr(settings, name).encode()) > 64:
            raise OptionError(f"--{name}: expected at most 64 bytes, since it keys a hash")
    if settings.split_by and settings.split_column:
        raise OptionError("--split_by and --split_column decide the same thing: give one of them")
    if settings.split_by in ("image", "images"):
        raise OptionError(
            "--split_by image needs a view of all examples at once, which is not there yet: name a column"
        )
    if settings.sample:
        try:
            good = float(settings.sample) > 0 and ("." not in settings.sample or float(settings.sample) <= 1)
            good = good and ("." in settings.sample or settings.sample.isdigit())
        except ValueError:
            good = False
        if not good:
            raise OptionError(f"--sample {settings.sample}: expected a count such as 100 or a fraction such as 0.01")
    if settings.uri_prefix and not settings.uri_prefix.startswith("gs://"):
        raise OptionError(f"--uri_prefix {settings.uri_prefix}: expected gs://BUCKET/FOLDER")
    if settings.uri_prefix and settings.output.startswith("gs://"):
        raise OptionError("--uri_prefix is for a local --output; a gs:// output names its images as they are")
    if re.search(r"[*?#\[\]]", settings.uri_prefix):
        raise OptionError(
            f"--uri_prefix {settings.uri_prefix}: gcloud takes *, ?, #, [ and ] for patterns: choose another"
        )
    looks = {
        "--uri_prefix": settings.uri_prefix != "",
        "--upright": settings.upright,
        "--on_bad_image drop_image": settings.on_bad_image == "drop_image",
        "--oversize reject": settings.oversize == "reject",
        "--animation reject": settings.animation == "reject",
    }
    if settings.verify == "none" and any(looks.values()):
        wanted = " and ".join(flag for flag, given in looks.items() if given)
        raise OptionError(f"--verify none looks at no image: {wanted} needs another level")
