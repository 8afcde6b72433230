"""Give every example of a block its sources, and every source its facts; drop or reject what cannot be used.

Rows' URIs are resolved, each distinct image of a block is looked at once (inspection.py), and what cannot be used costs its example,
or itself.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from itertools import chain, islice
from typing import Protocol

from transforms.core.reasons import ImageError
from transforms.core.records import Block, ImageFacts, OpenBlock
from transforms.examples.tally import drop_bad_images
from transforms.images.inspection import Inspector, look_at
from transforms.images.second_looks import look_again, take_respelled
from transforms.storage import abilities, patiently
from transforms.storage.api import NoAnswer
from transforms.storage.places import plain_objects, plain_paths


class KnownImages(Protocol):
    """What was found of images before."""

    def facts(self, block: Block, key: str, sources: Collection[str]) -> dict[str, ImageFacts]:
        """Facts that still hold: of images of a block, by their sources and those that stood in for them."""

    def remembered(self, sources: Collection[str]) -> dict[str, ImageFacts]:
        """Facts of an earlier night, of images whose servers give no answer now: those that can still be used."""


def inspect_images(opened: OpenBlock, inspector: Inspector, known: KnownImages | None = None) -> OpenBlock:
    """Resolve and look at every image of a block, equal ones once."""
    return begin_inspection(opened, inspector, known)[1]()


def begin_inspection(
    opened: OpenBlock, inspector: Inspector, known: KnownImages | None
) -> tuple[bool, Callable[[], OpenBlock]]:
    """Whether images are read from now on, and what waits for them."""
    resolve_images(opened, inspector)
    reading, looked = False, iter(tuple[ImageFacts]())
    if inspector.verify != "none":
        sources = dict.fromkeys(source for example in opened.examples for source in example.sources)
        if known:
            opened.facts.update(patiently(known.facts, opened.block, opened.key, sources))
        reading, looked = look_at([source for source in sources if source not in opened.facts], inspector)

    def finish() -> OpenBlock:
        opened.facts.update((facts.uri, facts) for facts in looked)
        if known:
            _keep_unanswered(opened, known)
        if inspector.verify != "none" and inspector.second_looks:
            look_again(opened, inspector)
            take_respelled(opened, inspector.places.root)
        return opened

    return reading, finish


def _keep_unanswered(opened: OpenBlock, known: KnownImages) -> None:
    """Let images be as they were on an earlier night if their servers are away: a dataset does not shrink by an outage."""
    away = [uri for uri, facts in opened.facts.items() if facts.reason == NoAnswer.reason and abilities(uri).foreign]
    if away:
        opened.facts.update(patiently(known.remembered, away))


def resolve_images(opened: OpenBlock, inspector: Inspector) -> None:
    """Give every example its sources. One that cannot be resolved is noted as a fact under the URI as it was written."""
    places, facts = inspector.places, opened.facts
    quick = places.any_bucket
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


def drop_after_inspection(opened: OpenBlock, on_bad_image: str) -> OpenBlock:
    """Apply --on_bad_image to what inspection found."""
    facts = opened.facts
    if any(fact.reason for fact in facts.values()):

        def fault(source: str) -> tuple[str, str]:
            found = facts.get(source)
            return (found.reason, found.detail) if found else ("", "")

        drop_bad_images(opened, fault, on_bad_image)
    return opened
