"""The options of `tuneset stream`: its own, and those of `tuneset prepare` that mean something there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from beam_jobs.command_parser import Parser, options_parser
from beam_jobs.options import OPTIONS, Option, OptionError, option
from beam_jobs.settings import Settings, flags_of, settings_of
from transforms.core.finding_codes import NONE
from transforms.examples.image_groups import BY_IMAGE

_STREAM = "stream"
# Of prepare: what looks at an input that is all there, chooses among all lines, or ends a run without a dataset.
_NOT_OF_STREAMS = {
    "input", "join_common", "max_validation", "overwrite", "shuffle_seed", "split_names", "previous", "require_previous", "trust_uris",
    "preview", "dry_run", "keep_blocks", "no_wait",
}  # fmt: skip


# fmt: off
@dataclass(frozen=True)
class StreamOptions:
    """The value of every option that `tuneset prepare` has not; durations are in seconds."""

    watch: str = option(_STREAM, "",
        "folder, glob or file that is looked at again and again; local or gs://", "PATTERN", common=True)
    subscription: str = option(_STREAM, "",
        "Pub/Sub subscription that announces uploads to Cloud Storage, or brings rows (attribute tuneset=row); with --watch only "
        "what lies there counts", "SUBSCRIPTION", common=True)
    window: int = option(_STREAM, "5m",
        "how long a window lasts: each is sealed as a dataset of its own", "DURATION", common=True)
    allowed_lateness: int = option(_STREAM, "1h",
        "how long after a window an arrival for it is still looked for; what comes later is found by the next start", "DURATION")
    poll_interval: int = option(_STREAM, "5s",
        "pause between two looks at --watch; one more is taken when a window is over", "DURATION")
    sidecar_wait: int = option(_STREAM, "30s",
        "how long an image waits for the .txt or .json beside it, if a template asks for that", "DURATION")
    existing: str = option(_STREAM, "auto",
        "whether what lies in --watch before the stream's first start is taken too; auto: yes, unless a --subscription announces "
        "what comes",
        "WHETHER", ("auto", "yes", "no"))
    stop_after: int = option(_STREAM, "",
        "drain and end after so long; 0s: take what is there, and end (default: at Ctrl-C)", "DURATION", common=True)
# fmt: on


OWN: tuple[Option, ...] = tuple(replace(line.metadata["option"], name=line.name) for line in fields(StreamOptions))
# A report of each window: where it lies is no question, and pictures would take longer than the window.
_OTHERWISE: dict[str, dict[str, Any]] = {
    "report": {"help": "none: no report.html in the folders of windows", "metavar": "none"},
    "report_pictures": {"default": "no"},
}
STREAM_OPTIONS: tuple[Option, ...] = (
    *OWN,
    *(replace(one, **_OTHERWISE.get(one.name, {})) for one in OPTIONS if one.name not in _NOT_OF_STREAMS),
)


@dataclass(frozen=True)
class StreamSettings:
    """Checked options of a stream: those that `tuneset prepare` has too, and its own."""

    of_job: Settings
    of_stream: StreamOptions

    def value(self, name: str) -> Any:
        """Of any option of a stream."""
        return getattr(self.of_stream if name in {own.name for own in OWN} else self.of_job, name)

    def as_flags(self) -> list[str]:
        """The command line that says the same, defaults left out."""
        usual = parse_stream(["--watch", "-", "--output", "-", "--model", self.of_job.model])
        without = replace(usual, of_stream=replace(usual.of_stream, watch=""))
        return [*flags_of(STREAM_OPTIONS, self.value, without.value), *self.of_job.beam]


def stream_parser(everything: bool = True) -> Parser:
    """`tuneset stream`'s parser; `everything`: as prepare_parser has it."""
    return options_parser(
        STREAM_OPTIONS,
        everything,
        prog="tuneset stream",
        usage="tuneset stream --watch PATTERN --output FOLDER [options]",
        description="Make a sealed dataset of what arrives in each window of time, until it is stopped. Ctrl-C drains: open windows "
        "are sealed part-filled.",
    )


def parse_stream(argv: Sequence[str]) -> StreamSettings:
    """argv after `stream` -> StreamSettings.

    Raises:
      OptionError: an option is missing, unknown or wrong.
    """
    known, beam = stream_parser().parse_known_args(list(argv))
    values = vars(known)
    own = StreamOptions(**{line.name: values.pop(line.name) for line in OWN})
    for name, is_given in (("watch", own.watch or own.subscription), ("output", values["output"])):
        if not is_given:
            raise OptionError(f"--{name} is missing. For example: tuneset stream --watch arriving/ --output stream")
    check_stream(own)
    rest = {one.name: () if one.is_list else one.default for one in OPTIONS if one.name in _NOT_OF_STREAMS}
    watched = (own.watch,) if own.watch else ()
    settings = settings_of(values | rest | {"input": watched, "split_names": "ignore"}, beam)
    if settings.split_by == BY_IMAGE:
        raise OptionError(
            "--split_by image looks at all examples before it splits them, which a stream never has: leave it out, and give it to "
            "`tuneset merge`, over all windows"
        )
    if settings.sample_count is not None:
        raise OptionError(
            f"--sample {settings.sample} chooses among all examples, which a stream never has: give a fraction such as 0.01, "
            "or give it to `tuneset merge`"
        )
    if settings.report not in ("", NONE):
        raise OptionError(
            f"--report {settings.report}: each window has its own report.html; expected none, for no page"
        )
    return StreamSettings(settings, own)


def check_stream(own: StreamOptions) -> None:
    """Raises OptionError for values that no stream can have."""
    if own.existing == "yes" and not own.watch:
        raise OptionError("--existing yes: name with --watch where what is there already lies")
    for name, least in (("window", 1), ("poll_interval", 1), ("allowed_lateness", 0), ("sidecar_wait", 0)):
        value = getattr(own, name)
        if value < least:
            raise OptionError(f"--{name} {value if value >= 0 else ''}s: expected at least {least}s")
