"""gs:// objects as a store, through google-cloud-storage.

Retried for up to 60 s with growing pauses: 408, 429, 5xx and broken connections (the library's DEFAULT_RETRY). All
reads are; so are all writes, because each is conditional on a generation or leaves the same bytes however often it
arrives. A conditional write whose first answer was lost meets its own object when it is sent again, and returns False:
the caller reads what is there, as after any lost race.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Any, NamedTuple
from urllib.parse import quote

import requests
import urllib3
from google.api_core import exceptions
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError
from google.cloud import storage
from google.cloud.storage.retry import DEFAULT_RETRY
from google.resumable_media import DataCorruption
from requests.adapters import HTTPAdapter

from transforms.core import checksum
from transforms.storage import (
    Changed,
    Forbidden,
    NoCredentials,
    NotFound,
    Piece,
    Stat,
    StorageError,
    Unavailable,
    crc32c,
)

_RETRY = DEFAULT_RETRY.with_timeout(60.0)  # seconds
_TIMEOUT = (10.0, 30.0)  # seconds to connect, and between two bytes of an answer
_CONNECTIONS = 32  # threads that can be reading at once in one process
_THREADS = 8  # writing and deleting at once in one call
_COMPOSE = 32  # sources of one compose: https://cloud.google.com/storage/docs/composite-objects, read 2026-11-22
_SMALL = 8 << 20  # bytes that a join may read and upload instead, where that takes fewer requests
_COPY = 16 << 20  # bytes of a range that are held in memory at once
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")


class _Source(NamedTuple):
    """An object that is composed; `crc32c` -1: not known."""

    name: str
    size: int
    crc32c: int
    temporary: bool = False


def split_uri(uri: str) -> tuple[str, str]:
    """gs://bucket/name -> (bucket, name); the name may be empty.

    Raises:
      NotFound: no bucket or object can have that name, so no request is made with it. "." and ".." must not reach a
        URL: HTTP clients resolve them, and another resource would be read.
    """
    scheme, _, rest = uri.partition("://")
    bucket, _, name = rest.partition("/")
    if scheme != "gs" or not _BUCKET.fullmatch(bucket):
        raise NotFound(f"{uri!r}: {bucket!r} is not a bucket's name (3 or more of a-z 0-9 . _ -)")
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise NotFound(f"{uri!r}: the name is not valid Unicode") from None
    if size > 1024 or name in (".", "..") or "\n" in name or "\r" in name:
        raise NotFound(f"{uri!r}: no object can have this name (1 to 1024 bytes, no line ends, not . or ..)")
    return bucket, name


def _split_object(uri: str) -> tuple[str, str]:
    bucket, name = split_uri(uri)
    if not name:
        raise NotFound(f"{uri!r} names a bucket, not an object")
    return bucket, name


@contextmanager
def _translated(uri: str, permission: str) -> Iterator[None]:
    """Client errors as storage errors; a precondition that failed is the caller's to handle."""
    try:
        yield
    except exceptions.NotFound as error:
        raise NotFound(f"{uri} does not exist, or its bucket does not") from error
    except exceptions.RetryError as error:
        raise Unavailable(f"{uri}: no answer after retries: {error.cause or error}") from error
    except exceptions.GoogleAPICallError as error:
        # A requester-pays bucket without a project to bill is a 400.
        if error.code in (401, 403) or "requester pays" in str(error).lower():
            raise Forbidden(
                f"{uri}: {error.message} (it takes {permission}: grant it on the bucket to the account the job runs "
                "as; on Dataflow that is the workers' service account)"
            ) from error
        if error.code is not None and (error.code >= 500 or error.code in (408, 429)):
            raise Unavailable(f"{uri}: {error}") from error
        raise StorageError(f"{uri}: {error}") from error
    except GoogleAuthError as error:
        if error.retryable:
            raise Unavailable(f"{uri}: no access token: {error}") from error
        raise Forbidden(f"{uri}: no usable credentials: {error}") from error
    except (requests.RequestException, urllib3.exceptions.HTTPError, DataCorruption) as error:
        raise Unavailable(f"{uri}: {error}") from error


def _object_crc32c(blob: storage.Blob) -> int:
    return int.from_bytes(base64.b64decode(blob.crc32c), "big")


def _stat_of(blob: storage.Blob) -> Stat:
    return Stat(f"gs://{blob.bucket.name}/{blob.name}", int(blob.size), str(blob.generation))


def _expect(found: Stat, generation: str) -> None:
    if generation and generation != found.generation:
        raise Changed(f"{found.uri} was generation {generation} when it was listed and is {found.generation} now")


def _whole(piece: Piece) -> bool:
    return piece.start == 0 and piece.end == piece.size


class GcsStore:
    """Objects of Cloud Storage, or of the emulator that STORAGE_EMULATOR_HOST names (then without credentials).

    Thread-safe; a pickled copy and a forked child connect anew.
    """

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._connected: storage.Client | None = None
        self._lock = threading.Lock()  # a new one: at a fork another thread may hold the parent's
        self._pid = os.getpid()

    def __reduce__(self) -> tuple[type[GcsStore], tuple[()]]:
        return GcsStore, ()

    def _client(self) -> storage.Client:
        if self._pid != os.getpid():
            self._forget()
        if self._connected is None:
            with self._lock:
                if self._connected is None:
                    try:
                        client = storage.Client(project=None)  # objects need no project: none is searched for
                    except DefaultCredentialsError as error:
                        raise NoCredentials(
                            "Reading or writing gs:// needs Google Cloud credentials, and none were found: run `gcloud auth "
                            "application-default login`, or let GOOGLE_APPLICATION_CREDENTIALS name a key file."
                        ) from error
                    if not client._http.is_mtls:  # whose adapter carries the client certificate
                        for scheme in ("https://", "http://"):
                            client._http.mount(scheme, HTTPAdapter(pool_maxsize=_CONNECTIONS))
                    # It would ask for the bucket itself, unasked, in a thread of its own, and again at every 404.
                    client._bucket_metadata_cache = None
                    self._connected = client
        return self._connected

    def _blob(self, uri: str) -> storage.Blob:
        bucket, name = _split_object(uri)
        return self._client().bucket(bucket).blob(name)

    def stat(self, uri: str) -> Stat:
        with _translated(uri, "storage.objects.get"):
            blob = self._blob(uri)
            blob.reload(timeout=_TIMEOUT, retry=_RETRY)
        return _stat_of(blob)

    def list(self, prefix: str, *, deep: bool = True) -> Iterator[Stat]:
        bucket, folder = split_uri(prefix)
        folder += "/" * (folder != "" and not folder.endswith("/"))
        with _translated(prefix, "storage.objects.list"):
            fields = "items(name,size,generation),nextPageToken"
            blobs = self._client().list_blobs(
                bucket, prefix=folder, delimiter=None if deep else "/", fields=fields, timeout=_TIMEOUT, retry=_RETRY
            )
            for blob in blobs:
                if not blob.name.endswith("/"):  # a console's placeholder for a folder
                    yield _stat_of(blob)

    def read(self, uri: str, start: int = 0, end: int | None = None, generation: str = "") -> tuple[bytes, Stat]:
        _split_object(uri)
        if end is not None and end <= start:  # HTTP has no empty range: "5-4" would bring the whole object
            found = self.stat(uri)
            _expect(found, generation)
            return b"", found
        try:
            with _translated(uri, "storage.objects.get"):
                status, headers, data = _RETRY(self._get)(uri, start, end, generation)
        except NotFound:
            if generation:
                _expect(self.stat(uri), generation)  # Changed, unless that is missing too
            raise
        size = headers.get("Content-Range", "").rpartition("/")[2]
        if status == 200:
            size, data = str(len(data)), data[start:end]
        if not size.isdigit() or "x-goog-generation" not in headers:
            found = self.stat(uri)
            _expect(found, generation)
            return data, found
        return data, Stat(uri, int(size), headers["x-goog-generation"])

    def _get(self, uri: str, start: int, end: int | None, generation: str) -> tuple[int, Any, bytes]:
        """One ranged GET, bytes as stored -> (status, headers, body); a range past the end is 416 with no body."""
        bucket, name = _split_object(uri)
        client = self._client()
        params = {"alt": "media"} | ({"generation": generation} if generation else {})
        # gzip: without it a stored Content-Encoding: gzip is undone by the server, and ranges are ignored.
        headers = {"Accept-Encoding": "gzip"}
        if start or end is not None:
            headers["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
        url = f"{client.api_endpoint}/download/storage/v1/b/{bucket}/o/{quote(name, safe='')}"
        with client._http.get(url, params=params, headers=headers, stream=True, timeout=_TIMEOUT) as response:
            if response.status_code == 416:
                return 416, response.headers, b""
            if response.status_code not in (200, 206):
                raise exceptions.from_http_response(response)
            data = response.raw.read(decode_content=False)
            if len(data) != int(response.headers.get("Content-Length", len(data))):
                raise requests.ConnectionError(f"{uri}: the answer ended after {len(data)} bytes")
            return response.status_code, response.headers, data

    def _upload(self, uri: str, data: bytes, content_type: str, generation: int | None) -> storage.Blob | None:
        """Write it whole if the generation is that one (0: absent, None: whatever); None: it is another."""
        with _translated(uri, "storage.objects.create (and .delete to overwrite)"):
            blob = self._blob(uri)
            try:
                blob.upload_from_string(
                    data,
                    content_type=content_type or "application/octet-stream",
                    if_generation_match=generation,
                    checksum="crc32c",
                    timeout=_TIMEOUT,
                    retry=_RETRY,
                )
            except exceptions.PreconditionFailed:
                return None
        if _object_crc32c(blob) != crc32c(data):
            raise Unavailable(f"{uri}: the object's CRC32C is not that of the bytes sent")
        return blob

    def create(self, uri: str, data: bytes, content_type: str = "") -> bool:
        return self._upload(uri, data, content_type, 0) is not None

    def replace(self, uri: str, data: bytes, generation: str) -> bool:
        return self._upload(uri, data, "", int(generation) if generation else None) is not None

    def join(self, uri: str, pieces: Sequence[Piece], content_type: str = "") -> tuple[Stat, int]:
        """As `Store.join`: whole objects of the bucket are composed, 32 at a time; other ranges are uploaded first.

        What is uploaded on the way lies in `_tuneset/join/` beside the object, named by what it holds, and is deleted
        at the end. An object that is not what its pieces promised is deleted again.

        Raises:
          Changed: a piece is not of the size or CRC32C given.
          Unavailable: also when another execution of the same join deleted what this one had uploaded.
        """
        bucket, _ = _split_object(uri)
        groups = _grouped(pieces, bucket)
        if not groups or (len(groups) == 1 and not _as_it_is(groups[0], bucket)):
            blob = self._upload(uri, b"".join(map(self._copied, groups[0] if groups else [])), content_type, None)
            assert blob is not None  # it was unconditional
            return _stat_of(blob), _object_crc32c(blob)
        folder = uri.rpartition("/")[0] + "/_tuneset/join/"
        made: list[str] = []

        def source(group: list[Piece]) -> _Source:
            first = group[0]
            if _as_it_is(group, bucket):
                return _Source(split_uri(first.uri)[1], first.size, first.crc32c)
            data = b"".join(map(self._copied, group))
            temporary = folder + _digest(group)
            made.append(temporary)
            self._upload(temporary, data, "", None)
            return _Source(split_uri(temporary)[1], len(data), crc32c(data), temporary=True)

        def composed(sources: list[_Source]) -> _Source:
            if len(sources) == 1:
                return sources[0]
            temporary = folder + _digest(sources)
            made.append(temporary)
            stat, found = self._compose(temporary, sources, "")
            return _Source(split_uri(temporary)[1], stat.size, found, temporary=True)

        try:
            with ThreadPoolExecutor(_THREADS) as pool:
                sources = list(pool.map(source, groups))
                while len(sources) > _COMPOSE:
                    level = [sources[i : i + _COMPOSE] for i in range(0, len(sources), _COMPOSE)]
                    sources = list(pool.map(composed, level))
            result = self._compose(uri, sources, content_type)
        except Changed:
            self.delete(made)
            raise
        self.delete(made)
        return result

    def _copied(self, piece: Piece) -> bytes:
        data, found = self.read(piece.uri, piece.start, piece.end)
        if found.size != piece.size or len(data) != piece.end - piece.start:
            raise Changed(f"{piece.uri} has {found.size} bytes, expected {piece.size}")
        if piece.crc32c >= 0 and _whole(piece) and crc32c(data) != piece.crc32c:
            raise Changed(f"{piece.uri}: its bytes are not those that were committed (CRC32C differs)")
        return data

    def _compose(self, uri: str, sources: Sequence[_Source], content_type: str) -> tuple[Stat, int]:
        """At most 32 sources into one object, checked against what they should come to."""
        size, expected = 0, 0
        for source in sources:
            size += source.size
            known = expected >= 0 and source.crc32c >= 0
            expected = checksum.combine(expected, source.crc32c, source.size) if known else -1
        try:
            with _translated(uri, "storage.objects.create, .get and .delete"):
                blob = self._blob(uri)
                blob.content_type = content_type or "application/octet-stream"
                blob.compose([blob.bucket.blob(s.name) for s in sources], timeout=_TIMEOUT, retry=_RETRY)
        except NotFound as error:
            if any(source.temporary for source in sources):
                raise Unavailable(f"{uri}: a piece is gone, perhaps joined by another worker: try again") from error
            raise NotFound(f"{uri}: one of the {len(sources)} objects it is joined from does not exist") from error
        stat, found = _stat_of(blob), _object_crc32c(blob)
        if stat.size != size or (expected >= 0 and expected != found):
            self.delete([uri])
            raise Changed(
                f"{uri}: {len(sources)} objects were joined to {stat.size} bytes, CRC32C {found:08x}; expected {size} "
                f"bytes{f', {expected:08x}' if expected >= 0 else ''}: one of them is not what was committed"
            )
        return stat, found

    def remove_empty(self, folder: str) -> None:
        """Nothing to do: there are no folders, only names."""

    def delete(self, uris: Iterable[str]) -> None:
        def delete_one(uri: str) -> None:
            with suppress(NotFound), _translated(uri, "storage.objects.delete"):
                self._blob(uri).delete(timeout=_TIMEOUT, retry=_RETRY)

        rest = iter(uris)
        with ThreadPoolExecutor(_THREADS) as pool:
            while batch := list(islice(rest, 1000)):  # not every URI of a sweep in memory
                list(pool.map(delete_one, batch))


def _composable(piece: Piece, bucket: str) -> bool:
    return _whole(piece) and split_uri(piece.uri)[0] == bucket


def _as_it_is(group: list[Piece], bucket: str) -> bool:
    return len(group) == 1 and _composable(group[0], bucket)


def _grouped(pieces: Sequence[Piece], bucket: str) -> list[list[Piece]]:
    """What becomes one source each: an object composed as it is, or neighbouring ranges uploaded together.

    Uploading a group takes a read for each range, a put and a delete. So few small pieces are all one group.
    """
    pieces = [piece for piece in pieces if piece.end > piece.start]
    groups: list[list[Piece]] = []
    room = requests_needed = 0
    for piece in pieces:
        if _composable(piece, bucket):
            groups.append([piece])
            room = 0
            continue
        for start in range(piece.start, piece.end, _COPY):
            part = Piece(piece.uri, start, min(start + _COPY, piece.end), piece.size, piece.crc32c)
            requests_needed += 1
            if part.end - part.start > room:
                groups.append([])
                requests_needed += 2
                room = _COPY
            groups[-1].append(part)
            room -= part.end - part.start
    if sum(piece.end - piece.start for piece in pieces) <= _SMALL and len(pieces) < requests_needed:
        return [pieces]
    return groups


def _digest(parts: Sequence[Piece] | Sequence[_Source]) -> str:
    return hashlib.blake2b(repr(list(parts)).encode(), digest_size=16).hexdigest()
