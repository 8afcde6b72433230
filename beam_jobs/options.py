"""The one table of options: argparse, the README's table and the templates' metadata all come from it.

Nothing else knows a flag's name, default or help. `settings.parse` turns argv into a checked, frozen `Settings`.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NoReturn

from beam_jobs.option_values import CRLF, LISTS, reader_of, shown, word
from beam_jobs.report import console
from transforms.core.limits import PROFILES
from transforms.images.fit.policy import CHOICES
from transforms.inputs.csv_dialect import ENCODINGS


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

    @property
    def is_list(self) -> bool:
        """Whether it takes several values, separated by commas or given one after the other."""
        return self.metavar in LISTS


_IN, _OUT, _IMG, _SPLIT, _RUN = "input", "output", "images", "examples and splits", "running"

OPTIONS = (
    Option("input", _IN, None, "files, globs or folders, separated by commas; local or gs:// (required)", "PATTERNS"),
    Option("input_format", _IN, "auto", "what the rows are; gemini: one tuning example a line, as JSON; folder: images; "
           "table: CSV, TSV, JSON lines or Parquet with a column of images; automl: Vertex AutoML's CSV or JSON lines",
           "FORMAT", ("auto", "gemini", "folder", "table", "automl")),
    Option("prompt", _IN, "", "text asked of each row of a table or image of a folder: a template, in which {column} stands for a "
           "value", "TEMPLATE", shapes=True),
    Option("answer", _IN, "", "text to be learnt for each row: a template such as {column} or {a,b|object}", "TEMPLATE",
           shapes=True),
    Option("system", _IN, "", "system instruction of each row: a template", "TEMPLATE", shapes=True),
    Option("image_column", _IN, "", "columns that hold a row's images, separated by commas (default: told by name and content)",
           "COLUMNS", shapes=True),
    Option("delimiter", _IN, "auto", "what parts the cells of CSV: a character, or comma, tab, semicolon, pipe", "CHARACTER",
           shapes=True),
    Option("header", _IN, "auto", "whether the first record of CSV names the columns; without, they are called 1, 2, ...", "WHETHER",
           ("auto", "yes", "no"), shapes=True),
    Option("encoding", _IN, "auto", "of CSV files; auto: UTF-8, and an error if the first rows are not", "NAME",
           ("auto", *ENCODINGS), shapes=True),
    Option("keep_blanks", _IN, False, "keep the blanks around the cells of CSV, which are dropped otherwise", shapes=True),
    Option("max_line_bytes", _IN, 16_000_000, "bytes a line may have; a longer one is rejected without being read whole", "N",
           shapes=True),
    Option("allow_prefix", _IN, "", "folders and gs:// prefixes that images may be read from, separated by commas; "
           "replaces the default (any gs:// object, and local files under the input's own folders)", "PREFIXES", shapes=True),
    Option("output", _OUT, None, "folder that the dataset is written to; local or gs:// (required)", "FOLDER"),
    Option("image_folder", _OUT, "", "folder for rewritten images, which several runs may share (default OUTPUT/images)",
           "FOLDER", shapes=True),
    Option("uri_prefix", _OUT, "", "gs:// folder that a local dataset will be uploaded to: fileUri names the images there",
           "URI", shapes=True),
    Option("stage", _OUT, "local", "conforming images that are copied beside a gs:// dataset; local: files of this machine, "
           "copy: objects too, on the server", "WHICH", ("local", "copy"), shapes=True),
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
    Option("oversize", _IMG, "auto", "what becomes of an image over the limit; auto: all its pixels where --min_quality allows it, "
           "else as few less as it takes; recompress: all its pixels, or a rejection; resize: --max_side first; reject",
           "POLICY", CHOICES["oversize"], shapes=True),
    Option("min_quality", _IMG, 85, "JPEG quality (1 to 95) below which pixels are given up, or the image", "N", shapes=True),
    Option("max_side", _IMG, 0, "pixels of the longer side under --oversize resize (0: what the model itself scales down to)",
           "N", shapes=True),
    Option("max_pixels", _IMG, 300_000_000, "pixels, over all frames, above which no image is decoded", "N", shapes=True),
    Option("alpha", _IMG, "keep", "what becomes of transparency in a rewritten image; keep: it is a PNG, smaller if need be; "
           "flatten: laid on white", "POLICY", CHOICES["alpha"], shapes=True),
    Option("animation", _IMG, "first_frame", "what becomes of a rewritten image of several frames or pages; reject also rejects "
           "one that conforms", "POLICY", CHOICES["animation"], shapes=True),
    Option("effort", _IMG, "fast", "how a rewritten image is coded; best: progressive, some 10 % fewer bytes, 4 times as long",
           "LEVEL", CHOICES["effort"], shapes=True),
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
    Option("threads", _RUN, 256, "reads of images that a process has under way at once (gs:// only)", "N"),
    Option("previous", _RUN, "", "dataset of an earlier night, sealed with --keep_blocks: what has not changed since is taken from "
           "it; or the folder that the nights lie in: the newest that can be used", "FOLDER"),
    Option("require_previous", _RUN, False, "do nothing (exit status 2) if --previous cannot be used, instead of a full run"),
    Option("trust_uris", _RUN, False, "with --previous: objects are never overwritten, so none is asked whether it has changed"),
    Option("user_project", _RUN, "", "project that is billed for requests to requester-pays buckets", "PROJECT"),
    Option("decode_memory", _RUN, 0, "megabytes that decoded images may take at once on a machine; one larger than that is decoded "
           "alone (0: 400 a core, at most half of the memory)", "N"),
    Option("preview", _RUN, 0, "show so many finished examples, and the rows before them that are rejected; nothing is written", "N"),
    Option("dry_run", _RUN, False, "run without writing: show the ledger, and what the job would rewrite, write and request"),
    Option("take_over", _RUN, False, "go on in a folder that another live job has claimed"),
    Option("keep_blocks", _RUN, False, "keep the committed blocks in OUTPUT/_tuneset after sealing"),
    Option("no_wait", _RUN, False, "return once the job is submitted; exit status 0 then means submitted"),
    Option("verbose", _RUN, False, "show Beam's log and tracebacks"),
)  # fmt: skip


class Parser(argparse.ArgumentParser):
    """argparse's, for commands that scripts put together: nothing that was given is dropped in silence.

    An option that takes one value may be given once, the values of a list add up ("add_up" is such an option's action), and
    a switch may repeat. Hyphens in names stand for underscores. A complaint is an OptionError that says where the options are
    listed.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, **settings)
        self.given: dict[str, Any] = {}  # the value of each single option that was met, by its name in the namespace
        self.register("action", None, _StoreOnce)
        self.register("action", "store", _StoreOnce)
        self.register("action", "add_up", _AddUp)
        self.register("type", None, word)
        self.register("type", int, lambda text: int(word(text)))
        self.register("type", float, lambda text: float(word(text)))

    def add_subparsers(self, **settings: Any) -> Any:
        """As argparse's; the words of an action are read by its own parser, and not by this one before."""
        actions = super().add_subparsers(**settings)
        actions.type = str
        return actions

    def parse_known_args(self, args: Iterable[str], namespace: Any = None) -> tuple[Any, list[str]]:  # type: ignore[override]
        """As argparse's, of names in any spelling."""
        self.given = {}
        return super().parse_known_args([self.spelt(word) for word in args], namespace)

    def spelt(self, word: str) -> str:
        """A word with its option's name as the parser knows it: --max-images=3 -> --max_images=3."""
        if not word.startswith("--"):
            return word
        name, equals, value = word.partition("=")
        known = "--" + name[2:].replace("-", "_")
        return known + equals + value if known in self._option_string_actions else word

    def error(self, message: str) -> NoReturn:
        """A complaint of argparse's, or of a reader of values, about one command line.

        Raises:
          OptionError: always.
        """
        # A reader says what was found, then what was expected: --output gs:/x: expected ...
        message = re.sub(r"^argument (--\w+)\S*: (?!invalid |expected |ignored )", r"\1 ", message)
        hint = f"; {CRLF}" if "\r" in message else ""
        raise OptionError(f"{shown(message)}{hint}. `{self.prog} --help` lists the options.")

    def print_help(self, file: object = None) -> None:
        console.say(self.format_help(), end="")


class _StoreOnce(argparse.Action):
    """Stores the value of an option that takes one, and refuses a second: whoever gives two means both, or only one of them."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, value: Any, name: str | None = None
    ) -> None:
        assert isinstance(parser, Parser)
        if name and self.dest in parser.given:
            parser.error(f"{name} is given twice, with {parser.given[self.dest]} and with {value}, and takes one value")
        if value == "":
            parser.error(f"{name or self.metavar} is given without a value: give one, or leave it out")
        parser.given[self.dest] = value
        setattr(namespace, self.dest, value)


class _AddUp(argparse.Action):
    """Adds the values of an option that takes a list, separated by commas, to those given before."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, name: str | None = None
    ) -> None:
        setattr(namespace, self.dest, (*(getattr(namespace, self.dest) or ()), *values))


def parser() -> argparse.ArgumentParser:
    """`tuneset prepare`'s parser, grouped, with defaults in the help."""
    made = Parser(
        prog="tuneset prepare",
        usage="tuneset prepare --input PATTERNS --output FOLDER [options]",
        description="Make a Gemini image-tuning dataset: check and fit images, split examples, write split JSONL, seal it.",
        epilog="Every Apache Beam option may follow (--runner, --direct_num_workers, --region, ...). "
        "Names may be written with hyphens. Lists add up; what takes one value is given once. Blanks around a value are dropped; "
        "control characters are refused, but for lines and tabs of a template and a --delimiter. "
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
            action="add_up" if o.is_list else "store",
            default=() if o.is_list else o.default,
            type=type(o.default) if isinstance(o.default, int | float) else reader_of(o.metavar),
            choices=o.choices or None,
            metavar="|".join(o.choices) if o.choices and o.name != "model" else o.metavar,
            help=(o.help + shown).replace("%", "%%"),
        )
    return made
