"""`tuneset prepare --preview N` and `--dry_run`: what the job would do, told to a person. Nothing is written anywhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import apache_beam as beam

from beam_jobs import console
from beam_jobs.job import Plan
from beam_jobs.preflight import beam_options
from beam_jobs.report import screen
from beam_jobs.report.progress import stderr_alone
from transforms.core.counters import COUNTERS
from transforms.core.reasons import REASONS
from transforms.core.records import Example, ImageFacts, OpenBlock, Rejection
from transforms.dataset.block_files import SPLITS
from transforms.steps.listing import ListBlocks, listed_blocks
from transforms.steps.trial import (
    READS,
    REASON,
    REWRITE,
    REWRITE_BYTES,
    SPLIT,
    SPLIT_BYTES,
    STAGE,
    WRITES,
    Trial,
    TryBlocks,
)

_NAMESPACE = "tuneset.dry_run"
_LONGEST = 1000  # characters of a text that are shown
_PARTS = 50  # of an example that are shown


def run_trial(plan: Plan) -> int:
    """-> exit status: 0, or 1 if storage or a worker failed, or a person had enough."""
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


def trial_of(plan: Plan) -> Trial:
    s = plan.settings
    return Trial(
        key=plan.keys,
        tables=plan.tables,
        recipe=s.recipe,
        fitter=plan.fitter,
        profile=s.profile,
        seed=plan.seed,
        check_types=plan.check_types,
        sample_below=plan.sample_below,
        max_images=s.max_images,
        on_too_many_images=s.on_too_many_images,
        on_too_many_tokens=s.on_too_many_tokens,
        splits=s.fractions,
        split_by=s.split_by,
        split_column=s.split_column,
    )


def listing_of(plan: Plan) -> ListBlocks:
    return ListBlocks(inputs=plan.inputs, cutter=plan.cutter, output=plan.settings.output, access=plan.access)


# Preview


def preview(plan: Plan) -> Iterator[str]:
    """The first examples, and the rows before them that are rejected, as texts."""
    trial, left, before = trial_of(plan), plan.settings.preview, Counter[str]()
    rejected = 0
    for block in listed_blocks(listing_of(plan)):
        opened = trial.open(block, 8 * left + 16)  # some may be rejected
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
                yield _example(item, line, opened, trial)
        for source, lines in opened.lines:
            before[source] += lines
        if left <= 0:
            break
    found = screen.count(plan.settings.preview - left, "example")
    where = "in the whole input" if left else "before the last of them"
    more = f", the first {plan.settings.preview:,} of them shown" if rejected > plan.settings.preview else ""
    yield f"{found}, and {screen.count(rejected, 'rejected row')} {where}{more}. Nothing was written."


def _rejection(rejection: Rejection, line: int) -> str:
    reason = REASONS[rejection.reason]
    head = f"rejected  {rejection.row.source}, line {line:,}: {reason.name} ({reason.owner})"
    return f"{head}\n  {_plain(rejection.detail)}\n"


def _example(example: Example, line: int, opened: OpenBlock, trial: Trial) -> str:
    pieces = f", split into {len(example.pieces)}" if len(example.pieces) > 1 else ""
    texts = [f"{example.split}  {example.row.source}, line {line:,}  id {example.id:016x}{pieces}"]
    system = example.head.get("systemInstruction")
    if system:
        texts += _said("system", "\n".join(part["text"] for part in system["parts"]))
    orders, left = trial.orders(opened), _PARTS
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
                texts += _said(turn["role"], f"[{source}] {_fate(opened.facts.get(source), source in orders)}")
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


def dry_run(plan: Plan) -> str:
    """Run the job without its writing -> the ledger, and what it would take."""
    with stderr_alone(plan.settings.verbose):
        pipeline = beam.Pipeline(options=beam_options(plan.settings))
        blocks, skipped = pipeline | "List" >> listing_of(plan)
        tally = blocks | "Try blocks" >> TryBlocks(trial=trial_of(plan))
        _ = tally | "Tell" >> beam.Map(_tell)
        _ = skipped | "Add up skipped" >> beam.CombineGlobally(sum) | "Tell skipped" >> beam.Map(_tell_skipped)
        result = pipeline.run()
        result.wait_until_finish()
    counted = result.metrics().query(beam.metrics.MetricsFilter().with_namespace(_NAMESPACE))["counters"]
    return "\n".join(told(Counter({c.key.metric.name: int(c.result) for c in counted}), plan))


def _tell(tally: Counter[str]) -> None:
    """The way back to who started the job, on any runner, without a file: counters, of one element."""
    for name, value in tally.items():
        beam.metrics.Metrics.counter(_NAMESPACE, name).inc(value)


def _tell_skipped(number: int) -> None:
    beam.metrics.Metrics.counter(_NAMESPACE, "files_skipped").inc(number)


def told(tally: Counter[str], plan: Plan) -> list[str]:
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
    lines.append("")
    for split in SPLITS:
        if tally[SPLIT + split]:
            lines.append(
                f"  {split}.jsonl  {tally[SPLIT + split]:,} lines, {screen.bytes_of(tally[SPLIT_BYTES + split])}"
            )
    lines += [
        f"  images/  {tally[REWRITE]:,} to rewrite, of {screen.bytes_of(tally[REWRITE_BYTES])} now; {tally[STAGE]:,} to stage",
        f"  requests  some {tally[READS]:,} reads and {tally[WRITES]:,} writes",
        "",
        "Caps and --sample N are not taken into account. Nothing was written.",
    ]
    return lines
