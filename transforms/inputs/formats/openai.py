"""OpenAI's rows of vision fine-tuning: `messages` -> the same conversation as Gemini's. Record -> Example.

    system, developer     systemInstruction, their texts in order
    user, assistant       turns of user and model; user messages in a row become one turn
    image_url             fileData; `detail` becomes a media resolution where the model has a place for it

Llama 4's rows are read as well: `image` beside `image_url` as the type of a part, and parts that hold null for what they have not.

What Gemini cannot be tuned on is rejected and never left out: calls of tools, answers that are not to be learnt (`weight: 0`).
"""

from __future__ import annotations

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

_TURNS = {"user": "user", "assistant": "model"}
_SYSTEM = ("system", "developer")
_ROLES = (*_TURNS, *_SYSTEM)
_TOOLS = ("tool", "function")  # roles of what a tool answered
_CALLS = ("tool_calls", "function_call", "tool_call_id")
_LEVELS = {"low": "MEDIA_RESOLUTION_LOW", "high": "MEDIA_RESOLUTION_HIGH", "auto": ""}  # of `detail`


def is_openai_object(obj: dict[str, Any]) -> bool:
    """Whether a line of JSON looks like OpenAI's; one that has `contents` too is Gemini's."""
    return "messages" in obj and "contents" not in obj


def openai_example(row: Record, base: str, rules: RowRules) -> Example:
    """One row as an example; its id is that of the same conversation in a row of Gemini's.

    Args:
        base: folder that relative image paths start from.

    Raises:
        RowError: with a reason of stage rules.
    """
    messages = row.columns.get("messages")
    if not isinstance(messages, list) or not messages:
        raise RowError("missing_contents", "the row has no `messages` list, or an empty one")
    for key in ("tools", "functions"):
        if row.columns.get(key):
            raise RowError("unsupported_part", f"the row has {key}, which image tuning does not take")
    contents: list[dict[str, Any]] = []
    system: list[dict[str, Any]] = []
    levels: list[str] = []
    for number, message in enumerate(messages):
        role, parts = _message(message, f"messages[{number}]", levels)
        if role == "system":
            system += parts
        else:
            add_turn(contents, role, parts)

    body = body_of(contents, system)
    dropped = _set_resolution(body, levels, rules.part_resolution)
    example = example_of_body(row, base, rules, body, ("messages",))
    if dropped:
        rules.warnings.add("detail_dropped", min(image["fileUri"] for image in example.images), dropped)
    return example


def _message(message: Any, where: str, levels: list[str]) -> tuple[str, list[dict[str, Any]]]:
    """The role (user, model or system) and parts of one message; to `levels` goes the media resolution of each image."""
    if not isinstance(message, dict):
        raise RowError("bad_turn", f"{where} is not an object")
    role = message.get("role")
    says_more = len(message) != 2 or "role" not in message or "content" not in message
    if role in _TOOLS or (says_more and any(message.get(key) for key in _CALLS)):
        raise RowError("unsupported_part", f"{where} belongs to the call of a tool, which image tuning does not take")
    if role not in _ROLES:
        raise RowError("bad_role", f"{where}: role is {str(role)[:40]!r}, not system, developer, user or assistant")
    if says_more:
        _check_keys(message, where)
    content = message.get("content")
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    if not isinstance(content, list) or not content:
        raise RowError("bad_turn", f"{where}: content is neither a text nor a list of at least one part")

    parts: list[dict[str, Any]] = []
    for i, part in enumerate(content):
        made = _part(part, f"{where}.content[{i}]", levels)
        if role in _SYSTEM and "text" not in made:
            raise RowError("bad_system_instruction", f"{where}.content[{i}] is not a text")
        parts.append(made)
    return _TURNS.get(role, "system"), parts


def _check_keys(message: dict[str, Any], where: str) -> None:
    """Raises RowError for what a message says beside its role and content; what is null or empty says nothing."""
    weight = message.get("weight")
    if weight is not None and weight not in (0, 1):
        raise RowError("bad_turn", f"{where}: weight is {str(weight)[:40]}, not 0 or 1")
    if weight == 0:
        raise RowError(
            "unsupported_part",
            f"{where} has the weight 0, but every answer of a row is learnt: take the weight out, or the row",
        )
    for key, value in message.items():
        if value and key not in ("role", "content", "weight"):
            raise RowError("bad_turn", f"{where} has the key {key[:40]!r}")


def _part(part: Any, where: str, levels: list[str]) -> dict[str, Any]:
    """A text or an image, as Gemini's part."""
    if not isinstance(part, dict):
        raise RowError("bad_part", f"{where} is not an object")
    kind = part.get("type")
    if kind == "text":
        text = part.get("text")
        if not isinstance(text, str):
            raise RowError("bad_part", f"{where}: text is not a string")
        if not text or text.isspace():
            raise RowError("empty_text", f"{where}: text is blank")
        return {"text": text}
    if kind not in ("image_url", "image"):
        reason = "unsupported_part" if isinstance(kind, str) else "bad_part"
        raise RowError(reason, f"{where}: type is {str(kind)[:40]!r}, not text, image_url or image")

    image = image_of_part(part)
    uri, content = named_image(image)
    detail = image.get("detail") if isinstance(image, dict) else None
    if not uri.strip():
        raise RowError("bad_file_data", f"{where}: {kind} has no url, or a blank one")
    if is_data_uri(uri):
        raise RowError("inline_data", f"{where} holds a data: URI that cannot be decoded")
    if detail is not None and (not isinstance(detail, str) or detail not in _LEVELS):
        raise RowError("bad_part", f"{where}: detail is {str(detail)[:40]!r}, not low, high or auto")
    levels.append(_LEVELS[detail or "auto"])
    return image_part(uri, content)


def _set_resolution(body: dict[str, Any], levels: list[str], for_each: bool) -> int:
    """Put the media resolutions where the model looks for them.

    Args:
        levels: of the images, in order; "" for none.
        for_each: whether each image may have its own; else all have one, or none.

    Returns:
        How many images had one that is dropped.
    """
    if for_each:
        images = [part for turn in body["contents"] for part in turn["parts"] if "fileData" in part]
        for part, level in zip(images, levels, strict=True):
            if level:
                part["mediaResolution"] = {"level": level}
    elif len(set(levels)) > 1:
        return sum(map(bool, levels))
    elif levels and levels[0]:
        body["generationConfig"] = {"mediaResolution": levels[0]}
    return 0
