"""One helper process, from both its ends: messages on stdin -> messages on stdout.

    python -m transforms.images.helper.process MEMORY_BYTES TIME_LIMIT_S

A message is a JSON header and raw bytes, both with their length, no pickle. The helper fits or checks one picture after
another and ends with its stdin. The parent believes nothing that it has not checked.
"""

from __future__ import annotations

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
from dataclasses import asdict
from typing import Any, BinaryIO, get_type_hints

import pillow_heif
from PIL import Image, ImageFile, PngImagePlugin

from transforms.core.reasons import REASONS, ImageError
from transforms.images.fit import decode, fit
from transforms.images.fit.policy import FitPolicy, FittedImage
from transforms.images.fit.thumbnail import thumbnail

MAX_HEADER = 1 << 20
_FRAME = struct.Struct(">IQ")  # bytes of the JSON header, bytes of the body
_KEPT_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONHOME", "TMPDIR")  # no credentials
_GRACE_S = 10.0  # after the time limit a helper ends itself


def send(stream: BinaryIO | Any, header: dict[str, Any], body: bytes = b"") -> None:
    text = json.dumps(header).encode("ascii")
    stream.write(_FRAME.pack(len(text), len(body)))
    stream.write(text)
    stream.write(body)
    stream.flush()


def receive(stream: BinaryIO | Any, limit: int | None = None) -> tuple[dict[str, Any], bytes] | None:
    """-> one message, None at the end of the stream. Raises EOFError within one, ValueError if it is not one."""
    frame = stream.read(_FRAME.size)
    if not frame:
        return None
    if len(frame) < _FRAME.size:
        raise EOFError
    header_size, body_size = _FRAME.unpack(frame)
    if header_size > MAX_HEADER or (limit is not None and body_size > limit):
        raise ValueError("message too long")
    text, body = stream.read(header_size), stream.read(body_size)
    if len(text) < header_size or len(body) < body_size:
        raise EOFError
    header = json.loads(text)
    if not isinstance(header, dict):
        raise ValueError("not a message")
    return header, body


# The parent's side.


class Died(Exception):
    """The helper ended, or answered what no helper answers."""

    def __init__(self, timeout: bool) -> None:
        super().__init__()
        self.timeout = timeout


class Helper:
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

    def ask(
        self, request: dict[str, Any], held: list[bytes], limit_s: float, limit: int
    ) -> tuple[dict[str, Any], bytes]:
        """`held`: the picture, taken out so that it can be freed once the helper has it. -> (header, body of at most `limit`
        bytes). Raises Died."""
        assert self._process.stdin is not None and self._process.stdout is not None
        timer = threading.Timer(limit_s, self._expire)
        timer.daemon = True
        self._busy = True
        timer.start()
        try:
            send(self._process.stdin, request, held.pop())
            answer = receive(self._process.stdout, limit)
            if answer is None:
                raise EOFError
            return _checked(answer[0], request["task"]), answer[1]
        except (OSError, EOFError, ValueError, RecursionError):
            raise Died(self._expired) from None
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
        send(replies, header, body)
        del body


def _read_requests(stream: BinaryIO, requests: queue.SimpleQueue[tuple[dict[str, Any], bytes]]) -> None:
    """Queue the messages; end the process with the stream, also in the middle of a picture: nobody waits for it."""
    try:
        while message := receive(stream):
            requests.put(message)
            del message  # or the last picture would stay in memory beside the next
    finally:
        os._exit(0)


def _answer(request: dict[str, Any], held: list[bytes]) -> tuple[dict[str, Any], bytes]:
    """`held`: the picture, taken out so that it can be freed once it is decoded."""
    try:
        if request["task"] == "check":
            Image.MAX_IMAGE_PIXELS = request["max_pixels"]
            decode.check_decode(held.pop(), request["max_pixels"])
            return {}, b""
        if request["task"] == "thumbnail":
            Image.MAX_IMAGE_PIXELS = request["bounds"]["max_pixels"]
            fitted = thumbnail(held.pop(), request["header_type"], **request["bounds"])
        else:
            policy = FitPolicy(**{**request["policy"], "types": tuple(request["policy"]["types"])})
            # Pillow's own check stays on beside the fitter's: only it sees a picture inside a picture (ICO).
            Image.MAX_IMAGE_PIXELS = policy.max_pixels
            fitted = fit.fit(held.pop(), policy, source=request["source"], header_type=request["header_type"])
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
