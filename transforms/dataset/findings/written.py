"""What a block notes of the lines that it writes, by which the seal finds what a check would: published OpenBlock -> one more part.

A row for each line, so that what a cap leaves out later is left out here too. Nothing is read for it: images are told apart by what
inspection read of them, and rewritten ones by what was written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa

from transforms.core.arrow_stream import stream
from transforms.core.finding_codes import ALL, AUTO, NONE, is_extreme, is_small
from transforms.core.records import Example, OpenBlock
from transforms.dataset.block_files import SPLITS, count_images, number_of
from transforms.dataset.findings.hashes import answer_hash, answer_text, question_hash
from transforms.examples.image_groups import image_hash
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
        ("hashes", pa.list_(pa.uint64())),  # of its images' identities; empty where lines are not compared
        ("images", pa.int32()),
        ("over_tokens", pa.bool_()),
        # how many of its images are
        ("rotated", pa.int32()),
        ("small", pa.int32()),
        ("extreme", pa.int32()),
        ("local", pa.int32()),
    ]
)


class _Image(NamedTuple):
    """What is noted of each image of one source. identity: "" where lines are not compared."""

    identity: str
    hash: int
    rotated: bool
    small: bool
    extreme: bool


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
        images, rows = dict[str, _Image](), list[tuple[Any, ...]]()
        for example in opened.examples:
            for number, contents, sources in _pieces(example):
                known = [
                    images.get(source) or images.setdefault(source, self._image(opened, source)) for source in sources
                ]
                rows.append(self._row(example, number, contents, known))
        if rows:
            columns = [pa.array(column, field.type) for column, field in zip(zip(*rows), LINES)]
            yield KIND, stream(pa.record_batch(columns, schema=LINES)), len(rows)

    @property
    def _compares(self) -> bool:
        return self.level in (ALL, AUTO)

    def _image(self, opened: OpenBlock, source: str) -> _Image:
        facts, fitted = opened.facts.get(source), opened.fitted.get(source)
        if facts is None:  # under --verify none: nothing is known but its address
            return _Image(source, image_hash(source) if self._compares else 0, False, False, False)
        rewritten = fitted is not None and fitted.fate != "untouched"
        width, height = (fitted.width, fitted.height) if rewritten and fitted else (facts.width, facts.height)
        identity = fitted.identity if rewritten and fitted else facts.identity
        return _Image(
            identity,
            image_hash(identity) if self._compares else 0,
            not rewritten and facts.orientation != 1,
            is_small(width, height),
            is_extreme(width, height),
        )

    def _row(
        self, example: Example, number: int, contents: Sequence[dict[str, Any]], images: Sequence[_Image]
    ) -> tuple[Any, ...]:
        question = 0
        if self._compares:
            question = question_hash(contents, example.head, [image.identity for image in images])
        return (
            SPLITS.index(example.split),
            example.id,
            number_of(example),
            number + 1,
            answer_hash(answer_text(contents)),
            question,
            [image.hash for image in images] if self._compares else [],
            len(images),
            example.tokens[number] > self.max_tokens,
            sum(image.rotated for image in images),
            sum(image.small for image in images),
            sum(image.extreme for image in images),
            _local(contents) if images else 0,
        )


NO_NOTES = Notes()


def _pieces(example: Example) -> Iterator[tuple[int, Sequence[dict[str, Any]], Sequence[str]]]:
    """The number of each piece, its turns, and the sources of its images: pieces share them out in their order."""
    if len(example.pieces) == 1:
        yield 0, example.pieces[0], example.sources
        return
    begin = 0
    for number, contents in enumerate(example.pieces):
        end = begin + count_images(contents)
        yield number, contents, example.sources[begin:end]
        begin = end


def _local(contents: Sequence[dict[str, Any]]) -> int:
    """Images that a line names by a path."""
    return sum(
        abilities(part["fileData"]["fileUri"]).has_paths
        for turn in contents
        for part in turn["parts"]
        if "fileData" in part
    )
