"""What `tuneset merge` joins: the sealed windows of a stream, which of their lines count, and the options that all of them share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from beam_jobs.manifests import changed_options, read_manifest
from beam_jobs.options import OptionError
from transforms.arrivals.merging import SealedWindow, taken_by
from transforms.arrivals.panes import UNSEALED, Pane, panes_of
from transforms.arrivals.versions import doubles
from transforms.arrivals.windows import start_of_name
from transforms.core.finding_codes import ALL, LEVELS, NONE, ROWS
from transforms.core.output_names import STREAM
from transforms.storage import exists
from transforms.storage.api import NotFound
from transforms.storage.parallel import overlapped

_AT_ONCE = 16  # windows looked at
_MAY_DIFFER = ("image_column", "findings")  # options that files fill in, or that decide no line


@dataclass(frozen=True)
class Range:
    """Windows that begin from one time on, up to but without another, in seconds since 1970; 0: no bound."""

    since: int = 0
    until: int = 0

    def holds(self, pane: Pane) -> bool:
        return self.since <= pane.start and (not self.until or pane.start < self.until)


@dataclass(frozen=True)
class Found:
    """Sealed windows, in order.

    described: `dataset` of the manifest of the first. by_class: whether images are rows.
    unsealed, unfinished: how many of the range are none, as too much was rejected, or are being sealed still.
    """

    windows: tuple[SealedWindow, ...]
    described: dict[str, Any]
    by_class: bool
    unsealed: int
    unfinished: int
    doubles: int  # versions that a newer one takes the place of
    noted: str  # of LEVELS: the most that all windows noted of their lines; all: they can be compared
    identity: str  # what their images are told apart by, in words

    @property
    def shared(self) -> dict[str, Any]:
        """What a manifest says of all windows, and so of what they become."""
        names = ("codecs", "formats", "verified", "upload")
        return {name: self.described[name] for name in names if name in self.described}


def find_windows(folder: str, some: Range, newest: bool) -> Found:
    """The sealed windows of a stream.

    Args:
      newest: of each name only the newest version counts.

    Raises:
      OptionError: there is none, or they were made with different options.
    """
    there = list(panes_of(folder))
    panes = [pane for pane in there if some.holds(pane)]
    manifests = list(overlapped(_manifest_of, panes, _AT_ONCE))
    sealed = [(pane, manifest) for pane, manifest in zip(panes, manifests) if manifest]
    rest = [pane for pane, manifest in zip(panes, manifests) if not manifest]
    unsealed = sum(exists(f"{pane.folder}/{UNSEALED}") for pane in rest)
    if not sealed:
        raise OptionError(_why_none(folder, there, len(rest), unsealed))
    described = sealed[0][1]["dataset"]
    shaping = {name: value for name, value in described["options"].items() if name not in _MAY_DIFFER}
    for pane, manifest in sealed:
        if other := changed_options(manifest["dataset"]["options"], shaping):
            raise OptionError(
                f"{pane.folder} was made with other options than {sealed[0][0].name} ({'; '.join(other)}), so that equal rows may "
                "lie in different splits: merge them apart, with --from and --to"
            )
    taken = overlapped(taken_by, [pane.folder for pane, _ in sealed], _AT_ONCE) if newest else ()
    left_out = doubles(zip([pane.name for pane, _ in sealed], taken))
    windows = tuple(
        SealedWindow(pane.folder, at, left_out.get(pane.name, frozenset())) for at, (pane, _) in enumerate(sealed)
    )
    by_class = any(manifest["dataset"]["counters"].get("pictures_taken") for _, manifest in sealed)
    datasets = [manifest["dataset"] for _, manifest in sealed]
    identity = next(filter(None, (_findings(one).get("identity", "") for one in datasets)), "")
    noted = min(map(_noted, datasets), key=LEVELS.index)
    number = sum(map(len, left_out.values()))
    return Found(windows, described, by_class, unsealed, len(rest) - unsealed, number, noted, identity)


def _why_none(folder: str, there: Sequence[Pane], in_range: int, unsealed: int) -> str:
    """Why a folder has no sealed window that is asked for.

    Args:
      there: all that it has. in_range: how many of them are in the range. unsealed: how many of these are marked so.
    """
    if in_range:
        why = "too much of them was rejected, which their unsealed.json tells"
        if unsealed < in_range:
            why = f"{in_range - unsealed} are not done yet: let `tuneset stream` go on, then merge"
        return f"{folder}: windows in the range: {in_range}, none of them sealed; {why}"
    if there:
        return (
            f"{folder}: no window begins in the range: expected a --from and --to around some of those from {there[0].name} to "
            f"{there[-1].name}"
        )
    if exists(f"{folder}/{STREAM}"):
        return f"{folder}: its stream has sealed no window yet: let it go on, then merge"
    parent, _, name = folder.rpartition("/")
    above = parent.rpartition("/")[0] if start_of_name(name) is not None else parent
    if exists(f"{above}/{STREAM}"):
        return f"{folder} lies in a stream's folder: name that, {above}, and choose windows by --from and --to"
    return f"{folder} holds no window: expected the --output of `tuneset stream`"


def _findings(dataset: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = dataset.get("findings", {})
    return told


def _noted(dataset: dict[str, Any]) -> str:
    """What a window noted of its lines."""
    if not _findings(dataset):
        return NONE
    return ROWS if dataset["options"]["findings"] == ROWS else ALL


def _manifest_of(pane: Pane) -> dict[str, Any]:
    try:
        return read_manifest(pane.folder)
    except NotFound:
        return {}
