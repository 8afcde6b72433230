"""What an input can be, on two axes: its container (how rows are stored) and its meaning (what a row says). A line for each.

Whoever lists, cuts, reads, detects, answers, replays or refuses asks here. No name of a format is compared anywhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from transforms.core.media_types import IMAGE_TYPES
from transforms.core.reasons import RowError
from transforms.core.records import Example, Record
from transforms.examples.recipe import TABLE_COLUMNS, Columns
from transforms.inputs.formats import automl
from transforms.inputs.formats.openai import is_openai_object, openai_example
from transforms.inputs.formats.row_rules import RowRules
from transforms.inputs.json_array import is_array
from transforms.storage.packings import ENDINGS, without_ending

SIDECAR_NAMES = ("{path.stem}.json", "{path.stem}.txt", "{path.name}.json", "{path.name}.txt")
_BOM = b"\xef\xbb\xbf"
_PACKINGS = tuple(ENDINGS)
CellsColumns = Callable[[Sequence[str]], dict[str, Any]]


@dataclass(frozen=True)
class Container:
    """How rows are stored.

    name: `Dialect.kind`. endings: of the files' names. unsure: those of files that may hold something else: a folder gives them where
    some were found to hold rows. packings: endings that a packed file has behind these. is_lines: a row is a line of JSON.
    is_columnar: the file tells its columns, and is cut by row groups. is_folder: a row is a file. is_gathered: no file, but rows of an
    image that one worker brought together. starts: whether the first bytes of a file say that it is this one, whatever its name.
    """

    name: str
    endings: tuple[str, ...]
    unsure: tuple[str, ...] = ()
    packings: tuple[str, ...] = ()
    is_lines: bool = False
    is_columnar: bool = False
    is_folder: bool = False
    is_gathered: bool = False
    starts: Callable[[bytes], bool] = field(default=lambda head: False)

    @cached_property
    def suffixes(self) -> tuple[str, ...]:
        """Of the files that a folder gives."""
        return self._packed(self.endings)

    @cached_property
    def unsure_suffixes(self) -> tuple[str, ...]:
        """Of the files that a folder gives where some of them were found to hold rows."""
        return self._packed(self.unsure)

    def _packed(self, endings: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(ending + packing for ending in endings for packing in ("", *self.packings))


def _starts_json(head: bytes) -> bool:
    return head.removeprefix(_BOM).lstrip().startswith(b"{") or is_array(head)


PARQUET = Container("parquet", (".parquet",), is_columnar=True, starts=lambda head: head.startswith(b"PAR1"))
LINES = Container("jsonl", (".jsonl", ".ndjson"), (".json",), _PACKINGS, is_lines=True, starts=_starts_json)
CSV = Container("csv", (".csv", ".tsv", ".tab"), packings=_PACKINGS)
_FOLDER = Container("folder", tuple(f".{name}" for name in IMAGE_TYPES), is_folder=True)
GATHERED = Container("grouped", (), is_gathered=True)
CONTAINERS = {container.name: container for container in (PARQUET, LINES, CSV, _FOLDER, GATHERED)}


def container_of(uri: str, head: bytes) -> Container:
    """What a file of rows is stored in: by its name, else by its first bytes; CSV if neither tells.

    >>> [container_of(*file).name for file in (("a/B.CSV.gz", b""), ("part-0", b'{"a": 1}'), ("part-0", b"a,b"))]
    ['csv', 'jsonl', 'csv']
    """
    name = without_ending(uri)
    if PARQUET.starts(head):
        return PARQUET
    named = next((c for c in CONTAINERS.values() if not c.is_folder and name.endswith(c.endings + c.unsure)), None)
    return named or (LINES if LINES.starts(head) else CSV)


@dataclass(frozen=True)
class Meaning:
    """What a row says.

    name: --input_format, and `format` of blocks, whose keys hold it. containers: that may hold it. help: what the option's help says
    of it. said: what a person is told that an input holds. rows: the same
    in errors. files: endings that an error tells. by_name: a file's name is enough to take
    it for this. by_templates: examples are made by --prompt and --answer. example: makes one; None: the row is Gemini's.
    tells: whether the keys of the first lines of JSON say that it is this.

    For rows that templates make examples of, and that have the same columns in every file: columns (None: each file has its own),
    have: what an error says before their names, answers: what is said of the answer if none is asked for, by whether there are boxes;
    row: how the recipe reads a row's columns, split_column: that decides the split where nothing else does.

    For containers whose cells have no header: cells: of a record of CSV -> columns; is_record: whether a record is such a one; is_box:
    whether it is a box, of which an image has several records; object: of a line of JSON -> columns; box_key: of its boxes.
    """

    name: str
    containers: tuple[Container, ...]
    help: str
    said: str
    rows: str
    files: str
    by_name: bool = False
    by_templates: bool = False
    example: Callable[[Record, str, RowRules], Example] | None = None
    tells: Callable[[dict[str, Any]], bool] = field(default=lambda keys: False)
    columns: tuple[str, ...] | None = None
    have: str = ""
    answers: tuple[str, str] = ("", "")
    row: Columns = TABLE_COLUMNS
    split_column: str = ""
    cells: CellsColumns | None = None
    is_record: Callable[[Sequence[str]], bool] | None = None
    is_box: Callable[[Sequence[str]], bool] | None = None
    object: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    box_key: str = ""

    @cached_property
    def suffixes(self) -> tuple[str, ...]:
        """Of the files that a folder gives when it is read as this."""
        return tuple(suffix for container in self.containers for suffix in container.suffixes)

    @cached_property
    def unsure_suffixes(self) -> tuple[str, ...]:
        """As Container has them."""
        return tuple(suffix for container in self.containers for suffix in container.unsure_suffixes)

    @property
    def own_columns(self) -> bool:
        """Whether templates make examples of its rows, and each file has columns of its own."""
        return self.by_templates and self.columns is None

    @property
    def only_lines(self) -> bool:
        """Whether every file is lines of JSON, whatever its name."""
        return all(container.is_lines for container in self.containers)

    @property
    def of_files(self) -> bool:
        """Whether a row is a file."""
        return all(container.is_folder for container in self.containers)

    @property
    def may_hold_images(self) -> bool:
        """Whether the bytes of images may stand in rows."""
        return any(container.is_columnar for container in self.containers)


def _by_recipe(row: Record, base: str, rules: RowRules) -> Example:
    if rules.recipe is None:
        raise RowError("other_format", f"the row is of a {row.format}: replay it with its --prompt and --answer")
    columns = MEANINGS[row.format].row
    return rules.recipe.example(row, base, seed=rules.seed, check_types=rules.check_types, read_as=columns)


DEFAULT = Meaning(
    "gemini",
    (LINES,),
    "one tuning example a line, as JSON",
    "Gemini's rows, one a line",
    "Gemini's rows",
    "*.jsonl",
    by_name=True,
)
TABLE = Meaning(
    "table", (LINES, CSV, PARQUET), "CSV, TSV, JSON lines or Parquet with a column of images", "a table", "rows of a table",
    "*.jsonl, *.csv, *.tsv and *.parquet", by_name=True, by_templates=True, example=_by_recipe,
)  # fmt: skip
IMAGES = Meaning(
    "folder", (_FOLDER,), "images", "images, one a row", "images", "*.jpg, *.png and other images", by_name=True, by_templates=True,
    example=_by_recipe, columns=("image", "sidecar"), have="an image of a folder has path, sidecar and",
    answers=("the names of their folders (--answer '{path.parent}')",) * 2,
    row=Columns("image", answer="{path.parent}", verbatim=True, sidecars=SIDECAR_NAMES),
)  # fmt: skip
MEANINGS: Mapping[str, Meaning] = {
    meaning.name: meaning
    for meaning in (
        DEFAULT,
        IMAGES,
        TABLE,
        Meaning(
            "automl", (LINES, CSV), "Vertex AutoML's CSV or JSON lines", "AutoML's rows", "AutoML's rows", "*.jsonl and *.csv",
            by_templates=True, example=_by_recipe, tells=automl.is_automl_object, columns=automl.COLUMNS,
            have="AutoML's rows have", answers=("--answer '{labels}'", "--answer '{boxes|json}'"),
            row=Columns("image", answer="{labels}", boxes="{boxes|json}", fault=automl.FAULT), split_column="ml_use",
            cells=automl.cells_columns, is_record=automl.is_automl_row, is_box=automl.has_box, object=automl.object_columns,
            box_key="boundingBoxAnnotations",
        ),
        Meaning(
            "openai", (LINES,), "OpenAI's vision fine-tuning, JSON lines with messages", "OpenAI's messages, a row a line",
            "OpenAI's messages", "*.jsonl", example=openai_example, tells=is_openai_object,
        ),
    )
}  # fmt: skip
