"""What a block notes of the lines that it writes, by which the seal finds what a check would: published OpenBlock -> one more part.

A row for each line, so that what a cap leaves out later is left out here too. Nothing is read for it: images are told apart by what
inspection read of them, and rewritten ones by what was written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from transforms.core.arrow_stream import stream
from transforms.core.finding_codes import ALL, AUTO, NONE, is_extreme, is_small
from transforms.core.records import Example, OpenBlock
from transforms.dataset.block_files import SPLITS, count_images, number_of
from transforms.dataset.findings.hashes import answer_hash, answer_text, question_hash
from transforms.examples.image_groups import image_digest
from transforms.storage import abilities

KIND = "findings"  # of the part
LINES = pa.schema(
    [
        ("split", pa.int8()),  # index into SPLITS
        ("id", pa.uint64()),
        ("number", pa.uint64()),  # by which caps choose (block_files.number_of)
        ("piece", pa.int32()),  # 1-based
        ("answer", pa.uint64()),  # hash
        ("question", pa.uint64()),  # hash; 0 where lines are not compared
        ("images", pa.int32()),
        ("over_tokens", pa.bool_()),
        # how many of its images are
        ("rotated", pa.int32()),
        ("small", pa.int32()),
        ("extreme", pa.int32()),
        ("local", pa.int32()),
        ("hashes", pa.list_(pa.uint64())),  # of its images' identities; empty where lines are not compared
    ]
)
_NONE_COUNTED = (0, 0, 0, 0)
_BY_PATH = (False, False, False, True)


class _Image(NamedTuple):
    """What is noted of each image of one source.

    identity, digest: by which it is told apart (image_groups.py); empty where lines are not compared.
    counted: whether it is (rotated, small, extreme, named by a path); () if it is none of them.
    """

    identity: str
    digest: bytes
    counted: tuple[bool, ...]


@dataclass(frozen=True)
class Notes:
    """What is noted.

    level: of LEVELS: nothing, what lines say by themselves, or also what they are compared by. max_tokens: that a line may have.
    """

    level: str = NONE
    max_tokens: int = 0

    def part(self, opened: OpenBlock) -> Iterator[tuple[str, bytes, int]]:
        """(kind, bytes, lines) of the part of a block; none if nothing is noted."""
        if self.level == NONE:
            return
        images, rows, digests = dict[str, _Image](), list[tuple[Any, ...]](), list[bytes]()
        for example in opened.examples:
            for number, contents, sources in _pieces(example):
                known = [
                    images.get(source) or images.setdefault(source, self._image(opened, source, named["fileUri"]))
                    for source, named in sources
                ]
                rows.append(self._row(example, number, contents, known))
                digests += [image.digest for image in known]
        if rows:
            yield KIND, stream(_batch(rows, b"".join(digests))), len(rows)

    @property
    def _compares(self) -> bool:
        return self.level in (ALL, AUTO)

    def _image(self, opened: OpenBlock, source: str, named: str) -> _Image:
        """What is noted of a source, which the block's lines name by another URI."""
        facts, fitted = opened.facts.get(source), opened.fitted.get(source)
        by_path = abilities(named).has_paths
        if facts is None:  # under --verify none: nothing is known but its address
            identity, counted = source, _BY_PATH if by_path else ()
        else:
            rewritten = fitted is not None and fitted.fate != "untouched"
            shown = fitted if rewritten and fitted else facts
            identity, rotated = shown.identity, not rewritten and facts.orientation != 1
            seen = (rotated, is_small(shown.width, shown.height), is_extreme(shown.width, shown.height), by_path)
            counted = seen if any(seen) else ()
        return _Image(identity, image_digest(identity), counted) if self._compares else _Image("", b"", counted)

    def _row(
        self, example: Example, number: int, contents: Sequence[dict[str, Any]], images: Sequence[_Image]
    ) -> tuple[Any, ...]:
        question = 0
        if self._compares:
            question = question_hash(contents, example.head, [image.identity for image in images])
        counted = [image.counted for image in images if image.counted]
        return (
            SPLITS.index(example.split),
            example.id,
            number_of(example),
            number + 1,
            answer_hash(answer_text(contents)),
            question,
            len(images),
            example.tokens[number] > self.max_tokens,
            *(map(sum, zip(*counted)) if counted else _NONE_COUNTED),
        )


NO_NOTES = Notes()


def _pieces(
    example: Example,
) -> Iterator[tuple[int, Sequence[dict[str, Any]], Iterable[tuple[str, dict[str, str]]]]]:
    """The number of each piece, its turns, and (source, fileData) of its images: pieces share them out in their order."""
    images = zip(example.sources, example.images, strict=True)
    if len(example.pieces) == 1:
        yield 0, example.pieces[0], images
        return
    for number, contents in enumerate(example.pieces):
        yield number, contents, islice(images, count_images(contents))


def _batch(rows: Sequence[tuple[Any, ...]], digests: bytes) -> pa.RecordBatch:
    """The notes of a block.

    Args:
      rows: a value for each column but the last.
      digests: of the images of all rows, one after the other; empty where lines are not compared.
    """
    columns = [pa.array(column, field.type) for column, field in zip(zip(*rows), LINES)]
    ends = np.zeros(len(rows) + 1, np.int32)
    if digests:
        np.cumsum(columns[LINES.get_field_index("images")].to_numpy(), out=ends[1:])
    hashes = np.frombuffer(digests, ">u8").astype(np.uint64)
    return pa.record_batch([*columns, pa.ListArray.from_arrays(ends, hashes)], schema=LINES)
