"""Conversations whose texts say where images stand: rows of LLaVA, ShareGPT and ms-swift (Qwen). Record -> Example.

    {"image": "a.jpg", "conversations": [{"from": "human", "value": "<image>\\nWhat?"}, {"from": "gpt", "value": "A cat."}]}
    {"images": ["a.jpg", "b.jpg"], "messages": [{"role": "user", "content": "<image><image>Compare."}, ...]}
    {"images": ["a.jpg"], "query": "<image>What?", "response": "A cat.", "history": [["Hello", "Hi"]], "system": "Be brief."}
    {"conversations": [{"from": "user", "value": "Picture 1: <img>a.jpg</img>\\nWhat?"}, ...]}

Images take the `<image>` places in order; a row without a place has them before its first question. Rows whose places and images
differ in number are rejected, as are video, audio, calls of tools and answers that are not to be learnt.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from transforms.core.reasons import RowError
from transforms.core.records import Example, Record
from transforms.inputs.formats.conversation import (
    add_turn,
    body_of,
    example_of_body,
    image_of_part,
    image_part,
    named_image,
)
from transforms.inputs.formats.inline_images import is_data_uri
from transforms.inputs.formats.row_rules import RowRules

_ROLES = {
    "human": "user",
    "user": "user",
    "gpt": "model",
    "assistant": "model",
    "chatgpt": "model",
    "model": "model",
    "system": "system",
}
_TOOLS = ("function_call", "observation", "tool", "tool_call", "tool_response", "function")
_PLACE = re.compile(r"<image>|<img>(.*?)</img>", re.DOTALL)
_IMAGES = ("image", "images")
_OTHER_MEDIA = ("video", "videos", "audio", "audios")
_OWN_KEYS = ("conversations", "messages", "query", "response", "history", "system", *_IMAGES)


def is_llava_object(obj: dict[str, Any]) -> bool:
    """Whether a line of JSON looks like one of these; OpenAI's messages have no images beside them."""
    if "contents" in obj:
        return False
    with_images = "messages" in obj or {"query", "response"} <= obj.keys()
    return isinstance(obj.get("conversations"), list) or (with_images and any(key in obj for key in _IMAGES))


def llava_example(row: Record, base: str, rules: RowRules) -> Example:
    """One row as an example; its id is that of the same conversation in a row of Gemini's.

    Args:
        base: folder that relative image paths start from.

    Raises:
        RowError: with a reason of stage rules.
    """
    obj = row.columns
    for key in (*_OTHER_MEDIA, "tools"):
        if obj.get(key):
            reason = "unsupported_part" if key == "tools" else "unsupported_media"
            raise RowError(reason, f"the row has {key}, which image tuning does not take")
    contents: list[dict[str, Any]] = []
    system: list[dict[str, Any]] = []
    for role, parts in _messages(obj):
        if role == "system":
            system += parts
        else:
            add_turn(contents, role, parts)
    _place_images(contents, list(_names(obj)))
    return example_of_body(row, base, rules, body_of(contents, system), _OWN_KEYS)


def _messages(obj: dict[str, Any]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The role (user, model or system) and parts of each message; an image that is still to be named is an empty part."""
    told = obj.get("system")
    if isinstance(told, str) and told.strip():
        yield "system", [{"text": told}]
    key = "conversations" if "conversations" in obj else "messages"
    messages = obj.get(key) if key in obj else list(_of_query(obj))
    if not isinstance(messages, list) or not messages:
        raise RowError("missing_contents", f"the row has no `{key}` list, or an empty one")
    for number, message in enumerate(messages):
        yield _message(message, f"{key}[{number}]")


def _of_query(obj: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The messages of a row of ms-swift's that has a query and its response."""
    history = obj.get("history") or []
    if not isinstance(history, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in history):
        raise RowError("bad_turn", "history is not a list of pairs: a query and its response")
    for query, response in (*history, (obj.get("query"), obj.get("response"))):
        yield {"role": "user", "content": query}
        yield {"role": "assistant", "content": response}


def _message(message: Any, where: str) -> tuple[str, list[dict[str, Any]]]:
    if not isinstance(message, dict):
        raise RowError("bad_turn", f"{where} is not an object")
    told = message.get("from", message.get("role"))
    content = message.get("value", message.get("content"))
    if told in _TOOLS or message.get("tool_calls"):
        raise RowError("unsupported_part", f"{where} belongs to the call of a tool, which image tuning does not take")
    role = _ROLES.get(told) if isinstance(told, str) else None
    if role is None:
        raise RowError("bad_role", f"{where}: from is {str(told)[:40]!r}, not system, human or gpt (user or assistant)")
    learnt = message.get("weight", message.get("loss"))
    if role == "model" and learnt is not None and not learnt:
        raise RowError(
            "unsupported_part", f"{where} is not to be learnt, but every answer of a row is: take it out, or the row"
        )
    if isinstance(content, str):
        parts = _parts(content)
    elif isinstance(content, list) and content:
        parts = [part for i, item in enumerate(content) for part in _listed(item, f"{where}.content[{i}]")]
    else:
        raise RowError("bad_turn", f"{where}: its value is neither a text nor a list of at least one part")
    if role == "system" and not all("text" in part for part in parts):
        raise RowError("bad_system_instruction", f"{where} holds more than text")
    return role, parts


def _parts(text: str) -> list[dict[str, Any]]:
    """A text as texts and images, in order; what stands around an image loses its blanks."""
    parts: list[dict[str, Any]] = []
    at = 0
    for place in _PLACE.finditer(text):
        if before := text[at : place.start()].strip():
            parts.append({"text": before})
        parts.append(image_part(place[1].strip()) if place[1] else {})
        at = place.end()
    rest = text[at:].strip() if parts else text
    return [*parts, {"text": rest}] if rest or not parts else parts


def _listed(item: Any, where: str) -> list[dict[str, Any]]:
    """An item of a list of parts."""
    kind = item.get("type") if isinstance(item, dict) else None
    if kind == "text" and isinstance(item.get("text"), str):
        return _parts(item["text"])
    if kind not in ("image", "image_url"):
        reason = "unsupported_media" if kind in _OTHER_MEDIA else "bad_part"
        raise RowError(reason, f"{where}: type is {str(kind)[:40]!r}, not text or image")
    uri, content = named_image(image_of_part(item))
    if is_data_uri(uri):
        raise RowError("inline_data", f"{where} holds a data: URI that cannot be decoded")
    return [image_part(uri, content) if uri else {}]


def _names(obj: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The images beside the conversation, as named_image tells them."""
    for key in _IMAGES:
        value = obj.get(key)
        for item in value if isinstance(value, list) else [value]:
            name, content = named_image(item)
            if is_data_uri(name):
                raise RowError("inline_data", f"{key} holds a data: URI that cannot be decoded")
            if name.strip():
                yield name.strip(), content
            elif item is not None and item != "":
                raise RowError("bad_image_value", f"{key}: {str(item)[:80]} is neither a path nor a URI")


def _place_images(contents: list[dict[str, Any]], names: list[tuple[str, str]]) -> None:
    """Put the named images where they stand."""
    places = [part for turn in contents for part in turn["parts"] if not part]
    if not places and names:
        first = next((turn for turn in contents if turn["role"] == "user"), None)
        if first:
            first["parts"][:0] = [image_part(*name) for name in names]
        return
    if len(places) != len(names):
        raise RowError(
            "bad_part", f"the texts have {len(places)} places of an <image>, but the row names {len(names)} images"
        )
    for part, name in zip(places, names):
        part.update(image_part(*name))
