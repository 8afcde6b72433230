"""What a person is told who starts, errs or stops: one paragraph, the right exit status, and commands that can be pasted."""

from __future__ import annotations

import json
import os
import re
import resource
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from apache_beam.io.filesystem import BeamIOError
from PIL import Image

from beam_jobs.__main__ import main
from transforms.core.output_names import CLAIM
from transforms.dataset.claim import release_claim, take_claim
from transforms.storage.api import StorageError
from transforms.storage.beam_files import _translated

Told = pytest.CaptureFixture[str]
CSV = ("--prompt", "What?", "--answer", "{label}")


def picture(path: Path, number: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 30), (number * 20 % 256, 90, 90)).save(path, "PNG")


def row(image: str, **columns: str) -> str:
    parts = [{"fileData": {"mimeType": "image/png", "fileUri": image}}, {"text": "What?"}]
    turns = [{"role": "user", "parts": parts}, {"role": "model", "parts": [{"text": image}]}]
    return json.dumps({"contents": turns, **columns})


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with rows.jsonl and its pictures."""
    monkeypatch.chdir(tmp_path)
    for number in range(4):
        picture(tmp_path / f"{number}.png", number)
    (tmp_path / "rows.jsonl").write_text("".join(f"{row(f'{number}.png', kind='a')}\n" for number in range(4)))
    return tmp_path


@contextmanager
def no_file_grows() -> Iterator[None]:
    """As on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def paragraph(capfd: Told) -> str:
    """The one paragraph on standard error, without folders; progress may stand before it."""
    text = capfd.readouterr().err.replace(f"{Path.cwd()}/", "")
    lines = [line for line in text.splitlines() if "committed" not in line or line.startswith("tuneset")]
    assert len(lines) == 1 and "Traceback" not in text, text
    return lines[0]


# Help


@pytest.mark.parametrize(
    "command", ["", "prepare", "demo", "sweep", "template", "template build", "template launch", "template spec"]
)
def test_help_fits_a_terminal(command: str, monkeypatch: pytest.MonkeyPatch, capsys: Told) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main([*command.split(), "--help"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("usage: tuneset") and [line for line in said.splitlines() if len(line) > 80] == []


# Wrong commands and options


@pytest.mark.parametrize(
    "command, said",
    [
        ("Prepare", "argument COMMAND: invalid choice: 'Prepare'"),
        ("template print --help", "argument ACTION: invalid choice: 'print'"),
        ("template build", "`tuneset template build --help` lists the options"),
        ("template spec --image i --foo", "--foo is no option of `tuneset template spec`"),
        ("demo a b", "unrecognized arguments: b. `tuneset demo --help` lists the options"),
        ("demo --force", "unrecognized arguments: --force"),
        ("sweep", "the following arguments are required: --image_folder, --datasets. `tuneset sweep --help`"),
        ("sweep --image_folder . --datasets ,", "--datasets ',' names nothing where an item is expected"),
        (
            "sweep --image_folder nowhere --datasets d",
            "--image_folder nowhere: expected the folder that the runs were given",
        ),
        ("sweep --image_folder . --datasets gs:/b/d", "--datasets gs:/b/d: expected gs://BUCKET/FOLDER"),
        ("sweep --image_folder . --datasets d --min_age_hours nan", "--min_age_hours nan: expected 0 or more"),
        ("prepare --input , --output out", "--input ',' names nothing where an item is expected"),
        ("prepare --input gs:/b/x --output out", "--input gs:/b/x: expected gs://BUCKET/FOLDER or a local path"),
        ("prepare --input rows.jsonl --output gs://", "--output gs://: expected gs://BUCKET/FOLDER or a local path"),
        ("prepare --input rows.jsonl --output gs:/b/x", "--output gs:/b/x: expected gs://BUCKET/FOLDER"),
        (
            "prepare --input rows.jsonl --output out --allow_prefix https:/host.example/a",
            "--allow_prefix https:/host.example/a: expected two slashes behind the scheme",
        ),
        (
            "prepare --input https://host.example/rows.csv --output out",
            "rows.csv: expected a local path or gs://BUCKET/...; by URL only images are read",
        ),
        (
            "prepare --input rows.jsonl --output out --allow_prefix ftp://x",
            "--allow_prefix ftp://x: expected folders and",
        ),
        (
            "prepare --input rows.jsonl --output out --allow_prefix http:" + "//metadata.google.internal/a",
            "metadata.google.internal is a metadata service, which is never asked",
        ),
        (
            "prepare --input rows.jsonl --output out --allow_prefix https://me@host.example/",
            "a name or password stands before its host",
        ),
        ("prepare --input rows.jsonl --output out --max_validation -2", "--max_validation -2: expected at least 0"),
        ("prepare --input rows.jsonl --output rows.jsonl", "rows.jsonl cannot be a folder: rows.jsonl is a file"),
        (
            "prepare --input rows.jsonl --output rows.jsonl/out",
            "rows.jsonl/out cannot be a folder: rows.jsonl is a file",
        ),
        (
            "prepare --input 'rows.jsonl,a b' --output out",
            "a b finds no file to read: there is nothing of this name; commas part",
        ),
        (
            "prepare --input nothing.jsonl --output out",
            "--input nothing.jsonl finds no file to read: there is nothing of this name",
        ),
    ],
)
def test_a_wrong_command_is_told_and_touches_nothing(here: Path, capfd: Told, command: str, said: str) -> None:
    before = sorted(here.rglob("*"))
    assert main(shlex.split(command)) == 2
    text = paragraph(capfd)
    assert text.startswith("tuneset: ") and said in text
    assert sorted(here.rglob("*")) == before


def test_splits_that_do_not_add_up_are_named_once(here: Path, capfd: Told) -> None:
    assert main(["prepare", "--input", "rows.jsonl", "--output", "out", "--splits", "train=0.9,validation=0.2"]) == 2
    assert paragraph(capfd) == "tuneset: --splits train=0.9,validation=0.2: the fractions add up to 1.1, not 1"


# Wrong inputs


@pytest.mark.parametrize(
    "name, data, said",
    [
        (
            "a.pdf",
            b"%PDF-1.4\n",
            "a.pdf: it is a PDF: export its pages as images, or its table as CSV (JSON lines, CSV or",
        ),
        ("book.xlsx", b"PK\x03\x04\x14", "book.xlsx: it is a zip archive: extract it"),
        ("wide.csv", "image,label\n".encode("utf-16-le"), "wide.csv: it is UTF-16 without a mark: save it as UTF-8"),
        (
            "no.csv",
            b"",
            "no.csv: there is no row to tell the columns by: is the file empty, or what it is compressed with damaged?",
        ),
        ("folder/a.pdf", b"%PDF-1.4\n", "--input folder finds no file to read (of a folder: *.jsonl, *.csv, "),
        ("folder/a.pdf", b"%PDF-1.4\n", "; a.pdf: it is a PDF: export its pages as images, or its table as CSV)"),
    ],
)
def test_a_file_that_is_no_input_is_told(here: Path, capfd: Told, name: str, data: bytes, said: str) -> None:
    path = here / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    assert main(["prepare", "--input", name.partition("/")[0], "--output", "out", *CSV]) == 2
    assert said in paragraph(capfd) and not (here / "out").exists()


@pytest.mark.parametrize(
    "data, said",
    [
        (b"", "not sealed. The input holds no row."),
        (b"\n\n", "not sealed. The input holds no row."),
        (
            b"[1]\n",
            "None of the 1 rows can be used (not_an_object 1). not_an_object: The line is JSON but not an object: write",
        ),
        ("{}\n".encode("utf-16"), "(utf16 1). utf16: The file starts with a UTF-16 mark: save it as UTF-8."),
    ],
)
def test_why_nothing_was_sealed_says_what_to_do(here: Path, capfd: Told, data: bytes, said: str) -> None:
    (here / "bad.jsonl").write_bytes(data)
    assert main(["prepare", "--input", "bad.jsonl", "--output", "out"]) == 1
    assert said in paragraph(capfd)


def test_a_column_that_first_rows_have_not_is_told(here: Path, capsys: Told) -> None:
    argv = ["prepare", "--input", "rows.jsonl", "--dry_run"]
    assert main([*argv, "--split_column", "knid"]) == 0
    assert (
        "! column_unseen: the first rows of ./rows.jsonl have no 'knid' (--split_column). "
        in capsys.readouterr().out.replace(str(here), ".")
    )
    assert main([*argv, "--split_by", "kind"]) == 0
    assert "!" not in capsys.readouterr().out


# What the world does


def test_a_folder_that_cannot_be_written_to(here: Path, capfd: Told) -> None:
    assert main(["prepare", "--input", "rows.jsonl", "--output", "/proc/tuneset"]) == 1
    assert paragraph(capfd).startswith("tuneset: /proc/tuneset cannot be written to: choose a folder that can.")


def test_a_sample_that_cannot_be_written(here: Path, capfd: Told) -> None:
    assert main(["demo", "rows.jsonl"]) == 1
    assert paragraph(capfd).startswith("tuneset: the sample cannot be written: ")


def test_a_full_disk_does_not_hide_why_a_run_ended(here: Path) -> None:
    take_claim(str(here), "a run", take_over=False)
    with no_file_grows():
        release_claim(str(here), "a run")
    assert "ended" not in json.loads((here / CLAIM).read_bytes())


def test_a_dry_run_whose_engine_fails(here: Path, capfd: Told) -> None:
    argv = ["--dry_run", "--runner", "FlinkRunner", "--flink_job_server_jar", "/nowhere/flink.jar"]
    assert main(["prepare", "--input", "rows.jsonl", *argv]) == 1
    assert paragraph(capfd).endswith(". Nothing was written.")


def test_an_interrupt_before_anything_began_is_one_line(here: Path) -> None:
    program = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background jobs ignore it
        "stop = lambda event, args: event == 'import' and args[0] == 'apache_beam' and os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.addaudithook(stop)\n"
        "from beam_jobs.__main__ import command_line\n"
        "sys.argv = ['tuneset', 'prepare', '--input', 'rows.jsonl', '--output', 'out']\n"
        "command_line()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "tuneset: interrupted.\n")


def test_a_file_system_that_is_not_installed_is_named() -> None:
    inner = BeamIOError("exists() operation failed", {"s3://b/x": AssertionError("Missing boto3 requirement")})
    said = re.escape("s3://b/x cannot be read: Missing boto3 requirement (pip install 'apache-beam[aws]')")
    with pytest.raises(StorageError, match=said), _translated("s3://b/x"):
        raise BeamIOError("Match operation failed", {"s3://b/x": inner})


# The next step


def pasted(screen: str) -> list[list[str]]:
    """The commands of a closing screen, as a shell reads them."""
    return [shlex.split(line) for line in screen.splitlines() if line.startswith(("  tuneset ", "  (cd "))]


def test_the_next_steps_can_be_pasted(here: Path, capsys: Told) -> None:
    for number in range(3):
        picture(here / "my photos (2024)/it's a cat" / f"{number}.png", number)
    (here / "my photos (2024)/it's a cat/cut.png").write_bytes(b"no image")
    argv = [
        "--input",
        "my photos (2024)",
        "--output",
        "a set",
        "--prompt",
        "What is {path.stem}?",
        "--splits",
        "train=1",
    ]
    assert main(["prepare", *argv]) == 0
    replay, upload = pasted(capsys.readouterr().out)
    assert main(replay[1:]) == 1  # it is no image still
    assert "not_an_image: The bytes are no image" in capsys.readouterr().err
    assert upload[-2:] == ["--splits", "train=1"] and f"{here}/a set-for-upload" in upload
    assert main([word.replace("gs://BUCKET/FOLDER", "gs://bucket/my data") for word in upload[1:]]) == 0
    said = capsys.readouterr().out
    assert "and name train.jsonl to the tuning job:" in said  # validation.jsonl is empty
    images, files = pasted(said)[1:]
    assert images[:2] == ["(cd", f"{here}/a set-for-upload/images"] and "gs://bucket/my data/images/" in images
    assert files[:2] == ["(cd", f"{here}/a set-for-upload"] and files[-1] == "gs://bucket/my data/)"
    uris = [
        json.loads(line)["contents"][0]["parts"][0]["fileData"]["fileUri"]
        for line in Path("a set-for-upload/train.jsonl").read_text().splitlines()
    ]
    assert len(uris) == 3 and all(uri.startswith("gs://bucket/my data/images/") for uri in uris)


def test_a_dataset_without_a_line_to_train_on_is_named_to_no_tuning_job(here: Path, capsys: Told) -> None:
    (here / "one.jsonl").write_text(row("0.png"))
    argv = ["prepare", "--input", "one.jsonl", "--output", "out", "--uri_prefix", "gs://bucket/data"]
    assert main([*argv, "--splits", "train=0.001,test=0.999"]) == 0
    said = capsys.readouterr().out
    assert "! empty_split: train.jsonl is empty." in said
    assert "No tuning job can use it alone: it has nothing to train on." in said
    assert "name " not in said and "gcloud" not in said


def test_a_path_that_is_not_utf_8_is_refused(here: Path, capsys: Told) -> None:
    odd = os.fsdecode(b"in\xff")
    Path(odd).mkdir()
    for given in (["--input", odd, "--output", "out"], ["--input", "rows.jsonl", "--output", odd]):
        assert main(["prepare", *given]) == 2
        assert "in\\udcff' is not UTF-8" in capsys.readouterr().err


def test_one_is_one(here: Path, capsys: Told) -> None:
    (here / "one.jsonl").write_text(f"{row('0.png')}\nno row\n")
    assert main(["prepare", "--input", "one.jsonl", "--output", "out", "--splits", "train=1"]) == 0
    said = capsys.readouterr().out
    assert "  train.jsonl       1 line\n" in said and "  examples.parquet  1 row\n" in said
    assert main(["prepare", "--input", "one.jsonl", "--preview", "2"]) == 0
    assert "1 example, and 1 rejected row in the whole input. Nothing was written." in capsys.readouterr().out
