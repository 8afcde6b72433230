"""Windows are a function of what arrived: any order, any redelivery and any restart give the same ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.arrivals.intake import Intake
from transforms.arrivals.records import MICROS, Arrival
from transforms.arrivals.sidecars import paired
from transforms.arrivals.versions import doubles
from transforms.arrivals.windows import Windows, is_late, late_name, start_of_name, window_name
from transforms.storage.api import Stat

SECONDS = 10


def arrival(number: int, time: int, version: int = 0) -> Arrival:
    return Arrival(f"/in/{number}.jpg", f"{version}", 1, time)


@st.composite
def histories(draw: Any) -> tuple[list[Arrival], list[tuple[str, Any]]]:
    """Arrivals, and what happens: each is offered at least once, in any order, between looks at any times and restarts."""
    times = draw(st.lists(st.integers(0, 50 * MICROS), min_size=1, max_size=12))
    arrivals = [arrival(number % 5, time, number) for number, time in enumerate(times)]
    again = draw(st.lists(st.sampled_from(arrivals), max_size=12))
    offers = [("offer", one) for one in draw(st.permutations([*arrivals, *again]))]
    others = draw(
        st.lists(st.one_of(st.just(("restart", 0)), st.tuples(st.just("take"), st.integers(0, 70))), max_size=8)
    )
    for other in others:
        offers.insert(draw(st.integers(0, len(offers))), other)
    return arrivals, offers


@given(histories(), st.integers(1, 5))
def test_any_order_redelivery_and_restart_give_the_same_windows(
    history: tuple[list[Arrival], list[tuple[str, Any]]], most: int
) -> None:
    arrivals, events = history
    windows, sealed = Windows(SECONDS), dict[int, list[Arrival]]()

    def settled(start: int) -> Iterable[int]:
        return (one.identity for one in sealed.get(start, ()))

    def take(intake: Intake, by: int) -> None:
        while taken := intake.take(by, most):
            for start, some in taken.items():
                assert start + SECONDS <= by
                sealed.setdefault(start, []).extend(some)

    intake = Intake(windows, settled)
    for what, value in events:
        if what == "offer":
            intake.offer(value)
        elif what == "take":
            take(intake, value)
            intake.forget(value - SECONDS)
        else:  # what waited is lost, and arrives again
            intake = Intake(windows, settled)
    for one in arrivals:
        intake.offer(one)
    assert intake.waiting == len(arrivals) - sum(map(len, sealed.values()))
    take(intake, 100)

    expected = dict[int, set[int]]()
    for one in arrivals:
        expected.setdefault(one.time // MICROS // SECONDS * SECONDS, set()).add(one.identity)
    assert {start: {one.identity for one in some} for start, some in sealed.items()} == expected
    assert sum(map(len, sealed.values())) == len(arrivals)
    assert (intake.waiting, intake.open_windows, intake.oldest) == (0, 0, None)


@pytest.mark.parametrize("micros, start", [(-1, -10), (0, 0), (9_999_999, 0), (10_000_000, 10), (10_000_001, 10)])
def test_a_window_holds_its_start_and_not_its_end(micros: int, start: int) -> None:
    assert Windows(SECONDS).start_of(micros) == start


@pytest.mark.parametrize("closed_by, taken", [(9, []), (10, [0]), (11, [0])])
def test_a_window_is_taken_once_it_is_over(closed_by: int, taken: list[int]) -> None:
    intake = Intake(Windows(SECONDS), lambda start: ())
    assert intake.offer(arrival(1, 9_999_999))
    assert list(intake.take(closed_by, 100)) == taken


@given(st.integers(0, 4_000_000_000))
def test_the_name_of_a_window_tells_its_start(start: int) -> None:
    late = late_name(start, [arrival(1, 1), arrival(2, 2)])
    assert late == late_name(start, [arrival(2, 2), arrival(1, 1)]) != late_name(start, [arrival(1, 1)])
    assert (start_of_name(window_name(start)), start_of_name(late)) == (start, start)
    assert (is_late(late), is_late(window_name(start))) == (True, False)


@pytest.mark.parametrize(
    "name", ["images", "2026-11-22T10-05-00", "2026-13-22T10-05-00Z", "2026-11-22T10-05-00Z.late-1", ""]
)
def test_other_names_are_no_windows(name: str) -> None:
    assert start_of_name(name) is None


WAIT = 30


def whole(image: int, *beside: int, now: int = 1000) -> list[tuple[int, str]]:
    """Times and versions of what an image and the files beside it make."""
    files = [Stat("/in/a.jpg", 1, "i", dated=image)]
    files += [Stat(f"/in/a.{ending}", 1, ending, dated=time) for ending, time in zip(("txt", "json"), beside)]
    return [(one.time, one.version) for one in paired(reversed(files), WAIT, now)]


@pytest.mark.parametrize(
    "image, beside, expected",
    [
        (100, [], [(130, "i")]),  # nothing came within the wait
        (100, [50], [(100, "i+txt")]),  # before its image
        (100, [129], [(129, "i+txt")]),
        (100, [130], [(130, "i+txt")]),
        (100, [131], [(131, "i+txt")]),  # a new version of the pair
        (100, [110, 120], [(120, "i+json")]),  # of two the .json counts
        (100, [500, 110], [(110, "i+json")]),
    ],
)
def test_when_an_image_and_its_sidecars_are_whole(
    image: int, beside: list[int], expected: list[tuple[int, str]]
) -> None:
    assert whole(image, *beside) == expected


@pytest.mark.parametrize("now, number", [(129, 0), (130, 1), (131, 1)])
def test_an_image_without_a_sidecar_is_not_there_before_the_wait_is_over(now: int, number: int) -> None:
    assert len(whole(100, now=now)) == number


def test_files_beside_no_image_are_no_arrivals() -> None:
    assert list(paired([Stat("/in/a.txt", 1, "t", dated=1)], WAIT, 1000)) == []


def test_the_newest_version_counts_wherever_it_lies() -> None:
    panes = [
        ("a", [("x", "1", 5), ("y", "1", 9), ("z", "1", 1)]),
        ("b", [("x", "2", 7), ("y", "2", 8), ("z", "1", 1)]),
        ("c", [("x", "3", 9), ("x", "2", 2)]),
    ]
    assert doubles(panes) == {"a": {"x", "z"}, "b": {"x", "y"}}
