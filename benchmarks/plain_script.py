"""The plain script: one thread, the standard library, the same rules. JSONL files -> train.jsonl, validation.jsonl, ...

With `plain_rules.py` it imports nothing of Tuneset and writes the bytes that `tuneset prepare --verify none --on_too_many_images
reject` writes, so that a comparison of their times compares equal work. It keeps no ledger: no table of examples, no rejected
rows, no receipts, and it cannot go on after a crash. Left out: .gz.

    python benchmarks/plain_script.py OUTPUT INPUT.jsonl ...
"""

from __future__ import annotations

import heapq
import json
import os
import sys
from collections import Counter
from typing import Any

from plain_rules import BOM, Bad, example

VALIDATION_BELOW = int(0.1 * 2**64)  # ids
MAX_VALIDATION = 5_000  # lines
MAX_FILE_LINES, MAX_FILE_BYTES = 300_000, 1_000_000_000


class Numbered:
    """A split's files: the next one begins where a line would break a limit."""

    def __init__(self, folder: str, stem: str) -> None:
        self._stem, self._paths = os.path.join(folder, stem), []  # type: tuple[str, list[str]]
        self._open()

    def _open(self) -> None:
        self._paths.append(f"{self._stem}-{len(self._paths)}.unfinished")
        self._file = open(self._paths[-1], "w", encoding="ascii", newline="\n")  # noqa: SIM115
        self._lines = self._size = 0

    def write(self, line: str) -> None:
        if self._lines and (self._lines + 1 > MAX_FILE_LINES or self._size + len(line) > MAX_FILE_BYTES):
            self._file.close()
            self._open()
        self._lines += 1
        self._size += len(line)
        self._file.write(line)

    def close(self) -> None:
        self._file.close()
        count = len(self._paths)
        for number, path in enumerate(self._paths):
            os.rename(path, self._stem + (f"-{number:05d}-of-{count:05d}.jsonl" if count > 1 else ".jsonl"))


def lines_of(path: str) -> Any:
    """Non-blank lines of a file without their ends; None for one in UTF-16."""
    with open(path, "rb") as file:
        for number, line in enumerate(file):
            if not number and line.startswith((b"\xff\xfe", b"\xfe\xff")):
                yield None
                return
            line = line.removeprefix(BOM) if not number else line
            line = line.removesuffix(b"\n").removesuffix(b"\r")
            if line and not line.isspace():
                yield line


def main(output: str, inputs: list[str]) -> None:
    os.makedirs(output, exist_ok=True)
    inputs = [os.path.abspath(path) for path in inputs]
    allowed = tuple({os.path.dirname(path) for path in inputs})
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    train, held = Numbered(output, "train"), []
    for path in inputs:
        folder = os.path.dirname(path)
        for raw in lines_of(path):
            counts["examples_read"] += 1
            try:
                if raw is None:
                    raise Bad("utf16")
                example_id, line = example(raw, folder, allowed, counts)
            except Bad as bad:
                reasons[str(bad)] += 1
                continue
            if example_id < VALIDATION_BELOW:
                held.append((example_id, line))
            else:
                train.write(line)
    train.close()
    # The smallest ids stay, equal ones together: below the first that is too many.
    smallest = heapq.nsmallest(MAX_VALIDATION + 1, (example_id for example_id, _ in held))
    bound = smallest[MAX_VALIDATION] if len(smallest) > MAX_VALIDATION else 1 << 64
    validation = Numbered(output, "validation")
    for example_id, line in held:
        if example_id < bound:
            validation.write(line)
    validation.close()
    if any(example_id >= bound for example_id, _ in held):
        unused = Numbered(output, "validation-unused")
        for example_id, line in held:
            if example_id >= bound:
                unused.write(line)
        unused.close()
    counts["examples_used"] = counts["examples_read"] - reasons.total()
    print(json.dumps({"counters": {name: n for name, n in counts.items() if n}, "reasons": reasons}, sort_keys=True))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
