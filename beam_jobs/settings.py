"""Checked options: argv -> Settings, frozen, with what follows from them. What an option is stands in options.py."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property, partial
from typing import Any

from beam_jobs.beam_words import beam_words
from beam_jobs.command_parser import prepare_parser
from beam_jobs.options import OPTIONS, Option, OptionError, Options
from beam_jobs.row_functions import row_function_of
from transforms.core.limits import PROFILES, Profile
from transforms.core.records import Input
from transforms.core.warning_codes import Notice
from transforms.examples.image_groups import BY_IMAGE
from transforms.examples.recipe import Recipe
from transforms.examples.split_names import NO_NAMES, SplitNames
from transforms.examples.splits import Splits, parse_splits
from transforms.inputs.cells.csv_dialect import Wanted
from transforms.inputs.options import InputOptions
from transforms.inputs.row_function import FunctionError, RowFunction
from transforms.storage import abilities
from transforms.storage.api import Access, WebAccess


@dataclass(frozen=True)
class Settings(Options):
    """Checked options of one run, with what follows from them."""

    beam: tuple[str, ...] = field(default=())  # what follows is Beam's
    words: tuple[str, ...] = field(default=(), compare=False)  # the command line as it was given
    left_out: tuple[str, ...] = field(default=())  # folders that were found below inputs, and are none
    notices: tuple[Notice, ...] = field(default=())  # what looking at the inputs found
    inputs: tuple[Input, ...] = field(default=())  # what `input` names, once it was looked at
    windows: tuple[str, ...] = field(default=())  # sealed ones of the stream that `previous` names, oldest first
    names_of_splits: SplitNames = NO_NAMES  # that decide, once inputs were looked at
    asked: Mapping[str, Any] = field(default_factory=dict)  # `as_asked()` of the settings that were given

    @property
    def profile(self) -> Profile:
        return PROFILES[self.model]

    @property
    def most_validation(self) -> int:
        """Examples that validation.jsonl may hold, whatever their bytes."""
        return self.profile.max_validation if isinstance(self.max_validation, str) else self.max_validation

    @property
    def fractions(self) -> Splits:
        return parse_splits(self.splits)

    @property
    def sample_count(self) -> int | None:
        return int(self.sample) if self.sample and "." not in self.sample else None

    @property
    def sample_fraction(self) -> float | None:
        return float(self.sample) if self.sample and "." in self.sample else None

    @cached_property
    def row_function(self) -> RowFunction | None:
        """The function that --transform names, with its module as it is now."""
        return row_function_of(self.transform) if self.transform else None

    @cached_property
    def of_inputs(self) -> InputOptions:
        """Those of them that say something of the inputs."""
        return InputOptions(**{one.name: getattr(self, one.name) for one in fields(InputOptions)})

    @property
    def access(self) -> Access:
        """How a job reaches storage."""
        web = WebAccess(self.of_inputs.web_prefixes, self.allow_private_hosts, self.per_host)
        return Access(self.user_project, web)

    @property
    def recipe(self) -> Recipe | None:
        """How rows of other formats than Gemini's become examples; None without --prompt."""
        return self.of_inputs.recipe

    @property
    def wanted(self) -> Wanted:
        """What is said of the files of tables."""
        return self.of_inputs.wanted

    def shaping(self) -> dict[str, Any]:
        """The options that can change a byte of a block, as JSON."""
        return {o.name: getattr(self, o.name) for o in OPTIONS if o.shapes}

    def not_shaping(self) -> dict[str, Any]:
        """The others that decide what stands in the dataset: in which order, and in which split."""
        return {name: getattr(self, name) for name in ("shuffle_seed", "split_names", "join_common")}

    def as_asked(self) -> dict[str, Any]:
        """What a person asked for, as far as it decides the dataset: before inputs were looked at, which fills options in."""
        asked = {
            # Whether a local pattern ends with a slash says only whether a folder is there by now.
            "inputs": [pattern.rstrip("/") if abilities(pattern).has_paths else pattern for pattern in self.input],
            "input_format": self.input_format,
            "output": self.output,
            "options": self.shaping() | self.not_shaping(),
        }
        as_json: dict[str, Any] = json.loads(json.dumps(asked))
        return as_json

    def as_flags(self) -> list[str]:
        """The command line that says the same, defaults left out."""
        usual = parse(["--input", "-", "--output", "-", "--model", self.model])
        return [*flags_of(OPTIONS, partial(getattr, self), partial(getattr, usual)), *self.beam]


def flags_of(options: Iterable[Option], value_of: Callable[[str], Any], usual: Callable[[str], Any]) -> list[str]:
    """Options as a person would type them, but for those that have their usual values; each is asked for by its name."""
    flags = []
    for option in options:
        value = value_of(option.name)
        if value is True:
            flags.append(f"--{option.name}")
        elif value != (option.default if option.name == "model" else usual(option.name)):
            text = ",".join(value) if isinstance(value, tuple) else str(value)
            flags += [f"--{option.name}", f"{text}s" if option.metavar == "DURATION" else text]
    return flags


def parse(argv: Sequence[str]) -> Settings:
    """argv after `prepare` -> Settings; unknown options are left to Beam.

    Raises:
      OptionError: an option is missing, unknown or wrong.
    """
    known, beam = prepare_parser().parse_known_args(list(argv))
    values = vars(known)
    if values["preview"] or values["dry_run"]:
        values["output"] = values["output"] or "dataset"  # nothing is written there
    for name in ("input", "output"):
        if not values[name]:
            raise OptionError(
                f"--{name} is missing. For example: tuneset prepare --input 'data/*.jsonl' --output dataset"
            )
    return settings_of(values, beam, argv)


def settings_of(values: dict[str, Any], beam: Sequence[str], words: Sequence[str] = ()) -> Settings:
    """Values of all options, by name -> Settings, with what the profile stands in for.

    Raises:
      OptionError: an option is wrong.
    """
    profile = PROFILES[values["model"]]
    values["max_images"] = values["max_images"] or profile.max_images
    values["max_image_bytes"] = values["max_image_bytes"] or profile.max_image_bytes
    values["types"] = values["types"] or profile.types
    values["max_side"] = values["max_side"] or profile.longest_side
    if values["max_validation"] == -1:
        values["max_validation"] = profile.max_validation
    settings = Settings(**values, beam=tuple(beam_words(beam)), words=tuple(words))
    check(settings)
    return settings


def check(settings: Settings) -> None:
    """Values that argparse cannot judge: each by itself, as the table says, then those that mean something to each other.

    Raises:
      OptionError: with what was found and what was expected.
    """
    for option in OPTIONS:
        option.judge(getattr(settings, option.name))
    try:
        _ = settings.row_function
    except FunctionError as error:
        raise OptionError(str(error)) from None
    for check_some in (_check_places, _check_running, _check_images, _check_looking, _check_splits):
        check_some(settings)


def _check_places(settings: Settings) -> None:
    """Folders and prefixes."""
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
    if settings.uri_prefix and abilities(settings.output).readable_by_service:
        raise OptionError("--uri_prefix is for a local --output; a gs:// output names its images as they are")


def _check_running(settings: Settings) -> None:
    """How the job runs, and when it ends."""
    if settings.preview and settings.dry_run:
        raise OptionError("--preview and --dry_run: give one of them")
    if settings.dry_run and settings.no_wait:
        raise OptionError("--dry_run has its answer at the end: leave --no_wait out")


def _check_images(settings: Settings) -> None:
    """What becomes of images."""
    if settings.max_side != settings.profile.longest_side and settings.oversize != "resize":
        raise OptionError(f"--max_side {settings.max_side} is for --oversize resize: add it, or leave --max_side out")
    if not {"jpeg", "png"} & set(settings.types):
        raise OptionError("--types must hold jpeg or png: images are rewritten as one of them")


def _check_looking(settings: Settings) -> None:
    """What needs a look at images."""
    if settings.stage == "copy" and not abilities(settings.output).composes:
        raise OptionError("--stage copy copies within Cloud Storage, so --output must be gs://BUCKET/...")
    if settings.stage == "copy" and settings.verify == "none":
        raise OptionError(
            "--verify none looks at no image, so --stage copy cannot tell which conform: use another level"
        )
    if settings.stage == "none" and settings.uri_prefix:
        raise OptionError(
            "--uri_prefix names images as they will be uploaded, from beside the dataset, where --stage none puts none: leave "
            "one of them out"
        )
    looks = {
        "--uri_prefix": settings.uri_prefix != "",
        "--image_root": settings.image_root != "",
        "--upright": settings.upright,
        "--on_bad_image drop_image": settings.on_bad_image == "drop_image",
        "--oversize reject": settings.oversize == "reject",
        "--animation reject": settings.animation == "reject",
    }
    if settings.verify == "none" and any(looks.values()):
        wanted = " and ".join(flag for flag, given in looks.items() if given)
        raise OptionError(f"--verify none looks at no image: {wanted} needs another level")


def _check_splits(settings: Settings) -> None:
    """Which split an example belongs to."""
    if settings.join_common and settings.split_by != BY_IMAGE:
        raise OptionError("--join_common says which images keep examples together: it needs --split_by image")
    if settings.split_by == BY_IMAGE and settings.split_column:
        raise OptionError(
            "--split_by image and --split_column: the column would put examples that share an image into different splits. Give "
            "one of them; `tuneset check` tells which images a column leaves in two splits (image_in_two_splits)"
        )
    if settings.split_by and settings.split_column:
        raise OptionError("--split_by and --split_column decide the same thing: give one of them")
