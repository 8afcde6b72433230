"""What is to be said of each row and image of a block: OpenBlock after inspection -> FindingTally, and hashes to compare."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from transforms.core import jsonl
from transforms.core.finding_codes import ERROR, LONGEST_SHAPE, SMALL_SIDE, finding_code
from transforms.core.limits import Profile
from transforms.core.records import Example, ImageFacts, OpenBlock
from transforms.dataset.findings.repeats import Run, RunWriter
from transforms.dataset.findings.tally import Finding, FindingTally, Place, SplitTally
from transforms.examples.splits import hash64
from transforms.examples.tokens import estimate_tokens
from transforms.storage import abilities
from transforms.storage.uris import bucket_of

_UNREAD = ("image_not_found", "image_forbidden")  # reasons that may be those of a whole bucket
_NO_SEED = b""
_SAME_TYPES = {"heif": "heic"}  # by their first bytes, one may be called the other


@dataclass(frozen=True, kw_only=True)
class Expectations:
    """What a dataset is held against.

    files: row file -> its split's place in NAMES. across: whether examples and images are compared with those of other blocks.
    """

    profile: Profile
    files: Mapping[str, int]
    across: bool


@dataclass
class _Block:
    """A block whose findings are being gathered."""

    opened: OpenBlock
    expected: Expectations
    tally: FindingTally = field(default_factory=FindingTally)
    runs: RunWriter = field(default_factory=RunWriter)

    def __post_init__(self) -> None:
        lines = dict(self.opened.lines)
        self.starts = {extent.uri: extent.start for extent in self.opened.block.extents}
        for extent in self.opened.block.extents:
            alone = extent if self.opened.block.raw is None else None
            self.tally.extents[extent.uri, extent.start] = alone, lines.get(extent.uri, 0)

    def place(self, source: str, line: int) -> Place:
        return Place(self.expected.files[source], source, self.starts[source], line)

    def split(self, place: Place) -> SplitTally:
        return self.tally.splits.setdefault(place.split, SplitTally())


def find_in_block(opened: OpenBlock, expected: Expectations) -> tuple[FindingTally, list[Run]]:
    """What is wrong with the rows of a block and their images, and the hashes by which they are compared with others."""
    block = _Block(opened, expected)
    for rejection in opened.rejections:
        place = block.place(rejection.row.source, rejection.row.line)
        block.tally.add(rejection.reason, Finding(place, rejection.image, rejection.detail))
        _count(block, place, is_bad=True)

    for example in opened.examples:
        place = block.place(example.row.source, example.row.line)
        codes = [*_of_example(block, example, place), *_of_images(block, example, place)]
        is_bad = any(finding_code(code).severity == ERROR for code, _ in codes)
        for code, finding in codes:
            block.tally.add(code, finding)
        _count(block, place, is_bad)
        _note_answer(block, example, place)
    return block.tally, block.runs.runs()


def _count(block: _Block, place: Place, is_bad: bool) -> None:
    split = block.split(place)
    split.examples += 1
    split.with_errors += is_bad
    split.file_examples[place.file] += 1


def _of_example(block: _Block, example: Example, place: Place) -> Iterator[tuple[str, Finding]]:
    """What is wrong with an example as a whole."""
    profile, count = block.expected.profile, len(example.images)
    block.split(place).images += count
    block.tally.image_counts.add(count)
    if count > profile.max_images:
        yield "too_many_images", Finding(place, "", f"{count} images; {profile.name} takes {profile.max_images}")

    facts = block.opened.facts
    sizes = {
        image["fileUri"]: _upright(facts[source])
        for image, source in zip(example.images, example.sources)
        if source in facts and facts[source].width
    }
    tokens = estimate_tokens(example, profile, sizes)
    if tokens > profile.max_tokens:
        detail = f"an estimated {tokens:,} tokens; {profile.name} takes {profile.max_tokens:,}"
        yield "over_tokens", Finding(place, "", detail)


def _upright(facts: ImageFacts) -> tuple[int, int]:
    return (facts.height, facts.width) if facts.orientation > 4 else (facts.width, facts.height)


def _of_images(block: _Block, example: Example, line: Place) -> Iterator[tuple[str, Finding]]:
    """What is wrong with each image of an example."""
    tally = block.tally
    for number, (image, source) in enumerate(zip(example.images, example.sources)):
        place, uri = line._replace(number=number), image["fileUri"]
        facts, bucket = block.opened.facts.get(source), bucket_of(source)
        if facts and bucket and (not facts.reason or facts.reason in _UNREAD):
            tally.add_read(bucket, not facts.reason)
        if facts and facts.reason:
            yield facts.reason, Finding(place, uri, facts.detail)
            continue

        if abilities(source).has_paths:
            tally.add_local(Finding(place, uri))
        if facts:
            for code, detail in _of_facts(image["mimeType"], facts, block.expected.profile):
                yield code, Finding(place, uri, detail)


def _of_facts(mime: str, facts: ImageFacts, profile: Profile) -> Iterator[tuple[str, str]]:
    """What is wrong with an image that can be read -> (code, detail)."""
    written, found = mime.removeprefix("image/"), facts.type
    taken = f"; {profile.name} takes {', '.join(profile.types)}"
    if _SAME_TYPES.get(written, written) != _SAME_TYPES.get(found, found):
        more = "" if found in profile.types else taken
        yield "mime_mismatch", f"the bytes are {found}, and mimeType says {mime}{more}"
    elif found not in profile.types:
        yield "unsupported_media", f"the bytes are {found}{taken}"
    if facts.end_missing:
        yield "truncated_image", "the JPEG has no end mark, though all of its pixels are there"
    if facts.orientation != 1:
        yield "rotated_image", f"EXIF orientation {facts.orientation}"

    short, long = sorted((facts.width, facts.height))
    shape = f"{facts.width} x {facts.height} pixels"
    if short < SMALL_SIDE:
        yield "small_image", shape
    if long > LONGEST_SHAPE * short:
        yield "extreme_shape", shape


def _note_answer(block: _Block, example: Example, place: Place) -> None:
    """Count an example's answer, and note by which hashes the example and its images are found again in other blocks."""
    parts = example.contents[-1]["parts"]
    answer = hash64(jsonl.canonical(parts), _NO_SEED)
    block.split(place).answers.add(answer, " ".join(part["text"] for part in parts))
    if not block.expected.across:
        return
    facts = block.opened.facts
    looked = [facts.get(source) for source in example.sources]
    if any(fact and fact.reason for fact in looked):
        return  # what cannot be read cannot be compared
    identities = [fact.identity if fact else source for fact, source in zip(looked, example.sources)]
    for number, identity in enumerate(identities):
        block.runs.add_image(hash64(identity.encode(), _NO_SEED), place._replace(number=number))
    block.runs.add_example(hash64(_question(example, identities), _NO_SEED), answer, place)


def _question(example: Example, identities: list[str]) -> bytes:
    """All that a model is given before its last answer, with identities in the place of images."""
    names = iter(identities)
    turns = []
    for turn in example.contents[:-1]:
        parts = [part | {"fileData": next(names)} if "fileData" in part else part for part in turn["parts"]]
        turns.append([turn["role"], parts])
    return jsonl.canonical([turns, example.head.get("systemInstruction")])
