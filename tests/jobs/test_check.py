"""`tuneset check`: each fault is found at its line, none is found where there is none, and nothing is written."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from check_runs import SPLITS, Check, RowDict, clean_rows, question, turned, write_raw
from folders import bmp, jpeg, png, put, write_lines
from gemini_rows import user
from google.genai import types
from PIL import Image

from beam_jobs.__main__ import main
from transforms.core import limits


def gif() -> bytes:
    out = io.BytesIO()
    Image.new("P", (80, 80)).save(out, "GIF")
    return out.getvalue()


def turns(*given: Any) -> RowDict:
    return {"contents": list(given)}


def file_data(uri: str, mime: str = "image/png") -> RowDict:
    return {"fileData": {"mimeType": mime, "fileUri": uri}}


MODEL = {"role": "model", "parts": [{"text": "fine"}]}
TEXT = {"text": "what?"}


def planted(folder: Path) -> Iterator[tuple[str, bytes | RowDict]]:
    """Faults of single lines -> (code, line), with the images that they need."""
    images = folder / "img"
    put(images / "other-type.jpg", png(80, 80, 900))
    put(images / "turned.jpg", turned())
    put(images / "some.gif", gif())
    put(images / "small.png", png(63, 80, 902))
    put(images / "long.png", png(1001, 100, 903))
    put(images / "empty.png", b"")
    put(images / "text.png", b"no picture at all")
    put(images / "cut.jpg", jpeg(800, 800, 904)[:4000])
    put(images / "folder.png/inside.txt", b"")
    bomb = png(80, 80, 905)
    header = b"IHDR" + (60_000).to_bytes(4, "big") * 2 + bomb[24:29]
    put(images / "bomb.png", bomb[:12] + header + zlib.crc32(header).to_bytes(4, "big") + bomb[33:])
    put(images / "large.png", png(80, 80, 906))
    with open(images / "large.png", "r+b") as large:
        large.truncate(20_000_001)
    put(images / "raw.png", b"FUJIFILMCCD-RAW 0201FF393103X-T1" + bytes(64))
    put(images / "picture.bmp", bmp(80, 80, 907))

    yield "not_json", b'{"contents": '
    yield "not_utf8", b'{"contents": "\xff"}'
    yield "duplicate_key", b'{"contents": [], "contents": []}'
    yield "too_deep", b'{"a":' + b"[" * 300 + b"]" * 300 + b"}"
    yield "not_an_object", b"[1, 2]"
    yield "other_format", {"messages": [{"role": "user", "content": "x"}]}
    yield "missing_contents", {"contents": []}
    yield "bad_turn", turns("x", MODEL)
    yield "bad_role", turns({"role": "assistant", "parts": [TEXT]}, MODEL)
    yield "turn_order", turns(user(TEXT))
    yield "turn_order", turns(user(TEXT), user(TEXT), MODEL)
    yield "bad_part", turns(user({"text": "a", "fileData": {}}), MODEL)
    yield "empty_text", turns(user({"text": "  "}), MODEL)
    yield "unsupported_part", turns(user({"functionCall": {"name": "f"}}), MODEL)
    yield "inline_data", turns(user({"inlineData": {"mimeType": "image/png", "data": "AAAA"}}, TEXT), MODEL)
    yield "bad_file_data", turns(user({"fileData": {"fileUri": "img/0.png"}}, TEXT), MODEL)
    yield "unsupported_media", turns(user(file_data("a.pdf", "application/pdf"), TEXT), MODEL)
    yield "unsupported_media", question("a gif", "img/some.gif")
    yield "unsupported_media", question("a bitmap", "img/picture.bmp")
    yield "image_in_model_turn", turns(user(TEXT), {"role": "model", "parts": [file_data("img/0.png")]})
    yield "bad_system_instruction", question("system") | {"systemInstruction": {"parts": [file_data("img/0.png")]}}
    yield "too_many_images", question("many", *["img/train0.png"] * 17)
    yield "bad_uri", question("dots", "gs://bucket/a/../b.png")
    yield "unsupported_scheme", question("web", "ftp://example.com/a.png")
    yield "not_allowed", question("web", "https://example.com/a.png")
    yield "not_allowed", question("passwords", "/etc/passwd.png")
    yield "not_a_file", question("folder", "img/folder.png")
    yield "image_not_found", question("missing", "img/missing.png")
    yield "image_not_found", question("another spelling", "img\\train0.png")
    yield "empty_image", question("empty", "img/empty.png")
    yield "not_an_image", question("text", "img/text.png")
    yield "camera_raw", turns(user(file_data("img/raw.png"), TEXT), MODEL)
    yield "truncated_image", question("cut", "img/cut.jpg")
    yield "too_many_pixels", question("bomb", "img/bomb.png")
    yield "too_large", question("large", "img/large.png")
    yield "mime_mismatch", question("other type", "img/other-type.jpg")
    yield "over_tokens", question("w " * 263_000, answer="long")
    yield "line_too_long", question("w " * 600_000, answer="long")
    yield "rotated_image", question("turned", "img/turned.jpg")
    yield "small_image", question("small", "img/small.png")
    yield "extreme_shape", question("long", "img/long.png")
    yield "duplicate_example", question("train question 3", "img/train3.png")
    yield "conflicting_answers", question("train question 4", "img/train4.png", answer="another")
    yield "image_in_two_splits", question("leak", "img/leak.png")


def test_every_planted_fault_is_found_at_its_line(check: Check, tmp_path: Path) -> None:
    lines: dict[str, list[bytes | RowDict]] = {
        "train": [*clean_rows(tmp_path, "train", 500, 60)],
        "validation": [*clean_rows(tmp_path, "validation", 130, 15)],
        "test": [*clean_rows(tmp_path, "test", 130, 15)],
    }
    put(tmp_path / "img/leak.png", png(80, 80, 60_001))
    put(tmp_path / "img/leaked.png", png(80, 80, 60_001))
    lines["train"][10] = question("has what leaks", "img/leaked.png")
    large = ("over_tokens", "line_too_long", "duplicate_example", "conflicting_answers")
    expected = set()
    for number, (code, line) in enumerate(planted(tmp_path)):
        split = "train" if code in large else "test" if code == "image_in_two_splits" else SPLITS[number % 3]
        if split == "validation" and number % 2:
            split = "train"
        lines[split].insert(20 + 2 * number, line)
        expected.add((code, split, 21 + 2 * number))
    for split, of_split in lines.items():
        write_raw(tmp_path / f"{split}.jsonl", of_split)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}

    # Small blocks, so that what repeats does so across them, and lines are counted over several.
    checked = check("--input", tmp_path, "--max_line_bytes", 1_000_000, "--block_bytes", 8192)
    assert len(expected) >= 40
    whole = {place for place in checked.places if place[2] is None or place[0] == "local_path"}
    assert checked.places - whole == expected
    assert {code for code, _, _ in whole} == {"local_path", "uneven_image_counts"}
    assert checked.status == 1
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    bad = {(one["split"], one["line"]) for one in checked.findings if one["severity"] == "error"}
    for split, of_split in lines.items():
        for number, line in enumerate(of_split, 1):
            if (split, number) not in bad:
                assert isinstance(line, dict)
                assert [types.Content.model_validate(turn) for turn in line["contents"]]

    [leak] = [one for one in checked.findings if one["code"] == "image_in_two_splits"]
    assert (leak["image"], leak["detail"]) == ("img/leak.png", f"the same as in line 11 of {tmp_path}/train.jsonl")


def test_a_clean_dataset_has_no_fault_and_then_each_leak_is_found(check: Check, tmp_path: Path) -> None:
    write_lines(tmp_path / "train.jsonl", clean_rows(tmp_path, "train", 1800, 300))
    write_lines(tmp_path / "validation.jsonl", clean_rows(tmp_path, "validation", 200, 20))
    checked = check("--input", tmp_path)
    assert (checked.status, checked.codes) == (0, {"local_path": 1})
    assert checked.findings[0]["detail"] == "2,000 references"
    sizes = {name: (tmp_path / f"{name}.jsonl").stat().st_size for name in SPLITS[:2]}
    assert checked.summary["splits"] == {
        name: {
            "examples": examples,
            "with_errors": 0,
            "images": examples,
            "bytes": sizes[name],
            "files": [f"{tmp_path}/{name}.jsonl"],
        }
        for name, examples in (("train", 1800), ("validation", 200))
    }

    leaked = range(0, 18, 3)  # of the 20 images of validation
    for number in leaked:
        shutil.copy(tmp_path / f"img/train{number + 7}.png", tmp_path / f"img/validation{number}.png")
    checked = check("--input", tmp_path, "--fail_on", "warning")
    assert (checked.status, checked.codes) == (1, {"local_path": 1, "image_in_two_splits": 60})
    found = {(one["line"], one["image"], one["detail"]) for one in checked.findings if one["code"] != "local_path"}
    assert found == {
        (line, f"img/validation{number}.png", f"the same as in line {number + 8} of {tmp_path}/train.jsonl")
        for number in leaked
        for line in range(number + 1, 201, 20)
    }


@pytest.mark.parametrize("bad, found", [(10, False), (11, True)])
def test_a_tenth_of_a_split_may_have_errors(check: Check, tmp_path: Path, bad: int, found: bool) -> None:
    rows = clean_rows(tmp_path, "train", 100, 20)
    write_raw(tmp_path / "train.jsonl", [b"{"] * bad + [*rows[bad:]])
    checked = check("--input", tmp_path, "--fail_on", "never")
    assert (("predicted_drop", "train", None) in checked.places) == found
    assert checked.status == 0


@pytest.mark.parametrize("answers, found", [(["a"] * 19, set()), (["a"] * 20, {"constant_answer"}), (["a"] * 20 + ["b"], set()),
                                            (["a"] * 21 + ["b"], {"class_imbalance"})])  # fmt: skip
def test_answers_that_teach_little(check: Check, tmp_path: Path, answers: list[str], found: set[str]) -> None:
    write_lines(tmp_path / "rows.jsonl", [question(f"{i}", answer=answer) for i, answer in enumerate(answers)])
    assert set(check("--input", tmp_path).codes) == {"too_few_examples", *found}


def test_limits_of_files_and_splits(check: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each at its limit, and one above."""
    write_lines(tmp_path / "train.jsonl", [question(f"train {i}") for i in range(100)])
    write_lines(tmp_path / "val.jsonl", [question(f"val {i}") for i in range(20)])
    size = (tmp_path / "train.jsonl").stat().st_size
    usual = limits.PROFILES["image-tuning"]

    def codes(**changed: int) -> set[str]:
        values = {"max_file_bytes": size, "max_file_examples": 100, "max_validation": 20, **changed}
        profile = limits.Profile(**{**{name: getattr(usual, name) for name in usual.__dataclass_fields__}, **values})
        monkeypatch.setitem(limits.PROFILES, "image-tuning", profile)
        return set(check("--input", tmp_path).codes)

    assert codes() == set()
    assert codes(max_file_bytes=size - 1) == {"file_too_large"}
    assert codes(max_file_examples=99) == {"too_many_examples"}
    assert codes(max_validation=19) == {"validation_too_many"}


def test_a_validation_that_is_too_large_beside_training(check: Check, tmp_path: Path) -> None:
    """25 % of the bytes, and 30 % of the examples above 1,000: at each bound, and one above."""

    def codes(train: int, validation: int, wide: int = 0) -> Counter[str]:
        write_lines(tmp_path / "train.jsonl", [question(f"train {i:06}" + "x" * wide) for i in range(train)])
        write_lines(tmp_path / "val.jsonl", [question(f"val {i:08}") for i in range(validation)])
        return check("--input", tmp_path).codes

    assert codes(400, 100) == {}
    assert codes(400, 101) == {"validation_too_large": 1}
    assert codes(3340, 1002, wide=300) == {}
    assert codes(3340, 1003, wide=300) == {"validation_too_large": 1}


def test_files_that_are_no_lines_of_json(check: Check, tmp_path: Path) -> None:
    """`prepare` reads rows of them, and the service would not."""
    rows = [question(f"{i}") for i in range(100)]
    put(tmp_path / "train.jsonl", json.dumps(rows, indent=1).encode())
    put(
        tmp_path / "val.jsonl",
        gzip.compress(b"".join(json.dumps(question(f"val {i}")).encode() + b"\n" for i in range(10))),
    )
    checked = check("--input", tmp_path)
    assert checked.places == {
        ("not_an_object", "train", None),
        ("not_json", "validation", None),
    }


def test_models(check: Check, tmp_path: Path) -> None:
    write_lines(tmp_path / "train.jsonl", [question(f"{i}") for i in range(100)])
    found = {model: set(check("--input", tmp_path, "--model", model).codes) for model in limits.PROFILES}
    retired, unknown = {"model_retired"}, {"model_unknown"}
    assert found == {
        "image-tuning": set(),
        "gemini-1.5": retired,
        "gemini-2.0": retired,
        "gemini-2.5": unknown,
        "gemini-3": set(),
    }


def test_without_training_there_is_nothing_to_do(check: Check, tmp_path: Path) -> None:
    write_lines(tmp_path / "val.jsonl", [question("1")])
    write_raw(tmp_path / "train.jsonl", [b"{"])
    assert ("no_training_examples", "train", None) in check("--input", tmp_path).places
    assert ("no_training_examples", "train", None) in check("--validation", tmp_path / "val.jsonl").places


@pytest.mark.parametrize(
    "argv, said",
    [
        ([], "--input is missing"),
        (["--input", "a", "--train", "b"], "give one of them"),
        (["--input", "nothing.jsonl"], "does not exist"),
        (["--input", "."], "holds no file named *.jsonl"),
        (["--train", "x.txt", "--validation", "x.txt"], "is named for two splits"),
        (["--input", "x.txt", "--nonsense", "1"], "--nonsense is an option of neither"),
    ],
)
def test_what_cannot_be_checked_is_no_finding(
    argv: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put(tmp_path / "x.txt", b"{}\n")
    monkeypatch.chdir(tmp_path)
    assert main(["check", *argv]) == 2
    printed = capsys.readouterr()
    assert said in printed.err and printed.out == ""


def test_a_page_shows_what_was_found(check: Check, tmp_path: Path) -> None:
    """Leaks side by side, and every text of the dataset escaped."""
    hostile = '"><img src=x onerror=alert(1)>'
    images = [put(tmp_path / f"img/{name}.png", png(80, 80, 1)) for name in ("a", hostile.replace("/", ""))]
    write_lines(tmp_path / "train.jsonl", [question(f"{n}?") for n in range(9)] + [question("<script>", images[0])])
    write_lines(tmp_path / "validation.jsonl", [question("?", images[1]), {"<script>": 1}])
    page = tmp_path / "page.html"
    checked = check("--input", tmp_path, "--report", page)
    text, numbers = page.read_text(), json.loads((tmp_path / "page.json").read_bytes())
    assert numbers["tuneset"] == "check_report/1"
    assert {one["code"]: one["count"] for one in numbers["dataset"]["codes"]} == checked.summary["counts"]
    (leak,) = numbers["dataset"]["leaks"]
    places = [(leak[side]["split"], leak[side]["line"], leak[side]["image"]) for side in ("here", "there")]
    assert places == [("validation", 1, images[1]), ("train", 10, images[0])]
    assert text.count("data:image/jpeg") == 2 and "<script" not in text and "<img src=x" not in text
    assert "missing_contents" in text and "image_in_two_splits" in text and "default-src 'none'" in text


def test_a_page_that_cannot_be_written_hides_no_finding(check: Check, tmp_path: Path) -> None:
    rows = write_lines(tmp_path / "train.jsonl", [question("?")])
    assert check("--train", rows, "--report", f"{rows}/page.html").codes == {"too_few_examples": 1}


def test_a_person_is_told_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_raw(tmp_path / "train.jsonl", [b"{\x1b"] * 7 + [question("1")])
    assert main(["check", "--input", str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert (
        "error  not_json  7 x  The line is not JSON" in said.out
        and "and 2 more; --format json tells all of them" in said.out
    )
    assert said.out.splitlines()[-1].startswith("8 errors, 0 warnings, 1 note. ")
    assert f"{tmp_path}/train.jsonl" in said.err and "\x1b" not in said.out
