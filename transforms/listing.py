"""List input files and cut them into blocks: patterns -> Block descriptors. Nothing is opened but to cut a .gz.

Small files share a block, cut where a file's name says so (content-defined), so that one new file changes few blocks;
a large file is cut into ranges. A .gz cannot be ranged: one worker decompresses it into raw blocks, the only rows that
ever travel.
"""

from __future__ import annotations

import glob
import os
import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

import apache_beam as beam

from transforms.core.ledger import NAMESPACE
from transforms.core.places import inside
from transforms.core.records import Block, Extent
from transforms.inflating import UTF16, is_gz, raw_blocks
from transforms.storage import USUAL, Access, Stat, is_local, join_uri, store_for

_SUFFIXES = (".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz")
_WILD = re.compile(r"[*?\[]")
_GLOB_TOKEN = re.compile(r"\*\*/?|[*?]|\[[!^]?\]?[^\]]*\]|.", re.DOTALL)


def static_folder(pattern: str) -> str:
    """The deepest folder that holds everything a pattern can match (`a/b/*.jsonl` -> `a/b`)."""
    if not _WILD.search(pattern):
        return pattern if is_folder(pattern) else posixpath.dirname(pattern)
    return posixpath.dirname(pattern[: _WILD.search(pattern).start()])  # type: ignore[union-attr]


def is_folder(pattern: str) -> bool:
    return pattern.endswith("/") or (is_local(pattern) and os.path.isdir(pattern))


def _hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))


def list_pattern(pattern: str) -> Iterator[Stat]:
    """Files that a pattern matches, in the order of full names as bytes.

    A file is itself; a glob matches as a shell does (`**` any folders); a folder gives every file below it.
    """
    if is_folder(pattern):
        folder = pattern.rstrip("/")
        for found in store_for(pattern).list(folder):
            if not _hidden(found.uri[len(folder) :].lstrip("/")):
                yield found
    elif not _WILD.search(pattern):
        yield store_for(pattern).stat(pattern)
    elif is_local(pattern):
        for path in sorted(set(glob.iglob(pattern, recursive=True)), key=os.fsencode):  # `**/**` finds some twice
            if os.path.isfile(path):
                yield store_for(path).stat(path)
    else:
        matches = re.compile(_glob_regex(pattern)).fullmatch
        for found in store_for(pattern).list(static_folder(pattern)):
            if matches(found.uri):
                yield found


def _glob_regex(pattern: str) -> str:
    """A glob as a regular expression: `*`, `?` and `[...]` stop at a slash, a doubled star does not."""
    known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    pieces = ["(?s)"]
    for token in _GLOB_TOKEN.findall(pattern):
        if token in known or len(token) == 1:
            pieces.append(known.get(token, re.escape(token)))
        else:  # [abc], [!abc]
            inner = token[1:-1].replace("\\", "\\\\").replace("[", "\\[")
            pieces.append(f"(?!/)[{'^' + inner[1:] if inner[0] in '!^' else inner}]")
    return "".join(pieces)


def matches(pattern: str, uri: str) -> bool:
    """Whether a pattern names a file, as a test of strings alone."""
    if _WILD.search(pattern):
        return re.fullmatch(_glob_regex(pattern), uri) is not None
    folder = pattern.rstrip("/")
    return uri == pattern or (inside(uri, folder) and is_dataset(uri) and not _hidden(uri[len(folder) :].lstrip("/")))


def is_dataset(uri: str) -> bool:
    return uri.lower().endswith(_SUFFIXES)


@dataclass(kw_only=True)
class ListBlocks(beam.PTransform):
    """Patterns -> Block descriptors, spread over the workers.

    Args:
      patterns: files, globs and folders; a file that an earlier pattern also names is read once, there.
      block_bytes: of rows in a block.
      output: files below it are no input.
    """

    patterns: tuple[str, ...]
    block_bytes: int
    max_line_bytes: int
    output: str
    access: Access = USUAL

    def expand(self, root: beam.Pipeline) -> tuple[beam.PCollection[Block], beam.PCollection[int]]:
        """-> (blocks, numbers of files skipped)."""
        listed = (
            root
            | "Patterns" >> beam.Create(list(enumerate(self.patterns)), reshuffle=False)
            | "Spread patterns" >> beam.Reshuffle()
            | "List files"
            >> beam.ParDo(_ListFiles(self.patterns, self.block_bytes, self.output, self.access)).with_outputs(
                "skipped", main="files"
            )
        )
        blocks = (
            listed.files
            | "Spread files" >> beam.Reshuffle()
            | "Cut blocks" >> beam.FlatMap(cut_blocks, self.block_bytes, self.max_line_bytes, self.access)
            | "Spread blocks" >> beam.Reshuffle()
        )
        return blocks, listed.skipped


class _ListFiles(beam.DoFn):
    def __init__(self, patterns: tuple[str, ...], block_bytes: int, output: str, access: Access) -> None:
        self._patterns, self._block_bytes, self._output, self._access = patterns, block_bytes, output, access

    def process(self, indexed: tuple[int, str]) -> Iterator[Any]:
        index, pattern = indexed
        skipped: list[str] = []
        yield from pack_files(index, self._wanted(index, pattern, skipped), self._block_bytes)
        if skipped:
            beam.metrics.Metrics.counter(NAMESPACE, "files_skipped").inc(len(skipped))
            yield beam.pvalue.TaggedOutput("skipped", len(skipped))

    def _wanted(self, index: int, pattern: str, skipped: list[str]) -> Iterator[Stat]:
        folder = is_folder(pattern)
        for found in list_pattern(pattern):
            if inside(found.uri, self._output) or any(matches(p, found.uri) for p in self._patterns[:index]):
                continue
            if (folder and not is_dataset(found.uri)) or not _is_text(found.uri):
                skipped.append(found.uri)
            else:
                yield found


def _is_text(uri: str) -> bool:
    """Whether a name can stand in JSON: a local one may be any bytes."""
    return uri.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in uri)


def pack_files(index: int, files: Iterable[Stat], block_bytes: int) -> Iterator[Block]:
    """Files in order -> blocks: large ones and .gz alone and uncut, small ones together up to `block_bytes`."""
    pack: list[Extent] = []
    size = 0

    def packed() -> Block:
        return Block((index, os.fsencode(pack[0].uri), 0), tuple(pack), "gemini")

    for found in files:
        extent = Extent(found.uri, found.generation, found.size, 0, found.size)
        alone = found.size > block_bytes or is_gz(found.uri)
        if pack and (alone or size + found.size > block_bytes):
            yield packed()
            pack, size = [], 0
        if alone:
            yield Block((index, os.fsencode(found.uri), 0), (extent,), "gemini")
            continue
        pack.append(extent)
        size += found.size
        name = blake2b(os.fsencode(found.uri), digest_size=1).digest()[0]
        if name < 8 and size >= block_bytes // 8:  # a cut that does not depend on what came before
            yield packed()
            pack, size = [], 0
    if pack:
        yield packed()


def cut_blocks(block: Block, block_bytes: int, max_line_bytes: int, access: Access = USUAL) -> Iterator[Block]:
    """A whole file -> the blocks of its ranges; a pack of small files as it is."""
    first = block.extents[0]
    if is_gz(first.uri):
        yield from raw_blocks(block, block_bytes, max_line_bytes)
    elif len(block.extents) > 1 or first.size <= block_bytes:
        yield block
    else:
        index, name, _ = block.order
        if store_for(first.uri).read(first.uri, 0, 2, first.generation)[0] in UTF16:
            yield Block((index, name, 0), (replace(first, end=2),), block.format)  # one clear rejection, no more read
            return
        for start in range(0, first.size, block_bytes):
            extent = Extent(first.uri, first.generation, first.size, start, min(start + block_bytes, first.size))
            yield Block((index, name, start), (extent,), block.format)


def any_file(pattern: str, output: str) -> bool:
    """Whether a pattern finds at least one dataset file: a look at the first ones, not a listing."""
    folder = is_folder(pattern)
    return any(not inside(f.uri, output) and (not folder or is_dataset(f.uri)) for f in list_pattern(pattern))


def absolute(pattern: str) -> str:
    """One spelling on every worker: gs:// as it is, local ones absolute."""
    if pattern.startswith("file://"):
        pattern = pattern[len("file://") :].removeprefix("localhost")
    if not is_local(pattern):
        return pattern
    path = os.path.abspath(os.path.expanduser(pattern))
    return join_uri(path, "") if pattern.endswith("/") and os.path.isdir(path) else path
