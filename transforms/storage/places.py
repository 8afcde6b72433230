"""Where an image may be read from: what a row names -> the one spelling of a place that rows may name.

Everything here is about strings; that an opened file really lies where its path says is checked after opening
(storage/allowed_files.py).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import unquote

from transforms.core.places import LONGEST, inside
from transforms.core.reasons import ImageError
from transforms.storage.uris import CLOUD, bucket_uri, is_object, is_web, object_of_url, split_bucket
from transforms.storage.web.urls import normal_url, place_of, server_of

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):(//)?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NO_OBJECT = re.compile(r"\n(?!gs://[^/\x00-\x20]+/[^/\n])")
# Line ends as slashes, and what a plain name has none of as zero.
_FLAT = bytes(ord("/") if byte == 10 else 0 if byte < 32 or byte in b"%\x7f" else byte for byte in range(256))
_DOTS = re.compile(r"(?:^|/)(?:\.|%2e){1,2}(?:/|$)", re.IGNORECASE)


def normalise(uri: str, base: str = "") -> str:
    """The one spelling of a local path, gs:// URI or URL: absolute, without `.`, `..`, `//`, `file://localhost`.

    >>> normalise("file://localhost/data/a/..//b%20c.png")
    '/data/b c.png'
    >>> normalise("images/x.png", "gs://bucket/set")
    'gs://bucket/set/images/x.png'

    Raises:
      ImageError: bad_uri, unsupported_scheme.
    """
    if not uri or _CONTROL.search(uri):
        raise ImageError("bad_uri", "the URI is empty or holds control characters", uri)
    if len(uri) > LONGEST and not uri.startswith("data:"):
        raise ImageError("bad_uri", f"the URI has {len(uri):,} characters; at most {LONGEST:,} are read", uri)
    if is_object(uri):
        bucket, name = split_bucket(uri)
        # Object names are literal: `..` in one is not a step up, yet tools after us may take it for one.
        if not bucket or not name or name.endswith("/") or _DOTS.search(name):
            raise ImageError("bad_uri", "expected gs://BUCKET/OBJECT without `.` or `..` segments", uri)
        return uri
    if is_web(uri.lstrip()):
        return normal_url(uri)
    if uri.startswith("file://"):
        return _path_of_file_uri(uri)
    scheme = _SCHEME.match(uri)
    if scheme and (scheme[2] or scheme[1].lower() in ("data", "http", "https", "ftp", "javascript")):
        raise ImageError(
            "unsupported_scheme", f"{scheme[1]}: is not read; expected gs://, https:// or a local path", uri
        )
    if uri.startswith("/"):
        return posixpath.normpath("/" + uri.lstrip("/"))
    if not base:
        raise ImageError("bad_uri", "a relative path, but the row stands in no folder", uri)
    if is_object(base):
        bucket, folder = split_bucket(base + "/")
        path = posixpath.normpath("/" + folder + "/" + uri).lstrip("/")
        return normalise(f"{bucket_uri(bucket)}/{path}")
    return posixpath.normpath("/" + f"{base}/{uri}".lstrip("/"))


def _path_of_file_uri(uri: str) -> str:
    """The path that a file:// URI names. Raises as `normalise`."""
    host, slash, path = uri[7:].partition("/")
    if host not in ("", "localhost") or not slash:
        raise ImageError("unsupported_scheme", f"a file:// URI of another host ({host!r})", uri)
    path = unquote("/" + path)
    if _CONTROL.search(path):
        raise ImageError("bad_uri", "the URI holds control characters", uri)
    return posixpath.normpath("/" + path.lstrip("/"))


def plain_objects(uris: Collection[str]) -> bool:
    """Whether all are gs:// objects that `normalise` leaves as they are: a quick test of many at once, which may say no too often.

    >>> plain_objects(["gs://bucket/a.jpg", "gs://bucket/b c/d.jpg"]), plain_objects(["gs://bucket/../a.jpg"])
    (True, False)
    """
    text = "\n".join(("", *uris))
    return _plain(text, len(uris), schemes=len(uris)) and _NO_OBJECT.search(text) is None


def plain_paths(paths: Collection[str]) -> bool:
    """Whether all are relative paths that only have to be put behind their folder: as quick, and as careful.

    >>> plain_paths(["images/1.jpg", "b c.png"]), plain_paths(["/etc/passwd"]), plain_paths(["a/./b"])
    (True, False, False)
    """
    text = "\n".join(("", *paths))
    return _plain(text, len(paths), schemes=0) and ":" not in text


def _plain(text: str, lines: int, schemes: int) -> bool:
    """Whether there are so many lines and `//`, and no line has an empty or dotted segment, control characters or `%`, or is long."""
    half = LONGEST // 2  # a line over LONGEST fills one of the halves
    if any(text.find("\n", at, at + half) < 0 for at in range(0, len(text) - half + 1, half)):
        return False
    flat = text.encode("utf-8", "surrogatepass").translate(_FLAT) + b"/"
    return text.count("\n") == lines and flat.count(b"//") == schemes and b"/." not in flat and b"\0" not in flat


def _how_to_allow(url: str) -> str:
    """What lets an image be read that a URL names."""
    there = object_of_url(url)
    if there and not _CONTROL.search(there):
        return f"this address names {there}: write that"
    return f"URLs are read where --allow_prefix names them, as --allow_prefix {server_of(url)}/ or a folder of it"


@dataclass(frozen=True)
class Places:
    """What rows may name.

    `folders`: what may be read, as normalised paths, gs:// prefixes or those of URLs; "gs://" alone allows every bucket.
    `uploads`: folders of images that are to be uploaded, each with its URI then: until then such images are read where they lie.
    """

    folders: tuple[str, ...]
    staged: str = ""  # folder of images that stood in rows: read as well
    uploads: tuple[tuple[str, str], ...] = ()  # (to, from)
    root: str = ""  # one of `folders`, in which images are looked for that are not where rows name them (--image_root)

    @property
    def readable(self) -> tuple[str, ...]:
        return (*self.folders, self.staged) if self.staged else self.folders

    @property
    def any_bucket(self) -> bool:
        """Whether every object of Cloud Storage may be read, where a row says that it is."""
        return CLOUD in self.folders and not self.uploads

    def resolve(self, uri: str, base: str) -> str:
        """The normalised URI of what a row names.

        Raises:
          ImageError: bad_uri, unsupported_scheme, not_allowed.
        """
        path = normalise(uri, base)
        for there, here in self.uploads:
            if inside(path, there):
                name = posixpath.basename(path)
                path = normalise(f"{name[:2]}/{name}", here)  # as images are laid down (images/orders.py)
        place = place_of(path) if is_web(path) else path
        for folder in self.readable:
            if (folder == CLOUD and is_object(path)) or inside(place, folder):
                return path
        if is_web(path):
            raise ImageError("not_allowed", f"{path}: {_how_to_allow(path)}", uri)
        allowed = ", ".join(self.folders) or "nothing"
        raise ImageError("not_allowed", f"{path} lies outside what may be read ({allowed}); see --allow_prefix", uri)

    def below(self, base: str) -> str:
        """What makes a plain relative path the source it names, or "" if each one has to be resolved."""
        usual = base.startswith("/") and posixpath.normpath(base) == base and not base.startswith("//") and base != "/"
        return f"{base}/" if usual and any(inside(base, folder) for folder in self.folders) else ""
