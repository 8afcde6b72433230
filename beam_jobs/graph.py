"""The floor plan: how the rooms are joined. Read from top to bottom it is the product.

    patterns -> blocks -+-> committed before ------------------------------------------+
                        +-> read -> build -> inspect -+-> ready ---> finish ---------- +-> seal -> sweep
                                                      +-> wait --+                     |
                                                      +-> fit ---+-> recall -> finish -+

finish = split -> assign -> publish -> commit. Only descriptors, orders and receipts cross a shuffle; rows and images never do.
"""

from __future__ import annotations

import os

import apache_beam as beam
from apache_beam.pvalue import AsSingleton

from beam_jobs.job import Plan
from transforms.steps.clean_up import SweepBlocks
from transforms.steps.compare import CompareNights
from transforms.steps.finish import AssignSplits, CommitBlocks, PublishImages, SplitExamples
from transforms.steps.fit import FitImages, HoldForFitting, TakeFitted
from transforms.steps.listing import ListBlocks
from transforms.steps.seal import SealDataset
from transforms.steps.skip import SkipCommitted
from transforms.steps.trunk import BuildExamples, InspectImages, ReadRows


def build(pipeline: beam.Pipeline, plan: Plan) -> beam.PCollection[str]:
    """Lay out the batch job -> the manifest's URI, once the dataset is sealed."""
    p, s = plan, plan.settings

    listing = ListBlocks(inputs=p.inputs, cutter=p.cutter, output=s.output, access=p.access)
    blocks, skipped = pipeline | "List" >> listing
    done, todo, damaged = blocks | "Skip what is committed" >> SkipCommitted(
        ledgers=p.ledgers, key=p.keys, earlier=p.earlier
    )

    read = ReadRows(key=p.keys, tables=p.tables)
    make = BuildExamples(
        seed=p.seed,
        check_types=p.check_types,
        sample_below=p.sample_below,
        recipe=s.recipe,
        part_resolution=s.profile.part_resolution,
    )
    opened = (
        todo | "Read" >> read | "Build" >> make | "Inspect" >> InspectImages(inspector=p.inspector, earlier=p.earlier)
    )
    ready, waiting, orders = opened | "Hold" >> HoldForFitting(fitter=p.fitter)

    # Elsewhere a core has a process of its own; here one process has all cores.
    at_once, min_ram = (2, "4GB") if p.remote else ((os.cpu_count() or 1) + 1, "")
    fitted = orders | "Fit" >> FitImages(fitter=p.fitter, at_once=at_once, min_ram=min_ram)
    all_fitted = fitted | "All images fitted" >> beam.CombineGlobally(beam.combiners.CountCombineFn())
    recalled = (
        waiting
        | "Wait for images" >> beam.Map(lambda block, _: block, AsSingleton(all_fitted))
        | "Read again" >> read
        | "Build again" >> make
        | "Recall" >> TakeFitted(fitter=p.fitter)
    )

    receipts = (
        (done, ready | "Finish ready" >> Finish(plan=p), recalled | "Finish recalled" >> Finish(plan=p))
        | "All receipts" >> beam.Flatten()
    )  # fmt: skip
    inputs = [receipts, skipped]
    if p.earlier:
        inputs.append(
            (blocks, receipts, damaged) | "Compare nights" >> CompareNights(night=p.earlier.night, key=p.keys)
        )
    sealed = tuple(inputs) | "Seal" >> SealDataset(
        writer=p.writer,
        caps=p.caps,
        names=s.fractions.names,
        shuffle_seed=s.shuffle_seed,
        max_lines=s.profile.max_file_examples,
        max_bytes=s.profile.max_file_bytes,
        max_rejected_fraction=s.max_rejected_fraction,
        dataset=p.dataset,
        run=p.run,
        by_class=p.by_class,
        uploads=p.uploads,
    )
    sweep = SweepBlocks(folder=s.output, run=p.ledgers.run, keep_blocks=s.keep_blocks, access=p.access)
    _ = sealed | "Clean up" >> sweep
    return sealed


class Finish(beam.PTransform):
    """OpenBlock -> Receipt. Applied to each branch by itself: to merge them first would make their rows travel."""

    def __init__(self, *, plan: Plan) -> None:
        super().__init__()
        self._plan = plan

    def expand(self, blocks: beam.PCollection) -> beam.PCollection:
        p, s = self._plan, self._plan.settings
        split = SplitExamples(
            max_images=s.max_images,
            on_too_many_images=s.on_too_many_images,
            on_too_many_tokens=s.on_too_many_tokens,
            model=s.model,
        )
        assign = AssignSplits(splits=s.fractions, seed=p.seed, split_by=s.split_by, split_column=s.split_column)
        return (
            blocks
            | "Split" >> split
            | "Assign" >> assign
            | "Publish" >> PublishImages(fitter=p.fitter, warn_types=s.profile.warn_types)
            | "Commit" >> CommitBlocks(ledgers=p.ledgers, caps=p.caps)
        )
