"""What an input can be, on two axes: its container (how rows are stored) and its meaning (what a row says). A line for each.

Whoever lists, cuts, reads, detects, answers, replays or refuses asks here. No name of a format is compared anywhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from transforms.core.limits import LINE_BYTES
from transforms.core.media_types import IMAGE_TYPES
from transforms.core.reasons import RowError
from transforms.core.records import Example, Extent, OpenBlock, Record
from transforms.examples.recipe import TABLE_COLUMNS, Columns
from transforms.inputs.formats import automl, chat_columns, excel, label_studio, multiclass, pubtabnet, voc, yolo
from transforms.inputs.formats.boxes import BOXES, FAULT
from transforms.inputs.formats.inline_images import LINE_BYTES as INLINE_BYTES
from transforms.inputs.formats.inline_images import stage_data_uris
from transforms.inputs.formats.joined import coco, vqa
from transforms.inputs.formats.llava import is_llava_object, llava_example
from transforms.inputs.formats.openai import is_openai_object, openai_example
from transforms.inputs.formats.openai_rows import openai_row
from transforms.inputs.formats.paligemma import has_location, is_paligemma_object, paligemma_example
from transforms.inputs.formats.row_rules import RowRules
from transforms.inputs.formats.shards import saved_dataset, webdataset
from transforms.inputs.json_array import is_array
from transforms.storage.packings import ENDINGS, without_ending

SIDECAR_NAMES = ("{path.stem}.json", "{path.stem}.txt", "{path.name}.json", "{path.name}.txt")
_BOM = b"\xef\xbb\xbf"
_PACKINGS = tuple(ENDINGS)
CellsColumns = Callable[[Sequence[str]], dict[str, Any]]


@dataclass(frozen=True)
class Container:
    """How rows are stored.

    name: `Dialect.kind`. endings: of the files' names; is_named: whether these tell it from others. unsure: those of files that may
    hold something else: a folder gives them where some were found to hold rows. packings: endings that a packed file has behind these.
    is_lines: a row is a line of JSON. is_columnar: the file tells its columns, and is cut by row groups. is_folder: a row is a file.
    is_gathered: no file, but rows of an image that one worker brought together. starts: whether the first bytes of a file say that it
    is this one, whatever its name.

    convert: makes lines of JSON of a whole file, which one worker then reads; it raises Damaged. title: what
    that file is. shows_columns: whether the first of
    these lines are soon made, so that columns are told by them. reads_others: whether they are made of other files, too.
    stage: puts the images that stand in a block's rows where images are read from. file_columns: makes the columns of the one row
    that a file is, of its URI and bytes.
    """

    name: str
    endings: tuple[str, ...]
    unsure: tuple[str, ...] = ()
    packings: tuple[str, ...] = ()
    is_named: bool = True
    is_lines: bool = False
    is_columnar: bool = False
    is_folder: bool = False
    is_gathered: bool = False
    starts: Callable[[bytes], bool] = field(default=lambda head: False)
    convert: Callable[[Extent], Iterator[bytes]] | None = None
    title: str = ""
    shows_columns: bool = False
    reads_others: bool = False
    stage: Callable[[OpenBlock, Callable[[bytes], tuple[str, str]]], OpenBlock] | None = None
    file_columns: Callable[[str, bytes], dict[str, Any]] | None = None

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
_XLSX = Container(
    "xlsx",
    (".xlsx",),
    is_lines=True,
    starts=excel.is_workbook,
    convert=excel.lines_of,
    shows_columns=True,
    title="Excel",
)
# Meanings that a folder may be told to have.
COCO, YOLO, VOC, TAR_SHARDS = "coco", "yolo", "voc", "webdataset"
_COCO = Container("coco", (".json",), is_named=False, is_lines=True, starts=coco.is_coco, convert=coco.lines_of)
_VQA = Container(
    "vqa", (".json",), is_named=False, is_lines=True, starts=vqa.is_vqa, convert=vqa.lines_of, reads_others=True
)
_YOLO = Container("yolo", (".yaml", ".yml"), is_lines=True, convert=yolo.lines_of, reads_others=True)
_TAR = Container(
    "tar", (".tar",), is_lines=True, convert=webdataset.lines_of, shows_columns=True, stage=webdataset.stage_images
)
_ARROW = Container(
    "arrow", (".arrow",), is_lines=True, starts=saved_dataset.is_arrow_stream, convert=saved_dataset.lines_of,
    shows_columns=True, stage=saved_dataset.stage_images, title="Arrow",
)  # fmt: skip
_VOC = Container("voc", (".xml",), file_columns=voc.columns_of)
CONTAINERS = {
    container.name: container
    for container in (PARQUET, CSV, _XLSX, _ARROW, _COCO, _VQA, _YOLO, _VOC, _TAR, LINES, _FOLDER, GATHERED)
}


def container_of(uri: str, head: bytes, encoding: str = "") -> Container:
    """What a file of rows is stored in: by its name, else by its first bytes; CSV if neither tells.

    Args:
        encoding: of the file, as cutting.as_stored tells it: where it is converted, `head` are the first lines that are made of it.

    >>> [container_of(*file).name for file in (("a/B.CSV.gz", b""), ("part-0", b'{"a": 1}'), ("part-0", b"a,b"))]
    ['csv', 'jsonl', 'csv']
    """
    if encoding in CONTAINERS:
        return CONTAINERS[encoding]
    name = without_ending(uri)
    if PARQUET.starts(head):
        return PARQUET
    files = [container for container in CONTAINERS.values() if not container.is_folder]
    named = next((c for c in files if c.is_named and name.endswith(c.endings)), None)
    told = named or next((c for c in files if c.starts(head)), None)
    return told or next((c for c in files if name.endswith(c.unsure)), CSV)


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
    whether it is a box, of which an image has several records; object: of a line of JSON, or a record with a header, -> columns.

    stage: puts the images that stand in a block's lines where images are read from. line_bytes: that a row may have,
    where nobody said. image_columns: whose bytes are images, where no option names them; all other columns are read too.

    draws_boxes: whether a line of JSON holds boxes, for which pictures have to be upright; always_boxes: whether every row may.
    row_of_line: the way back, a line of a dataset -> a row, or RowError.
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
    draws_boxes: Callable[[dict[str, Any]], bool] | None = None
    always_boxes: bool = False
    row_of_line: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    stage: Callable[[OpenBlock, Callable[[bytes], tuple[str, str]]], OpenBlock] | None = None
    line_bytes: int = LINE_BYTES
    image_columns: tuple[str, ...] = ()

    def longest_line(self, asked: int) -> int:
        """The bytes that a row may have, where --max_line_bytes is `asked`."""
        return self.line_bytes if asked == LINE_BYTES else asked

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

    def has_columns(self, names: Collection[str]) -> bool:
        """Whether it has all these columns, as far as they are the same in every file."""
        return not self.columns or set(names) <= set(self.columns)

    @property
    def by_header(self) -> bool:
        """Whether it makes its columns of those that a CSV file's header names."""
        return self.object is not None and self.cells is None

    @property
    def only_lines(self) -> bool:
        """Whether every file is lines of JSON, whatever its name."""
        return all(container.is_lines and not container.convert for container in self.containers)

    @property
    def only_converted(self) -> bool:
        """Whether lines are made of every file."""
        return all(container.convert for container in self.containers)

    @property
    def file_columns(self) -> Callable[[str, bytes], dict[str, Any]] | None:
        """Makes a row of a file, where each is one."""
        return self.containers[0].file_columns

    @property
    def of_files(self) -> bool:
        """Whether a row is a file."""
        return all(container.is_folder for container in self.containers)

    @property
    def may_hold_images(self) -> bool:
        """Whether the bytes of images may stand in rows."""
        return self.stage is not None or any(container.is_columnar or container.stage for container in self.containers)


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
    "table", (LINES, CSV, PARQUET, _XLSX, _ARROW), "CSV, TSV, JSON lines, Parquet, Excel or Arrow with a column of images",
    "a table", "rows of a table",
    "*.jsonl, *.csv, *.tsv, *.parquet, *.xlsx and *.arrow", by_name=True, by_templates=True, example=_by_recipe,
)  # fmt: skip
IMAGES = Meaning(
    "folder", (_FOLDER,), "images", "images, one a row", "images", "*.jpg, *.png and other images", by_name=True, by_templates=True,
    example=_by_recipe, columns=("image", "sidecar", "metadata"),
    have="an image of a folder has path, sidecar and",
    answers=("the names of their folders (--answer '{path.parent}')",) * 2,
    row=Columns("image", answer="{path.parent}", verbatim=True, sidecars=SIDECAR_NAMES),
)  # fmt: skip
_DETECTION = Columns("image", boxes="{boxes|json}", fault=FAULT, verbatim=True)
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
            row=Columns("image", answer="{labels}", boxes="{boxes|json}", fault=FAULT), split_column="ml_use",
            cells=automl.cells_columns, is_record=automl.is_automl_row, is_box=automl.has_box, object=automl.object_columns,
            draws_boxes=automl.has_boxes,
        ),
        Meaning(
            COCO, (_COCO,), "COCO's detection or captions, one JSON file", "COCO's images and annotations", "COCO's rows",
            "*.json", by_templates=True, example=_by_recipe, columns=(*BOXES, "caption", "captions"), have="COCO's rows have",
            answers=("boxes (--answer '{boxes|json}'), or captions (--answer '{caption}')",) * 2, always_boxes=True,
            row=Columns("image", answer="{caption}", boxes="{boxes|json}", fault=FAULT, verbatim=True),
        ),
        Meaning(
            YOLO, (_YOLO,), "YOLO's data.yaml, with the images and labels that it names", "YOLO's images and labels", "YOLO's rows",
            "data.yaml", by_templates=True, example=_by_recipe, columns=(*BOXES, "split"), have="YOLO's rows have",
            answers=("--answer '{boxes|json}'",) * 2, always_boxes=True, split_column="split", row=_DETECTION,
        ),
        Meaning(
            VOC, (_VOC,), "Pascal VOC's XML files, one an image", "Pascal VOC's annotations", "VOC's rows", "*.xml",
            by_templates=True, example=_by_recipe, columns=BOXES, have="VOC's rows have",
            answers=("--answer '{boxes|json}'",) * 2, always_boxes=True, row=_DETECTION,
        ),
        Meaning(
            "multiclass", (CSV,), "Roboflow's CSV with a 0 or 1 for each class", "Roboflow's classes", "rows of classes", "*.csv",
            by_templates=True, example=_by_recipe, tells=multiclass.is_multiclass, columns=multiclass.COLUMNS,
            have="rows of classes have", answers=("the names of the classes (--answer '{answer}')",) * 2,
            row=Columns("image", answer="{answer}", verbatim=True), object=multiclass.columns_of,
        ),
        Meaning(
            "vqa", (_VQA,), "VQA v2's questions, with the annotations beside them", "VQA's questions and answers", "VQA's questions",
            "*questions*.json", by_templates=True, example=_by_recipe, columns=vqa.COLUMNS, have="VQA's questions have",
            answers=("the one that most gave (--answer '{answer}')",) * 2, row=Columns("image", answer="{answer}", verbatim=True),
        ),
        Meaning(
            "pubtabnet", (LINES,), "PubTabNet's tables", "PubTabNet's tables", "PubTabNet's tables", "*.jsonl", by_templates=True,
            example=_by_recipe, tells=pubtabnet.is_pubtabnet, columns=pubtabnet.COLUMNS, have="PubTabNet's tables have",
            answers=("HTML (--answer '{html}'; '{markdown}' for Markdown)",) * 2, split_column="split",
            row=Columns("image", answer="{html}", verbatim=True), object=pubtabnet.columns_of,
        ),
        Meaning(
            TAR_SHARDS, (_TAR,), "WebDataset's tar shards", "WebDataset's samples", "samples of a WebDataset", "*.tar",
            by_templates=True, example=_by_recipe, columns=(), have="the first samples have",
            answers=("their text, caption or class (--answer '{answer}')",) * 2, row=Columns("image", answer="{answer}", fault=FAULT),
        ),
        Meaning(
            "label_studio", (LINES, CSV), "Label Studio's JSON, JSON-MIN or CSV", "Label Studio's annotations",
            "Label Studio's annotations", "*.json and *.csv", by_templates=True, example=_by_recipe,
            tells=label_studio.is_label_studio, columns=(), have="the first rows have",
            answers=("their choices and texts (--answer '{answer}')", "--answer '{boxes|json}'"),
            row=Columns("image", answer="{answer}", boxes="{boxes|json}", fault=FAULT, verbatim=True),
            object=label_studio.columns_of, draws_boxes=label_studio.has_boxes,
        ),
        Meaning(
            "llava", (LINES,), "LLaVA's, ShareGPT's and ms-swift's conversations, with <image> where an image stands",
            "conversations with <image> places (LLaVA, ShareGPT, ms-swift)", "conversations", "*.json and *.jsonl",
            example=llava_example, tells=is_llava_object, stage=stage_data_uris, line_bytes=INLINE_BYTES,
        ),
        Meaning(
            "conversations", (PARQUET, _ARROW), "conversations in columns of Parquet or Arrow: messages, or conversations",
            "conversations in columns (messages, conversations)", "conversations in columns", "*.parquet and *.arrow",
            example=chat_columns.chat_example, tells=chat_columns.is_chat, image_columns=chat_columns.IMAGES,
        ),
        Meaning(
            "paligemma", (LINES,), "PaliGemma's prefix and suffix, with <loc> boxes", "PaliGemma's prefix and suffix",
            "PaliGemma's rows", "*.jsonl", example=paligemma_example, tells=is_paligemma_object, draws_boxes=has_location,
        ),
        Meaning(
            "openai", (LINES,), "OpenAI's vision fine-tuning, JSON lines with messages", "OpenAI's messages, a row a line",
            "OpenAI's messages", "*.jsonl", example=openai_example, tells=is_openai_object, row_of_line=openai_row,
            stage=stage_data_uris, line_bytes=INLINE_BYTES,
        ),
    )
}  # fmt: skip
