"""The report of a dataset: its numbers, its page, which examples and pictures it shows, and where it is written."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cloud import Cloud
from folders import bmp, jpeg, png, put, read_folder, row, write_lines

from beam_jobs.__main__ import main
from beam_jobs.report.page import lines, tables, thumbnails, writing
from beam_jobs.report.page.histograms import Histogram, of_bytes
from beam_jobs.report.page.lines import shares
from beam_jobs.report.page.render import ribbons
from beam_jobs.report.page.texts import cut
from beam_jobs.report.page.thumbnails import Thumbnail
from transforms.examples.splits import rank

HOSTILE = '"><img onerror=alert(1) src=http://planted.example/x.png>'
SCRIPT = "<script src=http://planted.example/x.js>alert(1)</script>"


@pytest.fixture
def reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Prepare rows and their images, with a report -> (its numbers, its page)."""

    def prepare(rows: list[dict[str, Any]], *argv: str, more: str = "") -> tuple[dict[str, Any], str]:
        monkeypatch.chdir(tmp_path)
        source = Path(write_lines(tmp_path / "in/rows.jsonl", rows))
        source.write_text(source.read_text() + more)
        page = tmp_path / "report.html"
        command = ["prepare", "--input", str(source), "--output", str(tmp_path / "out"), "--report", str(page)]
        assert main([*command, "--overwrite", *argv]) == 0
        return json.loads(page.with_suffix(".json").read_bytes()), page.read_text(encoding="utf-8")

    return prepare


class Elements(HTMLParser):
    """The elements of a page with their attributes, and its texts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def assert_asks_for_nothing(page: str) -> None:
    """No script, nothing from elsewhere, no link that leads out; and a policy that forbids them."""
    elements = Elements(page).found
    assert {tag for tag, _ in elements}.isdisjoint({"script", "a", "link", "iframe", "object", "embed", "form", "base"})
    for tag, attributes in elements:
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
        assert str(attributes.get("src", "data:image/")).startswith("data:image/")
        assert "href" not in attributes and "url(" not in str(attributes.get("style", ""))
    policies = [
        a["content"] for tag, a in elements if tag == "meta" and a.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policies == [
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    ]
    assert "@import" not in page and len(page.encode()) <= 2_000_000


# The whole


def test_a_report_tells_what_went_in_and_what_came_out(tmp_path: Path, reported: Any) -> None:
    images = [put(tmp_path / "in/a.jpg", jpeg()), put(tmp_path / "in/b.bmp", bmp())]
    rows = [row(f"What is {i}?", images, "cat" if i % 3 else "dog") for i in range(60)]
    numbers, page = reported([*rows, row("Where?", ["gone.png"])], more="no json\n")
    dataset = numbers["dataset"]
    assert numbers["tuneset"] == "report/1"
    assert dataset["totals"] == {"read": 62, "written": 60, "rejected": 2, "references": 121, "rewritten": 60}
    flow = [[(part["kind"], part["count"]) for part in level] for level in dataset["examples_flow"]]
    manifest = read_folder(tmp_path / "out")["manifest.json"]
    assert flow == [[("read", 62)], [("used", 60), ("rejected", 2)], list(manifest["splits"].items())]
    flow = [[(part["kind"], part["count"]) for part in level] for level in dataset["images_flow"]]
    assert flow == [[("read", 121)], [("untouched", 60), ("converted", 60), ("rejected", 1)]]
    assert {one["reason"]: (one["rows"], bool(one["example"])) for one in dataset["reasons"]} == {
        "image_not_found": (1, True), "not_json": (1, True),
    }  # fmt: skip
    assert dataset["answers"] == {
        "lines": 60, "whole": True, "answers": [{"answer": "cat", "lines": 40}, {"answer": "dog", "lines": 20}],
    }  # fmt: skip
    assert [one["name"].split(" ")[0] for one in dataset["histograms"]] == [
        "bytes", "megapixels", "width", "estimated",
    ]  # fmt: skip
    assert [sum(bar["count"] for bar in one["bars"]) for one in dataset["histograms"]] == [120, 120, 120, 60]
    assert [(one["fate"], one["type"]) for one in dataset["rewritten_examples"]] == [("converted", "bmp")]
    assert numbers["run"]["runner"] == "FnApiRunner" and numbers["run"]["seconds"] > 0

    assert_asks_for_nothing(page)
    text = Elements(page).text
    for told in ("62rows read", "2rows rejected", "image_not_found", "not_json", "converted", "What is "):
        assert told in text, told
    pictures = [a for tag, a in Elements(page).found if tag == "img"]
    assert len(pictures) == 48 + 2 and all(int(str(a["width"])) <= 224 for a in pictures)


def test_everything_from_data_is_escaped(tmp_path: Path, reported: Any) -> None:
    """Prompts, answers, names of files and folders, and what is told of rejected rows."""
    picture = put(tmp_path / f"in/{HOSTILE.replace('/', '_')}.png", png())
    bad = put(tmp_path / "in/<b>bad.png", b"<b>no image</b>")
    rows = [row(f"{SCRIPT} {i}", [picture], HOSTILE) for i in range(8)] + [row(SCRIPT, [bad])]
    _, page = reported(rows, "--splits", "train=1")  # no leak is shown beside the examples
    assert_asks_for_nothing(page)
    assert "<script" not in page and "<b>no" not in page and "<b>bad" not in page
    text = Elements(page).text
    assert f"{SCRIPT} 0" in text and HOSTILE in text
    assert [a["alt"] for tag, a in Elements(page).found if tag == "img"] == [picture] * 8


def test_no_dataset_makes_a_page_too_large(tmp_path: Path, reported: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts that are five times as long once they are escaped, in the most examples and answers that a page shows."""
    folder = tmp_path / "in" / ("&" * 200)
    images = [put(folder / f"{'<' * 100}{i}.png", png(300, 300, i)) for i in range(48)]
    texts = [{"text": "<" * 2000}] * 40
    rows = [row(f"{i}?", [images[i % 48]], f"{i % 30:02}{'&' * 500}") for i in range(90)]
    for one in rows:
        one["contents"][0]["parts"] += texts
    numbers, page = reported(rows)
    assert_asks_for_nothing(page)
    assert len(numbers["dataset"]["examples"]) == 48 and page.count("data:image") >= 48
    target = tmp_path / "some.html"
    for most, pictures in ((len(page.encode()), True), (len(page.encode()) - 1, False)):
        monkeypatch.setattr(writing, "MOST_PAGE", most)
        shown = {"a.png": Thumbnail("data:image/png;base64,")}
        writing.put_report(str(target), numbers, shown, lambda _, some: page if some else "")
        assert bool(target.read_bytes()) is pictures
        assert json.loads(target.with_suffix(".json").read_bytes()) == numbers


def test_the_same_dataset_gives_the_same_page_but_for_its_run(tmp_path: Path, reported: Any) -> None:
    images = [put(tmp_path / "in/a.jpg", jpeg()), put(tmp_path / "in/b.bmp", bmp())]
    rows = [row(f"What is {i}?", images, "yes") for i in range(200)]
    first, first_page = reported(rows, "--block_bytes", "4096")
    second, second_page = reported(rows, "--block_bytes", "65536")
    assert first["dataset"] == second["dataset"] and first["run"]["id"] != second["run"]["id"]
    before = [page.partition("<!-- run -->") for page in (first_page, second_page)]
    assert before[0][1] and before[0][0] == before[1][0]


def test_pictures_can_be_left_out(tmp_path: Path, reported: Any) -> None:
    numbers, page = reported([row("What?", [put(tmp_path / "in/a.bmp", bmp())])], "--report_pictures", "no")
    assert "data:image" not in page and len(numbers["dataset"]["examples"]) == 1
    assert Elements(page).text.count("no picture") == 3  # of the example, and before and after


def test_a_dataset_that_nobody_looked_at_has_a_report(tmp_path: Path, reported: Any) -> None:
    """Nor may its rows have the report read what no rule allows."""
    secret = put(tmp_path / "secret.png", png())
    numbers, page = reported([row("What?", [secret]), row("Text alone?")], "--verify", "none")
    assert "data:image" not in page and "not_allowed" in Elements(page).text
    assert [one["name"].split(" ")[0] for one in numbers["dataset"]["histograms"]] == ["estimated"]


def test_a_report_lies_in_the_output_unless_something_else_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(writing, "default_page", lambda output: f"{output}/report.html")  # as outside these tests
    source = write_lines(tmp_path / "in/rows.jsonl", [row("What?", [put(tmp_path / "in/a.png", png())])])
    out = tmp_path / "out"
    command = ["prepare", "--input", source, "--output", str(out)]
    assert main(command) == 0
    assert capsys.readouterr().out.endswith(f"To look at it: {out}/report.html\n")
    assert (out / "report.html").is_file() and (out / "report.json").is_file()
    assert main([*command, "--overwrite", "--report", "none"]) == 0
    assert "To look at it" not in capsys.readouterr().out
    assert not list(out.glob("report.*"))  # the old one told of another run's dataset
    for wrong in ("page.htm", "s3://bucket/page.html"):
        assert main([*command, "--report", wrong]) == 2
        assert "ends in .html" in capsys.readouterr().err


def test_a_report_that_cannot_be_written_leaves_the_dataset_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_lines(tmp_path / "rows.jsonl", [row("What?")])
    (tmp_path / "file").write_text("")
    command = ["prepare", "--input", source, "--output", str(tmp_path / "out")]
    assert main([*command, "--report", str(tmp_path / "file/report.html")]) == 0
    assert "The dataset is whole, but its report could not be made" in capsys.readouterr().out


def test_a_report_in_a_bucket_opens_as_a_page(tmp_path: Path, cloud: Cloud) -> None:
    cloud.put("in/a.png", png())
    cloud.put("in/rows.jsonl", (json.dumps(row("What?", [f"{cloud.uri}/in/a.png"])) + "\n").encode())
    command = ["prepare", "--input", f"{cloud.uri}/in/rows.jsonl", "--output", f"{cloud.uri}/out"]
    assert main([*command, "--report", f"{cloud.uri}/page.html"]) == 0
    page = cloud.bucket.get_blob("page.html")
    assert page.content_type == "text/html; charset=utf-8" and b"data:image/jpeg" in page.download_as_bytes()
    report = cloud.json("page.json")
    assert report["tuneset"] == "report/1"
    # Rows and image are asked for, blocks and files written; a claim is looked at, and more.
    requests = report["run"]["requests"]
    assert 10 <= requests <= 200 and f"{requests} to storage and web servers" in page.download_as_bytes().decode()


# Which examples


def test_examples_are_those_of_the_smallest_ranks(tmp_path: Path, reported: Any) -> None:
    numbers, _ = reported([row(f"What is {i}?") for i in range(300)], "--splits", "train=0.8,validation=0.1,test=0.1")
    rows, manifest = read_folder(tmp_path / "out"), read_folder(tmp_path / "out")["manifest.json"]
    expected = []
    for split, number in shares(manifest["splits"]).items():
        ids = sorted(
            (one["id"] for one in rows["examples.parquet"] if one["split"] == split), key=lambda id: rank(int(id, 16))
        )
        expected += ids[:number]
    assert [one["id"] for one in numbers["dataset"]["examples"]] == expected and len(expected) == 48


@pytest.mark.parametrize(
    ("splits", "expected"),
    [
        ({"train": 48}, {"train": 48}),
        ({"train": 47, "test": 1}, {"train": 47, "test": 1}),
        ({"train": 49, "test": 0}, {"train": 48}),
        ({"train": 10**9, "validation": 5000, "test": 1}, {"train": 46, "validation": 1, "test": 1}),
    ],
)
def test_shares_of_the_splits(splits: dict[str, int], expected: dict[str, int]) -> None:
    assert shares(splits) == expected


def test_a_line_too_long_to_be_shown_is_told(tmp_path: Path, reported: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(json.dumps(row("a" * 500), separators=(",", ":")))
    monkeypatch.setattr(lines, "_LONGEST_LINE", size + 1)  # with its line end
    numbers, page = reported([row("a" * 500), row("b" * 501)])
    assert [("turns" in one) for one in sorted(numbers["dataset"]["examples"], key=lambda one: one["line"])] == [
        True,
        False,
    ]
    assert Elements(page).text.count("too long to be shown") == 1


def test_more_answers_than_a_page_holds_are_left_out(tmp_path: Path, reported: Any) -> None:
    most = lines._ANSWERS

    def told(distinct: int, lines: int) -> int:
        rows = [row(f"{i}?", answer=str(i % distinct)) for i in range(lines)]
        return len(reported(rows)[0]["dataset"]["answers"]["answers"])

    assert (told(most, 2 * most), told(most, 2 * most - 1), told(most + 1, 2 * most + 2)) == (most, 0, 0)


def test_reading_a_table_ends(tmp_path: Path, reported: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "_CHUNK", 10)
    monkeypatch.setattr(tables, "MOST_ROWS", 30)
    assert reported([row(f"{i}?") for i in range(30)])[0]["dataset"]["whole"]
    numbers, _ = reported([row(f"{i}?") for i in range(31)])
    assert (
        not numbers["dataset"]["whole"]
        and sum(bar["count"] for bar in numbers["dataset"]["histograms"][0]["bars"]) == 30
    )


# Pictures


@pytest.mark.parametrize(("most", "bound", "pictures"), [("MOST_READS", 2, 2), ("MOST_BYTES", "size", 1)])
def test_reads_of_pictures_are_bounded(
    most: str, bound: Any, pictures: int, tmp_path: Path, reported: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = png()
    monkeypatch.setattr(thumbnails, most, 2 * len(data) - 1 if bound == "size" else bound)
    rows = [row(f"{i}?", [put(tmp_path / f"in/{i}.png", data)]) for i in range(4)]
    _, page = reported(rows, "--findings", "none")
    assert page.count("data:image/jpeg") == pictures
    assert Elements(page).text.count("not shown: the report has read enough") == 4 - pictures


def test_images_that_will_be_uploaded_are_found_where_they_are_now(tmp_path: Path, reported: Any) -> None:
    rows = [row("What?", [put(tmp_path / "in/a.png", png())]), row("And?", [put(tmp_path / "in/b.bmp", bmp())])]
    _, page = reported(rows, "--uri_prefix", "gs://bucket/data")
    assert page.count("data:image/jpeg") == 2 + 2 and "gs://bucket/data/images/" in page


# Texts


@pytest.mark.parametrize(
    ("text", "most", "expected"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "abc ... (4 characters)"),
        ("é" * 3, 6, "ééé"),
        ("é" * 3, 5, "éé ... (3 characters)"),
        ("<b>", 9, "<b>"),
        ("<b>", 8, "<b ... (3 characters)"),
        ("<" * 1000, 8, "<< ... (1,000 characters)"),
        ("", 0, ""),
    ],
)
def test_a_text_is_cut_by_what_it_takes_on_a_page(text: str, most: int, expected: str) -> None:
    assert cut(text, most) == expected


# Drawings


def test_a_value_on_an_edge_belongs_to_the_bar_that_ends_there() -> None:
    histogram = Histogram("x", (10, 20, 30), ("10", "20", "30"), "20")
    histogram.add(np.array([10, 11, 20, 21, 31]), np.array([1, 2, 3, 4, 5]))
    assert histogram.as_json()["bars"] == [
        {"label": "up to 10", "count": 1, "over_limit": False},
        {"label": "up to 20", "count": 5, "over_limit": False},
        {"label": "up to 30", "count": 4, "over_limit": True},
        {"label": "over 30", "count": 5, "over_limit": True},
    ]
    assert Histogram("x", (10,), ("10",)).as_json()["bars"] == []


@pytest.mark.parametrize("limit", [7_000_000, 7_000_001, 123])
def test_a_limit_is_an_edge_of_its_own(limit: int) -> None:
    histogram = of_bytes(limit)
    histogram.add(np.array([limit, limit + 1]))
    assert [bar["over_limit"] for bar in histogram.as_json()["bars"]] == [False, True]  # type: ignore[index]


def test_what_is_rejected_flows_nowhere() -> None:
    upper = [{"kind": "used", "count": 3}, {"kind": "rejected", "count": 1}]
    lower = [{"kind": "train", "count": 2}, {"kind": "test", "count": 1}]
    assert ribbons(upper, lower) == [
        ("train", "0.0,0 500.0,0 666.7,10 0.0,10"),
        ("test", "500.0,0 750.0,0 1000.0,10 666.7,10"),
    ]
    assert re.match("0.0,0 1000.0,0", ribbons([{"kind": "read", "count": 5}], [{"kind": "used", "count": 5}])[0][1])
