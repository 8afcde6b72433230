"""Generators of questions to servers, and what drives them: the calling thread, or the loop, with many of them at once."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from transforms.storage.api import Stat, StorageError
from transforms.storage.curl.handle import Answer, RestIf
from transforms.storage.curl.loop import CurlLoop
from transforms.storage.reads import Aside, Pause, Range, Reads

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Ask:
    """A GET that is to be answered.

    url: with a query.
    headers: without whom it is asked as.
    uri: what a person calls it.
    most: bytes of a body that are taken.
    check: raises requests.ConnectionError for an answer that cannot be true: then it is asked again.
    first, rest_if: as of Get.
    """

    url: str
    headers: dict[str, str]
    uri: str
    most: int
    check: Callable[[Answer], None] = lambda answer: None
    first: int = 0
    rest_if: RestIf | None = None


Asks = Generator[Ask | Pause | Aside, Any, Result]
Then = Callable[[Answer | None, BaseException | None], None]


class Asker(Protocol):
    """How a store asks its servers, and asks again."""

    def loop(self) -> CurlLoop:
        """The loop whose transfers they are."""

    def begin(self, loop: CurlLoop, ask: Ask, then: Then) -> None:
        """Ask, in the loop's thread; `then` gets the answer, or an error that asking again does not mend."""

    def answer(self, ask: Ask) -> Answer:
        """The answer, for which this thread waits."""


def answered(asker: Asker, asks: Asks[Result]) -> Result:
    """Answer what it asks, one thing after another; this thread waits meanwhile."""
    try:
        step = next(asks)
        while True:
            if isinstance(step, Ask):
                try:
                    answer = asker.answer(step)
                except Exception as error:  # each is for the asking code to handle, or to end by
                    step = asks.throw(error)
                else:
                    step = asks.send(answer)
            else:
                if isinstance(step, Pause):
                    time.sleep(step.seconds)
                step = next(asks)
    except StopIteration as end:
        result: Result = end.value
        return result


def given(reads: Reads[Result], read: Callable[[Range], Asks[tuple[bytes, Stat]]]) -> Asks[Result]:
    """Give what reads an object its ranges, each of which takes questions."""
    try:
        step = next(reads)
        while True:
            try:
                if isinstance(step, Range):
                    got = yield from read(step)
                else:
                    got = yield step
            except StorageError as error:
                step = reads.throw(error)
            else:
                step = reads.send(got)
    except StopIteration as end:
        result: Result = end.value
        return result


def waited(asker: Asker, ask: Ask) -> Answer:
    """The answer to a question that goes through the loop, for which this thread waits."""
    return _Waiting(asker, ask).result()


class _Waiting(Future[Answer]):
    """The answer to a question that a thread waits for."""

    def __init__(self, asker: Asker, ask: Ask) -> None:
        super().__init__()
        self._loop = asker.loop()
        self._loop.call(lambda: self._begin(asker, ask))

    def _begin(self, asker: Asker, ask: Ask) -> None:
        self._loop.waiting.add(self.set_exception)
        asker.begin(self._loop, ask, self._end)

    def _end(self, answer: Answer | None, error: BaseException | None) -> None:
        self._loop.waiting.discard(self.set_exception)
        if answer is None:
            self.set_exception(error)
        else:
            self.set_result(answer)


class _Walk(Generic[Result]):
    """One generator on its way through the loop; `then` gets its result or its error."""

    def __init__(
        self,
        loop: CurlLoop,
        asker: Asker,
        asks: Asks[Result],
        then: Callable[[Result | None, BaseException | None], None],
    ) -> None:
        self._loop, self._asker, self._asks, self._then = loop, asker, asks, then

    def go(self, answer: Answer | None = None, error: BaseException | None = None) -> None:
        """Go on to the next question, with the answer to the last."""
        try:
            step = self._asks.throw(error) if error else self._asks.send(answer)
        except StopIteration as end:
            self._then(end.value, None)
        except BaseException as fault:  # whatever it is: it is raised where the result is waited for
            self._then(None, fault)
        else:
            if isinstance(step, Ask):
                self._asker.begin(self._loop, step, self.go)
            elif isinstance(step, Pause):
                self._loop.later(step.seconds, self.go)
            else:
                self._step_aside()

    def _step_aside(self) -> None:
        results = list[Result]()

        def rest() -> None:
            results.append(answered(self._asker, self._asks))

        def end(error: BaseException | None) -> None:
            self._then(results[0] if results else None, error)

        self._loop.beside(self._loop.aside, rest, end)


class Together(Generic[Item, Result]):
    """Generators for each of some items, in the loop; they begin at once.

    Args:
      asks: makes an item's generator.
      at_once: of them under way, of all that the process asks for by this number: what came first goes first.
    """

    def __init__(self, asker: Asker, asks: Callable[[Item], Asks[Result]], items: Sequence[Item], at_once: int) -> None:
        self._loop, self._asker, self._asks, self._at_once = asker.loop(), asker, asks, at_once
        self._left: Iterator[tuple[int, Item]] = iter(enumerate(items))
        self._all_begun = False
        self._under_way = 0
        self._results = dict[int, Any]()
        self._error: BaseException | None = None
        self._ended = threading.Event()
        self._loop.call(self._join)

    def results(self) -> Iterator[Result]:
        """Results in the order of the items, once there are all; after an error, those before the first that is missing.

        If they are wanted no more, no more are begun.
        """
        results = self._results_of_all()
        next(results)  # else it would not notice that it is dropped
        return results

    def _results_of_all(self) -> Iterator[Any]:
        try:
            yield None
            self._ended.wait()
            for at in range(len(self._results)):
                if at not in self._results:
                    break
                yield self._results.pop(at)
            if self._error is not None:
                raise self._error
        finally:
            self._begin_no_more()

    def begin_one(self) -> bool:
        """Begin another item; False: there is none."""
        try:
            at, item = next(self._left)
        except StopIteration:
            self._all_begun = True
            self._end_if_done()
            return False
        self._under_way += 1
        _Walk(self._loop, self._asker, self._asks(item), partial(self._came, at)).go()
        return True

    def _join(self) -> None:
        self._loop.waiting.add(self._fail)
        self._lane = self._loop.lanes.setdefault(self._at_once, Lane(self._at_once))
        self._lane.join(self)

    def _came(self, at: int, result: Result | None, error: BaseException | None) -> None:
        self._under_way -= 1
        if error is None:
            self._results[at] = result
        else:
            self._error = self._error or error
            self._begin_no_more()
        self._lane.leave()
        self._end_if_done()

    def _begin_no_more(self) -> None:
        """In any thread."""
        self._left = iter(())

    def _end_if_done(self) -> None:
        if self._all_begun and not self._under_way:
            self._loop.waiting.discard(self._fail)
            self._ended.set()

    def _fail(self, error: BaseException) -> None:
        """The loop is broken."""
        self._error = error
        self._ended.set()


class Lane:
    """Who may begin next, of those that share a number of places; in the loop alone."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._queue = deque[Together[Any, Any]]()
        self._filling = False

    def join(self, together: Together[Any, Any]) -> None:
        self._queue.append(together)
        self._fill()

    def leave(self) -> None:
        """A place is free again."""
        self._free += 1
        self._fill()

    def _fill(self) -> None:
        if self._filling:
            return  # one that ended as it began: whoever began it goes on
        self._filling = True
        while self._free and self._queue:
            self._free -= 1
            if not self._queue[0].begin_one():
                self._free += 1
                self._queue.popleft()
        self._filling = False
