"""Make inputs, and compare output folders as SEMANTICS defines equal: shared by the tests that run whole jobs."""

from __future__ import annotations

import io
import json
import os
import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from PIL import Image


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    """Seeded noise in large flat tiles: it compresses like a drawing, and no two seeds look alike."""
    small = Image.frombytes("RGB", (16, 16), random.Random(seed).randbytes(768))
    return small.resize((width, height), Image.Resampling.NEAREST)


def encoded(kind: str, width: int = 64, height: int = 48, seed: int = 0, **options: Any) -> bytes:
    """The bytes of a picture in one of Pillow's formats (JPEG PNG BMP GIF WEBP)."""
    out = io.BytesIO()
    picture(width, height, seed).save(out, kind, **options)
    return out.getvalue()


def jpeg(width: int = 64, height: int = 48, seed: int = 0, **options: Any) -> bytes:
    return encoded("JPEG", width, height, seed, **options)


def png(width: int = 64, height: int = 48, seed: int = 0) -> bytes:
    return encoded("PNG", width, height, seed)


def bmp(width: int = 64, height: int = 48, seed: int = 0) -> bytes:
    """A type that does not conform: it has to be fitted."""
    return encoded("BMP", width, height, seed)


def put(path: str | os.PathLike[str], data: bytes) -> str:
    """Write a file, with its folders -> its path."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    return str(target)


def put_images(folder: Path, *names: str) -> None:
    """Write a JPEG of its own under each name."""
    for seed, name in enumerate(names):
        put(folder / name, jpeg(seed=seed))


def row(text: str, images: Sequence[str] = (), answer: str = "yes", **columns: Any) -> dict[str, Any]:
    """One row: a user turn of a text and its images, and a model turn."""
    parts = [{"fileData": {"mimeType": "image/" + _subtype(uri), "fileUri": uri}} for uri in images]
    turns = [{"role": "user", "parts": [*parts, {"text": text}]}, {"role": "model", "parts": [{"text": answer}]}]
    return {"contents": turns, **columns}


def _subtype(uri: str) -> str:
    kind = uri.rpartition(".")[2]
    return "jpeg" if kind in ("jpg", uri) else kind


def write_lines(path: str | os.PathLike[str], rows: Sequence[dict[str, Any]]) -> str:
    """Rows as JSON lines -> the path."""
    return put(path, b"".join(json.dumps(one).encode() + b"\n" for one in rows))


def write_rows(
    path: str | os.PathLike[str],
    n: int,
    *,
    seed: int = 0,
    images: Sequence[str] = (),
    per_row: tuple[int, int] = (1, 4),
) -> str:
    """Write n seeded rows -> the path.

    Args:
      images: URIs that rows choose from, with repetition; none: rows of text alone.
      per_row: least and most images of a row.
    """
    draw = random.Random(seed)
    rows = []
    for i in range(n):
        chosen = [draw.choice(images) for _ in range(draw.randint(*per_row))] if images else []
        rows.append(row(f"question {seed}.{i} " + "abc " * draw.randint(0, 20), chosen, f"answer {draw.random():.6f}"))
    return write_lines(path, rows)


def read_folder(path: str | os.PathLike[str]) -> dict[str, Any]:
    """An output folder by relative file name: bytes, the rows of a Parquet file, of the manifest what it says of the dataset.

    Every file that is there has an entry, but for the report, so a leftover is a difference.
    """
    root, found = Path(path), {}
    for file in sorted(p for p in root.rglob("*") if not p.is_dir()):
        name = file.relative_to(root).as_posix()
        if name in ("report.html", "report.json"):
            continue  # they tell of the run too
        if name == "manifest.json":
            found[name] = json.loads(file.read_bytes())["dataset"]
        elif re.fullmatch(r"(examples|images)(-\d{5}-of-\d{5})?\.parquet", name):
            found[name] = pq.read_table(file).to_pylist()
        else:
            found[name] = file.read_bytes()
    return found


def assert_equal_folders(a: Any, b: Any, *, same_blocks: bool = True) -> None:
    """Compare two folders (paths, or what `read_folder` gave), file by file.

    Args:
      same_blocks: the block sizes were equal; else images.parquet, which has a row per source and block, is compared by
        source and fate.
    """
    left, right = (folder if isinstance(folder, dict) else read_folder(folder) for folder in (a, b))
    if not same_blocks:
        left, right = _without_blocks(left), _without_blocks(right)
    names = {"only left": sorted(left.keys() - right.keys()), "only right": sorted(right.keys() - left.keys())}
    assert names == {"only left": [], "only right": []}, names
    for name, content in left.items():
        assert content == right[name], f"{name} differs: {_difference(content, right[name])}"


def _difference(left: Any, right: Any) -> str:
    """Where two contents begin to differ."""
    if isinstance(left, dict) and isinstance(right, dict):
        keys = [key for key in {**left, **right} if left.get(key) != right.get(key)]
        return "; ".join(f"{key}: {left.get(key)!r} is not {right.get(key)!r}" for key in keys)
    if isinstance(left, bytes) and isinstance(right, bytes):
        left, right = left.splitlines(), right.splitlines()
    at = next((i for i, (a, b) in enumerate(zip(left, right)) if a != b), min(len(left), len(right)))
    return f"{len(left)} and {len(right)} long, from {at} on: {left[at : at + 1]!r} is not {right[at : at + 1]!r}"


def _without_blocks(folder: dict[str, Any]) -> dict[str, Any]:
    """The same without what depends on block sizes: references of a source and fate are summed over the blocks."""
    merged: dict[str, Any] = {}
    for name, content in folder.items():
        if not (name.startswith("images") and name.endswith(".parquet")):
            merged[name] = content
            continue
        rows = merged.setdefault("images", {})
        for one in content:
            key = (one["source"], one["fate"])
            kept = rows.setdefault(key, one | {"references": 0})
            assert kept | {"references": 0} == one | {"references": 0}, f"{key} is told in two ways: {kept} {one}"
            rows[key] = kept | {"references": kept["references"] + one["references"]}
    manifest = dict(merged["manifest.json"])
    manifest["files"] = [file for file in manifest["files"] if not file["name"].startswith("images")]
    return merged | {"manifest.json": manifest}
