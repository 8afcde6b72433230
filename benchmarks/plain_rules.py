"""The rules of the plain script: a line of JSON -> the id of its example and the line to write. It imports nothing of Tuneset.

Left out: replay of rejected rows, options. The one known difference: the number 1e-7 is written 1e-07.
"""

from __future__ import annotations

import json
import math
import posixpath
import re
from collections import Counter
from hashlib import blake2b
from typing import Any
from urllib.parse import unquote

SEED = b"0"
MAX_IMAGES, MAX_TOKENS = 16, 131_072  # an example
MAX_LINE_BYTES, MAX_DEPTH = 16_000_000, 200
TYPES = ("image/png", "image/jpeg", "image/webp", "image/heic", "image/heif")
BOM = b"\xef\xbb\xbf"
MIME = re.compile(r"[a-z]+/[a-z0-9][a-z0-9.+-]*")
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
DOTS = re.compile(r"(^|/)(\.|%2e){1,2}(/|$)", re.IGNORECASE)
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://|(?i:data|http|https|ftp|javascript):")


def both_spellings(*names: str) -> dict[str, str]:
    return {re.sub("[A-Z]", lambda letter: "_" + letter[0].lower(), name): name for name in names}


HEAD = both_spellings("systemInstruction", "tools", "generationConfig")
DATA = both_spellings(
    "text", "fileData", "inlineData", "functionCall", "functionResponse", "executableCode", "codeExecutionResult"
)
PART = DATA | both_spellings("mediaResolution", "videoMetadata", "thought", "thoughtSignature")
FILE_DATA = both_spellings("mimeType", "fileUri", "displayName")
TOOL = both_spellings(
    "functionDeclarations", "googleSearch", "googleSearchRetrieval", "googleMaps", "codeExecution", "urlContext",
    "enterpriseWebSearch", "computerUse",
)  # fmt: skip
DECLARATION = both_spellings("parametersJsonSchema", "responseJsonSchema")
CONFIG = both_spellings(
    "mediaResolution", "maxOutputTokens", "topP", "topK", "candidateCount", "stopSequences", "presencePenalty",
    "frequencyPenalty", "responseMimeType", "responseSchema", "responseJsonSchema", "responseLogprobs",
    "responseModalities", "thinkingConfig", "audioTimestamp", "routingConfig", "speechConfig",
)  # fmt: skip
OTHER_FORMATS = (
    "messages", "conversations", "input_text", "output_text", "text_input", "imageGcsUri", "completions", "suffix", "prefix",
)  # fmt: skip


class Bad(Exception):
    """A row that breaks a rule; its text is the reason."""


# Lines


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise Bad("duplicate_key")
    return made


def finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise Bad("not_json")
    return number


def whole(text: str) -> float:
    """An integer, or beyond 64 bits a float, as in most readers."""
    number = int(text) if len(text) <= 20 else 1 << 64
    return number if -(1 << 63) <= number < 1 << 64 else finite(text)


def no_constant(text: str) -> None:
    raise Bad("not_json")  # NaN, Infinity


decode = json.JSONDecoder(
    object_pairs_hook=unique, parse_float=finite, parse_int=whole, parse_constant=no_constant
).decode
encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
encode_canonical = json.JSONEncoder(
    separators=(",", ":"), check_circular=False, sort_keys=True, ensure_ascii=False
).encode


def depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


def parse(raw: bytes) -> dict[str, Any]:
    if len(raw) > MAX_LINE_BYTES:
        raise Bad("line_too_long")
    try:
        text = raw.removeprefix(BOM).decode()
    except UnicodeDecodeError:
        raise Bad("not_utf8") from None
    try:
        row = decode(text)
        if text.count("{") + text.count("[") > MAX_DEPTH and depth(row) > MAX_DEPTH:
            raise Bad("too_deep")
        if "\\u" in text:
            encode_canonical(row).encode()  # fails on half a pair of surrogates
    except RecursionError:
        raise Bad("too_deep") from None
    except ValueError:
        raise Bad("not_json") from None
    if not isinstance(row, dict):
        raise Bad("not_an_object")
    return row


# Rules


def camel(value: Any, names: dict[str, str]) -> Any:
    """An object with its known keys in camelCase and without nulls."""
    if not isinstance(value, dict):
        return value
    renamed = {names.get(key, key): field for key, field in value.items()}
    if len(renamed) != len(value):
        raise Bad("duplicate_key")
    return {key: field for key, field in renamed.items() if field is not None}


def is_text(value: Any) -> bool:
    return isinstance(value, str) and value != "" and not value.isspace()


def take_head(row: dict[str, Any]) -> dict[str, Any]:
    """systemInstruction, tools and generationConfig, taken out of the row."""
    head = {}
    for snake, name in HEAD.items():
        if snake in row and snake != name:
            if name in row:
                raise Bad("duplicate_key")
            row[name] = row.pop(snake)
        value = row.pop(name, None)
        if value is None:
            continue
        if name == "generationConfig":
            value = camel(value, CONFIG)
        elif name == "tools" and isinstance(value, list):
            value = [camel(tool, TOOL) for tool in value]
            for tool in value:
                if isinstance(tool, dict) and isinstance(tool.get("functionDeclarations"), list):
                    tool["functionDeclarations"] = [camel(d, DECLARATION) for d in tool["functionDeclarations"]]
        elif name == "systemInstruction":
            value = system_instruction(value)
        head[name] = value
    return head


def system_instruction(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not isinstance(value.get("parts"), list) or not value["parts"]:
        raise Bad("bad_system_instruction")
    if value.keys() - {"parts", "role"}:
        raise Bad("bad_system_instruction")
    parts = [part if isinstance(part, dict) and len(part) == 1 else camel(part, PART) for part in value["parts"]]
    if not all(isinstance(part, dict) and len(part) == 1 and is_text(part.get("text")) for part in parts):
        raise Bad("bad_system_instruction")
    return {key: parts if key == "parts" else field for key, field in value.items() if field is not None}


def check_part(part: Any) -> dict[str, Any]:
    """A part in camelCase that holds a text, or a fileData and its mediaResolution."""
    if not isinstance(part, dict):
        raise Bad("bad_part")
    if len(part) == 1 and (part.get("text") or part.get("fileData")):
        return part
    mended: dict[str, Any] = camel(part, PART)
    data = [key for key in mended if key in DATA.values()]
    if len(data) != 1:
        raise Bad("bad_part")
    if data[0] not in ("text", "fileData"):
        raise Bad("inline_data" if data[0] == "inlineData" else "unsupported_part")
    for key in mended:
        if key != data[0] and (key, data[0]) != ("mediaResolution", "fileData"):
            raise Bad("unsupported_part" if key in PART.values() and key != "mediaResolution" else "bad_part")
    return mended


def check_file_data(data: Any) -> tuple[dict[str, str], str]:
    """A fileData in camelCase as its row has it, and the mimeType that is written."""
    if not isinstance(data, dict) or len(data) != 2 or "mimeType" not in data or "fileUri" not in data:
        data = camel(data, FILE_DATA)
        if not isinstance(data, dict) or "mimeType" not in data or "fileUri" not in data:
            raise Bad("bad_file_data")
        if not all(key in FILE_DATA.values() and isinstance(field, str) for key, field in data.items()):
            raise Bad("bad_file_data")
    mime = data["mimeType"]
    if not is_text(data["fileUri"]) or not isinstance(mime, str):
        raise Bad("bad_file_data")
    if mime not in TYPES:
        mime = mime.lower()
        if not MIME.fullmatch(mime):
            raise Bad("bad_file_data")
        mime = "image/jpeg" if mime == "image/jpg" else mime
        if mime not in TYPES:
            raise Bad("unsupported_media")  # to convert it, it would have to be read
    return data, mime


def check_contents(contents: list[Any]) -> list[tuple[dict[str, str], str]]:
    """Put all parts in camelCase -> (fileData, mimeType to write) of every image."""
    images = []
    expected = "user"
    for turn in contents:
        if not isinstance(turn, dict):
            raise Bad("bad_turn")
        role = turn.get("role")
        if role not in ("user", "model"):
            raise Bad("bad_role")
        if role != expected:
            raise Bad("turn_order")
        if turn.keys() != {"role", "parts"} or not isinstance(turn["parts"], list) or not turn["parts"]:
            raise Bad("bad_turn")
        parts = turn["parts"]
        for i, part in enumerate(parts):
            parts[i] = part = check_part(part)
            if "text" in part:
                if not isinstance(part["text"], str):
                    raise Bad("bad_part")
                if not is_text(part["text"]):
                    raise Bad("empty_text")
                continue
            if role == "model":
                raise Bad("image_in_model_turn")
            part["fileData"], mime = check_file_data(part["fileData"])
            images.append((part["fileData"], mime))
        expected = "model" if role == "user" else "user"
    if expected == "model":
        raise Bad("turn_order")
    return images


def resolve(uri: str, folder: str, allowed: tuple[str, ...]) -> str:
    """The one spelling of where an image is."""
    if CONTROL.search(uri):
        raise Bad("bad_uri")
    if uri.startswith("gs://"):
        bucket, _, name = uri[5:].partition("/")
        if not bucket or not name or name.endswith("/") or DOTS.search(name):
            raise Bad("bad_uri")
        return uri
    if uri.startswith("file://"):
        host, slash, path = uri[7:].partition("/")
        if host not in ("", "localhost") or not slash:
            raise Bad("unsupported_scheme")
        uri = unquote("/" + path)
        if CONTROL.search(uri):
            raise Bad("bad_uri")
    elif SCHEME.match(uri):
        raise Bad("unsupported_scheme")
    path = posixpath.normpath("/" + posixpath.join(folder, uri).lstrip("/"))
    if not any(path.startswith(place.rstrip("/") + "/") for place in allowed):
        raise Bad("not_allowed")
    return path


def tokens(head: dict[str, Any], contents: list[dict[str, Any]]) -> int:
    """Estimated: 4 bytes of text a token, and 256 an image, or 64 at low resolution."""

    def level(settings: Any, key: str) -> Any:
        return settings.get(key) if isinstance(settings, dict) and isinstance(settings.get(key), str) else None

    size = len(encode_canonical(head["tools"]).encode()) if "tools" in head else 0
    for part in head["systemInstruction"]["parts"] if "systemInstruction" in head else ():
        size += len(part["text"].encode())
    usual, total = level(head.get("generationConfig"), "mediaResolution"), 0
    for turn in contents:
        for part in turn["parts"]:
            if "text" in part:
                size += len(part["text"].encode())
            else:
                low = (level(part.get("mediaResolution"), "level") or usual) == "MEDIA_RESOLUTION_LOW"
                total += 64 if low else 256
    return total + math.ceil(size / 4)


def example(raw: bytes, folder: str, allowed: tuple[str, ...], counts: Counter[str]) -> tuple[int, str]:
    """One line -> the example's id, and the line to write.

    Raises:
      Bad: the row breaks a rule.
    """
    row = parse(raw)
    contents = row.pop("contents", None)
    if not isinstance(contents, list) or not contents:
        raise Bad(
            "other_format" if contents is None and any(key in row for key in OTHER_FORMATS) else "missing_contents"
        )
    head = take_head(row)
    try:
        images = check_contents(contents)
    except Bad as bad:
        raise Bad("other_format") if str(bad) == "turn_order" and "completions" in row else bad from None
    system = {"systemInstruction": head.pop("systemInstruction")} if "systemInstruction" in head else {}
    text = encode_canonical({"contents": contents, **system}).encode()
    example_id = int.from_bytes(blake2b(text, digest_size=8, key=SEED).digest(), "big")
    counts["images_seen"] += len(images)
    for image, mime in images:
        image["mimeType"], image["fileUri"] = mime, resolve(image["fileUri"], folder, allowed)
    if len(images) > MAX_IMAGES:
        raise Bad("too_many_images")
    counts["examples_over_tokens"] += tokens(system | head, contents) > MAX_TOKENS
    if system and not isinstance(system["systemInstruction"].get("role", ""), str):
        del system["systemInstruction"]["role"]
    return example_id, encode({**system, "contents": contents, **head}) + "\n"
