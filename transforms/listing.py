"""List input files and have them cut into blocks: patterns -> Block descriptors.

What a pattern matches is decided here, what its files become in cutting.py.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections import deque
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindows

from transforms.core.ledger import NAMESPACE
from transforms.core.places import inside, is_text
from transforms.core.records import Block, Input
from transforms.cutting import SUFFIXES, Cutter
from transforms.globs import compiled
from transforms.overlapping import ahead
from transforms.packing import Skipped
from transforms.ranges import EVERYTHING, PAGE, Range, cut_names
from transforms.storage import USUAL, Access, Stat, is_local, join_uri, store_for
from transforms.walking import globbed

_AHEAD = 8  # ranges whose names are under way: a page of each, and whether there is another
_WILD = re.compile(r"[*?\[]")


def static_folder(pattern: str) -> str:
    """The deepest folder that holds everything a pattern can match (`a/b/*.jsonl` -> `a/b`)."""
    if is_folder(pattern):
        return pattern  # whatever letters its name has
    wild = _WILD.search(pattern) if is_glob(pattern) else None
    return posixpath.dirname(pattern[: wild.start()] if wild else pattern)


def is_folder(pattern: str) -> bool:
    return pattern.endswith("/") or (is_local(pattern) and os.path.isdir(pattern))


def is_glob(pattern: str) -> bool:
    """Whether a pattern stands for other names than its own; what is there locally under just that name is meant."""
    return bool(_WILD.search(pattern)) and not (is_local(pattern) and os.path.lexists(pattern))


def _hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))


def list_pattern(pattern: str, start: str = "", end: str = "", without: Collection[str] = ()) -> Iterator[Stat]:
    """Files that a pattern matches, in the order of full names as bytes.

    Between `start` and `end` alone, where names are cut (ranges.py). A file is itself; a glob matches as a shell does (`**` any
    folders); a folder gives every file below it. A local folder with too long a path is told as a name with a slash at its end.

    Args:
      without: folders whose files a folder or glob does not give.
    """
    if is_folder(pattern):
        folder = pattern.rstrip("/")
        for found in store_for(pattern).list(folder, start=start, end=end, without=without):
            if not _hidden(found.uri[len(folder) :].lstrip("/")):
                yield found
    elif not is_glob(pattern):
        yield store_for(pattern).stat(pattern)
    elif is_local(pattern):
        yield from globbed(static_folder(pattern), pattern, without)
    else:
        matches = compiled(pattern).fullmatch
        for found in store_for(pattern).list(static_folder(pattern), start=start, end=end, without=without):
            if matches(found.uri):
                yield found


def matches(pattern: str, uri: str, format: str = "gemini") -> bool:
    """Whether a pattern names a file, as a test of strings; what they stand for is not looked at."""
    if not pattern.endswith("/") and is_glob(pattern):
        return compiled(pattern).fullmatch(uri) is not None
    folder = pattern.rstrip("/")
    return uri == pattern or (
        inside(uri, folder) and is_dataset(uri, format) and not _hidden(uri[len(folder) :].lstrip("/"))
    )


def gives(input: Input, uri: str) -> bool:
    """Whether an input names a file and does not leave it out, as a test of strings."""
    left_out = any(inside(uri, folder) for folder in input.left_out)
    return not left_out and matches(input.pattern, uri, input.format)


def is_dataset(uri: str, format: str = "gemini") -> bool:
    """Whether a folder that is read in a format gives this file."""
    return uri.lower().endswith(SUFFIXES[format])


@dataclass(kw_only=True)
class ListBlocks(beam.PTransform):
    """Patterns -> Block descriptors, spread over the workers.

    Args:
      inputs: a file that the pattern of an earlier one also names is read once, there.
      cutter: makes blocks of files.
      output: files below it are no input.
    """

    inputs: tuple[Input, ...]
    cutter: Cutter
    output: str
    access: Access = USUAL

    def expand(self, root: beam.Pipeline) -> tuple[beam.PCollection[Block], beam.PCollection[int]]:
        """-> (blocks, numbers of files skipped)."""
        listed = (
            root
            | "Patterns" >> beam.Create(list(enumerate(self.inputs)), reshuffle=False)
            | "Spread patterns" >> beam.Reshuffle()
            | "Cut names" >> beam.FlatMap(cut_input, self.output, self.access)
            | "Spread names" >> beam.Reshuffle()
            | "List files" >> beam.ParDo(_ListFiles(self)).with_outputs("skipped", main="files")
        )
        blocks = (
            listed.files
            | "Spread files" >> beam.Reshuffle()
            | "Cut blocks" >> beam.FlatMap(self.cutter.cut)
            | "Spread blocks" >> beam.Reshuffle()
        )
        return blocks, listed.skipped


def cut_input(indexed: tuple[int, Input], output: str, access: Access) -> Iterator[tuple[int, Input, Range]]:
    """An input -> ranges of its names that many workers list at once."""
    index, input = indexed
    many = is_folder(input.pattern) or is_glob(input.pattern)
    folder, without = static_folder(input.pattern), (*input.left_out, output)
    for names in cut_names(store_for(folder), folder, without) if many else [EVERYTHING]:
        yield index, input, names


class _ListFiles(beam.DoFn):
    """Ranges of names -> blocks of whole files. While one range is packed, the names of the next ones are under way."""

    def __init__(self, options: ListBlocks) -> None:
        self._inputs, self._cutter, self._output = options.inputs, options.cutter, options.output

    def start_bundle(self) -> None:
        self._begun: deque[Iterator[Any]] = deque()

    def process(self, some: tuple[int, Input, Range]) -> Iterator[Any]:
        self._begun.append(self.begin(some))
        if len(self._begun) > _AHEAD:
            yield from self._begun.popleft()

    def finish_bundle(self) -> Iterator[Any]:
        for found in chain.from_iterable(self._begun):
            if isinstance(found, beam.pvalue.TaggedOutput):
                yield beam.pvalue.TaggedOutput(found.tag, GlobalWindows.windowed_value(found.value))
            else:
                yield GlobalWindows.windowed_value(found)

    def begin(self, some: tuple[int, Input, Range]) -> Iterator[Any]:
        """What a range comes to; its first names are asked for at once."""
        index, input, _ = some
        skipped = Skipped()
        return self._packed(index, input, ahead(self._wanted(*some, skipped), PAGE + 1, _AHEAD), skipped)

    def _packed(self, index: int, input: Input, names: Iterator[Stat], skipped: Skipped) -> Iterator[Any]:
        yield from self._cutter.pack(index, input, names, skipped)
        if skipped.files:
            beam.metrics.Metrics.counter(NAMESPACE, "files_skipped").inc(skipped.files)
            yield beam.pvalue.TaggedOutput("skipped", skipped.files)

    def _wanted(self, index: int, input: Input, names: Range, skipped: Skipped) -> Iterator[Stat]:
        folder, suffixes = is_folder(input.pattern) or input.format == "folder", self._cutter.suffixes(input.format)
        for found in list_pattern(input.pattern, *names, without=(*input.left_out, self._output)):
            if any(gives(earlier, found.uri) for earlier in self._inputs[:index]):
                continue
            if (folder and not found.uri.lower().endswith(suffixes)) or not is_text(found.uri) or found.uri[-1] == "/":
                skipped.files += 1
            else:
                yield found


def listed_blocks(options: ListBlocks) -> Iterator[Block]:
    """The blocks of the input in order, without Beam and only as far as they are taken."""
    for index, input in enumerate(options.inputs):
        for found in _ListFiles(options).begin((index, input, EVERYTHING)):
            if isinstance(found, Block):
                yield from options.cutter.cut(found)


def first_files(
    pattern: str, without: Collection[str], enough: Callable[[dict[str, Stat], int], bool]
) -> dict[str, Stat]:
    """The first file of each format that a pattern gives, by format in the order they were found.

    Args:
      without: folders that are left out.
      enough: what was found and the number of files seen -> whether to stop looking.
    """
    found: dict[str, Stat] = {}
    for number, file in enumerate(list_pattern(pattern, without=without)):
        for format in ("gemini", "table", "folder"):
            if is_dataset(file.uri, format):
                found.setdefault(format, file)
                break
        else:
            if not is_folder(pattern):
                found.setdefault("", file)
        if enough(found, number):
            break
    return found


def absolute(pattern: str) -> str:
    """One spelling on every worker: gs:// as it is, local ones absolute."""
    if pattern.startswith("file://"):
        pattern = pattern[len("file://") :].removeprefix("localhost")
    if not is_local(pattern):
        return pattern
    path = os.path.abspath(os.path.expanduser(pattern))
    return join_uri(path, "") if pattern.endswith("/") and os.path.isdir(path) else path
