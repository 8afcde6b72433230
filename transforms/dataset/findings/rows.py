"""What is to be said of each row and image of a block: OpenBlock after inspection -> FindingTally, and hashes to compare."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from transforms.core import jsonl
from transforms.core.finding_codes import ERROR, LONGEST_SHAPE, SMALL_SIDE, finding_code
from transforms.core.limits import Profile
from transforms.core.records import Example, Extent, ImageFacts, OpenBlock
from transforms.dataset.findings.repeats import EXAMPLES, IMAGES, Run, packed_run
from transforms.dataset.findings.tally import Finding, FindingTally, Place, SplitTally
from transforms.examples.splits import hash64
from transforms.examples.tokens import estimate_tokens
from transforms.storage import abilities
from transforms.storage.uris import bucket_of

_UNREAD = ("image_not_found", "image_forbidden")  # reasons that may be those of a whole bucket
_NO_SEED = b""
_MOST_NUMBERS = 1 << 16  # images of a line that a packed record can tell apart
_SAME_TYPES = {"heif": "heic"}  # by their first bytes, one may be called the other

Facts = Mapping[str, ImageFacts]  # by source


@dataclass(frozen=True, kw_only=True)
class Expectations:
    """What a dataset is held against.

    files: row file -> its split's place in NAMES. across: whether examples and images are compared with those of other blocks.
    """

    profile: Profile
    files: Mapping[str, int]
    across: bool


class _File:
    """What is gathered of one file's lines in a block. A block has one or few, and each is asked for many times."""

    def __init__(self, extent: Extent, split: int, counted: SplitTally) -> None:
        self.uri, self.start, self.split = extent.uri, extent.start, split
        self.counted = counted
        self.images: list[tuple[int, int, int]] = []  # (identity's hash, line, number)
        self.examples: list[tuple[int, int, int]] = []  # (question's hash, answer's, line)

    def place(self, line: int, number: int = 0) -> Place:
        return Place(self.split, self.uri, self.start, line, number)

    def count(self, is_bad: bool) -> None:
        self.counted.examples += 1
        self.counted.with_errors += is_bad
        self.counted.file_examples[self.uri] += 1

    def runs(self) -> Iterator[Run]:
        for kind, records in ((IMAGES, self.images), (EXAMPLES, self.examples)):
            if records:
                yield packed_run(kind, self.place(0), records)


def find_in_block(opened: OpenBlock, expected: Expectations) -> tuple[FindingTally, list[Run]]:
    """What is wrong with the rows of a block and their images, and the hashes by which they are compared with others."""
    tally, files = FindingTally(), dict[str, _File]()
    lines, can_be_read = dict(opened.lines), opened.block.raw is None
    for extent in opened.block.extents:
        split = expected.files[extent.uri]
        files[extent.uri] = _File(extent, split, tally.splits.setdefault(split, SplitTally()))
        tally.extents[extent.uri, extent.start] = extent if can_be_read else None, lines.get(extent.uri, 0)

    for rejection in opened.rejections:
        file = files[rejection.row.source]
        tally.add(rejection.reason, Finding(file.place(rejection.row.line), rejection.image, rejection.detail))
        file.count(is_bad=True)
    for example in opened.examples:
        file, is_bad = files[example.row.source], False
        for code, number, uri, detail in _of_example(opened.facts, example, expected.profile, tally):
            tally.add(code, Finding(file.place(example.row.line, number), uri, detail))
            is_bad = is_bad or finding_code(code).severity == ERROR
        file.count(is_bad)
        file.counted.images += len(example.images)
        _note_local(example, opened.facts, file, tally)
        _note_answer(example, opened.facts, file, expected.across)
    return tally, [run for file in files.values() for run in file.runs()]


_Fault = tuple[str, int, str, str]  # code, number of the image in its line, URI, detail


def _of_example(facts: Facts, example: Example, profile: Profile, tally: FindingTally) -> Iterator[_Fault]:
    """What is wrong with an example and its images."""
    count = len(example.images)
    tally.image_counts.add(count)
    if count > profile.max_images:
        yield "too_many_images", 0, "", f"{count} images; {profile.name} takes {profile.max_images}"
    if facts:
        yield from _of_images(facts, example, profile, tally)

    sizes = {
        image["fileUri"]: _upright(facts[source])
        for image, source in (zip(example.images, example.sources) if facts else ())
        if source in facts and facts[source].width
    }
    tokens = estimate_tokens(example, profile, sizes)
    if tokens > profile.max_tokens:
        yield "over_tokens", 0, "", f"an estimated {tokens:,} tokens; {profile.name} takes {profile.max_tokens:,}"


def _upright(facts: ImageFacts) -> tuple[int, int]:
    return (facts.height, facts.width) if facts.orientation > 4 else (facts.width, facts.height)


def _of_images(facts: Facts, example: Example, profile: Profile, tally: FindingTally) -> Iterator[_Fault]:
    """What is wrong with each image of an example that was looked at, or could not be."""
    for number, (image, source) in enumerate(zip(example.images, example.sources)):
        fact, uri = facts.get(source), image["fileUri"]
        if fact is None:
            continue
        bucket = bucket_of(source)
        if bucket and (not fact.reason or fact.reason in _UNREAD):
            tally.add_read(bucket, not fact.reason)
        if fact.reason:
            yield fact.reason, number, uri, fact.detail
            continue
        for code, detail in _of_facts(image["mimeType"], fact, profile):
            yield code, number, uri, detail


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


def _note_local(example: Example, facts: Facts, file: _File, tally: FindingTally) -> None:
    """Count the images that are named by paths, whether of this machine or from where the rows lie."""
    for number, (image, source) in enumerate(zip(example.images, example.sources)):
        uri = image["fileUri"]
        if abilities(uri).has_paths and not (source in facts and facts[source].reason):
            tally.add_local(Finding(file.place(example.row.line, number), uri))


def _note_answer(example: Example, facts: Facts, file: _File, across: bool) -> None:
    """Count an example's answer, and note by which hashes the example and its images are found again in other blocks."""
    parts = example.contents[-1]["parts"]
    text = parts[0]["text"] if len(parts) == 1 else "\n".join(part["text"] for part in parts)
    answer = hash64(text.encode(), _NO_SEED)
    file.counted.answers.add(answer, text)
    if not across:
        return
    identities: Sequence[str] = example.sources
    if facts:
        looked = [facts.get(source) for source in example.sources]
        if any(fact and fact.reason for fact in looked):
            return  # what cannot be read cannot be compared
        identities = [fact.identity if fact else source for fact, source in zip(looked, example.sources)]
    line = example.row.line
    file.images += [
        (hash64(identity.encode(), _NO_SEED), line, number)
        for number, identity in enumerate(identities[:_MOST_NUMBERS])
    ]
    file.examples.append((hash64(_question(example, identities), _NO_SEED), answer, line))


def _question(example: Example, identities: Sequence[str]) -> bytes:
    """All that a model is given before its last answer, with identities in the place of images."""
    turns = [turn["parts"] for turn in example.contents[:-1]]
    if identities:
        names = iter(identities)
        turns = [
            [part | {"fileData": next(names)} if "fileData" in part else part for part in parts] for parts in turns
        ]
    return jsonl.canonical([turns, example.head.get("systemInstruction")])
