r"""Split an example that holds more images than a model takes. contents -> pieces; rejects: too_many_images.

An *exchange* is a user turn and the model turn that answers it. Exchanges within the limit are never cut: consecutive
ones share a piece, in the fewest pieces, then with the smallest largest piece, then larger pieces first. An exchange
over the limit stands alone and is cut into parts whose sizes differ by at most one, larger first; each part repeats the
model turn and every user text that is not tied to an image.

>>> def image(name):
...     return {"fileData": {"mimeType": "image/png", "fileUri": name}}
>>> user = [image("a"), {"text": "Image 1."}, image("b"), {"text": "Image 2."}, image("c"), {"text": "Image 3."}]
>>> user.append({"text": "Compare."})
>>> turns = [{"role": "user", "parts": user}, {"role": "model", "parts": [{"text": "All alike."}]}]
>>> for piece in split_contents(turns, max_images=2):
...     print([part.get("text") or part["fileData"]["fileUri"] for turn in piece for part in turn["parts"]])
['a', 'Image 1.', 'b', 'Image 2.', 'Compare.', 'All alike.']
['c', 'Image 3.', 'Compare.', 'All alike.']
"""

from __future__ import annotations

import itertools
import re
from typing import Any

from transforms.core import jsonl
from transforms.core.reasons import RowError

Turn = dict[str, Any]

MOST_IMAGES = 10_000  # of a row, whatever a model takes: no answer is about so many
MOST_REPEATED = 64_000_000  # bytes of what all pieces of a row repeat: else a row of megabytes would become gigabytes
_DIGITS = re.compile(r"\d+")


def too_many() -> RowError:
    return RowError("too_many_images", f"over {MOST_IMAGES:,} images in one row")


def split_contents(contents: list[Turn], max_images: int, head_bytes: int = 0) -> list[list[Turn]]:
    """The pieces of an example, in order; one piece, `contents` itself, when it is within the limit.

    Args:
        contents: turns that obey the rules: user and model alternate, images stand in user turns.
        max_images: what a piece may hold, at least 1.
        head_bytes: of what stands beside `contents` in every piece.

    Returns:
        A list of contents. Each image stands in exactly one of them. The pieces share their part objects and, where a
        turn is not cut, their turns with `contents`: writing to a `fileData` changes its piece.

    Raises:
        RowError: too_many_images, the pieces would repeat over MOST_REPEATED bytes.
    """
    if max_images < 1:
        raise ValueError(f"max_images is {max_images}: a piece must be allowed at least one image")
    exchanges = [(contents[i : i + 2], _count(contents[i])) for i in range(0, len(contents), 2)]
    if sum(count for _, count in exchanges) <= max_images:
        return [contents]
    pieces: list[list[Turn]] = []
    run: list[tuple[list[Turn], int]] = []
    repeated = 0
    for exchange, count in exchanges:
        if count <= max_images:
            run.append((exchange, count))
        else:
            pieces += _pack(run, max_images)
            run = []
            number = -(-count // max_images)
            tied, task = _tied(exchange[0]["parts"])
            repeated += number * len(jsonl.dumps([exchange[1:], [exchange[0]["parts"][i] for i in task]]))
            _check(repeated, len(pieces) + number)
            pieces += _cut(exchange, number, tied, task)
    pieces += _pack(run, max_images)
    _check(repeated + head_bytes * len(pieces), len(pieces))
    return pieces


def _check(repeated: int, pieces: int) -> None:
    if repeated > MOST_REPEATED:
        detail = f"{pieces:,} pieces or more, which would repeat {repeated:,} bytes of text: at most {MOST_REPEATED:,}"
        raise RowError("too_many_images", detail)


def captions(parts: list[dict[str, Any]]) -> dict[int, tuple[int, ...]]:
    """Which texts of a user turn are tied to which image, as indexes into `parts`; every image has an entry.

    A text between two images belongs to the image before it; but if it equals, digits aside, a text before the first
    image ("Image 1:", "Image 2:", ...), then texts like it are labels of the image after them. Of the texts after the
    last image, as many as each image before it has after itself (the least of them, should they differ) are its
    caption. Other texts are the task and are tied to none.

    >>> image = {"fileData": {}}
    >>> captions([image, {"text": "front"}, image, {"text": "back"}, {"text": "Describe."}])
    {0: (1,), 2: (3,)}
    >>> captions([{"text": "Photo 1"}, image, {"text": "Photo 2"}, image, {"text": "Describe."}])
    {1: (0,), 3: (2,)}
    """
    images = [i for i, part in enumerate(parts) if "fileData" in part]
    if len(images) < 2:
        return dict.fromkeys(images, ())
    tied: dict[int, list[int]] = {i: [] for i in images}
    first, last = images[0], images[-1]
    shapes = {i: _DIGITS.sub("", parts[i]["text"]) for i in range(last) if i not in tied}
    leads = {shapes[i] for i in range(first)}
    labels = {shapes[i] for i in shapes if i > first} & leads
    for i in range(first):
        if shapes[i] in labels:
            tied[first].append(i)
    following = []
    for before, after in itertools.pairwise(images):
        own = [i for i in range(before + 1, after) if shapes[i] not in labels]
        tied[before] += own
        tied[after] += [i for i in range(before + 1, after) if shapes[i] in labels]
        following.append(len(own))
    tied[last] += range(last + 1, min(last + 1 + min(following), len(parts)))
    return {image: tuple(texts) for image, texts in tied.items()}


def _count(turn: Turn) -> int:
    return sum("fileData" in part for part in turn["parts"])


def _pack(run: list[tuple[list[Turn], int]], max_images: int) -> list[list[Turn]]:
    """Consecutive exchanges, none over the limit, in as few pieces as can be, as even as can be."""
    if not run:
        return []
    counts = [count for _, count in run]
    fewest = len(_fill(counts, max_images))
    low, high = max(counts), max_images
    while low < high:  # the least size of the largest piece with which the fewest pieces still do
        middle = (low + high) // 2
        if len(_fill(counts, middle)) > fewest:
            low = middle + 1
        else:
            high = middle
    # Filling each piece before the next is begun puts the larger ones first, and never takes more pieces than needed.
    return [[turn for exchange, _ in run[start:end] for turn in exchange] for start, end in _fill(counts, low)]


def _fill(counts: list[int], capacity: int) -> list[tuple[int, int]]:
    """Ranges of consecutive counts, each taking what fits; no count exceeds `capacity`."""
    ranges, start, held = [], 0, 0
    for i, count in enumerate(counts):
        if held + count > capacity:
            ranges.append((start, i))
            start, held = i, 0
        held += count
    return [*ranges, (start, len(counts))]


def _tied(parts: list[dict[str, Any]]) -> tuple[dict[int, tuple[int, ...]], list[int]]:
    """The texts of each image of a user turn, and those of none: indexes into `parts`."""
    tied = captions(parts)
    owned = {text for texts in tied.values() for text in texts}
    return tied, [i for i in range(len(parts)) if i not in tied and i not in owned]


def _cut(exchange: list[Turn], number: int, tied: dict[int, tuple[int, ...]], task: list[int]) -> list[list[Turn]]:
    """One exchange over the limit, in parts that differ by at most one image."""
    user, rest = exchange[0], exchange[1:]
    parts, images = user["parts"], list(tied)
    pieces, start = [], 0
    for piece in range(number):
        end = start + len(images) // number + (piece < len(images) % number)
        own = [i for image in images[start:end] for i in (image, *tied[image])]
        pieces.append([{**user, "parts": [parts[i] for i in sorted(task + own)]}, *rest])
        start = end
    return pieces
