"""No night stops those after it: which one --previous takes, what is said of the others, and what the docs tell to run."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from cloud import Cloud
from folders import jpeg, put, write_rows

from beam_jobs import nights
from beam_jobs.commands.prepare import prepare
from beam_jobs.nights import choose_night
from beam_jobs.options import OptionError
from beam_jobs.preflight import on_this_machine
from beam_jobs.settings import Settings, parse
from transforms.core import VERSION

ROOT = Path(__file__).resolve().parents[2]
Told = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with rows, two sealed nights of them and the images they share; tests change it and `restored` mends it."""
    folder = tmp_path_factory.mktemp("world")
    put(folder / "rows/1.jpg", jpeg(seed=1))
    for number in range(3):
        write_rows(folder / f"rows/{number}.jsonl", 12, seed=number, images=["1.jpg"])
    os.mkdir(folder / "sets")
    assert run(folder, "sets/one") == 0 and run(folder, "sets/two", "--previous", f"{folder}/sets/one") == 0
    shutil.copytree(folder / "sets", folder / "backup")
    return folder


@pytest.fixture
def world(made: Path) -> Path:
    """The same folder as at first."""
    shutil.rmtree(made / "sets")
    shutil.copytree(made / "backup", made / "sets")
    return made


def flags_of(world: Path, output: str, *flags: str) -> list[str]:
    return [
        *("--input", f"{world}/rows/", "--output", f"{world}/{output}", "--image_folder", f"{world}/images"),
        *("--keep_blocks", "--block_bytes", "2000", *flags),
    ]


def run(world: Path, output: str, *flags: str) -> int:
    return prepare(flags_of(world, output, *flags))


def settings_of(world: Path, *flags: str, output: str = "sets/three") -> Settings:
    return on_this_machine(parse(flags_of(world, output, *flags)))


def night_of(world: Path, output: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((world / output / "manifest.json").read_bytes())["run"]["night"]
    return told


def change(manifest: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    told = json.loads(manifest.read_bytes())
    edit(told)
    manifest.write_text(json.dumps(told))


def spoil(folder: Path, kind: str) -> str:
    """Flip a byte in a part of a night -> the part's name. Its size stays, and other links to it do too."""
    part = sorted((folder / "_tuneset").rglob(f"*.{kind}"))[0]
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    part.unlink()
    part.write_bytes(bytes(data))
    return part.name


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "not sealed": (
        lambda two: (two / "manifest.json").unlink(),
        "holds no manifest.json: the run that writes it has not",
    ),
    "no blocks": (lambda two: shutil.rmtree(two / "_tuneset"), "it holds no blocks: "),
    "cut manifest": (lambda two: os.truncate(two / "manifest.json", 300), "its manifest.json is damaged"),
    "empty manifest": (lambda two: os.truncate(two / "manifest.json", 0), "its manifest.json is damaged"),
    "a list for a manifest": (lambda two: (two / "manifest.json").write_text("[]"), "its manifest.json is damaged"),
    "numbers in a manifest": (lambda two: (two / "manifest.json").write_text('{"dataset": 1, "run": 2}'), "is damaged"),
    "a folder for a manifest": (
        lambda two: ((two / "manifest.json").unlink(), (two / "manifest.json").mkdir()),
        "manifest.json is not a regular file",
    ),
    "another version": (
        lambda two: change(two / "manifest.json", lambda told: told["dataset"].update(tool="0.0.1")),
        f"nothing of it can be used: Tuneset was 0.0.1 and is {VERSION}",
    ),
    "other options": (
        lambda two: change(two / "manifest.json", lambda told: told["dataset"]["options"].update(max_images=3)),
        "nothing of it can be used: --max_images was 3 and is 16",
    ),
    "missing": (shutil.rmtree, "holds no manifest.json, and no folder in it does"),
}


@pytest.mark.parametrize("way", BROKEN)
def test_a_broken_night_is_passed_over_or_warned_of(world: Path, way: str) -> None:
    harm, said = BROKEN[way]
    harm(world / "sets/two")
    settings, (line, *warnings) = choose_night(settings_of(world, "--previous", f"{world}/sets/"))
    assert settings.previous == f"{world}/sets/one"
    assert (
        line
        == f"What has not changed is taken from {world}/sets/one, the newest night below {world}/sets that can be used."
    )
    if way == "missing":
        assert warnings == []
    else:
        assert (
            len(warnings) == 1
            and warnings[0].startswith(f"! night_passed_over: {world}/sets/two is passed over: ")
            and said in warnings[0]
        )

    settings, warnings = choose_night(settings_of(world, "--previous", f"{world}/sets/two", "--trust_uris"))
    assert (settings.previous, settings.trust_uris) == ("", False)
    assert len(warnings) == 1 and said in warnings[0] and warnings[0].endswith("Everything is made anew.")
    with pytest.raises(OptionError, match=re.escape(said)):
        choose_night(settings_of(world, "--previous", f"{world}/sets/two", "--require_previous"))


def test_a_night_that_can_be_used_is_taken_in_silence_and_a_parent_says_which(world: Path) -> None:
    for slash in ("", "/"):
        asked = settings_of(world, "--previous", f"{world}/sets/one{slash}", "--require_previous")
        assert choose_night(asked) == (asked, [])
        chosen, lines = choose_night(settings_of(world, "--previous", f"{world}/sets{slash}", "--require_previous"))
        assert chosen.previous == f"{world}/sets/two" and len(lines) == 1
    assert choose_night(settings_of(world)) == (settings_of(world), [])


def test_the_newest_is_the_one_that_was_sealed_last_whatever_it_is_called(world: Path) -> None:
    (world / "sets/two").rename(world / "sets/a")
    assert choose_night(settings_of(world, "--previous", f"{world}/sets/"))[0].previous == f"{world}/sets/a"
    change(world / "sets/one/manifest.json", lambda told: told["run"].update(finished=9e9))
    chosen, lines = choose_night(settings_of(world, "--previous", f"{world}/sets/"))
    assert chosen.previous == f"{world}/sets/one" and len(lines) == 1


def test_a_fault_of_a_night_that_is_older_than_the_one_taken_is_not_told(world: Path) -> None:
    os.truncate(world / "sets/one/manifest.json", 10)  # nothing tells its time: its name stands before
    assert len(choose_night(settings_of(world, "--previous", f"{world}/sets/"))[1]) == 1


def test_tonights_own_output_is_never_taken_by_any_of_its_names(world: Path, tmp_path: Path) -> None:
    (world / "sets/latest").symlink_to(world / "sets/two")
    chosen, _ = choose_night(settings_of(world, "--previous", f"{world}/sets/", output="sets/two"))
    assert chosen.previous == f"{world}/sets/one"
    _, (warning,) = choose_night(settings_of(world, "--previous", f"{world}/sets/two", output="sets/two"))
    assert "it is --output too" in warning


def test_the_first_night_has_none_and_many_faults_are_cut_short(world: Path, tmp_path: Path) -> None:
    for parent in (tmp_path / "nowhere", tmp_path):
        _, (warning,) = choose_night(settings_of(world, "--previous", f"{parent}/"))
        assert f"--previous {parent} holds no manifest.json, and no folder in it does" in warning
    for number in range(nights._SHOWN + 2):
        put(tmp_path / f"sets/{number}/manifest.json", b"cut")
    _, (warning,) = choose_night(settings_of(world, "--previous", f"{tmp_path}/sets/"))
    assert warning.count("is damaged") == nights._SHOWN and "; 2 more below it cannot be used either" in warning


@pytest.mark.parametrize("most, taken", [(1, ""), (2, "two"), (3, "two")])
def test_a_folder_of_more_than_nights_is_not_looked_through(
    world: Path, monkeypatch: pytest.MonkeyPatch, most: int, taken: str
) -> None:
    monkeypatch.setattr(nights, "MOST_NIGHTS", most)
    chosen, lines = choose_night(settings_of(world, "--previous", f"{world}/sets/"))
    assert chosen.previous.rpartition("/")[2] == taken
    assert taken or "holds more than 1 folders, which are not looked through: name the night" in lines[0]


def test_inputs_that_moved_are_told(world: Path) -> None:
    settings = replace(settings_of(world, "--previous", f"{world}/sets/two"), input=(f"{world}/elsewhere/",))
    _, (warning,) = choose_night(settings)
    assert f"the folders of --input were {world}/rows and are {world}/elsewhere/" in warning.replace("rows/", "rows")


def test_nights_in_a_bucket_are_found_below_a_folder_and_below_the_bucket_itself(cloud: Cloud, world: Path) -> None:
    for path in (world / "sets").rglob("*"):
        if path.is_file() and path.name != "claim.json":
            for name in ("sets", "."):
                cloud.put(os.path.normpath(f"{name}/{path.relative_to(world / 'sets')}"), path.read_bytes())
    os.truncate(world / "sets/two/manifest.json", 300)
    cloud.put("images/ab/x.jpg", b"no night")
    for parent in (f"{cloud.uri}/sets/", f"{cloud.uri}/", cloud.uri):
        assert choose_night(settings_of(world, "--previous", parent))[0].previous.endswith("/two")
        cloud.put(f"{parent[len(cloud.uri) + 1 :]}two/manifest.json", b"cut")
        chosen, (_, warning) = choose_night(settings_of(world, "--previous", parent))
        assert chosen.previous.endswith("/one") and "two is passed over: its manifest.json is damaged" in warning
        cloud.put(f"{parent[len(cloud.uri) + 1 :]}two/manifest.json", (world / "backup/two/manifest.json").read_bytes())


# --- whole nights


@pytest.mark.parametrize("kind", ["train", "images", "examples", "receipt"])
def test_a_damaged_part_costs_its_block_and_is_named(world: Path, capsys: Told, kind: str) -> None:
    name = spoil(world / "sets/two", kind)
    if kind == "receipt":
        next((world / "sets/two/_tuneset").rglob(name)).write_text('{"heals": false, "parts": 5}')
    assert run(world, "sets/three", "--previous", f"{world}/sets/", "--overwrite") == 0
    night = night_of(world, "sets/three")
    assert night["previous"] == f"{world}/sets/two" and night["blocks"]["worked"] == 1 < night["blocks"]["reused"]
    assert [path.rpartition("/")[2] for path in night["damaged"]] == [name] and night["damaged_parts"] == 1
    said = capsys.readouterr().out
    assert (
        f"! blocks_made_anew: 1 block of {world}/sets/two had to be made anew, because of what is missing or damaged there: "
        in said
    )
    assert name in said
    three, two = (world / "sets" / night / "train.jsonl" for night in ("three", "two"))
    assert three.read_bytes() == two.read_bytes()


def test_a_night_that_died_goes_on_though_it_would_choose_another_by_now(world: Path, capsys: Told) -> None:
    previous = ("--previous", f"{world}/sets/")
    (world / "rows/bad.jsonl").write_text("no row\n" * 200)  # so that nothing is sealed, and what was committed is kept
    try:
        assert run(world, "sets/three", *previous) == 1
    finally:
        (world / "rows/bad.jsonl").unlink()
    shutil.rmtree(world / "sets/two")
    capsys.readouterr()
    assert run(world, "sets/three", *previous) == 0
    assert f"is taken from {world}/sets/one" in capsys.readouterr().out
    assert night_of(world, "sets/three")["previous"] == f"{world}/sets/one"
    assert (world / "sets/three/train.jsonl").read_bytes() == (world / "sets/one/train.jsonl").read_bytes()


def test_sealed_before_comes_first_of_all_checks(world: Path, capsys: Told) -> None:
    """What the command read is of no interest any more: it may be gone, and --previous may be of no use."""
    before = (world / "sets/two/manifest.json").read_bytes()
    (world / "rows").rename(world / "gone")
    try:
        for previous in ("sets/two", "sets/", "nowhere", "gone/"):
            assert run(world, "sets/two", "--previous", f"{world}/{previous}", "--require_previous") == 0
            assert "was sealed by the same command before" in capsys.readouterr().out
    finally:
        (world / "gone").rename(world / "rows")
    assert (world / "sets/two/manifest.json").read_bytes() == before


def test_a_folder_that_another_command_sealed_says_what_differs(world: Path, capsys: Told) -> None:
    def said(*flags: str, output: str = "sets/two") -> str:
        assert run(world, output, *flags) == 2
        return capsys.readouterr().err

    assert "that another command made (--max_images was 16 and is 3; --upright was not given and is given)" in said(
        "--max_images", "3", "--upright"
    )
    # An option that the dataset's Tuneset did not have yet, and that is not given, makes no difference.
    change(world / "sets/two/manifest.json", lambda told: told["run"]["asked"]["options"].pop("join_common"))
    change(world / "sets/two/manifest.json", lambda told: told["dataset"]["options"].pop("join_common"))
    assert run(world, "sets/two") == 0
    (world / "sets/two").rename(world / "sets/moved")
    assert f"(it was made as {world}/sets/two, and has been moved to {world}/sets/moved)" in said(output="sets/moved")
    change(world / "sets/moved/manifest.json", lambda told: told["dataset"].update(tool="0.0.1", inputs=["/a", "/b"]))
    text = said(output="sets/moved")
    assert f"Tuneset was 0.0.1 and is {VERSION}; --input was /a,/b and is {world}/rows" in text
    os.truncate(world / "sets/one/manifest.json", 200)
    assert "sets/one/manifest.json is damaged, or none of Tuneset's" in said(output="sets/one")
    assert run(world, "sets/one", "--overwrite", "--previous", f"{world}/sets/one") == 0  # as was advised
    assert "it is --output too" in capsys.readouterr().out


# --- what the docs tell to run


def shell_blocks(name: str) -> list[str]:
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    return [
        block for block in re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE) if "--previous" in block
    ]


@pytest.mark.parametrize("name, roots", [("nightly.md", "gs://data"), ("dataflow.md", "/data")])
def test_the_command_of_every_night_runs_in_a_shell(world: Path, tmp_path: Path, name: str, roots: str) -> None:
    """Three nights by the clock of a made-up `date`; the second is cut off, and the command runs twice on the third."""
    (block,) = shell_blocks(name)
    tools = tmp_path / "bin"
    put(tools / "date", b'#!/bin/sh\necho "$TODAY"\n')
    (tools / "date").chmod(stat.S_IRWXU)
    tuneset = f"{Path(sys.executable).parent}/tuneset"
    script = re.sub(r"(?m)^(exec )?\S*tuneset prepare", rf"\1{tuneset} prepare", block)
    script = script.replace(f"{roots}/rows", f"{world}/rows").replace(f"{roots}/", f"{tmp_path}/")

    def tonight(day: str) -> str:
        environment = os.environ | {"PATH": f"{tools}:{os.environ['PATH']}", "TODAY": day}
        done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, env=environment, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert "holds no manifest.json, and no folder in it does" in tonight("2026-11-24")
    shutil.copytree(tmp_path / "sets/2026-11-24", tmp_path / "sets/2026-11-25")
    os.truncate(tmp_path / "sets/2026-11-25/manifest.json", 100)
    said = tonight("2026-11-26")
    assert f"taken from {tmp_path}/sets/2026-11-24" in said and "2026-11-25 is passed over" in said
    assert "was sealed by the same command before" in tonight("2026-11-26")
    assert night_of(tmp_path, "sets/2026-11-26")["blocks"]["worked"] == 0


def test_airflow_and_the_workflow_do_the_same() -> None:
    text = (ROOT / "docs/dataflow.md").read_text(encoding="utf-8")
    (airflow,) = re.findall(r'"parameters": (\{.*?\}),\n        \}', text, re.DOTALL)
    parameters = ast.literal_eval(airflow)
    steps = yaml.safe_load((ROOT / "dataflow_templates/terraform/night.yaml").read_text(encoding="utf-8"))["main"][
        "steps"
    ]
    merged = {
        name: value
        for one in steps[0]["begin"]["assign"]
        if "parameters" in one
        for name, value in re.findall(r'\{"(\w+)":(.*)\}\)', one["parameters"])
    }
    assert {name: eval(value, {"bucket": "b", "date": "d"}) for name, value in merged.items()} == {
        "output": "gs://b/d",
        "image_folder": "gs://b/images",
        "keep_blocks": "true",
        "previous": "gs://b/",
    }
    folder = parameters["output"].removesuffix("{{ ds }}")
    assert parameters["previous"] == folder == "gs://datasets/"
    assert (parameters["image_folder"], parameters["keep_blocks"]) == ("gs://datasets/images", "true")
