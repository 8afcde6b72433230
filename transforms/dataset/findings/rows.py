"""What is to be said of each row and image of a block: OpenBlock after inspection -> FindingTally, and hashes to compare."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from transforms.core.finding_codes import ERROR, finding_code, is_extreme, is_small
from transforms.core.limits import Profile
from transforms.core.records import Example, Extent, ImageFacts, OpenBlock
from transforms.dataset.findings.hashes import answer_hash, answer_text, question_hash
from transforms.dataset.findings.repeats import EXAMPLES, IMAGES, MOST_NUMBERS, Run, packed_run
from transforms.dataset.findings.tally import Finding, FindingTally, Place, SplitTally
from transforms.examples.image_groups import image_hash
from transforms.examples.tokens import estimate_tokens
from transforms.storage import abilities
from transforms.storage.uris import bucket_of

_UNREAD = ("image_not_found", "image_forbidden")  # reasons that may be those of a whole bucket
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
    sizes = {}
    if facts:  # under --verify none there are hardly any
        yield from _of_images(facts, example, profile, tally)
        looked = zip(example.images, map(facts.get, example.sources))
        sizes = {image["fileUri"]: _upright(fact) for image, fact in looked if fact and fact.width}

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

    shape = f"{facts.width} x {facts.height} pixels"
    if is_small(facts.width, facts.height):
        yield "small_image", shape
    if is_extreme(facts.width, facts.height):
        yield "extreme_shape", shape


def _note_local(example: Example, facts: Facts, file: _File, tally: FindingTally) -> None:
    """Count the images that are named by paths, whether of this machine or from where the rows lie."""
    for number, (image, source) in enumerate(zip(example.images, example.sources)):
        uri = image["fileUri"]
        if abilities(uri).has_paths and not (source in facts and facts[source].reason):
            tally.add_local(Finding(file.place(example.row.line, number), uri))


def _note_answer(example: Example, facts: Facts, file: _File, across: bool) -> None:
    """Count an example's answer, and note by which hashes the example and its images are found again in other blocks."""
    text = answer_text(example.contents)
    answer = answer_hash(text)
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
    file.images += [(image_hash(identity), line, number) for number, identity in enumerate(identities[:MOST_NUMBERS])]
    file.examples.append((question_hash(example.contents, example.head, identities), answer, line))
