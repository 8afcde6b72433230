"""What a report takes from a dataset's lines: the examples it shows, how often answers are given, a rejected row of each reason."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from beam_jobs.report.page.texts import bytes_on_page, cut
from transforms.core import jsonl
from transforms.storage import store_for
from transforms.storage.api import NotFound

SHOWN = 48
_LONGEST_LINE = 1 << 20  # bytes of a line that is shown
_PARTS, _EXAMPLE_BYTES = 24, 10_000  # of an example that are shown; bytes of a page that its texts take
_TEXT_BYTES, _ANSWER_BYTES, _REJECTED_TEXT = 1200, 240, 400  # bytes of a page that a text takes
_ANSWERS, _ANSWERS_BYTES = 60, 16 << 20  # distinct ones that are told; bytes of a file that are read for them
_REJECTED_BYTES = 1 << 20  # of rejected.jsonl that are read


def shares(splits: Mapping[str, int], number: int = SHOWN) -> dict[str, int]:
    """How many examples of each split are shown, in proportion, and at least one of each that has any.

    >>> shares({"train": 900, "validation": 90, "test": 10, "other": 0})
    {'train': 43, 'validation': 4, 'test': 1}
    >>> shares({"train": 3})
    {'train': 3}
    """
    filled = {name: lines for name, lines in splits.items() if lines}
    total = sum(filled.values())
    if total <= number:
        return filled
    share = {name: max(1, lines * number // total) for name, lines in filled.items()}
    largest = max(filled, key=lambda name: filled[name])
    share[largest] += number - sum(share.values())
    return share


def examples(folder: str, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Examples as the model sees them, of rows of examples.parquet: their texts, cut, and the URIs of their images.

    Raises:
      StorageError.
    """
    shown = []
    for row in rows:
        told = {name: row[name] for name in ("split", "file", "line", "id", "images", "tokens")}
        if row["bytes"] <= _LONGEST_LINE:
            told["turns"] = _turns(_example(folder, row))
        shown.append(told)
    return shown


def _turns(example: dict[str, Any]) -> list[dict[str, Any]]:
    system = example.get("systemInstruction")
    turns = [{"role": "system", "parts": system["parts"]}] if system else []
    left, room, shown = _PARTS, _EXAMPLE_BYTES, []
    for turn in turns + example["contents"]:
        parts = []
        for part in turn["parts"][: min(left, room // _TEXT_BYTES)]:
            parts.append(_part(part))
            left, room = left - 1, room - bytes_on_page(next(iter(parts[-1].values())))
        if parts:
            shown.append({"role": turn.get("role", ""), "parts": parts})
    return shown


def _part(part: dict[str, Any]) -> dict[str, str]:
    if "fileData" in part:
        return {"image": part["fileData"]["fileUri"]}
    return {"text": cut(part.get("text", ""), _TEXT_BYTES)}


def leaks(folder: str, told: Sequence[Mapping[str, Any]], rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leaks with their lines and images.

    Args:
      told: as `dataset.findings` names them. rows: of examples.parquet that have their ids.

    Raises:
      StorageError.
    """
    by_name: dict[tuple[str, str, int], dict[str, Any]] = {}
    for one in rows:
        by_name.setdefault((one["split"], one["id"], one["piece"]), one)
    pairs = []
    for leak in told:
        pair = {}
        for side in ("here", "there"):
            place = leak[side]
            row = by_name.get((place["split"], place["id"], place["piece"]))
            if row and row["bytes"] <= _LONGEST_LINE:
                image = _images(_example(folder, row))[place["image"] - 1]
                pair[side] = {name: row[name] for name in ("split", "file", "line")} | {"image": image, "source": image}
        if len(pair) == 2:
            pairs.append(pair)
    return pairs


def _images(example: Mapping[str, Any]) -> list[str]:
    parts = (part for turn in example["contents"] for part in turn["parts"])
    return [part["fileData"]["fileUri"] for part in parts if "fileData" in part]


def _example(folder: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """The line that a row of examples.parquet names."""
    uri, start = f"{folder}/{row['file']}", row["byte_offset"]
    return jsonl.loads(store_for(uri).read(uri, start, start + row["bytes"])[0])


def answers(folder: str, files: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """How often each answer is given, where they are few and most are given more than once.

    Returns:
      {"lines": that were read, "whole": whether these are all, "answers": [{"answer", "lines"}]}, most frequent first.
    """
    counts, whole = Counter[str](), True
    named = [one for one in files if one["name"].split(".")[0].split("-0")[0] in ("train", "validation", "test")]
    for file in named:
        whole = whole and file["bytes"] <= _ANSWERS_BYTES
        for line in _first_lines(f"{folder}/{file['name']}", _ANSWERS_BYTES, file["bytes"]):
            counts[_answer(jsonl.loads(line))] += 1
            if len(counts) > _ANSWERS:
                return {"lines": 0, "whole": False, "answers": []}
    if 2 * len(counts) > sum(counts.values()):  # they are texts, and no classes
        counts.clear()
    told = [
        {"answer": cut(answer, _ANSWER_BYTES), "lines": n}
        for answer, n in sorted(counts.items(), key=lambda i: (-i[1], i[0]))
    ]
    return {"lines": sum(counts.values()), "whole": whole, "answers": told}


def _answer(example: dict[str, Any]) -> str:
    return "".join(part.get("text", "") for part in example["contents"][-1]["parts"])


def rejected(folder: str, reasons: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    """The first row of each reason among the first rows of rejected.jsonl."""
    found: dict[str, dict[str, Any]] = {}
    if reasons:
        for line in _first_lines(f"{folder}/rejected.jsonl", _REJECTED_BYTES):
            row = json.loads(line)
            texts = {name: cut(row[name] or "", _REJECTED_TEXT) for name in ("source", "detail", "image")}
            found.setdefault(row["reason"], texts | {"offset": row["offset"]})
    return found


def _first_lines(uri: str, most: int, size: int | None = None) -> Iterator[bytes]:
    """The lines that end within the first bytes of a file."""
    if size == 0:
        return
    try:
        data, found = store_for(uri).read(uri, 0, most)
    except NotFound:
        return
    *lines, last = data.split(b"\n")
    yield from lines
    if last and len(data) == found.size:
        yield last
