"""What a block writes: its parts as bytes, and the ids that caps choose from.

The two tables travel as Arrow streams (a tenth of the cost of Parquet for some hundred rows) and are merged into Parquet by the seal.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import nsmallest
from typing import Any

import pyarrow as pa

from transforms.core.arrow_stream import stream
from transforms.core.places import BUCKET, LONGEST, keep_buckets
from transforms.core.records import Example, OpenBlock
from transforms.examples.gemini_rules import output_line
from transforms.examples.rejected_rows import rejected_line
from transforms.examples.splits import rank
from transforms.storage.uris import bucket_of, bucket_uri, is_object

SPLITS = ("train", "validation", "test")
_CUT_URI = 2 * LONGEST  # characters of a source, with its folder; a longer one was not read
# One row per output line, in the order of the block's lines; the seal adds file, line, byte offset and the row's line.
EXAMPLES = pa.schema(
    [
        ("split", pa.int8()),  # index into SPLITS
        ("id", pa.uint64()),
        ("number", pa.uint64()),  # that its split was chosen by, and caps choose by: the id, or that of its group
        ("extent", pa.int32()),  # index into the receipt's lines: the source
        ("row_offset", pa.int64()),
        ("row_line", pa.int32()),  # within the block's extent
        ("piece", pa.int32()),
        ("pieces", pa.int32()),
        ("images", pa.int32()),
        ("tokens", pa.int64()),
        ("bytes", pa.int32()),
    ]
)
# One row per distinct source and fate.
IMAGES = pa.schema(
    [
        ("source", pa.string()),
        ("generation", pa.string()),
        ("fate", pa.string()),
        ("reason", pa.string()),
        ("references", pa.int32()),
        ("bytes", pa.int64()),
        ("type", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("orientation", pa.int8()),
        ("frames", pa.int32()),  # 0: more than one, not counted
        ("escalated", pa.bool_()),
        ("encoding", pa.string()),
        ("output", pa.string()),
        ("output_bytes", pa.int64()),
        ("quality", pa.int16()),
        ("scale", pa.float32()),
        ("renamed_from", pa.list_(pa.string())),  # names in rows that are not there, for which this one was taken
    ]
)
BLOCK_IMAGES = pa.schema([*IMAGES, ("identity", pa.string())])  # as a block holds them, for a later night's facts

# One row per line of the dataset, in the order of its lines.
_WORDS = pa.dictionary(pa.int32(), pa.string())  # on the way to the file: readers see strings
EXAMPLES_FILE = pa.schema(
    [
        ("split", _WORDS),
        ("file", _WORDS),
        ("line", pa.int64()),  # 1-based, as the tuning service counts dropped lines
        ("byte_offset", pa.int64()),  # of the line in its file
        ("id", pa.string()),  # 16 hex digits
        ("source", _WORDS),
        ("source_line", pa.int64()),  # 1-based
        ("source_offset", pa.int64()),
        ("piece", pa.int32()),  # 1-based, of `pieces`
        ("pieces", pa.int32()),
        ("images", pa.int32()),
        ("tokens", pa.int64()),  # estimated
        ("bytes", pa.int32()),
    ]
)
REPEATING = ["split", "file", "source", "piece", "pieces", "images"]  # a dictionary of the others gains nothing


@dataclass(frozen=True)
class Caps:
    """How many examples the seal keeps of all that there are: lines of validation, and rows in a sample (None: all).

    by_share: validation is also held against the training file (validation.py), unless the data names a line of it.
    """

    validation: int | None = None
    sample: int | None = None
    by_share: bool = False


def parts(opened: OpenBlock) -> Iterator[tuple[str, bytes, int]]:
    """(kind, bytes, lines) of every part of a finished block. Also counts what it writes."""
    texts: dict[str, list[bytes]] = {split: [] for split in SPLITS}
    rows: list[tuple[int, ...]] = []
    extents = {source: index for index, (source, _) in enumerate(opened.lines)}
    for example in opened.examples:
        row, pieces, name = example.row, example.pieces, example.split
        place = (SPLITS.index(name), example.id, number_of(example), extents[row.source], row.offset, row.line)
        for number, contents in enumerate(pieces):
            line = output_line(example, contents)
            texts[name].append(line)
            images = len(example.images) if len(pieces) == 1 else count_images(contents)
            rows.append((*place, number + 1, len(pieces), images, example.tokens[number], len(line)))
    opened.counters["examples_written"] = len(rows)
    for name, lines in texts.items():
        yield name, b"".join(lines), len(lines)
    if rows:
        yield "examples", stream(_batch(rows, EXAMPLES)), len(rows)
    if sources := _image_rows(opened):
        yield "images", stream(_batch(sources, BLOCK_IMAGES)), len(sources)
    opened.rejections.sort(key=lambda r: (extents.get(r.row.source, 0), r.row.offset))
    yield "rejected", b"".join(rejected_line(r, opened.block.format) for r in opened.rejections), len(opened.rejections)


def _batch(rows: list[tuple[Any, ...]], schema: pa.Schema) -> pa.RecordBatch:
    return pa.record_batch([pa.array(column, field.type) for column, field in zip(zip(*rows), schema)], schema=schema)


def number_of(example: Example) -> int:
    """The number that chose an example's split, and by which a cap chooses: whole groups, or single examples."""
    return example.id if example.group is None else example.group


def count_images(contents: list[dict]) -> int:
    return sum("fileData" in part for turn in contents for part in turn["parts"])


def _image_rows(opened: OpenBlock) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    names: dict[str, list[str]] = {uri: [] for uri in opened.fates}
    for name, fact in opened.facts.items():
        if fact.respelled in names:
            names[fact.respelled].append(name)
    for uri, fates in opened.fates.items():
        facts, fitted = opened.facts[uri], opened.fitted.get(uri)
        reason = facts.reason or (fitted.reason if fitted else "")
        found = (facts.size, facts.type, facts.width, facts.height, facts.orientation, facts.frames)
        stored = (facts.escalated, facts.encoding)
        nothing = ("", 0, 0, 1.0)
        made = nothing
        if fitted and not fitted.reason:
            made = (fitted.uri, fitted.size, fitted.quality, fitted.scale)
        for fate, references in sorted(fates.items()):
            # An unused image is fitted only if another example of its block uses it: blocks of any size tell the same.
            output = nothing if fate == "unused" else made
            rows.append(
                (
                    uri[:_CUT_URI],
                    facts.generation,
                    fate,
                    reason,
                    references,
                    *found,
                    *stored,
                    *output,
                    sorted(names[uri]),
                    facts.identity,
                )
            )
    return rows


def words(indexes: Any, of: list[str]) -> pa.DictionaryArray:
    """A column of EXAMPLES_FILE in which few words repeat: indexes into `of`."""
    return pa.DictionaryArray.from_arrays(indexes, pa.array(of, pa.string()))


def buckets(opened: OpenBlock) -> list[str]:
    """The buckets that the lines of a block name, as far as `keep_buckets`: the tuning service must be able to read them."""
    found: set[str] = set()
    latest = bucket_uri("/")  # the folder of the bucket seen last, which the next URI most often begins with
    for example in opened.examples:
        for image in example.images:
            uri = image["fileUri"]
            if not uri.startswith(latest) and is_object(uri):
                bucket = bucket_of(uri)
                latest = f"{bucket_uri(bucket)}/"
                if BUCKET.fullmatch(bucket):  # under --verify none it may be any text
                    found.add(bucket)
    keep_buckets(found, ())
    return sorted(found)


def packed_ids(opened: OpenBlock, caps: Caps) -> dict[str, bytes]:
    """The ids that global caps choose from: no more of a block than the cap could keep."""
    chosen = [example for example in opened.examples if example.split == "validation"]
    lines = [
        (number_of(e), e.id, len(output_line(e, contents)) if caps.by_share else 0)
        for e in chosen
        for contents in e.pieces
    ]
    named = any(example.split_named for example in chosen)
    return packed_ids_of([example.id for example in opened.examples], lines, named, caps)


def packed_ids_of(rows: list[int], lines: list[tuple[int, int, int]], named: bool, caps: Caps) -> dict[str, bytes]:
    """As `packed_ids`.

    Args:
      rows: ids of all rows. lines: (number, id, bytes) of the lines of validation, whose smallest numbers a cap keeps. named: whether
        the data names one of these.
    """
    packed: dict[str, bytes] = {}
    if caps.sample is not None:
        packed["sample"] = pack(nsmallest(caps.sample + 1, rows, key=rank))
    if caps.by_share or caps.validation is not None:
        lines = sorted(lines) if caps.by_share else lines
        # Under a sample the smallest may be left out, so none can be spared here.
        if caps.validation is not None and caps.sample is None:
            lines = nsmallest(caps.validation + 1, lines)
        numbers, ids = [number for number, _, _ in lines], [example_id for _, example_id, _ in lines]
        packed["validation"] = pack(numbers)
        if ids != numbers and caps.sample is not None:
            packed["validation_ids"] = pack(ids)
    if caps.by_share:
        packed |= {
            "validation_bytes": pack([size for _, _, size in lines]),
            "validation_named": pack([1] * named),
        }
    return {cap: some for cap, some in packed.items() if some}


def pack(ids: list[int]) -> bytes:
    packed = array("Q", ids)
    packed.byteswap()  # big-endian, on the little-endian machines this runs on
    return packed.tobytes()


def unpack(packed: bytes) -> array[int]:
    ids = array("Q", packed)
    ids.byteswap()
    return ids
