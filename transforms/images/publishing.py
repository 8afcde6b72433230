"""Name every image as the tuning service will find it: OpenBlock -> OpenBlock; settles each reference's fate."""

from __future__ import annotations

from transforms.core.records import Fitted, OpenBlock
from transforms.examples.tally import note_fate
from transforms.images.headers.rare import RARE
from transforms.images.orders import ImageRewriter
from transforms.storage import abilities


def publish_images(opened: OpenBlock, rewriter: ImageRewriter, warn_types: tuple[str, ...]) -> OpenBlock:
    """Write into every example where its images are and what they are."""
    counters, facts_of = opened.counters, opened.facts
    if rewriter.inspector.verify == "none":
        return _unverified(opened)
    _take_copies(opened)
    for example in opened.examples:
        for image, source in zip(example.images, example.sources):
            facts, fitted = facts_of[source], opened.fitted.get(source)
            fate, kind = (fitted.fate, fitted.type) if fitted else ("untouched", facts.type)
            uri = rewriter.publish(fitted) if fitted else source
            note_fate(opened, source, fate)
            if image["mimeType"] != f"image/{facts.type}":
                counters["images_type_corrected"] += 1
            if kind in warn_types:
                counters["images_warn_type"] += 1
            if facts.type in RARE:
                counters["images_rare_type"] += 1
            if fitted and fate != "untouched":
                _count_rewritten(opened, source, fitted)
            elif facts.orientation != 1:
                counters["images_rotated_tag"] += 1
            if fitted and fate == "untouched":
                counters["images_staged"] += 1
            if uri[0] == "/":
                counters["images_local"] += 1
            image["mimeType"], image["fileUri"] = f"image/{kind}", uri
    _count_looks(opened)
    return opened


def _count_looks(opened: OpenBlock) -> None:
    """Count what was read, per reference."""
    counters = opened.counters
    for source, fates in opened.fates.items():
        references, facts = sum(fates.values()), opened.facts[source]
        counters["bytes_seen"] += references * facts.size
        counters["images_escalated"] += references * facts.escalated
        if facts.generation and abilities(source).foreign and not facts.kept:
            counters["images_fetched"] += references
            counters["bytes_fetched"] += references * facts.size
        if facts.kept:
            counters["images_kept"] += references
            opened.warnings.add("images_kept", source, references)


def _take_copies(opened: OpenBlock) -> None:
    """Let images that were copied as they were looked at be what was made of them."""
    for source, facts in opened.facts.items():
        if facts.copied and source not in opened.fitted:
            shape = (facts.width, facts.height)
            opened.fitted[source] = Fitted(facts.copied, facts.type, facts.size, *shape, "untouched")


def _count_rewritten(opened: OpenBlock, source: str, fitted: Fitted) -> None:
    opened.counters["bytes_rewritten"] += fitted.size
    for code, number in (("images_frames_dropped", fitted.frames_dropped), ("images_flat", int(fitted.flat))):
        if number:
            opened.counters[code] += number
            opened.warnings.add(code, source, number)


def _unverified(opened: OpenBlock) -> OpenBlock:
    """The same, where no image was looked at: they are what their rows say."""
    local = 0
    for example in opened.examples:
        for image, source in zip(example.images, example.sources):
            local += source[0] == "/"
            image["fileUri"] = source
    opened.counters["images_unverified"] += sum(len(example.images) for example in opened.examples)
    opened.counters["images_local"] += local
    opened.fates.clear()  # nothing was looked at, so there is no table of images
    return opened
