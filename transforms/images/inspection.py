"""Look at images: resolved URIs -> ImageFacts, each with a reason if the image cannot be used.

A conforming image costs one or two reads of at most 84 KiB together, under way for many images at once, and is never touched. A
missing end marker alone rejects nothing: the file is then read whole, walked and decoded (a JPEG with a motion-photo trailer
is fine, and one that lacks but its end is rewritten). How local files are opened is told in storage/allowed_files.py.
"""

from __future__ import annotations

import os
import posixpath
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, groupby
from threading import BoundedSemaphore

from transforms.core.reasons import ImageError
from transforms.core.records import ImageFacts
from transforms.images.fit.policy import FitPolicy
from transforms.images.headers.jpeg_scans import jpeg_ends
from transforms.images.headers.parse import NeedMore, parse
from transforms.images.headers.structure import ends_well, walk
from transforms.images.helper.pool import DecoderPool, shared_pool
from transforms.images.identity import identity_of
from transforms.images.room import Room
from transforms.images.staging import Copier
from transforms.storage import abilities, persistent, store_for
from transforms.storage.allowed_files import open_allowed, opened_folder
from transforms.storage.api import Changed, Stat, StorageError, Unavailable
from transforms.storage.compressed_members import unpacked
from transforms.storage.local import read_open
from transforms.storage.local_walk import translate
from transforms.storage.parallel import read_together
from transforms.storage.places import Places
from transforms.storage.reads import ASIDE, HELD, Range, Reads, follow

# Bytes of the first read of an object. A phone's EXIF of 64 KiB and the tables after it lie within: with less they cost a third
# request. Of a local file much less is read first, since a second read costs nothing.
HEAD = 80 << 10
_LOCAL_HEAD = 16 << 10
_GZIP = b"\x1f\x8b"
TAIL = 4 << 10  # bytes in which an end marker is looked for: padding may follow it
_USUAL_HEADER, _LONGEST_HEADER = 1 << 20, 8 << 20  # bytes; no real header is longer
_LARGEST = 1 << 30  # bytes of a file that is read to be rewritten: a helper has memory for no larger one and its pixels
_UNPACKED = 128 << 20  # bytes that an object with Content-Encoding gzip may have or come to
# What is held at once, of all that are looked at, so that looks by the hundred cannot fill the memory.
_PACKED, _LONG, _WHOLE = BoundedSemaphore(8), BoundedSemaphore(16), BoundedSemaphore(8)  # taken in this order
_COMING = Room(256 << 20)  # bytes


@dataclass(frozen=True, kw_only=True)
class Inspector:
    """How closely images are looked at, and what conforms.

    verify: none | header | structure | decode.
    threads: reads of one block under way at once (gs:// only).
    upright: a rotation tag does not conform.
    decode_bytes: of decoded images at once on a machine; 0: memory_slots.default_budget().
    second_looks: an image that is not found is looked for in other spellings of its name.
    identify: how facts tell equal images (identity.py); "": they do not.
    copier: has images of other people's servers as they are looked at; None: nothing is written.
    """

    places: Places
    verify: str
    policy: FitPolicy
    on_bad_image: str
    threads: int
    upright: bool
    decode_bytes: int = 0
    second_looks: bool = True
    identify: str = ""
    copier: Copier | None = None

    @property
    def pool(self) -> DecoderPool:
        return shared_pool(workers=os.cpu_count() or 1, budget_bytes=self.decode_bytes or None)

    def must_fit(self, facts: ImageFacts) -> bool:
        """Whether an image does not conform and has to be rewritten."""
        return not facts.reason and (
            facts.size > self.policy.max_bytes
            or facts.end_missing
            or facts.type not in self.policy.types
            or (self.upright and facts.orientation != 1)
        )

    def judge(self, facts: ImageFacts) -> bool:
        """`must_fit` of an image that was looked at.

        Raises:
          ImageError: too_large, animated or too_many_pixels: it is rejected by its header alone.
        """
        policy, must_fit = self.policy, self.must_fit(facts)
        if policy.oversize == "reject" and facts.size > policy.max_bytes:
            raise ImageError("too_large", f"{facts.size} bytes, over {policy.max_bytes}, under --oversize reject")
        if must_fit and facts.size > _LARGEST:
            raise ImageError("too_large", f"{facts.size} bytes: no file over {_LARGEST} is read to be rewritten")
        if policy.animation == "reject" and facts.frames != 1:
            raise ImageError("animated", "more than one frame or page, under --animation reject")
        if facts.width * facts.height > policy.max_pixels:
            detail = f"{facts.width} x {facts.height} pixels, at most {policy.max_pixels} are decoded"
            raise ImageError("too_many_pixels", detail)
        return must_fit


def look_at(sources: Sequence[str], inspector: Inspector) -> tuple[bool, Iterator[ImageFacts]]:
    """Whether images are read from now on, and the facts of each; take them in the thread of the bundle."""
    local: list[str] = []
    remote: list[str] = []
    for source in sources:
        (local if abilities(source).has_paths else remote).append(source)
    reads = read_together(lambda source: _look_remote(source, inspector), remote, inspector.threads)
    groups = groupby(local, posixpath.dirname)  # threads gain nothing on the page cache
    here = (facts for folder, group in groups for facts in _look_below(folder, list(group), inspector))
    return bool(remote), chain(here, reads)


def look(source: str, inspector: Inspector) -> ImageFacts:
    """The facts of one image, or the reason why it cannot be used.

    Raises:
      Unavailable: Cloud Storage is away or refuses for our rate, and was asked again for minutes. That says nothing about
        the image, so it is no reason to reject it.
    """
    if abilities(source).has_paths:
        return _look_local(source, inspector)
    return follow(_look_remote(source, inspector), partial(store_for(source).read, source))


def _look_below(folder: str, sources: list[str], inspector: Inspector) -> Iterator[ImageFacts]:
    if len(sources) == 1:  # what is asked of its folder would be asked for it alone
        yield _look_local(sources[0], inspector)
        return
    with opened_folder(folder, inspector.places.readable) as descriptor:
        for source in sources:
            yield _look_local(source, inspector, descriptor)


def _look_local(source: str, inspector: Inspector, folder: int = -1) -> ImageFacts:
    descriptor = -1
    try:
        descriptor, found = open_allowed(source, inspector.places.readable, folder)
        return follow(_inspect(source, inspector, _LOCAL_HEAD), partial(read_open, descriptor, found))
    except (OSError, StorageError) as error:
        told = error if isinstance(error, StorageError) else translate(error, source)
        return ImageFacts(source, reason=told.reason, detail=str(told))
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def _look_remote(source: str, inspector: Inspector) -> Reads[ImageFacts]:
    """As `look`, of an object."""
    try:
        for _ in range(2):
            try:
                return (yield from persistent(lambda: _look_once(source, inspector)))
            except Changed:
                continue  # overwritten between two reads: the new one is looked at
        return (yield from persistent(lambda: _look_once(source, inspector)))
    except Unavailable:
        raise
    except StorageError as error:
        return ImageFacts(source, reason=error.reason, detail=str(error))


def _look_once(source: str, inspector: Inspector) -> Reads[ImageFacts]:
    if inspector.copier and abilities(source).foreign:
        return (yield from _look_and_copy(source, inspector, inspector.copier))
    head, found = yield Range(0, HEAD)
    if _is_packed(found, head):
        yield ASIDE
        return (yield from _look_packed(found, inspector))
    return (yield from _inspect(source, inspector, HEAD, (head, found)))


def _look_and_copy(source: str, inspector: Inspector, copier: Copier) -> Reads[ImageFacts]:
    """Look at an image of other people's server, and have it from then on: asked for once, as nobody knows what it is tomorrow.

    What cannot be used is not read to its end. What is large is read again when its turn has come (orders.py).
    """
    with _Share() as share:

        def is_wanted(head: bytes, size: int) -> bool:
            return share.take(size) and (size < 0 or _is_wanted(source, head, size, inspector, copier))

        head, found = yield Range(0, HEAD, rest_if=is_wanted)
        if _is_packed(found, head):
            yield ASIDE
            return (yield from _look_packed(found, inspector, copier))
        if len(head) < found.size:
            return (yield from _inspect(source, inspector, HEAD, (head, found)))
        yield ASIDE
        facts = _look_in_memory(head, found, inspector, len(head) or 1)
        _have(facts, head, inspector, copier)
        return facts


def _is_packed(found: Stat, head: bytes) -> bool:
    """Whether an object came by Content-Encoding gzip; some servers of other people say so of what they did not pack."""
    return found.encoding == "gzip" and (head.startswith(_GZIP) or not abilities(found.uri).foreign)


class _Share:
    """Bytes of what is held whole while it comes, beyond its first."""

    def __init__(self) -> None:
        self._bytes = 0

    def take(self, size: int) -> bool:
        """Whether an image of so many bytes (-1: not told) may come now; nobody waits."""
        self._bytes = self._bytes or _COMING.take(size if size >= 0 else HELD)  # it may be asked for again
        return self._bytes > 0

    def __enter__(self) -> _Share:
        return self

    def __exit__(self, *_: object) -> None:
        _COMING.give_back(self._bytes)


def _is_wanted(source: str, head: bytes, size: int, inspector: Inspector, copier: Copier) -> bool:
    """Whether an image is wanted whole, as far as its first bytes tell."""
    if head.startswith(_GZIP):  # sent packed: then they tell nothing
        return True
    try:
        h = parse(head, size)
        must_fit = inspector.judge(ImageFacts(source, "", size, h.type, h.width, h.height, h.orientation, h.frames))
    except NeedMore:
        return True
    except ImageError:
        return False
    return copier.takes(must_fit)


def _have(facts: ImageFacts, data: bytes, inspector: Inspector, copier: Copier) -> None:
    """Let the job have an image that can be used."""
    if facts.reason:
        return
    try:
        copier.put(facts, data, inspector.must_fit(facts))
    except StorageError as error:  # of our own: it says nothing about the image
        raise Unavailable(str(error)) from error


def _look_packed(found: Stat, inspector: Inspector, copier: Copier | None = None) -> Reads[ImageFacts]:
    """An object stored with Content-Encoding gzip: what it unpacks to is the image."""
    try:
        if found.size > _UNPACKED:
            raise ImageError(
                "undecodable", f"{found.size} bytes with Content-Encoding gzip: at most {_UNPACKED} are unpacked"
            )
        with _PACKED:
            packed, _ = yield Range(0, found.size, found.generation)
            data = unpack(packed)
            facts = _look_in_memory(data, Stat(found.uri, len(data), found.generation), inspector, HEAD)
            if copier:
                _have(facts, data, inspector, copier)
    except ImageError as error:
        return ImageFacts(found.uri, found.generation, found.size, reason=error.reason, detail=error.detail)
    facts.encoding = "gzip"
    return facts


def unpack(data: bytes) -> bytes:
    """The image in an object with Content-Encoding gzip.

    Raises:
      ImageError: undecodable: damaged, or larger than any image should be.
    """
    try:
        return unpacked(data, _UNPACKED)
    except (zlib.error, EOFError, OverflowError) as error:
        raise ImageError("undecodable", f"its Content-Encoding is gzip, but: {error}") from None


def look_at_bytes(source: str, data: bytes, inspector: Inspector) -> ImageFacts:
    """The facts of an image that is in memory, under the name that it would be stored by."""
    return _look_in_memory(data, Stat(source, len(data), ""), inspector, len(data) or 1)


def _look_in_memory(data: bytes, found: Stat, inspector: Inspector, first: int) -> ImageFacts:
    return follow(_inspect(found.uri, inspector, first), lambda start, end, _: (data[start:end], found))


def _inspect(
    source: str, inspector: Inspector, first: int, begun: tuple[bytes, Stat] | None = None
) -> Reads[ImageFacts]:
    """Look at an image.

    Args:
      first: bytes of the first read.
      begun: what that came to, if it was made already.
    """
    head, found = begun or (yield Range(0, first))
    try:
        return (yield from _facts(source, inspector, head, found, _USUAL_HEADER))
    except NeedMore:
        pass
    yield ASIDE
    try:
        with _LONG:
            return (yield from _facts(source, inspector, head, found, _LONGEST_HEADER))
    except NeedMore:
        told = f"its header is longer than {_LONGEST_HEADER:,} bytes"
        return ImageFacts(source, found.generation, found.size, reason="undecodable", detail=told)


def _facts(source: str, inspector: Inspector, head: bytes, found: Stat, longest: int) -> Reads[ImageFacts]:
    """Raises NeedMore: the header does not end within `longest` bytes."""
    generation, size = found.generation, found.size
    facts = None
    try:
        if not size:
            raise ImageError("empty_image", "the file has 0 bytes: copy or download it again")
        while True:
            try:
                h = parse(head, size)
                break
            except NeedMore as more:
                if more.need > longest:
                    raise
                head += (yield Range(len(head), max(more.need, 2 * len(head)), generation))[0]
        facts = ImageFacts(source, generation, size, h.type, h.width, h.height, h.orientation, h.frames)
        must_fit = inspector.judge(facts)
        if h.least_bytes > size:
            detail = f"{size} bytes: no {h.type} holds {h.width} x {h.height} pixels in less than {h.least_bytes}"
            raise ImageError("truncated_image", detail)
        if must_fit or inspector.verify == "header":
            facts.identity = identity_of(found, head, b"", inspector.identify)
            return facts  # what must be rewritten will be decoded whole
        whole = inspector.verify == "decode"
        if not whole:
            tail = head if len(head) >= size else (yield Range(max(0, size - TAIL), size, generation))[0]
            facts.identity = identity_of(found, head, tail, inspector.identify)
            if ends_well(facts.type, tail, head, size):
                return facts
            facts = replace(facts, escalated=True)
        yield ASIDE
        with _WHOLE:
            data, _ = yield Range(0, size, generation)
            facts.identity = identity_of(found, head, data, inspector.identify)
            if facts.type == "jpeg" and not jpeg_ends(data):
                facts = replace(facts, end_missing=True)
            else:
                walk(data, facts.type)
            # Whether a JPEG without its end has every row of its pixels is found out here, too.
            inspector.pool.check(data, inspector.policy.max_pixels, pixels=facts.width * facts.height)
        return facts
    except ImageError as error:
        facts = facts or ImageFacts(source, generation, size)
        return replace(facts, reason=error.reason, detail=error.detail)
