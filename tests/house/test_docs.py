"""The papers say what the code does: tables, commands, the demo's output, links; and they name no machine."""

from __future__ import annotations

import ast
import re
import runpy
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from beam_jobs.__main__ import main
from beam_jobs.commands.check import parser as check_parser
from beam_jobs.commands.explain import parser as explain_parser
from beam_jobs.commands.export import parser as export_parser
from beam_jobs.commands.merge import parse_merge
from beam_jobs.commands.merge import parser as merge_parser
from beam_jobs.commands.sweep import parser as sweep_parser
from beam_jobs.commands.template import parser as template_parser
from beam_jobs.dataflow.workers import MIXES
from beam_jobs.docs_tables import fill, tables
from beam_jobs.options import OPTIONS
from beam_jobs.settings import parse
from beam_jobs.stream.options import OWN, STREAM_OPTIONS, parse_stream
from transforms.core import VERSION
from transforms.core.counters import COUNTERS
from transforms.core.finding_codes import FINDINGS
from transforms.core.limits import PROFILES
from transforms.core.reasons import REASONS
from transforms.core.warning_codes import WARNINGS

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAPERS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted(DOCS.glob("*.md"))
README = (ROOT / "README.md").read_text(encoding="utf-8")
QUICK_START = (DOCS / "quick-start.md").read_text(encoding="utf-8")
NAMES = [path.relative_to(ROOT).as_posix() for path in PAPERS]

OTHERS_FLAGS = {"check", "no", "read", "strict", "file", "repeat"}  # of ruff, gcloud, mypy, docker, the benchmarks
OTHERS_FLAGS |= {"artifacts", "flink", "parallelism", "service_port", "environment_option"}  # of Beam's engines
OTHERS_FLAGS |= {
    "checkpointing_interval",
    "finish_bundle_before_checkpointing",
    "max_bundle_time_mills",
    "shutdown_sources_after_idle_ms",
}  # of Flink's job server
OTHERS_FLAGS |= {"topic", "event", "dead", "message"}  # of gcloud: --event-types, --dead-letter-topic, ...
# What a checkout holds beside the repository: as .gitignore says.
NOT_OURS = {
    ".git",
    ".venv",
    "engines",
    "demo",
    "build",
    "dist",
    ".hypothesis",
    ".pytest_cache",
    ".mypy_cache",
    ".ruff_cache",
}
HOSTS = {
    "beam.apache.org",
    "cloud.google.com",
    "console.cloud.google.com",
    "docs.cloud.google.com",
    "keepachangelog.com",
    "maven.apache.org",  # the name of the POM format
    "ns.adobe.com",  # the name of XMP
    "semver.org",
    "www.apache.org",
    "www.w3.org",
    "git-lfs.github.com",  # a pointer file's first line
    "127.0.0.1",
    "workflowexecutions.googleapis.com",  # the service that the schedule calls
    "www.googleapis.com",  # names of OAuth scopes
}
TEST_HOST = re.compile(r"(?:[\w-]+\.)*(?:example|example\.com|example\.org|test|invalid|localhost)|[a-z]|git-lfs")


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def blocks(text: str, kind: str) -> Iterator[str]:
    """Fenced blocks of one kind."""
    for found in re.finditer(rf"^```{kind}\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        yield found[1]


def commands() -> list[str]:
    """Every `tuneset ...` line of a shell block, and every one in running text."""
    found = []
    for path in PAPERS:
        text = text_of(path)
        for block in blocks(text, "sh"):
            found += [line for line in block.replace("\\\n", " ").splitlines() if line.startswith("tuneset ")]
        prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
        found += re.findall(r"`(tuneset [^`]+)`", prose)
    return found


@pytest.mark.parametrize("name", tables())
def test_pages_hold_the_tables_of_the_code(name: str) -> None:
    page = text_of(DOCS / f"{name}.md")
    assert fill(page, name, tables()[name]) == page, "run: python -m beam_jobs.docs_tables"


def test_tables_name_all_that_the_code_has() -> None:
    rows = {name: re.findall(r"^\| (?:[^|`]+\| )?`([^`]+)`", table, re.MULTILINE) for name, table in tables().items()}
    assert rows == {
        "options": [f"--{option.name}" for option in OPTIONS],
        "streaming": [f"--{option.name}" for option in OWN],
        "counters": list(COUNTERS),
        "reasons": list(REASONS),
        "warnings": list(WARNINGS),
        "check": list(FINDINGS),
        "dataflow": list(MIXES),
        "service": list(PROFILES),
    }


def test_a_table_without_its_markers_is_an_error() -> None:
    with pytest.raises(ValueError, match="0 places for the table of reasons"):
        fill("<!-- reasons -->\n", "reasons", "")


def test_the_readme_stays_short() -> None:
    assert len(README.splitlines()) <= 130
    assert len(README) <= 9_000


def test_the_index_names_every_page() -> None:
    linked = re.findall(r"\]\(([\w-]+\.md)\)", text_of(DOCS / "README.md"))
    assert sorted(linked) == sorted(page.name for page in DOCS.glob("*.md") if page.name != "README.md")


def test_the_pictures_of_the_flow_are_those_that_the_script_makes() -> None:
    made = runpy.run_path(str(DOCS / "make_flow.py"))["pictures"]()
    assert made == {path.name: text_of(path) for path in (DOCS / "pictures").glob("*.svg")}, "run: docs/make_flow.py"


def test_pictures_that_pages_show_are_there_and_no_others() -> None:
    pages = [README, *(text_of(page) for page in DOCS.glob("*.md"))]
    named = {name for page in pages for name in re.findall(r"\bpictures/([\w.-]+)", page)}
    assert named == {path.name for path in (DOCS / "pictures").iterdir()}
    assert all(path.stat().st_size < 200_000 for path in (DOCS / "pictures").iterdir())


def test_help_shows_the_options_that_most_people_need(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare", "--help"]) == 0
    shown = capsys.readouterr().out
    named = re.findall(r"^  --(\w+)", shown, re.MULTILINE)
    assert named == [option.name for option in OPTIONS if option.common] and 10 <= len(named) <= 14
    assert "--help all shows every one. Exit status: 0 sealed, 1 failed" in " ".join(shown.split())


def test_help_names_each_option_with_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare", "--help", "all"]) == 0
    shown = capsys.readouterr().out
    entries = {}  # without white space, as lines are also broken behind hyphens
    for entry in re.split(r"\n(?=  --)", shown.partition("\ninput:")[2])[1:]:
        entries[entry.split()[0].removeprefix("--")] = "".join(entry.split("\n\n")[0].split())
    assert list(entries) == [option.name for option in OPTIONS]
    for option in OPTIONS:
        told = "".join(option.help.split())
        if option.default not in (None, "", False, 0, -1):  # these are told in words, or it is a switch
            told += f"(default{option.default})"
        assert entries[option.name].endswith(told)
    assert "Exit status: 0 sealed, 1 failed" in " ".join(shown.split())


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", text_of(ROOT / "Makefile"), re.MULTILINE))
    named = {
        (path.name, target)
        for path in [*PAPERS, ROOT / ".ci/run"]
        for target in re.findall(r"(?:^|`)make ([a-z-]+)", text_of(path), re.MULTILINE)
    }
    assert {("README.md", "demo"), ("quick-start.md", "test"), ("CONTRIBUTING.md", "test-engines")} <= named
    assert sorted(use for use in named if use[1] not in targets) == []


def test_subcommands_exist(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    known = re.findall(r"^    ([a-z]+) ", capsys.readouterr().out, re.MULTILINE)
    assert known == [
        "prepare", "check", "stream", "merge", "demo", "explain", "export", "formats", "sweep", "template",
    ]  # fmt: skip
    assert {shlex.split(command)[1] for command in commands()} == set(known)
    assert main(["nonsense"]) == 2


@pytest.mark.parametrize(
    "subcommand",
    ["prepare", "check", "stream", "merge", "template", "sweep", "demo", "explain", "export", "formats"],
)
def test_help_of_a_subcommand_writes_nothing(
    subcommand: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([subcommand, "--help"]) == 0
    assert capsys.readouterr().out.startswith("usage: tuneset ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [c for c in commands() if "--input" in c])
def test_commands_are_accepted(command: str) -> None:
    expanded = re.sub(r"\$\([^)]*\)", "2026-11-29", command)  # as a shell does with $(date +%F)
    words = shlex.split(re.sub(r"\bFOLDERS\b", "folders", expanded))[1:]
    if words[0] == "template":
        assert words[1] == "launch"
        _, words[1:] = template_parser().parse_known_args(words[1:])
    if words[0] == "check":
        assert check_parser().parse_known_args(words[1:])[1] == []
        return
    settings = parse(words[1:])
    known = set(PipelineOptions().get_all_options())
    assert {flag.removeprefix("--") for flag in settings.beam if flag.startswith("--")} <= known


@pytest.mark.parametrize("command", [c for c in commands() if c.startswith(("tuneset stream --", "tuneset merge "))])
def test_commands_of_streams_are_accepted(command: str) -> None:
    words = shlex.split(command)[1:]
    (parse_stream if words[0] == "stream" else parse_merge)(words[1:])


def benchmark_sizes() -> set[str]:
    """What the benchmarks take beside the options that all of them share: keywords and texts of their `arguments(...)`."""
    calls = [
        node
        for path in (ROOT / "benchmarks").glob("*.py")
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "arguments"
    ]
    texts = [key for call in calls for given in call.args if isinstance(given, ast.Dict) for key in given.keys]
    sizes = {keyword.arg for call in calls for keyword in call.keywords if keyword.arg}
    return sizes | {text.value for text in texts if isinstance(text, ast.Constant)}


def template_flags() -> set[str]:
    """What `tuneset template ACTION` takes beside the options of a job."""
    [actions] = [action for action in template_parser()._actions if action.dest == "action"]
    return {flag.removeprefix("--") for one in actions.choices.values() for flag in one._option_string_actions}


def other_flags() -> set[str]:
    """What the commands beside `prepare` and `template` take."""
    parsers = (check_parser(), sweep_parser(), explain_parser(), export_parser())
    actions = [action for parser in parsers for action in parser._actions]
    return {flag.removeprefix("--") for action in actions for flag in action.option_strings}


def stream_flags() -> set[str]:
    merging = {flag.removeprefix("--") for action in merge_parser()._actions for flag in action.option_strings}
    return merging | {option.name for option in STREAM_OPTIONS} | {"stream"}  # of tuneset demo


def test_no_flag_is_named_that_does_not_exist() -> None:
    beam = set(PipelineOptions().get_all_options())
    known = (
        {option.name for option in OPTIONS}
        | beam
        | OTHERS_FLAGS
        | {"help", "version"}
        | benchmark_sizes()
        | template_flags()
        | other_flags()
        | stream_flags()
    )
    flags = {(path.name, flag) for path in PAPERS for flag in re.findall(r"(?<![\w-])--([a-z_]+)\b", text_of(path))}
    assert {("README.md", "verify"), ("options.md", "verify")} <= flags
    assert sorted(use for use in flags if use[1] not in known) == []


def shown_demo(page: str, start: str) -> list[str]:
    """Lines of the block in which a page shows the demo's screen, from its first words."""
    return next(block for block in blocks(page, "text") if block.startswith(start)).splitlines()


def comparable(text: str) -> str:
    """A line of the demo without what differs from one machine to the next: seconds, and sizes that codecs decide."""
    text = re.sub(r"in \d+\.\d s\.", "in N s.", text)
    return re.sub(r"\d+\.\d MB", "N MB", text)


def test_the_demo_prints_what_the_pages_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "demo"]) == 0
    actual = [comparable(line) for line in capsys.readouterr().out.replace(f"{tmp_path}/", "").splitlines()]
    check_shown(shown_demo(QUICK_START, "Wrote demo/"), actual)
    sealed = next(at for at, line in enumerate(actual) if line.startswith("Sealed "))
    check_shown(shown_demo(README, "Sealed demo/"), actual[sealed:])


def check_shown(shown: list[str], actual: list[str]) -> None:
    """Compare what a page shows of a screen, with dots where it is shortened, with the screen."""
    at, gap = 0, False
    for line in map(comparable, shown):
        if line.strip() == "...":
            gap = True
            continue
        start = line.removesuffix(" ...")

        def fits(found: str, line: str = line, start: str = start) -> bool:
            return found == line or (start != line and found.startswith(start))

        if gap:
            while at < len(actual) and not fits(actual[at]):
                at += 1
        assert at < len(actual) and fits(actual[at]), f"the demo does not print {line!r} there"
        at, gap = at + 1, False
    assert gap or at == len(actual), f"the demo goes on: {actual[at]!r}"


def anchors(text: str) -> set[str]:
    """Names of a text's headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name: str) -> None:
    path = ROOT / name
    for target in re.findall(r"\]\(([^)]+)\)", text_of(path)):
        if re.match(r"https?://", target):
            continue
        file, _, anchor = target.partition("#")
        linked = (path.parent / file).resolve() if file else path
        assert linked.exists() and ROOT in linked.parents, f"{target} is not there"
        assert not anchor or anchor in anchors(text_of(linked)), f"{target}: no such heading"


def test_files_named_in_the_papers_exist() -> None:
    named = {
        (path.name, file)
        for path in PAPERS
        for file in re.findall(r"\b((?:beam_jobs|transforms|tests|benchmarks|docs)/[\w/]+\.\w+)", text_of(path))
    }
    assert ("CONTRIBUTING.md", "tests/house/test_house.py") in named
    assert sorted(use for use in named if not (ROOT / use[1]).is_file()) == []


def test_the_changelog_tells_of_this_version() -> None:
    assert re.findall(r"^## \[([^\]]+)\]", text_of(ROOT / "CHANGELOG.md"), re.MULTILINE)[0] == VERSION


def test_the_license_is_the_one_declared() -> None:
    text = text_of(ROOT / "LICENSE")
    assert (
        "Apache License\n" in text
        and "Version 2.0, January 2004" in text
        and text.rstrip().endswith("under the License.")
    )
    assert 'license="Apache-2.0"' in text_of(ROOT / "setup.py")


def repository() -> Iterator[tuple[str, str]]:
    """Name and text of every file of the repository."""
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        if (
            NOT_OURS & set(parts)
            or "__pycache__" in parts
            or parts[0].endswith(".egg-info")
            or parts[0].startswith(".venv-")
            or not path.is_file()
        ):
            continue
        yield "/".join(parts), path.read_bytes().decode("utf-8", "replace")


def test_no_file_names_a_path_of_some_machine() -> None:
    machine = re.compile(r"(?<![\w.<>*])/(?:work|root|home/(?!someone)\w+|Users/\w+)/\w")
    assert [(name, found[0]) for name, text in repository() if (found := machine.search(text))] == []


def test_no_file_names_a_host_of_a_registry() -> None:
    """Only documentation, names of formats and made-up hosts; packages are found where a user's own tools look."""
    unknown = []
    for name, text in repository():
        hosts = re.findall(r"\b(?:https?|ftp|git|ssh)(?:\+\w+)?://(?:[\w.-]+@)?([\w.-]+)", text)
        unknown += [(name, host) for host in hosts if host not in HOSTS and not TEST_HOST.fullmatch(host)]
    assert unknown == []
