"""Checked options: argv -> Settings, frozen, with what follows from them. What an option is stands in options.py."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from beam_jobs.beam_words import beam_words
from beam_jobs.options import OPTIONS, OptionError, parser
from beam_jobs.values import DELIMITERS, check
from transforms.core.dialects import Wanted
from transforms.core.profiles import PROFILES, Profile
from transforms.core.records import Input
from transforms.core.splits import Splits, parse_splits
from transforms.core.tables import Recipe
from transforms.core.templates import parse_template
from transforms.storage import is_local


@dataclass(frozen=True)
class Settings:
    """Checked options of one run, with what follows from them. Field names are the options'."""

    input: tuple[str, ...]
    input_format: str
    prompt: str
    answer: str
    system: str
    image_column: tuple[str, ...]
    delimiter: str
    header: str
    encoding: str
    max_line_bytes: int
    allow_prefix: tuple[str, ...]
    output: str
    image_folder: str
    uri_prefix: str
    stage: str
    overwrite: bool
    model: str
    max_images: int
    max_image_bytes: int
    types: tuple[str, ...]
    verify: str
    on_bad_image: str
    oversize: str
    min_quality: int
    max_side: int
    max_pixels: int
    alpha: str
    animation: str
    effort: str
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
    decode_memory: int
    previous: str
    require_previous: bool
    trust_uris: bool
    user_project: str
    preview: int
    dry_run: bool
    take_over: bool
    keep_blocks: bool
    no_wait: bool
    verbose: bool
    beam: tuple[str, ...] = field(default=())  # what follows is Beam's
    left_out: tuple[str, ...] = field(default=())  # folders that were found below inputs, and are none
    inputs: tuple[Input, ...] = field(default=())  # what `input` names, once it was looked at
    asked: Mapping[str, Any] = field(default_factory=dict)  # `as_asked()` of the settings that were given

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

    @cached_property
    def recipe(self) -> Recipe | None:
        """How rows of other formats than Gemini's become examples; None without --prompt."""
        prompt, answer, system = (
            parse_template(text) if text else None for text in (self.prompt, self.answer, self.system)
        )
        splits = tuple(name for name in (self.split_by, self.split_column) if name)
        return Recipe(prompt, answer, system, self.image_column, splits) if prompt else None

    @property
    def wanted(self) -> Wanted:
        """What is said of the files of tables."""
        delimiter = "" if self.delimiter == "auto" else DELIMITERS.get(self.delimiter, self.delimiter)
        encoding = "utf-8" if self.encoding == "auto" else self.encoding
        return Wanted(delimiter, self.header, encoding, self.recipe.columns if self.recipe else ())

    def shaping(self) -> dict[str, Any]:
        """The options that can change a byte of a block, as JSON."""
        return {o.name: getattr(self, o.name) for o in OPTIONS if o.shapes}

    def as_asked(self) -> dict[str, Any]:
        """What a person asked for, as far as it decides the dataset: before inputs were looked at, which fills options in."""
        asked = {
            # Whether a local pattern ends with a slash says only whether a folder is there by now.
            "inputs": [pattern.rstrip("/") if is_local(pattern) else pattern for pattern in self.input],
            "input_format": self.input_format,
            "output": self.output,
            "options": self.shaping() | {"shuffle_seed": self.shuffle_seed},
        }
        as_json: dict[str, Any] = json.loads(json.dumps(asked))
        return as_json

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


def parse(argv: Sequence[str]) -> Settings:
    """argv after `prepare` -> Settings; unknown options are left to Beam.

    Raises:
      OptionError: an option is missing, unknown or wrong.
    """
    known, beam = parser().parse_known_args(list(argv))
    values = vars(known)
    if values["preview"] or values["dry_run"]:
        values["output"] = values["output"] or "dataset"  # nothing is written there
    for name in ("input", "output"):
        if not values[name]:
            raise OptionError(
                f"--{name} is missing. For example: tuneset prepare --input 'data/*.jsonl' --output dataset"
            )
    profile = PROFILES[values["model"]]
    values["max_images"] = values["max_images"] or profile.max_images
    values["max_image_bytes"] = values["max_image_bytes"] or profile.max_image_bytes
    values["types"] = values["types"] or profile.types
    values["max_side"] = values["max_side"] or profile.longest_side
    if values["max_validation"] == -1:
        values["max_validation"] = profile.max_validation
    settings = Settings(**values, beam=tuple(beam_words(beam)))
    check(settings)
    return settings
