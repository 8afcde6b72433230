"""What an option's value has to be, once it is read: checks that the table of options names.

A check is given a value, or each item of a list, and raises a ValueError that says what was expected. What two options mean to each
other is checked in settings.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from transforms.inputs.cells.csv_dialect import DELIMITERS
from transforms.storage import abilities
from transforms.storage.web.addresses import fault_of_prefix

_IMAGE_TYPES = ("png", "jpeg", "webp", "heic", "heif")
_MOST_SEED_BYTES = 64  # of the key that BLAKE2b takes


def at_least(least: int) -> Callable[[int], None]:
    """A check of the least that a number may be."""

    def check(number: int) -> None:
        if number < least:
            raise ValueError(f"expected at least {least}")

    return check


def check_max_validation(number: int | str) -> None:
    """How many examples of validation, or `auto`."""
    if isinstance(number, int):
        at_least(0)(number)


def within(least: int, most: int) -> Callable[[float], None]:
    """A check of a number's bounds, both inclusive."""

    def check(number: float) -> None:
        if not least <= number <= most:
            raise ValueError(f"expected a number from {least} to {most}")

    return check


def check_prefix(prefix: str) -> None:
    """A folder or prefix that images may be read from."""
    if not abilities(prefix.removeprefix("file://")).holds_images:
        raise ValueError("expected folders and gs://, https:// or http:// prefixes; nothing else is ever read")
    if abilities(prefix).foreign and (fault := fault_of_prefix(prefix)):
        raise ValueError(fault)


def check_uri_prefix(uri: str) -> None:
    """Where a local dataset will be uploaded to."""
    if not abilities(uri).readable_by_service:
        raise ValueError("expected gs://BUCKET/FOLDER")
    if re.search(r"[*?#\[\]]", uri):
        raise ValueError("gcloud takes *, ?, #, [ and ] for patterns: choose another")


def check_delimiter(delimiter: str) -> None:
    """What parts the cells of CSV."""
    is_character = len(delimiter) == 1 and delimiter.isascii() and delimiter not in '"\r\n'
    if not is_character and delimiter not in ("auto", *DELIMITERS):
        raise ValueError(f"expected one ASCII character, or {', '.join(DELIMITERS)}")


def check_type(name: str) -> None:
    """A type of images that may conform."""
    if name not in _IMAGE_TYPES:
        raise ValueError(f"expected some of {', '.join(_IMAGE_TYPES)}")


def check_seed(seed: str) -> None:
    """A text that keys a hash."""
    if len(seed.encode()) > _MOST_SEED_BYTES:
        raise ValueError(f"expected at most {_MOST_SEED_BYTES} bytes, since it keys a hash")


def check_split_by(column: str) -> None:
    """The column by which examples are kept together, or `image`."""
    if column == "images":
        raise ValueError("expected image, or another column")


def check_sample(text: str) -> None:
    """How many examples are kept, or which fraction of them."""
    try:
        number = float(text)
    except ValueError:
        number = 0
    is_fraction = "." in text and 0 < number <= 1
    is_count = text.isdigit() and number > 0
    if not (is_fraction or is_count):
        raise ValueError("expected a count such as 100 or a fraction such as 0.01")


def check_report(file: str) -> None:
    """Where a report is written, or `none`."""
    if file not in ("", "none") and (not file.endswith(".html") or not abilities(file).creates_if_absent):
        raise ValueError("expected a local or gs:// path that ends in .html, or none")
