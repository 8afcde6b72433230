"""The only place that writes to a person: standard output and standard error, neither of which can make work fail.

What cannot be encoded is escaped. What cannot be written, since the reader left, the disk is full or the stream is closed, is
dropped, with all that follows on that stream: the exit status says what became of the work. Where the printed text *is* the work
(a listing, help, a preview), `printed` turns a loss that nobody asked for into a failure.
"""

from __future__ import annotations

import errno
import os
import queue
import sys
import threading
import traceback
from contextlib import suppress
from typing import TextIO

_STANDARD = (0, 1, 2)  # descriptors
_READER_LEFT = (errno.EPIPE, errno.EBADF)  # or asked for nothing, as `>&-` does
_PATIENCE = 1.0  # seconds that a reader has left once the work failed, or was interrupted
_lost: tuple[TextIO, OSError] | None = None  # the standard output that failed, and why


def open_standard_streams() -> None:
    """Give the process the streams that it was started without.

    Called before anything else is opened: the next file, or connection, would get a free descriptor, and be printed to.
    """
    for descriptor in _STANDARD:
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest that is free, which is this one
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8")
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8")


def say(text: str, end: str = "\n") -> bool:
    """Print to standard output -> whether somebody may have got it."""
    global _lost
    if _loss() is None and (error := write(sys.stdout, text + end)):
        _lost = sys.stdout, error
    return _loss() is None


def _loss() -> OSError | None:
    """What standard output failed with; a caller inside Python may have given the process another one since."""
    return _lost[1] if _lost and _lost[0] is sys.stdout else None


def complain(text: str) -> None:
    """Tell an error, in a paragraph, on standard error."""
    write(sys.stderr, f"tuneset: {text}\n")


def note(text: str) -> None:
    """Tell on standard error what is no error, where standard output is for what was asked for alone."""
    write(sys.stderr, f"{text}\n")


def show_traceback(error: BaseException) -> None:
    write(sys.stderr, "".join(traceback.format_exception(error)))


def printed(status: int) -> int:
    """The exit status of a command whose work is what it prints: 1 instead of 0 if that was lost, but to a reader who left."""
    loss = _loss()
    if status or loss is None or loss.errno in _READER_LEFT:
        return status
    complain(f"standard output cannot be written to: {loss.strerror}. What was to be printed is not whole.")
    return 1


def write(stream: TextIO | None, text: str) -> OSError | None:
    """Write to a stream, whatever it can do -> what it failed with."""
    if stream is None:
        return None
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
    except OSError as error:
        _forsake(stream)
        return error
    except ValueError:  # the stream was closed
        return OSError(errno.EBADF, os.strerror(errno.EBADF))
    return None


def flush() -> None:
    """Leave nothing to be written while the interpreter goes down: what fails then changes the exit status."""
    write(sys.stdout, "")
    write(sys.stderr, "")


def _forsake(stream: TextIO) -> None:
    """Send what a stream still holds, and all that follows, to nowhere: it would fail again, and at the end of the process too."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, stream.fileno())
        finally:
            os.close(nowhere)


class Printer:
    """Context in which lines are printed by a thread, so that work does not wait for a reader who is slow, or stopped."""

    def __init__(self) -> None:
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._print, daemon=True)

    def __enter__(self) -> Printer:
        self._thread.start()
        return self

    def __exit__(self, failure: type[BaseException] | None, *_: object) -> None:
        self._lines.put(None)
        self._thread.join(_PATIENCE if failure else None)

    def say(self, line: str) -> None:
        self._lines.put(line)

    def _print(self) -> None:
        while (line := self._lines.get()) is not None:
            say(line)
