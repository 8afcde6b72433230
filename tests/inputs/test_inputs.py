"""The same rows are the same dataset, however they lie in files, are cut into blocks and are worked on.

Run as a program, it writes the golden dataset anew: `PYTHONPATH=tests/support python tests/inputs/test_inputs.py`.
"""

from __future__ import annotations

import gzip
import json
import random
import shlex
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import laws
import pytest
from folders import assert_equal_folders, bmp, encoded, jpeg, png, put, row, write_lines
from laws import counters, rejections
from PIL import Image

from beam_jobs.__main__ import main
from beam_jobs.commands.prepare import prepare
from transforms.core.counters import FATES

GOLDEN = Path(__file__).parents[1] / "golden/dataset"
LIMIT = 20_000  # bytes of an image
OPTIONS = ("--max_image_bytes", str(LIMIT), "--max_images", "3", "--splits", "train=0.7,validation=0.2,test=0.1")


def noise(width: int, height: int, seed: int) -> Image.Image:
    """What cannot be compressed much: the larger, the harder to fit."""
    return Image.frombytes("RGB", (width, height), random.Random(seed).randbytes(3 * width * height))


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    with tempfile.SpooledTemporaryFile() as out:
        image.save(out, kind, **options)
        out.seek(0)
        return out.read()


def pictures(folder: Path) -> dict[str, str]:
    """One image for every fate, and for every way to be bad -> paths by what they are for."""
    made = {
        "plain.jpg": jpeg(seed=1),
        "drawn.png": png(seed=2),
        "web.webp": encoded("WEBP", seed=3),
        "bitmap.bmp": bmp(seed=4),
        "fine.jpg": saved(noise(100, 100, 5), "JPEG", quality=100, subsampling=0),
        "large.jpg": saved(noise(400, 300, 6), "JPEG", quality=90),
        "cut.jpg": jpeg(seed=7)[:-300],
        "text.jpg": b"no image at all",
        "cut.bmp": bmp(seed=8)[:-500],
    }
    paths = {name: put(folder / "pictures" / name, data) for name, data in made.items()}
    return paths | {"missing.png": str(folder / "pictures" / "missing.png")}


FATE = {
    "plain.jpg": "untouched",
    "drawn.png": "untouched",
    "web.webp": "untouched",
    "bitmap.bmp": "converted",
    "fine.jpg": "recompressed",
    "large.jpg": "resized",
}


def mixed_lines(folder: Path, count: int) -> list[bytes]:
    """Lines of every kind: good, split, of text alone, blank, malformed, with images that are bad in every way."""
    named = pictures(folder)
    good = [name for name in named if name in FATE]
    bad = [name for name in named if name not in FATE]
    draw = random.Random(7)
    lines = []
    for number in range(count):
        chosen = [named[draw.choice(good)] for _ in range(draw.randint(0, 5))]
        if number % 19 == 5:
            chosen.append(named[bad[number // 19 % len(bad)]])
        one = row(f"question {number} " + "é " * draw.randint(0, 40), chosen, f"answer {number % 50}")
        lines.append(json.dumps(one, ensure_ascii=number % 2 == 0).encode())
        if number % 23 == 7:
            lines.append((b"", b"   ", b"{", b"17", b"\xff{}", b'{"contents":[],"contents":[]}')[number // 23 % 6])
    return lines


@pytest.fixture
def run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Iterator[Callable[..., laws.Folder]]:
    """Run a job into one and the same folder -> what it held, every law checked; then the folder is gone."""

    def job(source: str | Path, *argv: str) -> laws.Folder:
        output = tmp_path / "out"
        status = prepare(["--input", str(source), "--output", str(output), *OPTIONS, *argv])
        assert status == 0, capfd.readouterr().err
        found = laws.sealed(output)
        shutil.rmtree(output)
        return found

    yield job


def bodies(found: laws.Folder) -> dict[str, bytes]:
    """What does not say where rows came from: the split files and the images."""
    return {name: data for name, data in found.items() if name.startswith(("train", "valid", "test", "images/"))}


# How rows are cut, and who works on them


def test_any_block_size_and_two_processes_give_the_same_folder(run: Callable[..., laws.Folder], tmp_path: Path) -> None:
    lines = mixed_lines(tmp_path / "in", 300)
    source = put(tmp_path / "in/rows.jsonl", b"\n".join(lines))  # no final newline
    assert len(b"\n".join(lines)) > 25 * 4096
    whole = run(source, "--block_bytes", str(64 << 20))
    for other in (
        run(source, "--block_bytes", "4096"),
        run(source, "--block_bytes", "262144"),
        run(source, "--block_bytes", "8192", "--direct_num_workers=2", "--direct_running_mode=multi_processing"),
    ):
        assert_equal_folders(whole, other, same_blocks=False)
    assert counters(whole)["examples_read"] == len([line for line in lines if line.strip()])
    assert whole["manifest.json"]["reasons"] == {
        "duplicate_key": 2,
        "image_not_found": 4,
        "not_an_image": 4,
        "not_an_object": 2,
        "not_json": 2,
        "not_utf8": 2,
        "truncated_image": 8,
    }


def test_the_same_rows_in_any_kind_of_file_give_the_same_lines(run: Callable[..., laws.Folder], tmp_path: Path) -> None:
    lines = mixed_lines(tmp_path / "in", 120)
    folder = tmp_path / "in"
    text = b"\n".join(lines) + b"\n"
    one = run(put(folder / "rows.jsonl", text), "--block_bytes", "4096")

    def told(found: laws.Folder) -> list[dict[str, Any]]:
        return [{k: v for k, v in r.items() if k != "source"} for r in rejections(found)]

    # .gz of several members: the very same places, in the decompressed text.
    packed = b"".join(map(gzip.compress, (text[:5000], text[5000:5001], text[5001:])))
    found = run(put(folder / "rows.jsonl.gz", packed), "--block_bytes", "4096")
    assert bodies(found) == bodies(one) and told(found) == told(one)
    assert counters(found) == counters(one)

    # Windows' line ends and mark: the same lines at the same numbers.
    found = run(
        put(folder / "rows-crlf.jsonl", b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n")), "--block_bytes", "4096"
    )
    assert bodies(found) == bodies(one)
    assert [r | {"offset": 0} for r in told(found)] == [r | {"offset": 0} for r in told(one)]

    # Many files, in the order of their names, in a folder of their own; relative paths would start from there.
    for number, line in enumerate(lines):
        put(tmp_path / "many" / f"{number:03}.jsonl", line)
    found = run(tmp_path / "many", "--allow_prefix", str(folder))
    assert bodies(found) == bodies(one)
    assert [r["reason"] for r in rejections(found)] == [r["reason"] for r in rejections(one)]
    assert all((r["line"], r["offset"]) == (1, 0) for r in rejections(found))
    listed = {"files_taken": len(lines), "names_listed": len(lines)}
    assert counters(found) - counters(one) == {"files_read": len(lines) - 1, **listed}


def test_a_folder_gives_its_datasets_and_relative_paths_start_from_each(
    run: Callable[..., laws.Folder], tmp_path: Path
) -> None:
    for name in ("a", "b"):
        picture = put(tmp_path / "in" / name / "x.png", png(seed=ord(name)))
        write_lines(tmp_path / "in" / name / "rows.jsonl", [row(name, ["x.png", f"../{name}/x.png", picture])])
    write_lines(tmp_path / "in/deep/b.ndjson", [row("two")])
    for name in ("notes.txt", "x.csv", ".hidden.jsonl", ".git/c.jsonl"):
        put(tmp_path / "in" / name, b"{}\n")
    found = run(tmp_path / "in")
    lines = [json.loads(line) for line in b"".join(bodies(found).values()).splitlines()]
    assert {uri for line in lines for uri in laws.uris(line)} == {f"{tmp_path}/in/a/x.png", f"{tmp_path}/in/b/x.png"}
    count = counters(found)
    assert (count["files_read"], count["files_skipped"], count["examples_read"]) == (3, 6, 3)


def test_damaged_files_cost_only_themselves(run: Callable[..., laws.Folder], tmp_path: Path) -> None:
    folder = tmp_path / "in"
    rows = [row(f"question {n}", answer=random.Random(n).randbytes(30).hex()) for n in range(50)]
    text = b"".join(json.dumps(one).encode() + b"\n" for one in rows)
    put(folder / "a.jsonl", text)
    put(folder / "b.jsonl.gz", gzip.compress(text)[:-500])
    put(folder / "c.jsonl", b"\xff\xfe" + text.decode().encode("utf-16-le"))
    put(folder / "d.jsonl", b"")
    found = run_without_places(run, folder)
    reasons = found["manifest.json"]["reasons"]
    assert set(reasons) == {"corrupt_gzip", "not_json", "utf16"} and set(reasons.values()) == {1}
    used = counters(found)["examples_used"]
    assert 50 < used < 100 and counters(found)["examples_read"] == used + 3
    assert [(Path(r["source"]).name, r["reason"]) for r in rejections(found)] == [
        ("b.jsonl.gz", "not_json"),
        ("b.jsonl.gz", "corrupt_gzip"),
        ("c.jsonl", "utf16"),
    ]
    assert rejections(found)[1]["detail"] == "it ends before its end mark"


def run_without_places(run: Callable[..., laws.Folder], folder: Path) -> laws.Folder:
    """Run on a folder with a truncated .gz, of which the laws shall see the part that can be read."""
    real = laws.text_of

    def text_of(source: str) -> bytes:
        if source.endswith("b.jsonl.gz"):
            with gzip.open(source) as file, pytest.raises(EOFError):
                pieces = []
                while True:
                    pieces.append(file.read1(100))
            return b"".join(pieces)
        return real(source)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(laws, "text_of", text_of)
        return run(folder)


# The ledger


def test_every_fate_occurs_and_the_laws_hold(run: Callable[..., laws.Folder], tmp_path: Path) -> None:
    source = put(tmp_path / "in/rows.jsonl", b"\n".join(mixed_lines(tmp_path / "in", 200)))
    seen: dict[str, set[str]] = {}
    for policy in (
        ("--on_bad_image", "reject_example"),
        ("--on_bad_image", "drop_image"),
        ("--verify", "none", "--max_rejected_fraction", "1"),
    ):
        found = run(source, *policy)
        seen[policy[1]] = {fate for fate in FATES if counters(found)[f"images_{fate}"]}
        for image in found.get("images.parquet", []):
            name = Path(image["source"]).name
            assert image["fate"] in (FATE.get(name, "rejected"), "dropped", "unused")
    fitted = {"resized", "converted", "recompressed", "untouched"}
    assert seen == {
        "reject_example": fitted | {"rejected", "unused"},
        "drop_image": fitted | {"dropped"},
        "none": {"unverified"},
    }
    assert set().union(*seen.values()) == set(FATES)


# Replay


def test_a_replay_after_the_cause_is_mended_gives_what_was_missing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder, output = tmp_path / "in", tmp_path / "out"
    lines = mixed_lines(folder, 150)
    lines.append(json.dumps(row("a relative path", ["pictures/missing.png"])).encode())
    source = put(folder / "rows.jsonl", b"\n".join(lines))
    options = [*OPTIONS, "--seed", "other"]
    assert prepare(["--input", source, "--output", str(output), *options]) == 0
    screen = capfd.readouterr().out
    first = laws.sealed(output)
    replay = next(
        line for line in screen.splitlines() if line.startswith("  tuneset prepare") and "rejected.jsonl" in line
    )

    put(folder / "pictures/missing.png", png(seed=11))
    put(folder / "pictures/cut.jpg", jpeg(seed=12))
    command = shlex.split(replay)
    assert command[:2] == ["tuneset", "prepare"]
    assert main(command[1:]) == 0, capfd.readouterr().err
    second = laws.sealed(f"{output}-replayed")

    assert prepare(["--input", source, "--output", f"{tmp_path}/whole", *options]) == 0
    whole = laws.sealed(f"{tmp_path}/whole")
    for split in ("train", "validation", "test"):
        both = first[f"{split}.jsonl"] + second[f"{split}.jsonl"]
        assert lines_aside(both) == lines_aside(whole[f"{split}.jsonl"]), split
    assert counters(second)["examples_used"] > 0
    assert second["manifest.json"]["reasons"] == whole["manifest.json"]["reasons"]
    # What is still bad is told as before: the row, its base, its reason; and it can be replayed again.
    kept = ("reason", "row", "row_base64", "base", "image")
    assert [{k: r.get(k) for k in kept} for r in rejections(second)] == [
        {k: r.get(k) for k in kept} for r in rejections(whole)
    ]


def lines_aside(text: bytes) -> list[str]:
    """Lines in any order, without the folder of their rewritten images, which is each run's own."""
    found = [json.loads(line) for line in text.splitlines()]
    for part in (part for line in found for turn in line["contents"] for part in turn["parts"] if "fileData" in part):
        if "/images/" in part["fileData"]["fileUri"]:
            part["fileData"]["fileUri"] = Path(part["fileData"]["fileUri"]).name
    return sorted(json.dumps(line, sort_keys=True) for line in found)


# The golden dataset: a folder compared whole, byte for byte

_TINY_PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
    "0000000c49444154789c63f8cfc0000003010100c9fe92ef0000000049454e44ae426082"
)


def golden(root: Path) -> dict[str, bytes]:
    """Run the golden rows below `root` -> every output as text, without paths of this machine and codecs of this Pillow."""
    for name in ("a", "b", "c", "deep/d"):
        put(root / "in/images" / f"{name}.png", _TINY_PNG)
    put(root / "in/images/cut.png", _TINY_PNG[:-20])
    source = put(root / "in/rows.jsonl", (GOLDEN / "rows.jsonl").read_bytes())
    options = (
        "--uri_prefix",
        "gs://bucket/birds",
        "--max_images",
        "3",
        "--split_column",
        "split",
        "--block_bytes",
        "2048",
    )
    assert prepare(["--input", source, "--output", str(root / "out"), *options]) == 0
    found = laws.sealed(root / "out")
    dataset = found.pop("manifest.json")
    del dataset["codecs"], dataset["tool"]
    for file in dataset["files"]:
        if file["name"] == "rejected.jsonl":  # it holds paths
            del file["bytes"], file["crc32c"]
    texts = {"dataset.json": json.dumps(dataset, indent=1, sort_keys=True) + "\n"}
    for name, content in found.items():
        if name.startswith("images/"):
            continue
        if name.endswith(".parquet"):
            rows = [{k: v for k, v in one.items() if k != "generation"} for one in content]
            texts[name.replace("parquet", "jsonl")] = "".join(json.dumps(one) + "\n" for one in rows)
        else:
            texts[name] = content.decode()
    return {name: text.replace(str(root), "ROOT").encode() for name, text in texts.items()}


def test_the_golden_dataset_is_made_byte_for_byte(tmp_path: Path) -> None:
    wanted = {path.name: path.read_bytes() for path in GOLDEN.iterdir() if path.name != "rows.jsonl"}
    found = golden(tmp_path)
    assert sorted(found) == sorted(wanted)
    for name, content in found.items():
        assert content.decode() == wanted[name].decode(), name


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        for name, content in golden(Path(scratch)).items():
            put(GOLDEN / name, content)
