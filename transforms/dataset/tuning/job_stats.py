"""A tuning job saved as JSON: which lines of which file it says it dropped or truncated. Text -> JobStats.

The service tells indices from 1, only a part of them, and not in every version: `truncatedExampleIndices` with
`droppedExampleReasons` beside them, or `droppedExampleIndices`. REST writes camelCase, google-genai's types snake_case.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from transforms.core.reasons import WrongRequest

_INDICES = ("truncated_example_indices", "dropped_example_indices")
_REASONS = "dropped_example_reasons"  # one for each index
_USERS_OWN = ("user_dataset_examples",)  # may hold anything
_MOST_LEVELS = 200


class DamagedJob(WrongRequest):
    """What was given as a tuning job is none, or tells nothing yet."""


@dataclass
class JobStats:
    """What a job tells of lines.

    reasons: by 1-based line of the training file, in the order of the lines; "" where the job names none.
    """

    reasons: dict[int, str] = field(default_factory=dict)
    dropped: int = 0  # in all; the lines that are named may be a part of them
    examples: int = 0  # that it counted in the training file; 0: it does not say
    training_uri: str = ""  # "": it does not say


def read_job(text: bytes) -> JobStats:
    """Read a job.

    Raises:
      DamagedJob: it is no JSON object, or holds no statistics.
    """
    try:
        job = _snake(json.loads(text), _MOST_LEVELS)
    except (ValueError, RecursionError):
        raise DamagedJob("it is not JSON: expected a tuning job as the API or google-genai's types write it") from None
    objects = list(_objects(job))
    statistics = [one for one in objects if not one.keys().isdisjoint((*_INDICES, "tuning_dataset_example_count"))]
    if not statistics:
        raise DamagedJob(
            "it holds no tuningDataStats: a job has them once its data was read, so get it again and save it anew"
        )

    told = JobStats(training_uri=_text(objects, "training_dataset_uri"))
    reasons: dict[int, str] = {}
    for one in statistics:
        for key in _INDICES:
            indices, why = _listed(one, key), _listed(one, _REASONS)
            for place, index in enumerate(indices):
                reasons[_number(index, key)] = str(why[place]) if place < len(why) else ""
        told.dropped += _number(one.get("total_truncated_example_count") or 0, "total_truncated_example_count")
        told.examples = told.examples or _number(
            one.get("tuning_dataset_example_count") or 0, "tuning_dataset_example_count"
        )
    told.reasons = dict(sorted(reasons.items()))
    told.dropped = max(told.dropped, len(reasons))
    return told


def _snake(value: Any, levels: int) -> Any:
    """The same with the names of fields in snake_case, without what is the user's own.

    Raises:
      ValueError: it is deeper than so many levels.
    """
    if levels < 0:
        raise ValueError
    if isinstance(value, list):
        return [_snake(item, levels - 1) for item in value]
    if isinstance(value, dict):
        named = ((re.sub("(?<!^)([A-Z])", r"_\1", name).lower(), item) for name, item in value.items())
        return {name: _snake(item, levels - 1) for name, item in named if name not in _USERS_OWN}
    return value


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Every object of a JSON value."""
    if isinstance(value, dict):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _objects(item)


def _text(objects: list[dict[str, Any]], name: str) -> str:
    return next((value for one in objects if isinstance(value := one.get(name), str)), "")


def _listed(statistics: dict[str, Any], name: str) -> list[Any]:
    """A list of the statistics; a field that is null is empty."""
    value = statistics.get(name)
    if value is not None and not isinstance(value, list):
        raise DamagedJob(f"its {name} is no list")
    return value or []


def _number(value: Any, name: str) -> int:
    """A number, which JSON of the API holds as a text."""
    if isinstance(value, bool) or not isinstance(value, int | str) or not re.fullmatch(r"[0-9]{1,18}", str(value)):
        raise DamagedJob(f"its {name} holds {json.dumps(value)[:40]}, which is no number of lines")
    return int(value)
