"""Inspect images: OpenBlock -> OpenBlock with facts; rejects (or drops) images that cannot be used.

A conforming image costs one or two small reads and is never touched. A missing end marker alone rejects nothing: the file is then
read whole, walked and decoded (a JPEG with a motion-photo trailer is fine). Local files are opened without waiting on a FIFO, and
checked after opening: what was opened is a regular file below an allowed folder, whatever links led there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import chain, islice

import apache_beam as beam

from transforms.core.headers import NeedMore, parse
from transforms.core.images import FitPolicy
from transforms.core.places import Places, inside, plain_objects, plain_paths
from transforms.core.reasons import ImageError
from transforms.core.records import ImageFacts, OpenBlock
from transforms.core.structure import ends_well, walk
from transforms.decoding import shared_pool
from transforms.examples import drop_bad_images
from transforms.local import LocalStore, open_regular, translate
from transforms.storage import NotAFile, Stat, StorageError, is_local, store_for

HEAD = 64 << 10  # bytes of the first read of an object; of a local file a quarter, since a second one costs nothing
TAIL = 4 << 10  # bytes in which an end marker is looked for: padding may follow it
_LONGEST_HEADER = 8 << 20  # bytes; no real header is longer


@dataclass(frozen=True, kw_only=True)
class Inspector:
    """How closely images are looked at, and what conforms.

    verify: none | header | structure | decode.
    threads: reads of one block under way at once (gs:// only).
    upright: a rotation tag does not conform.
    """

    places: Places
    verify: str
    policy: FitPolicy
    on_bad_image: str
    threads: int
    upright: bool

    def must_fit(self, facts: ImageFacts) -> bool:
        """Whether an image does not conform and has to be rewritten."""
        return not facts.reason and (
            facts.size > self.policy.max_bytes
            or facts.type not in self.policy.types
            or (self.upright and facts.orientation != 1)
        )

    def refuse(self, facts: ImageFacts) -> None:
        """Raise ImageError (too_large, animated, too_many_pixels) for what the policy rejects by its header alone."""
        policy = self.policy
        if policy.oversize == "reject" and facts.size > policy.max_bytes:
            raise ImageError("too_large", f"{facts.size} bytes, over {policy.max_bytes}, under --oversize reject")
        if policy.animation == "reject" and facts.frames != 1:
            raise ImageError("animated", "more than one frame or page, under --animation reject")
        if self.must_fit(facts) and facts.width * facts.height * max(1, facts.frames) > policy.max_pixels:
            raise ImageError(
                "too_many_pixels",
                f"{facts.frames} x {facts.width} x {facts.height} pixels, at most {policy.max_pixels} are decoded",
            )


@dataclass(kw_only=True)
class InspectImages(beam.PTransform):
    inspector: Inspector

    def expand(self, blocks: beam.PCollection[OpenBlock]) -> beam.PCollection[OpenBlock]:
        return blocks | "Inspect" >> beam.Map(inspect_images, self.inspector).with_output_types(OpenBlock)


def inspect_images(opened: OpenBlock, inspector: Inspector) -> OpenBlock:
    """Resolve and look at every image of a block, equal ones once."""
    resolve_images(opened, inspector)
    if inspector.verify != "none":
        sources = dict.fromkeys(source for example in opened.examples for source in example.sources)
        wanted = [source for source in sources if source not in opened.facts]
        opened.facts.update((facts.uri, facts) for facts in look_at(wanted, inspector))
    return opened


def resolve_images(opened: OpenBlock, inspector: Inspector) -> None:
    """Give every example its sources. One that cannot be resolved is noted as a fact under the URI as it was written."""
    places, facts = inspector.places, opened.facts
    quick = "gs://" in places.folders
    known: dict[tuple[str, str], str] = {}
    below: dict[str, str] = {}

    def plain(written: list[str], base: str) -> list[str] | None:
        if quick and plain_objects(written):
            return written
        if base not in below:
            below[base] = places.below(base)
        return [below[base] + path for path in written] if below[base] and plain_paths(written) else None

    def resolve(written: str, base: str) -> str:
        source = known.get((written, base), "")
        if not source:
            try:
                source = places.resolve(written, base)
            except ImageError as error:
                source = written
                facts[source] = ImageFacts(source, reason=error.reason, detail=error.detail)
            known[written, base] = source
        return source

    examples = opened.examples
    written = [[image["fileUri"] for image in example.images] for example in examples]
    bases = {example.base for example in examples}
    together = plain(list(chain.from_iterable(written)), bases.pop()) if len(bases) == 1 else None
    if together is not None:  # the usual block: nothing to resolve one by one
        every = iter(together)
        for example in examples:
            example.sources = list(islice(every, len(example.images)))
        return
    for example, uris in zip(examples, written):
        example.sources = plain(uris, example.base) or [resolve(uri, example.base) for uri in uris]


def look_at(sources: Sequence[str], inspector: Inspector) -> Iterable[ImageFacts]:
    local = [source for source in sources if is_local(source)]
    remote = [source for source in sources if not is_local(source)]
    yield from (look(source, inspector) for source in local)  # threads gain nothing on the page cache
    if remote:
        with ThreadPoolExecutor(min(inspector.threads, len(remote))) as pool:
            yield from pool.map(lambda source: look(source, inspector), remote)


def look(source: str, inspector: Inspector) -> ImageFacts:
    """The facts of one image, or the reason why it cannot be used."""
    try:
        return _look_local(source, inspector) if is_local(source) else _look_remote(source, inspector)
    except StorageError as error:
        return ImageFacts(source, reason=error.reason, detail=str(error))


def _look_local(source: str, inspector: Inspector) -> ImageFacts:
    store = store_for(source)
    assert isinstance(store, LocalStore)
    descriptor = -1
    try:
        descriptor = open_regular(source)
        check_opened(source, descriptor, inspector.places.folders)
        return _inspect(source, inspector, store.reader(source, descriptor), HEAD // 4)
    except OSError as error:
        raise translate(error, source) from None
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def _look_remote(source: str, inspector: Inspector) -> ImageFacts:
    store = store_for(source)
    return _inspect(source, inspector, partial(store.read, source), HEAD)


@lru_cache(maxsize=64)
def _real(folder: str) -> str:
    return os.path.realpath(folder)


def check_opened(source: str, descriptor: int, folders: tuple[str, ...]) -> None:
    """Refuse a file that links led out of the allowed folders.

    Raises:
      NotAFile: it did.
    """
    try:
        real = os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:  # no /proc (macOS): asked by name, a moment later
        real = os.path.realpath(source)
    if real != source and not any(inside(real, _real(folder)) for folder in folders if is_local(folder)):
        raise NotAFile(f"{source} is a link that leads out of what may be read, to {real}")


def _inspect(
    source: str, inspector: Inspector, read: Callable[[int, int, str], tuple[bytes, Stat]], first: int
) -> ImageFacts:
    head, found = read(0, first, "")
    generation, size = found.generation, found.size
    facts = None
    try:
        if not size:
            raise ImageError("empty_image", "the file has 0 bytes")
        while True:
            try:
                h = parse(head, size)
                break
            except NeedMore as more:
                if more.need > _LONGEST_HEADER:
                    raise ImageError("undecodable", f"its header is longer than {_LONGEST_HEADER:,} bytes") from None
                head += read(len(head), max(more.need, 2 * len(head)), generation)[0]
        facts = ImageFacts(source, generation, size, h.type, h.width, h.height, h.orientation, h.frames)
        inspector.refuse(facts)
        if inspector.verify == "header" or inspector.must_fit(facts):
            return facts  # what must be rewritten will be decoded whole
        whole = inspector.verify == "decode"
        if not whole:
            tail = head if len(head) >= size else read(max(0, size - TAIL), size, generation)[0]
            if ends_well(facts.type, tail, head, size):
                return facts
            facts = replace(facts, escalated=True)
        data = read(0, size, generation)[0]
        walk(data, facts.type)
        shared_pool(workers=os.cpu_count() or 1).check(
            data, inspector.policy.max_pixels, pixels=facts.width * facts.height
        )
        return facts
    except ImageError as error:
        facts = facts or ImageFacts(source, generation, size)
        return replace(facts, reason=error.reason, detail=error.detail)


def drop_after_inspection(opened: OpenBlock, on_bad_image: str) -> OpenBlock:
    """Apply --on_bad_image to what inspection found."""
    facts = opened.facts
    if any(fact.reason for fact in facts.values()):

        def fault(source: str) -> tuple[str, str]:
            found = facts.get(source)
            return (found.reason, found.detail) if found else ("", "")

        drop_bad_images(opened, fault, on_bad_image)
    return opened
