"""A sealed window as blocks of a larger dataset: its files -> receipts, as a batch job's blocks have them.

The window's lines are taken where they lie, and joined on the server where that can be; only its tables are read. If the window
holds doubles, their lines are left out: then its lines are read too, and what they added to the ledger is taken back.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from transforms.arrivals.kinds import ROWS
from transforms.arrivals.ledgers import image_ledger, rows_of
from transforms.arrivals.noted_lines import NOTED, aligned
from transforms.arrivals.panes import ARRIVALS
from transforms.arrivals.versions import Taken
from transforms.core import jsonl
from transforms.core.arrow_stream import stream
from transforms.core.limits import PROFILES
from transforms.core.output_names import MANIFEST, WORK
from transforms.core.records import Part, Receipt
from transforms.dataset.block_files import EXAMPLES, IMAGES, SPLITS, Caps, packed_ids_of
from transforms.dataset.findings.written import KIND as NOTES
from transforms.dataset.notices import OF_THE_WHOLE
from transforms.storage import store_for
from transforms.storage.api import crc32c

_NUMBER = re.compile(r"-(\d{5})-of-\d{5}")


@dataclass(frozen=True)
class SealedWindow:
    """A sealed pane of a stream, to be merged.

    at: its place among the windows. left_out: URIs of arrivals whose newer versions other windows hold.
    """

    folder: str
    at: int
    left_out: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        return self.folder.rpartition("/")[2]


def taken_by(folder: str) -> list[Taken]:
    """What a pane took."""
    told = _json_lines(f"{folder}/{ARRIVALS}")
    return [(one["uri"], one["version"], one["time"]) for one in told]


def _json_lines(uri: str) -> list[dict[str, Any]]:
    return [jsonl.loads(line) for line in store_for(uri).read(uri)[0].splitlines()]


@dataclass(frozen=True)
class WindowReader:
    """Makes receipts of windows.

    output: of the merge, where what is not taken as it is is put. caps: what ids receipts carry. max_tokens: that a line may have.
    findings: whether receipts carry what windows noted of their lines.
    """

    output: str
    caps: Caps
    max_tokens: int
    findings: bool

    def receipts(self, window: SealedWindow) -> Iterator[Receipt]:
        """One receipt for each numbered file of lines that the window has, mostly one."""
        manifest = jsonl.loads(store_for(window.folder).read(f"{window.folder}/{MANIFEST}")[0])
        dataset = manifest["dataset"]
        files = {entry["name"]: entry for entry in dataset["files"]}
        examples = _table(window, [name for name in files if name.startswith("examples")])
        images = _images(window, files)
        noted = None
        if self.findings:
            noted = aligned(_table(window, [NOTED]), examples, self.max_tokens, window.folder)
        arrivals = _json_lines(f"{window.folder}/{ARRIVALS}")
        counters, reasons = Counter(dataset["counters"]), Counter(dataset["reasons"])
        rejected = _part(window, files["rejected.jsonl"])
        dropped = np.zeros(len(examples), bool)
        if window.left_out:
            dropped = rows_of(examples, "source", window.left_out)
            rejected_lines, why = self._rejected(window)
            max_tokens = PROFILES[dataset["options"]["model"]].max_tokens
            images = self._take_back(
                window, arrivals, examples.filter(pa.array(dropped)), images, why, max_tokens, (counters, reasons)
            )
            rejected = self._put(window, "rejected", rejected_lines, rejected_lines.count(b"\n"))
        warnings = tuple(
            (one["code"], one["count"], one["example"])
            for one in dataset["warnings"]
            if one["code"] not in OF_THE_WHOLE
        )
        sources = [*(arrival["uri"] for arrival in arrivals), f"{window.folder}/{ROWS}"]
        numbers = _file_numbers(examples)
        for number in range(max(numbers.tolist(), default=0) + 1):
            parts = list(self._lines(window, files, examples, (numbers == number) & ~dropped, bool(window.left_out)))
            kept = pa.array((numbers == number) & ~dropped)
            chosen = examples.filter(kept)
            if len(chosen):
                if noted is not None:
                    notes = noted.filter(kept).combine_chunks()
                    parts.append(self._put(window, NOTES, stream(*notes.to_batches()), len(notes)))
                parts.append(self._put(window, "examples", stream(*_as_block(chosen, sources)), len(chosen)))
            first = number == 0
            if first and images is not None and len(images):
                parts.append(self._put(window, "images", stream(*images.to_batches()), len(images)))
            if first and rejected.lines:
                parts.append(rejected)
            yield Receipt(
                _key(window, number),
                (0, f"{window.at:08d}".encode(), number),
                0,
                False,
                tuple(parts),
                tuple((source, 0) for source in sources),  # lines are numbered already
                _numbers(counters) if first else (),
                _numbers(reasons) if first else (),
                tuple(_ids(chosen, dataset["options"]["split_column"] != "", self.caps).items()),
                buckets=tuple(dataset["buckets"]) if first else (),
                warnings=warnings if first else (),
            )

    def _take_back(
        self,
        window: SealedWindow,
        arrivals: list[dict[str, Any]],
        examples: pa.Table,
        images: pa.Table | None,
        rejected: dict[str, str],
        max_tokens: int,
        ledger: tuple[Counter[str], Counter[str]],
    ) -> pa.Table | None:
        """Take what doubles added to counters and reasons back -> the window's table of images without theirs.

        Args:
          examples: the doubles' rows. rejected: the doubles that are images and were rejected, with reasons.
        """
        doubles = [arrival for arrival in arrivals if arrival["uri"] in window.left_out]
        pictures = frozenset(arrival["uri"] for arrival in doubles if "ledger" not in arrival)
        kept = np.ones(0 if images is None else len(images), bool)
        own = None
        if images is not None:
            kept = ~rows_of(images, "source", pictures)
            own = images.filter(pa.array(~kept))
        sidecars = sum(arrival["version"].count("+") for arrival in doubles)
        rows = examples.filter(pa.array(rows_of(examples, "source", pictures)))
        why = {uri: reason for uri, reason in rejected.items() if uri in pictures}
        taken = [image_ledger(pictures, rows, own, why, sidecars, max_tokens)] if pictures else []
        for arrival in doubles:
            if told := arrival.get("ledger"):
                start, number = told["images"]
                kept[start : start + number] = False
                taken.append(
                    (Counter(told["counters"]) + Counter(files_taken=1, names_listed=1), Counter(told["reasons"]))
                )
        for counters, reasons in taken:
            ledger[0].subtract(counters)
            ledger[1].subtract(reasons)
        return None if images is None else images.filter(pa.array(kept))

    def _lines(
        self, window: SealedWindow, files: dict[str, Any], examples: pa.Table, chosen: np.ndarray, some: bool
    ) -> Iterator[Part]:
        """The lines of each split: whole files as they are, or those of chosen rows.

        Args:
          some: whether lines are left out.
        """
        of_file = examples.filter(pa.array(chosen))
        for split in SPLITS:
            rows = of_file.filter(pa.array(rows_of(of_file, "split", [split])))
            if not len(rows):
                continue
            name = rows["file"][0].as_py()
            if not some:
                yield _part(window, files[name], split)
                continue
            text = store_for(window.folder).read(f"{window.folder}/{name}")[0]
            places = zip(rows["byte_offset"].to_pylist(), rows["bytes"].to_pylist())
            yield self._put(window, split, b"".join(text[at : at + size] for at, size in places), len(rows))

    def _rejected(self, window: SealedWindow) -> tuple[bytes, dict[str, str]]:
        """The lines of rejected rows that are no doubles'; and the reasons of the doubles' last ones."""
        kept, why = [], dict[str, str]()
        for line in store_for(window.folder).read(f"{window.folder}/rejected.jsonl")[0].splitlines(keepends=True):
            told = jsonl.loads(line)
            if told["source"] in window.left_out:
                why[told["source"]] = told["reason"]
            else:
                kept.append(line)
        return b"".join(kept), why

    def _put(self, window: SealedWindow, kind: str, data: bytes, lines: int) -> Part:
        digest = blake2b(data, digest_size=10).hexdigest()
        uri = f"{self.output}/{WORK}/windows/{digest[:2]}/{window.name}.{digest}.{kind}"
        store_for(uri).create(uri, data)
        return Part(kind, uri, len(data), lines, crc32c(data))


def _numbers(counted: Counter[str]) -> tuple[tuple[str, int], ...]:
    return tuple((name, number) for name, number in counted.items() if number)


def _part(window: SealedWindow, entry: dict[str, Any], kind: str = "rejected") -> Part:
    return Part(kind, f"{window.folder}/{entry['name']}", entry["bytes"], entry["lines"], entry["crc32c"])


def _table(window: SealedWindow, names: list[str]) -> pa.Table:
    tables = [
        pq.read_table(io.BytesIO(store_for(window.folder).read(f"{window.folder}/{name}")[0])) for name in sorted(names)
    ]
    return pa.concat_tables(tables).combine_chunks()


def _images(window: SealedWindow, files: dict[str, Any]) -> pa.Table | None:
    """The table of images; None: nothing was looked at."""
    names = [name for name in files if name.startswith("images")]
    return _table(window, names).select(IMAGES.names).cast(IMAGES) if names else None


def _file_numbers(examples: pa.Table) -> np.ndarray:
    """The number of the file of lines that each row of a window's table is about."""
    names = examples["file"].cast(pa.string()).to_pylist()
    known = {name: int(match[1]) if (match := _NUMBER.search(name)) else 0 for name in set(names)}
    return np.array([known[name] for name in names], int)


def _as_block(examples: pa.Table, sources: list[str]) -> list[pa.RecordBatch]:
    """Rows of a window's table of examples as a block has them."""
    at = {source: index for index, source in enumerate(sources)}
    columns = {
        "split": pa.array([SPLITS.index(name) for name in examples["split"].to_pylist()], pa.int8()),
        "id": pa.array(_ids_of(examples)),
        "number": pa.array(_ids_of(examples)),
        "extent": pa.array([at[source] for source in examples["source"].to_pylist()], pa.int32()),
        "row_offset": examples["source_offset"],
        "row_line": examples["source_line"].cast(pa.int32()),
    } | {name: examples[name] for name in ("piece", "pieces", "images", "tokens", "bytes")}
    batches: list[pa.RecordBatch] = pa.table(columns).cast(EXAMPLES).combine_chunks().to_batches()
    return batches


def _ids_of(examples: pa.Table) -> np.ndarray:
    return np.frombuffer(bytes.fromhex("".join(examples["id"].to_pylist())), ">u8").astype(np.uint64)


def _ids(examples: pa.Table, named: bool, caps: Caps) -> dict[str, bytes]:
    """What caps choose from. A sample counts rows, each of which has one piece that is its first.

    Args:
      named: whether a column decides splits, so that validation is what the data names.
    """
    first = examples.filter(pa.array(examples["piece"].to_numpy() == 1))
    validation = examples.filter(pa.array(rows_of(examples, "split", ["validation"])))
    ids = _ids_of(validation).tolist()
    lines = list(zip(ids, ids, validation["bytes"].to_pylist()))
    return packed_ids_of(_ids_of(first).tolist(), lines, named and bool(lines), caps)


def _key(window: SealedWindow, number: int) -> str:
    """As a block's key: it decides where segments begin."""
    return blake2b(f"{window.name}\n{number}".encode(), digest_size=16, person=b"tuneset window").hexdigest()
