"""Build and split examples: OpenBlock -> OpenBlock; rejects by the rules, by image count and by tokens.

What a row means is decided in core.examples, how one is cut in core.splitting; here stands what becomes of the block's ledger.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

import apache_beam as beam

from transforms.core import jsonl
from transforms.core.examples import drop_images, parse_example
from transforms.core.profiles import PROFILES, Profile
from transforms.core.reasons import REASONS, RowError
from transforms.core.records import Example, OpenBlock, Record, Rejection
from transforms.core.replaying import folder_of, unwrap
from transforms.core.splits import rank
from transforms.core.splitting import split_contents
from transforms.core.tables import Recipe, record_of
from transforms.core.tokens import estimate_tokens


@dataclass(kw_only=True)
class BuildExamples(beam.PTransform):
    """Rows -> examples that obey the rules.

    Args:
      seed: keys ids.
      check_types: conforming image subtypes under --verify none, else None.
      sample_below: examples of a higher rank are left out before their images are looked at (--sample FRACTION).
      recipe: makes examples of rows that are not Gemini's; None if there are none.
    """

    seed: bytes
    check_types: tuple[str, ...] | None
    sample_below: int
    recipe: Recipe | None = None

    def expand(self, blocks: beam.PCollection[OpenBlock]) -> beam.PCollection[OpenBlock]:
        return blocks | "Build" >> beam.Map(
            build_examples, self.seed, self.check_types, self.sample_below, self.recipe
        ).with_output_types(OpenBlock)


def build_examples(
    opened: OpenBlock,
    seed: bytes,
    check_types: tuple[str, ...] | None,
    sample_below: int,
    recipe: Recipe | None = None,
) -> OpenBlock:
    counters, examples = opened.counters, opened.examples
    everything, images = sample_below >= 1 << 64, 0
    format, moved_to = opened.block.format, opened.block.base
    for row in opened.rows:
        try:
            if format == "gemini":
                example = parse_example(row, seed=seed, check_types=check_types, recipe=recipe)
            else:
                row = row if isinstance(row, Record) else record_of(row, format)
                assert recipe, "rows of a table and no recipe"
                if moved_to and not row.base:
                    row = recipe.rebased(row, folder_of(row.source), moved_to)
                base = row.base or folder_of(row.source)
                example = recipe.example(row, base, seed=seed, check_types=check_types)
        except RowError as error:
            base = getattr(row, "base", "") or folder_of(row.source)
            with contextlib.suppress(RowError):
                row, base = unwrap(row)  # a replayed row is rejected as itself, not as the line it came in
            stage = REASONS[error.reason].stage
            opened.rejections.append(Rejection(row, stage, error.reason, error.detail, error.image, base))
            continue
        images += len(example.images)
        if everything or rank(example.id) < sample_below:
            examples.append(example)
        else:
            counters["examples_used"] += 1
            counters["examples_sampled_out"] += 1
            counters["images_unused"] += len(example.images)
    counters["images_seen"] += images
    opened.rows = []
    return opened


def reject(opened: OpenBlock, example: Example, error: RowError, stage: str = "") -> None:
    """Put an example aside: none of its images is used any more."""
    stage = stage or REASONS[error.reason].stage
    opened.rejections.append(Rejection(example.row, stage, error.reason, error.detail, error.image, example.base))
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


@dataclass(kw_only=True)
class SplitExamples(beam.PTransform):
    """Examples -> pieces of at most `max_images` images; counts tokens.

    Args:
      max_images: an example may hold.
      on_too_many_images: split | reject.
      on_too_many_tokens: warn | reject.
      model: the profile that estimates tokens.
    """

    max_images: int
    on_too_many_images: str
    on_too_many_tokens: str
    model: str

    def expand(self, blocks: beam.PCollection[OpenBlock]) -> beam.PCollection[OpenBlock]:
        return blocks | "Split" >> beam.Map(
            split_examples,
            self.max_images,
            self.on_too_many_images == "split",
            self.on_too_many_tokens == "reject",
            PROFILES[self.model],
        ).with_output_types(OpenBlock)


def split_examples(
    opened: OpenBlock, max_images: int, may_split: bool, reject_tokens: bool, profile: Profile
) -> OpenBlock:
    sizes = {f.uri: _upright(f.width, f.height, f.orientation) for f in opened.facts.values() if f.width}
    kept = []
    for example in opened.examples:
        try:
            if len(example.images) <= max_images:
                example.pieces = [example.contents]
            elif may_split:
                head_bytes = len(jsonl.dumps(example.head)) if example.head else 0
                example.pieces = split_contents(example.contents, max_images, head_bytes)
            else:
                detail = f"{len(example.images)} images; the limit is {max_images}"
                raise RowError("too_many_images", detail)
            known = None
            if sizes:
                known = {d["fileUri"]: sizes[s] for d, s in zip(example.images, example.sources) if s in sizes}
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
