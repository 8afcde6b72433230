"""JSON arrays as rows: compact and indented, small and large, packed, damaged, and called something else."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from folders import put
from hypothesis import given, settings
from hypothesis import strategies as st
from laws import texts
from opening import tried

from transforms.inputs.json_array import as_lines
from transforms.storage.packings import Damaged

ASK = ("--prompt", "{id}", "--answer", "{label}", "--verify", "none")
ROWS = [{"id": n, "image": "i.jpg", "label": f'[{n}], {{"a\\": 1}}\n\\', "more": [{"x": [1, 2]}]} for n in range(200)]


def told(source: str, *flags: str) -> tuple[list[list[str]], list[str]]:
    blocks = tried(source, *ASK, *flags)
    rows = [texts({"contents": e.contents}) for opened in blocks for e in opened.examples]
    return rows, [rejection.reason for opened in blocks for rejection in opened.rejections]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("name", ["t.json", "t.jsonl", "rows", "t.json.gz"])
@pytest.mark.parametrize("size", ["1024", "262144"])
def test_an_array_is_read_as_its_items(tmp_path: Path, indent: int | None, name: str, size: str) -> None:
    data = json.dumps(ROWS, indent=indent).encode()
    path = put(tmp_path / name, gzip.compress(data) if name.endswith("gz") else data)
    assert told(path, "--block_bytes", size) == ([[str(row["id"]), row["label"]] for row in ROWS], [])


@pytest.mark.parametrize("size", ["1024", "262144"])
@pytest.mark.parametrize("end", ["", "\n", "\r\n\n"])
@pytest.mark.parametrize("name", ["t.json", "t.jsonl", "t.json.gz"])
def test_objects_over_several_lines_are_rows(tmp_path: Path, name: str, end: str, size: str) -> None:
    """As json.dump with an indent writes one, and jq many."""
    for rows in (ROWS[:1], ROWS):
        data = "\n".join(json.dumps(row, indent=2) for row in rows).encode() + end.encode()
        path = put(tmp_path / name, gzip.compress(data) if name.endswith("gz") else data)
        assert told(path, "--block_bytes", size) == ([[str(row["id"]), row["label"]] for row in rows], [])


@pytest.mark.parametrize("size", ["1024", "262144"])
def test_an_object_that_does_not_end_costs_itself_alone(tmp_path: Path, size: str) -> None:
    data = "\n".join(json.dumps(row, indent=2) for row in ROWS).encode()
    rows, reasons = told(put(tmp_path / "t.json", data[:-9]), "--block_bytes", size)
    assert (len(rows), set(reasons)) == (199, {"not_json"})
    broken = b"{\n" + b"".join(json.dumps(row).encode() + b"\n" for row in ROWS)
    rows, reasons = told(put(tmp_path / "lines.jsonl", broken), "--block_bytes", size)
    assert (len(rows), reasons) == (200, ["not_json"])


@pytest.mark.parametrize("size", ["1024", "262144"])
@pytest.mark.parametrize(
    "end, reasons",
    [(b"]", []), (b" ] \n", []), (b"", ["not_json"]), (b"] x", ["not_json"]), (b",1]", ["not_an_object"])],
)
def test_an_array_that_ends_otherwise_loses_nothing_in_silence(
    tmp_path: Path, size: str, end: bytes, reasons: list[str]
) -> None:
    data = json.dumps(ROWS).encode()[:-1] + end
    rows, rejected = told(put(tmp_path / "t.json", data), "--block_bytes", size)
    assert len(rows) == 200 and set(rejected) == set(reasons)


@settings(max_examples=300)
@given(
    st.lists(
        st.fixed_dictionaries({"a": st.text('"\\[]{},\n é', max_size=9), "b": st.lists(st.integers())}), max_size=5
    )
)
def test_items_are_lines_however_they_are_fed(rows: list[object]) -> None:
    for indent in (None, 1):
        data = json.dumps(rows, indent=indent, ensure_ascii=False).encode()
        for step in (1, 2, 7, 1000):
            pieces = [data[at : at + step] for at in range(0, len(data), step)]
            head = 0
            while head < len(pieces) and len(b"".join(pieces[:head])) < 8:  # a file's first bytes come together
                head += 1
            lines = b"".join(as_lines([b"".join(pieces[:head]), *pieces[head:]]))
            assert len(lines) == len(data)
            assert [json.loads(line) for line in lines.split(b"\n") if line.strip()] == rows


def test_an_endless_text_is_never_held() -> None:
    def chunks() -> list[bytes]:
        return [b'[{"a": "', *[b"\\" * 999] * 50]

    given = chunks()
    with pytest.raises(Damaged):
        for piece, chunk in zip(as_lines(given), [*given, b""]):
            assert len(piece) == len(chunk)
