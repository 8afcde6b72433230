"""What is told of a run under way: running numbers at a time -> its stage, how much of it is done, rates and the time left."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

_WINDOW_S = 30.0  # over which rates are taken


@dataclass(frozen=True)
class Standing:
    """How far a run is.

    stage: list (names), look (at rows and images), fit (images) or the last one. done, total: of the stage's own unit; total is 0
    where it is not known. facts: what else is told, the most wanted first.
    """

    seconds: float
    stage: str
    done: int
    total: int
    facts: tuple[str, ...]

    @property
    def elapsed(self) -> str:
        return clock(self.seconds)

    @property
    def line(self) -> str:
        """All of it in a line, for where no terminal is."""
        return f"{self.elapsed}  {self.stage:<4}  {', '.join([*self._share, *self.facts])}"

    @property
    def _share(self) -> list[str]:
        return [self.percent] if self.total else []

    @property
    def percent(self) -> str:
        """The share that is done, rounded down: 100 % is all of it."""
        return f"{100 * self.done // self.total} %" if self.total else ""


class Pace:
    """Makes a Standing of each look at the numbers of one run; remembers the looks of the last seconds.

    Args:
      last: what the stage is called in which all blocks are done.
    """

    def __init__(self, last: str = "seal") -> None:
        self._last = last
        self._looks: deque[tuple[float, str, int, int]] = deque()  # (seconds, stage, done, examples)

    def standing(self, seconds: float, numbers: Mapping[str, int]) -> Standing:
        """Args: seconds: since the run began. numbers: by their names in transforms.steps.running_counts."""
        stage = stage_of(numbers, self._last)
        done, total = _share(stage, numbers)
        if self._looks and self._looks[-1][1] != stage:
            self._looks.clear()
        self._looks.append((seconds, stage, done, numbers["examples"]))
        while len(self._looks) > 2 and self._looks[1][0] <= seconds - _WINDOW_S:
            self._looks.popleft()

        before, _, done_before, examples_before = self._looks[0]
        window = seconds - before
        examples_s = (numbers["examples"] - examples_before) / window if window else 0.0
        done_s = (done - done_before) / window if window else 0.0
        left = f"{clock((total - done) / done_s)} left" if total and done_s and stage != self._last else ""
        blocks, *facts = _facts(stage, numbers, examples_s)
        return Standing(seconds, stage, done, total, tuple(filter(None, (blocks, left, *facts))))


def stage_of(numbers: Mapping[str, int], last: str) -> str:
    """The stage that a run is in. All blocks are listed before the first is begun."""
    listed, skipped = numbers["blocks_listed"], numbers["blocks_skipped"]
    if not (numbers["blocks_begun"] or skipped):
        return "list"
    if skipped + numbers["blocks_looked_at"] < listed:
        return "look"
    return "fit" if skipped + numbers["blocks_committed"] < listed else last


def _share(stage: str, numbers: Mapping[str, int]) -> tuple[int, int]:
    """(done, total) of a stage; a total of 0 is not known."""
    if stage == "list":
        return numbers["blocks_listed"], 0
    if stage == "fit":
        total = numbers["images_to_fit"]
        return min(numbers["images_rewritten"] + numbers["images_staged"], total), total
    total = numbers["blocks_listed"]
    step = "blocks_looked_at" if stage == "look" else "blocks_committed"
    return min(numbers["blocks_skipped"] + numbers[step], total), total


def _facts(stage: str, numbers: Mapping[str, int], examples_s: float) -> list[str]:
    """The numbers in words, without what has not happened."""
    if stage == "list":
        return [f"{numbers['blocks_listed']:,} blocks listed"]

    done = numbers["blocks_skipped"] + numbers["blocks_looked_at" if stage == "look" else "blocks_committed"]
    facts = [f"{done:,} of {numbers['blocks_listed']:,} blocks"]
    if stage == "look":
        facts.append(f"{examples_s:,.0f} examples/s")
    facts.append(f"{numbers['images_looked_at']:,} images looked at")
    rewritten, copied = numbers["images_rewritten"], numbers["images_staged"]
    if stage == "fit":
        # One that several blocks need is fitted once, so how many there are is not known beforehand.
        facts.append(f"{rewritten + copied:,} of at most {numbers['images_to_fit']:,} images fitted")
    facts.append(f"{rewritten:,} rewritten")
    if copied:
        facts.append(f"{copied:,} copied")
    facts.append(f"{numbers['rejected']:,} rejected")
    return facts


def clock(seconds: float) -> str:
    """Seconds as a person reads them.

    >>> clock(7), clock(3600 * 25 + 61)
    ('00:07', '25:01:01')
    """
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"


def rows_of(facts: tuple[str, ...], first: int, others: int) -> list[str]:
    """Facts laid out in rows, none of which is cut unless it is a single fact.

    Args:
      first, others: columns that the first row has, and each further one.

    >>> rows_of(("12 of 40 blocks", "7 rejected", "00:03 left"), 20, 30)
    ['12 of 40 blocks', '7 rejected, 00:03 left']
    """
    rows = [""]
    for fact in facts:
        room = first if len(rows) == 1 else others
        longer = f"{rows[-1]}, {fact}" if rows[-1] else fact
        if len(longer) <= room:
            rows[-1] = longer
        else:
            rows.append(fact)
    return rows
