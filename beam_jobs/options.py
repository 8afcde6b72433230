"""The one table of options: argparse, the README's table and the templates' metadata all come from it.

Nothing else knows a flag's name, default or help. `parse` turns argv into a checked, frozen `Settings`.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from transforms.core.profiles import PROFILES, Profile
from transforms.core.splits import Splits, parse_splits


class OptionError(ValueError):
    """A wrong option: exit status 2. The text says what was found, what was expected and what to do."""


@dataclass(frozen=True, slots=True)
class Option:
    name: str
    group: str
    default: Any
    help: str  # with the unit; the default is appended by whoever shows it
    metavar: str = ""  # "" for a switch
    choices: tuple[str, ...] = ()
    shapes: bool = False  # can change a byte of a block, so it is part of every block's key


_IN, _OUT, _IMG, _SPLIT, _RUN = "input", "output", "images", "examples and splits", "running"

OPTIONS = (
    Option("input", _IN, None, "files, globs or folders, separated by commas; local or gs:// (required)", "PATTERNS"),
    Option("input_format", _IN, "auto", "what the rows are; gemini: one tuning example a line, as JSON", "FORMAT", ("auto", "gemini")),
    Option("max_line_bytes", _IN, 16_000_000, "bytes a line may have; a longer one is rejected without being read whole", "N",
           shapes=True),
    Option("allow_prefix", _IN, "", "folders and gs:// prefixes that images may be read from, separated by commas; "
           "replaces the default (any gs:// object, and local files under the input's own folders)", "PREFIXES", shapes=True),
    Option("output", _OUT, None, "folder that the dataset is written to; local or gs:// (required)", "FOLDER"),
    Option("image_folder", _OUT, "", "folder for rewritten images, which several runs may share (default OUTPUT/images)",
           "FOLDER", shapes=True),
    Option("uri_prefix", _OUT, "", "gs:// folder that a local dataset will be uploaded to: fileUri names the images there",
           "URI", shapes=True),
    Option("overwrite", _OUT, False, "remove the dataset that the output folder holds, then write anew"),
    Option("model", _IMG, "image-tuning", "profile of limits", "PROFILE", tuple(PROFILES), shapes=True),
    Option("max_images", _IMG, 0, "images an example may hold (0: the profile's)", "N", shapes=True),
    Option("max_image_bytes", _IMG, 0, "bytes an image may have, inclusive (0: the profile's)", "N", shapes=True),
    Option("types", _IMG, "", "types that conform, separated by commas; others are converted (default: the profile's)",
           "TYPES", shapes=True),
    Option("verify", _IMG, "structure", "how closely images are looked at; none: not at all, header: type and size, "
           "structure: end marks too (an image without one is decoded), decode: every image is decoded", "LEVEL",
           ("none", "header", "structure", "decode"), shapes=True),
    Option("on_bad_image", _IMG, "reject_example", "what an image that cannot be used costs: its example, or itself and its caption",
           "POLICY", ("reject_example", "drop_image"), shapes=True),
    Option("upright", _IMG, False, "rewrite images that carry an EXIF rotation tag", shapes=True),
    Option("on_too_many_images", _SPLIT, "split", "what becomes of an example over --max_images", "POLICY",
           ("split", "reject"), shapes=True),
    Option("on_too_many_tokens", _SPLIT, "warn", "what becomes of an example over the model's tokens (estimated)", "POLICY",
           ("warn", "reject"), shapes=True),
    Option("splits", _SPLIT, "train=0.9,validation=0.1", "fractions that sum to 1; test may be named too", "SPEC", shapes=True),
    Option("split_by", _SPLIT, "", "column whose value decides the split, so that equal values stay together", "COLUMN",
           shapes=True),
    Option("split_column", _SPLIT, "", "column that names each row's split (train, validation, test)", "COLUMN", shapes=True),
    Option("seed", _SPLIT, "0", "text that keys ids, and so the splits", "TEXT", shapes=True),
    Option("max_validation", _SPLIT, -1, "examples in validation.jsonl; the others go to validation-unused.jsonl "
           "(-1: the profile's)", "N", shapes=True),
    Option("sample", _SPLIT, "", "keep only so many examples (100), or such a fraction (0.01)", "N", shapes=True),
    Option("shuffle_seed", _SPLIT, "", "any text; lines then stand in the order of a hash keyed by it, not of the input", "TEXT"),
    Option("max_rejected_fraction", _RUN, 0.1,
           "of the examples that may be rejected; above it nothing is sealed (from 100 examples on)", "FRACTION"),
    Option("block_bytes", _RUN, 262_144, "bytes of rows a worker takes at a time", "N"),
    Option("threads", _RUN, 16, "images of a block that are read at once (gs:// only)", "N"),
    Option("take_over", _RUN, False, "go on in a folder that another live job has claimed"),
    Option("keep_blocks", _RUN, False, "keep the committed blocks in OUTPUT/_tuneset after sealing"),
    Option("no_wait", _RUN, False, "return once the job is submitted; exit status 0 then means submitted"),
    Option("verbose", _RUN, False, "show Beam's log and tracebacks"),
)  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """Checked options of one run, with what follows from them. Field names are the options'."""

    input: tuple[str, ...]
    input_format: str
    max_line_bytes: int
    allow_prefix: tuple[str, ...]
    output: str
    image_folder: str
    uri_prefix: str
    overwrite: bool
    model: str
    max_images: int
    max_image_bytes: int
    types: tuple[str, ...]
    verify: str
    on_bad_image: str
    upright: bool
    on_too_many_images: str
    on_too_many_tokens: str
    splits: str
    split_by: str
    split_column: str
    seed: str
    max_validation: int
    sample: str
    shuffle_seed: str
    max_rejected_fraction: float
    block_bytes: int
    threads: int
    take_over: bool
    keep_blocks: bool
    no_wait: bool
    verbose: bool
    beam: tuple[str, ...] = field(default=())  # what follows is Beam's

    @property
    def profile(self) -> Profile:
        return PROFILES[self.model]

    @property
    def fractions(self) -> Splits:
        return parse_splits(self.splits)

    @property
    def sample_count(self) -> int | None:
        return int(self.sample) if self.sample and "." not in self.sample else None

    @property
    def sample_fraction(self) -> float | None:
        return float(self.sample) if self.sample and "." in self.sample else None

    def shaping(self) -> dict[str, Any]:
        """The options that can change a byte of a block, as JSON."""
        return {o.name: getattr(self, o.name) for o in OPTIONS if o.shapes}

    def as_flags(self) -> list[str]:
        """The command line that says the same, defaults left out."""
        usual = parse(["--input", "-", "--output", "-", "--model", self.model])
        flags = []
        for option in OPTIONS:
            value = getattr(self, option.name)
            if value is True:
                flags.append(f"--{option.name}")
            elif value != (option.default if option.name == "model" else getattr(usual, option.name)):
                flags += [f"--{option.name}", ",".join(value) if isinstance(value, tuple) else str(value)]
        return [*flags, *self.beam]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        raise OptionError(f"{message}. `tuneset prepare --help` lists the options.")


def parser() -> argparse.ArgumentParser:
    """`tuneset prepare`'s parser, grouped, with defaults in the help."""
    made = _Parser(
        prog="tuneset prepare",
        allow_abbrev=False,
        formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=34, width=110),
        description="Make a Gemini image-tuning dataset: check and fit images, split examples, write split JSONL, seal it.",
        epilog="Every Apache Beam option may follow (--runner, --direct_num_workers, --region, ...). "
        "Exit status: 0 sealed, 1 failed (the same command goes on), 2 wrong options.",
    )
    groups: dict[str, Any] = {}
    for o in OPTIONS:
        if o.group not in groups:
            groups[o.group] = made.add_argument_group(o.group)
        group = groups[o.group]
        if o.default is False:
            group.add_argument(f"--{o.name}", action="store_true", help=o.help)
            continue
        shown = "" if o.default in (None, "") or o.default in (0, -1) else f" (default {o.default})"
        group.add_argument(
            f"--{o.name}",
            default=o.default,
            type=type(o.default) if isinstance(o.default, int | float) else str,
            choices=o.choices or None,
            metavar="|".join(o.choices) if o.choices and o.name != "model" else o.metavar,
            help=(o.help + shown).replace("%", "%%"),
        )
    return made


def parse(argv: Sequence[str]) -> Settings:
    """argv after `prepare` -> Settings; unknown options are left to Beam.

    Raises:
      OptionError: an option is missing, unknown or wrong.
    """
    known, beam = parser().parse_known_args(list(argv))
    values = vars(known)
    for name in ("input", "output"):
        if not values[name]:
            raise OptionError(
                f"--{name} is missing. For example: tuneset prepare --input 'data/*.jsonl' --output dataset"
            )
    for name in ("input", "allow_prefix", "types"):
        values[name] = tuple(part.strip() for part in values[name].split(",") if part.strip())
    profile = PROFILES[values["model"]]
    values["max_images"] = values["max_images"] or profile.max_images
    values["max_image_bytes"] = values["max_image_bytes"] or profile.max_image_bytes
    values["types"] = tuple(values["types"]) or profile.types
    if values["max_validation"] < 0:
        values["max_validation"] = profile.max_validation
    settings = Settings(**values, beam=tuple(beam))
    check(settings)
    return settings


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
    ):
        if getattr(settings, name) < least:
            raise OptionError(f"--{name} {getattr(settings, name)}: expected at least {least}")
    if not 0 <= settings.max_rejected_fraction <= 1:
        raise OptionError(f"--max_rejected_fraction {settings.max_rejected_fraction}: expected a number from 0 to 1")
    known = ("png", "jpeg", "webp", "heic", "heif")
    for name in settings.types:
        if name not in known:
            raise OptionError(f"--types {name}: expected some of {', '.join(known)}")
    if not {"jpeg", "png"} & set(settings.types):
        raise OptionError("--types must hold jpeg or png: images are rewritten as one of them")
    try:
        parse_splits(settings.splits)
    except ValueError as error:
        raise OptionError(f"--splits {settings.splits}: {error}") from None
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
    if settings.verify == "none" and (settings.upright or settings.on_bad_image == "drop_image"):
        raise OptionError("--verify none looks at no image: --upright and --on_bad_image drop_image need another level")


def names() -> list[str]:
    return [f.name for f in dataclasses.fields(Settings) if f.name != "beam"]
