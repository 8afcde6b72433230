"""Run the image fitter in helper processes. (bytes, FitPolicy) -> FittedImage; rejects: what fit does, and decoder_*.

Decoders are C code fed with hostile bytes. A helper is spawned once, does one picture at a time under a memory and a time
limit, and is replaced when it dies, so a crash costs a picture and never the worker. Parent and helper exchange
length-prefixed messages: a JSON header and raw bytes, no pickle, and the parent believes nothing it has not checked.

What may be decoded at once is limited per machine, not per process (transforms.budget).
"""

from __future__ import annotations

import atexit
import contextlib
import json
import math
import os
import queue
import resource
import signal
import struct
import subprocess
import sys
import threading
import traceback
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, BinaryIO, get_type_hints

import pillow_heif
from PIL import Image, ImageFile, PngImagePlugin

from transforms.budget import SLOT_BYTES, default_budget, slots
from transforms.core import images
from transforms.core.images import FitPolicy, FittedImage
from transforms.core.reasons import REASONS, ImageError

MEMORY_BYTES = 3 << 30  # 300 megapixels at 4 bytes, once more turned or converted, and the encoded files
TIME_LIMIT_S = 120.0
BYTES_PER_PIXEL = 12  # at the peak of a fit, measured: 11 for PNG, 12 for PNG with alpha
_OF_JPEG = 6  # 5 for one that is upright and in sRGB, up to 8 for others
_ATTEMPTS = 3
_GRACE_S = 10.0  # after the time limit a helper ends itself
_FRAME = struct.Struct(">IQ")  # bytes of the JSON header, bytes of the body
_MAX_HEADER = 1 << 20
_KEPT_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONHOME", "TMPDIR")  # no credentials


class DecoderPool:
    """Helper processes for hostile pictures; thread-safe, each call borrows one helper.

    Args:
        workers: helpers at most; further calls wait.
        memory_bytes: address space of one helper (RLIMIT_AS): the interpreter takes some 70 MB of it. Beyond it the
            decoder gets no memory: ImageError decoder_memory.
        time_limit_s: of one picture, waiting for its share of the budget not counted.
        budget_bytes: of decoded pictures on this machine, over all processes; default: half of its memory.
        command: the helper's argv, to which the limits are appended; default: this module.
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
            *(command or (sys.executable, "-m", "transforms.decoding")),
            str(memory_bytes),
            str(time_limit_s),
        ]
        self._time_limit_s = time_limit_s
        self._slots = max(1, (default_budget() if budget_bytes is None else budget_bytes) // SLOT_BYTES)
        self._free = threading.Semaphore(workers)
        self._lock = threading.Lock()
        self._idle: list[_Helper] = []
        self._closed = False

    def fit(self, data: bytes, policy: FitPolicy, *, source: str, header_type: str, pixels: int) -> FittedImage:
        """transforms.core.images.fit in a helper; `pixels` is what the picture's header announces.

        Raises:
            ImageError: as images.fit, or decoder_crashed (on three helpers), decoder_timeout.
            RuntimeError: a bug in the fitter, or a closed pool.
        """
        request = {"task": "fit", "policy": asdict(policy), "source": source, "header_type": header_type}
        header, fitted = self._ask(request, data, pixels=min(pixels, policy.max_pixels), limit=policy.max_bytes)
        return FittedImage(data=fitted, **header)

    def check(self, data: bytes, max_pixels: int, *, pixels: int) -> None:
        """transforms.core.images.check_decode in a helper; raises as `fit` does."""
        self._ask({"task": "check", "max_pixels": max_pixels}, data, pixels=min(pixels, max_pixels), limit=0)

    def close(self) -> None:
        """End the helpers; those at work end when their picture is done."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for helper in idle:
            helper.close()

    def _ask(self, request: dict[str, Any], data: bytes, *, pixels: int, limit: int) -> tuple[dict[str, Any], bytes]:
        each = _OF_JPEG if request.get("header_type") == "jpeg" else BYTES_PER_PIXEL
        need = math.ceil((pixels * each + len(data)) / SLOT_BYTES)
        with self._free, slots(min(max(1, need), self._slots), self._slots):
            for _ in range(_ATTEMPTS):  # a kill for want of memory may have been meant for a neighbour
                helper = self._borrow()
                try:
                    reply, body = helper.ask(request, data, self._time_limit_s, limit)
                except _Died as death:
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

    def _borrow(self) -> _Helper:
        with self._lock:
            if self._closed:
                raise RuntimeError("the decoder pool is closed")
            while self._idle:
                helper = self._idle.pop()
                if helper.alive():
                    return helper
                helper.close()
        return _Helper(self._command)

    def _give_back(self, helper: _Helper) -> None:
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


class _Died(Exception):
    """The helper ended, or answered what no helper answers."""

    def __init__(self, timeout: bool) -> None:
        super().__init__()
        self.timeout = timeout


class _Helper:
    """The parent's side of one helper process."""

    def __init__(self, command: list[str]) -> None:
        environment = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
        # The parent may find the package only through its own sys.path; "" there means its working directory.
        environment["PYTHONPATH"] = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)
        environment |= {"OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}  # an arena a thread counts as address space
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # decoders write there what hostile files make them write
            env=environment,
            cwd="/",
            start_new_session=True,  # Ctrl-C is for the parent: end of stdin tells the helper
        )
        self._lock = threading.Lock()
        self._busy = self._expired = False

    def alive(self) -> bool:
        return self._process.poll() is None and not self._expired

    def ask(self, request: dict[str, Any], data: bytes, limit_s: float, limit: int) -> tuple[dict[str, Any], bytes]:
        """-> (header, body of at most `limit` bytes). Raises _Died."""
        assert self._process.stdin is not None and self._process.stdout is not None
        timer = threading.Timer(limit_s, self._expire)
        timer.daemon = True
        self._busy = True
        timer.start()
        try:
            _send(self._process.stdin, request, data)
            answer = _receive(self._process.stdout, limit)
            if answer is None:
                raise EOFError
            return _checked(answer[0], request["task"]), answer[1]
        except (OSError, EOFError, ValueError, RecursionError):
            raise _Died(self._expired) from None
        finally:
            timer.cancel()
            with self._lock:
                self._busy = False

    def _expire(self) -> None:
        with self._lock:  # not when the answer came in the last moment: the helper is another picture's by now
            if self._busy:
                self._expired = True
                self._process.kill()

    def close(self) -> None:
        self._process.kill()  # it is idle or lost: there is nothing to end in order
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):
                pipe.close()
        self._process.wait()


_FITTED = {name: kind for name, kind in get_type_hints(FittedImage).items() if name != "data"}


def _checked(header: dict[str, Any], task: str) -> dict[str, Any]:
    """A reply of the one shape its kind has; ValueError otherwise: the helper may be in the hands of a hostile picture."""
    if set(header) == {"bug"}:
        shape: dict[str, type] = {"bug": str}
    elif "reason" in header:
        shape = {"reason": str, "detail": str}
    elif task == "check":
        shape = {}
    else:
        shape = _FITTED
    if {name: type(value) for name, value in header.items()} != shape:
        raise ValueError("not a reply")
    if header.get("reason", "undecodable") not in REASONS or header.get("type", "png") not in ("png", "jpeg"):
        raise ValueError("not a reply")
    return header


def _send(stream: BinaryIO | Any, header: dict[str, Any], body: bytes = b"") -> None:
    text = json.dumps(header).encode("ascii")
    stream.write(_FRAME.pack(len(text), len(body)))
    stream.write(text)
    stream.write(body)
    stream.flush()


def _receive(stream: BinaryIO | Any, limit: int | None = None) -> tuple[dict[str, Any], bytes] | None:
    """-> one message, None at the end of the stream. Raises EOFError within one, ValueError if it is not one."""
    frame = stream.read(_FRAME.size)
    if not frame:
        return None
    if len(frame) < _FRAME.size:
        raise EOFError
    header_size, body_size = _FRAME.unpack(frame)
    if header_size > _MAX_HEADER or (limit is not None and body_size > limit):
        raise ValueError("message too long")
    text, body = stream.read(header_size), stream.read(body_size)
    if len(text) < header_size or len(body) < body_size:
        raise EOFError
    header = json.loads(text)
    if not isinstance(header, dict):
        raise ValueError("not a message")
    return header, body


# The helper's side.


def main() -> None:
    """Serve requests from stdin until it ends; argv ends with the memory limit in bytes and the time limit in seconds."""
    memory_bytes, time_limit_s = int(sys.argv[-2]), float(sys.argv[-1])
    os.nice(5)  # the runner's own threads, which renew leases, come first
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(ValueError, OSError):  # macOS knows the limit and refuses it
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    _set_pillow()
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # a decoder that prints must not print into the replies
    requests: queue.SimpleQueue[tuple[dict[str, Any], bytes]] = queue.SimpleQueue()
    threading.Thread(target=_read_requests, args=(os.fdopen(0, "rb"), requests), daemon=True).start()
    while True:
        request, data = requests.get()
        # The parent keeps the time; this is for a parent that died while a decoder hangs with the interpreter's lock.
        signal.alarm(math.ceil(time_limit_s + _GRACE_S))
        held = [data]
        del data
        header, body = _answer(request, held)
        del request, held
        signal.alarm(0)
        _send(replies, header, body)
        del body


def _read_requests(stream: BinaryIO, requests: queue.SimpleQueue[tuple[dict[str, Any], bytes]]) -> None:
    """Queue the messages; end the process with the stream, also in the middle of a picture: nobody waits for it."""
    try:
        while message := _receive(stream):
            requests.put(message)
            del message  # or the last picture would stay in memory beside the next
    finally:
        os._exit(0)


def _answer(request: dict[str, Any], held: list[bytes]) -> tuple[dict[str, Any], bytes]:
    """`held`: the picture, taken out so that it can be freed once it is decoded."""
    try:
        if request["task"] == "check":
            Image.MAX_IMAGE_PIXELS = request["max_pixels"]
            images.check_decode(held.pop(), request["max_pixels"])
            return {}, b""
        policy = FitPolicy(**{**request["policy"], "types": tuple(request["policy"]["types"])})
        # Pillow's own check stays on beside the fitter's: only it sees a picture inside a picture (ICO).
        Image.MAX_IMAGE_PIXELS = policy.max_pixels
        fitted = images.fit(held.pop(), policy, source=request["source"], header_type=request["header_type"])
        header = asdict(fitted)
        return header, header.pop("data")
    except ImageError as error:
        return {"reason": error.reason, "detail": error.detail}, b""
    except Exception:
        return {"bug": traceback.format_exc()[-4000:]}, b""


def _set_pillow() -> None:
    """The process-wide settings, ours to set here."""
    warnings.simplefilter("error", Image.DecompressionBombWarning)  # else Pillow's limit is twice MAX_IMAGE_PIXELS
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    PngImagePlugin.MAX_TEXT_CHUNK = 16 << 20  # editors and generators store long records with a sound picture
    pillow_heif.register_heif_opener(decode_threads=1, thumbnails=False, depth_images=False, aux_images=False)
    with contextlib.suppress(ImportError):  # Pillow before 11.3 has no AVIF
        from PIL import AvifImagePlugin

        AvifImagePlugin.DEFAULT_MAX_THREADS = 1


if __name__ == "__main__":
    main()
