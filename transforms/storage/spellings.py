"""The other spellings of a name: its other slash, Unicode and percent forms, as Windows, macOS and exports write it.

Nothing is looked at here: what may be read is checked of each spelling, where it is used.
"""

from __future__ import annotations

import posixpath
import re
import unicodedata
from collections.abc import Iterator
from itertools import islice, product
from urllib.parse import quote, unquote

MOST_SPELLINGS = 8  # of one name
MOST_TAIL = 16  # parts of a path, from its end
_HOST = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://[^/]*/?|[A-Za-z]:(?=/)")
_LABEL_STUDIO = re.compile(
    r"[?&]d=([^&#]+)"
)  # its address of a file of a local folder: /data/local-files/?d=a%20b/1.jpg


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


def path_tails(written: str) -> list[str]:
    """The ends of a path, longest first and at most MOST_TAIL parts long: what is left of it in a folder that was moved or mounted.

    Scheme, host and drive are no part of it; each end is told as it is, then unescaped, without its query and in the other Unicode
    form. None leads upwards.

    >>> path_tails("/data/upload/3/0.jpg")
    ['data/upload/3/0.jpg', 'upload/3/0.jpg', '3/0.jpg', '0.jpg']
    >>> path_tails("/data/local-files/?d=cats/my%20cat.jpg"), path_tails("https://example.com/a/../1.jpg?w=2")
    (['cats/my cat.jpg', 'my cat.jpg'], ['1.jpg?w=2', '1.jpg'])
    """
    if written.startswith("data:"):
        return []
    slashed = written.replace("\\", "/")
    if named := _LABEL_STUDIO.search(slashed):
        texts = [unquote(named[1])]
    else:
        path = _HOST.sub("", slashed, count=1)
        texts = [path, unquote(path), path.partition("?")[0], unquote(path.partition("?")[0])]
    texts = [form for text in dict.fromkeys(texts) for form in islice(_unicode_forms(text), 2)]
    parts = [_parts(text) for text in dict.fromkeys((*texts, *(text.replace("\\", "/") for text in texts)))]
    longest = max(map(len, parts))
    return list(dict.fromkeys("/".join(some[-n:]) for n in range(longest, 0, -1) for some in parts if len(some) >= n))


def _parts(path: str) -> list[str]:
    return [part for part in posixpath.normpath(f"/{path}").split("/") if part][-MOST_TAIL:]


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
