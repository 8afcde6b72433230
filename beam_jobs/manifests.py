"""What a sealed dataset says of itself: read its manifest.json, and tell in words why it is not the one that is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transforms.core import jsonl
from transforms.core.output_names import MANIFEST
from transforms.core.reasons import RowError
from transforms.storage import store_for

_LONGEST = 120  # characters of a value that are shown


def read_manifest(folder: str) -> dict[str, Any]:
    """The manifest of a dataset; {} if it is none of ours, or damaged.

    Raises:
      NotFound: there is none.
    """
    try:
        manifest = jsonl.loads(store_for(folder).read(f"{folder}/{MANIFEST}")[0])
    except RowError:
        return {}
    ours = all(isinstance(manifest.get(part), dict) for part in ("dataset", "run"))
    return manifest if ours else {}


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Why one of two datasets is not the other, a few words for each difference.

    Args:
      before: `dataset` of a manifest; of any shape, since anybody may have written it.
      now: `Plan.dataset`, as JSON has it. Only what stands here is compared.
    """
    words = _changed("Tuneset", before, now, "tool")
    words += _changed("its codecs", before, now, "codecs")
    words += _changed("--input", before, now, "inputs")
    words += _changed("what its files are (--input_format)", before, now, "formats")
    words += changed_options(_options(before), _options(now))
    if "output" in now and before.get("output") != now["output"]:
        words.append(f"it was made as {_shown(before.get('output'))}, and has been moved to {now['output']}")
    return words


def changed_options(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """A few words for each option, by its name, that is another now."""
    return [word for name in now for word in _changed(f"--{name}", then, now, name)]


def _options(described: Mapping[str, Any]) -> Mapping[str, Any]:
    options = described.get("options")
    return options if isinstance(options, Mapping) else {}


def _changed(label: str, before: Mapping[str, Any], now: Mapping[str, Any], name: str) -> list[str]:
    if name not in now or before.get(name) == now[name]:
        return []
    if name not in before and _is_nothing(now[name]):  # it was made before there was such an option
        return []
    return [f"{label} was {_shown(before.get(name))} and is {_shown(now[name])}"]


def _is_nothing(value: Any) -> bool:
    """Whether an option holds what it holds when nobody gave it; a number says something."""
    return value is None or value is False or value == "" or value == []


def _shown(value: Any) -> str:
    if _is_nothing(value):
        return "not given"
    if value is True:
        return "given"
    text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
