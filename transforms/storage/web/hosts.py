"""Ask servers of other people politely: who waits for its turn at which, and which are left alone for a while.

All of it is called in the loop of transfers.

- No more than so many transfers are under way to one of them.
- One that refuses for our rate (429, 503) is left alone by all as long as it says, or for growing pauses, and gets fewer at once then;
  autoscaling is told of the pauses (throttling.py).
- One that fails time after time is asked by one at a time with growing pauses, and is given up for some minutes if that goes on:
  then whoever wants something of it is told so at once.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from transforms.storage import throttling
from transforms.storage.curl.loop import CurlLoop

LONGEST_REST = 120.0  # seconds that are waited for a server that asks for it
GIVEN_UP = 300.0  # seconds
_FAILURES = 5  # in a row, after which a server is asked by one at a time
_TROUBLE = 10.0  # seconds of failures in a row, after which it is given up
_REFUSING = 300.0  # seconds of refusals without a good answer, after which it is
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0  # seconds

Go = Callable[[], None]
Fail = Callable[[str], None]


@dataclass(slots=True)
class _Host:
    """rests_until, trouble_since, given_up_until: by the monotonic clock. rests: in a row, since its last good answer."""

    under_way: int = 0
    waiting: deque[tuple[Go, Fail]] = field(default_factory=deque)
    rests_until: float = 0.0
    is_woken: bool = False  # whether a timer is set for the end of the rest
    rests: int = 0
    failures: int = 0
    trouble_since: float = 0.0  # 0: it is well
    given_up_until: float = 0.0
    fault: str = ""

    @property
    def is_forgettable(self) -> bool:
        busy = self.under_way or self.waiting or self.failures or self.rests
        return not busy and self.given_up_until <= time.monotonic()


class Hosts:
    """The servers that a loop asks, each by the part of a URL that names it."""

    def __init__(self, loop: CurlLoop, per_host: int) -> None:
        self._loop, self._per_host = loop, per_host
        self._hosts = dict[str, _Host]()

    def enter(self, name: str, go: Go, fail: Fail) -> None:
        """Call `go` when it is one's turn at a server, or `fail` with why it is not asked; after `go` comes one of the next three."""
        host = self._hosts.setdefault(name, _Host())
        if host.given_up_until > time.monotonic():
            fail(host.fault)
            return
        host.waiting.append((go, fail))
        self._serve(name, host)

    def answered(self, name: str) -> None:
        """It gave an answer."""
        host = self._hosts[name]
        host.failures, host.rests, host.trouble_since = 0, 0, 0.0
        self._leave(name, host)

    def refused(self, name: str, wanted: float) -> None:
        """It refused for our rate.

        Args:
          wanted: seconds that it wants to be left alone; 0: it says nothing.
        """
        host, now = self._hosts[name], time.monotonic()
        host.failures, host.trouble_since = 0, host.trouble_since or now
        if wanted > LONGEST_REST:
            self._give_up(host, wanted, f"{name} wants to be left alone for {wanted:.0f} s")
        elif now - host.trouble_since >= _REFUSING:
            self._give_up(host, GIVEN_UP, f"{name} refused for our rate whatever it was asked, for minutes")
        elif host.rests_until <= now:  # else it is a refusal of those that were under way already
            self._rest(name, host, wanted)
            throttling.add(host.rests_until - now)
        else:
            throttling.add(max(0.0, now + wanted - host.rests_until))
            host.rests_until = max(host.rests_until, now + wanted)
        self._leave(name, host)

    def failed(self, name: str, why: str) -> None:
        """It gave no answer, or one that says that it is in trouble."""
        host, now = self._hosts[name], time.monotonic()
        host.failures, host.trouble_since = host.failures + 1, host.trouble_since or now
        if host.failures >= _FAILURES:
            if now - host.trouble_since >= _TROUBLE:
                self._give_up(host, GIVEN_UP, f"{name} failed {host.failures} times in a row, the last time: {why}")
            elif host.rests_until <= now:
                self._rest(name, host)
        self._leave(name, host)

    def _leave(self, name: str, host: _Host) -> None:
        host.under_way -= 1
        self._serve(name, host)
        if host.is_forgettable:
            self._hosts.pop(name, None)

    def _serve(self, name: str, host: _Host) -> None:
        """Let as many begin as may."""
        if host.rests_until > time.monotonic():
            self._wake(name, host)
            return
        most = 1 if host.failures >= _FAILURES else max(1, self._per_host >> host.rests)
        while host.waiting and host.under_way < most:
            host.under_way += 1
            host.waiting.popleft()[0]()

    def _rest(self, name: str, host: _Host, wanted: float = 0.0) -> None:
        """Leave it alone for a pause twice as long as the one before, or as long as it wants."""
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(host.rests, 10))
        host.rests += 1
        host.rests_until = time.monotonic() + max(wanted, pause)
        self._wake(name, host)

    def _wake(self, name: str, host: _Host) -> None:
        """See to it that a rest ends."""
        if host.is_woken:
            return
        host.is_woken = True

        def end() -> None:
            host.is_woken = False
            self._serve(name, host)

        self._loop.later(max(0.0, host.rests_until - time.monotonic()) + 0.001, end)

    def _give_up(self, host: _Host, seconds: float, fault: str) -> None:
        host.given_up_until, host.fault = time.monotonic() + seconds, fault
        waiting, host.waiting = host.waiting, deque()
        for _, fail in waiting:
            fail(fault)
