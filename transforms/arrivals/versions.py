"""Which versions of a name a merge keeps: of those that sealed windows hold, the newest. The others are doubles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

Taken = tuple[str, str, int]  # URI, version, time


def doubles(panes: Iterable[tuple[str, Iterable[Taken]]]) -> Mapping[str, frozenset[str]]:
    """What each pane holds that another pane has a newer version of, or the same one again.

    Args:
      panes: (name, what it took), in the order of the panes: of equal times the later pane's counts as newer.

    Returns:
      Names of panes -> URIs whose lines are to be left out; of panes without any, nothing.

    >>> dict(doubles([("a", [("x", "1", 5), ("y", "1", 6)]), ("b", [("x", "2", 7)])]))
    {'a': frozenset({'x'})}
    """
    newest: dict[str, tuple[int, str]] = {}  # URI -> time, pane
    left_out: dict[str, set[str]] = {}
    for name, taken in panes:
        for uri, _, time in taken:
            before = newest.get(uri)
            if before is None or before[0] <= time:
                newest[uri] = (time, name)
                loser = before[1] if before else name
            else:
                loser = name
            if loser != newest[uri][1]:
                left_out.setdefault(loser, set()).add(uri)
    return {name: frozenset(uris) for name, uris in left_out.items()}
