"""What a store is asked, what it can do, and how it fails: one contract for local paths, gs:// and what Beam can read.

    stat, list, folders, read   what is there; a read can name the generation it expects
    metadata                    what its uploader said of an object
    verify                      a file's bytes against a size and a CRC32C
    create                      only if absent: the one primitive the commit protocol stands on
    replace                     only if the generation is still the one that was seen
    copy                        a whole object, only if absent; on the server, where there is one
    join                        exactly these byte ranges, in this order, checked by CRC32C
    delete                      missing ones are no error
    renew, age                  what a heartbeat stands on: be as if just written; seconds since then, by storage's own clock

A local "generation" is SIZE-MTIME_NS. Other schemes are read through Beam's FileSystems (beam_files.py). Every failure is a
`StorageError`; which one decides what a caller does.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import google_crc32c

from transforms.core.reasons import TunesetError


class StorageError(TunesetError):
    """Storage could not do it. `reason` is the image reason that an inspection gives for it."""

    reason = "image_timeout"


class NotFound(StorageError):
    reason = "image_not_found"


class Forbidden(StorageError):
    reason = "image_forbidden"


class Refused(StorageError):
    """Cloud Storage refused this object in another way, as a 400 for one under a customer-supplied key."""

    reason = "image_forbidden"


class NotAFile(StorageError):
    reason = "not_a_file"


class Disallowed(StorageError):
    """It lies on a server, or leads to one, that may not be asked."""

    reason = "not_allowed"


class TooLarge(StorageError):
    """A server sends it only whole, and it has more bytes than are taken so."""

    reason = "too_large"


class NoAnswer(StorageError):
    """A server of other people gave no answer that can be used: no reason to stop the job; a later run asks again."""


class Unavailable(StorageError):
    """No answer after the client's own retries: the block is tried again, and then the run."""


class Changed(StorageError):
    """The object is no longer the generation that was asked for."""

    reason = "image_changed"


class NoAccess(TunesetError):
    """Storage can be asked nothing. Not a StorageError: it says nothing about an object, and no later read will do better."""


class NoCredentials(NoAccess):
    """There is nobody to ask as."""


class Untrusted(NoAccess):
    """Whoever answers shows a certificate that cannot be verified."""


@dataclass(slots=True)  # not frozen: it is made for every look
class Stat:
    uri: str
    size: int  # bytes
    generation: str
    encoding: str = ""  # Content-Encoding of a gs:// object: "gzip" if its bytes are stored compressed
    dated: int = field(
        default=0, compare=False
    )  # microseconds since 1970, by storage's clock, of when this version came; 0: not told
    crc32c: str = field(
        default="", compare=False
    )  # of the whole object as stored, in base64, where the answer to a read tells it


@dataclass(frozen=True)
class Abilities:
    """What a store can do, beside listing and reading: what a job asks before it counts on a place.

    has_paths: its names are paths of this machine, which the operating system opens, links and calls folders.
    has_buckets: its objects lie in buckets, which are set up by themselves and let some accounts read.
    literal_names: a name is taken as it stands, also with `//` or `..` in it.
    lists_ranges: names from one on are listed without those before, so that many can list one folder.
    creates_if_absent: a file is created only if there is none: a dataset can be written there.
    composes: files are joined, and copied, where they lie, and no byte passes through this process.
    holds_images: images that rows name are read from there.
    readable_by_service: so does the tuning service of Gemini.
    foreign: it is other people's: what lies there may change or be gone tomorrow, so a dataset holds copies of it.
    """

    has_paths: bool = False
    has_buckets: bool = False
    literal_names: bool = False
    lists_ranges: bool = False
    creates_if_absent: bool = False
    composes: bool = False
    holds_images: bool = False
    readable_by_service: bool = False
    foreign: bool = False


@dataclass(frozen=True)
class WebAccess:
    """What may be read of the web, and how.

    prefixes: normal ones (web/urls.py), that URLs may begin with.
    private_hosts: their servers may have addresses of this network.
    per_host: transfers under way to one of them, of a process.
    """

    prefixes: tuple[str, ...] = ()
    private_hosts: bool = False
    per_host: int = 8


@dataclass(frozen=True)
class Access:
    """How a job reaches storage, beside credentials. Steps carry it, and set it in their process (steps/billing.py).

    user_project: that is billed for requests to requester-pays buckets.
    """

    user_project: str = ""
    web: WebAccess = WebAccess()


USUAL = Access()
_access = USUAL


def access() -> Access:
    """How this process reaches storage: its stores ask for every request."""
    return _access


def set_access(new: Access) -> None:
    """Set how this process reaches storage from now on."""
    global _access
    _access = new


@dataclass(frozen=True, slots=True)
class Piece:
    """A byte range [start, end) of an object of `size` bytes; `crc32c` is the whole object's (-1: not known)."""

    uri: str
    start: int
    end: int
    size: int
    crc32c: int = -1


class Store(Protocol):
    def stat(self, uri: str) -> Stat: ...
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
        """What lies below a folder (`deep`) or directly in it, in the order of full names as bytes; nothing if it is missing.

        Args:
          start, end: only URIs from the one on, up to but without the other ("": no bound).
          page: names a request, where there are requests (0: as many as it gives).
          without: folders whose files are left out, and of which as little as can be is asked for.
        """

    def folders(self, folder: str) -> Iterator[tuple[Sequence[str], bool]]:
        """Names of the folders directly in a folder, as URIs in order: for each request those it tells, and whether another follows.

        Of a scheme that no dataset is written to there are none.
        """

    def read(self, uri: str, start: int = 0, end: int | None = None, generation: str = "") -> tuple[bytes, Stat]:
        """Bytes [start, end), fewer at the end of the object, and the object's stat, in one request."""

    def metadata(self, uri: str, generation: str) -> dict[str, str]:
        """The custom metadata of an object, which its uploader gave it; nothing where a store has none.

        Raises:
          Changed: it is another generation by now.
        """

    def verify(self, uri: str, size: int, crc32c: int) -> Stat:
        """The stat of a file that has these bytes.

        Raises:
          Changed: it has others.
        """

    def create(self, uri: str, data: bytes, content_type: str = "") -> bool:
        """Write it whole unless it exists; False: it existed, and is as it was."""

    def replace(self, uri: str, data: bytes, generation: str) -> bool:
        """Overwrite that generation ("": whatever is there); False: it is another by now."""

    def renew(self, uri: str, data: bytes, generation: str) -> bool:
        """Let what is there, of that generation and those bytes, be as if it were written now; False: it is another by now."""

    def age(self, uri: str) -> tuple[str, float]:
        """-> (generation, seconds since it was written): both times are told by the store, whatever clock this machine has."""

    def copy(self, source: Stat, uri: str) -> bool:
        """Write that generation ("": any) of another object of the same store to `uri` unless it exists; False: it existed.

        Raises:
          Changed: the source is another generation by now.
        """

    def join(self, uri: str, pieces: Sequence[Piece], content_type: str = "") -> tuple[Stat, int]:
        """Write the pieces one after another to `uri`, replacing it; -> its stat and CRC32C."""

    def delete(self, uris: Iterable[str]) -> None: ...
    def remove_empty(self, folder: str) -> None:
        """Remove folders that hold no file, where folders are things of their own."""


def crc32c(data: bytes) -> int:
    return int(google_crc32c.value(data))


def verified(read: tuple[bytes, Stat], size: int, checksum: int) -> Stat:
    """The stat of a file that was read whole.

    Raises:
      Changed: its size or CRC32C is another.
    """
    data, found = read
    if (len(data), crc32c(data)) != (size, checksum):
        raise Changed(f"{found.uri}: its bytes are not those that were committed (size or CRC32C differs)")
    return found


def join_uri(folder: str, name: str) -> str:
    return folder.rstrip("/") + "/" + name if folder.rstrip("/") else "/" + name
