"""Run the image fitter in helper processes. (bytes, FitPolicy) -> FittedImage; rejects: what fit does, and decoder_*.

Decoders are C code fed with hostile bytes. A helper (process.py) is spawned once, does one picture at a time under a memory
and a time limit, and is replaced when it dies, so a crash costs a picture and never the worker. The parent believes nothing
that it has not checked.

What may be decoded at once is limited per machine, not per process (memory_slots.py).
"""

from __future__ import annotations

import atexit
import math
import os
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from transforms.core.reasons import ImageError
from transforms.images.fit.policy import FitPolicy, FittedImage
from transforms.images.helper.memory_slots import SLOT_BYTES, default_budget, slots
from transforms.images.helper.process import Died, Helper

MEMORY_BYTES = 3 << 30  # 300 megapixels at 4 bytes, once more turned or converted, and the encoded files
TIME_LIMIT_S = 120.0
# Bytes a pixel at the peak of a fit, beside the file (measured). A PNG whose colours become a palette takes 13.
_OF_JPEG = 6  # 5 for one that is upright and in sRGB, up to 8 for others
_OF_PROGRESSIVE = 12  # its coefficients are held whole
_OF = {"webp": 18, "jp2": 25, "avif": 12, "tiff": 12}
OF_OTHERS = 10  # PNG 7 to 10, HEIC 8
_PROGRESSIVE = b"\xff\xc2"  # the marker SOF2
_SEARCHED = 1 << 20  # bytes before which it stands
_ATTEMPTS = 3
_AHEAD = 2  # pictures in memory for each helper: the next comes from storage while one is worked


class DecoderPool:
    """Helper processes for hostile pictures; thread-safe, each call borrows one helper.

    Args:
        workers: helpers at most; further calls wait.
        memory_bytes: address space of one helper (RLIMIT_AS): the interpreter takes some 70 MB of it. Beyond it the
            decoder gets no memory: ImageError decoder_memory.
        time_limit_s: of one picture, waiting for its share of the budget not counted.
        budget_bytes: of decoded pictures on this machine, over all processes; default: memory_slots.default_budget().
        command: the helper's argv, to which the limits are appended; default: transforms.images.helper.process.
    """

    def __init__(
        self,
        *,
        workers: int,
        memory_bytes: int = MEMORY_BYTES,
        time_limit_s: float = TIME_LIMIT_S,
        budget_bytes: int | None = None,
        command: Sequence[str] = (),
    ) -> None:
        self._command = [
            *(command or (sys.executable, "-m", "transforms.images.helper.process")),
            str(memory_bytes),
            str(time_limit_s),
        ]
        self._time_limit_s = time_limit_s
        self._slots = max(1, (default_budget() if budget_bytes is None else budget_bytes) // SLOT_BYTES)
        self._free = threading.Semaphore(workers)
        self._ahead = threading.Semaphore(_AHEAD * workers)
        self._lock = threading.Lock()
        self._idle: list[Helper] = []
        self._closed = False

    def fit(
        self, read: Callable[[], bytes], policy: FitPolicy, *, source: str, header_type: str, pixels: int, size: int
    ) -> FittedImage:
        """fit.fit in a helper.

        Args:
            read: gives the picture's file; called when its turn is near, and again if a helper dies on it, so that no copy of
                it stands beside the helper's.
            pixels, size: what the picture's header announces (0: it does not tell, and the picture is worked alone), and the
                bytes of its file.

        Raises:
            ImageError: as fit.fit, or decoder_crashed (on three helpers), decoder_timeout.
            RuntimeError: a bug in the fitter, or a closed pool.
            What `read` raises.
        """
        request = {"task": "fit", "policy": asdict(policy), "source": source, "header_type": header_type}
        pixels = min(pixels, policy.max_pixels)
        header, fitted = self._ask(request, read, pixels=pixels, size=size, limit=policy.max_bytes)
        return FittedImage(data=fitted, **header)

    def thumbnail(
        self,
        data: bytes,
        *,
        header_type: str,
        pixels: int,
        max_pixels: int,
        side: int,
        max_bytes: int,
    ) -> FittedImage:
        """thumbnail.thumbnail in a helper; raises as `fit` does. pixels: what the picture's header announces."""
        bounds = {"max_pixels": max_pixels, "side": side, "max_bytes": max_bytes}
        request = {"task": "thumbnail", "bounds": bounds, "header_type": header_type}
        pixels = min(pixels, max_pixels)
        header, made = self._ask(request, lambda: data, pixels=pixels, size=len(data), limit=max_bytes)
        return FittedImage(data=made, **header)

    def check(self, data: bytes, max_pixels: int, *, pixels: int) -> None:
        """decode.check_decode in a helper; raises as `fit` does."""
        request = {"task": "check", "max_pixels": max_pixels}
        self._ask(request, lambda: data, pixels=min(pixels, max_pixels), size=len(data), limit=0)

    def close(self) -> None:
        """End the helpers; those at work end when their picture is done."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for helper in idle:
            helper.close()

    def _ask(
        self, request: dict[str, Any], read: Callable[[], bytes], *, pixels: int, size: int, limit: int
    ) -> tuple[dict[str, Any], bytes]:
        type_ = request.get("header_type", "")
        with self._ahead:
            held = [read()] if size <= SLOT_BYTES else []  # a larger one is not read before it has its slots
            if type_ == "jpeg":
                each = _OF_JPEG if held and held[0].find(_PROGRESSIVE, 0, _SEARCHED) < 0 else _OF_PROGRESSIVE
            else:
                each = _OF.get(type_, OF_OTHERS)
            need = math.ceil((pixels * each + size) / SLOT_BYTES)
            if not pixels or type_ == "ico":  # its header does not tell what is inside
                need = self._slots
            with self._free, slots(min(max(1, need), self._slots), self._slots):
                return self._work(request, held, read, limit)

    def _work(
        self, request: dict[str, Any], held: list[bytes], read: Callable[[], bytes], limit: int
    ) -> tuple[dict[str, Any], bytes]:
        for _ in range(_ATTEMPTS):  # a kill for want of memory may have been meant for a neighbour
            helper = self._borrow()
            try:
                reply, body = helper.ask(request, held or [read()], self._time_limit_s, limit)
            except Died as death:
                helper.close()
                if death.timeout:
                    raise ImageError("decoder_timeout", f"not done after {self._time_limit_s:g} s") from None
                continue
            except BaseException:  # such as KeyboardInterrupt: the helper's answer would go to the next picture
                helper.close()
                raise
            self._give_back(helper)
            if "bug" in reply:
                raise RuntimeError(f"the image fitter failed:\n{reply['bug']}")
            if "reason" in reply:
                raise ImageError(reply["reason"], reply["detail"])
            return reply, body
        raise ImageError("decoder_crashed", f"{_ATTEMPTS} helper processes died on it")

    def _borrow(self) -> Helper:
        with self._lock:
            if self._closed:
                raise RuntimeError("the decoder pool is closed")
            while self._idle:
                helper = self._idle.pop()
                if helper.alive():
                    return helper
                helper.close()
        return Helper(self._command)

    def _give_back(self, helper: Helper) -> None:
        with self._lock:
            if not self._closed and helper.alive():
                self._idle.append(helper)
                return
        helper.close()


_shared: dict[tuple[Any, ...], DecoderPool] = {}
_shared_lock = threading.Lock()


def shared_pool(
    *,
    workers: int,
    memory_bytes: int = MEMORY_BYTES,
    time_limit_s: float = TIME_LIMIT_S,
    budget_bytes: int | None = None,
) -> DecoderPool:
    """The one pool of this process with these settings, made at the first call and closed when the process ends."""
    key = (os.getpid(), workers, memory_bytes, time_limit_s, budget_bytes)  # a forked child must not share the pipes
    with _shared_lock:
        if key not in _shared:
            _shared[key] = DecoderPool(
                workers=workers, memory_bytes=memory_bytes, time_limit_s=time_limit_s, budget_bytes=budget_bytes
            )
            atexit.register(_shared[key].close)
        return _shared[key]
