"""WebDataset's tar shards: members with one base name are a row, and its images are staged by their ranges."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import laws
import pytest
from cloud import Cloud
from folders import jpeg, png, put
from laws import lines, rejections, texts, uris

from transforms.core.records import Extent
from transforms.inputs.formats.shards.webdataset import lines_of
from transforms.storage.packings import Damaged

Run = Callable[..., laws.Folder]
ASK = ("--prompt", "What is it?", "--splits", "train=1")
Members = dict[str, bytes]


def tar(members: Members, links: dict[str, str] | None = None, layout: int = tarfile.PAX_FORMAT) -> bytes:
    with tarfile.open(fileobj=(target := io.BytesIO()), mode="w", format=layout) as made:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            made.addfile(info, io.BytesIO(data))
        for name, to in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, to
            made.addfile(info)
    return target.getvalue()


def samples(count: int = 3) -> Members:
    members: Members = {}
    for n in range(count):
        members[f"{n:04}.jpg"] = jpeg(seed=n)
        members[f"{n:04}.txt"] = f"A cat {n}.\n".encode()
        members[f"{n:04}.json"] = json.dumps({"caption": f"cat {n}", "url": "x"}).encode()
    return members


def rows_of(path: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in lines_of(Extent(path, "", Path(path).stat().st_size, 0, 0, "tar"))]


@pytest.mark.parametrize("layout", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_of_one_base_name_are_a_row(run: Run, tmp_path: Path, layout: int) -> None:
    source = put(tmp_path / "in/00000.tar", tar(samples(), layout=layout))
    found = run(source, *ASK)
    assert [texts(line) for line in lines(found)] == [["What is it?", f"A cat {n}."] for n in range(3)]
    assert [Path(uri).read_bytes() for line in lines(found) for uri in uris(line)] == [jpeg(seed=n) for n in range(3)]


def test_columns_are_called_by_endings(run: Run, tmp_path: Path) -> None:
    members = {"a/0.left.png": png(), "a/0.right.jpg": jpeg(), "a/0.cls": b"7", "a/0.json": b'{"who": {"name": "Tom"}}'}
    source = put(tmp_path / "0.tar", tar(members))
    found = run(source, "--prompt", "{json.who.name}?", "--answer", "{cls}", "--splits", "train=1")
    assert texts(lines(found)[0]) == ["Tom?", "7"] and len(uris(lines(found)[0])) == 2


def test_a_shard_lies_in_a_bucket(run: Run, cloud: Cloud) -> None:
    source = cloud.put("in/0.tar", tar(samples(2)))
    found = run(source, *ASK)
    assert [texts(line)[-1] for line in lines(found)] == ["A cat 0.", "A cat 1."]


def test_what_came_before_damage_is_used(run: Run, tmp_path: Path) -> None:
    whole = tar(samples(3))
    cut = whole.index(jpeg(seed=2)) + 100
    found = run(put(tmp_path / "0.tar", whole[:cut]), *ASK)
    assert [texts(line)[-1] for line in lines(found)] == ["A cat 0.", "A cat 1."]
    assert [rejection["reason"] for rejection in rejections(found)] == ["corrupt_packing"]


@pytest.mark.parametrize(
    "members, links",
    [
        ({"../0.jpg": jpeg()}, {}),
        ({"/0.jpg": jpeg()}, {}),
        ({"0.txt": b"x"}, {"0.jpg": "/etc/passwd"}),
        ({"0.jpg": jpeg(), "0.txt": b"\xff\xfe"}, {}),
        ({"0.jpg": jpeg(), "0.json": b"{"}, {}),
        ({"0.jpg": jpeg(), "0.txt": b"x" * ((1 << 20) + 1)}, {}),
    ],
)
def test_hostile_members_are_a_fault_of_their_row(tmp_path: Path, members: Members, links: dict[str, str]) -> None:
    (row,) = rows_of(put(tmp_path / "0.tar", tar(members, links)))
    assert row["fault"][0] == "bad_record"  # type: ignore[index]


def test_what_is_no_tar_is_said(tmp_path: Path) -> None:
    with pytest.raises(Damaged, match="the tar is damaged"):
        rows_of(put(tmp_path / "0.tar", b"no tar at all" * 100))
