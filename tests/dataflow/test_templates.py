"""The Dataflow templates: what is committed is what the options make, and Dataflow's own messages can hold it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.cloud import dataflow_v1beta3 as dataflow
from google.protobuf import json_format
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from beam_jobs.__main__ import main
from beam_jobs.dataflow.templates import BEAM, KINDS, PARENTS, PYTHON, TEMPLATES, committed, metadata, parameter, spec
from beam_jobs.dataflow.workers import MIXES
from beam_jobs.options import OPTIONS, Option, OptionError
from beam_jobs.settings import parse
from beam_jobs.template_main import words_of
from transforms.core import VERSION

ROOT = Path(__file__).resolve().parents[2]
HERE = ROOT / "dataflow_templates"
BATCH = TEMPLATES["batch"]
EVERY = pytest.mark.parametrize("name", sorted(TEMPLATES))


def test_the_committed_files_are_what_the_options_make() -> None:
    found = {name: (ROOT / name).read_text(encoding="utf-8") for name in committed()}
    assert found == committed(), "run: python -m beam_jobs.docs_tables"


@EVERY
def test_a_spec_parses_as_dataflows_own_message(name: str) -> None:
    made = spec(TEMPLATES[name], "image:1")
    parsed = json_format.ParseDict(made, dataflow.ContainerSpec.pb()())  # strict: it knows no other fields or enums
    assert json_format.MessageToDict(parsed)["metadata"]["parameters"] == [
        {key: value for key, value in one.items() if value is not False} for one in made["metadata"]["parameters"]
    ]
    assert parsed.default_environment.sdk_container_image == parsed.image == "image:1"
    for wrong in ({"imagee": "1"}, {"metadata": {"parameters": [{"paramType": "GCS_READ_FOO"}]}}):
        with pytest.raises(json_format.ParseError):
            json_format.ParseDict(made | wrong, dataflow.ContainerSpec.pb()())


@EVERY
def test_every_option_is_a_parameter_or_left_out_for_a_reason(name: str) -> None:
    template = TEMPLATES[name]
    names = [one["name"] for one in metadata(template)["parameters"]]  # an error, if KINDS lacks a metavar
    assert sorted([*names, *template.left_out]) == sorted(option.name for option in template.options)


def test_an_option_of_a_new_kind_is_an_error() -> None:
    with pytest.raises(
        OptionError, match=r"--new: its metavar MOON has no line in KINDS of beam_jobs/dataflow/templates.py"
    ):
        parameter(Option("new", "input", "", "what it is", "MOON"))


def test_no_kind_and_no_parent_is_left_over() -> None:
    every = {option for template in TEMPLATES.values() for option in template.options}
    known = {option.name for option in every} | {option.metavar for option in every}
    assert sorted(KINDS.keys() - known) == []
    options = {option.name: option for option in OPTIONS}
    for child, (parent, triggers) in PARENTS.items():
        assert child in options and parent in options and set(triggers) <= set(options[parent].choices)


@pytest.mark.parametrize(
    "option", [option for option in OPTIONS if option.name not in BATCH.left_out], ids=lambda o: o.name
)
def test_a_default_and_each_choice_is_taken_by_both_sides(option: Option) -> None:
    """What the Console lets through, the command line takes too: the default, and all that may be chosen."""
    made = parameter(option)
    assert made["isOptional"] == (option.default is not None)
    values = [choice["value"] for choice in made.get("enumOptions", [])]
    assert values == list(option.choices)
    if "defaultValue" in made:
        values.append(made["defaultValue"])
    for value in values:
        assert all(re.fullmatch(regex, value) for regex in made.get("regexes", []))
        words = words_of(BATCH, ["--input=gs://bucket/in/", "--output=gs://bucket/out", f"--{option.name}={value}"])
        parse(words)


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("input", ["gs://bucket/a*.jsonl", "gs://bucket", "gs://b-1/x/, gs://c2/y.gz"], ["a.jsonl", "gs://B/a", "gs://bucket/a,b"]),
        ("output", ["gs://bucket/out"], ["/out", "out", "s3://bucket/out"]),
        ("image_folder", ["", "gs://bucket/images"], ["images"]),
        ("allow_prefix", ["", "gs://", "gs://a/b,gs://c"], ["/etc", "gs://a,/b"]),
        ("max_images", ["0", "16"], ["", "many", "1.5"]),
        ("max_rejected_fraction", ["0", "0.25", "1", "1.0"], ["1.5", "-0.1", "ten"]),
        ("sample", ["", "100", "0.01", ".5"], ["1/2", "-1"]),
        ("types", ["", "jpeg,png"], ["gif", "jpeg;png"]),
        ("splits", ["train=0.8,validation=0.1,test=0.1"], ["0.8", "train"]),
        ("upright", ["true", "false"], ["yes", "True"]),
    ],
)  # fmt: skip
def test_the_regexes_take_what_is_meant(name: str, good: list[str], bad: list[str]) -> None:
    regexes = parameter(next(option for option in OPTIONS if option.name == name))["regexes"]
    taken = {value: all(re.fullmatch(regex, value) for regex in regexes) for value in [*good, *bad]}
    assert taken == dict.fromkeys(good, True) | dict.fromkeys(bad, False)


def test_types_groups_and_parents_of_some_parameters() -> None:
    made = {one["name"]: one for one in metadata(BATCH)["parameters"]}
    kinds = {
        name: made[name]["paramType"] for name in ("input", "output", "verify", "upright", "block_bytes", "split_by")
    }
    assert kinds == {
        "input": "GCS_READ_FILE",
        "output": "GCS_WRITE_FOLDER",
        "verify": "ENUM",
        "upright": "BOOLEAN",
        "block_bytes": "NUMBER",
        "split_by": "TEXT",
    }
    assert [name for name in made if not made[name]["isOptional"]] == ["input", "output"]
    assert made["upright"]["defaultValue"] == "false" and made["upright"]["groupName"] == "images"
    assert (made["upright"]["parentName"], made["upright"]["parentTriggerValues"]) == (
        "verify",
        ["header", "structure", "decode"],
    )
    assert not [
        one["helpText"] for one in made.values() if "(required)" in one["helpText"] or "local or" in one["helpText"]
    ]


def test_the_batch_template_is_no_streaming_one() -> None:
    made = metadata(BATCH)
    assert [made[flag] for flag in ("streaming", "supportsAtLeastOnce", "supportsExactlyOnce")] == [False] * 3
    assert "defaultStreamingMode" not in made


def test_what_the_launcher_says_is_what_a_person_would_have_typed() -> None:
    said = [
        "--input=gs://b/a",
        "--upright=true",
        "--overwrite=false",
        "--keep_blocks=",
        "--sample=",
        "--runner=DataflowRunner",
    ]
    said += ["--output", "gs://b/o", "--take_over", "--max_images=3"]
    assert words_of(BATCH, said) == [
        "--input=gs://b/a",
        "--upright",
        "--runner=DataflowRunner",
        "--output",
        "gs://b/o",
        "--take_over",
        "--max_images=3",
    ]
    with pytest.raises(OptionError, match="--upright=yes: expected true or false"):
        words_of(BATCH, ["--upright=yes"])
    with pytest.raises(OptionError, match="--no_wait is no parameter of this template: a template never waits"):
        words_of(BATCH, ["--no_wait=true"])


@EVERY
def test_a_main_file_is_five_lines_that_set_nothing(name: str) -> None:
    text = (HERE / f"{name}_main.py").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith('"""')]
    assert lines == [
        "import sys",
        "from beam_jobs.template_main import run",
        'if __name__ == "__main__":',
        f'    sys.exit(run("{name}", sys.argv[1:]))',
    ]


def test_nothing_sets_what_the_launcher_sets() -> None:
    """The launcher fails in words of its own if code sets them."""
    setting = re.compile(r"\.(runner|project|job_name|region|template_location) = |add_value_provider_argument")
    product = [
        path for folder in ("beam_jobs", "transforms", "dataflow_templates") for path in (ROOT / folder).rglob("*.py")
    ]
    found = [(path.name, found[0]) for path in product if (found := setting.search(path.read_text(encoding="utf-8")))]
    assert found == []


def dockerfile_steps() -> list[str]:
    text = (HERE / "Dockerfile").read_text(encoding="utf-8")
    joined = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))
    return [line for line in joined.splitlines() if line]


def test_the_dockerfile_pins_its_bases_and_copies_what_there_is() -> None:
    steps = dockerfile_steps()
    bases = [step.split()[1] for step in steps if step.startswith("FROM")]
    assert len(bases) == 3 and not [base for base in bases if ":" not in base or base.endswith(":latest")]
    assert f"apache/beam_python{PYTHON}_sdk:{BEAM}" in bases and f"python:{PYTHON}-slim" in bases
    assert Requirement(
        next(line for line in setup_requirements() if line.startswith("apache-beam"))
    ).specifier.contains(BEAM)
    copied = [
        word for step in steps if step.startswith("COPY ") and "--from" not in step for word in step.split()[1:-1]
    ]
    for word in copied:
        assert list(ROOT.glob(word)), f"{word} is not there"
    assert f'org.opencontainers.image.version="{VERSION}"' in " ".join(steps)
    # The order that lets templates share every layer but the last.
    assert [step.split("=")[0] for step in steps[-3:]] == [
        'ENTRYPOINT ["/opt/apache/beam/boot"]',
        "ARG MAIN",
        "ENV FLEX_TEMPLATE_PYTHON_PY_FILE",
    ]


def setup_requirements() -> list[str]:
    text = (ROOT / "setup.py").read_text(encoding="utf-8")
    return re.findall(r'"([^"]+)"', re.search(r"install_requires=\[(.*?)\n    \]", text, re.DOTALL)[1])


def test_the_requirements_are_pinned_hashed_and_fit_setup_py() -> None:
    text = (HERE / "requirements.txt").read_text(encoding="utf-8")
    assert "#    make requirements" in text and "--index-url" not in text
    entries = re.findall(
        r"^([A-Za-z0-9][^ ]*)==([^ ]+) (?:; [^\\]*)?\\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)",
        text,
        re.MULTILINE,
    )
    pinned = {canonicalize_name(name.partition("[")[0]): version for name, version, _ in entries}
    assert len(pinned) == len(re.findall(r"^[A-Za-z0-9]", text, re.MULTILINE)) > 50
    for line in [*setup_requirements(), "setuptools>=70.1"]:  # of which on it makes wheels by itself
        wanted = Requirement(line)
        assert wanted.specifier.contains(pinned[canonicalize_name(wanted.name)]), line


def test_the_build_is_given_what_it_substitutes() -> None:
    config = yaml.safe_load((HERE / "cloudbuild.yaml").read_text(encoding="utf-8"))
    used = set(re.findall(r"\$\{(\w+)\}", (HERE / "cloudbuild.yaml").read_text(encoding="utf-8")))
    assert used == {"_IMAGE", "_MAIN"} and config["images"] == ["${_IMAGE}"]
    assert [step["args"][0] for step in config["steps"]] == ["build"]
    assert "--build-arg" in config["steps"][0]["args"] and "MAIN=${_MAIN}" in config["steps"][0]["args"]


@pytest.mark.parametrize("mix", list(MIXES.values()), ids=list(MIXES))
def test_the_recommended_workers_have_the_memory_that_they_need(mix: Any) -> None:
    assert mix.at_once >= mix.machine.cores, "a core would wait for memory"
    assert mix.needs_gb <= 0.9 * mix.machine.gb
    assert MIXES["conforming"].peak_gb < MIXES["photos"].peak_gb < MIXES["large"].peak_gb < 3.5


def test_metadata_spec_and_dockerfile_are_printed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["template", "metadata"]) == 0
    assert capsys.readouterr().out == (HERE / "batch_metadata.json").read_text(encoding="utf-8")
    assert main(["template", "dockerfile"]) == 0
    assert capsys.readouterr().out == (HERE / "Dockerfile").read_text(encoding="utf-8")
    assert main(["template", "spec", "--image", "image:1"]) == 0
    assert json.loads(capsys.readouterr().out) == spec(BATCH, "image:1")
    for _ in range(2):  # the second time it replaces the first
        assert main(["template", "spec", "--image", "image:2", "--spec", str(tmp_path / "batch.json")]) == 0
    assert json.loads((tmp_path / "batch.json").read_bytes()) == spec(BATCH, "image:2")
    assert capsys.readouterr().out == f"Wrote {tmp_path}/batch.json\n" * 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["spec"], "the following arguments are required: --image"),
        (["metadata", "--foo"], "--foo is no option of `tuneset template metadata`"),
        (["metadata", "--name", "nightly"], "argument --name: invalid choice: 'nightly'"),
        (["shout"], "argument ACTION: invalid choice: 'shout'"),
    ],
)
def test_a_wrong_command_is_told_in_a_line(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["template", *words]) == 2
    said = capsys.readouterr()
    assert said.err.startswith(f"tuneset: {told}") and said.out == "" and len(said.err.splitlines()) == 1


GCLOUD = """#!/bin/sh
printf '%s\\n' "$@" > "$TOLD"
exit $STATUS
"""


@pytest.mark.parametrize("status", [0, 3])
def test_build_submits_the_build_and_then_writes_the_spec(status: int, tmp_path: Path) -> None:
    """The build itself needs the cloud: what gcloud would be told is what is tested."""
    (tmp_path / "bin").mkdir()
    gcloud, told, place = tmp_path / "bin/gcloud", tmp_path / "told", tmp_path / "batch.json"
    gcloud.write_text(GCLOUD)
    gcloud.chmod(0o755)
    environment = {"PATH": f"{tmp_path}/bin:/usr/bin:/bin", "TOLD": str(told), "STATUS": str(status)}
    command = [
        sys.executable,
        "-W",
        "ignore::FutureWarning",  # Google's libraries warn of Python 3.10
        "-m",
        "beam_jobs",
        "template",
        "build",
        "--image",
        "host/p/tuneset:1",
        "--spec",
        str(place),
    ]
    done = subprocess.run([*command, "--project=my-project"], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert told.read_text().splitlines() == [
        "builds",
        "submit",
        ".",
        "--project=my-project",
        "--config=dataflow_templates/cloudbuild.yaml",
        "--ignore-file=dataflow_templates/.gcloudignore",
        "--substitutions=_IMAGE=host/p/tuneset:1,_MAIN=batch_main.py",
    ]
    assert done.returncode == (1 if status else 0) and place.exists() == (not status)
    if status:
        assert done.stderr == "tuneset: gcloud ended with status 3; no spec was written\n"


def test_build_can_be_printed_and_needs_a_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["template", "build", "--image", "i:1", "--spec", "gs://data/batch.json", "--project", "p", "--print_only"]
    monkeypatch.chdir(ROOT)
    assert main(words) == 0
    build, write = capsys.readouterr().out.splitlines()
    assert build.startswith("gcloud builds submit . ")
    assert write == "tuneset template spec --name batch --image i:1 --spec gs://data/batch.json"
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    assert "there is no dataflow_templates/Dockerfile here" in capsys.readouterr().err
