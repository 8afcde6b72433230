"""What holds of every sealed folder, whatever the input and options: the manifest, the ledger, and where each line came from."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import re
from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import Any

import google_crc32c
from folders import read_folder
from PIL import Image

from transforms.core.counters import COUNTERS, FATES, broken_laws
from transforms.core.reasons import REASONS, RowError
from transforms.core.records import Record, Row
from transforms.inputs.rows import example_of, unwrap

Folder = dict[str, Any]


def sealed(path: str | os.PathLike[str]) -> Folder:
    """What a folder holds, once it was found to obey every law."""
    found = read_folder(path)
    assert "manifest.json" in found, "it is not sealed"
    assert_files(Path(path), found)
    assert_ledger(found)
    assert_lines(found)
    assert_rejections(found)
    assert_images(Path(path), found)
    return found


def sealed_lines(path: str | os.PathLike[str]) -> dict[str, bytes]:
    """The split files of a folder that may hold blocks still."""
    return {file.name: file.read_bytes() for file in Path(path).glob("*.jsonl")}


def lines(found: Folder, split: str = "train") -> list[dict[str, Any]]:
    return [json.loads(line) for line in found[f"{split}.jsonl"].splitlines()]


def counters(found: Folder) -> Counter[str]:
    return Counter(found["manifest.json"]["counters"])


def uris(line: dict[str, Any]) -> list[str]:
    """fileUri of each image of an output line."""
    return [p["fileData"]["fileUri"] for turn in line["contents"] for p in turn["parts"] if "fileData" in p]


def texts(line: dict[str, Any]) -> list[str]:
    return [p["text"] for turn in line["contents"] for p in turn["parts"] if "text" in p]


def rejections(found: Folder) -> list[dict[str, Any]]:
    return [json.loads(line) for line in found["rejected.jsonl"].splitlines()]


def assert_files(path: Path, found: Folder) -> None:
    """The manifest names every file, with its size, checksum and lines, and there is no other but images."""
    told = {f["name"]: f for f in found["manifest.json"]["files"]}
    other = {name for name in found if not name.startswith(("images/", "_tuneset/"))}
    lists = [found["manifest.json"]["upload_list"]] if "upload_list" in found["manifest.json"] else []
    assert other == {*told, "manifest.json", *(one["name"] for one in lists)}
    for one in lists:
        data = found[one["name"]]
        assert (one["lines"], one["bytes"], one["crc32c"]) == (data.count(b"\n"), len(data), google_crc32c.value(data))
    for name, f in told.items():
        if name.startswith("images"):
            assert f == {"name": name}  # its rows depend on the blocks
        elif name.endswith(".parquet"):
            assert f == {"name": name, "lines": len(found[name])}
        else:
            data = found[name]
            assert f == {
                "name": name,
                "lines": data.count(b"\n"),
                "bytes": len(data),
                "crc32c": google_crc32c.value(data),
            }
            assert data.isascii() and (not data or data.endswith(b"\n"))
    generations = json.loads((path / "manifest.json").read_bytes())["run"]["generations"]
    assert generations == {name: f"{(path / name).stat().st_size}-{(path / name).stat().st_mtime_ns}" for name in told}


def assert_ledger(found: Folder) -> None:
    dataset, count = found["manifest.json"], counters(found)
    assert broken_laws(count) == []
    assert set(count) <= set(COUNTERS) and set(dataset["reasons"]) <= set(REASONS)
    written = {
        split: sum(
            data.count(b"\n") for name, data in found.items() if name.startswith(split) and name.endswith(".jsonl")
        )
        for split in ("train", "validation-unused", "validation", "test")
    }
    unused = written.pop("validation-unused")
    written["validation"] -= unused
    assert {s: n for s, n in written.items() if s in dataset["splits"] or n} == dataset["splits"]
    assert (count["examples_written"], count["validation_unused"]) == (sum(written.values()), unused)
    assert Counter(r["reason"] for r in rejections(found)) == dataset["reasons"]
    assert count["examples_rejected"] == sum(dataset["reasons"].values())


@lru_cache(maxsize=4)
def _text(source: str, _: int) -> bytes:
    data = Path(source).read_bytes()
    return gzip.decompress(data) if source.lower().endswith(".gz") else data


def text_of(source: str) -> bytes:
    return _text(source, os.stat(source).st_mtime_ns)


def row_at(source: str, offset: int) -> Row:
    """The row that begins at an offset of a source, numbered by counting."""
    text = text_of(source)
    raw = text[offset : (text + b"\n").index(b"\n", offset)].removesuffix(b"\r")
    return Row(source, offset, text.count(b"\n", 0, offset) + 1, raw)


def assert_lines(found: Folder) -> None:
    """Every row of examples.parquet finds its line by its offset, and the row it came from by its place in the source."""
    seed = found["manifest.json"]["options"]["seed"].encode()
    told: dict[str, list[dict[str, Any]]] = {}
    for name in sorted(name for name in found if name.startswith("examples")):
        for row in found[name]:
            told.setdefault(row["file"], []).append(row)
    files = [name for name in found if name.endswith(".jsonl") and name != "rejected.jsonl"]
    assert set(told) <= set(files)
    for name in files:
        data, position = found[name], 0
        rows = told.get(name, [])
        assert len(rows) == data.count(b"\n")
        for number, row in enumerate(rows, 1):
            assert (row["line"], row["byte_offset"]) == (number, position)
            line = data[position : position + row["bytes"]]
            assert line.endswith(b"\n") and line.count(b"\n") == 1
            position += row["bytes"]
            assert name.startswith(row["split"]) and 1 <= row["piece"] <= row["pieces"] and row["tokens"] > 0
            if set(found["manifest.json"]["formats"]) != {"gemini"}:
                continue  # the row is no line
            source = row_at(row["source"], row["source_offset"])
            assert source.line == row["source_line"]
            with contextlib.suppress(RowError):
                if isinstance(unwrap(source)[0], Record):
                    continue
            example = example_of(source, seed=seed, check_types=None)
            assert f"{example.id:016x}" == row["id"]
            written = json.loads(line)
            assert len(uris(written)) == row["images"]
            inner = {p["text"] for turn in example.contents for p in turn["parts"] if "text" in p}
            assert set(texts(written)) <= inner and (
                row["pieces"] > 1 or written["contents"][-1] == example.contents[-1]
            )
        assert position == len(data)


def assert_rejections(found: Folder) -> None:
    """Every rejection says where its row stands, and holds it unless it was too long or no row at all."""
    for told in rejections(found):
        assert told["class"] == REASONS[told["reason"]].owner and told["stage"] == REASONS[told["reason"]].stage
        if set(found["manifest.json"]["formats"]) != {"gemini"}:
            continue  # the row is no line
        source = row_at(told["source"], told["offset"])
        assert told["line"] == source.line
        if "row" in told:
            with contextlib.suppress(RowError):  # then it is told as it stands
                source, _ = unwrap(source)
            assert told["row"] == json.loads(source.raw.removeprefix(b"\xef\xbb\xbf"))


def assert_images(path: Path, found: Folder) -> None:
    """Fates add up in images.parquet as in the counters; every image that a line names is there and conforms."""
    dataset, count = found["manifest.json"], counters(found)
    if not dataset["verified"]:
        assert "images.parquet" not in found and {f"images_{fate}" for fate in FATES} & set(count) <= {
            "images_unverified",
            "images_unused",
            "images_rejected",  # by their URI alone
            "images_dropped",
        }
        return
    fates: Counter[str] = Counter()
    for row in found["images.parquet"]:
        fates[row["fate"]] += row["references"]
        assert (row["reason"] != "") == (row["fate"] in ("rejected", "dropped")) or row["fate"] == "unused"
    sampled = count["examples_sampled_out"]
    assert sampled or {fate: n for fate in FATES if (n := count[f"images_{fate}"])} == fates
    options = dataset["options"]
    for name in found:
        if not name.endswith(".jsonl") or name == "rejected.jsonl":
            continue
        for line in map(json.loads, found[name].splitlines()):
            data = [p["fileData"] for turn in line["contents"] for p in turn["parts"] if "fileData" in p]
            assert len(data) <= options["max_images"]
            for image in data:
                uri, kind = image["fileUri"], image["mimeType"].removeprefix("image/")
                if uri.startswith("/"):
                    assert os.path.getsize(uri) <= options["max_image_bytes"]
                    assert kind == opened_kind(uri) and kind in options["types"]
    named = {row[side] for row in found["images.parquet"] for side in ("output", "source")} - {""}
    named |= set(
        re.findall(rf"{re.escape(str(path))}/images/[0-9a-f/]+\.\w+", found["rejected.jsonl"].decode())
    )  # rows that held bytes
    # An image is rewritten before its example may be rejected for another one; then its row, `unused`, names no output.
    unused = sum(row["fate"] == "unused" for row in found["images.parquet"])
    assert len({f"{path}/{name}" for name in found if name.startswith("images/")} - named) <= unused


@lru_cache(maxsize=512)
def opened_kind(uri: str) -> str:
    with Image.open(io.BytesIO(Path(uri).read_bytes())) as image:
        return str(image.format).lower()
