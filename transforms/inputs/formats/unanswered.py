"""Tests that are published without their answers (Kaggle): files of rows whose name says test, and that lack the answer's column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from transforms.core import jsonl
from transforms.core.reasons import RowError
from transforms.core.records import Fault
from transforms.examples.split_names import NO_NAMES, SplitNames
from transforms.inputs.json_array import head_lines

_LINES = 100  # of JSON that tell the columns of a file


def lacks_answer(detail: str, answers: Sequence[str]) -> bool:
    """Whether what `check_columns` found is that a column of the answer is missing."""
    return any(detail.startswith(f"there is no column {column!r};") for column in answers)


@dataclass(frozen=True)
class Unanswered:
    """Tells which files are such tests.

    answers: columns of the answer alone. names: which names decide the splits.
    """

    answers: tuple[str, ...] = ()
    names: SplitNames = NO_NAMES

    def is_meant(self, uri: str, detail: str) -> bool:
        """Whether a file that is refused for `detail` is such a test."""
        return lacks_answer(detail, self.answers) and self.names.of_file(uri) == "test"

    def fault_of_lines(self, uri: str, head: bytes) -> Fault | None:
        """What stands for such a test in lines of JSON, or an array; None for every other file.

        Args:
          head: the first bytes of the file, or all of them: of those that are read, always as many.
        """
        if not self.answers or self.names.of_file(uri) != "test":
            return None
        keys: set[str] = set()
        for line in islice(head_lines(head).split(b"\n"), _LINES):
            try:
                keys.update(jsonl.loads(line))
            except RowError:  # blank, damaged, or cut off by the end of the head
                continue
        missing = next((name for name in self.answers if not keys & {name, name.partition(".")[0]}), "")
        if not missing or not keys:
            return None
        return Fault("missing_column", f"there is no column {missing!r}; it is in none of the first lines")


ANSWERED = Unanswered()
