"""What becomes of a block's examples, and of its ledger: split, assigned, dropped or rejected, and counted.

How an example is cut is decided in pieces.py, its split in splits.py.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from transforms.core import jsonl
from transforms.core.limits import Profile, takes_more
from transforms.core.reasons import RowError
from transforms.core.records import Example, OpenBlock, Rejection
from transforms.examples.gemini_rules import drop_images
from transforms.examples.image_groups import BY_IMAGE, NO_IMAGE, group_number, hash_of_source, image_hashes
from transforms.examples.pieces import split_contents
from transforms.examples.split_names import NO_NAMES, SplitNames
from transforms.examples.splits import Splits, group_hash, split_word
from transforms.examples.tokens import estimate_tokens


def reject(opened: OpenBlock, example: Example, error: RowError) -> None:
    """Put an example aside: none of its images is used any more."""
    rejection = Rejection(example.row, error.reason, error.detail, error.image, example.base, example.split)
    opened.rejections.append(rejection)
    for source in example.sources:
        note_fate(opened, source, "unused")


def note_fate(opened: OpenBlock, source: str, fate: str) -> None:
    opened.counters[f"images_{fate}"] += 1
    fates = opened.fates.setdefault(source, {})
    fates[fate] = fates.get(fate, 0) + 1


def drop_bad_images(opened: OpenBlock, fault: Callable[[str], tuple[str, str]], policy: str) -> None:
    """Apply --on_bad_image to every example.

    Args:
      fault: source -> (reason, detail) of an image that cannot be used, or ("", "").
      policy: reject_example, or drop_image (with its caption).
    """
    kept = []
    for example in opened.examples:
        faults = [fault(source) for source in example.sources]
        bad = {i: reason for i, (reason, _) in enumerate(faults) if reason}
        if bad:
            sources = example.sources
            fate = "dropped" if policy == "drop_image" else "rejected"
            for i in bad:
                note_fate(opened, sources[i], fate)
            first = min(bad)
            written = example.images[first]["fileUri"]
            example.sources = [source for i, source in enumerate(sources) if i not in bad]
            try:
                if policy != "drop_image":
                    raise RowError(*faults[first], written)
                try:
                    drop_images(example, bad.keys())
                except RowError as error:
                    detail = f"{error.detail}; the first because: {bad[first]}"
                    raise RowError(error.reason, detail, written) from None
            except RowError as error:
                reject(opened, example, error)
                continue
        kept.append(example)
    opened.examples = kept


def split_examples(
    opened: OpenBlock, max_images: int, may_split: bool, reject_tokens: bool, profile: Profile
) -> OpenBlock:
    sizes = {f.uri: _upright(f.width, f.height, f.orientation) for f in opened.facts.values() if f.width}
    roomier = takes_more(profile, max_images)
    kept = []
    for example in opened.examples:
        known = None
        if sizes:
            known = {d["fileUri"]: sizes[s] for d, s in zip(example.images, example.sources) if s in sizes}
        if len(example.images) > max_images and any(_fits(example, other, known) for other in roomier):
            opened.warnings.add("examples_cut_by_default", example.row.source)
        try:
            if len(example.images) <= max_images:
                example.pieces = [example.contents]
            elif may_split:
                head_bytes = len(jsonl.dumps(example.head)) if example.head else 0
                example.pieces = split_contents(example.contents, max_images, head_bytes)
            else:
                detail = f"{len(example.images)} images; the limit is {max_images}"
                raise RowError("too_many_images", detail)
            example.tokens = [estimate_tokens(example, profile, known, piece) for piece in example.pieces]
            most = max(example.tokens)
            if most > profile.max_tokens:
                if reject_tokens:
                    detail = f"an estimated {most:,} tokens; {profile.name} takes {profile.max_tokens:,}"
                    raise RowError("too_many_tokens", detail)
                opened.counters["examples_over_tokens"] += 1
        except RowError as error:
            reject(opened, example, error)
            continue
        kept.append(example)
    opened.examples = kept
    return opened


def _fits(example: Example, profile: Profile, sizes: dict[str, tuple[int, int]] | None) -> bool:
    """Whether a model takes an example as it stands."""
    few = len(example.images) <= profile.max_images
    return few and estimate_tokens(example, profile, sizes, example.contents) <= profile.max_tokens


def _upright(width: int, height: int, orientation: int) -> tuple[int, int]:
    return (height, width) if orientation > 4 else (width, height)


def close_ledger(opened: OpenBlock) -> None:
    """The counts that follow from what is left of the block."""
    counters = opened.counters
    counters["examples_rejected"] = len(opened.rejections)
    counters["examples_used"] += len(opened.examples)
    for example in opened.examples:
        if len(example.pieces) > 1:
            counters["examples_split"] += 1
            counters["pieces_written"] += len(example.pieces)
        if not example.images:
            counters["examples_without_images"] += 1
    counters["files_read"] = sum(extent.start == 0 for extent in opened.block.extents)


def assign_splits(
    opened: OpenBlock, splits: Splits, seed: bytes, split_by: str, split_column: str, names: SplitNames = NO_NAMES
) -> OpenBlock:
    """Give every example its split: by a column's word, by names of folders and files, else by the hash of its id or group."""
    if names:
        for rejection in opened.rejections:
            split, _ = names.of_row(rejection.row.source, rejection.image)
            rejection.split = split if split != "train" or names.validation else ""
    kept = []
    for example in opened.examples:
        number = example.id
        if split_by == BY_IMAGE:
            number = _number_by_images(opened, example, seed)
        elif split_by:
            if example.columns.get(split_by) is None:
                opened.counters["split_group_missing"] += 1
            else:
                number = group_hash(example.columns[split_by], seed)
        try:
            named = split_word(example.columns.get(split_column)) if split_column else None
        except RowError as error:
            reject(opened, example, error)
            continue
        by_hash = splits.assign(number)
        if names:
            named = _split_by_names(opened, example, names, by_hash)
        elif not (split_by or split_column):
            named = example.split
        example.split, example.split_named = named or by_hash, bool(named)
        kept.append(example)
    opened.examples = kept
    return opened


def _number_by_images(opened: OpenBlock, example: Example, seed: bytes) -> int:
    """The number of an example's group; in a trial, which joins nothing, that of its own images. Its id if it has none."""
    groups = opened.block.groups
    if groups is None:
        hashes = image_hashes(example, opened.facts, rejects=False)
        example.group = group_number(min(hashes, default=NO_IMAGE), seed)
    elif groups.common:
        _warn_of_common(opened, example, groups.common)
    if example.group is None:
        opened.counters["split_group_missing"] += 1
        return example.id
    return example.group


def _warn_of_common(opened: OpenBlock, example: Example, common: Collection[int]) -> None:
    """Count an example that holds an image which is everywhere, and name the image."""
    held = [source for source in example.sources if hash_of_source(source, opened.facts) in common]
    if held:
        opened.warnings.add("image_common", min(held))


def _split_by_names(opened: OpenBlock, example: Example, names: SplitNames, by_hash: str) -> str:
    """The split that names decide for an example, which is counted; "" if they do not, and the hash decides."""
    split, among = names.of_row(example.row.source, example.sources[0] if example.sources else "")
    if split:
        opened.counters["split_named"] += 1
    elif among:
        opened.warnings.add("split_unnamed", example.row.source)
    # Where nobody named a validation, it is taken from train, and test stays whole.
    return "" if split == "train" and by_hash == "validation" and not names.validation else split
