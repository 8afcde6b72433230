"""--image_root: an image that is not where its row names it is found by the longest end of its path that is there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import laws
import pytest
from cloud import Cloud
from folders import jpeg, put, row, write_lines
from inspecting import inspector
from laws import counters, uris

from beam_jobs.__main__ import main
from transforms.core.records import Block, Example, Extent, OpenBlock, Row
from transforms.images.inspection import Inspector
from transforms.images.sources import inspect_images
from transforms.storage.places import Places
from transforms.storage.spellings import MOST_TAIL, path_tails

Run = Callable[..., laws.Folder]


def look_in(root: Path, written: str) -> OpenBlock:
    """One image, named by a row of another folder."""
    base = f"{root.parent}/rows"
    looker = inspector(base, str(root))
    places = Places((base, str(root)), root=str(root))
    looker = Inspector(**{**vars(looker), "places": places})
    block = OpenBlock(Block((0, b"", 0), (Extent(f"{base}/r.jsonl", "", 0, 0, 0),), "gemini"), "key")
    image = {"mimeType": "image/jpeg", "fileUri": written}
    block.examples.append(Example(Row("r", 0, 0, b""), 0, [], {}, {}, [image], base=base))
    return inspect_images(block, looker)


@pytest.mark.parametrize(
    "written, there",
    [
        ("/data/upload/3/0.jpg", "3/0.jpg"),
        ("/data/upload/3/0.jpg", "0.jpg"),
        ("/data/upload/3/ä b.jpg", "3/ä b.jpg"),
        ("/data/upload/3/a%20b.jpg", "3/a b.jpg"),
        ("/data/local-files/?d=cats/my%20cat.jpg", "cats/my cat.jpg"),
        ("/data/local-files/?d=cats%5Cmy%20cat.jpg", "my cat.jpg"),
        ("http://localhost:8080/data/upload/3/0.jpg", "3/0.jpg"),
        ("s3://bucket/3/0.jpg", "3/0.jpg"),
        ("C:\\Users\\me\\pics\\cat\\1.jpg", "cat/1.jpg"),
        ("../images/1.jpg", "images/1.jpg"),
        ("images/1.jpg", "images/1.jpg"),
        ("1.jpg?token=abc", "1.jpg"),
    ],
)
def test_an_image_is_found_by_the_end_of_its_path(tmp_path: Path, written: str, there: str) -> None:
    path = put(tmp_path / "root" / there, jpeg())
    block = look_in(tmp_path / "root", written)
    assert block.examples[0].sources == [path] and block.facts[path].type == "jpeg"
    assert block.counters == {"images_in_root": 1} and not block.warnings.counts


def test_the_longest_end_wins_and_the_place_that_a_row_names_wins_over_all(tmp_path: Path) -> None:
    short, long = (put(tmp_path / "root" / name, jpeg(seed=n)) for n, name in enumerate(("1.jpg", "cat/1.jpg")))
    assert look_in(tmp_path / "root", "/data/cat/1.jpg").examples[0].sources == [long]
    assert look_in(tmp_path / "root", "/data/dog/1.jpg").examples[0].sources == [short]
    own = put(tmp_path / "rows/cat/1.jpg", jpeg(seed=3))
    block = look_in(tmp_path / "root", "cat/1.jpg")
    assert block.examples[0].sources == [own] and block.counters == {}


@pytest.mark.parametrize(
    "written", ["..%2fsecret.jpg", "/../secret.jpg", "?d=../secret.jpg", "out/secret.jpg", "data:image/jpeg;base64,a"]
)
def test_nothing_outside_the_root_is_read(tmp_path: Path, written: str) -> None:
    put(tmp_path / "secret.jpg", jpeg())
    (tmp_path / "root").mkdir()
    (tmp_path / "root/out").symlink_to(tmp_path)
    block = look_in(tmp_path / "root", written)
    assert all(fact.reason for fact in block.facts.values())
    assert not any(fact.size for fact in block.facts.values())


@pytest.mark.parametrize("parts, found", [(MOST_TAIL - 1, True), (MOST_TAIL, True), (MOST_TAIL + 1, False)])
def test_ends_are_so_many_parts_long(parts: int, found: bool) -> None:
    path = "/".join(map(str, range(parts)))
    assert (path in path_tails(f"/{path}")) is found


def test_the_root_serves_a_job_in_the_cloud(run: Run, cloud: Cloud, tmp_path: Path) -> None:
    names = ("root/3/0.jpg", "root/1.jpg")
    for seed, name in enumerate(names):
        cloud.put(name, jpeg(seed=seed))
    rows = [row("?", [f"/data/upload/3/{n}.jpg"], seed=n) for n in range(2)]
    source = write_lines(tmp_path / "rows.jsonl", rows)
    found = run(source, "--image_root", f"{cloud.uri}/root", "--splits", "train=1")
    assert [uri for line in laws.lines(found) for uri in uris(line)] == [f"{cloud.uri}/{name}" for name in names]
    assert counters(found)["images_in_root"] == 2


@pytest.mark.parametrize(
    "flags, said",
    [
        (("--image_root", "nowhere"), "nowhere is no folder"),
        (
            ("--image_root", "pics", "--verify", "none"),
            "--verify none looks at no image: --image_root needs another level",
        ),
        (("--image_root", "pics", "--allow_prefix", "other"), "lies outside --allow_prefix"),
    ],
)
def test_a_root_that_cannot_be_is_said_at_once(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    flags: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pics").mkdir()
    write_lines(tmp_path / "in/rows.jsonl", [row("?", ["1.jpg"])])
    assert main(["prepare", "--input", "in/rows.jsonl", "--output", "out", *flags]) == 2
    assert said in capfd.readouterr().err
