"""What stands on a command line is heeded whole, in every command: nothing dropped, and no name that only looks wrong refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from beam_jobs.__main__ import main
from beam_jobs.options import OPTIONS, Option, OptionError
from beam_jobs.settings import parse
from beam_jobs.template_main import words_of
from beam_jobs.templates import TEMPLATES

NEEDED = ("--input", "in.jsonl", "--output", "out")


def refused(capsys: pytest.CaptureFixture[str], *command: str) -> str:
    """What a command says as it ends with exit status 2."""
    capsys.readouterr()
    assert main(command) == 2
    said = capsys.readouterr()
    assert said.out == ""
    return said.err


# --- given twice


@pytest.mark.parametrize(
    ("flags", "name", "wanted"),
    [
        (("--input", "a", "--input", "b", "--output", "o"), "input", ("a", "b")),
        (("--input=a,b", "--input", " c , d", "--output", "o"), "input", ("a", "b", "c", "d")),
        ((*NEEDED, "--allow_prefix=/x,/y", "--allow-prefix=/z"), "allow_prefix", ("/x", "/y", "/z")),
        ((*NEEDED, "--types", "png", "--types", "jpeg"), "types", ("png", "jpeg")),
        ((*NEEDED, "--image_column=a", "--image_column=b,c"), "image_column", ("a", "b", "c")),
    ],
)
def test_lists_add_up(flags: tuple[str, ...], name: str, wanted: tuple[str, ...]) -> None:
    settings = parse(flags)
    assert getattr(settings, name) == wanted
    assert parse(settings.as_flags()) == settings


@pytest.mark.parametrize(
    "option", [o for o in OPTIONS if o.default is not False and not o.is_list], ids=lambda o: o.name
)
def test_each_option_of_one_value_is_taken_once(option: Option, capsys: pytest.CaptureFixture[str]) -> None:
    name, value = option.name, option.choices[-1] if option.choices else "1"
    said = refused(capsys, "prepare", "--input=a", f"--{name}", value, f"--{name.replace('_', '-')}={value}")
    shown = "1.0" if isinstance(option.default, float) else value
    assert said.startswith(f"tuneset: --{name} is given twice, with {shown} and with {shown}, and takes one value")


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (("prepare", *NEEDED, "--output=b"), "--output is given twice, with out and with b"),
        (("prepare", *NEEDED, "--runner=FlinkRunner", "--runner", "PrismRunner"), "--runner is given twice, with FlinkRunner"),
        (("prepare", *NEEDED, "--region", "a", "--region=a"), "--region is given twice, with a and with a"),
        (("prepare", *NEEDED, "--num_workers=1", "--num-workers=2"), "--num_workers is given twice, with 1 and with 2"),
        (("prepare", *NEEDED, "--machine_type=a", "--worker_machine_type=b"), "--worker_machine_type is given twice"),
        (("sweep", "--image_folder=a", "--image_folder=b", "--datasets=c"), "--image_folder is given twice"),
        (("sweep", "--image_folder=a", "--datasets=c", "--min_age_hours=1", "--min-age-hours=2"), "--min_age_hours is"),
        (("template", "metadata", "--name=batch", "--name=batch"), "--name is given twice, with batch and with batch"),
        (("template", "spec", "--image=a", "--image=b"), "--image is given twice, with a and with b"),
        (("template", "build", "--image=a", "--spec=b", "--project=c", "--project=d"), "--project is given twice"),
        (("template", "launch", "--spec=b", "--spec=c"), "--spec is given twice, with b and with c"),
        (("template", "launch", "--spec=b", *NEEDED, "--region=a", "--region=b"), "--region is given twice"),
        (("template", "launch", "--spec=b", *NEEDED, "--seed=a", "--seed=b"), "--seed is given twice, with a and with b"),
        (("sweep", "--image_folder=a", "--datasets=b,,c"), "argument --datasets: 'b,,c' names nothing where an item"),
        (("prepare", "--input=a", "--input=", "--output=o"), "argument --input: '' names nothing where an item is"),
    ],
)  # fmt: skip
def test_what_takes_one_value_is_taken_once(
    command: tuple[str, ...],
    told: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert refused(capsys, *command).startswith(f"tuneset: {told}")
    assert list(tmp_path.iterdir()) == []


def test_switches_and_what_beam_collects_may_repeat() -> None:
    collected = [
        "--experiments=a",
        "--experiments",
        "b",
        "--labels=a=1",
        "--labels=b=2",
        "--extra_package=a",
        "--extra-package=b",
    ]
    collected += ["--dataflow_service_options=a", "--dataflow_service_options=b", "--streaming", "--streaming"]
    settings = parse([*NEEDED, "--upright", "--upright", *collected])
    assert settings.upright
    assert settings.beam == tuple(word.replace("extra-package", "extra_package") for word in collected)


def test_hyphens_in_names_stand_for_underscores() -> None:
    spelt = [
        "--max-images",
        "3",
        "--on-bad-image=drop_image",
        "--keep-blocks",
        "--max-num-workers=2",
        "--job-name",
        "a-b",
    ]
    settings = parse([*NEEDED, *spelt])
    assert (settings.max_images, settings.on_bad_image, settings.keep_blocks) == (3, "drop_image", True)
    assert settings.beam == ("--max_num_workers=2", "--job_name", "a-b")
    assert parse([*NEEDED, "--prompt=--max-images", "--answer", "a-b"]).prompt == "--max-images"  # values stay


def test_hyphens_in_other_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert "is not a sealed dataset" in refused(
        capsys, "sweep", "--image-folder=.", "--datasets=none", "--min-age-hours=1"
    )
    assert main(["template", "build", "--image=i:1", "--spec=/s", "--project=p-1", "--print-only"]) == 0


def test_what_the_launcher_says_twice_is_said_once() -> None:
    batch, both = TEMPLATES["batch"], ["--input=gs://data/a", "--output=gs://data/b"]
    image = "--sdk_container_image=host/tuneset:1"
    assert words_of(batch, [*both, image, "--labels=", image]) == [*both, image]
    with pytest.raises(OptionError, match="--sdk_container_image is given twice"):
        parse(words_of(batch, [*both, image, f"{image}1"]))
    with pytest.raises(OptionError, match="--seed is given twice"):
        parse(words_of(batch, [*both, "--seed=1", "--seed=1"]))
