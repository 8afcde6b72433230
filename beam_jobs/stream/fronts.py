"""Where a stream's arrivals come from: a listing, a subscription, or both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Protocol

from beam_jobs.options import OptionError
from beam_jobs.stream.graph import StreamJob
from transforms.arrivals.announced import Announced, Wanted
from transforms.arrivals.records import Arrival
from transforms.arrivals.watching import Watcher
from transforms.core.listing_tally import ListingTally
from transforms.storage.api import NotFound


class Front(Protocol):
    """Gives arrivals, in any order and as often as it likes."""

    counts: Counter[str]  # of messages that were no new arrival
    left_out: ListingTally  # names that the last listing met, and that are not read

    def arrivals(self, since: int, now: int, draining: bool = False) -> Iterator[Arrival]:
        """What has arrived by now, of what storage dates from `since` on, in microseconds since 1970."""

    def settle(self, waits: Callable[[int], bool]) -> None:
        """Told which arrivals wait still: the others are sealed, and need not be given again."""

    def close(self) -> None: ...


class Listing:
    """What lies there is all that it knows."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher, self.counts, self.left_out = watcher, Counter[str](), ListingTally()

    def arrivals(self, since: int, now: int, draining: bool = False) -> Iterator[Arrival]:
        tally = ListingTally()
        yield from self._watcher.arrivals(since, now, draining, tally)
        self.left_out = tally

    def settle(self, waits: Callable[[int], bool]) -> None: ...

    def close(self) -> None: ...


class Announcing:
    """A subscription; what lay there before is listed once, if it is to be taken too."""

    def __init__(self, stream: StreamJob, wanted: Wanted, before: Watcher | None) -> None:
        from transforms.arrivals.subscription import Subscription

        try:
            self._subscription = Subscription(stream.own.subscription)
        except NotFound as error:
            raise OptionError(
                f"--subscription {error}: expected one that is there; gcloud pubsub subscriptions create"
            ) from None
        self._announced = Announced(stream.own.subscription, self._subscription, wanted, stream.own.sidecar_wait)
        self._before = before
        self.counts, self.left_out = self._announced.counts, ListingTally()

    def arrivals(self, since: int, now: int, draining: bool = False) -> Iterator[Arrival]:
        if self._before:
            yield from self._before.arrivals(since, now, draining)
            self._before = None
        yield from self._announced.arrivals(now, draining)

    def settle(self, waits: Callable[[int], bool]) -> None:
        self._announced.settle(waits)

    def close(self) -> None:
        self._subscription.close()


def watcher_of(stream: StreamJob) -> Watcher:
    """Lists what a stream watches, without what it writes."""
    settings, own = stream.job.settings, stream.own
    without = tuple(folder for folder in (settings.output, settings.image_folder, *settings.left_out) if folder)
    return Watcher(own.watch, settings.of_inputs, stream.job.cutter, own.sidecar_wait, without)


def wanted_of(stream: StreamJob) -> Wanted:
    """Which of the objects that a subscription announces are read."""
    watcher = watcher_of(stream)
    return Wanted(pattern=watcher.pattern, options=watcher.options, cutter=watcher.cutter, without=watcher.without)


def front_of(stream: StreamJob, since: int) -> Front:
    """The front that a stream's options ask for.

    Args:
      since: microseconds since 1970, from which the stream takes what is there.

    Raises:
      OptionError: there is no such subscription.
      Unavailable: Pub/Sub does not answer.
    """
    watcher, own = watcher_of(stream), stream.own
    if not own.subscription:
        return Listing(watcher)
    return Announcing(stream, wanted_of(stream), watcher if own.watch and not since else None)
