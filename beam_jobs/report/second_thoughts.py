"""Where images lie that a run did not find: the first of its rejected rows are thought about once more, when it has ended."""

from __future__ import annotations

import json
from itertools import islice

from beam_jobs.settings import Settings
from transforms.core.warning_codes import Notice, as_lines
from transforms.inputs.survey.near_paths import THOUGHTS, Named, Thinker, column_of
from transforms.storage import abilities, store_for
from transforms.storage.api import NotFound

_CODE = "images_misnamed"
_REASONS = ("image_not_found", "not_allowed")
_BYTES = 1 << 20  # of rejected.jsonl that are read


def second_thoughts(settings: Settings) -> list[str]:
    """A line that says where the first image lies that was not found, and what to do; none if it was said before the work."""
    if any(notice.code == _CODE for notice in settings.notices):
        return []
    missing = list(islice(_missing(settings), THOUGHTS))
    local = all(abilities(named.base).has_paths for named in missing)
    thinker = Thinker(settings.of_inputs.readable, local)
    for named in missing:
        if advice := thinker.advice(named):
            said = f"of the first {len(missing):,} images that were not found {named.written} may be another: {advice}"
            return as_lines([Notice(_CODE, len(missing), detail=said)])
    return []


def _missing(settings: Settings) -> list[Named]:
    """The first images of rejected.jsonl that were not there."""
    try:
        data, _ = store_for(settings.output).read(f"{settings.output}/rejected.jsonl", 0, _BYTES)
    except NotFound:
        return []
    missing = []
    for line in data.split(b"\n")[:-1]:  # the last one may be cut
        told = json.loads(line)
        if told["reason"] in _REASONS and told["image"] and told["base"]:
            missing.append(Named(told["image"], told["base"], column_of(told["format"], settings.image_column)))
    return list(dict.fromkeys(missing))
