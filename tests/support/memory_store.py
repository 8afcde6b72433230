"""A store that counts its reads, the lines that blocks of it give, and a judge that looks at a file as one piece of bytes."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from hypothesis import strategies as st

from transforms import storage
from transforms.core.file_kinds import no_rows
from transforms.core.records import Block
from transforms.inputs.cutting import cut_blocks
from transforms.inputs.lines import read_rows
from transforms.inputs.packing import pack_files
from transforms.inputs.patterns import list_pattern
from transforms.storage.api import Changed, NotFound, Stat

LONGEST = 16_000_000  # --max_line_bytes, unless a test is about it
Line = tuple[str, int, int, bytes]  # source, line, offset, raw
Fault = tuple[str, int, int, str]  # source, line, offset, reason


@dataclass
class Memory:
    """A store of `mem://` objects that remembers what was read of each."""

    objects: dict[str, bytes]
    reads: list[tuple[str, int, int]] = field(default_factory=list)  # uri, start, bytes given

    def stat(self, uri: str) -> Stat:
        if uri not in self.objects:
            raise NotFound(uri)
        return Stat(uri, len(self.objects[uri]), "1")

    def list(
        self, prefix: str, *, deep: bool = True, start: str = "", end: str = "", without: Collection[str] = ()
    ) -> Iterator[Stat]:
        yield from (self.stat(uri) for uri in sorted(self.objects, key=str.encode) if uri.startswith(prefix + "/"))

    def read(self, uri: str, start: int = 0, end: int | None = None, generation: str = "") -> tuple[bytes, Stat]:
        if generation not in ("", "1"):
            raise Changed(uri)
        data = self.objects[uri][start:end]
        self.reads.append((uri, start, len(data)))
        return data, self.stat(uri)


def store_of(objects: dict[str, bytes]) -> Memory:
    store = Memory(objects)
    storage._stores["mem"] = store  # type: ignore[assignment]
    return store


def cut_all(pattern: str, block_bytes: int, longest: int) -> list[Block]:
    packed = pack_files(0, list_pattern(pattern), block_bytes)
    return [block for whole in packed for block in cut_blocks(whole, block_bytes, longest)]


def read_blocks(blocks: Sequence[Block], longest: int = LONGEST) -> tuple[list[Line], list[Fault]]:
    """Lines and faults of blocks in their order, lines counted from the start of each file as the seal does."""
    lines: list[Line] = []
    faults: list[Fault] = []
    before: dict[str, int] = {}
    for block in sorted(blocks, key=lambda b: b.order):
        opened = read_rows(block, lambda _: "key", longest)
        assert opened.counters["examples_read"] == len(opened.rows) + len(opened.rejections)
        lines += [(r.source, r.line + before.get(r.source, 0), r.offset, r.raw) for r in opened.rows]
        for fault in opened.rejections:
            r = fault.row
            faults.append((r.source, r.line + before.get(r.source, 0), r.offset, fault.reason))
        for source, count in opened.lines:
            before[source] = before.get(source, 0) + count
    return lines, faults


def read_all(objects: dict[str, bytes], block_bytes: int, longest: int = LONGEST) -> tuple[list[Line], list[Fault]]:
    store_of(objects)
    return read_blocks(cut_all("mem://in/", block_bytes, longest), longest)


def expected(source: str, data: bytes, longest: int = LONGEST) -> tuple[list[Line], list[Fault]]:
    """What a file holds, found in one look at all of it."""
    lines: list[Line] = []
    faults: list[Fault] = []
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return lines, [(source, 1, 0, "utf16")]
    if no_rows(data):
        return lines, [(source, 1, 0, "not_rows")]
    position = 0
    for number, physical in enumerate(re.findall(rb"[^\n]*\n|[^\n]+", data), 1):
        mark = 3 if number == 1 and physical.startswith(b"\xef\xbb\xbf") else 0
        raw = physical[mark:].removesuffix(b"\n").removesuffix(b"\r")
        if len(raw) > longest:
            faults.append((source, number, position + mark, "line_too_long"))
        elif raw.strip(b" \t\n\r\v\f"):
            lines.append((source, number, position + mark, raw))
        position += len(physical)
    return lines, faults


PIECES = [
    b"\n",
    b"\r\n",
    b"\r",
    b"\n\n",
    b" ",
    b"a",
    b'{"a":1}',
    b"0123456789",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\xfe\xff",
    b"\0",
]
TEXTS = st.lists(st.sampled_from(PIECES) | st.binary(max_size=6), max_size=25).map(b"".join)
