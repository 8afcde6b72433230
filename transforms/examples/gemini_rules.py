"""What one line means: the rules of a Gemini image-tuning example. Row -> Example; rejects what the service would.

Both spellings of every key of the API are read (`fileData`, `file_data`), camelCase is written; null is the same as
absent. Nothing the service does not document is passed on: an unknown key inside a turn or part is an error, and other
keys of the row are columns. Rules: the tuning pages' `contents`, `systemInstruction`, `tools` and `generationConfig`.

The walk over `contents` is the hot path of the whole program: a clean row is checked in place and nothing is copied.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Set
from functools import lru_cache
from typing import Any

from transforms.core import jsonl
from transforms.core.reasons import RowError
from transforms.core.records import Example, Row
from transforms.examples.key_names import CONFIG, DATA, FILE_DATA, HEAD, PART, camel, camel_tools
from transforms.examples.pieces import MOST_IMAGES, captions, too_many
from transforms.examples.rejected_rows import folder_of
from transforms.examples.splits import hash64

_OTHER_FORMATS = (
    ("messages", "messages (OpenAI)"),
    ("conversations", "conversations (LLaVA)"),
    ("input_text", "input_text and output_text (PaLM)"),
    ("output_text", "input_text and output_text (PaLM)"),
    ("text_input", "text_input and output (AI Studio)"),
    ("imageGcsUri", "imageGcsUri (AutoML)"),
    ("completions", "completions (preference tuning)"),
    ("suffix", "prefix, suffix and image (PaliGemma)"),
    ("prefix", "prefix, suffix and image (PaliGemma)"),
)
_MIME = re.compile(r"[a-z]+/[a-z0-9][a-z0-9.+-]*")
_USUAL = frozenset(("image/jpeg", "image/png", "image/webp", "image/heic", "image/heif"))
_usual = lru_cache(lambda types: frozenset(f"image/{image_type}" for image_type in types))


# One function, as a call for each part of each row is what this program would then mostly do.
def parse_example(  # noqa: C901
    row: Row,
    *,
    seed: bytes,
    check_types: Collection[str] | None,
    base: str | None = None,
    parsed: tuple[dict[str, Any], bytes] | None = None,
) -> Example:
    """Read one line, hold it against the rules and give it its id.

    Args:
        row: the line.
        seed: keys the id, at most 64 bytes.
        check_types: under `--verify none` the image subtypes that conform (`png`, `jpeg`, ...): another one would have
            to be converted, which needs a look at the file. None when files are looked at.
        base: folder that relative image paths start from; None: that of the file the row stands in.
        parsed: what jsonl.loads_canonical makes of the line, if it was asked already.

    Returns:
        An example that owns the parsed objects; `id` is blake2b-64 of the canonical contents and systemInstruction.

    Raises:
        RowError: with one reason of stage read or rules.
    """
    columns, compact = parsed or jsonl.loads_canonical(row.raw)
    if base is None:
        base = folder_of(row.source)
    contents = columns.pop("contents", None)
    if contents.__class__ is not list or not contents:
        raise _no_contents(contents, columns)
    head: dict[str, Any] = {}
    # Whether `compact` still is what the id is made of: nothing renamed, and no key but contents and systemInstruction.
    plain = _take_head(columns, head) if columns else True
    images: list[dict[str, str]] = []
    mimes: list[tuple[dict[str, str], str]] = []  # to be mended, but only once the id is taken
    usual = _USUAL if check_types is None else _usual(tuple(check_types))
    role, text_bytes, alone = "user", 0, True
    for number, turn in enumerate(contents):
        if turn.__class__ is not dict or len(turn) != 2 or turn.get("role") != role or "parts" not in turn:
            raise _bad_turn(turn, role, number)
        parts = turn["parts"]
        if parts.__class__ is not list or not parts:
            raise RowError("bad_turn", f"contents[{number}]: parts is not a list of at least one part")
        for i, part in enumerate(parts):
            text = data = None
            if part.__class__ is dict and len(part) == 1:
                text, data = part.get("text"), part.get("fileData")
            if text is None and data is None:
                mended = _part(part, number, i)
                if mended is not part:
                    parts[i] = part = mended
                    plain = False
                alone = alone and len(part) == 1
                text, data = part.get("text"), part.get("fileData")
            if text is not None:
                if text.__class__ is not str:
                    raise RowError("bad_part", f"contents[{number}].parts[{i}]: text is not a string")
                if not text or text.isspace():
                    raise RowError("empty_text", f"contents[{number}].parts[{i}]: text is blank")
                text_bytes += len(text) if text.isascii() else len(text.encode())
                continue
            if role == "model":
                raise RowError("image_in_model_turn", f"contents[{number}].parts[{i}]: fileData in a model turn")
            if data.__class__ is not dict or len(data) != 2 or "mimeType" not in data or "fileUri" not in data:
                part["fileData"] = data = _file_data(data, number, i)
                plain = False
            mime, uri = data["mimeType"], data["fileUri"]
            if uri.__class__ is not str or not uri or uri.isspace():
                raise RowError("bad_file_data", f"contents[{number}].parts[{i}]: fileUri is not a string, or blank")
            if mime.__class__ is not str or mime not in usual:
                written, mime = mime, _mime(mime, number, i, uri)
                if check_types is not None and mime not in usual:
                    raise _unsupported(mime, number, i, uri)
                if mime != written:
                    mimes.append((data, mime))
            images.append(data)
        role = "model" if role == "user" else "user"
    if role == "model":
        if "completions" in columns:
            raise RowError("other_format", "the row is in the format completions (preference tuning)")
        raise RowError("turn_order", "the last turn is not a model turn: there is nothing to learn")
    if len(images) > MOST_IMAGES:
        raise too_many()
    system = head.get("systemInstruction")
    if not plain:
        compact = jsonl.canonical({"contents": contents} | ({} if system is None else {"systemInstruction": system}))
    example_id = hash64(compact, seed)
    for data, mime in mimes:
        data["mimeType"] = mime
    if system is not None and system.get("role", "").__class__ is not str:
        del system["role"]
    return Example(row, example_id, contents, head, columns, images, text_bytes=text_bytes if alone else -1, base=base)


def output_line(example: Example, contents: list[dict[str, Any]]) -> bytes:
    """One line of a split file, with its line end: `contents` of a piece, and what every piece repeats."""
    if not example.head:
        return jsonl.dumps({"contents": contents}) + b"\n"
    head = dict(example.head)
    system = {"systemInstruction": head.pop("systemInstruction")} if "systemInstruction" in head else {}
    return jsonl.dumps({**system, "contents": contents, **head}) + b"\n"


def drop_images(example: Example, bad: Set[int]) -> None:
    """Take images out of an example, each with its caption.

    Args:
        example: changed in place.
        bad: indexes into `example.images`.

    Raises:
        RowError: no_images_left, or empty_turn when a turn was left without a part. The example is then unchanged.
    """
    if not bad:
        return
    if len(bad) == len(example.images):
        raise RowError("no_images_left", f"none of the {len(bad)} images can be used")
    changed: list[tuple[dict[str, Any], list[dict[str, Any]]]] = []
    numbers = itertools.count()
    for number, turn in enumerate(example.contents):
        gone: set[int] = set()
        for image, texts in captions(turn["parts"]).items():
            if next(numbers) in bad:
                gone.update((image, *texts))
        if gone:
            parts = [part for i, part in enumerate(turn["parts"]) if i not in gone]
            if not parts:
                raise RowError("empty_turn", f"contents[{number}] held nothing but images that cannot be used")
            changed.append((turn, parts))
    for turn, parts in changed:
        turn["parts"] = parts
    example.images = [image for i, image in enumerate(example.images) if i not in bad]
    example.text_bytes = -1


def _no_contents(contents: Any, columns: dict[str, Any]) -> RowError:
    if contents is not None:
        return RowError("missing_contents", "contents is not a list of at least one turn")
    for key, name in _OTHER_FORMATS:
        if key in columns:
            return RowError("other_format", f"the row is in the format {name}")
    return RowError("missing_contents", "the row has no contents")


def _take_head(columns: dict[str, Any], head: dict[str, Any]) -> bool:
    """Move what every piece repeats from `columns` to `head`; whether the row was, and stays, as the id wants it."""
    plain = True
    for snake, name in HEAD.items():
        if snake in columns and snake != name:
            if name in columns:
                raise RowError("duplicate_key", f"the row has both {name} and {snake}")
            columns[name] = columns.pop(snake)
            plain = False
        if name in columns:
            value = columns.pop(name)
            if name == "systemInstruction" and value is not None:
                head[name] = _system(value)
                plain = plain and head[name] is value
                continue
            plain = False
            if value is not None:
                head[name] = camel_tools(value) if name == "tools" else camel(value, CONFIG, name)
    return plain and not columns


def _system(value: Any) -> dict[str, Any]:
    """systemInstruction in camelCase (the same object if it already is); its role is the service's to ignore."""
    if not isinstance(value, dict):
        raise RowError("bad_system_instruction", "systemInstruction is not an object")
    parts = value.get("parts")
    if not isinstance(parts, list) or not parts:
        raise RowError("bad_system_instruction", "systemInstruction.parts is not a list of at least one part")
    if unknown := value.keys() - {"parts", "role"}:
        raise RowError("bad_system_instruction", f"systemInstruction has the key {min(unknown)!r}")
    if value.get("role", "") is None:
        value = {"parts": parts}
    mended = [part if isinstance(part, dict) and len(part) == 1 else camel(part, PART, "a part") for part in parts]
    for i, part in enumerate(mended):
        text = part.get("text") if isinstance(part, dict) and len(part) == 1 else None
        if not isinstance(text, str) or not text or text.isspace():
            raise RowError("bad_system_instruction", f"systemInstruction.parts[{i}] is not a text alone, or blank")
    return value if all(new is old for new, old in zip(mended, parts)) else {**value, "parts": mended}


def _bad_turn(turn: Any, role: str, number: int) -> RowError:
    """Why a turn is not what the walk expects."""
    where = f"contents[{number}]"
    if not isinstance(turn, dict):
        return RowError("bad_turn", f"{where} is not an object")
    found = turn.get("role")
    if found is None:
        return RowError("bad_role", f"{where} has no role")
    if found not in ("user", "model"):
        return RowError("bad_role", f"{where}: role is {str(found)[:40]!r}, not user or model")
    if found != role:
        return RowError("turn_order", f"{where} is a {found} turn where a {role} turn must stand")
    if unknown := turn.keys() - {"role", "parts"}:
        return RowError("bad_turn", f"{where} has the key {min(unknown)[:40]!r}")
    return RowError("bad_turn", f"{where} has no parts")


def _part(part: Any, number: int, i: int) -> dict[str, Any]:
    """A part in camelCase (the same object if it already is), holding a text, or a fileData and its mediaResolution."""
    where = f"contents[{number}].parts[{i}]"
    if not isinstance(part, dict):
        raise RowError("bad_part", f"{where} is not an object")
    mended = camel(part, PART, where)
    data = [key for key in mended if key in DATA.values()]
    if len(data) != 1:
        raise RowError("bad_part", f"{where} holds {' and '.join(data) or 'no data'}: one of text, fileData is needed")
    if data[0] == "inlineData":
        raise RowError("inline_data", f"{where} holds the file itself")
    if data[0] not in ("text", "fileData"):
        raise RowError("unsupported_part", f"{where} holds a {data[0]}")
    for key in mended:
        if key != data[0] and (key, data[0]) != ("mediaResolution", "fileData"):
            reason = "unsupported_part" if key in PART.values() and key != "mediaResolution" else "bad_part"
            raise RowError(reason, f"{where} holds {key[:40]!r} beside {data[0]}")
    return part if mended.keys() == part.keys() else mended


def _file_data(data: Any, number: int, i: int) -> dict[str, str]:
    """A fileData in camelCase, with both of its keys."""
    where = f"contents[{number}].parts[{i}].fileData"
    mended = camel(data, FILE_DATA, where)
    if not isinstance(mended, dict) or "mimeType" not in mended or "fileUri" not in mended:
        raise RowError("bad_file_data", f"{where} is not an object with mimeType and fileUri")
    for key, value in mended.items():
        if key not in FILE_DATA.values() or not isinstance(value, str):
            raise RowError("bad_file_data", f"{where}: {key[:40]!r} is unknown or not a string")
    return mended


def _mime(written: Any, number: int, i: int, uri: str) -> str:
    """An unusual mimeType in its usual form (lower case; image/jpeg for image/jpg)."""
    mime = written.lower() if isinstance(written, str) else ""
    if not _MIME.fullmatch(mime):
        raise RowError("bad_file_data", f"contents[{number}].parts[{i}]: mimeType is {str(written)[:60]!r}", uri)
    if not mime.startswith("image/"):
        raise _unsupported(mime, number, i, uri)
    return "image/jpeg" if mime == "image/jpg" else mime


def _unsupported(mime: str, number: int, i: int, uri: str) -> RowError:
    return RowError("unsupported_media", f"contents[{number}].parts[{i}]: {mime[:60]} cannot be used as it is", uri)
