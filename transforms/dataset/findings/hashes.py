"""By which hashes lines are found to repeat each other: an example's answer, and all that a model is given before it.

Images have those of examples/image_groups.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from transforms.core import jsonl
from transforms.examples.splits import hash64

_NO_SEED = b""


def answer_text(contents: Sequence[Mapping[str, Any]]) -> str:
    """The text of the last turn, which is to be learnt."""
    parts = contents[-1]["parts"]
    text: str = parts[0]["text"] if len(parts) == 1 else "\n".join(part["text"] for part in parts)
    return text


def answer_hash(text: str) -> int:
    return hash64(text.encode(), _NO_SEED)


def question_hash(contents: Sequence[Mapping[str, Any]], head: Mapping[str, Any], identities: Sequence[str]) -> int:
    """Of all that a model is given before its last answer, with identities in the place of images.

    Args:
      contents: turns, in which the images stand whose identities are given. head: what stands beside them.
    """
    names = iter(identities)
    turns = [[_part(part, names) if "fileData" in part else part for part in turn["parts"]] for turn in contents[:-1]]
    return hash64(jsonl.canonical([turns, head.get("systemInstruction")]), _NO_SEED)


def _part(part: Mapping[str, Any], names: Iterator[str]) -> Any:
    """An image's part: its identity alone, or in its part beside what else that says."""
    return next(names) if len(part) == 1 else {**part, "fileData": next(names)}
