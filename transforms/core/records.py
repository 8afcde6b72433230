"""What flows through the rooms: nouns only, no behaviour beyond what a record knows about itself.

Input, Links         one of the patterns a job was given, and what it names
Extent, Block        descriptors: the only things that cross a shuffle before a block is committed
Fault                why the rest of a file cannot be used
Dialect              how a table file is written
Row, Record, Example one input line, or row of a table, and what it means
Header, ImageFacts   what a file's bytes say, and what inspection settled about one reference
FitOrder             one image to rewrite, named by its source and policy
Rejection            one row that was not used, with a stable reason
Part, Receipt        what storage holds of a committed block

Records are frozen but for those that are made for every row or image: freezing multiplies what making one costs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from transforms.core.warning_codes import WarningCounts

SortKey = tuple[int, bytes, int]  # (pattern index, object name as UTF-8 bytes, start offset): the order of the dataset


@dataclass(frozen=True, slots=True)
class Links:
    """Where links to folders may lead below an input, as real paths; nowhere unless it is said."""

    readable: tuple[str, ...] = ()  # folders that may be read
    walked: tuple[str, ...] = ()  # folders that inputs name, and of which all names are listed


NO_LINKS = Links()


@dataclass(frozen=True, slots=True)
class Input:
    """A file, glob or folder, and the format of its rows."""

    pattern: str
    format: str = "gemini"
    base: str = ""  # folder that its images' paths are told from; "": that of the file a row stands in
    left_out: tuple[str, ...] = ()  # folders below it that are not read
    nearer: tuple[
        str, ...
    ] = ()  # of a metadata file: folders below its own with one of theirs, which speaks for their images
    links: Links = NO_LINKS
    json: bool = False  # whether .json files of the folder were found to hold rows


@dataclass(frozen=True, slots=True)
class Extent:
    """A byte range of one version of one file; records that *begin* in [start, end) belong to it. Of Parquet it counts rows."""

    uri: str
    generation: str  # gs://: the object's generation; locally "SIZE-MTIME_NS"
    size: int  # of the whole file, in bytes
    start: int
    end: int
    encoding: str = (
        ""  # "gzip": stored compressed by Content-Encoding; this, bz2, xz or zst: a row file's first bytes say so
    )

    def __reduce__(self) -> tuple[type[Extent], tuple[str, str, int, int, int, str]]:
        """A block of a folder carries hundreds: without this, most of a shuffle is dataclasses telling their fields."""
        return Extent, (self.uri, self.generation, self.size, self.start, self.end, self.encoding)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a file of a table is written."""

    kind: str  # the name of its container (inputs/registry.py)
    delimiter: str = ","
    encoding: str = "utf-8"
    names: tuple[str, ...] = ()  # of the columns
    header: bool = True  # whether the first record of a CSV file names them
    quoted: bool = True  # whether a quote of CSV begins a quoted cell; else it is a letter
    carriage_returns: bool = False  # whether lines of CSV end with CR alone
    classes: bool = False  # whether the footer of a Parquet file has names for numbers of these columns


@dataclass(frozen=True, slots=True)
class Fault:
    """Why the rest of a file cannot be used: one rejection stands for it. `reason` is a name of REASONS."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class ImageGroups:
    """What a block's examples have to do with those of others, by the images that they share (--split_by image).

    labels: of each example that was built, in order: packed 64-bit numbers, of which equal ones stay in one split.
    common: hashes of its images that are everywhere, and join nothing. large: labels of its groups that no split can hold.
    facts: URI of the part that holds the facts of its images; "" if nobody looked at them.
    """

    labels: bytes
    common: tuple[int, ...] = ()
    large: tuple[int, ...] = ()
    facts: str = ""


@dataclass(frozen=True, slots=True)
class Block:
    """The unit that flows: one range of a file, or several small whole files; some 256 KB of rows."""

    order: SortKey
    extents: tuple[Extent, ...]
    format: str  # the name of its rows' meaning (inputs/registry.py), which block keys digest
    raw: bytes | None = None  # decompressed rows of a file that cannot be ranged; offsets are in that text
    fault: Fault | None = None
    lines: int = 0  # physical lines of what the fault stands for
    dialect: Dialect | None = None  # of a table's range; None: whole files, each of which tells its own
    base: str = ""  # as its input's
    folder: str = ""  # below which its parts and its receipt are put; "": the job's output folder
    nearer: tuple[str, ...] = ()  # as its input's
    told: str = ""  # a digest of `raw`, where other files than that of its extents told it
    groups: ImageGroups | None = None  # under --split_by image, once all blocks were looked at


@dataclass(slots=True)
class Row:
    """One non-blank input line."""

    source: str  # URI of the file it stands in
    offset: int  # of its first byte in that file (in the decompressed text, if it is compressed)
    line: int  # 1-based, counted from the start of the block's extent
    raw: bytes  # without the line end
    transformed: bool = field(default=False, kw_only=True)  # --transform made it


@dataclass(slots=True)
class Record(Row):
    """One row of a table, a folder or AutoML: named values. `raw` is empty unless the row was a line of JSON."""

    columns: dict[str, Any]  # JSON values
    format: str  # as its block's
    base: str = ""  # folder that relative image paths are resolved against; "": that of `source`


@dataclass(slots=True)
class Example:
    """A row that obeys the rules.

    `images` are the `fileData` objects inside `contents`, in reading order: writing to one changes the example.
    """

    row: Row
    id: int  # blake2b-64 of its canonical JSON
    contents: list[dict[str, Any]]
    head: dict[str, Any]  # systemInstruction, tools, generationConfig: what every piece repeats
    columns: dict[str, Any]  # the row's other keys
    images: list[dict[str, str]]
    sources: Sequence[str] = ()  # resolved URI of each image: the key of its facts
    tokens: Sequence[int] = ()  # estimated, of each piece
    text_bytes: int = -1  # of the texts of `contents`, in UTF-8; -1: not counted, or a part holds more
    base: str = ""  # folder that relative image paths are resolved against
    split: str = ""  # before it is assigned: that of a replayed row
    split_named: bool = False  # the data names its split; no hash chose it
    group: int | None = None  # the number of its group (image_groups.py), which chooses its split in place of the id
    pieces: Sequence[list[dict[str, Any]]] = ()  # contents of each piece, one if it was not split


@dataclass(slots=True)
class Header:
    """What the first bytes of an image file say. Sizes are as stored, before orientation."""

    type: str  # png jpeg webp heic heif avif gif bmp tiff ico jp2 jxl svg, and those of images/headers/rare.py
    width: int
    height: int
    orientation: int = 1  # EXIF 1..8
    frames: int = 1  # 0: more than one, not counted
    least_bytes: int = field(
        default=0, repr=False, compare=False
    )  # no file that holds its pixels is shorter; 0: unknown


@dataclass(slots=True)
class ImageFacts:
    """What inspection settled about one source, or why it cannot be used (`reason`)."""

    uri: str  # resolved source
    generation: str = ""
    size: int = 0  # bytes
    type: str = ""
    width: int = 0
    height: int = 0
    orientation: int = 1
    frames: int = 1
    reason: str = ""
    detail: str = ""
    escalated: bool = False  # its end marker was missing, so it was read whole and decoded
    end_missing: bool = False  # a JPEG with every row of its pixels but no end of image: it has to be rewritten
    encoding: str = ""  # "gzip": stored compressed by Content-Encoding; the other facts are of what it unpacks to
    respelled: str = ""  # the source that has this name in another spelling and is taken instead; the facts are its own
    unsought: bool = False  # it was not found, and other spellings of it were not looked for
    copied: str = ""  # where its bytes lie beside the dataset, if they were put there as it was looked at
    fetched: str = (
        ""  # where its bytes, unpacked, lie until it is rewritten, if a server was asked for all of them in a look
    )
    identity: str = ""  # equal for equal bytes, and for hardly any others; "" unless it was asked for
    kept: bool = False  # an earlier night's: tonight its server gave no answer


@dataclass(frozen=True, slots=True)
class FitOrder:
    """One distinct image to rewrite (or to stage as it is); `key` names source version and policy."""

    key: str
    facts: ImageFacts
    stage: bool = False  # conforming, only copied to where the tuning service can read it


@dataclass(frozen=True, slots=True)
class Fitted:
    """The outcome of a fit order: an object in the image folder, or the reason why there is none."""

    uri: str = ""
    type: str = ""
    size: int = 0
    width: int = 0
    height: int = 0
    fate: str = ""  # resized converted recompressed untouched (staged)
    quality: int = 0  # 0: lossless
    scale: float = 1.0
    frames_dropped: int = 0  # frames or pages of the source that are not in the image
    flat: bool = False  # nearly one colour, and the source was not
    reason: str = ""
    detail: str = ""
    identity: str = ""  # of a rewritten image: equal for equal pictures, whatever their sources are called


@dataclass(slots=True)
class OpenBlock:
    """A block in the making: what the rooms of the trunk hand on, each adding its part."""

    block: Block
    key: str
    rows: list[Row] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    lines: list[tuple[str, int]] = field(default_factory=list)  # (source, physical lines) of each extent
    facts: dict[str, ImageFacts] = field(default_factory=dict)  # by resolved URI
    fitted: dict[str, Fitted] = field(default_factory=dict)  # by resolved URI
    fates: dict[str, dict[str, int]] = field(default_factory=dict)  # references by resolved URI and fate
    counters: Counter[str] = field(default_factory=Counter)
    warnings: WarningCounts = field(default_factory=WarningCounts)


@dataclass(slots=True)
class Rejection:
    """One row that was not used: written to rejected.jsonl, replayable as input."""

    row: Row
    reason: str
    detail: str
    image: str = ""
    base: str = ""
    split: str = ""  # that names of its folders and files decided, which a replay cannot see


@dataclass(frozen=True, slots=True)
class Part:
    """One immutable object of a committed block; `lines` counts its rows or lines."""

    kind: str  # train validation test rejected examples images
    name: str  # relative to the output folder
    size: int
    lines: int
    crc32c: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """What storage says a block came to: the first execution that committed, for good."""

    key: str
    order: SortKey
    epoch: int  # of the run that wrote it: a receipt that may heal counts only within its epoch
    heals: bool  # it holds a rejection of class `missing`
    parts: tuple[Part, ...]
    lines: tuple[tuple[str, int], ...]  # (source, physical lines) of each extent, for line numbers
    counters: tuple[tuple[str, int], ...]
    reasons: tuple[tuple[str, int], ...]
    ids: tuple[tuple[str, bytes], ...] = ()  # (cap, packed big-endian 64-bit ids): what caps choose from
    reused: bool = False  # an earlier night's (--previous)
    buckets: tuple[str, ...] = ()  # that its lines name
    warnings: tuple[tuple[str, int, str], ...] = ()  # (code, count, smallest example)
    folder: str = ""  # as its block's
