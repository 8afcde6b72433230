"""What is said where options and input do not fit: records without a header, braces that are no places, folders of img2dataset."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from folders import jpeg, put
from opening import tried

from beam_jobs.options import OptionError

ASK = ("--prompt", "What?", "--answer", "{label}", "--verify", "none")
A_ROW = "; that looks like a row: if the file has no header, --header no calls its columns 1, 2, ..."
PERHAPS = "; if that is a row, --header no calls the columns 1, 2, ..."


def refused(source: str, *flags: str) -> str:
    with pytest.raises(OptionError) as error:
        tried(source, *flags)
    return str(error.value).removeprefix(f"{source}: ")


@pytest.mark.parametrize(
    "data, flags, said",
    [
        (b"a.jpg,cat\nb.jpg,dog\n", ASK, f"there is no column 'label'; the header names 'a.jpg', 'cat'{A_ROW}"),
        (b"7,cat\n8,dog\n", ASK, f"there is no column 'label'; the header names '7', 'cat'{A_ROW}"),
        (b"cat,red\ndog,blue\n", ASK, f"there is no column 'label'; the header names 'cat', 'red'{PERHAPS}"),
        (
            b"image,red\na.jpg,x\n",
            (*ASK, "--image_column", "image"),
            "there is no column 'label'; the header names 'image', 'red'",
        ),
        (
            b"a.jpg,cat\n",
            (*ASK, "--header", "no"),
            "there is no column 'label'; the file has no header, its columns are '1', '2'",
        ),
    ],
)
def test_a_record_that_may_be_no_header(tmp_path: Path, data: bytes, flags: tuple[str, ...], said: str) -> None:
    assert refused(put(tmp_path / "t.csv", data), *flags) == said


@pytest.mark.parametrize(
    "answer, hint",
    [
        ("{label:>10}", "; a place takes no format of Python's: {label}"),
        ("{label!r}", "; a place takes no format of Python's: {label}"),
        ("{label[0]}", "; a place takes no format of Python's: {label}"),
        ("{'a': 'b'}", "; braces that are text are written twice: {{'a': 'b'}}"),
        ("{colour: red}", "; braces that are text are written twice: {{colour: red}}"),
        ("{lable}", ""),
    ],
)
def test_a_place_that_is_none(tmp_path: Path, answer: str, hint: str) -> None:
    path = put(tmp_path / "t.csv", b"image,label\na.jpg,x\n")
    said = refused(path, "--prompt", "What?", "--answer", answer)
    assert said == f"there is no column {answer[1:-1]!r}; the header names 'image', 'label'{hint}"


@pytest.mark.parametrize(
    "value, said",
    [
        ({"data": [{"image": "a.jpg"}]}, "its rows seem to stand under 'data': write that list alone into the file"),
        (
            {"photos": [{"id": 1}], "labels": [{"id": 2}], "info": {}},
            "it is one object of several lists ('photos', 'labels'): write one row for each image, as JSON lines or CSV",
        ),
        (
            {"picture": {"0": "a.jpg", "1": "b.jpg"}, "label": {"0": "x", "1": "y"}},
            "it holds a table by its columns: write it by rows (of pandas: df.to_json(path, orient='records'))",
        ),
        ({"picture": {"path": "a.jpg"}, "name": {"en": "x"}}, "there is no column 'label'"),
        ({"tags": ["x"], "name": []}, "no column looks like one of images: name it with"),
        ({"boxes": [{"x": 1}], "label": "x"}, "no column looks like one of images: name it with"),
    ],
)
@pytest.mark.parametrize("indent", [None, 2])
def test_an_object_that_holds_the_rows(tmp_path: Path, value: dict[str, object], said: str, indent: int | None) -> None:
    assert refused(put(tmp_path / "t.json", json.dumps(value, indent=indent).encode()), *ASK).startswith(said)


def shards(folder: Path) -> str:
    """A folder as img2dataset writes it, of two shards."""
    for shard in ("00000", "00001"):
        keys = [f"{shard}{number:04}" for number in range(2)]
        put(folder / f"{shard}_stats.json", b'{"count": 2}')
        table = pa.table({"url": [f"https://example.com/{key}.jpg" for key in keys], "caption": keys, "key": keys})
        pq.write_table(table, folder / f"{shard}.parquet")
        for key in keys:
            put(folder / shard / f"{key}.jpg", jpeg())
            put(folder / shard / f"{key}.txt", b"a cat")
            put(folder / shard / f"{key}.json", b'{"caption": "a cat", "url": "u"}')
    return str(folder)


@pytest.mark.parametrize("answer", ["{caption}", "{label}"])
def test_columns_of_img2datasets_tables_are_told_how_to_be_read(tmp_path: Path, answer: str) -> None:
    source = shards(tmp_path / "in")
    said = refused(source, "--prompt", "What?", "--answer", answer)
    assert said == (
        f"img2dataset wrote {source}: its tables hold the addresses that images came from, and these lie in folders beside them. "
        "--input_format folder makes a row of each image, and --answer '{sidecar.caption}' takes its caption"
    )


@pytest.mark.parametrize("answer", [(), ("--answer", "{sidecar.caption}"), ("--answer", "{sidecar}")])
def test_a_folder_of_img2dataset_is_read_as_its_images(tmp_path: Path, answer: tuple[str, ...]) -> None:
    blocks = tried(shards(tmp_path / "in"), "--prompt", "What?", *answer, "--verify", "none")
    answers = [example.contents[1]["parts"][0]["text"] for block in blocks for example in block.examples]
    assert [text if text == "a cat" else json.loads(text)["caption"] for text in answers] == ["a cat"] * 4


def test_shards_of_img2dataset_in_tar_are_read(tmp_path: Path) -> None:
    for shard in ("00000", "00001"):
        pq.write_table(pa.table({"url": ["u"], "caption": ["x"]}), put(tmp_path / f"in/{shard}.parquet", b""))
        with tarfile.open(tmp_path / f"in/{shard}.tar", "w") as tar:
            for name, data in (("jpg", jpeg()), ("txt", b"a cat"), ("json", b'{"caption": "a cat"}')):
                info = tarfile.TarInfo(f"{shard}0000.{name}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    blocks = tried(str(tmp_path / "in"), "--prompt", "What?")
    answers = [example.contents[1]["parts"][0]["text"] for block in blocks for example in block.examples]
    assert answers == ["a cat"] * 2 and not any(block.rejections for block in blocks)


def test_a_numbered_table_beside_no_images_is_a_table(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    pq.write_table(pa.table({"image": ["a.jpg"], "label": ["x"]}), tmp_path / "in/00000.parquet")
    assert sum(len(block.examples) for block in tried(str(tmp_path / "in"), *ASK)) == 1
