"""`tuneset check`: each fault is found at its line, none is found where there is none, and nothing is written."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cloud import Cloud
from folders import bmp, jpeg, png, put, row, write_lines
from google.genai import types
from PIL import Image

from beam_jobs.__main__ import main
from transforms.core import limits

SPLITS = ("train", "validation", "test")
RowDict = dict[str, Any]


@dataclass(frozen=True)
class Checked:
    """What a check printed and ended with."""

    status: int
    findings: list[dict[str, Any]]
    summary: dict[str, Any]

    @property
    def places(self) -> set[tuple[str, str | None, int | None]]:
        return {(one["code"], one["split"], one["line"]) for one in self.findings}

    @property
    def codes(self) -> Counter[str]:
        return Counter(one["code"] for one in self.findings)


Check = Callable[..., Checked]


@pytest.fixture
def check(capsys: pytest.CaptureFixture[str]) -> Check:
    """Run `tuneset check ... --format json`, whose standard output is nothing but lines of JSON."""

    def run(*argv: Any) -> Checked:
        capsys.readouterr()
        status = main(["check", *map(str, argv), "--format", "json"])
        said = capsys.readouterr()
        lines = [json.loads(line) for line in said.out.splitlines()]
        assert lines, said.err
        assert lines[-1]["exit"] == status
        assert {line["tuneset"] for line in lines[:-1]} <= {"finding/1"} and lines[-1]["tuneset"] == "summary/1"
        checked = Checked(status, lines[:-1], lines[-1])
        assert {code: min(count, 1000) for code, count in checked.summary["counts"].items()} == checked.codes
        return checked

    return run


def question(text: str, *images: str, answer: str = "", **columns: Any) -> RowDict:
    """A row whose answer is its own, unless it is given."""
    return row(text, images, answer or f"answer to {text}", **columns)


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return jpeg(80, 80, 901, exif=exif)


def gif() -> bytes:
    out = io.BytesIO()
    Image.new("P", (80, 80)).save(out, "GIF")
    return out.getvalue()


def turns(*given: Any) -> RowDict:
    return {"contents": list(given)}


def user(*parts: Any) -> RowDict:
    return {"role": "user", "parts": list(parts)}


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


def clean_rows(folder: Path, split: str, count: int, images: int) -> list[RowDict]:
    """Rows without a fault, on some images of the split's own."""
    for number in range(images):
        put(folder / f"img/{split}{number}.png", png(80, 80, SPLITS.index(split) * 10_000 + number))
    return [question(f"{split} question {i}", f"img/{split}{i % images}.png") for i in range(count)]


def write_raw(path: Path, lines: list[bytes | RowDict]) -> None:
    put(path, b"".join((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines))


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


def test_our_own_dataset_is_read_by_its_manifest(check: Check, tmp_path: Path) -> None:
    """Its images lie where its inputs did; validation-unused.jsonl and rejected.jsonl are none of it; its model's limits hold."""
    rows = [question(f"{i}", *[f"{i % 40}-{n}.png" for n in range(20)]) for i in range(120)]
    for i in range(40):
        for n in range(20):
            put(tmp_path / f"in/{i}-{n}.png", png(80, 80, i * 20 + n))
    write_lines(tmp_path / "in/rows.jsonl", [*rows, {"contents": []}])
    made = main([
        *("prepare", "--input", str(tmp_path / "in"), "--output", str(tmp_path / "out"), "--model", "gemini-3"),
        *("--splits", "train=0.5,validation=0.5", "--max_validation", "10"),
    ])  # fmt: skip
    assert made == 0
    checked = check("--input", tmp_path / "out")
    assert checked.status == 0 and {"local_path", "image_in_two_splits"} <= set(checked.codes)
    assert not {"not_allowed", "too_many_images", "duplicate_example"} & set(checked.codes)
    assert {name: one["files"] for name, one in checked.summary["splits"].items()} == {
        name: [f"{tmp_path}/out/{name}.jsonl"] for name in ("train", "validation")
    }
    alone = check("--train", tmp_path / "out/train.jsonl")
    assert not {"not_allowed", "too_many_images"} & set(alone.codes)
    shutil.copy(tmp_path / "out/train.jsonl", tmp_path / "train.jsonl")
    moved = check("--input", tmp_path / "train.jsonl").codes
    assert moved["not_allowed"] == 0  # they lie below the folder of the rows
    assert moved["too_many_images"] == alone.summary["splits"]["train"]["examples"]
    (tmp_path / "out/train.jsonl").unlink()
    assert main(["check", "--input", str(tmp_path / "out")]) == 2


def test_prepare_tells_of_its_dataset_what_a_check_finds_in_it(
    check: Check, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever the order of lines, the cuts of blocks, and what caps leave out."""
    images = [put(tmp_path / f"in/{seed}.png", png(80, 80, seed)) for seed in range(20)]
    images += [put(tmp_path / "in/copy.png", png(80, 80, 3)), put(tmp_path / "in/turned.jpg", turned())]
    images += [put(tmp_path / "in/small.png", png(20, 300, 902)), put(tmp_path / "in/made.bmp", bmp(80, 80, 907))]
    rows = [question(f"{n}?", images[n % len(images)]) for n in range(120)]
    rows += [question("many?", *images[:18])] + [question("twice?", images[0], answer=x) for x in "aab"]
    source = write_lines(tmp_path / "in/rows.jsonl", rows)
    command = ["prepare", "--input", source, "--output", str(tmp_path / "out"), "--block_bytes", "2048"]
    assert main([*command, "--shuffle_seed", "x", "--max_validation", "9"]) == 0
    told = json.loads((tmp_path / "out/manifest.json").read_bytes())["dataset"]["findings"]
    screen = capsys.readouterr().out
    assert told["counts"] == check("--input", tmp_path / "out").summary["counts"]
    assert told["counts"]["image_in_two_splits"] >= 5 and told["counts"]["duplicate_example"] == 1
    assert f"! image_in_two_splits: {told['counts']['image_in_two_splits']} x " in screen and "local_path" not in screen
    assert told["level"] == "all" and len(told["leaks"]) == 6


def test_a_dataset_is_looked_at_before_it_is_uploaded(check: Check, tmp_path: Path) -> None:
    """Under the addresses that its images will have; what is not among them is missing, and no name leads out of their folder."""
    for number in range(30):
        put(tmp_path / f"in/{number}.png", png(80, 80, number))
    write_lines(tmp_path / "in/rows.jsonl", [question(f"{i}", f"{i}.png") for i in range(30)])
    prefix = "gs://bucket/data"
    made = main(["prepare", "--input", str(tmp_path / "in"), "--output", str(tmp_path / "out"), "--uri_prefix", prefix])
    assert made == 0
    assert {finding["severity"] for finding in check("--input", tmp_path / "out").findings} <= {"warning", "note"}
    lines = (tmp_path / "out/train.jsonl").read_bytes()
    wrong = [question("x", f"{prefix}/images/{'0' * 32}.png"), question("y", f"{prefix}/images/...png")]
    put(tmp_path / "out/train.jsonl", lines + b"".join(json.dumps(one).encode() + b"\n" for one in wrong))
    count = lines.count(b"\n")
    put(tmp_path / "...png", png(80, 80, 99))
    missing = {place for place in check("--input", tmp_path / "out").places if place[0] == "image_not_found"}
    assert missing == {("image_not_found", "train", count + 1), ("image_not_found", "train", count + 2)}


def test_names_tell_the_splits_of_other_folders(check: Check, tmp_path: Path) -> None:
    for name in (
        "a/train/1.jsonl",
        "a/valid/1.jsonl",
        "b_test.jsonl",
        "more.jsonl",
        "a/train/rejected.jsonl",
        "x.json",
    ):
        write_lines(tmp_path / name, [question(name)])
    splits = check("--input", tmp_path).summary["splits"]
    assert {name: one["files"] for name, one in splits.items()} == {
        "train": [f"{tmp_path}/a/train/1.jsonl"],
        "validation": [f"{tmp_path}/a/valid/1.jsonl"],
        "test": [f"{tmp_path}/b_test.jsonl"],
    }
    given = check("--train", tmp_path / "more.jsonl", "--test", f"{tmp_path}/a/*/1.jsonl").summary["splits"]
    assert {name: len(one["files"]) for name, one in given.items()} == {"train": 1, "test": 2}


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


def test_images_that_only_begin_and_end_alike_are_two(check: Check, tmp_path: Path) -> None:
    """Whole reads tell them apart; without any, URIs do."""
    begun = jpeg(800, 800, 1, quality=95)
    assert len(begun) > 24_000
    other = bytearray(begun)
    other[18_000] ^= 1
    for name, data in (("a", begun), ("b", bytes(other)), ("c", begun)):
        put(tmp_path / f"{name}.jpg", data)
    write_lines(tmp_path / "train.jsonl", [question("1", "a.jpg")])
    write_lines(tmp_path / "test.jsonl", [question("2", "b.jpg"), question("3", "c.jpg")])
    found = {place for place in check("--input", tmp_path).places if place[0] == "image_in_two_splits"}
    assert found == {("image_in_two_splits", "test", 2)}
    assert "image_in_two_splits" not in check("--input", tmp_path, "--findings", "rows").codes
    assert "image_in_two_splits" not in check("--input", tmp_path, "--verify", "none").codes


def test_a_dataset_in_a_bucket(check: Check, cloud: Cloud) -> None:
    """Storage tells CRC32C with the first bytes; a bucket that is not there is told once, beside its images."""
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        cloud.put(f"img/{name}.png", png(80, 80, seed))
    uri = f"{cloud.uri}/img"
    gone = "gs://tuneset-no-such-bucket"
    train = [question("1", f"{uri}/a.png"), question("2", f"{gone}/1.png"), question("3", f"{gone}/2.png")]
    for name, rows in (
        ("train", train),
        ("validation", [question("4", f"{uri}/b.png"), question("5", f"{uri}/c.png")]),
    ):
        cloud.put(f"set/{name}.jsonl", "".join(json.dumps(one) + "\n" for one in rows).encode())
    before = cloud.generations("")
    checked = check("--input", f"{cloud.uri}/set")
    assert {
        place for place in checked.places if place[0] in ("image_in_two_splits", "image_not_found", "bucket_unreadable")
    } == {
        ("image_in_two_splits", "validation", 1),
        ("image_not_found", "train", 2),
        ("image_not_found", "train", 3),
        ("bucket_unreadable", None, None),
    }
    assert [one["image"] for one in checked.findings if one["code"] == "bucket_unreadable"] == [gone]
    assert checked.summary["identity"] == "CRC32C and size, as storage tells them"
    assert cloud.generations("") == before


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
