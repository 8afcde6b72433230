"""Look below --image_root for images that are not where rows name them: the longest end of a path that is there, then shorter ones.

Exports hold paths of the machine that wrote them: `/data/upload/3/0.jpg` of Label Studio, `C:\\Users\\...`, an address of a server.
What is looked at passes the checks of what may be read, as any name in a row does.
"""

from __future__ import annotations

from collections.abc import Iterator

from transforms.core.reasons import ImageError
from transforms.core.records import ImageFacts, OpenBlock
from transforms.images.inspection import Inspector, look_at
from transforms.storage.places import normalise
from transforms.storage.spellings import path_tails

IN_ROOT = "images_in_root"  # the counter
_MISSING = "image_not_found"
_ELSEWHERE = (
    _MISSING,
    "not_allowed",
    "bad_uri",
    "unsupported_scheme",
    "not_a_file",
)  # why an image is not where it is named


def look_in_root(opened: OpenBlock, inspector: Inspector) -> None:
    """Note where in the root the images of a block lie that were not found, and the facts of what lies there."""
    facts = opened.facts
    candidates: dict[str, Iterator[str]] = {}
    for example in opened.examples:
        for image, source in zip(example.images, example.sources):
            if facts[source].reason in _ELSEWHERE and source not in candidates:
                candidates[source] = _below_root(image["fileUri"], inspector)
    sought = list(candidates)

    # One length of all paths after another, so that reads of many images are under way together.
    while candidates:
        wanted = {source: place for source, places in candidates.items() if (place := next(places, ""))}
        unknown = [place for place in dict.fromkeys(wanted.values()) if place not in facts]
        looked = {fact.uri: fact for fact in look_at(unknown, inspector)[1]}
        for source, place in wanted.items():
            fact = looked.get(place) or facts[place]
            if fact.reason not in _ELSEWHERE and not fact.respelled:
                facts[source], facts[place] = ImageFacts(source, respelled=place), fact
        candidates = {source: candidates[source] for source in wanted if not facts[source].respelled}

    for source in sought:
        if not facts[source].respelled:
            facts[source].detail += f"; no end of its path is below --image_root {inspector.places.root}"


def is_in_root(written: str, source: str, root: str) -> bool:
    """Whether a source is what an image's name comes to below the root."""
    return bool(root) and any(_placed(tail, root) == source for tail in path_tails(written))


def _below_root(written: str, inspector: Inspector) -> Iterator[str]:
    """The places in the root that a name may mean, the longest end of its path first, but for those that may not be read."""
    for tail in path_tails(written):
        try:
            yield inspector.places.resolve(tail, inspector.places.root)
        except ImageError:
            continue


def _placed(tail: str, root: str) -> str:
    try:
        return normalise(tail, root)
    except ImageError:
        return ""
