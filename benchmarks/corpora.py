"""Inputs of every kind that Tuneset reads, made by code and the same in every run, and the commands that read them.

They are read by the command line alone, so they outlast any move inside the packages. `same_bytes.py` runs them.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from common import TWO_PROCESSES, noise_jpeg, text_rows, write_rows
from PIL import Image

RECIPES = ("catalogue", "classification", "extraction", "inspection", "moderation", "recommendation")
LIMIT = 60_000  # bytes an image may have here, so that small images are oversized ones
ALL = ("--max_rejected_fraction", "1", "--max_image_bytes", str(LIMIT))
ASK = ("--prompt", "What is {label}?", "--answer", "{label}", "--image_column", "image", *ALL)
KEEP = "--keep_blocks"  # leaves the names of blocks, their keys, in _tuneset


@dataclass(frozen=True)
class Case:
    """Commands that run one after another, each as `python -m beam_jobs COMMAND`; a word ending in .py is a script of examples/.

    Attributes:
      fails: commands are expected to be refused.
      again: the first command writes its own input; the command that it prints is run once more, over files of a fixed time.
    """

    name: str
    commands: tuple[tuple[str, ...], ...]
    again: bool = False
    fails: bool = False


def put(path: Path, data: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def put_lines(path: Path, rows: Sequence[Any]) -> Path:
    """JSON lines; a row that is bytes is written as it is."""
    return put(path, b"\n".join(row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows) + b"\n")


# Images


def picture(width: int, height: int, seed: int, mode: str = "RGB") -> Image.Image:
    """Seeded noise in flat tiles."""
    small = Image.frombytes("RGB", (16, 16), random.Random(seed).randbytes(768))
    return small.resize((width, height), Image.Resampling.NEAREST).convert(mode)


def encoded(kind: str, image: Image.Image, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def images() -> dict[str, bytes]:
    """Name -> bytes: conforming images, ones to rewrite, and broken ones."""
    turned = Image.Exif()
    turned[0x0112] = 6
    frames = [picture(60, 40, seed) for seed in (1, 2, 3)]
    noise = Image.frombytes("RGBA", (200, 160), random.Random(5).randbytes(200 * 160 * 4))
    good = {f"good{n}.jpg": encoded("JPEG", picture(64 + n, 48, n)) for n in range(20)}
    good |= {f"good{n}.png": encoded("PNG", picture(40, 30 + n, n)) for n in range(5)}
    good["good.webp"] = encoded("WEBP", picture(64, 48, 30))
    good["turned.jpg"] = encoded("JPEG", picture(64, 48, 31), exif=turned)
    good["named.png"] = encoded("JPEG", picture(64, 48, 32))  # another type than its name says

    rewritten = {
        "one.bmp": encoded("BMP", picture(80, 60, 40)),
        "one.gif": encoded("GIF", picture(80, 60, 41)),
        "film.gif": encoded("GIF", frames[0], save_all=True, append_images=frames[1:]),
        "one.tif": encoded("TIFF", picture(80, 60, 42)),
        "big.jpg": noise_jpeg(43, 1200, 800, 200),
        "big_turned.jpg": encoded(
            "JPEG", Image.open(io.BytesIO(noise_jpeg(44, 800, 600, 240))), quality=95, exif=turned
        ),
        "big_clear.png": encoded("PNG", noise),
        "big_ink.jpg": encoded(
            "JPEG", Image.open(io.BytesIO(noise_jpeg(45, 700, 500, 256))).convert("CMYK"), quality=95
        ),
        "grey.tif": encoded("TIFF", picture(90, 70, 46, "L")),
    }
    broken = {
        "cut.jpg": good["good1.jpg"][:-200],
        "cut.png": good["good1.png"][:-40],
        "page.jpg": b"<!DOCTYPE html><title>Not found</title>",
        "empty.png": b"",
        "lfs.jpg": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    }
    return good | rewritten | broken


# Rows


def gemini_row(number: int, names: Sequence[str]) -> dict[str, Any]:
    """A row of Gemini's form; its images stand between texts."""
    parts: list[dict[str, Any]] = []
    for at, name in enumerate(names):
        subtype = name.rpartition(".")[2].replace("jpg", "jpeg")
        parts += [{"text": f"Picture {at}:"}, {"fileData": {"mimeType": f"image/{subtype}", "fileUri": name}}]
    turns = [
        {"role": "user", "parts": [*parts, {"text": f"Question {number}{', été 日本' if number % 2 else ''}?"}]},
        {"role": "model", "parts": [{"text": f"answer {number % 7}"}]},
    ]
    row: dict[str, Any] = {"contents": turns, "group": number % 11, "use": ("train", "validation", "test")[number % 3]}
    if number % 5 == 0:
        row["systemInstruction"] = {"role": "system", "parts": [{"text": "Be short."}]}
    if number % 13 == 0:
        row["generationConfig"] = {"mediaResolution": "MEDIA_RESOLUTION_LOW"}
    return row


def gemini_rows(folder: str, count: int, names: Sequence[str]) -> list[Any]:
    """Rows that each choose some of the names, then rows with every usual fault."""
    draw = random.Random(count)
    rows: list[Any] = [
        gemini_row(n, [f"{folder}{draw.choice(names)}" for _ in range(draw.randrange(4))]) for n in range(count)
    ]
    many = gemini_row(1, [f"{folder}good{n % 20}.jpg" for n in range(40)])
    snake = json.dumps(gemini_row(2, [f"{folder}{names[0]}"])).replace("fileData", "file_data").replace("Uri", "_uri")
    turns = gemini_row(3, [f"{folder}{names[1]}"])
    turns["contents"] = turns["contents"] * 12
    inline = {"role": "user", "parts": [{"inlineData": {"mimeType": "image/png", "data": "aGk="}}]}
    faulty = [
        b"not json", b"", b"[]", b'{"contents": NaN}', b"\xff\xfe{}", {"rows": 1}, {"contents": []},
        {"contents": [inline, {"role": "model", "parts": [{"text": "a"}]}]},
        {"contents": [{"role": "judge", "parts": [{"text": "a"}]}]},
        {"contents": [{"role": "user", "parts": [{"text": "no answer"}]}]},
        gemini_row(4, [f"{folder}absent.jpg"]), gemini_row(5, ["https://host.example/a.jpg"]), gemini_row(6, ["/etc/hostname"]),
    ]  # fmt: skip
    return [*rows, many, snake.encode(), turns, rows[0], b"  \t" + json.dumps(rows[1]).encode() + b"\r", *faulty]


def table_rows(folder: str, names: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of a table: an image, a label that needs quotes in CSV, a number, a word for the split."""
    labels = ("plain", 'with "quotes"', "two\nlines", "semi;colon, comma", "", "日本")
    uses = ("train", "validation", "test")
    return [
        {"image": f"{folder}{name}", "label": labels[n % 6], "size": str(n), "use": uses[n % 3]}
        for n, name in enumerate([*names, *names, "absent.jpg"])
    ]


def csv_text(rows: Sequence[dict[str, Any]], **dialect: Any) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), **dialect)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def write_inputs(folder: Path, text_count: int) -> None:
    """Write every input below a folder; `text_count` is the number of rows of text alone."""
    made = images()
    names = sorted(made)
    for name, data in made.items():
        put(folder / "images" / name, data)
    sound = [name for name in names if name.startswith("good")]

    put_lines(folder / "rows.jsonl", gemini_rows("images/", 150, names))
    put_lines(folder / "sound.jsonl", gemini_rows("images/", 150, sound)[:150])
    put_lines(folder / "later.jsonl", gemini_rows("images/", 40, names)[:40])
    lines = b"".join(json.dumps(row).encode() + b"\n" for row in gemini_rows("images/", 90, sound)[:90])
    put(folder / "packed.jsonl.gz", gzip.compress(lines, mtime=0))
    write_rows(folder / "text.jsonl", text_rows(0, text_count))

    write_tables(folder, names, made)
    write_folders(folder, made)
    write_automl(folder)


def write_tables(folder: Path, names: Sequence[str], made: dict[str, bytes]) -> None:
    rows = table_rows("images/", names)
    put(folder / "table.csv", csv_text(rows) + "images/good1.jpg,too few\nimages/good2.jpg,a,b,c,d\n")
    put(folder / "office.csv", b"\xef\xbb\xbf" + csv_text(rows, delimiter=";").encode())
    put(folder / "latin.csv", csv_text([row | {"label": "été"} for row in rows]).encode("latin-1"))
    put(folder / "table.tsv", csv_text(rows, delimiter="\t"))
    put_lines(
        folder / "table.jsonl", [*rows, b"broken", {"image": ["images/good1.jpg", "images/good2.jpg"], "label": 3}]
    )
    put(folder / "table.csv.gz", gzip.compress(csv_text(rows).encode(), mtime=0))
    pq.write_table(pa.Table.from_pylist(rows), folder / "table.parquet", row_group_size=16)
    held = [{"image": {"bytes": made[name], "path": name}, "label": n, "use": "train"} for n, name in enumerate(names)]
    pq.write_table(pa.Table.from_pylist(held), folder / "held.parquet", row_group_size=8)
    sound = (folder / "table.parquet").read_bytes()
    put(folder / "damaged.parquet", sound[:30] + b"\xff" * 60 + sound[90:])  # the first page


def write_folders(folder: Path, made: dict[str, bytes]) -> None:
    """Folders of classes: below splits, with sidecars, with metadata."""
    for n, (name, data) in enumerate(sorted(made.items())):
        put(folder / "classes" / ("cat", "dog", "é")[n % 3] / name, data)
        put(folder / "split" / ("train", "val")[n % 4 == 3] / ("cat", "dog")[n % 2] / name, data)
        put(folder / "sidecars" / f"{n:02}-{name}", data)
        put(
            folder / f"sidecars/{n:02}-{name.rpartition('.')[0]}.json", json.dumps({"label": f"label {n}", "rows": [n]})
        )
        put(folder / "metadata" / name, data)
    put(folder / "classes/notes.txt", "skipped")
    rows = [{"file_name": name, "caption": f"caption of {name}"} for name in [*sorted(made)[:30], "absent.jpg"]]
    put(folder / "metadata/metadata.csv", csv_text(rows))


def write_automl(folder: Path) -> None:
    """AutoML's classification and object detection, as CSV and as JSON lines."""
    uses = ("TRAINING", "validation", "TEST", "UNASSIGNED")
    put(
        folder / "flowers.csv",
        "".join(f"{uses[n % 4]},gs://b/{n}.jpg,{'daisy' if n % 2 else 'rose'}\n" for n in range(60)),
    )
    boxes = [f"gs://b/{n % 20}.jpg,car{n % 3},0.1,0.{n % 9}1,,,0.5,0.{n % 9}9,," for n in range(60)]
    put(folder / "boxes.csv", "\n".join([*boxes, "gs://b/3.jpg,bad,0.9,x,,,0.1,0.2,,"]) + "\n")
    rows = [
        {
            "imageGcsUri": f"gs://b/{n}.png",
            "classificationAnnotation": {"displayName": f"kind{n % 3}"},
            "dataItemResourceLabels": {"aiplatform.googleapis.com/ml_use": "test"},
        }
        for n in range(30)
    ]
    put_lines(folder / "flowers.jsonl", rows)


# Commands


def cases(inputs: str, out: str) -> list[Case]:
    """Every case over the inputs of a folder; each writes below `out`/NAME."""

    def job(name: str, source: str, *options: str) -> Case:
        return Case(name, (prepare(name, source, *options),))

    def prepare(name: str, source: str, *options: str) -> tuple[str, ...]:
        return ("prepare", "--input", f"{inputs}/{source}", "--output", f"{out}/{name}/dataset", KEEP, *options)

    none = ("--verify", "none", "--prompt", "What?")
    held = ("prepare", "--input", f"{inputs}/held.parquet", "--image_folder", f"{out}/parquet_held/shared", *ASK)
    again = f"{out}/replay/dataset/rejected.jsonl"
    nights = f"{out}/previous"
    night = ("--image_folder", f"{nights}/shared", "--block_bytes", "8192", KEEP, *ALL)
    both = f"{inputs}/sound.jsonl,{inputs}/later.jsonl"
    return [
        Case("demo", (("demo", f"{out}/demo"),), again=True),
        *(Case(name, ((f"{name}.py", f"{out}/{name}"),), again=True) for name in RECIPES),
        job("rows", "rows.jsonl", *ALL),
        job("small_blocks", "rows.jsonl", "--block_bytes", "4096", "--split_by", "group", *ALL),
        job("two_processes", "rows.jsonl", "--block_bytes", "8192", *TWO_PROCESSES, *ALL),
        job("dropped", "rows.jsonl", "--on_bad_image", "drop_image", "--types", "jpeg,png", "--max_images", "3", *ALL),
        job("decoded", "rows.jsonl", "--verify", "decode", "--alpha", "flatten", "--upright", "--effort", "best", *ALL),
        job("resized", "rows.jsonl", "--oversize", "resize", "--max_side", "300", "--animation", "reject", *ALL),
        job("columns", "rows.jsonl", "--split_column", "use", "--verify", "header", *ALL),
        job("shuffled", "sound.jsonl", "--shuffle_seed", "1", "--sample", "0.5", "--uri_prefix", "gs://b/f"),
        job("capped", "sound.jsonl", "--max_validation", "3", "--seed", "x", "--splits", "train=0.5,validation=0.4,test=0.1"),
        job("packed", "packed.jsonl.gz"),
        job("csv", "table.csv", *ASK),
        job("csv_office", "office.csv", "--split_column", "use", *ASK),
        job("csv_latin", "latin.csv", "--encoding", "latin-1", *ASK),
        job("csv_packed", "table.csv.gz", *ASK),
        job("tsv", "table.tsv", "--system", "Size {size}", "--split_by", "size", *ASK),
        job("table_lines", "table.jsonl", *ASK),
        job("parquet", "table.parquet", "--split_column", "use", *ASK),
        Case("parquet_held", (  # images go into the folder first, so that their names and times are the same ones later
            (*held, "--output", f"{out}/parquet_held/one", "--verify", "none"),
            (*held, "--output", f"{out}/parquet_held/two", KEEP),
        )),
        job("parquet_damaged", f"table.parquet,{inputs}/damaged.parquet", *ASK),
        job("classes", "classes", "--prompt", "Which?", "--block_bytes", "2048", *ALL),
        job("split_folders", "split", "--prompt", "Which of {path.2}?", "--shuffle_seed", "s", *ALL),
        job("sidecars", "sidecars", "--prompt", "Rows?", "--answer", "{sidecar.rows|json} {sidecar.label}", *ALL),
        job("metadata", "metadata", "--prompt", "What?", "--answer", "{caption}", *ALL),
        job("automl", "flowers.csv", *none),
        job("automl_boxes", "boxes.csv", *none, *ALL),
        job("automl_lines", "flowers.jsonl", *none),
        job("mixed", f"sound.jsonl,{inputs}/table.csv", *ASK),
        job("text", "text.jsonl", "--verify", "none"),
        Case("replay", (
            prepare("replay", "rows.jsonl", "--on_too_many_images", "reject", *ALL),
            ("prepare", "--input", again, "--allow_prefix", f"{inputs},gs://", "--output", f"{out}/replay/again", *ALL),
        )),
        Case("previous", (
            ("prepare", "--input", f"{inputs}/sound.jsonl", "--output", f"{nights}/one", *night),
            ("prepare", "--input", both, "--output", f"{nights}/two", "--previous", f"{nights}/one", *night),
            ("sweep", "--image_folder", f"{nights}/shared", "--datasets", f"{nights}/one", "--min_age_hours", "0"),
        )),
        Case("looking", (
            prepare("looking", "rows.jsonl", "--dry_run", *ALL),
            prepare("looking", "table.csv", "--preview", "5", *ASK),
        )),
        Case("refused", (
            prepare("refused", "absent.jsonl"),
            prepare("refused", "rows.jsonl", "--splits", "train=2"),
            prepare("refused", "table.csv", "--prompt", "{no}", "--answer", "{label}"),
            prepare("refused", "rows.jsonl", "--no_such_option"),
            prepare("refused", "rows.jsonl", "--max_rejected_fraction", "0.01"),
            ("nothing",),
        ), fails=True),
        Case("help", (("--help",), ("prepare", "--help"), ("sweep", "--help"), ("demo", "--help"), ("--version",))),
    ]  # fmt: skip


def cloud_cases(inputs: str, out: str) -> list[Case]:
    """The same over objects of Cloud Storage."""
    flags = (KEEP, "--max_rejected_fraction", "1", "--max_image_bytes", str(LIMIT))
    return [
        Case("gs_rows", (("prepare", "--input", f"{inputs}/objects.jsonl", "--output", f"{out}/gs_rows", *flags),)),
        Case("gs_classes", (
            ("prepare", "--input", f"{inputs}/classes/", "--output", f"{out}/gs_classes", "--prompt", "Which?", *flags),
        )),
    ]  # fmt: skip


def cloud_objects(folder: Path, inputs: str) -> dict[str, bytes]:
    """Name of an object below `inputs` -> its bytes; `folder` is what `write_inputs` wrote."""
    paths = [*folder.glob("images/*"), *folder.glob("classes/*/*")]
    objects = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
    names = sorted(path.name for path in folder.glob("images/*"))
    rows = gemini_rows(f"{inputs}/images/", 100, names)
    lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
    return objects | {"objects.jsonl": b"\n".join(lines) + b"\n"}
