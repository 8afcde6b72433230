"""What an option's value is read as, by its kind: texts, places, lists. What no value can mean is refused before anything is done.

A kind is an option's metavar, and `reader_of` has its reader: text of the command line -> value, or an argparse.ArgumentTypeError
that shows what was found and says how to mend it. One rule holds for all kinds: blanks around a value (or around an item of a
list) are dropped, those inside are kept, and control characters are refused. What is empty stays so: it may be a default.
"""

from __future__ import annotations

import os
import re
import unicodedata
from argparse import ArgumentTypeError
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from transforms.core.limits import profile_of
from transforms.storage import abilities
from transforms.storage.uris import CLOUD, bucket_of, is_object, is_web, lacks_bucket, lacks_host
from transforms.storage.web.urls import normal_prefix

CRLF = "the script it comes from has Windows line ends (CRLF): convert it, as with dos2unix"
# A variable that no shell or scheduler filled in, or what a reader of docs was to fill in.
_UNFILLED = re.compile(
    r"<[^<>/]+>|\$\{[^}]*\}?|\$\(.*|\$[A-Z_][A-Z0-9_]+|%[A-Z_]{3,}%|\{\{.*\}\}|YOUR[_-][A-Z0-9_-]+"
    r"|(?i:\[(?:(?:your|my)[ _-])?(?:bucket|folder|project|path|dataset|output|input|region)s?(?:[ _-](?:name|id))?\])"
)
# The same as one name of a path; capitals as the help of options has them.
_UNFILLED_NAME = re.compile(r"\$\w+|\{\w+\}|\.\.\.|…|MY[_-][A-Z0-9_-]+|(?i:your[_-]bucket(?:[_-]name)?)")
_HELP_NAME = re.compile(r"(?:BUCKET|FOLDER|PROJECT)(?:S|_NAME|_ID)?|PATTERNS|PREFIXES")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]*[a-z0-9]")
_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+")
_CLOUD_NAME = re.compile(r"[a-z0-9]([a-z0-9.:-]*[a-z0-9])?")
_IMAGE = re.compile(r"[a-z0-9][a-z0-9._/:-]*?(:[A-Za-z0-9_.-]+)?(@sha256:[0-9a-f]{64})?")


def shown(text: str) -> str:
    """A text for a screen: what does not print is escaped."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def check_printable(text: str, allowed: str = "") -> None:
    """Raises ArgumentTypeError for a control character, a line separator, or bytes that are not UTF-8."""
    for letter in text:
        category = unicodedata.category(letter)
        if category == "Cs":
            raise ArgumentTypeError(f"'{shown(text)}' is not UTF-8: write it in UTF-8")
        if category in ("Cc", "Zl", "Zp") and letter not in allowed:
            mend = CRLF if letter == "\r" else "take it out"
            raise ArgumentTypeError(f"'{shown(text)}' holds the control character {shown(letter)}: {mend}")


def word(text: str, allowed: str = "") -> str:
    """A value of any kind, without the blanks around it."""
    check_printable(text, allowed)
    return text.strip()


def filled(text: str) -> str:
    """A value that is not wholly a placeholder."""
    value = word(text)
    if _UNFILLED.fullmatch(value):
        raise ArgumentTypeError(f"{value} is a placeholder: put your own value in its place")
    return value


def template(text: str) -> str:
    """A template of texts to be learnt, which may have several lines."""
    return word(text, allowed="\n\t")


def count_or_auto(text: str) -> int | str:
    """A number, or the word auto."""
    value = word(text)
    if value == "auto":
        return value
    try:
        return int(value)
    except ValueError:
        raise ArgumentTypeError(f"{value}: expected a number, or auto") from None


def character(text: str) -> str:
    """One character, as it is (a tab, a blank), or the name of one."""
    return text if len(text) == 1 else word(text)


def cloud_name(text: str) -> str:
    """The name of a project or a region."""
    value = filled(text)
    if value and not _CLOUD_NAME.fullmatch(value):
        raise ArgumentTypeError(
            f"{value}: expected small letters, digits and hyphens, as a name of Google Cloud has them"
        )
    return value


def image(text: str) -> str:
    """The name of a container image."""
    value = filled(text)
    if not _IMAGE.fullmatch(value):
        raise ArgumentTypeError(
            f"{value}: expected HOST/FOLDER/NAME:TAG of an image, whose name has no capital letters"
        )
    return value


def readable_place(text: str) -> str:
    """A local path or pattern, or one of a bucket that can be."""
    value = filled(text)
    check_filled(value)
    if is_web(value):
        raise ArgumentTypeError(
            f"{value}: expected a local path or gs://BUCKET/...; by URL only images are read that rows name (--allow_prefix)"
        )
    if lacks_bucket(value):
        raise ArgumentTypeError(f"{value}: expected gs://BUCKET/FOLDER or a local path")
    bucket = bucket_of(value)
    if bucket and (fault := fault_of_bucket(bucket)):
        raise ArgumentTypeError(f"{value}: no bucket can be called {bucket}: {fault}")
    return value


def folder(text: str) -> str:
    """A place that is written to, so in no bucket of Google's own."""
    value = readable_place(text)
    bucket = bucket_of(value)
    if bucket.startswith("goog") or re.search("g[o0]{2}gle", bucket):
        raise ArgumentTypeError(f"{value}: no bucket of yours can be called {bucket}: names with goog are Google's")
    return value


def local_folder(text: str) -> str:
    """A folder of this machine."""
    value = readable_place(text)
    if not abilities(value).has_paths:
        raise ArgumentTypeError(f"{value}: expected a local folder")
    return value


def prefix(text: str) -> str:
    """A folder that images may be read from, or all of Cloud Storage; of the web a server or a folder of it, or all of it."""
    value = filled(text)
    if is_web(value):
        check_filled(value)
        try:
            return normal_prefix(value)
        except ValueError as error:
            raise ArgumentTypeError(f"{value}: {error}") from None
    if lacks_host(value):
        raise ArgumentTypeError(f"{value}: expected two slashes behind the scheme")
    return value if value == CLOUD else readable_place(value)


_DURATION = re.compile(r"([0-9]{1,9})(s|m|h)")
_SECONDS = {"s": 1, "m": 60, "h": 3600}


def duration(text: str) -> int:
    """Seconds, written as Google's templates take them: 30s, 5m, 1h; -1 for none."""
    if not text:
        return -1
    match = _DURATION.fullmatch(word(text))
    if not match:
        raise ArgumentTypeError(
            f"{shown(text)}: expected a whole number of seconds, minutes or hours, as 30s, 5m or 1h"
        )
    return int(match[1]) * _SECONDS[match[2]]


_SUBSCRIPTION = re.compile(r"projects/[a-z][-a-z0-9:.]+[a-z0-9]/subscriptions/[A-Za-z][-A-Za-z0-9._~+%]{2,254}")


def subscription(text: str) -> str:
    """The full name of a Pub/Sub subscription."""
    value = filled(text)
    if value and not _SUBSCRIPTION.fullmatch(value):
        raise ArgumentTypeError(f"{value}: expected projects/PROJECT/subscriptions/NAME")
    return value


def moment(text: str) -> int:
    """Seconds since 1970 of a time, in UTC if it names no other zone: 2026-11-22, 2026-11-22T10:05, 2026-11-22T10:05:00Z."""
    value = word(text)
    try:
        time = datetime.fromisoformat(value.removesuffix("Z") + "+00:00" * value.endswith("Z"))
    except ValueError:
        raise ArgumentTypeError(f"{value}: expected a time, as 2026-11-22T10:05 or 2026-11-22T10:05:00Z") from None
    return int((time if time.tzinfo else time.replace(tzinfo=timezone.utc)).timestamp())


def check_filled(place: str) -> None:
    """Raises ArgumentTypeError for a place in which a name is still to be filled in. A local folder that is there may be called so."""
    bucket, names = is_object(place), place.removeprefix(CLOUD).split("/")
    for number, name in enumerate(names):
        unfilled = _UNFILLED.search(name) or _UNFILLED_NAME.fullmatch(name)
        if not unfilled and (bucket or number == 0):  # a local folder may be called so: ./OUTPUT
            unfilled = _HELP_NAME.fullmatch(name)
        if unfilled and (bucket or not os.path.lexists("/".join(names[: number + 1]))):
            other = "" if bucket else "; if a folder is to be called so, make it first"
            raise ArgumentTypeError(
                f"{place}: {unfilled[0]} is a placeholder: put a name of your own in its place{other}"
            )


def fault_of_bucket(name: str) -> str:
    """Why no bucket can have a name, by Cloud Storage's rules of naming, or ""."""
    parts = name.split(".")
    if not 3 <= len(name) <= 222 or max(map(len, parts)) > 63:
        return "expected 3 to 63 characters, or up to 222 with dots"
    if not _BUCKET.fullmatch(name):
        return "expected small letters, digits, hyphens, underscores and dots, first and last a letter or digit"
    if not all(parts):
        return "expected no two dots side by side"
    return "expected a name, no IP address" if _ADDRESS.fullmatch(name) else ""


def items_of(read: Callable[[str], Any]) -> Callable[[str], tuple[Any, ...]]:
    """The reader of a list from that of its items."""

    def items(text: str) -> tuple[Any, ...]:
        check_printable(text)
        named = text.split(",")
        if not all(name.strip() for name in named):
            raise ArgumentTypeError(f"'{text}' names nothing where an item is expected, between commas")
        return tuple(map(read, named))

    return items


def line_number(text: str) -> int:
    """A line of a file, of which the first is 1; whether a file has it is not asked here."""
    value = word(text)
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", value):
        raise ArgumentTypeError(f"{value}: expected line numbers, separated by commas")
    return int(value)


def profile(text: str) -> str:
    """The name of a profile of limits, which a model's name tells too."""
    return profile_of(word(text))


# By metavar. A list adds up if it is given again.
LISTS: dict[str, Callable[[str], tuple[Any, ...]]] = {
    "PATTERNS": items_of(readable_place),
    "PREFIXES": items_of(prefix),
    "FOLDERS": items_of(readable_place),
    "TYPES": items_of(word),
    "COLUMNS": items_of(word),
    "LINES": items_of(line_number),
}
SINGLES: dict[str, Callable[[str], Any]] = {
    "FOLDER": folder,
    "FILE.html|none": readable_place,
    "PATTERN": readable_place,
    "DURATION": duration,
    "SUBSCRIPTION": subscription,
    "TIME": moment,
    "URI": folder,
    "DATASET": readable_place,
    "TEMPLATE": template,
    "CHARACTER": character,
    "PROJECT": cloud_name,
    "IMAGE": image,
    "COLUMN": word,
    "TEXT": filled,
    "SPEC": filled,
    "N|auto": count_or_auto,
    "PROFILE": profile,
}


def reader_of(metavar: str, default: Any = "") -> Callable[[str], Any]:
    """The reader of a kind; of kinds that choices or a number judge, that of the default's type, or only what holds for all."""
    usual = type(default) if isinstance(default, int | float) else word
    return LISTS.get(metavar) or SINGLES.get(metavar, usual)
