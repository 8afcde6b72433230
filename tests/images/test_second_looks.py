"""Images that are not found by the name in a row, but by the same name in its other slash, Unicode or percent form."""

from __future__ import annotations

import json
import os
import unicodedata
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from urllib.parse import quote

import laws
import pytest
from cloud import Cloud
from fault_proxy import Proxy
from folders import assert_equal_folders, bmp, jpeg, put, read_folder, row, write_lines
from inspecting import inspector
from laws import counters, rejections, uris

from beam_jobs.commands.prepare import prepare
from transforms.core.records import Block, Example, Extent, ImageFacts, OpenBlock, Row
from transforms.images import second_looks
from transforms.images.inspection import Inspector
from transforms.images.second_looks import take_respelled
from transforms.images.sources import inspect_images, resolve_images
from transforms.storage.spellings import MOST_SPELLINGS, other_spellings

Run = Callable[..., laws.Folder]
ALL_TRAIN = ("--splits", "train=1")
CAFE = "Café au lait.jpg"  # composed


def nfd(text: str) -> str:
    return unicodedata.normalize("NFD", text)


def opened(base: Path | str, *written: str) -> OpenBlock:
    """A block of one example for each name, read from a file in `base`."""
    source = f"{base}/rows.jsonl"
    block = OpenBlock(Block((0, b"", 0), (Extent(source, "", 0, 0, 0),), "gemini"), "key")
    for number, name in enumerate(written):
        image = {"mimeType": "image/jpeg", "fileUri": name}
        block.examples.append(Example(Row(source, number, number, b""), number, [], {}, {}, [image], base=str(base)))
    return block


def looked_at(base: Path | str, *written: str, inspector_: Inspector | None = None) -> OpenBlock:
    return inspect_images(opened(base, *written), inspector_ or inspector(str(base)))


def sources(block: OpenBlock) -> list[str]:
    return [source for example in block.examples for source in example.sources]


@pytest.mark.parametrize(
    "written, there",
    [
        ("images\\cat\\1.jpg", "images/cat/1.jpg"),
        (".\\images\\1.jpg", "images/1.jpg"),
        ("images\\\\cat\\\\1.jpg", "images/cat/1.jpg"),  # escaped twice
        ("images/cat/1.jpg", "images\\cat\\1.jpg"),  # an archive of Windows, unpacked elsewhere
        (f"cats/{CAFE}", nfd(f"cats/{CAFE}")),
        (nfd(f"cats/{CAFE}"), f"cats/{CAFE}"),
        (f"Café/{CAFE}", f"{nfd('Café')}/{CAFE}"),  # a folder in one form, its file in the other
        (nfd("Ångström/Zoë.jpg"), "Ångström/Zoë.jpg"),
        ("my%20cat%281%29.jpg", "my cat(1).jpg"),
        ("my cat.jpg", "my%20cat.jpg"),  # as some downloads are called
        ("100%.jpg", "100%25.jpg"),
        (quote(CAFE), nfd(CAFE)),
        ("images%2Fcat%5C1.jpg", "images/cat/1.jpg"),
        (f"cats\\{quote(CAFE)}", nfd(f"cats/{CAFE}")),  # all at once
    ],
)
def test_the_file_of_the_same_name_in_another_spelling_is_taken(tmp_path: Path, written: str, there: str) -> None:
    path = put(tmp_path / there, jpeg())
    block = looked_at(tmp_path, written)
    assert sources(block) == [path]
    assert block.facts[path].type == "jpeg" and block.facts[path].reason == ""
    assert block.counters == {"images_renamed": 1}
    assert block.warnings.counts == {"images_renamed": (1, os.path.normpath(f"{tmp_path}/{written}"))}


@pytest.mark.parametrize(
    "written",
    [
        "..\\secret.jpg",
        "images\\..\\..\\secret.jpg",
        "%2e%2e/secret.jpg",
        "%2e%2e%2fsecret.jpg",
        "..%5csecret.jpg",
        "%2E%2E\\secret.jpg",
        "images/%2e%2e/..\\..\\secret.jpg",
        "{secret}",  # with its slashes as backslashes
        "escaping\\secret.jpg",  # a link to the folder above
        "%00.jpg",
        "https%3A%2F%2Fexample.com/a.jpg",
    ],
)
def test_no_spelling_leads_out_of_what_may_be_read(tmp_path: Path, written: str) -> None:
    secret = put(tmp_path / "secret.jpg", jpeg())
    base = tmp_path / "in"
    (base / "images").mkdir(parents=True)
    (base / "escaping").symlink_to(tmp_path)
    block = looked_at(base, written.replace("{secret}", secret.replace("/", "\\")))
    assert all(fact.reason for fact in block.facts.values() if not fact.respelled)
    assert not any(fact.size for fact in block.facts.values())


def test_of_two_files_none_is_taken_and_both_are_named(tmp_path: Path) -> None:
    both = [put(tmp_path / "a b/c.jpg", jpeg()), put(tmp_path / "a%20b/c.jpg", jpeg(seed=1))]
    block = looked_at(tmp_path, "a%20b\\c.jpg")
    (fact,) = block.facts.values()
    assert fact.reason == "image_not_found" and all(path in fact.detail for path in both)
    assert "several files" in fact.detail and block.counters == {}


def test_the_name_itself_is_taken_where_it_is_there(tmp_path: Path) -> None:
    exact = put(tmp_path / "a%20b.jpg", jpeg())
    put(tmp_path / "a b.jpg", jpeg(seed=1))
    block = looked_at(tmp_path, "a%20b.jpg")
    assert sources(block) == [exact] and block.counters == {}


def test_a_name_has_few_spellings() -> None:
    worst = "/".join(f"é%20\\{number}" for number in range(50))
    assert len(other_spellings(worst)) == MOST_SPELLINGS
    assert other_spellings("gs://bucket/images/1.jpg") == []
    assert other_spellings("1.jpg") == []


@pytest.mark.parametrize("missing, ended", [(2, 0), (3, 0), (4, 1)])
def test_a_process_looks_in_vain_only_so_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: int, ended: int
) -> None:
    monkeypatch.setattr(second_looks, "_allowance", second_looks._Allowance(3))
    there = [put(tmp_path / f"a/{number}.jpg", jpeg(seed=number)) for number in range(5)]
    assert sources(looked_at(tmp_path, *(f"a\\{number}.jpg" for number in range(5)))) == there  # these are not in vain

    block = looked_at(tmp_path, *(f"gone\\{number}.jpg" for number in range(missing)))
    assert [fact.unsought for fact in block.facts.values()] == [False] * (missing - ended) + [True] * ended
    assert ("1,000 others were in vain" in list(block.facts.values())[-1].detail) is bool(ended)
    assert block.warnings.counts == (
        {"second_looks_ended": (1, f"{tmp_path}/gone\\{missing - 1}.jpg")} if ended else {}
    )
    assert (sources(looked_at(tmp_path, "a\\0.jpg")) == there[:1]) is (missing < 3)


def test_a_block_that_is_worked_again_takes_what_its_facts_say(tmp_path: Path) -> None:
    path = put(tmp_path / "a/1.jpg", jpeg())
    first = looked_at(tmp_path, "a\\1.jpg", "a/1.jpg")
    put(tmp_path / "a\\1.jpg", jpeg(seed=1))  # the world goes on
    again = opened(tmp_path, "a\\1.jpg", "a/1.jpg")
    stored = json.loads(json.dumps([asdict(fact) for fact in first.facts.values()]))
    again.facts = {fact["uri"]: ImageFacts(**fact) for fact in stored}
    resolve_images(again, inspector(str(tmp_path)))
    take_respelled(again)
    assert sources(again) == sources(first) == [path, path]
    assert (again.counters, again.warnings) == (first.counters, first.warnings)


def test_a_job_uses_images_of_other_spellings_and_says_so(
    run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """One image has to be rewritten, so its block is read a second time."""
    put(tmp_path / "in/cats/1.bmp", bmp())
    put(tmp_path / "in/cats" / nfd(CAFE), jpeg(seed=1))
    put(tmp_path / "in/cats/two words.jpg", jpeg(seed=2))
    names = ["cats\\1.bmp", f"cats/{CAFE}", "cats/two%20words.jpg", "cats/two words.jpg", "cats\\gone.jpg"]
    source = put(
        tmp_path / "in/rows.csv", "".join(f"{line}\n" for line in ("image,label", *(f"{n},x" for n in names))).encode()
    )
    found = run(source, "--prompt", "What?", "--answer", "{label}", "--max_rejected_fraction", "1", *ALL_TRAIN)

    count = counters(found)
    told = {name: count[name] for name in ("images_renamed", "images_converted", "images_untouched", "images_rejected")}
    assert told == {"images_renamed": 3, "images_converted": 1, "images_untouched": 3, "images_rejected": 1}
    assert [r["reason"] for r in rejections(found)] == ["image_not_found"]
    cats = tmp_path / "in/cats"
    assert [uri for line in laws.lines(found) for uri in uris(line)][1:] == [
        f"{cats}/{nfd(CAFE)}", f"{cats}/two words.jpg", f"{cats}/two words.jpg",
    ]  # fmt: skip
    assert {r["source"]: r["renamed_from"] for r in found["images.parquet"] if r["fate"] != "rejected"} == {
        f"{cats}/1.bmp": [f"{tmp_path}/in/cats\\1.bmp"],
        f"{cats}/{nfd(CAFE)}": [f"{cats}/{CAFE}"],
        f"{cats}/two words.jpg": [f"{cats}/two%20words.jpg"],
    }
    warned = {one["code"]: (one["count"], one["example"]) for one in found["manifest.json"]["warnings"]}
    assert warned["images_renamed"] == (3, f"{cats}/{CAFE}")
    assert "! images_renamed: 3 references to images that are there under" in capfd.readouterr().out


def test_nothing_is_looked_at_under_verify_none(run: Run, tmp_path: Path) -> None:
    put(tmp_path / "in/a/1.jpg", jpeg())
    found = run(write_lines(tmp_path / "in/rows.jsonl", [row("?", ["a\\1.jpg"])]), "--verify=none", *ALL_TRAIN)
    assert uris(laws.lines(found)[0]) == [f"{tmp_path}/in/a\\1.jpg"] and counters(found)["images_renamed"] == 0


@pytest.mark.parametrize("changed", ["nothing", "the name itself", "the file"])
def test_a_night_asks_whether_the_name_is_still_not_there(tmp_path: Path, changed: str) -> None:
    put(tmp_path / "in/a/1.jpg", jpeg())
    source = write_lines(tmp_path / "in/rows.jsonl", [row("?", ["a\\1.jpg"])])

    def night(output: str, *more: str) -> None:
        argv = ["--input", source, "--output", str(tmp_path / output), "--keep_blocks", *ALL_TRAIN, *more]
        assert prepare([*argv, "--image_folder", str(tmp_path / "images")]) == 0

    night("one")
    if changed != "nothing":
        put(tmp_path / ("in/a\\1.jpg" if changed == "the name itself" else "in/a/1.jpg"), jpeg(80, seed=1))
    night("two", "--previous", str(tmp_path / "one"))
    night("whole")
    two, whole = (read_folder(tmp_path / name) for name in ("two", "whole"))
    for folder in (two, whole):
        for name in [n for n in folder if n.startswith("_tuneset/") or n == "manifest.json"]:
            del folder[name]
    assert_equal_folders(two, whole)
    reused = json.loads((tmp_path / "two/manifest.json").read_bytes())["run"]["night"]["blocks"]["reused"]
    assert reused == (changed == "nothing")


def test_only_what_is_not_found_costs_a_request_of_cloud_storage(cloud: Cloud, proxy: Proxy) -> None:
    for name in ("a b.jpg", "c/d.jpg", "e.jpg"):
        cloud.put(f"in/{name}", jpeg())
    base = f"{cloud.uri}/in"
    names = ["e.jpg", "c/d.jpg", f"{base}/a%20b.jpg", f"{base}/c\\d.jpg", f"{base}/gone.jpg", f"{base}/gone%20.jpg"]
    block = looked_at(base, *names, inspector_=inspector("gs://"))
    found = [f"{base}/{name}" for name in ("e.jpg", "c/d.jpg", "a b.jpg", "c/d.jpg", "gone.jpg", "gone%20.jpg")]
    assert sources(block) == found
    asked = sorted(request.name for request in proxy.seen)
    assert asked == sorted(
        f"in/{name}" for name in ("a b.jpg", "a%20b.jpg", "c/d.jpg", "c\\d.jpg", "e.jpg", "gone.jpg", "gone%20.jpg", "gone .jpg")
    )  # fmt: skip
