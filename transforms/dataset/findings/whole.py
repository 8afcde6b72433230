"""What is to be said of whole splits and files, once all their rows are counted: FindingTally -> more findings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from transforms.core.finding_codes import DROPPED, FEW_EXAMPLES, IMBALANCE, SAME_ANSWERS
from transforms.core.limits import Profile
from transforms.core.warning_codes import model_notices
from transforms.dataset.findings.tally import Answers, Finding, FindingTally, Place, SplitTally
from transforms.dataset.tuning.validation import most_bytes, most_lines
from transforms.examples.splits import NAMES

TRAIN, VALIDATION, TEST = range(len(NAMES))
ARRAY = "array"
NOWHERE = -1  # the split of what concerns none


@dataclass(frozen=True)
class RowFile:
    """A file of rows: its split's place in NAMES, and its bytes.

    form: what it is instead of lines of JSON, where rows are read of it all the same: "array", or how it is compressed.
    """

    uri: str
    split: int
    size: int
    form: str = ""


def whole_findings(tally: FindingTally, files: tuple[RowFile, ...], profile: Profile) -> Iterator[tuple[str, Finding]]:
    """What is wrong with splits and files -> (code, finding)."""
    for notice in model_notices(profile):
        yield notice.code, Finding(Place(NOWHERE, ""), detail=notice.detail)
    yield from _of_files(tally, files, profile)
    for split in range(len(NAMES)):
        yield from _of_drops(split, tally.splits.get(split, SplitTally()))

    train = tally.splits.get(TRAIN, SplitTally())
    if train.examples == train.with_errors:
        yield "no_training_examples", Finding(Place(TRAIN, ""), detail=f"{train.examples:,} examples, all with errors")
    elif train.examples < FEW_EXAMPLES:
        yield "too_few_examples", Finding(Place(TRAIN, ""), detail=f"{train.examples:,} examples")
    yield from _of_validation(tally, files, profile)
    yield from _of_answers({split: counted.answers for split, counted in tally.splits.items()})

    if len(tally.image_counts) > 1:
        fewest, most = min(tally.image_counts), max(tally.image_counts)
        yield "uneven_image_counts", Finding(Place(NOWHERE, ""), detail=f"examples hold {fewest} to {most} images")
    if tally.first_local:
        detail = f"{tally.local:,} references"
        yield "local_path", tally.first_local._replace(detail=detail)


def _of_files(tally: FindingTally, files: tuple[RowFile, ...], profile: Profile) -> Iterator[tuple[str, Finding]]:
    for file in files:
        if file.split == TEST:
            continue  # no tuning job takes it
        place = Place(file.split, file.uri)
        if file.form == ARRAY:
            yield "not_an_object", Finding(place, detail="the file is one array: expected an object on each line")
        elif file.form:
            yield (
                "not_json",
                Finding(place, detail=f"the file is compressed ({file.form}): expected plain lines of JSON"),
            )
        if file.size > profile.max_file_bytes:
            yield "file_too_large", Finding(place, detail=f"{file.size:,} bytes; at most {profile.max_file_bytes:,}")
        examples = _examples_of(tally, file)
        if examples > profile.max_file_examples:
            detail = f"{examples:,} examples; at most {profile.max_file_examples:,}"
            yield "too_many_examples", Finding(place, detail=detail)


def _examples_of(tally: FindingTally, file: RowFile) -> int:
    split = tally.splits.get(file.split)
    return split.file_examples[file.uri] if split else 0


def _of_drops(split: int, counted: SplitTally) -> Iterator[tuple[str, Finding]]:
    if counted.with_errors * DROPPED > counted.examples:
        detail = f"{counted.with_errors:,} of {counted.examples:,} examples have an error"
        yield "predicted_drop", Finding(Place(split, ""), detail=detail)


def _of_validation(tally: FindingTally, files: tuple[RowFile, ...], profile: Profile) -> Iterator[tuple[str, Finding]]:
    """A validation file for itself, and beside the smallest training file, as a job takes one of each."""
    train = [file for file in files if file.split == TRAIN and _examples_of(tally, file)]
    for file in files:
        if file.split != VALIDATION:
            continue
        place, lines = Place(VALIDATION, file.uri), _examples_of(tally, file)
        if lines > profile.max_validation:
            detail = f"{lines:,} examples; {profile.name} takes {profile.max_validation:,}"
            yield "validation_too_many", Finding(place, detail=detail)
        if not train:
            continue
        smallest = min(train, key=lambda one: (one.size, one.uri))
        if file.size > most_bytes(smallest.size):
            detail = f"{file.size:,} bytes are over 25 % of the {smallest.size:,} of {smallest.uri}"
            yield "validation_too_large", Finding(place, detail=detail)
        fewest = min(_examples_of(tally, one) for one in train)
        if lines > most_lines(fewest):
            detail = f"{lines:,} examples are over 1,000 and over 30 % of the {fewest:,} to train on"
            yield "validation_too_large", Finding(place, detail=detail)


def _of_answers(splits: Mapping[int, Answers]) -> Iterator[tuple[str, Finding]]:
    together = Answers()
    for answers in splits.values():
        together.update(answers)
    if _is_constant(together):
        yield "constant_answer", Finding(Place(NOWHERE, ""), detail=_constant_detail(together))
    else:
        for split, answers in sorted(splits.items()):
            if _is_constant(answers):
                yield "constant_answer", Finding(Place(split, ""), detail=_constant_detail(answers))

    counts = splits[TRAIN].counts if TRAIN in splits else {}
    if len(counts) < 2:
        return
    shown = splits[TRAIN].shown
    by_count = sorted((count, shown[answer]) for answer, count in counts.items())
    (fewest, rare), (most, frequent) = by_count[0], by_count[-1]
    if most > IMBALANCE * fewest:
        detail = f"{len(counts)} answers: {frequent!r} stands {most:,} times, {rare!r} {fewest:,}"
        yield "class_imbalance", Finding(Place(TRAIN, ""), detail=detail)


def _is_constant(answers: Answers) -> bool:
    return len(answers.counts) == 1 and answers.total >= SAME_ANSWERS


def _constant_detail(answers: Answers) -> str:
    return f"all {answers.total:,} answers are {next(iter(answers.shown.values()))!r}"
