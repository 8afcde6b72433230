"""The one table of options: `Options` names each once, with its type, default, help and check.

argparse, `Settings`, docs/options.md and the templates' metadata all come from it. `settings.parse` turns argv into checked Settings.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any

from beam_jobs.option_checks import (
    at_least,
    check_delimiter,
    check_max_validation,
    check_prefix,
    check_report,
    check_sample,
    check_seed,
    check_split_by,
    check_type,
    check_uri_prefix,
    within,
)
from beam_jobs.option_values import LISTS, shown
from beam_jobs.row_functions import check_transform
from transforms.core.finding_codes import LEVELS
from transforms.core.limits import LINE_BYTES, PROFILES, profiles_in_words
from transforms.core.reasons import WrongRequest
from transforms.examples.image_cells import check_image_column
from transforms.examples.prompt_templates import parse_template
from transforms.examples.splits import parse_splits
from transforms.images.fit.policy import CHOICES
from transforms.inputs.cells.csv_dialect import ENCODINGS
from transforms.inputs.registry import MEANINGS


class OptionError(WrongRequest):
    """A wrong option: exit status 2. The text says what was found, what was expected and what to do."""


@dataclass(frozen=True, slots=True)
class Option:
    name: str
    group: str
    default: Any
    help: str  # with the unit; the default is appended by whoever shows it
    metavar: str = ""  # "" for a switch
    choices: tuple[str, ...] = ()
    common: bool = False  # shown by `tuneset prepare --help`; the others only by `--help all`
    shapes: bool = False  # can change a byte of a block, so it is part of every block's key
    check: Callable[[Any], object] | None = None  # raises ValueError for a value, or an item of a list, that cannot be

    @property
    def is_list(self) -> bool:
        """Whether it takes several values, separated by commas or given one after the other."""
        return self.metavar in LISTS

    def judge(self, value: Any) -> None:
        """Check a value that was given, or that the profile stands in for; an empty one is none.

        Raises:
          OptionError: with what was found and what was expected.
        """
        for item in value if self.is_list else (value,):
            if self.check is None or item == "":
                continue
            try:
                self.check(item)
            except ValueError as error:
                raise OptionError(f"--{self.name} {shown(str(item))}: {error}") from None


def option(
    group: str,
    default: Any,
    meaning: str,
    metavar: str = "",
    choices: tuple[str, ...] = (),
    *,
    common: bool = False,
    shapes: bool = False,
    check: Callable[[Any], object] | None = None,
) -> Any:
    """A line of the table: the field of `Options` that holds an option's value, with all that is said of the option."""
    line = Option("", group, default, meaning, metavar, choices, common, shapes, check)
    return field(metadata={"option": line})


_IN, _OUT, _IMG, _SPLIT, _RUN = "input", "output", "images", "examples and splits", "running"


# fmt: off
@dataclass(frozen=True)
class Options:
    """The value of every option of `tuneset prepare`; what is said of each stands beside it."""

    input: tuple[str, ...] = option(_IN, None,
        "files, globs or folders, separated by commas; local or gs:// (required)", "PATTERNS", common=True)
    input_format: str = option(_IN, "auto",
        "; ".join(["what the rows are", *(f"{meaning.name}: {meaning.help}" for meaning in MEANINGS.values())]),
        "FORMAT", ("auto", *MEANINGS))
    prompt: str = option(_IN, "",
        "text asked of each row of a table or image of a folder: a template, in which {column} stands for a value",
        "TEMPLATE", common=True, shapes=True, check=parse_template)
    answer: str = option(_IN, "",
        "text to be learnt for each row: a template such as {column} or {a,b|object}",
        "TEMPLATE", common=True, shapes=True, check=parse_template)
    system: str = option(_IN, "",
        "system instruction of each row: a template", "TEMPLATE", shapes=True, check=parse_template)
    image_column: tuple[str, ...] = option(_IN, "",
        "columns that hold a row's images, or templates of their names such as 'train/{id}.jpg', separated by commas "
        "(default: told by name and content)", "COLUMNS", shapes=True, check=check_image_column)
    image_root: str = option(_IN, "",
        "folder in which an image is looked for that is not where its row names it: by the longest end of its path that is there",
        "FOLDER", shapes=True)
    empty_boxes: str = option(_IN, "keep",
        "what becomes of an image without a box, of object detection; keep: its answer is []",
        "POLICY", ("keep", "reject"), shapes=True)
    transform: str = option(_IN, "",
        "function of yours, from a row (a dict) to a row, a list of rows or None; its file travels to the workers",
        "MODULE:FUNCTION", shapes=True, check=check_transform)
    delimiter: str = option(_IN, "auto",
        "what parts the cells of CSV: a character, or comma, tab, semicolon, pipe",
        "CHARACTER", shapes=True, check=check_delimiter)
    header: str = option(_IN, "auto",
        "whether the first record of CSV names the columns; without, they are called 1, 2, ...",
        "WHETHER", ("auto", "yes", "no"), shapes=True)
    encoding: str = option(_IN, "auto",
        "of CSV files; auto: UTF-8, and an error if the first rows are not", "NAME", ("auto", *ENCODINGS), shapes=True)
    keep_blanks: bool = option(_IN, False,
        "keep the blanks around the cells of CSV, which are dropped otherwise", shapes=True)
    max_line_bytes: int = option(_IN, LINE_BYTES,
        "bytes a line may have, 64,000,000 by default where images may stand in it (openai, llava); a longer one is rejected "
        "without being read whole",
        "N", shapes=True, check=at_least(1024))
    allow_prefix: tuple[str, ...] = option(_IN, "",
        "folders and gs:// prefixes that images may be read from, separated by commas; replaces the default (any "
        "gs:// object, and local files under the input's own folders). https:// and http:// prefixes add to what may be read",
        "PREFIXES", shapes=True, check=check_prefix)
    allow_private_hosts: bool = option(_IN, False,
        "let servers that https:// and http:// prefixes allow have addresses of the private network, as in an intranet",
        shapes=True)

    output: str = option(_OUT, None,
        "folder that the dataset is written to; local or gs:// (required)", "FOLDER", common=True)
    image_folder: str = option(_OUT, "",
        "folder for rewritten images, which several runs may share (default OUTPUT/images)", "FOLDER", shapes=True)
    uri_prefix: str = option(_OUT, "",
        "gs:// folder that a local dataset will be uploaded to: fileUri names the images there",
        "URI", shapes=True, check=check_uri_prefix)
    stage: str = option(_OUT, "local",
        "conforming images that are copied beside the dataset; local: those named by URL and, of a gs:// dataset, files of "
        "this machine; copy: objects too, on the server; none: none, so URLs stay",
        "WHICH", ("local", "copy", "none"), shapes=True)
    report: str = option(_OUT, "",
        "page about the dataset, made once it is sealed by the command that waited for it; its numbers stand beside it as .json; "
        "none: no page (default OUTPUT/report.html)", "FILE.html|none", check=check_report)
    report_pictures: str = option(_OUT, "yes",
        "whether the page holds small pictures of the images", "WHETHER", ("yes", "no"))
    findings: str = option(_OUT, "auto",
        "what the manifest tells of what `tuneset check` would find in the dataset; rows: of lines by themselves, all: lines and "
        "images are also compared with those of other lines, auto: all of up to 20 million references to images, else rows",
        "WHICH", LEVELS, shapes=True)
    overwrite: bool = option(_OUT, False,
        "remove the dataset that the output folder holds, then write anew", common=True)

    model: str = option(_IMG, "image-tuning",
        f"profile of limits; {profiles_in_words()}", "PROFILE", tuple(PROFILES), common=True, shapes=True)
    max_images: int = option(_IMG, 0,
        "images an example may hold (0: the profile's)", "N", shapes=True, check=at_least(1))
    max_image_bytes: int = option(_IMG, 0,
        "bytes an image may have, inclusive (0: the profile's)", "N", shapes=True, check=at_least(1024))
    types: tuple[str, ...] = option(_IMG, "",
        "types that conform, separated by commas; others are converted (default: the profile's)",
        "TYPES", common=True, shapes=True, check=check_type)
    verify: str = option(_IMG, "structure",
        "how closely images are looked at; none: not at all, header: type and size, structure: end marks too (an "
        "image without one is decoded), decode: every image is decoded",
        "LEVEL", ("none", "header", "structure", "decode"), shapes=True)
    on_bad_image: str = option(_IMG, "reject_example",
        "if an image is unusable: reject the example, or drop the image and its caption",
        "POLICY", ("reject_example", "drop_image"), shapes=True)
    oversize: str = option(_IMG, "auto",
        "what becomes of an image over the limit; auto: all its pixels where --min_quality allows it, else as few "
        "less as it takes; recompress: all its pixels, or a rejection; resize: --max_side first; reject",
        "POLICY", CHOICES["oversize"], shapes=True)
    min_quality: int = option(_IMG, 85,
        "lowest JPEG quality (1 to 95); below it the image is scaled down, or rejected (--oversize)",
        "N", shapes=True, check=within(1, 95))
    max_side: int = option(_IMG, 0,
        "pixels of the longer side under --oversize resize (0: what the model itself scales down to)",
        "N", shapes=True, check=at_least(1))
    max_pixels: int = option(_IMG, 300_000_000,
        "pixels of a frame above which an image is neither decoded nor used", "N", shapes=True, check=at_least(1))
    alpha: str = option(_IMG, "keep",
        "what becomes of transparency in a rewritten image; keep: it is a PNG, smaller if need be; flatten: laid on"
        " white", "POLICY", CHOICES["alpha"], shapes=True)
    animation: str = option(_IMG, "first_frame",
        "what becomes of a rewritten image of several frames or pages; reject also rejects one that conforms",
        "POLICY", CHOICES["animation"], shapes=True)
    effort: str = option(_IMG, "fast",
        "how a rewritten image is coded; best: progressive, some 10 % fewer bytes, 4 times as long",
        "LEVEL", CHOICES["effort"], shapes=True)
    upright: bool = option(_IMG, False, "rewrite images that carry an EXIF rotation tag", shapes=True)

    on_too_many_images: str = option(_SPLIT, "split",
        "what becomes of an example over --max_images", "POLICY", ("split", "reject"), common=True, shapes=True)
    on_too_many_tokens: str = option(_SPLIT, "warn",
        "what becomes of an example over the model's tokens (estimated)", "POLICY", ("warn", "reject"), shapes=True)
    splits: str = option(_SPLIT, "train=0.9,validation=0.1",
        "fractions that sum to 1; test may be named too", "SPEC", common=True, shapes=True, check=parse_splits)
    split_by: str = option(_SPLIT, "",
        "column whose value decides the split, so that equal values stay together; image: examples that share one stay together, and "
        "all that hang together so",
        "COLUMN", common=True, shapes=True, check=check_split_by)
    join_common: bool = option(_SPLIT, False,
        "with --split_by image: an image in over 1 % of the examples, such as a logo, keeps them together too")
    split_column: str = option(_SPLIT, "",
        "column that names each row's split (train, validation, test)", "COLUMN", shapes=True)
    split_names: str = option(_SPLIT, "heed",
        "whether folders and files named after splits (train, valid, test, ...) decide, where no column does",
        "WHETHER", ("heed", "ignore"))
    seed: str = option(_SPLIT, "0", "text that keys ids, and so the splits", "TEXT", shapes=True, check=check_seed)
    max_validation: int | str = option(_SPLIT, -1,
        "examples in validation.jsonl; the others go to validation-unused.jsonl (-1: the profile's); auto: of those that no name "
        "of the data puts there so many that they take at most 20 % of the bytes of the training file that a job takes",
        "N|auto", shapes=True, check=check_max_validation)
    sample: str = option(_SPLIT, "",
        "keep only so many examples (100), or such a fraction (0.01)", "N", shapes=True, check=check_sample)
    shuffle_seed: str = option(_SPLIT, "",
        "any text; lines then stand in the order of a hash keyed by it, not of the input", "TEXT", check=check_seed)

    max_rejected_fraction: float = option(_RUN, 0.1,
        "of the examples that may be rejected; above it nothing is sealed (from 100 examples on)",
        "FRACTION", check=within(0, 1))
    block_bytes: int = option(_RUN, 262_144, "bytes of rows a worker takes at a time", "N", check=at_least(1024))
    threads: int = option(_RUN, 256,
        "reads of images that a process has under way at once (gs:// and URLs)", "N", check=within(1, 256))
    per_host: int = option(_RUN, 8,
        "transfers of images named by URL that a process has under way at once with one server", "N", check=within(1, 256))
    previous: str = option(_RUN, "",
        "dataset of an earlier night, sealed with --keep_blocks: what has not changed since is taken from it; or the folder that "
        "the nights lie in: the newest that can be used; or a stream: what its windows found of images", "FOLDER")
    require_previous: bool = option(_RUN, False,
        "do nothing (exit status 2) if --previous cannot be used, instead of a full run")
    trust_uris: bool = option(_RUN, False,
        "with --previous: objects are never overwritten, so none is asked whether it has changed")
    user_project: str = option(_RUN, "", "project that is billed for requests to requester-pays buckets", "PROJECT")
    decode_memory: int = option(_RUN, 0,
        "megabytes that decoded images may take at once on a machine; one larger than that is decoded alone (0: 400"
        " a core, at most half of the memory)", "N", check=at_least(0))
    preview: int = option(_RUN, 0,
        "show so many finished examples, and the rows before them that are rejected; nothing is written",
        "N", common=True, check=at_least(0))
    dry_run: bool = option(_RUN, False,
        "run without writing: show the ledger, and what the job would rewrite, write and request", common=True)
    take_over: bool = option(_RUN, False, "go on in a folder that another live job has claimed")
    keep_blocks: bool = option(_RUN, False, "keep the committed blocks in OUTPUT/_tuneset after sealing")
    no_wait: bool = option(_RUN, False, "return once the job is submitted; exit status 0 then means submitted")
    quiet: bool = option(_RUN, False, "show no progress")
    verbose: bool = option(_RUN, False, "show Beam's log and tracebacks")
# fmt: on


OPTIONS: tuple[Option, ...] = tuple(replace(line.metadata["option"], name=line.name) for line in fields(Options))
