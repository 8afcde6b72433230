"""Names that decide splits: folders of one level, or files of rows side by side; and that a sibling changes what it must."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import laws
import pytest
from folders import jpeg, put, put_images, row, write_lines
from hypothesis import given
from hypothesis import strategies as st
from laws import counters, lines, rejections, uris
from opening import tried

from beam_jobs.preflight import look_at_inputs, on_this_machine
from beam_jobs.settings import parse
from transforms.core.records import Block, Extent
from transforms.core.warning_codes import Notice
from transforms.dataset.receipts import BlockKeys
from transforms.examples.split_names import SPLIT_WORDS, Level, SplitNames, split_of_name
from transforms.storage import store_for

Run = Callable[..., laws.Folder]
ASK = ("--prompt", "What is it?", "--answer", "{label}")


def table(path: Path, *images: str, header: str = "image,label") -> None:
    put(path, "\n".join([header, *(f"{image},cat" if "label" in header else image for image in images), ""]).encode())


def placed(found: laws.Folder) -> dict[str, set[str]]:
    """Ends of the images' paths by split, of splits that have some."""
    splits = {split: {uris(line)[0].rpartition("/in/")[2] for line in lines(found, split)}
              for split in ("train", "validation", "test") if f"{split}.jsonl" in found}  # fmt: skip
    return {split: names for split, names in splits.items() if names}


def warned(found: laws.Folder) -> dict[str, int]:
    return {one["code"]: one["count"] for one in found["manifest.json"]["warnings"]}


@given(
    st.sampled_from(sorted(SPLIT_WORDS)),
    st.lists(st.sampled_from(["shop", "images", "2017", "set", "00000-of-00001", "é"]), max_size=2),
    st.lists(st.sampled_from(["csv", "2017", "part", "jsonl.gz"]), max_size=2),
    st.sampled_from("-_. 7"),
    st.sampled_from([str.lower, str.upper, str.title]),
)
def test_a_word_of_a_name_speaks_of_its_split(
    word: str, before: list[str], behind: list[str], between: str, case: Callable[[str], str]
) -> None:
    assert split_of_name(case(between.join([*before, word, *behind]))) == SPLIT_WORDS[word]


@given(st.sampled_from(sorted(SPLIT_WORDS)), st.sampled_from("abé×ß+"))
def test_a_part_of_a_longer_word_does_not(word: str, letter: str) -> None:
    assert split_of_name(word + letter) == split_of_name(letter + word) == ""


@pytest.mark.parametrize(
    ("name", "split"),
    [("train2017", "train"), ("train_images", "train"), ("shop_train.csv", "train"), ("VALID", "validation"),
     ("test-00000-of-00001.parquet", "test"), ("trains", ""), ("contest", ""), ("train_test", ""), ("train_training", "train"),
     ("", ""), ("2017", "")],
)  # fmt: skip
def test_names(name: str, split: str) -> None:
    assert split_of_name(name) == split


@pytest.mark.parametrize(
    ("uri", "folder"),
    [("/d/train/1.jpg", ""), ("/d/a/train/1.jpg", "train"), ("/d/a/train/cat/1.jpg", "train"), ("/d/a", ""), ("/dd/a/train/1.jpg", ""),
     ("gs://d/a/train/1.jpg", "")],
)  # fmt: skip
def test_the_folder_of_a_level(uri: str, folder: str) -> None:
    assert Level("/d", 2).folder_of(uri) == folder


def test_keys_change_with_what_decides_and_not_otherwise() -> None:
    def key(names: SplitNames, uri: str) -> str:
        return BlockKeys("", names)(Block((0, b"", 0), (Extent(uri, "1", 1, 0, 1),), "table"))

    none, files = SplitNames(), SplitNames((), ("/d",))
    assert (
        key(files, "/e/train.csv")
        == key(none, "/e/train.csv")
        == BlockKeys("")(Block((0, b"", 0), (Extent("/e/train.csv", "1", 1, 0, 1),), "table"))
    )
    decided = [key(names, "/d/train.csv") for names in (none, files, SplitNames((), ("/d",), validation=False))]
    assert len({*decided, key(SplitNames((Level("/d", 1),), ("/d",)), "/d/train.csv")}) == 4
    assert key(files, "/d/extra.csv") != key(none, "/d/extra.csv")  # its rows are warned of


@pytest.mark.parametrize(
    "folders",
    [("train", "valid", "test"), ("Training", "DEV", "eval"), ("images/train2017", "images/val2017", "images/test"),
     ("a/train/images", "a/valid/images", "b/testing/images")],
)  # fmt: skip
def test_folders_decide_at_any_level(run: Run, tmp_path: Path, folders: tuple[str, ...]) -> None:
    names = [f"{folder}/{number}.jpg" for folder in folders for number in range(4)]
    put_images(tmp_path / "in", *names)
    found = run(tmp_path / "in", "--prompt", "x", "--answer", "y")
    assert placed(found) == {"train": set(names[:4]), "validation": set(names[4:8]), "test": set(names[8:])}
    assert counters(found)["split_named"] == 12


def test_a_sibling_that_names_no_split_goes_by_hash_and_is_warned_of(
    run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    put_images(tmp_path / "in", "train/1.jpg", "val/2.jpg", "extra/3.jpg", "extra/4.jpg", "root.jpg")
    found = run(tmp_path / "in", "--prompt", "x", "--splits", "train=1")
    assert placed(found) == {
        "train": {"train/1.jpg", "extra/3.jpg", "extra/4.jpg", "root.jpg"},
        "validation": {"val/2.jpg"},
    }
    assert warned(found)["split_unnamed"] == 3
    said = capfd.readouterr().out
    assert (
        "folders decide the split: train 1 (train); validation 1 (val); by the hash 1 (extra) (--split_names ignore"
        in said
    )
    assert "! split_unnamed: 3 examples whose folder or file names no split" in said


@pytest.mark.parametrize("names", [("bus", "car", "train"), ("train", "training"), ("a", "b")])
def test_fewer_than_two_splits_are_classes(run: Run, tmp_path: Path, names: tuple[str, ...]) -> None:
    put_images(tmp_path / "in", *(f"{name}/{number}.jpg" for name in names for number in range(20)))
    found = run(tmp_path / "in", "--prompt", "x")
    assert set(placed(found)) == {"train", "validation"}
    assert "split_named" not in counters(found) and "split_names" not in found["manifest.json"]


@pytest.mark.parametrize("given", ["in", "in/*.csv", "in/train.csv,in/val.csv,in/shop_test.csv"])
def test_files_of_rows_decide(run: Run, tmp_path: Path, given: str) -> None:
    put_images(tmp_path / "in", *(f"{n}.jpg" for n in range(9)))
    for at, name in enumerate(("train", "val", "shop_test")):
        table(tmp_path / f"in/{name}.csv", *(f"{n}.jpg" for n in range(3 * at, 3 * at + 3)))
    pattern = ",".join(f"{tmp_path}/{one}" for one in given.split(","))
    found = run(pattern, *ASK, "--input_format", "table")
    expected = [{f"{n}.jpg" for n in range(start, start + 3)} for start in (0, 3, 6)]
    assert placed(found) == dict(zip(("train", "validation", "test"), expected))
    assert placed(
        run(
            pattern, *ASK, "--input_format", "table", "--split_names", "ignore", "--splits", "train=1", output="ignored"
        )
    ) == {"train": set.union(*expected)}


def test_inputs_that_are_siblings_decide(run: Run, tmp_path: Path) -> None:
    put_images(tmp_path / "in", "train/images/1.jpg", "valid/images/2.jpg", "other/images/3.jpg")
    found = run(f"{tmp_path}/in/train/images,{tmp_path}/in/valid/images", "--prompt", "x", "--answer", "y")
    assert placed(found) == {"train": {"train/images/1.jpg"}, "validation": {"valid/images/2.jpg"}}


def test_the_first_image_decides_for_a_table_above_the_folders(run: Run, tmp_path: Path) -> None:
    put_images(tmp_path / "in", "train/1.jpg", "test/2.jpg", "val/3.jpg")
    table(tmp_path / "in/labels.csv", "train/1.jpg", "test/2.jpg", "val/3.jpg")
    expected = {"train": {"train/1.jpg"}, "validation": {"val/3.jpg"}, "test": {"test/2.jpg"}}
    assert placed(run(tmp_path / "in/labels.csv", *ASK)) == expected


def test_without_validation_it_is_taken_from_train(run: Run, tmp_path: Path) -> None:
    names = [f"{split}/{n}.jpg" for split in ("train", "test") for n in range(40)]
    put_images(tmp_path / "in", *names)
    found = placed(run(tmp_path / "in", "--prompt", "x", "--splits", "train=0.5,validation=0.5"))
    assert found["test"] == set(names[40:])
    assert found["train"] | found["validation"] == set(names[:40]) and found["validation"]


def test_a_test_without_answers_is_left_out(run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    put_images(tmp_path / "in", "1.jpg", "2.jpg")
    table(tmp_path / "in/train.csv", "1.jpg")
    table(tmp_path / "in/test.csv", "2.jpg", header="image")
    found = run(tmp_path / "in", *ASK, "--input_format", "table", "--splits", "train=1")
    assert placed(found) == {"train": {"1.jpg"}} and rejections(found) == []
    assert warned(found)["test_without_answers"] == 1
    assert "! test_without_answers: 1 file named test without the column of the answer" in capfd.readouterr().out


@pytest.mark.parametrize("rows", [3, 3000])
@pytest.mark.parametrize("name", ["test.jsonl", "test.jsonl.gz", "a_test.ndjson"])
def test_a_test_of_json_without_answers_is_left_out_as_one_of_csv(tmp_path: Path, name: str, rows: int) -> None:
    def count(lines: list[dict[str, object]]) -> tuple[int, int, dict[str, int]]:
        data = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        put(tmp_path / "in" / name, gzip.compress(data) if name.endswith("gz") else data)
        put(tmp_path / "in/train.jsonl", b'{"image": "a.jpg", "label": "x"}\n')
        blocks = tried(str(tmp_path / "in"), *ASK, "--verify", "none", "--block_bytes", "1024")
        warnings = {code: number for block in blocks for code, (number, _) in block.warnings.counts.items()}
        return sum(len(b.examples) for b in blocks), sum(len(b.rejections) for b in blocks), warnings

    bare: list[dict[str, object]] = [{"image": "b.jpg", "id": number} for number in range(rows)]
    assert count(bare) == (1, 0, {"test_without_answers": 1})
    assert count([*bare[:2], {"image": "b.jpg", "label": "y"}]) == (2, 2, {})
    assert count([bare[0], {"image": "b.jpg", "label": ""}]) == (1, 2, {})


def notices_of(folder: Path) -> tuple[list[Notice], list[str]]:
    flags = ["--input", str(folder), "--output", f"{folder}-out", "--prompt", "x"]
    settings, lines = look_at_inputs(on_this_machine(parse(flags)))
    return [notice for notice in settings.notices if notice.code.startswith("split_")], lines


def test_a_name_that_alone_speaks_of_a_split_is_warned_of(tmp_path: Path) -> None:
    for name in ("bus/1.jpg", "train/2.jpg"):
        put(tmp_path / "in" / name, jpeg())
    (notice,), told = notices_of(tmp_path / "in")
    detail = "of folders and files, only the folder train names a split, so the hash decides by --splits; for all of it in train: "
    assert notice == Notice("split_named_alone", 1, str(tmp_path / "in"), f"{detail}--splits train=1")
    assert notice.line in told


def test_names_that_were_not_all_looked_at_are_warned_of(tmp_path: Path) -> None:
    for number in range(30):
        put(tmp_path / f"in/{number:02}/deep/{number % 2}/1.jpg", jpeg())
    assert notices_of(tmp_path / "in")[0] == [Notice("split_names_cut_short", 1, str(tmp_path / "in"))]


def test_metadata_in_folders_of_splits_is_read(run: Run, tmp_path: Path) -> None:
    put_images(tmp_path / "in", "train/1.jpg", "dev/2.jpg")
    for at, split in enumerate(("train", "dev"), 1):
        table(tmp_path / f"in/{split}/metadata.csv", f"{at}.jpg", header="file_name,label")
    assert placed(run(tmp_path / "in", *ASK)) == {"train": {"train/1.jpg"}, "validation": {"dev/2.jpg"}}


def test_rows_of_gemini_and_words_of_a_column(run: Run, tmp_path: Path) -> None:
    for split in ("train", "dev"):
        write_lines(tmp_path / f"in/{split}.jsonl", [row(split)])
    assert {s: len(lines(found, s)) for found in [run(tmp_path / "in")] for s in ("train", "validation")} == {
        "train": 1, "validation": 1}  # fmt: skip
    words = ["trn", "dev", "eval", "Test_set"]
    write_lines(tmp_path / "c/rows.jsonl", [row(word, fold=word) for word in words])
    found = run(tmp_path / "c", "--split_column", "fold", output="column")
    assert found["manifest.json"]["splits"] == {"train": 1, "validation": 1, "test": 2}


def test_a_sibling_that_arrives_is_as_in_a_full_run(run: Run, tmp_path: Path) -> None:
    put_images(tmp_path / "in", *(f"{n}.jpg" for n in range(30)))
    table(tmp_path / "in/train.csv", *(f"{n}.jpg" for n in range(20)))
    flags = (*ASK, "--input_format", "table", "--image_folder", str(tmp_path / "images"), "--keep_blocks")
    run(tmp_path / "in", *flags, output="before")
    table(tmp_path / "in/val.csv", *(f"{n}.jpg" for n in range(20, 30)))
    nightly = run(tmp_path / "in", *flags, "--previous", str(tmp_path / "before"), output="nightly")
    whole = run(tmp_path / "in", *flags, output="whole")
    assert {split: len(names) for split, names in placed(whole).items()} == {"train": 20, "validation": 10}
    assert placed(nightly) == placed(whole)
    assert nightly["examples.parquet"] == whole["examples.parquet"]


def test_names_decide_on_cloud_storage(run: Run, bucket: str) -> None:
    store = store_for(bucket)
    for number in range(150):
        store.create(
            f"{bucket}/in/data/train-{number:05}.csv", b"image,label\n" + f"{bucket}/x.jpg,{number}\n".encode()
        )
    for name in ("validation-0.csv", "test-0.csv"):  # behind more than a page of train
        store.create(f"{bucket}/in/data/{name}", b"image,label\n" + f"{bucket}/x.jpg,{name[0]}\n".encode())
    found = run(f"{bucket}/in/data/*.csv", *ASK, "--verify", "none")
    assert found["manifest.json"]["splits"] == {"train": 150, "validation": 1, "test": 1}

    for name in ("a/Train/cat/1.jpg", "a/val/cat/2.jpg", "b/testing/3.jpg"):
        store.create(f"{bucket}/pictures/{name}", jpeg())
    found = run(f"{bucket}/pictures/", "--prompt", "x", "--verify", "none", output="pictures")
    assert found["manifest.json"]["splits"] == {"train": 1, "validation": 1, "test": 1}


def test_a_replayed_row_keeps_its_split(run: Run, tmp_path: Path) -> None:
    put_images(tmp_path / "in", "train/1.jpg", "val/2.jpg", "test/3.jpg")
    for name in ("val/4.jpg", "test/5.jpg"):
        put(tmp_path / "in" / name, b"no picture")
    flags = ("--prompt", "x", "--answer", "y", "--max_rejected_fraction", "1")
    first = run(tmp_path / "in", *flags)
    assert [one["split"] for one in rejections(first)] == ["test", "validation"]
    put_images(tmp_path / "in", "val/4.jpg", "test/5.jpg")
    replayed = run(tmp_path / "out/rejected.jsonl", *flags, "--allow_prefix", str(tmp_path), output="replayed")
    assert placed(replayed) == {"validation": {"val/4.jpg"}, "test": {"test/5.jpg"}}
