"""`tuneset prepare --preview N` and `--dry_run`: what the job would do, told to a person. Nothing is written anywhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import apache_beam as beam

from beam_jobs import console
from beam_jobs.graph import TrunkSteps, front, trunk, trunk_steps
from beam_jobs.job import Job
from beam_jobs.preflight import beam_options
from beam_jobs.report import screen
from beam_jobs.report.progress import Progress, stderr_alone, watched_counts
from transforms.core.counters import COUNTERS
from transforms.core.listing_tally import ListingTally
from transforms.core.reasons import REASONS
from transforms.core.records import Block, Example, ImageFacts, OpenBlock, Rejection
from transforms.core.warning_codes import WARNINGS, Notice
from transforms.dataset.block_files import SPLITS
from transforms.examples.image_groups import BY_IMAGE
from transforms.steps.listing import listed_blocks
from transforms.steps.trial import (
    READS,
    REASON,
    REWRITE,
    REWRITE_BYTES,
    SPLIT,
    SPLIT_BYTES,
    STAGE,
    WARNING,
    WRITES,
    TallyTrial,
    TrialWriter,
)

_NAMESPACE = "tuneset.dry_run"
_BY_IMAGE = (
    "A trial holds no example beside another, so each is shown in the split of its own images; the job puts all that share one "
    "into one split.\n"
)
_LONGEST = 1000  # characters of a text that are shown
_PARTS = 50  # of an example that are shown


def run_trial(plan: Job) -> int:
    """-> exit status: 0, or 1 if storage or a worker failed, or a person had enough."""
    plan = replace(plan, settings=replace(plan.settings, previous=""))  # a trial works every block
    if plan.settings.split_by == BY_IMAGE:
        console.say(_BY_IMAGE)
    try:
        if plan.settings.preview:
            for text in preview(plan):
                if not console.say(text):
                    break
        else:
            console.say(dry_run(plan))
    except KeyboardInterrupt:
        console.complain("interrupted. Nothing was written.")
        return 1
    except Exception as error:  # an engine's, which wraps what its workers raise
        if plan.settings.verbose:
            console.show_traceback(error)
        console.complain(f"{screen.cause(error)} Nothing was written.")
        return 1
    return console.printed(0)


def trial_steps(plan: Job) -> TrunkSteps:
    return trunk_steps(plan, TrialWriter(plan.rewriter))


# Preview


def preview(plan: Job) -> Iterator[str]:
    """The first examples, and the rows before them that are rejected, as texts."""
    steps, left, before = trial_steps(plan), plan.settings.preview, Counter[str]()
    rejected = 0
    for block in listed_blocks(front(plan)):
        opened = open_block(block, steps, 8 * left + 16)  # some may be rejected
        place = {source: number for number, (source, _) in enumerate(opened.lines)}
        shown: list[Example | Rejection] = [*opened.examples, *opened.rejections]
        for item in sorted(shown, key=lambda one: (place[one.row.source], one.row.offset)):
            if left <= 0:
                break
            line = before[item.row.source] + item.row.line
            if isinstance(item, Rejection):
                rejected += 1
                if rejected <= plan.settings.preview:
                    yield _rejection(item, line)
            else:
                left -= 1
                yield _example(item, line, opened)
        for source, lines in opened.lines:
            before[source] += lines
        if left <= 0:
            break
    found = screen.count(plan.settings.preview - left, "example")
    where = "in the whole input" if left else "before the last of them"
    more = f", the first {plan.settings.preview:,} of them shown" if rejected > plan.settings.preview else ""
    yield f"{found}, and {screen.count(rejected, 'rejected row')} {where}{more}. Nothing was written."


def open_block(block: Block, steps: TrunkSteps, most: int) -> OpenBlock:
    """A block as the trunk's steps make it, up to where its images would be published.

    Args:
      most: examples whose images are looked at; the others are left out.
    """
    opened = steps.build.call(steps.read.call(block))
    opened.examples = opened.examples[:most]
    opened, _ = steps.hold.writer.hold(steps.inspect.call(opened))
    return steps.assign.call(steps.split.call(opened))


def _rejection(rejection: Rejection, line: int) -> str:
    reason = REASONS[rejection.reason]
    head = f"rejected  {rejection.row.source}, line {line:,}: {reason.name} ({reason.owner})"
    return f"{head}\n  {_plain(rejection.detail)}\n"


def _example(example: Example, line: int, opened: OpenBlock) -> str:
    pieces = f", split into {len(example.pieces)}" if len(example.pieces) > 1 else ""
    texts = [f"{example.split}  {example.row.source}, line {line:,}  id {example.id:016x}{pieces}"]
    system = example.head.get("systemInstruction")
    if system:
        texts += _said("system", "\n".join(part["text"] for part in system["parts"]))
    left = _PARTS
    sources = {id(image): source for image, source in zip(example.images, example.sources)}
    for number, contents in enumerate(example.pieces, 1):
        if pieces and left > 0:
            texts.append(f"  piece {number}, an estimated {example.tokens[number - 1]:,} tokens")
        for turn in contents:
            for part in turn["parts"][: max(left, 0)]:
                if "text" in part:
                    texts += _said(turn["role"], part["text"])
                    continue
                source = sources[id(part["fileData"])]
                texts += _said(turn["role"], f"[{source}] {_fate(opened.facts.get(source), source in opened.fitted)}")
            left -= len(turn["parts"])
    if left < 0:
        texts.append(f"  ... and {screen.count(-left, 'part')} more")
    return "\n".join(texts) + "\n"


def _fate(facts: ImageFacts | None, fit: bool) -> str:
    if facts is None:
        return "not looked at"
    return f"{facts.type}, {facts.width:,} x {facts.height:,}, {facts.size:,} bytes: {'to be rewritten' if fit else 'as it is'}"


def _said(role: str, text: str) -> list[str]:
    first, *more = _plain(text).split("\n")
    return [f"  {role:<6}  {first}", *(f"          {line}" for line in more)]


def _plain(text: str) -> str:
    """A text that does nothing to a terminal, at most some lines of it."""
    cut = text[:_LONGEST] + (f" ... ({len(text):,} characters)" if len(text) > _LONGEST else "")
    return "".join(letter if letter.isprintable() or letter == "\n" else ascii(letter)[1:-1] for letter in cut)


# Dry run


def dry_run(plan: Job) -> str:
    """Run front and trunk with a writer that writes nothing -> the ledger, and what the job would take."""
    hidden, live = plan.settings.quiet, not plan.settings.verbose
    with (
        watched_counts() as counts,
        stderr_alone(plan.settings.verbose) as out,
        Progress(counts, hidden=hidden, out=out, live=live, last="add"),
    ):
        plan = replace(plan, counts=counts)
        pipeline = beam.Pipeline(options=beam_options(plan.settings))
        blocks, tallies = pipeline | "List" >> front(plan)
        worked = trunk(blocks, trial_steps(plan))
        receipts = worked.receipts | "All receipts" >> beam.Flatten()
        tally = (receipts, worked.fitted) | "Tally" >> TallyTrial()
        _ = tally | "Tell" >> beam.Map(_tell)
        _ = tallies | "Tell names" >> beam.Map(_tell_names)
        result = pipeline.run()
        result.wait_until_finish()
    counted = result.metrics().query(beam.metrics.MetricsFilter().with_namespace(_NAMESPACE))["counters"]
    return "\n".join(told(Counter({c.key.metric.name: int(c.result) for c in counted}), plan))


def _tell(tally: Counter[str]) -> None:
    """The way back to who started the job, on any runner, without a file: counters, of one element."""
    for name, value in tally.items():
        beam.metrics.Metrics.counter(_NAMESPACE, name).inc(value)


def _tell_names(tally: ListingTally) -> None:
    _tell(tally.counters)


def told(tally: Counter[str], plan: Job) -> list[str]:
    """The ledger as a table, then what the job would take."""
    rows: list[tuple[str, int, Any]] = [
        (name, tally[name], counter.meaning) for name, counter in COUNTERS.items() if tally[name]
    ]
    rows.append((REWRITE.replace(" ", "_"), tally["images_rewritten"], "references to images that would be rewritten"))
    width = max(len(name) for name, _, _ in rows)
    lines = [f"  {name:<{width}}  {number:>13,}  {meaning}" for name, number, meaning in rows]
    reasons = {name[len(REASON) :]: number for name, number in tally.items() if name.startswith(REASON)}
    for name, number in sorted(reasons.items(), key=lambda item: (-item[1], item[0])):
        lines.append(f"    rejected {number:,} x {name}: {REASONS[name].help}")
    warnings = {name.removeprefix(WARNING): number for name, number in tally.items() if name.startswith(WARNING)}
    lines += ["", *(Notice(code, warnings[code]).line for code in WARNINGS if code in warnings)]
    for split in SPLITS:
        if tally[SPLIT + split]:
            size = screen.bytes_of(tally[SPLIT_BYTES + split])
            lines.append(f"  {split}.jsonl  {screen.count(tally[SPLIT + split], 'line')}, {size}")
    lines += [
        f"  images/  {tally[REWRITE]:,} to rewrite, of {screen.bytes_of(tally[REWRITE_BYTES])} now; {tally[STAGE]:,} to stage",
        f"  requests  some {tally[READS]:,} reads and {tally[WRITES]:,} writes",
        "",
        "Caps and --sample N are not taken into account. Nothing was written.",
    ]
    return lines
