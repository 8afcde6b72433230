"""Where lines of a sealed dataset came from: joins the line itself, examples.parquet and images.parquet.

Only those row groups are read whole that hold a line that is asked for; of images.parquet, names first.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from transforms.core import jsonl
from transforms.core.output_names import MANIFEST
from transforms.core.places import uploaded_images
from transforms.core.reasons import RowError, WrongRequest
from transforms.dataset.seal_plan import is_file_of
from transforms.dataset.tuning.close_rules import Limits, close_rules
from transforms.storage import abilities, store_for
from transforms.storage.parallel import overlapped
from transforms.storage.ranged_file import RangedFile

_USED = ("untouched", "recompressed", "converted", "resized")  # fates of images that stand in lines
_NOT_LINES = "rejected"
_FACTS = (  # of images.parquet, that are told of an image
    *("source", "equal_sources", "generation", "fate", "bytes", "type", "width", "height", "escalated"),
    *("output", "output_bytes"),
)
_DAMAGE = (pa.ArrowException, OSError, KeyError, UnicodeDecodeError)  # of a table that is none, or has other columns
_AT_ONCE = 32  # lines that are read side by side


class Unexplained(WrongRequest):
    """A line that is not there, or files that are no dataset any more."""


def file_of(manifest: Mapping[str, Any], split: str, name: str = "") -> str:
    """The file that line numbers count in.

    Args:
      split: whose file it is.
      name: of the file itself; "": the split has one.

    Raises:
      Unexplained: there is no such file, or several.
    """
    names: list[str] = [file["name"] for file in manifest["dataset"]["files"]]
    lined = sorted(one for one in names if one.endswith(".jsonl") and not is_file_of(one, _NOT_LINES))
    if name:
        if name not in lined:
            raise Unexplained(f"{name}: the dataset's files of lines are {', '.join(lined)}")
        return name
    of_split = [one for one in lined if is_file_of(one, split)]
    if not of_split:
        raise Unexplained(f"the dataset has no {split}.jsonl: its files of lines are {', '.join(lined)}")
    if len(of_split) > 1:
        raise Unexplained(
            f"{split} is in several files, each with line numbers of its own: name one with --file ({', '.join(of_split)})"
        )
    return of_split[0]


def check_lines(manifest: Mapping[str, Any], file: str, lines: Collection[int]) -> None:
    """Raises Unexplained, with the range, for a line that a file does not have."""
    count = next(one["lines"] for one in manifest["dataset"]["files"] if one["name"] == file)
    if unknown := sorted(line for line in lines if not 1 <= line <= count):
        wrong = ", ".join(f"{line:,}" for line in unknown[:10]) + (", ..." if len(unknown) > 10 else "")
        known = f"has lines 1 to {count:,}" if count else "is empty"
        raise Unexplained(f"there is no line {wrong}: {file} {known}")


def explain_lines(folder: str, manifest: Mapping[str, Any], file: str, lines: Sequence[int]) -> list[dict[str, Any]]:
    """What is known of lines that a file has, in their order.

    Args:
      folder: where the dataset lies, which may be another place than where it was made.

    Raises:
      Unexplained: its files do not belong together any more.
    """
    tables = _tables(manifest, "examples")
    rows = {row["line"]: row for name in tables for row in _example_rows(f"{folder}/{name}", file, lines)}
    if missing := [line for line in lines if line not in rows]:
        raise Unexplained(
            f"{', '.join(tables)} of {folder} do not tell of line {missing[0]:,} of {file}: was a file replaced?"
        )

    options = manifest["dataset"]["options"]
    named = dict(zip(lines, overlapped(lambda line: _images_of(folder, rows[line]), lines, _AT_ONCE)))
    wanted = {image["uri"] for images in named.values() for image in images}
    facts: dict[str, dict[str, Any]] = {}
    for name in _tables(manifest, "images") if wanted else ():
        _take_facts(facts, f"{folder}/{name}", wanted, options.get("uri_prefix", ""))

    limits, told = Limits.of(options), []
    for line in lines:
        images = [_image(image, facts.get(image["uri"])) for image in named[line]]
        row = {("image_count" if name == "images" else name): value for name, value in rows[line].items()}
        told.append({**row, "images": images, "close_to": close_rules(row, images, limits)})
    return told


def _tables(manifest: Mapping[str, Any], stem: str) -> list[str]:
    names = [file["name"] for file in manifest["dataset"]["files"]]
    return sorted(name for name in names if name.startswith(stem) and name.endswith(".parquet"))


def _rows(uri: str, columns: Sequence[str], choose: Callable[[pa.Table], pa.ChunkedArray]) -> Iterator[dict[str, Any]]:
    """Rows of a table of the dataset, by row groups.

    Args:
      columns: that are enough to choose by.
      choose: their rows of a group -> whether each is wanted.

    Raises:
      Unexplained: it is no such table.
    """
    found = store_for(uri).stat(uri)
    try:
        table = pq.ParquetFile(RangedFile(uri, found.generation, found.size))
        for number in range(table.num_row_groups):
            chosen = choose(table.read_row_group(number, columns=columns))
            if pc.any(chosen).as_py():
                yield from table.read_row_group(number).filter(chosen).to_pylist()
    except _DAMAGE as error:
        raise Unexplained(f"{uri} is damaged, or no table of Tuneset's ({error})") from None


def _example_rows(uri: str, file: str, lines: Sequence[int]) -> Iterator[dict[str, Any]]:
    """The rows of lines in one table of examples."""
    wanted = pa.array(lines, pa.int64())
    return _rows(
        uri, ["file", "line"], lambda rows: pc.and_(pc.equal(rows["file"], file), pc.is_in(rows["line"], wanted))
    )


def _images_of(folder: str, row: Mapping[str, Any]) -> list[dict[str, str]]:
    """URI and type of each image of a line, in reading order, as the line has them.

    Raises:
      Unexplained: there is another text where the line stood.
    """
    uri, start = f"{folder}/{row['file']}", row["byte_offset"]
    try:
        line = jsonl.loads(store_for(uri).read(uri, start, start + row["bytes"])[0])
        parts = [part for turn in line["contents"] for part in turn["parts"] if "fileData" in part]
        return [
            {"uri": part["fileData"]["fileUri"], "type": part["fileData"]["mimeType"].removeprefix("image/")}
            for part in parts
        ]
    except (RowError, LookupError, TypeError, AttributeError):
        raise Unexplained(
            f"{uri} does not hold line {row['line']:,} where it was sealed: was the file changed?"
        ) from None


def _take_facts(facts: dict[str, dict[str, Any]], uri: str, wanted: Collection[str], uri_prefix: str) -> None:
    """Add the rows of one table of images, by the URI that lines name an image by.

    Equal images that were staged or rewritten have one output: the first is told, with the sources of the others.
    """
    names = pa.array(sorted({one.rpartition("/")[2] for one in wanted}))

    def choose(rows: pa.Table) -> pa.ChunkedArray:
        ends = (pc.replace_substring_regex(rows[column], r"^(?s:.*)/", "") for column in ("source", "output"))
        return pc.or_(*(pc.is_in(end, names) for end in ends))

    for row in _rows(uri, ["source", "output"], choose):
        named = _named_as(row, uri_prefix)
        if named in wanted and row["fate"] in _USED:
            told = facts.setdefault(named, row | {"equal_sources": []})
            if row["source"] not in (told["source"], *told["equal_sources"]):
                told["equal_sources"].append(row["source"])


def _named_as(row: Mapping[str, Any], uri_prefix: str) -> str:
    """What lines name an image by: its source, or what was written of it, as it is called once it is uploaded."""
    output: str = row["output"]
    if not output:
        return str(row["source"])
    if uri_prefix and not abilities(output).readable_by_service:
        return f"{uploaded_images(uri_prefix)}/{output.rpartition('/')[2]}"
    return output


def _image(image: Mapping[str, str], facts: Mapping[str, Any] | None) -> dict[str, Any]:
    """An image of a line: what it is named by, and what is known of its source."""
    told = {"uri": image["uri"], "served_type": image["type"], "served_bytes": 0, "fate": "", "escalated": False}
    if facts is None:  # under --verify none nobody looked
        return told
    return {**told, **{name: facts[name] for name in _FACTS}, "served_bytes": facts["output_bytes"] or facts["bytes"]}


def manifest_of(folder: str, manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    """A manifest that names files, each with its lines.

    Raises:
      Unexplained: it is damaged, or none of ours.
    """
    files = manifest["dataset"].get("files") if manifest else None
    whole = isinstance(files, list) and all(
        isinstance(file, dict) and isinstance(file.get("name"), str) for file in files
    )
    lined = whole and all(isinstance(file.get("lines"), int) for file in files or () if file["name"].endswith(".jsonl"))
    if not lined or not isinstance(manifest["dataset"].get("options"), dict):
        raise Unexplained(f"{folder}/{MANIFEST} is damaged, or none of Tuneset's")
    return manifest
