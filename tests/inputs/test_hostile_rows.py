"""Rows, names and files made to end a job cost themselves alone."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import laws
import pytest
from folders import jpeg, png, put, row, write_lines
from image_bytes import animated_png, tiff
from laws import counters, lines, rejections, uris

from transforms.core.places import LONGEST
from transforms.core.records import Block, Example, OpenBlock, Rejection, Row
from transforms.dataset.tuning.next_steps import grants
from transforms.examples.rejected_rows import number_rejected, rejected_line
from transforms.examples.tally import drop_bad_images

Run = Callable[..., laws.Folder]
ALL = ("--max_rejected_fraction", "1", "--splits", "train=1")


def whys(found: laws.Folder) -> list[str]:
    return [told["reason"] for told in rejections(found)]


# Line ends as white space


def test_a_rejected_row_with_line_ends_in_it_is_one_line_and_is_replayed(run: Run, tmp_path: Path) -> None:
    missing = json.dumps(row("when?", [f"{tmp_path}/in/a.jpg"])).encode()
    text = b'{"a":\r1}\n' + missing.replace(b": ", b":\r ") + b"\n" + json.dumps(row("fine")).encode() + b"\n"
    found = run(put(tmp_path / "in/rows.jsonl", text), *ALL)
    assert whys(found) == ["missing_contents", "image_not_found"] and counters(found)["examples_written"] == 1
    assert b"\r" not in found["rejected.jsonl"]
    put(tmp_path / "in/a.jpg", jpeg())
    again = run(tmp_path / "out/rejected.jsonl", "--allow_prefix", str(tmp_path), *ALL, output="again")
    assert [uris(line) for line in lines(again)] == [[f"{tmp_path}/in/a.jpg"]]
    assert [told["row"] for told in rejections(again)] == [{"a": 1}]


def test_a_record_of_csv_that_is_json_with_line_ends_is_one_line(run: Run, tmp_path: Path) -> None:
    text = b'image,label\na.jpg,cat\n{"k":[1,"\\","\r\n],"a":1}\nb.jpg,dog\n'
    for name in ("a.jpg", "b.jpg"):
        put(tmp_path / "in" / name, jpeg())
    table = put(tmp_path / "in/rows.csv", text)
    found = run(table, "--prompt", "?", "--answer", "{label}", "--image_column", "image", *ALL)
    assert [(told["reason"], told["line"], told["row"]) for told in rejections(found)] == [
        ("bad_record", 3, {"k": [1, '",'], "a": 1})
    ]
    assert counters(found)["examples_written"] == 2


def test_lines_of_a_rejected_part_end_at_newlines_alone() -> None:
    """Parts of a run before rows were written in one line."""
    part = b"".join(rejected_line(Rejection(Row("f", 0, n, b'{"a": 1}'), "not_json", "")) for n in (1, 2))
    part = part.replace(b": 1", b":\r1")
    assert [json.loads(line)["line"] for line in number_rejected(part, {"f": 10})] == [11, 12]


# What JSON or a table of images cannot hold


def test_sizes_and_names_that_no_table_holds_cost_their_rows_alone(run: Run, tmp_path: Path) -> None:
    images = {"a.tif": tiff((1 << 32) - 1, (1 << 32) - 1), "b.tif": tiff(1, 1 << 63, big=True)}
    images |= {"c.png": animated_png((1 << 32) - 1), "d.png": png()}
    for name, data in images.items():
        put(tmp_path / "in" / name, data)
    put(os.fsdecode(os.fsencode(tmp_path) + b"/other/\xff.png"), png())
    os.symlink(b"../other/\xff.png", tmp_path / "in/e.png")
    found = run(write_lines(tmp_path / "in/rows.jsonl", [row(n, [n]) for n in (*images, "e.png")]), *ALL)
    assert whys(found) == ["undecodable"] * 3 + ["not_a_file"] and counters(found)["examples_written"] == 1
    assert rejections(found)[-1]["detail"].endswith("/other/\\udcff.png")


# Images without end


def many(count: int) -> list[str]:
    return [f"gs://b/{number}.jpg" for number in range(count)]


def test_a_row_holds_at_most_ten_thousand_images(run: Run, tmp_path: Path) -> None:
    flags = ("--verify", "none", "--max_images", "6000", *ALL)
    rows = [row("most", many(10_000)), row("more", many(10_001))]
    found = run(write_lines(tmp_path / "in/rows.jsonl", rows), *flags)
    assert [len(uris(line)) for line in lines(found)] == [5000, 5000]
    assert [(told["reason"], told["detail"]) for told in rejections(found)] == [
        ("too_many_images", "over 10,000 images in one row")
    ]
    table = [{"image": "gs://b/a.jpg", "more": ""}, {"image": many(10_000), "more": ""}]
    table.append({"image": json.dumps(many(9_999)), "more": ["gs://b/a.jpg", "gs://b/b.jpg"]})
    columns = ("--image_column", "image,more", "--prompt", "?", "--answer", "yes")
    found = run(write_lines(tmp_path / "in/table.jsonl", table), *columns, *flags, output="table")
    assert whys(found) == ["too_many_images"] and counters(found)["examples_written"] == 3


def test_a_row_whose_pieces_would_come_to_gigabytes_is_rejected(run: Run, tmp_path: Path) -> None:
    rows = [row("why?", many(8000), answer="x" * 400_000), row("fine", many(20), answer="x" * 400_000)]
    rows.append(row("head", many(8000)) | {"systemInstruction": {"parts": [{"text": "x" * 400_000}]}})
    found = run(write_lines(tmp_path / "in/rows.jsonl", rows), "--verify", "none", *ALL)
    assert whys(found) == ["too_many_images"] * 2 and counters(found)["pieces_written"] == 2


@pytest.mark.timeout(30)
@pytest.mark.parametrize("policy", ["reject_example", "drop_image"])
def test_bad_images_are_taken_out_in_one_walk(policy: str) -> None:
    count = 100_000  # squared, this would take minutes
    images = [{"mimeType": "image/png", "fileUri": str(number)} for number in range(count)]
    contents = [{"role": "user", "parts": [{"fileData": image} for image in images]}]
    sources = [image["fileUri"] for image in images]
    example = Example(Row("f", 0, 1, b"{}"), 1, contents, {}, {}, images, sources=sources)
    opened = OpenBlock(Block((0, b"f", 0), (), "gemini"), "key", examples=[example])
    drop_bad_images(opened, lambda source: ("image_not_found", "") if int(source) % 2 else ("", ""), policy)
    kept = [len(example.images) for example in opened.examples]
    assert kept == ([] if policy == "reject_example" else [count // 2])


# Names without end


def test_uris_of_megabytes_are_rejected_and_cut(run: Run, tmp_path: Path) -> None:
    long = ["gs://b/" + "x" * 1_000_000, "x" * 1_000_000, "data:image/png;base64," + "A" * 1_000_000]
    rows = [row("fine", ["a.png"]), *(row(str(n), [uri]) for n, uri in enumerate(long))]
    put(tmp_path / "in/a.png", png())
    found = run(write_lines(tmp_path / "in/rows.jsonl", rows), *ALL)
    assert whys(found) == ["bad_uri", "bad_uri", "unsupported_scheme"]
    assert all(len(told["image"]) == 2000 and len(told["detail"]) < 200 for told in rejections(found))
    assert max(len(image["source"]) for image in found["images.parquet"]) == 2 * LONGEST


def test_buckets_that_are_named_are_buckets_and_few(run: Run, tmp_path: Path) -> None:
    flags = ("--verify", "none", "--max_images", "2000", *ALL)
    rows = [row("odd", ["gs://$(rm -rf)/a.jpg", "gs://B/a.jpg", "gs://good/a.jpg"])]
    dataset = run(write_lines(tmp_path / "in/odd.jsonl", rows), *flags)["manifest.json"]
    assert dataset["buckets"] == ["good"] and "more_buckets" not in dataset
    names = [f"bucket-{number:04}" for number in range(1200)]
    rows = [row("many", [f"gs://{name}/a.jpg" for name in names[at:1200:7]]) for at in range(7)]
    dataset = run(write_lines(tmp_path / "in/many.jsonl", rows), *flags, "--block_bytes", "9000", output="many")[
        "manifest.json"
    ]
    assert dataset["buckets"] == names[:1000] and dataset["more_buckets"] is True
    said = next(grants(dataset, 10)).text
    assert "gs://bucket-0009 and over 990 more, of which manifest.json names the first 1,000" in said
