"""`tuneset demo [FOLDER]`: write the embedded sample, run the batch job on it, show what came out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from beam_jobs.prepare import prepare
from beam_jobs.sample import write_sample


def demo(argv: Sequence[str]) -> int:
    """-> exit status of `prepare`. The output of an earlier demo is replaced."""
    folder = Path(argv[0] if argv else "demo")
    rows = write_sample(folder / "raw")
    output = folder / "dataset"
    command = ["--input", str(rows), "--output", str(output), "--split_by", "group", "--overwrite"]
    print(f"Wrote {rows} and the images it names. Now running:\n\n  tuneset prepare {' '.join(command)}\n")
    return prepare(command)
