"""Images on servers of other people as a store that reads: `http://` and `https://`, by the rules of addresses.py and hosts.py.

The version of an image is what its server tells of it: the ETag, else Last-Modified with its length, else a digest of its bytes.
Of a server that gives no ranges an image is taken whole by the first question, and what else is wanted of it is cut from that. So
it is where all of it will be wanted if it is an image (Range.rest_if).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from email.utils import parsedate_to_datetime
from functools import partial
from hashlib import blake2b
from threading import BoundedSemaphore
from typing import NoReturn, TypeVar

from transforms.storage.api import Changed, NoAnswer, Stat, StorageError, TooLarge, access
from transforms.storage.curl.answers import check_range
from transforms.storage.curl.handle import Answer, RestIf
from transforms.storage.curl.transfers import Ask, Asks, Together, answered, given
from transforms.storage.read_only import ReadOnlyStore
from transforms.storage.reads import ASIDE, HELD, Range, Reads
from transforms.storage.web.exchange import WebAsker

Result = TypeVar("Result")
LARGEST = 1 << 30  # bytes that are taken of who gives no ranges
_LARGE = BoundedSemaphore(2)  # such images that are read at once
_ETAG = re.compile(r'(?:W/)?"[!#-~]{1,200}"')
_DATED = re.compile(r"(?P<date>.+ GMT) (?P<size>\d+)")
_SIZE = re.compile(r"bytes (?:\d{1,18}-\d{1,18}|\*)/(\d{1,18})", re.ASCII)
_DIGEST = "blake2b:"


class WebStore(ReadOnlyStore):
    """Thread-safe; what a process may ask is told by `api.access`."""

    @property
    def _asker(self) -> WebAsker:
        return WebAsker(access().web)

    def stat(self, uri: str) -> Stat:
        return answered(self._asker, _Image(uri, HELD).read(0, 0, ""))[1]

    def read(self, uri: str, start: int = 0, end: int | None = None, generation: str = "") -> tuple[bytes, Stat]:
        # Whoever lets a thread wait decides how many of them do.
        return answered(self._asker, _Image(uri, LARGEST).read(start, end, generation))

    def loops(self) -> bool:
        """Whether `together` can be used."""
        return True

    def together(self, reads: Callable[[str], Reads[Result]], uris: Sequence[str], at_once: int) -> Iterator[Result]:
        """What a generator for each image comes to, in order, with no thread for any; they begin now."""
        return Together(self._asker, lambda uri: given(reads(uri), _Image(uri, HELD).take), uris, at_once).results()

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
        """Nothing: servers tell no names."""
        return iter(())

    def _refuse(self, uri: str) -> NoReturn:
        raise StorageError(f"{uri} can only be read: let the output be gs:// or a local folder")


class _Image:
    """One image while something is read of it, which may come whole at the first question.

    Args:
      held: bytes that are taken at once of who sends it whole.
    """

    def __init__(self, uri: str, held: int) -> None:
        self._uri, self._held = uri, held
        self._whole: tuple[bytes, Stat] | None = None

    def take(self, wanted: Range) -> Asks[tuple[bytes, Stat]]:
        """What a look asks for."""
        if self._whole is None and wanted.rest_if and not wanted.start:
            first = yield from self._begin(wanted.end, wanted.rest_if)
            if first is not None:
                return first
        return (yield from self.read(wanted.start, wanted.end, wanted.generation))

    def read(self, start: int, end: int | None, generation: str) -> Asks[tuple[bytes, Stat]]:
        """As `Store.read`. An empty range of a version that is known is asked for only if it has changed.

        More bytes than were asked for come of a server that sends them whole, if they begin at the first.
        """
        if self._whole is None:
            if end is not None and end <= start:
                return b"", (yield from self._stat(generation))
            part = yield from self._part(start, end)
            if part is not None:
                return part[0], _expected(part[1], generation)
        assert self._whole is not None
        data, found = self._whole
        return data[start:] if start == 0 else data[start:end], _expected(found, generation)

    def _begin(self, first: int, rest_if: RestIf) -> Asks[tuple[bytes, Stat] | None]:
        """Its first bytes with its stat, if the rest was not taken; None: it has come whole."""
        try:
            answer = yield Ask(self._uri, {}, self._uri, self._held, first=first, rest_if=rest_if)
        except TooLarge as error:  # and its server did not say so
            yield from self._fetch_large(error)
            return None
        if not answer.is_cut:
            self._take_whole(answer)
            return None
        size = answer.length
        version = _version(answer, size) if size >= 0 else ""
        if not version:  # only all of its bytes tell it from others
            yield from self._fetch()
            return None
        return answer.data, Stat(self._uri, size, version, _encoding(answer))

    def _part(self, start: int, end: int | None) -> Asks[tuple[bytes, Stat] | None]:
        """A range with the image's stat; None: it has come whole."""
        if start == 0 and end is None:
            yield from self._fetch()
            return None
        headers = {"Range": f"bytes={start}-{'' if end is None else end - 1}"}
        most = self._held if end is None else max(self._held, end - start)
        try:
            answer = yield Ask(self._uri, headers, self._uri, most, partial(check_range, start=start, end=end))
        except TooLarge as error:
            yield from self._fetch_large(error)
            return None
        if answer.status == 200:
            self._take_whole(answer)
            return None
        size, data = _told_size(answer), answer.data if answer.status == 206 else b""
        version = "" if size < 0 else _version(answer, size)
        if start == 0 and len(data) == size:
            self._whole = data, Stat(self._uri, size, version or _digest(data), _encoding(answer))
            return None
        if not version:
            yield from self._fetch()
            return None
        return data, Stat(self._uri, size, version, _encoding(answer))

    def _fetch(self) -> Asks[None]:
        """Have it whole: at once if it is no larger than most are."""
        try:
            answer = yield Ask(self._uri, {}, self._uri, self._held)
        except TooLarge as error:
            yield from self._fetch_large(error)
        else:
            self._take_whole(answer)

    def _fetch_large(self, error: TooLarge) -> Asks[None]:
        """Have it whole when its turn has come, if more can be taken of it than was."""
        if self._held >= LARGEST:
            raise error
        yield ASIDE
        with _LARGE:
            answer = yield Ask(self._uri, {}, self._uri, LARGEST)
        self._take_whole(answer)

    def _take_whole(self, answer: Answer) -> None:
        if answer.status != 200:
            raise NoAnswer(f"{self._uri}: the server says {answer.status} to who asks for all of it")
        data = answer.data
        version = _version(answer, len(data)) or _digest(data)
        self._whole = data, Stat(self._uri, len(data), version, _encoding(answer))

    def _stat(self, generation: str) -> Asks[Stat]:
        """The stat; of a version that has not changed its size need not be told (then it is 0).

        Raises:
          Changed: it is another version than that.
        """
        headers = {"Range": "bytes=0-0"}
        if _ETAG.fullmatch(generation):
            headers["If-None-Match"] = generation
        elif dated := _DATED.fullmatch(generation):
            headers["If-Modified-Since"] = dated["date"]
        if generation.startswith(_DIGEST):  # only its bytes tell whether it is the same
            yield from self._fetch()
        else:
            try:
                answer = yield Ask(self._uri, headers, self._uri, self._held)
            except TooLarge as error:
                yield from self._fetch_large(error)
            else:
                if answer.status == 304:
                    return Stat(self._uri, 0, generation)
                size = len(answer.data) if answer.status == 200 else _told_size(answer)
                if size >= 0 and (version := _version(answer, size)):
                    return _expected(Stat(self._uri, size, version, _encoding(answer)), generation)
                if answer.status == 200:
                    self._take_whole(answer)
                else:
                    yield from self._fetch()
        assert self._whole is not None
        return _expected(self._whole[1], generation)


def _expected(found: Stat, generation: str) -> Stat:
    if generation and generation != found.generation:
        raise Changed(f"{found.uri} was {generation} when it was looked at and is {found.generation} now")
    return found


def _version(answer: Answer, size: int) -> str:
    """What tells a version from others; "" if the server tells nothing."""
    etag = answer.headers.get("etag", "")
    if _ETAG.fullmatch(etag):
        return etag
    dated = f"{answer.headers.get('last-modified', '')} {size}"
    if not _DATED.fullmatch(dated):
        return ""
    try:
        parsedate_to_datetime(dated.rpartition(" ")[0])
    except ValueError:
        return ""
    return dated


def _digest(data: bytes) -> str:
    return _DIGEST + blake2b(data, digest_size=16).hexdigest()


def _told_size(answer: Answer) -> int:
    """Bytes of all of it, as the answer to a range tells; -1: it does not."""
    told = _SIZE.fullmatch(answer.headers.get("content-range", ""))
    return int(told[1]) if told else -1


def _encoding(answer: Answer) -> str:
    """Of HTTP's two names for gzip the usual one."""
    return answer.headers.get("content-encoding", "").lower().replace("identity", "").removeprefix("x-")
