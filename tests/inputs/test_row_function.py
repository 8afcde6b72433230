"""--transform: what a person's function makes of rows, what it costs if it fails, and that it travels and is replayed."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import laws
import pytest
from folders import jpeg, put, write_lines
from laws import counters, lines, rejections
from opening import tried

from beam_jobs.commands.prepare import prepare
from beam_jobs.commands.preview import Job
from beam_jobs.options import OptionError
from beam_jobs.row_functions import row_function_of
from beam_jobs.settings import parse
from transforms.core import jsonl
from transforms.core.reasons import RowError
from transforms.core.records import Block, OpenBlock, Record, Row
from transforms.dataset.claim import Claim
from transforms.examples.prompt_templates import parse_template
from transforms.examples.recipe import Recipe
from transforms.inputs.row_function import MOST_ROWS, RowFunction
from transforms.inputs.rows import build_examples

ROOT = Path(__file__).resolve().parents[2]
TABLE = Recipe(parse_template("Which?"), parse_template("{label}"), None, ("image",))


def function_of(body: str, name: str = "clean") -> RowFunction:
    return RowFunction(name, "rows.py", f"def clean(row):\n    {body}\n".encode())


def built(body: str, *rows: dict[str, Any], recipe: Recipe = TABLE) -> OpenBlock:
    given: list[Row] = [Record("/in/t.csv", 9 * n, n, b"", row, "table") for n, row in enumerate(rows, 1)]
    opened = OpenBlock(Block((0, b"", 0), (), "table"), "", rows=given)
    return build_examples(opened, b"", None, 1 << 64, recipe, function=function_of(body))


def labels(opened: OpenBlock) -> list[str]:
    return [example.contents[1]["parts"][0]["text"] for example in opened.examples]


def row(label: str = "cat") -> dict[str, Any]:
    return {"image": f"{label}.jpg", "label": label}


def test_a_row_becomes_another_several_or_none_and_each_is_counted() -> None:
    assert labels(built("row['label'] = row['label'].upper(); return row", row())) == ["CAT"]
    assert labels(built("return [row, {**row, 'label': 'dog'}]", row())) == ["cat", "dog"]
    assert labels(built("yield row; yield {**row, 'label': 'dog'}", row())) == ["cat", "dog"]
    opened = built(
        "return None if row['label'] == 'cat' else [row] * 3 if row['label'] == 'dog' else []",
        row(),
        row("dog"),
        row("ox"),
    )
    assert labels(opened) == ["dog"] * 3
    assert (opened.counters["examples_dropped"], opened.counters["examples_added"]) == (2, 2)


def test_what_fails_costs_its_row_alone_and_says_why() -> None:
    cases = {
        "return row['missing']": "clean: KeyError: 'missing'",
        "raise SystemExit('enough')": "clean: SystemExit: enough",
        "return 7": "clean returned a int; expected a dict, a list of dicts, or None",
        "return [row, 'x']": "clean returned a list that holds a str; expected a dict, a list of dicts, or None",
        "return {'image': {1, 2}}": "clean returned what is no JSON: Type is not JSON serializable: set",
        "return {1: 2}": "clean returned what is no JSON: Dict key must be str",
        f"return [row] * {MOST_ROWS + 1}": f"clean returned over {MOST_ROWS:,} rows of one",
        f"yield from [row] * {MOST_ROWS + 1}": f"clean returned over {MOST_ROWS:,} rows of one",
        "return clean(row)": "clean: RecursionError: maximum recursion depth exceeded",
    }
    for body, detail in cases.items():
        opened = built(f"if row['label'] == 'dog': return row\n    {body}" if "yield" not in body else body, row())
        assert [(r.reason, r.detail[: len(detail)]) for r in opened.rejections] == [("transform_failed", detail)], body
        assert not opened.examples
    opened = built("return {**row, 'image': 1 / (row['label'] != 'cat') and row['image']}", row(), row("dog"))
    assert labels(opened) == ["dog"] and [r.row.offset for r in opened.rejections] == [9]
    opened = built("row['label'] = 'changed'; raise ValueError", row())
    assert isinstance(opened.rejections[0].row, Record) and opened.rejections[0].row.columns == row()


def test_as_many_rows_of_one_as_may_be() -> None:
    assert len(function_of(f"return [row] * {MOST_ROWS}").made_of({})) == MOST_ROWS
    with pytest.raises(RowError, match="over 10,000"):
        function_of(f"return [row] * {MOST_ROWS + 1}").made_of({})


def test_rows_share_nothing_and_equal_ones_have_ids_of_their_own_in_one_split() -> None:
    opened = built("return [row] * 3", row(), row())
    assert len({example.id for example in opened.examples[:3]}) == 3
    assert [example.id for example in opened.examples[3:]] == [example.id for example in opened.examples[:3]]
    assert len({example.id >> 32 for example in opened.examples}) == 1  # what decides the split
    first, *others = function_of("return [row] * 2").made_of({"a": []})
    first["a"].append(1)
    assert others == [{"a": []}]


def test_lines_of_json_are_given_whole_and_may_become_any_format() -> None:
    body = "return {'contents': [{'role': 'user', 'parts': [{'text': row['q']}]}, {'role': 'model', 'parts': [{'text': row['a']}]}]}"
    opened = OpenBlock(
        Block((0, b"", 0), (), "gemini"),
        "",
        rows=[Row("/in/r.jsonl", 0, 1, b'{"q": "1", "a": "2"}'), Row("/", 1, 2, b"{")],
    )
    build_examples(opened, b"", None, 1 << 64, function=function_of(body))
    assert [example.contents[1]["parts"] for example in opened.examples] == [[{"text": "2"}]]
    assert [r.reason for r in opened.rejections] == ["not_json"]


def test_a_function_travels_as_the_text_of_its_module() -> None:
    function = RowFunction(
        "Clean", "/gone/rows.py", b"from dataclasses import dataclass\n\n@dataclass\nclass Clean:\n    row: dict\n"
    )
    assert pickle.loads(pickle.dumps(function)) == function
    with pytest.raises(RowError, match="a Clean; expected a dict"):
        pickle.loads(pickle.dumps(function)).made_of({})


def test_a_wrong_function_is_said_before_anything_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    put("rows.py", b"def clean(row):\n    return row\n")
    put("broken.py", b"import nothing_of_this_name\n")
    put("pkg/rows.py", b"def clean(row):\n    return row\n")
    assert row_function_of("rows:clean") == RowFunction("clean", "rows.py", Path("rows.py").read_bytes())
    assert row_function_of("pkg.rows:clean").module == "pkg/rows.py"
    assert row_function_of("json.tool:main").module.endswith("json/tool.py")
    cases = {
        "rows": "expected MODULE:FUNCTION",
        "rows:": "expected MODULE:FUNCTION",
        "a-b:clean": "expected MODULE:FUNCTION",
        "rows:wash": "has no function 'wash'; it has clean",
        "gone:clean": "neither gone.py here nor an installed module",
        "pkg/gone.py:clean": "pkg/gone.py: No such file",
        "broken:clean": "ModuleNotFoundError: No module named 'nothing_of_this_name'; it travels alone",
    }
    for word, said in cases.items():
        with pytest.raises(OptionError, match=said):
            parse(["--input", "a.jsonl", "--output", "out", "--transform", word])


def test_every_byte_of_the_module_is_part_of_a_blocks_key(tmp_path: Path) -> None:
    def key() -> str:
        settings = parse(
            ["--input", "a.jsonl", "--output", str(tmp_path / "out"), "--transform", f"{tmp_path}/rows.py:clean"]
        )
        return Job(settings, Claim("", 0, False), False).keys(Block((0, b"", 0), (), "gemini"))

    put(str(tmp_path / "rows.py"), b"def clean(row):\n    return row\n")
    first = key()
    assert key() == first
    put(str(tmp_path / "rows.py"), b"def clean(row):\n    return row\n#\n")
    assert key() != first


def test_columns_are_those_that_the_function_makes(tmp_path: Path) -> None:
    put(
        str(tmp_path / "rows.py"),
        b"def clean(row):\n    return {'image': row['id'] + '.jpg', 'animal': row['kind'].lower()}\n",
    )
    put(str(tmp_path / "in/7.jpg"), jpeg())
    flags = ("--transform", f"{tmp_path}/rows.py:clean", "--prompt", "Which?", "--answer", "{animal}")
    for name, data in {"t.csv": b"id,kind,more\n7,CAT,x\n", "t.jsonl": b'{"id": "7", "kind": "CAT"}\n'}.items():
        put(str(tmp_path / f"in/{name}"), data)
        (opened,) = tried(str(tmp_path / f"in/{name}"), *flags)
        assert labels(opened) == ["cat"] and not opened.rejections, name
    with pytest.raises(OptionError, match="there is no column 'beast'; the columns are 'image', 'animal'"):
        tried(str(tmp_path / "in/t.csv"), *flags[:-1], "{beast}")
    put(str(tmp_path / "rows.py"), b"def clean(row):\n    return {**row, 'answer': row['sidecar']}\n")
    put(str(tmp_path / "pictures/cat.jpg"), jpeg())
    put(str(tmp_path / "pictures/cat.txt"), b"a cat")
    (opened,) = tried(str(tmp_path / "pictures"), *flags[:-1], "{answer}")
    assert labels(opened) == ["a cat"]


def test_the_worked_example_is_sealed_and_its_rejections_are_replayed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def photo(number: int, *votes: str) -> dict[str, Any]:
        put(f"in/{number}.jpg", jpeg(seed=number))
        return {"file": f"{number}.jpg", "part": "door", "votes": votes}

    cars = [
        {"car": "a", "photos": [photo(1, "dent"), photo(2, "ok", "ok", "dent"), photo(3, "ok", "dent")]},
        {"car": "b", "photos": []},
        {"car": "c", "photos": [photo(4)]},
        {"car": "d", "photos": [photo(5, "ok"), {"file": "gone.jpg", "part": "roof", "votes": ["ok"]}]},
    ]
    write_lines("in/reviews.jsonl", cars)
    flags = ["--transform", f"{ROOT}/examples/row_functions/reviews.py:photos_of", "--prompt", "Is the {part} damaged?",
             "--answer", "{verdict}", "--splits", "train=1"]  # fmt: skip
    assert prepare(["--input", "in/reviews.jsonl", "--output", "out", *flags]) == 0
    found = laws.sealed("out")
    assert [laws.texts(line) for line in lines(found)] == [
        ["Is the door damaged?", told] for told in ("dent", "ok", "ok")
    ]
    assert {name: counters(found)[name] for name in ("examples_read", "examples_dropped", "examples_added")} == {
        "examples_read": 4, "examples_dropped": 1, "examples_added": 2
    }  # fmt: skip
    told = [(one["reason"], one["row"], one.get("transformed")) for one in rejections(found)]
    assert told == [
        ("transform_failed", json.loads(jsonl.dumps(cars[2])), None),
        ("image_not_found", {"image": "gone.jpg", "part": "roof", "verdict": "ok", "car": "d"}, True),
    ]
    put("in/gone.jpg", jpeg(seed=9))
    more = ["--image_column", "image", "--allow_prefix", str(tmp_path)]  # as the screen says
    assert prepare(["--input", "out/rejected.jsonl", "--output", "again", *flags, *more]) == 0
    again = laws.sealed("again")
    assert [laws.texts(line) for line in lines(again)] == [["Is the roof damaged?", "ok"]]
    assert [one["reason"] for one in rejections(again)] == ["transform_failed"]
