"""Conversations in columns of Parquet or Arrow, as Hugging Face's datasets hold them, in `messages` or `conversations`.

    messages: [{"role": "user", "content": "<image>What is it?"}, ...], images: [{"bytes": ..., "path": ...}]
    messages: [{"role": "user", "content": [{"type": "image", "text": null}, {"type": "text", "text": "What is it?"}]}, ...]
    conversations: [{"from": "human", "value": "<image>\\nWhat?"}, {"from": "gpt", "value": "A cat."}], image: ...

Record -> Example. What a row says is what the same columns say as a line of JSON: LLaVA's if images stand beside the messages, else
OpenAI's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transforms.core.records import Example, Record
from transforms.inputs.formats.llava import is_llava_object, llava_example
from transforms.inputs.formats.openai import openai_example
from transforms.inputs.formats.row_rules import RowRules

IMAGES = ("image", "images")  # columns whose bytes are images


def is_chat(columns: Mapping[str, Any]) -> bool:
    """Whether these are the columns of conversations.

    >>> is_chat({"messages": [], "images": []}), is_chat({"image": {}, "label": 1})
    (True, False)
    """
    return "contents" not in columns and any(
        isinstance(columns.get(key), list) for key in ("messages", "conversations")
    )


def chat_example(row: Record, base: str, rules: RowRules) -> Example:
    """One row as an example.

    Raises:
        RowError: as llava_example, or openai_example.
    """
    make = llava_example if is_llava_object(row.columns) else openai_example
    return make(row, base, rules)
