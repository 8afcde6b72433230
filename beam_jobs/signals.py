"""Make a process that is told to stop (SIGTERM), or whose terminal is gone (SIGHUP), end as after Ctrl-C; and Ctrl-C say so."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

INTERRUPTED = "It was interrupted"  # how the text of such an interrupt begins, whatever an engine wraps around it
_STOPS = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def stops_as_interrupts() -> Iterator[None]:
    """Raise KeyboardInterrupt in the main thread for each first signal that would end the process.

    Those that come after it are ignored, but for a second Ctrl-C: what follows is short, and frees the output folder. Signals that are
    ignored already, as under nohup, or that a caller inside Python handles, stay as they are; and so does everything in other threads
    than the main one.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours = [number for number in _STOPS if signal.getsignal(number) is signal.SIG_DFL]

    def interrupt(number: int, _: FrameType | None) -> None:
        for other in ours:
            signal.signal(other, signal.SIG_IGN)
        _end_children(os.getpid())
        raise KeyboardInterrupt(f"{INTERRUPTED} ({signal.Signals(number).name})")

    def say_so(number: int, _: FrameType | None) -> None:
        signal.signal(number, signal.default_int_handler)
        raise KeyboardInterrupt(
            INTERRUPTED
        )  # Python's own has no text, which is all that is left of it behind an engine

    for number in ours:
        signal.signal(number, interrupt)
    by_keyboard = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if by_keyboard:
        signal.signal(signal.SIGINT, say_so)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)
        if by_keyboard:
            signal.signal(signal.SIGINT, signal.default_int_handler)


class Stop(threading.Event):
    """Set once work is to come to a good end.

    at_once: a second signal came: it raises KeyboardInterrupt, which an engine may take for a failure of its worker.
    """

    at_once = False


@contextmanager
def first_stop_drains() -> Iterator[Stop]:
    """Yield what the first signal to stop sets, Ctrl-C among them; the second one ends the process as usual.

    In other threads than the main one, nothing sets it.
    """
    drain = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield drain
        return
    before: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGINT, *_STOPS)}

    def stop(number: int, frame: FrameType | None) -> None:
        if not drain.is_set():
            drain.set()
            return
        drain.at_once = True
        usual = before[number]
        if callable(usual):
            usual(number, frame)
        raise KeyboardInterrupt(f"It was interrupted ({signal.Signals(number).name})")

    for number, handler in before.items():
        if handler != signal.SIG_IGN:
            signal.signal(number, stop)
    try:
        yield drain
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end_children(parent: int) -> None:
    """End an engine's worker processes, and theirs, which it would wait for until their bundles are done.

    Those in sessions of their own, as the ones that decode, end with their standard input. Without /proc nobody is found, and a
    job of several processes ends later.
    """
    for thread in Path(f"/proc/{parent}/task").glob("*/children"):
        with suppress(OSError):  # it has just ended
            for child in map(int, thread.read_text().split()):
                if os.getpgid(child) == os.getpgrp():
                    _end_children(child)  # first: a shell's children are nobody's once it is gone
                    os.kill(child, signal.SIGTERM)
