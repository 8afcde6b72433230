"""Globs of full names: a pattern -> a regular expression that is as fast on hostile names as on others."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import count

_TOKEN = re.compile(r"\*\*/?|[*?]|\[[!^]?\]?[^\]]*\]|.", re.DOTALL)
_DOUBLED = {"**/": ("(?:.*/)?", "(?:.*?/)??"), "**": (".*", ".*?")}  # as long as can be; as short


@lru_cache(maxsize=64)
def compiled(pattern: str) -> re.Pattern[str]:
    """A glob as a regular expression: `*`, `?` and `[...]` stop at a slash, a doubled star does not.

    Catastrophic backtracking is avoided: where a later star can match all that an earlier one leaves, the earlier one becomes an
    atomic lazy group. Otherwise each star would be tried at every length of the one before.
    """
    parts: list[tuple[str, list[str]]] = [("", [])]  # (doubled star, tokens up to the next one)
    for token in _TOKEN.findall(pattern):
        if token in _DOUBLED:
            parts.append((token, []))
        else:
            parts[-1][1].append(token)
    numbers, pieces = count(), ["(?s)"]
    for (star, tokens), (following, _) in zip(parts, [*parts[1:], ("", [])]):
        # `**/` takes what is given up only if that ends where a folder does.
        settled = following == "**" or (following != "" and (star + "".join(tokens)).endswith("/"))
        piece = "".join(_single(tokens, settled, numbers))
        piece = (_DOUBLED[star][settled] if star else "") + piece
        pieces.append(_once(piece, numbers) if settled else piece)
    return re.compile("".join(pieces))


def _single(tokens: list[str], settled: bool, numbers: Iterator[int]) -> Iterator[str]:
    """Tokens without doubled stars. Stars but the last, and if `settled` that too, are as short as can be."""
    stars = [at for at, token in enumerate(tokens) if token == "*"]
    yield from map(_letter, tokens[: stars[0]] if stars else tokens)
    for at, end in zip(stars, [*stars[1:], len(tokens)]):
        fixed = "".join(map(_letter, tokens[at + 1 : end]))
        if end < len(tokens) or settled:
            yield _once("[^/]*?" + fixed, numbers)
        else:
            yield "[^/]*" + fixed


def _once(piece: str, numbers: Iterator[int]) -> str:
    """The first match of a piece, and no other (an atomic group, which Python has from 3.11 on)."""
    name = f"g{next(numbers)}"
    return f"(?=(?P<{name}>{piece}))(?P={name})"


def _letter(token: str) -> str:
    if token == "?":
        return "[^/]"
    if len(token) == 1:
        return re.escape(token)
    inner = token[1:-1].replace("\\", "\\\\").replace("[", "\\[")  # [abc], [!abc]
    return f"(?!/)[{'^' + inner[1:] if inner[0] in '!^' else inner}]"
