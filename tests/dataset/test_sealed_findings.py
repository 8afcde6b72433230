"""What a seal finds by the notes of blocks: counts of each code, what caps leave out, and leaks by the names of their lines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from transforms.core import arrow_stream
from transforms.core.finding_codes import ALL, AUTO, NONE, ROWS
from transforms.core.limits import PROFILES
from transforms.core.records import Block, Example, Extent, Fitted, ImageFacts, OpenBlock, Part, Receipt, Row
from transforms.dataset.findings import sealed
from transforms.dataset.findings.sealed import FindingsSealer
from transforms.dataset.findings.written import KIND, Notes
from transforms.dataset.join import Joined
from transforms.dataset.seal_plan import Cuts

PROFILE = PROFILES["image-tuning"]


def turns(images: Sequence[str], question: str = "what?", answer: str = "cat") -> list[dict[str, Any]]:
    parts = [{"fileData": {"mimeType": "image/png", "fileUri": uri}} for uri in images]
    return [
        {"role": "user", "parts": [*parts, {"text": question}]},
        {"role": "model", "parts": [{"text": answer}]},
    ]


def example(number: int, *pieces: Sequence[str], split: str = "train", **said: str) -> Example:
    """An example of a piece for each list of images, with `number` for its id."""
    sources = [uri for piece in pieces for uri in piece]
    contents = [turns(piece, **said) for piece in pieces]
    images = [part["fileData"] for piece in contents for part in piece[0]["parts"] if "fileData" in part]
    tokens = [258] * len(pieces)
    return Example(
        Row("/in.jsonl", 0, 1, b""), number, [], {}, {}, images, sources, tokens, split=split, pieces=contents
    )


def block(examples: Sequence[Example], **facts: Any) -> OpenBlock:
    """A block of examples, whose images are as `facts` say, by their names; the others are of 99 x 99 pixels."""
    extent = Extent("/in.jsonl", "1", 9, 0, 9)
    opened = OpenBlock(Block((0, b"", 0), (extent,), "gemini"), "0" * 32, examples=list(examples))
    for one in examples:
        for uri in one.sources:
            opened.facts[uri] = ImageFacts(uri, width=99, height=99, identity=uri) if uri not in facts else facts[uri]
    return opened


def findings(
    folder: Path,
    blocks: Sequence[OpenBlock],
    level: str = ALL,
    cuts: Cuts = Cuts(),  # noqa: B008
    one_segment: bool = False,
) -> dict[str, Any]:
    """What is told of blocks, each of which is a segment of its own unless they are all of one."""
    sealer = FindingsSealer(level, PROFILE, str(folder), "what they are called")
    receipts, lines = [], {"train": 0, "validation": 0}
    for number, opened in enumerate(blocks):
        parts = []
        for kind, data, count in Notes(level, PROFILE.max_tokens).part(opened):
            path = folder / f"{number}.{kind}"
            path.write_bytes(data)
            parts.append(Part(kind, str(path), len(data), count, 0))
        receipts.append(Receipt("0" * 32, (0, b"", number), 1, False, tuple(parts), (), (), ()))
        for one in opened.examples:
            lines[one.split] += len(one.pieces)
    segments = [receipts] if one_segment else [[receipt] for receipt in receipts]
    gathered = [sealer.gather(segment, cuts) for segment in enumerate(segments)]
    files = [Joined(f"{name}.jsonl", count, 1000, 0, "1") for name, count in lines.items()]
    told = sealer.tell(gathered, files)
    told["counts"].pop("too_few_examples", None)
    return told


def test_a_segment_is_gathered_some_rows_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = [
        block([example(1, ["a"]), example(2, ["b", "c"])]),
        block([example(3, ["d"], answer="dog"), example(4, ["b"], split="validation")]),
        block([example(5, ["a"], answer="dog"), example(6, ["c"], split="validation")]),
    ]
    (tmp_path / "whole").mkdir()
    (tmp_path / "slices").mkdir()
    whole = findings(tmp_path / "whole", blocks, one_segment=True)
    monkeypatch.setattr(arrow_stream, "SLICE", 2)
    assert findings(tmp_path / "slices", blocks, one_segment=True) == whole
    assert whole["counts"]["image_in_two_splits"] == 2 and whole["counts"]["conflicting_answers"] == 1
    assert {leak["here"]["id"] for leak in whole["leaks"]} == {f"{4:016x}", f"{6:016x}"}


def test_lines_are_compared_over_all_blocks(tmp_path: Path) -> None:
    first = block([example(1, ["a"]), example(2, ["b"], question="2?"), example(3, ["c"], answer="dog")])
    second = block([
        example(4, ["b"], question="2?"), example(5, ["c"]),
        example(0xABC, ["x"], ["c", "a"], split="validation", question="5?", answer="5"),
    ])  # fmt: skip
    assert findings(tmp_path, [first, second]) == {
        "level": "all",
        "identity": "what they are called",
        "counts": {
            "conflicting_answers": 1,
            "duplicate_example": 1,
            "image_in_two_splits": 2,
            "local_path": 1,
            "uneven_image_counts": 1,
            "validation_too_large": 1,
        },
        "leaks": [
            {
                "here": {"split": "validation", "id": "0000000000000abc", "piece": 2, "image": 1},
                "there": {"split": "train", "id": "0000000000000003", "piece": 1, "image": 1},
            },
            {
                "here": {"split": "validation", "id": "0000000000000abc", "piece": 2, "image": 2},
                "there": {"split": "train", "id": "0000000000000001", "piece": 1, "image": 1},
            },
        ],
    }


def test_what_caps_leave_out_is_not_compared(tmp_path: Path) -> None:
    blocks = [block([example(1, ["a"]), example(7, ["a"], split="validation")])]
    for bound, leaks in ((7, 0), (8, 1)):
        counts = findings(tmp_path, blocks, cuts=Cuts(validation=bound))["counts"]
        assert counts.get("image_in_two_splits", 0) == leaks


@pytest.mark.parametrize(
    ("level", "references", "told"), [(AUTO, 3, ALL), (AUTO, 4, ALL), (AUTO, 5, ROWS), (ALL, 5, ALL), (ROWS, 3, ROWS)]
)
def test_too_many_references_are_compared_only_if_asked_for(
    level: str, references: int, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealed, "MOST_REFERENCES", 4)
    found = findings(tmp_path, [block([example(n, ["a"], question=str(n % 2)) for n in range(references)])], level)
    assert (found["level"], bool(found["identity"]), "duplicate_example" in found["counts"]) == (
        told, told == ALL, told == ALL,
    )  # fmt: skip


def test_images_are_told_of_as_they_were_written(tmp_path: Path) -> None:
    """What was rewritten is upright, has the size that it was given, and is told apart by what was written."""
    names = ["turned", "small", "long", "made small", "made upright", "made too"]
    facts = {
        "turned": ImageFacts("turned", width=99, height=99, orientation=6, identity="1"),
        "small": ImageFacts("small", width=63, height=99, identity="2"),
        "long": ImageFacts("long", width=99, height=991, identity="3"),
        **{name: ImageFacts(name, width=991, height=99, orientation=6, identity="4") for name in names[3:]},
    }
    opened = block([example(1, names[:5]), example(2, ["made too"], split="validation")], **facts)
    opened.fitted = {
        "made small": Fitted("m", width=50, height=50, fate="resized", identity="5"),
        "made upright": Fitted("n", width=100, height=990, fate="recompressed", identity="6"),
        "made too": Fitted("o", width=100, height=990, fate="recompressed", identity="6"),
    }
    counts = findings(tmp_path, [opened])["counts"]
    assert {name: counts.get(name, 0) for name in ("rotated_image", "small_image", "extreme_shape")} == {
        "rotated_image": 1, "small_image": 2, "extreme_shape": 1,
    }  # fmt: skip
    assert counts["image_in_two_splits"] == 1


@pytest.mark.parametrize(("tokens", "over"), [(PROFILE.max_tokens, 0), (PROFILE.max_tokens + 1, 1)])
def test_a_line_over_the_tokens_is_an_error(tokens: int, over: int, tmp_path: Path) -> None:
    one = example(1, ["a"])
    one.tokens = [tokens]
    counts = findings(tmp_path, [block([one])], ROWS)["counts"]
    assert (counts.get("over_tokens", 0), counts.get("predicted_drop", 0), counts.get("no_training_examples", 0)) == (
        (over,) * 3
    )


@pytest.mark.parametrize(("number", "constant"), [(19, False), (20, True)])
def test_answers_are_counted_over_all_blocks(number: int, constant: bool, tmp_path: Path) -> None:
    blocks = [block([example(n, ["a"], question=str(n))]) for n in range(number)]
    assert ("constant_answer" in findings(tmp_path, blocks, ROWS)["counts"]) is constant


def test_blocks_that_note_nothing_have_no_part() -> None:
    assert list(Notes(NONE, 1).part(block([example(1, ["a"])]))) == []
    assert [kind for kind, _, _ in Notes(ROWS, 1).part(block([example(1, ["a"])]))] == [KIND]
    assert list(Notes(ALL, 1).part(block([]))) == []
