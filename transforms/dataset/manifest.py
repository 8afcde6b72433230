"""The manifest: what the dataset is, as a function of inputs and options; and how this run made it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from transforms.core.places import MOST_BUCKETS
from transforms.dataset import seal_plan
from transforms.dataset.join import Joined
from transforms.dataset.notices import dataset_notices
from transforms.dataset.seal_plan import GROUPS, SealPlan
from transforms.dataset.segments import Chunk
from transforms.dataset.tuning.next_steps import next_in_manifest


def file_names(plan: SealPlan, images: bool, names: tuple[str, ...]) -> Iterator[tuple[str, Chunk]]:
    """Every file that the dataset has, even if nothing goes into it."""
    yield "rejected.jsonl", Chunk((-1,))
    if plan.fault:
        return
    for group, stem in enumerate(GROUPS):
        if stem in names or plan.lines[group]:
            for number in range(plan.files[group]):
                yield seal_plan.file_name(stem, ".jsonl", number, plan.files[group]), Chunk((-1,))
    for stem in ("examples", "images")[: 1 + images]:
        count = plan.tables(stem)
        for number in range(count):
            yield seal_plan.file_name(stem, ".parquet", number, count), Chunk((-1,))


def manifest(
    files: list[Joined],
    plan: SealPlan,
    names: tuple[str, ...],
    dataset: dict[str, Any],
    run: dict[str, Any],
    by_class: bool = False,
) -> dict[str, Any]:
    """What the dataset is (a function of inputs and options) and how this run made it.

    Args:
      by_class: whether rows stand in the order of their classes.
    """
    counters = {name: number for name, number in sorted(plan.counters.items()) if number}
    told = [file_entry(f) for f in sorted(files, key=lambda f: f.name)]
    more = {"more_buckets": True} if len(plan.buckets) > MOST_BUCKETS else {}
    uploadable = "not yet" if counters.get("images_local") else "yes"
    splits = {name: lines for name, lines in zip(GROUPS[:3], plan.lines) if lines or name in names}
    dataset = {
        **dataset,
        "uploadable": uploadable,
        "buckets": sorted(plan.buckets)[:MOST_BUCKETS],
        "splits": splits,
        "files": told,
        "counters": counters,
        "reasons": dict(sorted(plan.reasons.items())),
        **more,
    }
    dataset["warnings"] = [notice.as_json() for notice in dataset_notices(dataset, plan.warnings, by_class)]
    generations = {f.name: f.generation for f in sorted(files, key=lambda f: f.name)}
    return {
        "tuneset": "manifest/1",
        "dataset": dataset,
        "run": run | {"generations": generations, "next": next_in_manifest(dataset)},
    }


def file_entry(file: Joined) -> dict[str, Any]:
    """A file as far as it is a function of inputs and options: Parquet's bytes, and rows a block, are not."""
    if file.name.startswith("images"):
        return {"name": file.name}
    if file.name.endswith(".parquet"):
        return {"name": file.name, "lines": file.lines}
    return {"name": file.name, "lines": file.lines, "bytes": file.size, "crc32c": file.crc32c}
