"""`tuneset export`: a sealed dataset in another format, one file a split."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from beam_jobs import console
from beam_jobs.command_parser import Parser, add_options
from beam_jobs.exit_status import DONE, FAILED, WRONG
from beam_jobs.manifests import read_manifest
from beam_jobs.option_values import reader_of
from beam_jobs.options import OptionError
from beam_jobs.report.screen import bytes_of
from beam_jobs.report.ticker import ticking
from transforms.core import jsonl
from transforms.core.output_names import MANIFEST
from transforms.core.reasons import RowError, WrongRequest
from transforms.examples.splits import NAMES as SPLITS
from transforms.inputs.patterns import absolute
from transforms.inputs.registry import MEANINGS
from transforms.storage import exists, store_for
from transforms.storage.api import Access, NoAccess, NotFound, Piece, StorageError, set_access

_FORMATS = {meaning.name: meaning for meaning in MEANINGS.values() if meaning.row_of_line}
_CHUNK = 4 << 20  # bytes read at a time
_PART = 32 << 20  # bytes written at a time


def parser() -> Parser:
    made = Parser(
        prog="tuneset export",
        description="Write a sealed dataset in another format, one file a split: FOLDER/train.jsonl, ... Images stay where they are.",
        epilog="Exit status: 0 done, 1 storage failed (the same command, with another folder), 2 wrong options.",
    )
    made.add_argument("dataset", type=reader_of("FOLDER"), metavar="DATASET", help="folder of a sealed dataset")
    made.add_argument("--to", required=True, choices=tuple(_FORMATS), help="what the rows are to be")
    made.add_argument(
        "--output", required=True, type=reader_of("FOLDER"), metavar="FOLDER", help="that the files are written to"
    )
    add_options(made, ("user_project", "quiet"))
    return made


def export(argv: Sequence[str]) -> int:
    """-> exit status. What was written goes to standard output."""
    try:
        options = parser().parse_args(list(argv))
        set_access(Access(options.user_project))
        folder, output = (absolute(path).rstrip("/") or "/" for path in (options.dataset, options.output))
        files = _files_of(folder)
        for split in files:
            if exists(f"{output}/{split}.jsonl"):
                raise OptionError(f"{output}/{split}.jsonl is there already: choose another --output, or remove it")
        for split, names in files.items():
            uris = [f"{folder}/{name}" for name in names]
            done = _Done(split, sum(store_for(uri).stat(uri).size for uri in uris))
            with ticking(lambda done=done: done.line, hidden=options.quiet):  # type: ignore[misc]
                told, left_out = _write(uris, output, options.to, done)
            console.say(f"{output}/{split}.jsonl  {told:,} lines")
            for detail, count in sorted(left_out.items()):
                console.complain(f"! {count:,} lines of {split} are left out: {detail}.")
    except KeyboardInterrupt:
        console.complain("interrupted. Files that are told above are whole; what was left of another is removed.")
        return FAILED
    except (WrongRequest, NotFound) as error:
        console.complain(str(error))
        return WRONG
    except (StorageError, NoAccess) as error:
        console.complain(str(error))
        return FAILED
    return console.printed(DONE)


def _files_of(folder: str) -> dict[str, list[str]]:
    """The files of each split that a dataset has.

    Raises:
      OptionError: it is no sealed dataset.
    """
    try:
        told = read_manifest(folder).get("dataset", {}).get("files")
    except NotFound:
        told = None
    if not isinstance(told, list):
        raise OptionError(f"{folder} holds no {MANIFEST} of Tuneset's: expected the folder of a sealed dataset")
    names = sorted(str(file.get("name")) for file in told if isinstance(file, dict))
    files = {
        split: [name for name in names if re.fullmatch(rf"{split}(-\d+-of-\d+)?\.jsonl", name)] for split in SPLITS
    }
    return {split: some for split, some in files.items() if some}


@dataclass
class _Done:
    """How far one split is, in bytes of its `total` and in lines."""

    split: str
    total: int
    read: int = 0
    lines: int = 0

    @property
    def line(self) -> str:
        share = f"{100 * self.read // self.total} % of {bytes_of(self.total)}" if self.total else "nothing to read"
        return f"{self.split}  {share}, {self.lines:,} lines"


def _write(uris: list[str], output: str, to: str, done: _Done) -> tuple[int, Counter[str]]:
    """Write one split -> how many lines it has, and why others are left out."""
    store, pieces, target = store_for(output), list[Piece](), f"{output}/{done.split}.jsonl"
    left_out, held = Counter[str](), bytearray()
    row_of_line = _FORMATS[to].row_of_line
    assert row_of_line

    def put() -> None:
        uri = f"{target}.part-{len(pieces):05}"
        store.replace(uri, bytes(held), "")
        pieces.append(Piece(uri, 0, len(held), len(held)))
        held.clear()

    try:
        for line in (line for uri in uris for line in _lines(uri)):
            done.read += len(line) + 1
            try:
                held += jsonl.dumps(row_of_line(jsonl.loads(line))) + b"\n"
                done.lines += 1
            except RowError as error:
                left_out[error.detail] += 1
            if len(held) >= _PART:
                put()
        if held or not pieces:
            put()
        store.join(target, pieces, "application/jsonl")
    finally:
        store.delete(piece.uri for piece in pieces)
    return done.lines, left_out


def _lines(uri: str) -> Iterator[bytes]:
    """The lines of a file, in bounded memory."""
    store, rest, at = store_for(uri), b"", 0
    while True:
        data, found = store.read(uri, at, at + _CHUNK)
        at += len(data)
        *lines, rest = (rest + data).split(b"\n")
        yield from lines
        if not data or at >= found.size:
            break
    if rest:
        yield rest
