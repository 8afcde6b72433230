"""Each option of `tuneset prepare` does what SEMANTICS says, seen in what a whole job writes and says."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import laws
import pytest
from folders import assert_equal_folders, bmp, encoded, jpeg, png, put, read_folder, row, write_lines
from laws import counters, lines, rejections, texts, uris
from PIL import Image

from beam_jobs.__main__ import main
from beam_jobs.commands.prepare import prepare
from beam_jobs.options import OPTIONS
from transforms.core import limits as core_limits
from transforms.core.counters import FATES
from transforms.core.limits import PROFILES
from transforms.core.records import ImageFacts, Row
from transforms.dataset import seal_plan
from transforms.dataset.claim import take_claim
from transforms.examples.gemini_rules import parse_example
from transforms.examples.splits import parse_splits, rank
from transforms.images import orders

Run = Callable[..., laws.Folder]
ROTATED = 6  # EXIF: to be turned a quarter
PROGRESS = re.compile(r"  \d\d:\d\d  [\d,]+ blocks?")  # told now and then on a slow machine


@pytest.fixture
def run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a job over rows -> its output folder by file name, every law checked, and under "screen" what it said."""

    def job(rows: Sequence[dict[str, Any]] | str, *argv: str, output: str = "out") -> laws.Folder:
        source = rows if isinstance(rows, str) else write_lines(tmp_path / "in" / "rows.jsonl", rows)
        status = prepare(["--input", source, "--output", str(tmp_path / output), *argv])
        said = capfd.readouterr()
        assert status == 0, said.err
        return laws.sealed(tmp_path / output) | {"screen": said.out}

    return job


@pytest.fixture
def told(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Run a command that does not seal -> exit status and what standard error says."""

    def job(*argv: str) -> tuple[int, str]:
        status = main(["prepare", *argv])
        said = capfd.readouterr()
        assert all(line.startswith("! ") or not line for line in said.out.splitlines())  # warnings
        return status, "".join(line for line in said.err.splitlines(keepends=True) if not PROGRESS.match(line))

    return job


def in_folder(tmp_path: Path, **images: bytes) -> dict[str, str]:
    """Write images into the input folder -> their paths by name; a name's last _ stands for a dot."""
    return {name: put(tmp_path / "in" / ".".join(name.rsplit("_", 1)), data) for name, data in images.items()}


def questions(count: int, first: int = 0) -> list[dict[str, Any]]:
    return [row(f"question {number}") for number in range(first, first + count)]


def all_lines(found: laws.Folder) -> list[bytes]:
    splits = sorted(name for name in found if name.endswith(".jsonl") and name != "rejected.jsonl")
    return [line for name in splits for line in found[name].splitlines()]


def fates(found: laws.Folder) -> dict[str, int]:
    return {fate: counters(found)[f"images_{fate}"] for fate in FATES if counters(found)[f"images_{fate}"]}


def fate_of(found: laws.Folder) -> dict[str, str]:
    """Fate of each source, by file name."""
    return {Path(image["source"]).name: image["fate"] for image in found["images.parquet"]}


def why(found: laws.Folder) -> dict[str, str]:
    """Reason of each rejected row, by the name of the image or of its first text."""
    return {
        Path(r["image"]).name or r["row"]["contents"][0]["parts"][-1]["text"]: r["reason"] for r in rejections(found)
    }


# Images: limits


def jpeg_of(size: int) -> bytes:
    """A real JPEG of exactly `size` bytes: comments take up what the picture does not."""
    data = jpeg(160, 120)
    while (missing := size - len(data)) > 0:
        length = missing if missing < 4 + 60_000 else 60_000
        assert missing >= 4
        data = data[:2] + b"\xff\xfe" + (length - 2).to_bytes(2, "big") + b" " * (length - 4) + data[2:]
    return data


def test_an_image_of_exactly_max_image_bytes_is_left_as_it_is(run: Run, tmp_path: Path) -> None:
    limit = 20_000
    named = in_folder(tmp_path, **{f"x{limit + d}_jpg": jpeg_of(limit + d) for d in (-1, 0, 1)})
    assert [os.path.getsize(path) for path in named.values()] == [limit - 1, limit, limit + 1]
    found = run([row("all", list(named.values()))], "--max_image_bytes", str(limit), "--splits", "train=1")
    assert fate_of(found) == {"x19999.jpg": "untouched", "x20000.jpg": "untouched", "x20001.jpg": "recompressed"}
    (line,) = lines(found) + lines(found, "validation")
    assert uris(line)[:2] == [named["x19999_jpg"], named["x20000_jpg"]]
    rewritten = Path(uris(line)[2])
    assert rewritten.is_relative_to(tmp_path / "out" / "images") and rewritten.stat().st_size <= limit
    assert counters(found)["bytes_rewritten"] == rewritten.stat().st_size
    assert counters(found)["bytes_seen"] == 3 * limit
    assert sorted(name.partition("/")[0] for name in found if name != "screen") == [
        "examples.parquet",
        "images",
        "images.parquet",
        "manifest.json",
        "rejected.jsonl",
        "train.jsonl",
        "validation.jsonl",
    ]
    assert not (tmp_path / "out/_tuneset").exists()  # no --keep_blocks
    assert found["manifest.json"]["uploadable"] == "not yet" and counters(found)["images_local"] == 3
    assert "Not yet uploadable" in found["screen"] and "--uri_prefix" in found["screen"]


def test_an_example_over_max_images_is_split(run: Run, tmp_path: Path) -> None:
    named = list(in_folder(tmp_path, **{f"x{number}_png": png(seed=number) for number in range(4)}).values())
    rows = [row(f"of {count}", named[:count]) for count in (2, 3, 4)]
    found = run(rows, "--max_images", "3", "--splits", "train=1")
    assert [(texts(line)[0], uris(line)) for line in lines(found)] == [
        ("of 2", named[:2]),
        ("of 3", named[:3]),
        ("of 4", named[:2]),
        ("of 4", named[2:]),
    ]
    assert [(e["piece"], e["pieces"], e["source_line"]) for e in found["examples.parquet"]] == [
        (1, 1, 1),
        (1, 1, 2),
        (1, 2, 3),
        (2, 2, 3),
    ]
    count = counters(found)
    assert (count["examples_split"], count["pieces_written"], count["examples_written"]) == (1, 2, 4)
    assert "1 example held more images" in found["screen"]


def test_an_example_over_max_images_may_be_rejected_instead(run: Run, tmp_path: Path) -> None:
    named = list(in_folder(tmp_path, **{f"x{number}_png": png(seed=number) for number in range(3)}).values())
    named.append(put(tmp_path / "in/big.bmp", bmp()))
    rows = [row(f"of {count}", named[-count:]) for count in (2, 3, 4)]
    found = run(rows, "--max_images", "3", "--on_too_many_images", "reject")
    assert why(found) == {"of 4": "too_many_images"}
    # The example was counted before anything of it was fitted; the image is fitted for the others.
    assert fates(found) == {"unused": 4, "converted": 2, "untouched": 3}


def test_types_that_do_not_conform_are_converted(run: Run, tmp_path: Path) -> None:
    named = in_folder(
        tmp_path, a_webp=encoded("WEBP"), b_png=png(), c_jpg=jpeg(), d_gif=encoded("GIF"), liar_jpg=png(seed=5)
    )
    found = run([row("all", list(named.values()))])
    conform = dict.fromkeys(("a.webp", "b.png", "c.jpg", "liar.jpg"), "untouched")
    assert fate_of(found) == conform | {"d.gif": "converted"}
    assert counters(found)["images_warn_type"] == 1 and "WebP, HEIC or HEIF" in found["screen"]
    # The type is what the bytes say. Only the liar's mimeType was wrong of what stays as it is.
    liar = json.loads(all_lines(found)[0])["contents"][0]["parts"][4]["fileData"]
    assert liar == {"mimeType": "image/png", "fileUri": named["liar_jpg"]}
    assert counters(found)["images_type_corrected"] == 1
    found = run([row("all", list(named.values()))], "--types", "jpeg", output="two")
    assert fate_of(found) == dict.fromkeys((*conform, "d.gif"), "converted") | {"c.jpg": "untouched"}
    assert "images_warn_type" not in found["manifest.json"]["counters"]


@pytest.mark.parametrize("model, conform", [("image-tuning", 16), ("gemini-2.5", 30)])
def test_the_model_sets_the_limits(run: Run, model: str, conform: int) -> None:
    rows = [row(f"of {count}", [f"gs://b/{n}.png" for n in range(count)]) for count in (conform, conform + 1)]
    found = run(rows, "--model", model, "--verify", "none", "--splits", "train=1")
    assert [len(uris(line)) for line in lines(found)] == [
        conform,
        -(-(conform + 1) // 2),
        (conform + 1) // 2,
    ]
    assert found["manifest.json"]["options"]["max_images"] == conform
    assert found["manifest.json"]["limits"] == PROFILES[model].source


# Images: how closely they are looked at


def undecodable_png() -> bytes:
    """Whose chunks and checksums are right, and whose data are none: only the decoder sees it."""
    data = png(320, 240)
    at = data.index(b"IDAT")
    length = int.from_bytes(data[at - 4 : at], "big")
    body = b"IDAT" + bytes(length)
    return data[:at] + body + zlib.crc32(body).to_bytes(4, "big") + data[at + 8 + length :]


def damaged() -> dict[str, bytes]:
    whole = encoded("JPEG", 320, 240, quality=95)
    drawn = bytearray(png(320, 240))
    drawn[len(drawn) // 2] ^= 0xFF  # of the picture's data, so that a checksum is wrong
    return {
        "good_jpg": whole,
        "trailer_jpg": whole + b"motion photo" * 1000,
        "truncated_jpg": whole[: len(whole) * 3 // 4],
        "middle_png": bytes(drawn),
        "deep_png": undecodable_png(),
        "text_jpg": b"no image at all, but long enough to be one",
    }


@pytest.mark.parametrize(
    "level, bad",
    [
        ("none", {}),
        ("header", {"text.jpg": "not_an_image"}),
        ("structure", {"text.jpg": "not_an_image", "truncated.jpg": "truncated_image"}),
        (
            "decode",
            {
                "text.jpg": "not_an_image",
                "truncated.jpg": "truncated_image",
                "middle.png": "undecodable",
                "deep.png": "undecodable",
            },
        ),
    ],
)
def test_verify_decides_how_closely_images_are_looked_at(
    run: Run, tmp_path: Path, level: str, bad: dict[str, str]
) -> None:
    named = in_folder(tmp_path, **damaged())
    found = run([row(name, [path]) for name, path in named.items()], "--verify", level)
    assert why(found) == bad
    good = len(named) - len(bad)
    assert fates(found) == (
        {"unverified": len(named)} if level == "none" else {"untouched": good} | ({"rejected": len(bad)})
    )
    assert found["manifest.json"]["verified"] is (level != "none")
    assert ("! not_verified: no image was looked at" in found["screen"]) is (level == "none")
    # Only a missing end mark makes a file be read whole: of the trailer and of the truncated one.
    assert counters(found)["images_escalated"] == (2 if level == "structure" else 0)


def test_upright_rewrites_what_carries_a_rotation_tag(run: Run, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = ROTATED
    named = in_folder(tmp_path, turned_jpg=encoded("JPEG", 64, 48, exif=exif), plain_jpg=jpeg())
    rows = [row("both", list(named.values()))]
    found = run(rows)
    assert fates(found) == {"untouched": 2} and counters(found)["images_rotated_tag"] == 1
    assert "--upright rewrites them upright" in found["screen"]
    found = run(rows, "--upright", output="two")
    assert fate_of(found) == {"turned.jpg": "recompressed", "plain.jpg": "untouched"}
    assert "images_rotated_tag" not in found["manifest.json"]["counters"]
    turned, plain = uris(json.loads(all_lines(found)[0]))
    with Image.open(turned) as image:
        assert image.size == (48, 64) and 0x0112 not in image.getexif()
    assert plain == named["plain_jpg"]


# What an unusable image costs


def captioned(name: str, images: Sequence[tuple[str, str]], task: str = "Compare.") -> dict[str, Any]:
    parts: list[dict[str, Any]] = []
    for uri, caption in images:
        parts += [{"fileData": {"mimeType": "image/png", "fileUri": uri}}, {"text": caption}]
    turns = [{"role": "user", "parts": [*parts, {"text": task}]}, {"role": "model", "parts": [{"text": name}]}]
    return {"contents": turns}


def test_a_bad_image_costs_its_example_or_itself(run: Run, tmp_path: Path) -> None:
    named = in_folder(tmp_path, a_png=png(), b_png=b"no image", c_png=png(seed=2))
    a, b, c = named.values()
    alone = {"fileData": {"mimeType": "image/png", "fileUri": b}}
    two_turns = row("first", [a])["contents"] + [
        {"role": "user", "parts": [alone]},
        {"role": "model", "parts": [{"text": "seen"}]},
    ]
    rows = [
        captioned("mixed", [(a, "front"), (b, "side"), (c, "back")]),
        captioned("none left", [(b, "one"), (b, "two")]),
        {"contents": two_turns},
        captioned("good", [(a, "one"), (c, "two")]),
        row("text alone"),
    ]
    found = run(rows)
    assert [r["reason"] for r in rejections(found)] == ["not_an_image"] * 3
    assert [r["image"] for r in rejections(found)] == [b] * 3
    assert fates(found) == {"rejected": 4, "unused": 3, "untouched": 2}

    # Dropped before they are counted against the limit, which "mixed" then obeys.
    limit = ("--max_images", "2", "--on_too_many_images", "reject")
    found = run(rows, "--on_bad_image", "drop_image", *limit, output="two")
    assert [(r["reason"], r["line"], r["image"]) for r in rejections(found)] == [
        ("no_images_left", 2, b),
        ("empty_turn", 3, b),
    ]
    assert all("not_an_image" in r["detail"] for r in rejections(found))
    assert fates(found) == {"dropped": 4, "unused": 1, "untouched": 4}
    written = {texts(line)[-1]: line for line in map(json.loads, all_lines(found))}
    assert set(written) == {"mixed", "good", "yes"}
    assert (uris(written["mixed"]), texts(written["mixed"])) == ([a, c], ["front", "back", "Compare.", "mixed"])
    assert counters(found)["examples_without_images"] == 1


def test_an_image_that_cannot_be_fitted_follows_the_same_policy(run: Run, tmp_path: Path) -> None:
    cut = bmp(200, 200)[:50_000]  # its header is good, so only the fitter finds out
    named = in_folder(tmp_path, a_png=png(), bad_bmp=cut, good_bmp=bmp(seed=3))
    a, bad, good = named.values()
    rows = [captioned("mixed", [(a, "one"), (bad, "two"), (good, "three")]), row("plain", [a])]
    found = run(rows)
    assert [r["image"] for r in rejections(found)] == [bad]
    assert fates(found) == {"rejected": 1, "unused": 2, "untouched": 1}
    found = run(rows, "--on_bad_image", "drop_image", output="two")
    assert fates(found) == {"dropped": 1, "converted": 1, "untouched": 2}
    mixed = next(line for line in map(json.loads, all_lines(found)) if texts(line)[-1] == "mixed")
    assert texts(mixed) == ["one", "three", "Compare.", "mixed"] and uris(mixed)[0] == a


def test_too_many_tokens_are_a_warning_or_a_rejection(run: Run) -> None:
    limit = PROFILES["gemini-1.5"].max_tokens
    answer = "yes"  # 4 bytes a token, rounded up: question and answer fill them together
    rows = [row("x" * (4 * limit + over - len(answer)), answer=answer) for over in (-1, 0, 1)]
    found = run(rows, "--model", "gemini-1.5", "--splits", "train=1")
    assert [e["tokens"] for e in found["examples.parquet"]] == [limit, limit, limit + 1]
    assert counters(found)["examples_over_tokens"] == 1 and "may hold more tokens" in found["screen"]
    found = run(rows, "--model", "gemini-1.5", "--on_too_many_tokens", "reject", output="two")
    assert [(r["reason"], r["line"]) for r in rejections(found)] == [("too_many_tokens", 3)]


# Where images may lie, and what they will be called


def test_allow_prefix_names_what_may_be_read(run: Run, tmp_path: Path) -> None:
    elsewhere = put(tmp_path / "pictures" / "a.png", png())
    near = put(tmp_path / "in" / "b.png", png(seed=2))
    rows = [row("elsewhere", [elsewhere]), row("near", [near])]
    found = run(rows, "--allow_prefix", f"{tmp_path}/pictures")
    assert why(found) == {"b.png": "not_allowed"}
    found = run(rows, "--allow_prefix", f"{tmp_path}/pictures,{tmp_path}/in", output="two")
    assert why(found) == {}


def test_uri_prefix_names_the_images_as_they_will_be_uploaded(run: Run, tmp_path: Path) -> None:
    named = in_folder(tmp_path, a_png=png(), b_bmp=bmp())
    put(tmp_path / "in" / "deep" / "c d.png", png(seed=3))
    rows = [row("all", [*named.values(), "deep/c d.png"])]
    found = run(rows, "--uri_prefix", "gs://bucket/data/", "--splits", "train=1")
    names = [uri.removeprefix("gs://bucket/data/images/") for uri in uris(json.loads(all_lines(found)[0]))]
    first, fitted, deep = (found[f"images/{name[:2]}/{name}"] for name in names)
    assert (first, deep) == (png(), png(seed=3)) and fitted != bmp()
    assert found["manifest.json"]["uploadable"] == "yes" and "images_local" not in found["manifest.json"]["counters"]
    assert found["manifest.json"]["counters"]["images_staged"] == 2


def note_fitted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """URIs of the images that are read to be fitted, as they come."""
    fitted: list[str] = []
    real = orders.read_image

    def noting(facts: ImageFacts, readable: tuple[str, ...]) -> bytes:
        fitted.append(facts.uri)
        return real(facts, readable)

    monkeypatch.setattr(orders, "read_image", noting)
    return fitted


def test_a_shared_image_folder_is_filled_once(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = in_folder(tmp_path, a_bmp=bmp(), b_bmp=bmp(seed=2))
    folder = tmp_path / "shared"
    one = run([row("first night", [named["a_bmp"]])], "--image_folder", str(folder))
    made = {path: path.stat() for path in folder.glob("??/*")}
    assert len(made) == 1 and not any(name.startswith("images/") for name in one)

    fitted = note_fitted(monkeypatch)
    rows = [row("second night", list(named.values()))]
    two = run(rows, "--image_folder", str(folder), output="two")
    assert fitted == [named["b_bmp"]]
    assert {path: path.stat() for path in made} == made
    old, new = uris(json.loads(all_lines(two)[0]))
    assert old == str(next(iter(made))) and Path(new).is_relative_to(folder)
    # What the image tells of itself is what its maker told.
    described = [{k: v for k, v in image.items() if k != "references"} for image in one["images.parquet"]]
    assert described[0] in [{k: v for k, v in image.items() if k != "references"} for image in two["images.parquet"]]


def test_an_image_that_many_rows_and_blocks_name_is_fitted_once(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = in_folder(tmp_path, a_bmp=bmp())
    fitted = note_fitted(monkeypatch)
    found = run([row(f"row {n}", [named["a_bmp"]]) for n in range(40)], "--block_bytes", "1024")
    assert fitted == [named["a_bmp"]] and counters(found)["images_converted"] == 40
    assert len([name for name in found if name.startswith("images/")]) == 1
    assert sum(image["references"] for image in found["images.parquet"]) == 40 < 40 * len(found["images.parquet"])


# Splits


def ids(rows: Sequence[dict[str, Any]], seed: str = "0") -> set[int]:
    made = [Row("rows.jsonl", 0, 1, json.dumps(one).encode()) for one in rows]
    return {parse_example(one, seed=seed.encode(), check_types=None).id for one in made}


def ids_of(found: laws.Folder) -> set[int]:
    return {int(e["id"], 16) for e in found["examples.parquet"]}


def split_of(found: laws.Folder) -> dict[str, str]:
    """Split by the first text of the row."""
    splits = found["manifest.json"]["splits"]
    return {texts(line)[0]: split for split in splits for line in lines(found, split)}


def test_splits_are_decided_by_the_example_id(run: Run) -> None:
    spec = "train=0.5,validation=0.25,test=0.25"
    found = run(questions(60), "--splits", spec)
    assert {name for name in found if name.endswith(".jsonl")} == {
        "train.jsonl",
        "validation.jsonl",
        "test.jsonl",
        "rejected.jsonl",
    }
    ids = {e["id"]: e["split"] for e in found["examples.parquet"]}
    assert ids == {example_id: parse_splits(spec).assign(int(example_id, 16)) for example_id in ids}
    assert all(found["manifest.json"]["splits"].values())
    # Raising one fraction moves only what it must; more rows move nothing.
    more = split_of(run(questions(90), "--splits", "train=0.25,validation=0.5,test=0.25", output="two"))
    for text, split in split_of(found).items():
        assert more[text] == split or (split, more[text]) in (("train", "test"), ("test", "validation"))


def test_an_empty_split_is_an_empty_file_and_is_said(run: Run) -> None:
    found = run(questions(5), "--splits", "train=1", "--seed", "another")
    assert ids_of(found) == ids(questions(5), "another") and not ids_of(found) & ids(questions(5))
    assert found["validation.jsonl"] == b"" and "validation.jsonl is empty." in found["screen"]
    assert {"name": "validation.jsonl", "lines": 0, "bytes": 0, "crc32c": 0} in found["manifest.json"]["files"]
    assert found["manifest.json"]["splits"] == {"train": 5, "validation": 0}


def test_split_by_keeps_equal_values_together(run: Run) -> None:
    rows = [row(f"question {n}", group={"patient": n % 7}) for n in range(70)] + questions(3, 70)
    found = run(rows, "--split_by", "group", "--splits", "train=0.5,validation=0.5")
    split = split_of(found)
    together = {n % 7: split[f"question {n}"] for n in range(70)}
    assert all(split[f"question {n}"] == together[n % 7] for n in range(70)) and len(set(together.values())) == 2
    assert counters(found)["split_group_missing"] == 3
    own = {e["source_line"]: int(e["id"], 16) for e in found["examples.parquet"]}
    halves = parse_splits("train=0.5,validation=0.5")
    assert [split[f"question {n}"] for n in range(70, 73)] == [halves.assign(own[n + 1]) for n in range(70, 73)]
    assert b"patient" not in b"".join(all_lines(found))  # a column is not written


def test_split_column_names_each_split(run: Run) -> None:
    words = ["train", "Training", "val", "VALIDATE", "validation", "TEST", " test ", "", None, "unassigned", "fun", 7]
    rows = [row(repr(word), ml_use=word) for word in words] + [row("missing")]
    found = run(rows, "--split_column", "ml_use", "--splits", "train=1")
    assert split_of(found) == {
        **{repr(word): "train" for word in ("train", "Training", "", None, "unassigned")},
        **{repr(word): "validation" for word in ("val", "VALIDATE", "validation")},
        "missing": "train",
    } | ({repr(word): "test" for word in ("TEST", " test ")} if "test" in found["manifest.json"]["splits"] else {})
    assert len(lines(found, "test")) == 2
    assert why(found) == {"'fun'": "unknown_split", "7": "unknown_split"}
    assert {r["stage"] for r in rejections(found)} == {"assign"}


def half_and_half(count: int) -> list[dict[str, Any]]:
    """Rows of which exactly `count` name the validation split, by a column."""
    return [row(f"question {n}", split="validation" if n < count else "train") for n in range(count + 5)]


@pytest.mark.parametrize("cap, kept", [(7, 7), (8, 8), (9, 8), (0, 0)])
def test_max_validation_keeps_the_smallest_ids(run: Run, cap: int, kept: int) -> None:
    rows = half_and_half(8)
    found = run(rows, "--split_column", "split", "--max_validation", str(cap), "--block_bytes", "1024")
    unused = counters(found)["validation_unused"]
    assert (len(lines(found, "validation")), unused) == (kept, 8 - kept)
    assert ("validation-unused.jsonl" in found) is (unused > 0)
    ids: dict[str, list[str]] = {"validation": [], "validation-unused": [], "train": []}
    for e in found["examples.parquet"]:
        ids[e["split"]].append(e["id"])
    assert sorted(ids["validation"] + ids["validation-unused"])[:kept] == sorted(ids["validation"])
    assert ("beyond --max_validation, in validation-unused.jsonl." in found["screen"]) is (unused > 0)
    assert len(lines(found)) == 5


def test_equal_examples_stay_together_at_a_cap(run: Run) -> None:
    rows = [row("the same", split="val")] * 4 + [row(f"question {n}", split="val") for n in range(8)] + questions(2)
    everyone = sorted(example_id for one in rows if "split" in one for example_id in ids([one]))
    first = next(k for k, example_id in enumerate(everyone) if everyone.count(example_id) == 4)
    for cap, kept in ((first + 2, first), (first + 4, first + 4)):
        options = ("--split_column", "split", "--splits", "train=1", "--max_validation", str(cap))
        found = run(rows, *options, output=f"cap{cap}")
        assert len(lines(found, "validation")) == kept
        assert sum(texts(line)[0] == "the same" for line in lines(found, "validation")) in (0, 4)


# Samples


def test_a_sample_of_a_count_keeps_the_smallest_ranks(run: Run) -> None:
    everything = ids(questions(60))
    small = run(questions(60), "--sample", "20", "--block_bytes", "1024", output="twenty")
    assert sorted(ids_of(small), key=rank) == sorted(everything, key=rank)[:20]
    assert counters(small)["examples_sampled_out"] == 40 and counters(small)["examples_used"] == 60
    assert small["manifest.json"]["splits"]["train"] > 0 < small["manifest.json"]["splits"]["validation"]
    # It is stable under growth: what more rows push out makes room for nothing old.
    grown = run(questions(90), "--sample", "20", output="grown")
    assert ids_of(grown) & everything <= ids_of(small) and len(ids_of(grown)) == 20
    assert len(ids_of(grown) & ids_of(small)) >= 8


def test_a_sample_of_a_fraction_is_decided_row_by_row(run: Run, tmp_path: Path) -> None:
    in_folder(tmp_path, a_png=png())
    rows = [row(f"question {n}", ["a.png"]) for n in range(80)]  # ids that depend on no folder
    quarter = run(rows, "--sample", "0.25", output="quarter")
    half = run(rows[:40], "--sample", "0.5", output="half")
    bound = 1 << 62
    assert all(rank(example_id) < bound for example_id in ids_of(quarter)) and all(
        rank(example_id) < 2 * bound for example_id in ids_of(half)
    )
    assert 8 <= len(ids_of(quarter)) <= 32 and {
        example_id for example_id in ids_of(half) if rank(example_id) < bound
    } <= ids_of(quarter)
    kept = len(ids_of(quarter))
    assert fates(quarter) == {"unused": 80 - kept, "untouched": kept}
    assert counters(quarter)["examples_sampled_out"] == 80 - kept


def test_a_sample_and_a_cap_are_taken_together(run: Run) -> None:
    rows = half_and_half(20)
    found = run(rows, "--sample", "12", "--max_validation", "3", "--split_column", "split", "--block_bytes", "1024")
    split = {example_id: one["split"] for one in rows for example_id in ids([one])}
    sample = sorted(split, key=rank)[:12]
    validation = sorted(example_id for example_id in sample if split[example_id] == "validation")
    assert {int(e["id"], 16) for e in found["examples.parquet"] if e["split"] == "validation"} == set(validation[:3])
    assert ids_of(found) == set(sample)


# Numbered files


def small_profile(monkeypatch: pytest.MonkeyPatch, **limits: Any) -> None:
    profile = dataclasses.replace(PROFILES["image-tuning"], **limits)
    monkeypatch.setitem(core_limits.PROFILES, "image-tuning", profile)


@pytest.mark.parametrize("limit, files", [(11, [11, 1]), (12, [12]), (13, [12]), (5, [5, 5, 2])])
def test_a_file_holds_at_most_the_examples_of_the_profile(
    run: Run, monkeypatch: pytest.MonkeyPatch, limit: int, files: list[int]
) -> None:
    small_profile(monkeypatch, max_file_examples=limit)
    found = run(questions(12), "--splits", "train=1", "--block_bytes", "1024")
    train = {name: data for name, data in found.items() if name.startswith("train")}
    names = (
        [f"train-{k:05d}-of-{len(files):05d}.jsonl" for k in range(len(files))] if len(files) > 1 else ["train.jsonl"]
    )
    assert {name: data.count(b"\n") for name, data in train.items()} == dict(zip(names, files))
    assert [texts(json.loads(line))[0] for line in all_lines(found)] == [f"question {n}" for n in range(12)]
    assert ("! train_files_in_order:" in found["screen"]) is (len(files) > 1)


@pytest.mark.parametrize("over, files", [(-1, [3, 3, 3, 1]), (0, [4, 4, 2]), (1, [4, 4, 2])])
def test_a_file_is_cut_at_the_last_line_within_the_bytes_of_the_profile(
    run: Run, monkeypatch: pytest.MonkeyPatch, over: int, files: list[int]
) -> None:
    rows = questions(10)
    size = len(json.dumps(rows[0], separators=(",", ":"))) + 1
    small_profile(monkeypatch, max_file_bytes=4 * size + over)
    found = run(rows, "--splits", "train=1", "--block_bytes", "1024")
    assert [data.count(b"\n") for name, data in sorted(found.items()) if name.startswith("train")] == files


def test_caps_and_cuts_fall_together(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_profile(monkeypatch, max_file_examples=4)
    named = list(in_folder(tmp_path, **{f"x{number}_png": png(seed=number) for number in range(5)}).values())
    rows = [row(f"question {n}", named[: n % 6], split=("val", "train", "test")[n % 3]) for n in range(60)]
    options = ("--split_column", "split", "--max_validation", "10", "--max_images", "2", "--block_bytes", "2048")
    found = run(rows, *options, "--sample", "50")
    splits = found["manifest.json"]["splits"]
    for split in ("train", "test", "validation"):
        counts = [d.count(b"\n") for n, d in sorted(found.items()) if n.startswith(f"{split}-0")]
        assert sum(counts) == splits[split] and set(counts[:-1]) == {4} and 0 < counts[-1] <= 4
    assert 0 < splits["validation"] <= 10 and counters(found)["validation_unused"] > 0


@pytest.mark.parametrize("flags", [(), ("--max_validation", "5", "--sample", "90")], ids=["all", "capped"])
def test_segments_do_not_show(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...]
) -> None:
    """One file over many segments: its line numbers, its rejected rows and the cuts of files go on from one to the next."""
    small_profile(monkeypatch, max_file_examples=17)
    named = list(in_folder(tmp_path, a_png=png(seed=1), b_png=png(seed=2)).values())
    rows = [row(f"question {n}", named[: n % 3]) if n % 11 else {"contents": []} for n in range(150)]
    options = ("--block_bytes", "1024", *flags)
    whole = run(rows, *options)
    assert whole["manifest.json"]["counters"]["examples_rejected"] == 14
    monkeypatch.setattr(seal_plan, "SEGMENT_BLOCKS", 2)
    again = run(rows, *options, "--overwrite")
    for folder in (whole, again):
        folder.pop("screen")
    assert_equal_folders(again, whole)


# The breaker


def some_bad(good: int, bad: int) -> list[dict[str, Any]]:
    return questions(good) + [{"contents": []} for _ in range(bad)]


@pytest.mark.parametrize("good, bad, seals", [(50, 49, True), (90, 10, True), (89, 11, False)])
def test_over_max_rejected_fraction_nothing_is_sealed(
    tmp_path: Path,
    told: Callable[..., tuple[int, str]],
    monkeypatch: pytest.MonkeyPatch,
    good: int,
    bad: int,
    seals: bool,
) -> None:
    source, output = write_lines(tmp_path / "in.jsonl", some_bad(good, bad)), tmp_path / "out"
    command = ["--input", source, "--output", str(output), "--block_bytes", "2048"]
    if seals:
        assert prepare(command) == 0
        assert counters(laws.sealed(output))["examples_rejected"] == bad
        return
    status, said = told(*command)
    assert said.startswith(
        "tuneset: not sealed. 11 of 100 examples were rejected, more than --max_rejected_fraction 0.1"
    )
    assert (status, said.count("\n")) == (1, 1)
    assert (output / "rejected.jsonl").read_bytes().count(b"\n") == 11
    assert sorted(path.name for path in output.iterdir()) == ["_tuneset", "rejected.jsonl"]
    # Nothing is read again once the fraction is raised.
    monkeypatch.setattr("transforms.steps.writer.read_block", None)
    assert prepare([*command, "--max_rejected_fraction", "0.11"]) == 0
    assert counters(laws.sealed(output))["examples_rejected"] == 11


def test_without_one_good_row_nothing_is_sealed(tmp_path: Path, told: Callable[..., tuple[int, str]]) -> None:
    none = "None of the 3 rows can be used (missing_contents 3). missing_contents: "
    for name, rows, why in (("bad", some_bad(0, 3), none), ("empty", [], "The input holds no row.")):
        source = write_lines(tmp_path / f"{name}.jsonl", rows)
        status, said = told("--input", source, "--output", str(tmp_path / name), "--max_rejected_fraction", "1")
        assert status == 1 and f"tuneset: not sealed. {why}" in said
        assert not (tmp_path / name / "manifest.json").exists()


# Running


def test_block_bytes_and_keep_blocks_show_in_the_work_folder(run: Run, tmp_path: Path) -> None:
    found = run(questions(40), "--block_bytes", "1024", "--keep_blocks", "--threads", "3")
    size = os.path.getsize(tmp_path / "in" / "rows.jsonl")
    work = [name for name in found if name.startswith("_tuneset/")]
    assert sum(name.endswith(".receipt") for name in work) == -(-size // 1024)
    assert {name.rpartition(".")[2] for name in work} == {"receipt", "train", "validation", "examples"}
    assert not (tmp_path / "out/_tuneset/claim.json").exists()


def test_a_line_over_max_line_bytes_is_rejected_by_its_place(run: Run) -> None:
    rows = [row("x" * 2000), *questions(2), row("x" * 2001)]
    found = run(rows, "--max_line_bytes", str(len(json.dumps(rows[0]))))
    ((told),) = rejections(found)
    assert (told["reason"], told["line"]) == ("line_too_long", 4)
    assert told["offset"] == sum(len(json.dumps(one)) + 1 for one in rows[:3])
    assert "row" not in told and "row_base64" not in told


def test_a_sealed_folder_is_left_alone_unless_it_is_overwritten(
    run: Run, tmp_path: Path, told: Callable[..., tuple[int, str]], capfd: pytest.CaptureFixture[str]
) -> None:
    named = in_folder(tmp_path, a_bmp=bmp())
    rows = [row("one", list(named.values())), *questions(3)]
    splits = ("--splits", "train=0.5,validation=0.25,test=0.25")
    run(rows, *splits)
    put(tmp_path / "out/notes.txt", b"mine")
    before = {path: path.stat() for path in (tmp_path / "out").rglob("*")}
    source, output = str(tmp_path / "in/rows.jsonl"), str(tmp_path / "out")
    assert prepare(["--input", source, "--output", output, *splits]) == 0
    assert "was sealed by the same command before" in capfd.readouterr().out
    status, said = told("--input", source, "--output", output)
    assert (
        status == 2
        and "holds a sealed dataset that another command made (--splits was " in said
        and "--overwrite" in said
    )
    assert {path: path.stat() for path in (tmp_path / "out").rglob("*")} == before
    # With other options: what they do not make is gone, and what is not ours stays.
    write_lines(source, questions(4))
    assert prepare(["--input", source, "--output", output, "--overwrite"]) == 0
    after = read_folder(output)
    assert after.pop("notes.txt") == b"mine"
    assert sorted(after) == [
        "examples.parquet",
        "images.parquet",
        "manifest.json",
        "rejected.jsonl",
        "train.jsonl",
        "validation.jsonl",
    ]
    assert counters(after)["examples_read"] == 4


def test_no_wait_returns_once_the_job_is_submitted(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_lines(tmp_path / "in.jsonl", questions(3))
    assert prepare(["--input", source, "--output", str(tmp_path / "out"), "--no_wait"]) == 2
    assert "with FnApiRunner the job ends with this process" in capfd.readouterr().err
    monkeypatch.setattr("beam_jobs.commands.prepare.is_remote", lambda settings: True)
    assert prepare(["--input", source, "--output", str(tmp_path / "out"), "--no_wait"]) == 0
    assert "\nSubmitted" in "\n" + capfd.readouterr().out


def test_a_claimed_folder_is_told_and_taken_over_on_demand(
    tmp_path: Path, told: Callable[..., tuple[int, str]], capfd: pytest.CaptureFixture[str]
) -> None:
    source, output = write_lines(tmp_path / "in.jsonl", questions(3)), str(tmp_path / "out")
    take_claim(output, "other-run", take_over=False)
    status, said = told("--input", source, "--output", output)
    assert status == 1 and "is being written by another job: run other-run" in said and "--take_over" in said
    assert prepare(["--input", source, "--output", output, "--take_over"]) == 0
    laws.sealed(output)


def boom(*_: object) -> None:
    raise RuntimeError("boom")


def test_a_failure_is_one_paragraph_and_verbose_shows_the_rest(
    tmp_path: Path, told: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, output = write_lines(tmp_path / "in.jsonl", questions(3)), str(tmp_path / "out")
    monkeypatch.setattr("transforms.steps.writer.read_block", boom)
    status, said = told("--input", source, "--output", output)
    assert (status, said.count("\n")) == (1, 1)
    assert said.startswith("tuneset: not sealed. ") and "boom" in said and "the same command goes on" in said
    status, loud = told("--input", source, "--output", output, "--verbose")
    assert status == 1 and "Traceback" in loud and loud.splitlines()[-1].startswith("tuneset: not sealed.")
    monkeypatch.undo()
    assert prepare(["--input", source, "--output", output]) == 0
    laws.sealed(output)


def test_a_sweep_that_fails_does_not_unseal(
    tmp_path: Path, told: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["--input", write_lines(tmp_path / "in.jsonl", questions(3)), "--output", str(tmp_path / "out")]
    with monkeypatch.context() as patch:
        patch.setattr("transforms.steps.clean_up.sweep_folder", boom)
        status, said = told(*command)
    assert (
        (status, said.count("\n")) == (1, 1) and said.startswith("tuneset: sealed, but not swept. ") and "boom" in said
    )
    assert (tmp_path / "out/_tuneset").exists()
    assert prepare(command) == 0
    assert not (tmp_path / "out/_tuneset").exists()
    laws.sealed(tmp_path / "out")


@pytest.mark.parametrize("harm", ["emptied", "removed"])
def test_parts_that_were_harmed_between_two_runs_are_told(
    tmp_path: Path, told: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    command = ["--input", write_lines(tmp_path / "in.jsonl", questions(3)), "--output", str(tmp_path / "out")]
    with monkeypatch.context() as patch:
        patch.setattr("transforms.steps.seal.manifest", lambda *_: 1 / 0)
        assert told(*command)[0] == 1
    (part,) = (tmp_path / "out/_tuneset").rglob("*.train")
    part.write_bytes(b"") if harm == "emptied" else part.unlink()
    for _ in range(2):
        status, said = told(*command)
        assert (status, said.count("\n")) == (1, 1) and part.name in said
        assert "--overwrite begins anew" in said and "the same command goes on" not in said
    assert prepare([*command, "--overwrite"]) == 0
    laws.sealed(tmp_path / "out")


def test_the_input_format_may_be_named(run: Run) -> None:
    assert counters(run(questions(3), "--input_format", "gemini"))["examples_written"] == 3


# Wrong options: exit status 2, one paragraph, and nothing is touched

WRONG = {
    "--max_images 0x": "--max_images",
    "--max_images -1": "--max_images -1: expected at least 1",
    "--max_image_bytes 1023": "--max_image_bytes 1023: expected at least 1024",
    "--block_bytes 0": "--block_bytes 0",
    "--max_line_bytes 1": "--max_line_bytes 1",
    "--threads 0": "--threads 0",
    "--types gif": "--types gif: expected some of png, jpeg",
    "--types webp": "--types must hold jpeg or png",
    "--verify closely": "--verify",
    "--input_format csv": "--input_format",
    "--model gemini-0": "--model",
    "--splits train=0.5": "add up to 0.5",
    "--splits train=0.9,dev=0.1": "'dev'",
    "--split_by images": "expected image, or another column",
    "--split_by image --split_column b": "into different splits",
    "--split_by a --join_common": "it needs --split_by image",
    "--split_by a --split_column b": "give one of them",
    "--sample 0": "--sample 0",
    "--sample 1.5": "--sample 1.5",
    "--sample nan": "--sample nan",
    "--sample 1e3": "--sample 1e3",
    "--sample -3": "--sample",
    "--uri_prefix /data": "--uri_prefix /data",
    "--verify none --upright": "--upright",
    "--verify none --on_bad_image drop_image": "drop_image",
    "--on_bad_image ignore": "--on_bad_image",
    "--on_too_many_images cut": "--on_too_many_images",
    "--on_too_many_tokens cut": "--on_too_many_tokens",
    "--max_rejected_fraction 1.1": "--max_rejected_fraction 1.1",
    "--max_rejected_fraction nan": "--max_rejected_fraction nan",
    f"--seed {'x' * 65}": "--seed",
    # A slip of the pen is not an option of Beam's.
    "--max_imagess 3": "--max_images",
    "--max_image 3": "--max_image",
    "--uprigth": "--upright",
    "--direct_num_worker 2": "--direct_num_workers",
    "--direct_num_workers two": "--direct_num_workers",
    "--runner Nope": "Nope",
    "b.jsonl c.jsonl": "b.jsonl",  # a pattern without quotes, expanded by the shell
}


@pytest.mark.parametrize("flags", WRONG)
def test_a_wrong_option_is_told_before_anything_is_done(
    tmp_path: Path, told: Callable[..., tuple[int, str]], flags: str
) -> None:
    source, output = write_lines(tmp_path / "in.jsonl", questions(3)), tmp_path / "out"
    status, said = told("--input", source, "--output", str(output), *flags.split())
    assert (status, said.count("\n")) == (2, 1) and said.startswith("tuneset: ") and WRONG[flags] in said
    assert not output.exists()


def test_what_is_missing_is_told(tmp_path: Path, told: Callable[..., tuple[int, str]]) -> None:
    source, output = write_lines(tmp_path / "in" / "a.jsonl", questions(3)), str(tmp_path / "out")
    put(tmp_path / "none/notes.txt", b"x")
    for command, said in (
        (("--output", output), "--input is missing"),
        (("--input", source), "--output is missing"),
        (("--input", str(tmp_path / "no.jsonl"), "--output", output), "finds no file"),
        (("--input", str(tmp_path / "no*.jsonl"), "--output", output), "finds no file"),
        (("--input", str(tmp_path / "none"), "--output", output), "finds no file"),
        (("--input", f"{source},{tmp_path}/no.jsonl", "--output", output), "finds no file"),
        (("--input", f"http://x/{source}", "--output", output), "expected a local path or gs://"),
        (("--input", source, "--output", "s3://bucket/x"), "expected a local path or gs://"),
        (("--input", source, "--output", output, "--image_folder", "http://x"), "expected a local path or gs://"),
        (("--input", source, "--output", output, "--runner", "DataflowRunner"), "is local"),
        (("--input", source, "--output", "gs://data/x", "--uri_prefix", "gs://data/y"), "--uri_prefix is for a local"),
        (("--input", source, "--output", source), "in/a.jsonl"),
    ):
        status, err = told(*command)
        assert (status, err.count("\n")) == (2, 1) and said in err, command
    assert not (tmp_path / "out").exists()


def test_an_input_inside_the_output_is_an_error_and_the_other_way_round_is_not(
    run: Run, tmp_path: Path, told: Callable[..., tuple[int, str]]
) -> None:
    source = write_lines(tmp_path / "in" / "rows.jsonl", questions(3))
    for given in (source, f"{tmp_path}/in/*.jsonl", f"{tmp_path}/in", f"{tmp_path}/in/deep/../rows.jsonl"):
        status, said = told("--input", given, "--output", f"{tmp_path}/in")
        assert status == 2 and "lies inside --output" in said
    assert os.listdir(tmp_path / "in") == ["rows.jsonl"]
    found = run(f"{tmp_path}/in", output="in/dataset")
    write_lines(tmp_path / "in/dataset/notes.jsonl", questions(2, first=50))  # what lies there is no input
    assert prepare(["--input", f"{tmp_path}/in", "--output", f"{tmp_path}/in/dataset", "--overwrite"]) == 0
    again = json.loads((tmp_path / "in/dataset/manifest.json").read_bytes())["dataset"]
    assert found["manifest.json"] == again and again["counters"]["examples_read"] == 3


def test_a_dataset_that_another_job_sealed_meanwhile_is_left_alone(
    run: Run, tmp_path: Path, told: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_lines(tmp_path / "rows.jsonl", questions(3))
    run(source)
    before = (tmp_path / "out/manifest.json").stat().st_ino, (tmp_path / "out/train.jsonl").stat().st_ino
    with monkeypatch.context() as patch:
        for look in ("asked_before", "sealed_before"):  # as it was when this job looked
            patch.setattr(f"beam_jobs.commands.prepare.{look}", lambda _: None)
        status, said = told("--input", source, "--output", f"{tmp_path}/out")
    assert status == 1 and "Another job sealed" in said
    assert before == ((tmp_path / "out/manifest.json").stat().st_ino, (tmp_path / "out/train.jsonl").stat().st_ino)
    assert prepare(["--input", source, "--output", f"{tmp_path}/out"]) == 0  # its claim is not in the way


def test_a_folder_that_holds_what_no_run_explains_is_not_written_to(
    tmp_path: Path, told: Callable[..., tuple[int, str]]
) -> None:
    source = write_lines(tmp_path / "in.jsonl", questions(3))
    put(tmp_path / "out/train.jsonl", b"somebody's\n")
    status, said = told("--input", source, "--output", str(tmp_path / "out"))
    assert status == 2 and "holds train.jsonl" in said and "--overwrite" in said
    assert (tmp_path / "out/train.jsonl").read_bytes() == b"somebody's\n"
    assert prepare(["--input", source, "--output", str(tmp_path / "out"), "--overwrite"]) == 0
    laws.sealed(tmp_path / "out")


def test_help_is_grouped_and_names_every_option_with_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare", "--help", "all"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    for option in OPTIONS:
        assert f"--{option.name}" in said
        if isinstance(option.default, str) and option.default:
            assert f"(default {option.default})" in said
    assert all(f"{group}:" in said for group in {option.group for option in OPTIONS})
