"""Images that rows misname: where they lie is said before the work and after it, with what helps; and templates of their names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import laws
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cloud import Cloud
from fault_proxy import Proxy
from folders import jpeg, put, row, write_lines
from laws import counters, rejections, uris

from beam_jobs.commands.prepare import prepare
from beam_jobs.options import OptionError
from beam_jobs.preflight import look_at_inputs, on_this_machine
from beam_jobs.settings import parse
from transforms.core.warning_codes import Notice
from transforms.storage.uris import object_of_url

Run = Callable[..., laws.Folder]
ASK = ("--prompt", "Which?", "--answer", "{label}", "--splits", "train=1")
LOOSE = ("--max_rejected_fraction", "1")


def table(path: Path, *images: str, column: str = "image") -> str:
    return put(path, "".join(f"{line}\n" for line in (f"{column},label", *(f"{i},x" for i in images))).encode())


def misnamed(source: str, *flags: str) -> list[Notice]:
    argv = ["--input", source, "--output", "/nowhere/out", *flags]
    settings, _ = look_at_inputs(on_this_machine(parse(argv)))
    return [notice for notice in settings.notices if notice.code == "images_misnamed"]


@pytest.mark.parametrize(
    "there, written, advice",
    [
        ("in/pics/cat/1.jpg", "C:\\Users\\me\\pics\\cat\\1.jpg", "--image_root {in} finds it"),
        ("in/1.jpg", "/home/someone/project/pics/1.jpg", "--image_root {in} finds it"),
        ("in/upload/3/ab-1.jpg", "/data/upload/3/ab-1.jpg", "--image_root {in} finds it"),
        ("in/images/1.jpg", "/data/upload/3/1.jpg", "--image_root {in}/images finds it"),
        ("in/images/3/1.jpg", "/data/upload/3/1.jpg", ""),  # two folders down is not looked for
        ("in/data/upload/3/ab-1.jpg", "/data/upload/3/ab-1.jpg", "--image_column '{in}{image}'"),
        ("in/images/cat/1.jpg", "in/images/cat/1.jpg", "--image_column '{root}/{image}'"),  # from the working folder
        ("pics/1.jpg", "pics/1.jpg", "--image_column '{root}/{image}' --allow_prefix {in},{root}/pics"),
        ("in/Images/Cat/1.JPG", "images/cat/1.jpg", "upper and lower case differ"),
        ("in/000123.jpg", "000123", "--image_column '{image}.jpg'"),
        ("in/train/000123.png", "000123", "--image_column 'train/{image}.png'"),
        ("in/train/000123.jpg", "000123.jpg", "--image_column 'train/{image}'"),
        ("in/train/cat/1.jpg", "/mnt/share/1.jpg", ""),  # two folders down is not looked for
        ("in/other.jpg", "1.jpg", ""),
        ("secret.jpg", "../secret.jpg", ""),
        ("in/notes.txt", "notes", ""),  # no image
    ],
)
def test_where_an_image_lies_and_what_helps_is_said_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: str, written: str, advice: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = put(tmp_path / there, jpeg())
    source = table(tmp_path / "in/rows.csv", written, written.replace("1", "7"))
    found = misnamed(source, *ASK, "--image_column", "image")
    assert len(found) == bool(advice)
    for notice in found:
        said = advice.replace("{in}", str(tmp_path / "in")).replace("{root}", str(tmp_path))
        assert f"but {path} is there: {said}" in notice.detail and notice.example == written


@pytest.mark.parametrize(
    "there, column, written",
    [("in/train/000123.jpg", "id", "000123"), ("in/data/up/1.jpg", "image", "/data/up/1.jpg"), ("pics/1.jpg", "a b", "pics/1.jpg")],
)  # fmt: skip
def test_the_option_that_is_named_helps(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: str, column: str, written: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = put(tmp_path / there, jpeg())
    source = table(tmp_path / "in/rows.csv", written, column=column)
    (notice,) = misnamed(source, *ASK, "--image_column", column)
    words = notice.detail.partition(" is there: ")[2].replace("'", "").replace("a b", "a_b").split(" ")
    found = run(source, *ASK, *(word.replace("a_b", "a b") for word in words))
    assert [uri for line in laws.lines(found) for uri in uris(line)] == [path]


def test_images_of_other_spellings_are_not_missing(tmp_path: Path) -> None:
    put(tmp_path / "in/cat/a b.jpg", jpeg())
    put(tmp_path / "in/train/cat/a b.jpg", jpeg())
    assert misnamed(table(tmp_path / "in/rows.csv", "cat\\a%20b.jpg"), *ASK) == []


def test_rows_of_geminis_are_thought_about_too(tmp_path: Path) -> None:
    put(tmp_path / "in/cat/1.jpg", jpeg())
    (notice,) = misnamed(write_lines(tmp_path / "in/rows.jsonl", [row("?", ["C:\\pics\\cat\\1.jpg"])]))
    assert notice.detail.endswith(f"--image_root {tmp_path}/in finds it")


def test_what_only_later_rows_misname_is_said_after_the_run(
    run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    names = [put(tmp_path / f"in/{number}.jpg", jpeg(seed=number)) for number in range(12)]
    put(tmp_path / "in/train/99.jpg", jpeg(seed=99))
    source = table(tmp_path / "in/rows.csv", *(Path(name).name for name in names), "99.jpg")
    found = run(source, *ASK, *LOOSE)
    assert [told["reason"] for told in rejections(found)] == ["image_not_found"]
    said = "! images_misnamed: of the first 1 images that were not found 99.jpg may be another: "
    assert said + f"{tmp_path}/in/train/99.jpg is there: --image_column 'train/{{image}}'." in capfd.readouterr().out


def test_a_run_that_is_not_sealed_says_it_as_well(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    names = [put(tmp_path / f"in/{number}.jpg", jpeg(seed=number)) for number in range(12)]
    gone = [f"{number}.jpg" for number in range(100, 220)]
    put(tmp_path / "in/train/100.jpg", jpeg(seed=99))
    source = table(tmp_path / "in/rows.csv", *(Path(name).name for name in names), *gone)
    assert prepare(["--input", source, "--output", str(tmp_path / "out"), *ASK]) == 1
    assert "is there: --image_column 'train/{image}'" in capfd.readouterr().err


def test_in_a_bucket_few_requests_are_made_for_it(cloud: Cloud, proxy: Proxy) -> None:
    cloud.put("in/train/1.jpg", jpeg())
    source = cloud.put("in/rows.csv", b"id,label\n" + b"".join(b"%d,x\n" % number for number in range(1, 300)))
    (notice,) = misnamed(source, *ASK, "--image_column", "id")
    assert notice.detail.endswith(f"{cloud.uri}/in/train/1.jpg is there: --image_column 'train/{{id}}.jpg'")
    asked = [request for request in proxy.seen if request.name != "in/rows.csv"]
    assert len(asked) <= 20


# Templates of names


def test_a_template_names_images(run: Run, tmp_path: Path) -> None:
    for name in ("train/1.jpg", "train/2.jpg", "masks/1_m.png.jpg"):
        put(tmp_path / "in" / name, jpeg(seed=len(name)))
    text = "id,mask,label\n1,m.png,x\n2,,y\n,m.png,z\n"
    source = put(tmp_path / "in/rows.csv", text.encode())
    found = run(source, *ASK, *LOOSE, "--image_column", "train/{id}.jpg,masks/{id}_{mask}.jpg")
    named = [[uri.removeprefix(f"{tmp_path}/in/") for uri in uris(line)] for line in laws.lines(found)]
    assert named == [["train/1.jpg", "masks/1_m.png.jpg"], ["train/2.jpg"]]
    (rejection,) = rejections(found)  # a template without its value names nothing
    assert rejection["reason"] == "no_image"


def test_what_a_template_comes_to_is_one_name_told_from_the_table(run: Run, tmp_path: Path) -> None:
    """In a metadata file below the input, too; a rejected row is replayed by the same option."""
    put(tmp_path / "in/cats/pics/a;b.jpg", jpeg())
    put(tmp_path / "in/cats/metadata.csv", b"id,label\na;b,x\ngone,y\n")
    ask = (*ASK, *LOOSE, "--image_column", "pics/{id}.jpg")
    found = run(tmp_path / "in", *ask)
    assert uris(laws.lines(found)[0]) == [f"{tmp_path}/in/cats/pics/a;b.jpg"]
    assert [told["image"] for told in rejections(found)] == ["cats/pics/gone.jpg"]
    put(tmp_path / "in/cats/pics/gone.jpg", jpeg(seed=1))
    again = run(tmp_path / "out/rejected.jsonl", *ask, "--allow_prefix", str(tmp_path / "in"), output="again")
    assert uris(laws.lines(again)[0]) == [f"{tmp_path}/in/cats/pics/gone.jpg"]


def test_a_template_works_for_numbers_in_json(run: Run, tmp_path: Path) -> None:
    put(tmp_path / "in/7.jpg", jpeg())
    source = put(tmp_path / "in/rows.jsonl", b'{"id": 7, "a": {"b": "x"}, "label": "x"}\n')
    found = run(source, *ASK, "--image_column", "{id}.jpg")
    assert counters(found)["examples_used"] == 1


@pytest.mark.parametrize(
    "item, said",
    [
        ("train/{id.jpg", "--image_column train/{id.jpg: "),
        ("{path.stem}.jpg", "expected names of columns"),
        ("train/{nothing}.jpg", "there is no column 'nothing'"),
    ],
)
def test_a_template_that_cannot_be_is_refused(tmp_path: Path, item: str, said: str) -> None:
    source = table(tmp_path / "in/rows.csv", "1.jpg")
    with pytest.raises(OptionError) as error:
        misnamed(source, *ASK, "--image_column", item)
    assert said in str(error.value)


# Addresses


@pytest.mark.parametrize(
    "url, uri",
    [
        ("storage.googleapis.com/b/o.jpg", "gs://b/o.jpg"),
        ("storage.googleapis.com:443/b/a/o%20o.jpg?X-Goog-Signature=0#x", "gs://b/a/o o.jpg"),
        ("storage.cloud.google.com/b/o.jpg", "gs://b/o.jpg"),
        ("storage.cloud.google.com/b/o.jpg?authuser=0", "gs://b/o.jpg"),
        ("my-bucket.storage.googleapis.com/a/o.jpg", "gs://my-bucket/a/o.jpg"),
        ("my.bucket.org.storage.googleapis.com/o.jpg", "gs://my.bucket.org/o.jpg"),
        ("storage.googleapis.com/storage/v1/b/b/o/a%2Fo.jpg?alt=media", "gs://b/a/o.jpg"),
        ("storage.googleapis.com/download/storage/v1/b/b/o/a%2Fo.jpg", "gs://b/a/o.jpg"),
        ("www.googleapis.com/storage/v1/b/b/o/o.jpg", "gs://b/o.jpg"),
        ("firebasestorage.googleapis.com/v0/b/b.appspot.com/o/a%2Fo.jpg?alt=media", "gs://b.appspot.com/a/o.jpg"),
        ("console.cloud.google.com/storage/browser/_details/b/a/o.jpg;tab=live_object", "gs://b/a/o.jpg"),
        ("Storage.GoogleAPIs.com/b/o.jpg", "gs://b/o.jpg"),
        ("storage.googleapis.com/b", ""),
        ("storage.googleapis.com.example.org/b/o.jpg", ""),
        ("example.org/storage.googleapis.com/b/o.jpg", ""),
    ],
)  # fmt: skip
def test_addresses_of_objects_are_told_by_their_uri(url: str, uri: str) -> None:
    assert object_of_url(f"https://{url}") == object_of_url(f"HTTP://{url}") == uri


def test_a_row_with_an_address_is_rejected_with_the_uri_to_write(run: Run, tmp_path: Path) -> None:
    source = write_lines(
        tmp_path / "in/rows.jsonl", [row("?"), row("?", ["https:" + "//storage.googleapis.com/b/o.jpg"])]
    )
    (told,) = rejections(run(source, *LOOSE, "--splits", "train=1"))
    assert told["reason"] == "not_allowed" and told["detail"].endswith("this address names gs://b/o.jpg: write that")


def test_uris_mean_what_they_say(tmp_path: Path, proxy: Proxy, bucket: str) -> None:
    source = write_lines(tmp_path / "in/rows.jsonl", [row("?", [f"{bucket}/in/{number}.jpg"]) for number in range(5)])
    assert misnamed(source) == [] and proxy.seen == []


def test_nothing_is_looked_for_under_verify_none(tmp_path: Path) -> None:
    put(tmp_path / "in/train/1.jpg", jpeg())
    assert misnamed(table(tmp_path / "in/rows.csv", "1.jpg"), *ASK, "--verify=none") == []


def test_what_a_row_says_does_nothing_to_a_terminal(tmp_path: Path) -> None:
    put(tmp_path / "in/1.jpg", jpeg())
    (notice,) = misnamed(write_lines(tmp_path / "in/rows.jsonl", [row("?", ["C:\\\x1b[31m\\1.jpg"])]))
    assert "\x1b" not in notice.line and "\\x1b[31m" in notice.line


@pytest.mark.parametrize("column", ["image", "a.image"])
def test_names_in_parquet_are_thought_about_and_nested_ones_are_not_read(tmp_path: Path, column: str) -> None:
    put(tmp_path / "in/train/1.jpg", jpeg())
    rows = [{"image": "1.jpg", "a": {"image": "1.jpg"}, "label": "x"}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "in/rows.parquet")
    found = misnamed(str(tmp_path / "in/rows.parquet"), *ASK, "--image_column", column)
    assert [notice.example for notice in found] == ["1.jpg"] * (column == "image")
