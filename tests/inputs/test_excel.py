"""Excel workbooks as tables, written by openpyxl; what is damaged or hostile is one rejection or one line."""

from __future__ import annotations

import datetime
import io
import json
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import laws
import openpyxl
import pytest
from cloud import Cloud
from folders import jpeg, put
from laws import lines, uris

from beam_jobs.__main__ import main
from transforms.core.records import Extent
from transforms.inputs.formats.excel import lines_of
from transforms.storage.packings import Damaged

Run = Callable[..., laws.Folder]
ASK = ("--prompt", "{kind}?", "--answer", "{label}", "--splits", "train=1")


def book(*rows: Sequence[Any], read_later: Sequence[Any] = ()) -> bytes:
    """A workbook of a sheet of rows, and of a second one."""
    file = openpyxl.Workbook()
    for row in rows:
        file.active.append(list(row))
    file.create_sheet("other").append(list(read_later))
    file.save(target := io.BytesIO())
    return target.getvalue()


def rows_of(path: str) -> list[dict[str, Any] | None]:
    """The rows that a workbook becomes, None for a blank line."""
    extent = Extent(path, "", Path(path).stat().st_size, 0, 0, "xlsx")
    return [json.loads(line) if line.strip() else None for line in b"".join(lines_of(extent)).splitlines()]


def test_a_row_is_a_line_with_the_values_of_its_cells(tmp_path: Path) -> None:
    day = datetime.datetime(2024, 5, 6)
    path = put(
        tmp_path / "a.xlsx",
        book(
            (),
            ("image", "n", "", "when", "ok"),
            ("a.jpg", 3, "x", day, True),
            (None, " "),
            (" b.jpg ", 2.5, None, day.replace(hour=7)),
        ),
    )
    assert rows_of(path) == [
        None,
        None,
        {"image": "a.jpg", "n": 3, "when": "2024-05-06", "ok": True},
        None,
        {"image": "b.jpg", "n": 2.5, "when": "2024-05-06T07:00:00"},
    ]


def rows_for(images: Sequence[str]) -> bytes:
    return book(
        ("image", "kind", "label"), *((name, "animal", f"cat {n}") for n, name in enumerate(images)), read_later=("x",)
    )


def test_a_workbook_is_a_table(run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    paths = [put(tmp_path / f"in/{n}.jpg", jpeg(seed=n)) for n in range(2)]
    found = run(put(tmp_path / "in/rows.xlsx", rows_for(["0.jpg", "1.jpg"])), *ASK)
    assert [uri for line in lines(found) for uri in uris(line)] == paths
    assert [line["contents"][-1]["parts"][0]["text"] for line in lines(found)] == ["cat 0", "cat 1"]
    assert "a table (--input_format) in Excel; images in 'image' (--image_column)" in capfd.readouterr().out


def test_a_workbook_lies_in_a_bucket_and_in_a_folder(run: Run, cloud: Cloud) -> None:
    cloud.put("in/0.jpg", jpeg())
    cloud.put("in/rows.xlsx", rows_for(["0.jpg"]))
    found = run(f"{cloud.uri}/in/", *ASK)
    assert [uri for line in lines(found) for uri in uris(line)] == [f"{cloud.uri}/in/0.jpg"]


def with_part(data: bytes, name: str, text: bytes) -> bytes:
    """A workbook one of whose parts is another."""
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(target := io.BytesIO(), "w") as made:
        for part in source.namelist():
            made.writestr(part, text if part == name else source.read(part))
    return target.getvalue()


SHEET = "xl/worksheets/sheet1.xml"
HOSTILE = {
    "text": b"image,label\na.jpg,cat\n",
    "a zip of something else": with_part(b"PK\5\6" + b"\0" * 18, "", b""),
    "cut": rows_for(["0.jpg"])[:-200],
    "entities": with_part(rows_for(["0.jpg"]), SHEET, b'<!DOCTYPE x [<!ENTITY a "b">]><worksheet>&a;</worksheet>'),
    "no sheet": with_part(rows_for(["0.jpg"]), SHEET, b"<not closed"),
    "a column twice": book(("image", "image"), ("a.jpg", "b.jpg")),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_workbook_is_said(tmp_path: Path, name: str) -> None:
    with pytest.raises(Damaged) as caught:
        rows_of(put(tmp_path / "a.xlsx", HOSTILE[name]))
    assert caught.value.reason in ("not_rows", "missing_column")


def test_without_openpyxl_one_line_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    source = put(tmp_path / "rows.xlsx", rows_for(["0.jpg"]))
    assert main(["prepare", "--input", source, "--output", str(tmp_path / "out"), *ASK]) == 2
    assert "pip install 'tuneset[excel]'" in capfd.readouterr().err
