"""What stands on a command line is heeded whole, in every command: nothing dropped, and no name that only looks wrong refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from beam_jobs.__main__ import main
from beam_jobs.dataflow.templates import TEMPLATES
from beam_jobs.options import OPTIONS, Option, OptionError
from beam_jobs.settings import parse
from beam_jobs.template_main import words_of

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
        (("template", "build", "--image=a", "--spec=gs://data/s", "--project=c", "--project=d"), "--project is given twice"),
        (("template", "launch", "--spec=gs://data/s", "--spec=gs://data/t"), "--spec is given twice, with gs://data/s and with gs://data/t"),
        (("template", "launch", "--spec=gs://data/s", *NEEDED, "--region=a", "--region=b"), "--region is given twice"),
        (("template", "launch", "--spec=gs://data/s", *NEEDED, "--seed=a", "--seed=b"), "--seed is given twice, with a and with b"),
        (("sweep", "--image_folder=a", "--datasets=b,,c"), "--datasets 'b,,c' names nothing where an item"),
        (("prepare", "--input=a", "--input=", "--output=o"), "--input '' names nothing where an item is"),
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
    assert "is not a shared folder" in refused(
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


# --- values that no value can be


def wrongs() -> list[tuple[str, str]]:
    """Each option that takes a value, with one that it takes but for what is put around or into it."""
    usual = {
        "N": "7",
        "FRACTION": "0.5",
        "TYPES": "png",
        "SPEC": "train=1",
        "PROJECT": "my-project",
        "CHARACTER": "comma",
    }
    return [(o.name, o.choices[-1] if o.choices else usual.get(o.metavar, "gs://data/x")) for o in OPTIONS if o.metavar]


@pytest.mark.parametrize(("name", "value"), wrongs())
def test_control_characters_and_nothing_at_all_are_refused_in_every_option(
    name: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for letter in ("\r", "\0", "\x1b", "\x7f", "\x85", "\u2028", "\u2029"):
        said = refused(capsys, "prepare", f"--{name}={value}{letter}")
        assert (
            said.startswith(f"tuneset: --{name} '") and f"holds the control character {ascii(letter)[1:-1]}: " in said
        )
        assert ("Windows line ends (CRLF)" in said) is (letter == "\r")
        assert letter not in said
    for wrong in ("\r" + value, f"{value[:1]}\0{value[1:]}", "  "):
        assert f"--{name}" in refused(capsys, "prepare", f"--{name}={wrong}")


def test_blanks_around_values_are_dropped_and_those_inside_kept() -> None:
    flags = {
        "input": " a b , c ",
        "output": " my out ",
        "prompt": " What  is\tit?\nSay. ",
        "answer": "{label}\n",
        "seed": " 7 ",
    }
    flags |= {"max_images": " 3 ", "header": " yes ", "split_by": " a b ", "delimiter": " pipe ", "sample": " 10 "}
    settings = parse(
        [*(f"--{name}={value}" for name, value in flags.items()), "--region", " us-central1 ", "--job_name= a "]
    )
    found = {name: getattr(settings, name) for name in flags}
    assert found == {name: value.strip() for name, value in flags.items()} | {"input": ("a b", "c"), "max_images": 3}
    assert settings.beam == ("--region", "us-central1", "--job_name=a")
    assert parse(settings.as_flags()) == settings


@pytest.mark.parametrize("delimiter", ["\t", " ", "|", "\x1f"])
def test_a_delimiter_is_taken_as_it_is(delimiter: str) -> None:
    settings = parse([*NEEDED, "--delimiter", delimiter])
    assert settings.wanted.delimiter == delimiter
    assert parse(settings.as_flags()) == settings
    assert (
        parse(words_of(TEMPLATES["batch"], ["--input=a", "--output=b", f"--delimiter={delimiter}"])).delimiter
        == delimiter
    )


@pytest.mark.parametrize(
    "place",
    [
        "gs://BUCKET/FOLDER", "gs://<bucket>/x", "gs://[BUCKET]/x", "gs://$BUCKET/x", "gs://${BUCKET}/x", "gs://{bucket}/x",
        "gs://YOUR_BUCKET/x", "gs://your-bucket/x", "gs://data/<folder>/x", "gs://data/$DATE", "gs://data/{{ ds }}/x", "gs://data/...",
        "gs://data/FOLDER", "gs://data/$(date +%F)", "$HOME/x", "FOLDER", "<folder>", "YOUR_FOLDER", "data/MY_FOLDER", "%HOME%",
    ],
)  # fmt: skip
def test_placeholders_are_refused_in_every_place(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    commands = [
        *(
            ("prepare", f"--{o.name}={place}")
            for o in OPTIONS
            if o.metavar in ("PATTERNS", "PREFIXES", "FOLDER", "URI")
        ),
        *(
            ("prepare", *NEEDED, f"--{name}={place}")
            for name in ("temp_location", "staging_location", "template_location")
        ),
        ("sweep", "--image_folder", place),
        ("sweep", "--datasets", f"gs://data/good,{place}"),
        ("template", "launch", "--spec", place),
        ("demo", place),
    ]
    for command in commands:
        assert "is a placeholder: put" in refused(capsys, *command)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("ab", "3 to 63"), ("abc", ""), ("a" * 63, ""), ("a" * 64, "3 to 63"), (f"{'a' * 63}.{'b' * 63}", ""), ("a" * 64 + ".b", "63"),
        (".".join(["a" * 55] * 4), "222"), (".".join(["a" * 54] * 4), ""), ("Data", "small letters"), ("-data", "small letters"),
        ("data-", "small letters"), ("da ta", "small letters"), ("da*", "small letters"), ("a..b", "two dots"),
        ("1.2.3.4", "IP address"),
        ("1.2.3.x", ""), ("my_data-1.example.com", ""), ("dätä", "small letters"),
    ],
)  # fmt: skip
def test_names_that_no_bucket_can_have_are_refused(name: str, fault: str, capsys: pytest.CaptureFixture[str]) -> None:
    if not fault:
        assert parse(["--input", f"gs://{name}/x", "--output", f"gs://{name}"]).output == f"gs://{name}"
        return
    for option in ("input", "output", "allow_prefix", "image_folder", "previous", "uri_prefix", "temp_location"):
        said = refused(capsys, "prepare", *(NEEDED if option == "temp_location" else ()), f"--{option}=gs://{name}/x")
        assert f"no bucket can be called {name}: expected " in said and fault in said


def test_google_s_own_buckets_are_read_and_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert parse(["--input=gs://google-data/x", "--output=o"]).input == ("gs://google-data/x",)
    for name in ("goog-data", "my-google-data", "my-g00gle"):
        assert "names with goog are Google's" in refused(capsys, "prepare", f"--output=gs://{name}/x")


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (("prepare", *NEEDED, "--overwrite\r"), r"'--overwrite\r' holds the control character \r"),
        (("prepare", *NEEDED, "\r"), r"'\r' holds the control character \r: the script it comes from has Windows line ends"),
        (("prepare", *NEEDED, "--region", "us\r"), r"--region 'us\r' holds the control character \r"),
        (("prepare", *NEEDED, "--labels=a=b\n"), r"--labels 'a=b\n' holds the control character \n: take it out"),
        (("prepare", *NEEDED, "--extra_package=gs://BUCKET/a.whl"), "--extra_package gs://BUCKET/a.whl: BUCKET is a"),
        (("prepare", *NEEDED, "--delimiter=\r"), r"--delimiter \r: expected one ASCII character"),
        (("prepare", *NEEDED, "--region=REGION"), "--region REGION: expected small letters"),
        (("prepare", *NEEDED, "--project", "$PROJECT"), "--project $PROJECT is a placeholder: put your own value"),
        (("prepare", *NEEDED, "--job_name=<name>"), "--job_name <name> is a placeholder"),
        (("prepare", *NEEDED, "--user_project=PROJECT"), "--user_project PROJECT: expected small letters"),
        (("prepare", *NEEDED, "--seed=\udcff"), r"--seed '\udcff' is not UTF-8"),
        (("sweep", "--image_folder=.", "--datasets=x", "--remove\r"), r"unrecognized arguments: --remove\r; the script it"),
        (("sweep", "--image_folder=.", "--datasets=x", "--min_age_hours=1\r"), r"--min_age_hours '1\r' holds the control"),
        (("sweep", "--image_folder=.", "--datasets=x", "--user_project="), "--user_project is given without a value"),
        (("template", "metadata", "--name", "batch\r"), r"--name 'batch\r' holds the control character \r"),
        (("template", "build", "--image=i", "--spec=/s", "--project=YOUR_PROJECT"), "--project YOUR_PROJECT is a placeholder"),
        (("template", "spec", "--image=REGION-docker.pkg.dev/PROJECT/a/b"), "--image REGION-docker.pkg.dev/PROJECT/a/b: expected"),
        (("template", "launch", "--spec=gs://data/s", *NEEDED, "--seed=7\r"), r"--seed '7\r' holds the control character \r"),
        (("demo", "demo\r"), r"argument FOLDER: 'demo\r' holds the control character \r"),
        (("demo", "gs://data/demo"), "argument FOLDER: gs://data/demo: expected a local folder"),
        (("demo", ""), "FOLDER is given without a value"),
    ],
)  # fmt: skip
def test_what_nobody_means_is_refused_in_every_command(
    command: tuple[str, ...],
    told: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert refused(capsys, *command).startswith(f"tuneset: {told}")
    assert list(tmp_path.iterdir()) == []


def test_names_that_only_look_odd_are_taken() -> None:
    inputs = ["./FOLDER", "a_$folder$", "caf%C3%A9", "in/[A-Z]*.jsonl", "it's (1)", "~/data", "gs://data/OUTPUT/x", "-"]
    assert parse([f"--input={','.join(inputs)}", "--output=/data/FOLDER"]).input == tuple(inputs)
    columns = ["--split_by", "$oid", "--prompt", "<image> {a} [BUCKET] $X", "--answer", "YOUR_ANSWER"]
    settings = parse([*NEEDED, *columns])
    assert (settings.split_by, settings.prompt, settings.answer) == ("$oid", "<image> {a} [BUCKET] $X", "YOUR_ANSWER")


def test_blank_parameters_of_a_launch_are_none() -> None:
    said = [
        "--input=gs://data/a",
        "--output=gs://data/b",
        "--upright= true ",
        "--sample= ",
        "--delimiter=",
        "--labels= ",
    ]
    assert words_of(TEMPLATES["batch"], said) == [*said[:2], "--upright"]
