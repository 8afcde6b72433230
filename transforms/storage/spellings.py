"""The other spellings of a name: its other slash, Unicode and percent forms, as Windows, macOS and exports write it.

Nothing is looked at here: what may be read is checked of each spelling, where it is used.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from itertools import islice, product
from urllib.parse import quote, unquote

MOST_SPELLINGS = 8  # of one name


def other_spellings(written: str) -> list[str]:
    """A name in its other slash, Unicode and percent forms, at most MOST_SPELLINGS.

    >>> other_spellings("images\\\\1.jpg"), other_spellings("my%20cat.jpg"), other_spellings("gs://bucket/a.jpg")
    (['images/1.jpg'], ['my%2520cat.jpg', 'my cat.jpg'], [])
    """
    # What tools leave on a disk: names that hold the backslashes of an archive, or the escapes of an address.
    as_on_disk = [] if "://" in written else [written.replace("/", "\\"), quote(written, safe="/\\:")]
    spelled = (
        composed
        for text in dict.fromkeys((written, unquote(written)))
        for slashed in dict.fromkeys((text, text.replace("\\", "/")))
        for composed in _unicode_forms(slashed)
    )
    distinct = dict.fromkeys((*as_on_disk, *islice(spelled, 8 * MOST_SPELLINGS)))
    distinct.pop(written, None)
    return list(distinct)[:MOST_SPELLINGS]


def _unicode_forms(path: str) -> Iterator[str]:
    """A path with each of its names as it is, composed and decomposed, in every combination; the whole path in one form first."""
    if path.isascii():
        yield path
        return
    for form in ("NFC", "NFD"):
        yield unicodedata.normalize(form, path)
    names = path.split("/")
    forms = [dict.fromkeys((name, *(unicodedata.normalize(form, name) for form in ("NFC", "NFD")))) for name in names]
    yield from map("/".join, product(*forms))
