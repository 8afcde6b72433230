"""Whole streams in rounds: what arrives is sealed in its window, once; merged, the windows are the batch job's dataset."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

import laws
import pytest
from cloud import Cloud
from folders import bmp, jpeg, png, put, read_folder, row, write_lines
from streamed import PROMPT, all_lines, stream, taken, windows_in

from beam_jobs.__main__ import main
from beam_jobs.nights import choose_night
from beam_jobs.report.page import writing
from beam_jobs.settings import parse
from beam_jobs.stream import rounds
from transforms.arrivals.windows import start_of_name
from transforms.images import sources


def test_windows_of_a_folder_merged_are_what_prepare_makes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    for number in range(12):
        put(raw / f"cat/{number}.jpg", jpeg(seed=number))
    put(raw / "dog/a.bmp", bmp(seed=50))
    put(raw / "dog/broken.jpg", b"\xff\xd8\xff none")
    put(raw / "dog/old.png", png(seed=51))
    put(raw / "notes.pdf", b"no dataset")
    assert stream(raw, out, PROMPT) == 0, capsys.readouterr().err
    assert "! left_out_ending: 1 file" in capsys.readouterr().out
    (raw / "notes.pdf").unlink()
    first = windows_in(out)
    arrived = sorted(one["uri"] for folder in first.values() for one in taken(folder))
    assert arrived == sorted(map(str, (path for path in raw.rglob("*") if path.is_file())))
    for name, folder in first.items():
        for one in taken(folder):
            assert start_of_name(name) == one["time"] // 1_000_000 == os.stat(one["uri"]).st_ctime_ns // 1_000_000_000

    # The same command goes on: what is new, and what was overwritten, makes windows of its own. Nothing is taken twice.
    time.sleep(1.1)
    put(raw / "dog/b.bmp", bmp(seed=52))
    put(raw / "dog/old.png", bmp(seed=53))
    put(raw / "cat/again.jpg", jpeg(seed=0))  # which the other window holds, too
    put(raw / "dog/again.jpg", jpeg(seed=1))
    assert stream(raw, out, PROMPT) == 0
    second = windows_in(out)
    assert {name: second[name] for name in first} == first
    later = Counter(one["uri"] for name in second.keys() - first.keys() for one in taken(second[name]))
    assert later == {str(raw / name): 1 for name in ("dog/b.bmp", "dog/old.png", "cat/again.jpg", "dog/again.jpg")}
    assert sorted(path.name for path in out.iterdir()) == ["images", "stream.json", "windows"]

    assert main(["merge", str(out), "--output", str(tmp_path / "merged")]) == 0
    assert main(["prepare", "--input", str(raw), "--output", str(tmp_path / "batch"), PROMPT]) == 0
    merged, batch = laws.sealed(tmp_path / "merged"), laws.sealed(tmp_path / "batch")
    assert Counter(all_lines(merged)) == Counter(all_lines(batch))
    assert laws.counters(merged) == laws.counters(batch)
    assert merged["manifest.json"]["reasons"] == batch["manifest.json"]["reasons"]
    findings = batch["manifest.json"]["findings"]
    assert findings["counts"]["duplicate_example"] == findings["counts"]["conflicting_answers"] == 1
    assert merged["manifest.json"]["findings"] | {"leaks": 0} == findings | {"leaks": 0}
    assert (merged["manifest.json"]["windows"], merged["manifest.json"]["doubles"]) == (sorted(second), 1)

    # Merging again does nothing, and every version can be had.
    capsys.readouterr()
    assert main(["merge", str(out), "--output", str(tmp_path / "merged")]) == 0
    assert "nothing was done" in capsys.readouterr().out
    assert main(["merge", str(out), "--output", str(tmp_path / "every"), "--versions=all"]) == 0
    assert laws.counters(read_folder(tmp_path / "every"))["examples_read"] == 19

    # Findings are told of the splits that a merge chooses, and of no more than is asked for.
    assert main(["merge", str(out), "--output", str(tmp_path / "regrouped"), "--split_by=image"]) == 0
    told = laws.sealed(tmp_path / "regrouped")["manifest.json"]["findings"]
    assert told["counts"]["duplicate_example"] == 1
    assert main(["merge", str(out), "--output", str(tmp_path / "rows"), "--findings=rows"]) == 0
    told = laws.sealed(tmp_path / "rows")["manifest.json"]["findings"]
    assert told["level"] == "rows" and "duplicate_example" not in told["counts"]


def test_rows_of_files_are_taken_back_with_their_images(tmp_path: Path) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    pictures = [put(raw / f"p{number}.bmp", bmp(seed=number)) for number in range(3)]
    bad = [row("no answer", [pictures[0]], answer="")]
    write_lines(raw / "a.jsonl", [row("first", [pictures[0]]), row("both", pictures[:2]), *bad])
    write_lines(raw / "b.jsonl", [row("third", [pictures[2]])])
    put(raw / "table.zip.jsonl", b"PK\x03\x04" + bytes(200))  # what no option fits is one rejection
    assert stream(raw, out) == 0
    time.sleep(1.1)
    write_lines(raw / "a.jsonl", [row("first, mended", [pictures[0]])])
    assert stream(raw, out) == 0
    windows_in(out)

    assert main(["merge", str(out), "--output", str(tmp_path / "merged")]) == 0
    merged = laws.sealed(tmp_path / "merged")
    (raw / "table.zip.jsonl").unlink()
    assert main(["prepare", "--input", str(raw), "--output", str(tmp_path / "batch")]) == 0
    batch = laws.sealed(tmp_path / "batch")
    assert Counter(all_lines(merged)) == Counter(all_lines(batch))
    zipped = {"files_read": 1, "names_listed": 1, "files_taken": 1, "examples_read": 1, "examples_rejected": 1}
    listed = Counter({name: n for name, n in laws.counters(batch).items() if "left_out" not in name})
    assert laws.counters(merged) - Counter(zipped) == listed - Counter(files_skipped=3, names_listed=3)
    assert sorted(merged["manifest.json"]["reasons"]) == ["missing_column"]


def test_what_comes_late_is_sealed_beside_its_window(tmp_path: Path) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    put(raw / "a.jpg", jpeg(seed=1))
    assert stream(raw, out, PROMPT, window="1h") == 0
    put(raw / "b.jpg", jpeg(seed=2))
    assert stream(raw, out, PROMPT, window="1h") == 0
    found = windows_in(out)
    assert [[one["uri"] for one in taken(folder)] for folder in found.values()] == [
        [str(raw / "a.jpg")],
        [str(raw / "b.jpg")],
    ]
    window, late = found
    assert late.startswith(f"{window}.late-") or start_of_name(late) != start_of_name(window)
    told = json.loads((out / "windows" / window / "manifest.json").read_bytes())["run"]
    assert (told["part_filled"], told["late"]) == (True, False)


def test_a_window_with_too_many_rejections_is_marked_and_the_stream_goes_on(tmp_path: Path) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    put(raw / "bad.jsonl", b"{}\n" * 100)
    assert stream(raw, out) == 1
    time.sleep(1.1)
    write_lines(raw / "good.jsonl", [row("fine"), {}])
    assert stream(raw, out) == 0
    bad, good = windows_in(out).values()
    assert sorted(bad) == ["arrivals.jsonl", "rejected.jsonl", "unsealed.json"]
    assert "100 of 100 examples were rejected" in json.loads(bad["unsealed.json"])["unsealed"]
    assert (laws.counters(good)["examples_used"], laws.counters(good)["examples_rejected"]) == (1, 1)


def test_sidecars_are_waited_for_and_make_new_versions(tmp_path: Path) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    options = [PROMPT, "--answer={sidecar}", "--sidecar_wait=1s"]
    put(raw / "a.txt", b"a before")
    put(raw / "a.jpg", jpeg(seed=1))
    put(raw / "b.jpg", jpeg(seed=2))
    assert stream(raw, out, *options) == 0
    time.sleep(1.1)
    put(raw / "b.txt", b"b after")
    assert stream(raw, out, *options) == 0
    assert main(["merge", str(out), "--output", str(tmp_path / "merged")]) == 0
    assert main(["prepare", "--input", str(raw), "--output", str(tmp_path / "batch"), *options[:2]]) == 0
    merged, batch = laws.sealed(tmp_path / "merged"), laws.sealed(tmp_path / "batch")
    assert Counter(all_lines(merged)) == Counter(all_lines(batch)) and laws.counters(merged) == laws.counters(batch)


def test_files_of_several_formats_arrive_and_are_merged(tmp_path: Path) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    options = ["--prompt=What is it?", "--answer={label}"]
    put(raw / "a.jpg", jpeg(seed=1))  # named by a table, and so no row itself
    put(raw / "table.csv", b"image,label\na.jpg,first\n")
    assert stream(raw, out, *options) == 0
    time.sleep(1.1)
    write_lines(raw / "rows.jsonl", [row("in Gemini's format", [str(raw / "a.jpg")])])
    put(raw / "later.csv", b"photo;label\na.jpg;second\na.jpg;third\n")
    assert stream(raw, out, *options) == 0
    names = sorted(Path(one["uri"]).name for folder in windows_in(out).values() for one in taken(folder))
    assert names == ["later.csv", "rows.jsonl", "table.csv"]
    assert main(["merge", str(out), "--output", str(tmp_path / "merged")]) == 0
    merged = laws.sealed(tmp_path / "merged")
    answers = sorted(json.loads(line)["contents"][1]["parts"][0]["text"] for _, line in all_lines(merged))
    assert answers == ["first", "second", "third", "yes"]


def test_a_night_takes_what_windows_found_of_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raw, out, shared = tmp_path / "raw", tmp_path / "out", f"--image_folder={tmp_path}/images"
    for number in range(3):
        put(raw / f"{number}.jpg", jpeg(seed=number))
    put(raw / "a.bmp", bmp(seed=9))
    assert stream(raw, out, PROMPT, shared) == 0
    put(raw / "1.jpg", jpeg(seed=20))  # overwritten
    put(raw / "new.jpg", jpeg(seed=21))
    looked, look_at = set[str](), sources.look_at

    def noting(some: list[str], inspector: Any) -> Any:
        looked.update(Path(source).name for source in some)
        return look_at(some, inspector)

    monkeypatch.setattr(sources, "look_at", noting)
    words = ["--input", str(raw), PROMPT, shared]
    night = ["--output", str(tmp_path / "night"), "--previous", str(out)]
    capsys.readouterr()
    assert main(["prepare", *words, *night]) == 0
    assert f"of {out} saw, and that have not changed, are not looked at again" in capsys.readouterr().out
    assert looked == {"1.jpg", "new.jpg"}
    assert main(["prepare", *words, "--output", str(tmp_path / "full")]) == 0
    assert looked == {"0.jpg", "1.jpg", "2.jpg", "a.bmp", "new.jpg"}
    found, full = laws.sealed(tmp_path / "night"), laws.sealed(tmp_path / "full")
    assert Counter(all_lines(found)) == Counter(all_lines(full)) and laws.counters(found) == laws.counters(full)

    # Nothing holds that was found by looking less closely, or in a stream that has sealed nothing.
    settings, [line] = choose_night(parse([*words, *night, "--verify=decode"]))
    assert settings.windows == () and "can be used: --verify was structure and is decode" in line
    put(tmp_path / "begun/stream.json", b"{}")
    assert laws.sealed(tmp_path / "night")["manifest.json"]["findings"] == full["manifest.json"]["findings"]
    for manifest in out.glob("windows/*/manifest.json"):
        told = json.loads(manifest.read_bytes())
        del told["dataset"]["findings"]
        manifest.write_text(json.dumps(told))
    settings, [line] = choose_night(parse([*words, *night]))
    assert settings.windows == () and "--findings rows does without" in line
    settings, _ = choose_night(parse([*words, "--findings=rows", *night]))
    assert settings.windows
    assert main(["merge", str(out), "--output", str(tmp_path / "merged"), "--findings=all"]) == 2
    assert "sealed with --findings none; expected none or less" in capsys.readouterr().err
    settings, [line] = choose_night(parse([*words, *night[:2], "--previous", str(tmp_path / "begun")]))
    assert settings.previous == "" and "it has sealed no window yet" in line


def test_a_bucket_is_streamed_and_merged_by_compose(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "SLACK_S", {True: 1, False: 1})
    for number in range(8):
        cloud.put(f"in/cat/{number}.jpg", jpeg(seed=number))
    cloud.put("in/dog/a.bmp", bmp(seed=9))
    source, out = f"{cloud.uri}/in/", f"{cloud.uri}/out"
    assert stream(source, out, PROMPT) == 0
    time.sleep(1.1)
    cloud.put("in/cat/1.jpg", jpeg(seed=20))
    assert stream(source, out, PROMPT) == 0
    names = set(cloud.blobs("out/windows/"))
    assert {name.partition("/")[2] for name in names} == {
        "arrivals.jsonl", "examples.parquet", "findings.parquet", "images.parquet", "manifest.json", "rejected.jsonl", "train.jsonl",
        "validation.jsonl",
    }  # fmt: skip

    assert main(["merge", out, "--output", f"{cloud.uri}/merged"]) == 0
    assert main(["prepare", "--input", source, "--output", f"{cloud.uri}/batch", PROMPT]) == 0
    merged, batch = (cloud.folder(f"{name}/", tmp_path / name) for name in ("merged", "batch"))
    assert Counter(all_lines(merged)) == Counter(all_lines(batch))
    assert laws.counters(merged) == laws.counters(batch)
    assert merged["manifest.json"]["uploadable"] == "yes"
    assert sorted(cloud.blobs("out/"))[-1].startswith("windows/") and "_tuneset" not in " ".join(cloud.blobs("out/"))


def test_what_is_there_is_taken_at_once_and_its_window_has_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "default_page", lambda output: f"{output}/report.html")
    put(tmp_path / "raw/a.jpg", jpeg(seed=1))
    words = ["--output", str(tmp_path / "out"), "--stop_after=0s", PROMPT]
    assert main(["stream", "--watch", str(tmp_path / "raw/*.jpg"), *words]) == 0
    [window] = (tmp_path / "out/windows").iterdir()
    assert json.loads((window / "arrivals.jsonl").read_bytes())["uri"] == str(tmp_path / "raw/a.jpg")
    assert json.loads((window / "report.json").read_bytes())["dataset"]["counters"]["examples_used"] == 1
    assert (window / "report.html").exists()
