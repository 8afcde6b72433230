"""Keys of the API in both spellings, snake_case and camelCase: what a row says -> camelCase, which is written."""

from __future__ import annotations

import re
from typing import Any

from transforms.core.reasons import RowError


def _snake(*names: str) -> dict[str, str]:
    return {re.sub("[A-Z]", lambda letter: "_" + letter[0].lower(), name): name for name in names}


HEAD = _snake("systemInstruction", "tools", "generationConfig")
DATA = _snake(
    "text", "fileData", "inlineData", "functionCall", "functionResponse", "executableCode", "codeExecutionResult",
)  # fmt: skip
PART = DATA | _snake("mediaResolution", "videoMetadata", "thought", "thoughtSignature")
FILE_DATA = _snake("mimeType", "fileUri", "displayName")
_TOOL = _snake(
    "functionDeclarations", "googleSearch", "googleSearchRetrieval", "googleMaps", "codeExecution", "urlContext",
    "enterpriseWebSearch", "computerUse",
)  # fmt: skip
_DECLARATION = _snake("parametersJsonSchema", "responseJsonSchema")
CONFIG = _snake(
    "mediaResolution", "maxOutputTokens", "topP", "topK", "candidateCount", "stopSequences", "presencePenalty",
    "frequencyPenalty", "responseMimeType", "responseSchema", "responseJsonSchema", "responseLogprobs",
    "responseModalities", "thinkingConfig", "audioTimestamp", "routingConfig", "speechConfig",
)  # fmt: skip


def camel_tools(tools: Any) -> Any:
    """`tools` in camelCase: the API's own wrappers only, never the names inside a user's schema."""
    if not isinstance(tools, list):
        return tools
    tools = [camel(tool, _TOOL, "a tool") for tool in tools]
    for tool in tools:
        if isinstance(tool, dict) and isinstance(tool.get("functionDeclarations"), list):
            tool["functionDeclarations"] = [
                camel(declaration, _DECLARATION, "a function declaration")
                for declaration in tool["functionDeclarations"]
            ]
    return tools


def camel(value: Any, names: dict[str, str], what: str) -> Any:
    """An object with its known keys in camelCase and without nulls; anything else as it is."""
    if not isinstance(value, dict):
        return value
    renamed = {names.get(key, key): field for key, field in value.items()}
    if len(renamed) != len(value):
        twice = next(name for snake, name in names.items() if snake != name and snake in value and name in value)
        raise RowError("duplicate_key", f"{what} has {twice} in both spellings")
    return {key: field for key, field in renamed.items() if field is not None}
