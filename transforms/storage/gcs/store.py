"""gs:// objects as a store, through google-cloud-storage.

Everything is retried (client.py): all reads are; so are all writes, because each is conditional on a generation or leaves the
same bytes however often it arrives. A conditional write whose first answer was lost meets its own object when it is sent
again, and returns False: the caller reads what is there, as after any lost race.

Reads, stats and listings go through the loop of transfers (curl/transfers.py). Reads give the bytes as stored: what was uploaded with
Content-Encoding gzip stays compressed, and `Stat.encoding` says so.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from email.utils import parsedate_to_datetime
from functools import partial
from itertools import islice
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from google.api_core import exceptions
from google.api_core.datetime_helpers import DatetimeWithNanoseconds
from google.cloud import storage

from transforms.core.places import FolderSet
from transforms.storage.api import Changed, NotFound, Piece, Stat, StorageError, Unavailable, access, crc32c
from transforms.storage.curl.transfers import Ask, Asks, Together, answered, given
from transforms.storage.gcs import client, compose
from transforms.storage.gcs.client import TIMEOUT, Connection, billed, split_object, split_uri, translated
from transforms.storage.gcs.compose import Source
from transforms.storage.gcs.exchange import CloudAsker, check_part, told_crc32c
from transforms.storage.reads import Reads

Result = TypeVar("Result")


def _object_crc32c(blob: storage.Blob) -> int:
    return int.from_bytes(base64.b64decode(blob.crc32c), "big")


def _stat_of(blob: storage.Blob) -> Stat:
    return Stat(
        f"gs://{blob.bucket.name}/{blob.name}", int(blob.size), str(blob.generation), blob.content_encoding or ""
    )


_FIELDS = "size,generation,contentEncoding"
_WHOLE = 64 << 20  # bytes that are taken from who was asked for less, and answers with more


def _stat_told(uri: str, told: dict[str, Any]) -> Stat:
    try:
        generation = told["generation"]  # microseconds since 1970
        return Stat(uri, int(told["size"]), generation, told.get("contentEncoding", ""), int(generation))
    except (AttributeError, KeyError, TypeError, ValueError):
        raise Unavailable(f"{uri}: storage tells neither size nor generation of it: {str(told)[:200]}") from None


def _expect(found: Stat, generation: str) -> None:
    if generation and generation != found.generation:
        raise Changed(f"{found.uri} was generation {generation} when it was listed and is {found.generation} now")


class GcsStore:
    """Objects of Cloud Storage, or of the emulator that STORAGE_EMULATOR_HOST names (then without credentials).

    Thread-safe; a pickled copy and a forked child connect anew.
    """

    def __init__(self) -> None:
        self._connection = Connection()
        self._asker = CloudAsker(self._connection)

    def __reduce__(self) -> tuple[type[GcsStore], tuple[()]]:
        return GcsStore, ()

    def _client(self) -> storage.Client:
        return self._connection.client()

    def _bucket(self, name: str) -> storage.Bucket:
        return self._client().bucket(name, user_project=access().user_project or None)

    def _blob(self, uri: str) -> storage.Blob:
        bucket, name = split_object(uri)
        return self._bucket(bucket).blob(name)

    def bucket(self, name: str) -> storage.Bucket:
        """A bucket with its settings."""
        with translated(f"gs://{name}", "storage.buckets.get"):
            bucket = self._bucket(name)
            bucket.reload(timeout=TIMEOUT, retry=client.RETRY)
        return bucket

    def stat(self, uri: str) -> Stat:
        return answered(self._asker, self._stat(uri))

    def _stat(self, uri: str) -> Asks[Stat]:
        with translated(uri, "storage.objects.get"):
            told, _ = yield from self._told(self._url(uri, "storage/v1") + f"?fields={_FIELDS}", uri)
        return _stat_told(uri, told)

    def _told(self, url: str, uri: str) -> Asks[tuple[dict[str, Any], str]]:
        """-> (what storage says of objects, the Date of its answer). A night asks once an image, or lists them all."""
        answer = yield Ask(billed(url), {"Accept-Encoding": "identity"}, uri, _WHOLE)
        try:
            told = json.loads(answer.data)
        except (ValueError, RecursionError):
            told = None
        if not isinstance(told, dict):
            raise Unavailable(f"{uri}: what storage says of it is no JSON object: {answer.data[:200]!r}")
        return told, answer.headers.get("date", "")

    def _url(self, uri: str, api: str) -> str:
        bucket, name = split_object(uri)
        return f"{self._client().api_endpoint}/{api}/b/{bucket}/o/{quote(name, safe='')}"

    def list(
        self,
        prefix: str,
        *,
        deep: bool = True,
        start: str = "",
        end: str = "",
        page: int = 0,
        without: Collection[str] = (),
    ) -> Iterator[Stat]:
        bucket, folder = split_uri(prefix)
        before, left_out = f"gs://{bucket}/", FolderSet(without)
        asked = {
            "prefix": folder + "/" * (folder != "" and not folder.endswith("/")),
            "delimiter": "" if deep else "/",
            "startOffset": start[len(before) :],
            "endOffset": end[len(before) :],
            "maxResults": str(page or ""),
            "fields": f"items(name,{_FIELDS}),nextPageToken",
        }
        more = True
        while more:
            told, holder = self._page(prefix, asked), ""
            for item in told.get("items", ()):
                holder = left_out.holding(before + item["name"])
                if not holder and not item["name"].endswith("/"):  # a console's placeholder for a folder
                    yield _stat_told(before + item["name"], item)
            asked["pageToken"] = told.get("nextPageToken", "")
            more = asked["pageToken"] != ""
            if more and holder:
                # The page ends in a folder that is left out: the rest of it is not asked for. "0" is what follows "/".
                asked |= {"pageToken": "", "startOffset": holder[len(before) :] + "0"}
                more = not end or asked["startOffset"] < asked["endOffset"]

    def folders(self, folder: str) -> Iterator[tuple[Sequence[str], bool]]:
        bucket, name = split_uri(folder)
        asked = {"prefix": name + "/" * (name != ""), "delimiter": "/", "fields": "prefixes,nextPageToken"}
        more = True
        while more:
            told = self._page(folder, asked)
            asked["pageToken"] = told.get("nextPageToken", "")
            more = asked["pageToken"] != ""
            yield [f"gs://{bucket}/{one.removesuffix('/')}" for one in told.get("prefixes", ())], more

    def _page(self, prefix: str, asked: dict[str, str]) -> dict[str, Any]:
        """One request of a listing of the bucket that a prefix names."""
        with translated(prefix, "storage.objects.list"):
            url = f"{self._client().api_endpoint}/storage/v1/b/{split_uri(prefix)[0]}/o?"
            query = urlencode({name: value for name, value in asked.items() if value})
            return answered(self._asker, self._told(url + query, prefix))[0]

    def metadata(self, uri: str, generation: str) -> dict[str, str]:
        with translated(uri, "storage.objects.get"):
            url = self._url(uri, "storage/v1") + f"?fields={_FIELDS},metadata"
            told, _ = answered(self._asker, self._told(url, uri))
        _expect(_stat_told(uri, told), generation)
        return {str(name): str(value) for name, value in (told.get("metadata") or {}).items()}

    def verify(self, uri: str, size: int, crc32c: int) -> Stat:
        """As `Store.verify`, by what storage says of the object: no byte of it is read."""
        with translated(uri, "storage.objects.get"):
            url = self._url(uri, "storage/v1") + f"?fields={_FIELDS},crc32c"
            told, _ = answered(self._asker, self._told(url, uri))
        if (int(told["size"]), int.from_bytes(base64.b64decode(told["crc32c"]), "big")) != (size, crc32c):
            raise Changed(f"{uri}: its bytes are not those that were committed (size or CRC32C differs)")
        return _stat_told(uri, told)

    def read(self, uri: str, start: int = 0, end: int | None = None, generation: str = "") -> tuple[bytes, Stat]:
        return answered(self._asker, self._read(uri, start, end, generation))

    def _read(self, uri: str, start: int, end: int | None, generation: str) -> Asks[tuple[bytes, Stat]]:
        if end is not None and end <= start:  # HTTP has no empty range: "5-4" would bring the whole object
            found = yield from self._stat(uri)
            _expect(found, generation)
            return b"", found
        try:
            with translated(uri, "storage.objects.get"):
                answer = yield self._range(uri, start, end, generation)
        except NotFound:
            if generation:
                _expect((yield from self._stat(uri)), generation)  # Changed, unless that is missing too
            raise
        headers, data = answer.headers, answer.data if answer.status != 416 else b""
        size = headers.get("content-range", "").rpartition("/")[2]
        if answer.status == 200:
            size, data = str(len(data)), data[start:end]
        if not size.isdigit() or "x-goog-generation" not in headers:
            found = yield from self._stat(uri)
            _expect(found, generation)
            return data, found
        told = told_crc32c(headers)
        return data, Stat(
            uri, int(size), headers["x-goog-generation"], headers.get("content-encoding", ""), crc32c=told
        )

    def _range(self, uri: str, start: int, end: int | None, generation: str) -> Ask:
        """One ranged GET, bytes as stored; a range past the end is 416 with no body."""
        url = (
            self._url(uri, "download/storage/v1")
            + "?alt=media"
            + (f"&generation={quote(generation)}" if generation else "")
        )
        # gzip: without it a stored Content-Encoding: gzip is undone by the server, and ranges are ignored.
        headers, most = {"Accept-Encoding": "gzip"}, sys.maxsize
        if start or end is not None:
            headers["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
        if end is not None:
            most = max(end - start, _WHOLE)
        return Ask(billed(url), headers, uri, most, partial(check_part, start=start, end=end))

    def loops(self) -> bool:
        """Whether `together` can be used: through a client certificate, threads have to read."""
        self._client()
        return self._connection.curls

    def together(self, reads: Callable[[str], Reads[Result]], uris: Sequence[str], at_once: int) -> Iterator[Result]:
        """What a generator for each object comes to, in order, with no thread for any; they begin now."""

        def asks(uri: str) -> Asks[Result]:
            return given(reads(uri), lambda wanted: self._read(uri, wanted.start, wanted.end, wanted.generation))

        return Together(self._asker, asks, uris, at_once).results()

    def _upload(self, uri: str, data: bytes, content_type: str, generation: int | None) -> storage.Blob | None:
        """Write it whole if the generation is that one (0: absent, None: whatever); None: it is another."""
        with translated(uri, "storage.objects.create (and .delete to overwrite)"):
            blob = self._blob(uri)
            blob.cache_control = "no-store"  # a public object is cached for an hour otherwise, and read stale
            try:
                blob.upload_from_string(
                    data,
                    content_type=content_type or "application/octet-stream",
                    if_generation_match=generation,
                    checksum="crc32c",
                    timeout=TIMEOUT,
                    retry=client.RETRY,
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

    def renew(self, uri: str, data: bytes, generation: str) -> bool:
        return self.replace(uri, data, generation)

    def age(self, uri: str) -> tuple[str, float]:
        """By the service's clock: an answer is dated too."""
        with translated(uri, "storage.objects.get"):
            url = self._url(uri, "storage/v1") + "?fields=generation,timeCreated"
            told, date = answered(self._asker, self._told(url, uri))
        written = DatetimeWithNanoseconds.from_rfc3339(told["timeCreated"])
        return told["generation"], (parsedate_to_datetime(date) - written).total_seconds()

    def write(self, uri: str, data: bytes, content_type: str = "") -> Stat:
        """Write it whole, whatever is there."""
        blob = self._upload(uri, data, content_type, None)
        assert blob is not None  # it was unconditional
        return _stat_of(blob)

    def copy(self, source: Stat, uri: str) -> bool:
        """As `Store.copy`, on the server: no byte passes through this process."""
        with translated(f"{uri} (from {source.uri})", "storage.objects.get there and storage.objects.create here"):
            blob, origin, token = self._blob(uri), self._blob(source.uri), None
            try:
                while True:
                    token, _, _ = blob.rewrite(
                        origin,
                        token=token,
                        if_generation_match=0,
                        if_source_generation_match=int(source.generation) if source.generation else None,
                        timeout=TIMEOUT,
                        retry=client.RETRY,
                    )
                    if token is None:
                        return True
            except exceptions.PreconditionFailed:
                pass
        with suppress(NotFound):
            self.stat(uri)
            return False
        raise Changed(f"{source.uri} is no longer generation {source.generation}, which was to be copied")

    def join(self, uri: str, pieces: Sequence[Piece], content_type: str = "") -> tuple[Stat, int]:
        return compose.join(self, self._compose, uri, pieces, content_type)

    def _compose(self, uri: str, sources: Sequence[Source], content_type: str) -> tuple[Stat, int]:
        """At most 32 objects of one bucket into one -> its stat and CRC32C."""
        try:
            with translated(uri, "storage.objects.create, .get and .delete"):
                blob = self._blob(uri)
                blob.content_type = content_type or "application/octet-stream"
                blob.cache_control = "no-store"
                blob.compose([blob.bucket.blob(s.name) for s in sources], timeout=TIMEOUT, retry=client.RETRY)
        except StorageError as error:
            if not isinstance(error, NotFound):
                raise compose.uncomposable(uri, error) from error
            if any(source.temporary for source in sources):
                raise Unavailable(f"{uri}: a piece is gone, perhaps joined by another worker: try again") from error
            raise NotFound(f"{uri}: one of the {len(sources)} objects it is joined from does not exist") from error
        return _stat_of(blob), _object_crc32c(blob)

    def remove_empty(self, folder: str) -> None:
        """Nothing to do: there are no folders, only names."""

    def delete(self, uris: Iterable[str]) -> None:
        def delete_one(uri: str) -> None:
            with suppress(NotFound), translated(uri, "storage.objects.delete"):
                self._blob(uri).delete(timeout=TIMEOUT, retry=client.RETRY)

        rest = iter(uris)
        with ThreadPoolExecutor(compose.THREADS) as pool:
            while batch := list(islice(rest, 1000)):  # not every URI of a sweep in memory
                list(pool.map(delete_one, batch))
