"""`tuneset merge`: join sealed windows of a stream into one dataset, as the batch job seals its blocks."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import apache_beam as beam

from beam_jobs import console
from beam_jobs.command_parser import Parser, options_parser
from beam_jobs.commands.prepare import failed, not_begun, reported, run_that_sealed, set_up_log, take
from beam_jobs.exit_status import DONE, FAILED, WRONG
from beam_jobs.graph import seal
from beam_jobs.job import Job
from beam_jobs.manifests import differences, read_manifest
from beam_jobs.option_values import reader_of
from beam_jobs.options import OPTIONS, OptionError
from beam_jobs.preflight import beam_options, check_buckets, on_this_machine, runner_of
from beam_jobs.report import screen
from beam_jobs.report.interrupted import command_again
from beam_jobs.report.progress import stderr_alone, watched_counts
from beam_jobs.report.shortages import allow_files
from beam_jobs.report.ticker import ticking
from beam_jobs.settings import Settings, settings_of
from beam_jobs.signals import INTERRUPTED
from beam_jobs.stream.windows import Found, Range, find_windows
from transforms.arrivals.merging import WindowReader
from transforms.arrivals.windows import window_name
from transforms.core import VERSION
from transforms.core.finding_codes import ALL, AUTO, LEVELS, NONE
from transforms.core.limits import PROFILES
from transforms.core.places import inside
from transforms.core.warning_codes import as_lines
from transforms.dataset.claim import Claimed, release_claim
from transforms.dataset.findings.sealed import FindingsSealer
from transforms.dataset.heartbeat import Heartbeat
from transforms.dataset.resplit import Resplitter
from transforms.dataset.sweep import remove_dataset
from transforms.examples.image_groups import BY_IMAGE
from transforms.images.identity import ADDRESS, IDENTITIES
from transforms.steps.clean_up import SweepBlocks
from transforms.steps.merge import ReadWindows, SplitByImages
from transforms.storage.api import NoAccess, NotFound, StorageError, Unavailable, set_access

_OF_PREPARE = (
    "output", "model", "max_validation", "sample", "shuffle_seed", "max_rejected_fraction", "report", "report_pictures",
    "overwrite", "take_over", "user_project", "quiet", "verbose", "split_by", "join_common", "findings",
)  # fmt: skip
_TABLE = tuple(replace(one, default="", common=True) if one.name == "model" else replace(one, common=True) for one in OPTIONS
               if one.name in _OF_PREPARE)  # fmt: skip


@dataclass(frozen=True)
class Merge:
    """What is to be merged. model: "" for the windows' own."""

    settings: Settings
    windows: Range
    newest: bool
    model: str

    @property
    def folder(self) -> str:
        return self.settings.input[0]


def parser() -> Parser:
    """The parser of `tuneset merge`."""
    made = options_parser(
        _TABLE,
        True,
        prog="tuneset merge",
        usage="tuneset merge FOLDER --output DATASET [options]",
        description="Join the sealed windows of a stream into one dataset for a tuning job. Of a name that arrived more than once "
        "the newest version counts.",
    )
    made.add_argument(
        "folder",
        nargs="?",
        type=reader_of("PATTERN"),
        metavar="FOLDER",
        help="the --output of `tuneset stream`",
    )
    made.add_argument(
        "--from",
        dest="since",
        default=0,
        type=reader_of("TIME"),
        metavar="TIME",
        help="windows that begin then or later (UTC)",
    )
    made.add_argument(
        "--to", dest="until", default=0, type=reader_of("TIME"), metavar="TIME", help="windows that begin before"
    )
    made.add_argument(
        "--versions",
        default="newest",
        choices=("newest", "all"),
        metavar="newest|all",
        help="of a name that was overwritten: the newest version alone, or each (default newest)",
    )
    return made


def parse_merge(argv: Sequence[str]) -> Merge:
    """argv after `merge` -> what is to be merged.

    Raises:
      OptionError: an option is missing, unknown or wrong.
    """
    known, beam_words = parser().parse_known_args(list(argv))
    if beam_words and runner_of_words(beam_words) != "FnApiRunner":
        raise OptionError("--runner: `tuneset merge` works in this process: leave it out")
    values = vars(known)
    for name in ("folder", "output"):
        if not values[name]:
            what = "--output" if name == "output" else "the --output of `tuneset stream`"
            raise OptionError(f"{what} is missing. For example: tuneset merge stream --output dataset")
    folder, model = values.pop("folder"), values.pop("model")
    some, newest = Range(values.pop("since"), values.pop("until")), values.pop("versions") == "newest"
    if some.until and some.since >= some.until:
        since, until = window_name(some.since), window_name(some.until)
        raise OptionError(f"--from {since} --to {until}: expected a --to that is later, as windows begin before it")
    rest = {one.name: () if one.is_list else one.default for one in OPTIONS if one.name not in values}
    rest |= {"input": (folder,), "model": model or rest["model"]}
    if values["split_by"] not in ("", BY_IMAGE):
        raise OptionError("--split_by: `tuneset merge` takes image alone; a column is given to `tuneset stream`")
    return Merge(on_this_machine(settings_of(rest | values, beam_words)), some, newest, model)


def runner_of_words(words: Sequence[str]) -> str:
    """The runner that Beam's words name."""
    usual = {one.name: () if one.is_list else one.default for one in OPTIONS}
    return runner_of(settings_of(usual, words))


def merge(argv: Sequence[str]) -> int:
    """Join windows -> exit status: 0 sealed, 1 failed, 2 wrong options."""
    allow_files()
    try:
        asked = parse_merge(argv)
        set_up_log(asked.settings.verbose)
        set_access(asked.settings.access)
        output = asked.settings.output
        if inside(output, f"{asked.folder.rstrip('/')}/windows") or output == asked.folder.rstrip("/"):
            raise OptionError(f"--output {output} lies where the stream's own windows are: choose another")
        found = find_windows(asked.folder.rstrip("/"), asked.windows, asked.newest)
        settings = settled(asked, found)
        told = as_lines(check_buckets(settings))
        if found.unsealed:
            told.append(
                f"! {screen.count(found.unsealed, 'window')} left out: too much of them was rejected (their unsealed.json)"
            )
        if found.unfinished:
            told.append(
                f"! {screen.count(found.unfinished, 'window')} left out: not sealed by now. Once the stream has done so, merge into "
                "another --output"
            )
        manifest = _sealed_before(settings, found)
    except (Claimed, NoAccess, Unavailable) as error:
        console.complain(str(error))
        return FAILED
    except (OptionError, StorageError) as error:
        console.complain(str(error))
        return WRONG
    if manifest is not None:
        console.say(screen.sealed_before(manifest, settings))
        return DONE
    if told:
        console.say("\n".join([*told, ""]))
    return _run_claimed(settings, found, argv)


def settled(asked: Merge, found: Found) -> Settings:
    """Settings with what the windows were made with, but for what is asked of the merge itself.

    Raises:
      OptionError: the windows cannot become what is asked for.
    """
    options, settings = found.described["options"], asked.settings
    model = asked.model or options["model"]
    if PROFILES[model].max_images < options["max_images"]:
        raise OptionError(
            f"--model {model} takes {PROFILES[model].max_images} images an example, and the windows were made for "
            f"{options['max_images']}: stream with --max_images {PROFILES[model].max_images}"
        )
    if settings.split_by and options["split_column"]:
        raise OptionError(
            f"--split_by image would undo what the windows' --split_column {options['split_column']} decides: leave it out"
        )
    findings = _findings_told(settings.findings, found.noted)
    given = settings.max_validation != settings.profile.max_validation
    return replace(
        settings,
        model=model,
        max_validation=settings.max_validation if given else PROFILES[model].max_validation,
        splits=options["splits"],
        seed=options["seed"],
        image_folder=options["image_folder"] or f"{asked.folder.rstrip('/')}/images",
        uri_prefix=options["uri_prefix"],
        verify=options["verify"],
        findings=findings,
    )


def _findings_told(asked: str, noted: str) -> str:
    """Which findings of the merged dataset are told, of LEVELS.

    Raises:
      OptionError: windows did not note what is asked for.
    """
    if asked == AUTO:
        return AUTO if noted == ALL else noted
    if LEVELS.index(asked) > LEVELS.index(noted):
        raise OptionError(
            f"--findings {asked}: some windows were sealed with --findings {noted}; expected {noted} or less here. "
            f"`tuneset check --input DATASET` looks at the merged dataset itself"
        )
    return asked


def _described(settings: Settings, found: Found) -> dict[str, Any]:
    """What the manifest says of the dataset beside its files and counts."""
    own = {
        name: getattr(settings, name)
        for name in ("model", "max_validation", "sample", "shuffle_seed", "image_folder", "join_common", "findings")
    }
    identity = {}
    if settings.split_by == BY_IMAGE:
        own["split_by"], identity["image_identity"] = BY_IMAGE, IDENTITIES[ADDRESS]
    return (
        found.shared
        | identity
        | {
            "tool": VERSION,
            "inputs": list(settings.input),
            "output": settings.output,
            "options": found.described["options"] | own,
            "limits": settings.profile.source,
            "windows": [window.name for window in found.windows],
            "doubles": found.doubles,
        }
    )


def _sealed_before(settings: Settings, found: Found) -> dict[str, Any] | None:
    """The manifest, if the same windows were merged in the same way before.

    Raises:
      OptionError: the folder holds another dataset.
    """
    try:
        manifest = read_manifest(settings.output)
    except NotFound:
        return None
    if settings.overwrite:
        return None
    now, before = json.loads(json.dumps(_described(settings, found))), manifest.get("dataset", {})
    other = differences(before, now)
    if before.get("windows") != now["windows"]:
        other.append(
            f"its windows were {len(before.get('windows', ()))} and are {len(now['windows'])}, not the same ones"
        )
    other += [f"other {name}" for name in now if not other and before.get(name) != now[name]]
    if other:
        raise OptionError(
            f"{settings.output} holds another dataset ({'; '.join(other)}): choose another --output, or add --overwrite"
        )
    return manifest


def _run_claimed(settings: Settings, found: Found, argv: Sequence[str]) -> int:
    """Claim the folder and merge into it -> exit status."""
    output, run = settings.output, uuid.uuid4().hex[:12]
    try:
        claim = take(settings, run)
        with watched_counts() as counts, Heartbeat(output, run):
            plan = Job(settings, claim, remote=False, counts=counts)
            if settings.overwrite:
                remove_dataset(output)
            try:
                return _merge(plan, found)
            except KeyboardInterrupt as stop:
                if run_that_sealed(output) == run:
                    return failed(stop, plan)
                again = command_again("merge", argv)
                console.complain(f"not sealed. {INTERRUPTED}. The windows are as they were. To merge them:\n  {again}")
                return FAILED
            except Exception as error:  # an engine's, which wraps what its workers raise
                return failed(error, plan)
    except (Claimed, StorageError) as error:
        console.complain(not_begun(output, error))
        return FAILED
    finally:
        release_claim(output, run)  # if it is there still


def _merge(plan: Job, found: Found) -> int:
    settings, windows = plan.settings, len(found.windows)

    def standing() -> str:
        read = plan.counts.total()["blocks_committed"]
        return f"{read:,} of {windows:,} windows read" if read < windows else f"seal  {windows:,} windows read"

    with stderr_alone(settings.verbose) as out, ticking(standing, hidden=settings.quiet, out=out):
        pipeline = beam.Pipeline(options=beam_options(settings))
        build_merge(pipeline, plan, found)
        pipeline.run().wait_until_finish()
    manifest = read_manifest(settings.output)
    console.say("\n".join(filter(None, (_closing(manifest, settings, found), reported(plan, manifest)))))
    return DONE


def _closing(manifest: dict[str, Any], settings: Settings, found: Found) -> str:
    """The closing screen."""
    dataset, run = manifest["dataset"], manifest["run"]
    windows = screen.count(len(found.windows), "window")
    doubles = f"; of {screen.count(found.doubles, 'name')} a newer version counts" if found.doubles else ""
    lines = [
        f"Sealed {settings.output} in {run['finished'] - run['started']:.1f} s: {windows}{doubles}.",
        "",
        *screen.tree(dataset),
        "",
        *screen.ledger(dataset),
        "",
        *screen.warnings(dataset),
        *screen.findings(dataset),
    ]
    if dataset["uploadable"] == "not yet":
        lines.append(
            "Not yet uploadable: fileUri holds absolute paths of this machine. A stream with a gs:// --output, or with "
            "--uri_prefix, names images as the tuning service will find them."
        )
    return "\n".join(lines)


def _findings(plan: Job, found: Found) -> FindingsSealer | None:
    """As `tuneset prepare` tells them, of what windows noted; images are told apart as they were there."""
    sealer = plan.findings
    return replace(sealer, identity=found.identity) if sealer else None


def build_merge(pipeline: beam.Pipeline, plan: Job, found: Found) -> None:
    """Lay out a merge: windows -> receipts -> dataset -> sweep."""
    settings = plan.settings
    window = WindowReader(settings.output, plan.caps, settings.profile.max_tokens, settings.findings != NONE)
    reader = ReadWindows(reader=window, access=plan.access, counts=plan.counts)
    receipts = pipeline | "Windows" >> beam.Create(list(found.windows), reshuffle=False) | "Receipts" >> reader
    if settings.split_by == BY_IMAGE:
        resplitter = Resplitter(folder=settings.output, splits=settings.fractions, seed=plan.seed, caps=plan.caps)
        receipts = receipts | "Split by images" >> SplitByImages(
            resplitter=resplitter, joining=plan.joining, access=plan.access
        )
    no_listing = pipeline | "No listing" >> beam.Create([], reshuffle=False)
    sealing = replace(
        seal(plan), dataset=_described(settings, found), by_class=found.by_class, findings=_findings(plan, found)
    )
    sealed = (receipts, no_listing) | "Seal" >> sealing
    sweep = SweepBlocks(folder=settings.output, run=plan.claim.run, keep_blocks=False, access=plan.access)
    _ = sealed | "Clean up" >> sweep
