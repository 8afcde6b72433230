"""Helper processes: what they answer, what is believed of it, and how they die."""

from __future__ import annotations

import io
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import pillow_heif
import pytest
from helper_pools import POLICY, SMALL, altered, ask, bmp, gone, ico_bomb, jobs, reason
from image_bytes import png_header
from PIL import Image
from waiting import until

from transforms.core.reasons import ImageError
from transforms.images.fit.embedded_facts import read_facts
from transforms.images.fit.fit import fit
from transforms.images.fit.policy import FitPolicy, FittedImage
from transforms.images.helper.pool import DecoderPool, shared_pool

pytestmark = pytest.mark.usefixtures("own_slots")


def test_a_helper_answers_what_the_fitter_does_and_is_used_again(pool: DecoderPool) -> None:
    expected = fit(bmp(), POLICY, source="s", header_type="bmp")
    assert [ask(pool, bmp()) for _ in range(3)] == [expected] * 3
    assert read_facts(expected.data) is not None
    assert len(pool._idle) == 1
    pool.check(bmp(), 64_000, pixels=64_000)
    tight = FitPolicy(max_bytes=POLICY.max_bytes, types=("jpeg",), min_quality=95)
    assert ask(pool, bmp(), tight) == fit(bmp(), tight, source="s", header_type="bmp")


def test_reasons_come_through(pool: DecoderPool) -> None:
    assert reason(lambda: ask(pool, b"rubbish")) == "undecodable"
    assert reason(lambda: ask(pool, bmp()[:9_000])) == "truncated_image"
    assert reason(lambda: ask(pool, bmp(), FitPolicy(max_bytes=10, types=("jpeg",)))) == "cannot_fit"
    assert reason(lambda: pool.check(bmp(), 63_999, pixels=64_000)) == "too_many_pixels"
    assert reason(lambda: pool.check(bmp()[:9_000], 64_000, pixels=64_000)) == "truncated_image"
    assert reason(lambda: ask(pool, png_header(100_000, 100_000), header_type="png")) == "too_many_pixels"
    assert len(pool._idle) == 1  # one helper answered them all


def test_pillows_limits_are_the_policys() -> None:
    """A picture inside a picture is seen by Pillow only; 100 megapixels pass where its own default would warn or refuse."""
    pool = DecoderPool(workers=1, memory_bytes=256 << 20)
    assert reason(lambda: ask(pool, ico_bomb(), header_type="ico")) == "too_many_pixels"
    few = FitPolicy(max_bytes=30_000, types=("jpeg",), max_pixels=1_000_000)
    with pytest.raises(ImageError, match=r"400000000 pixels.*at most 1000000 are decoded"):
        ask(pool, ico_bomb(), few, "ico")
    assert reason(lambda: ask(pool, png_header(15_000, 15_000), header_type="png")) == "decoder_memory"
    assert reason(lambda: ask(pool, png_header(15_000, 20_001), header_type="png")) == "too_many_pixels"
    assert ask(pool, bmp()).type == "png"
    pool.close()


def lossless_jpeg(width: int, height: int) -> bytes:
    """ITU-T T.81 annex H: each pixel as its left neighbour, the first as 128. One bit a pixel, by a table of one code."""
    frame = struct.pack(">2sHBHHB3B", b"\xff\xc3", 11, 8, height, width, 1, 1, 0x11, 0)
    table = b"\xff\xc4\0\x14\0" + bytes([1] + [0] * 15) + b"\0"
    return b"\xff\xd8" + frame + table + b"\xff\xda\0\x08\1\1\0\1\0\0" + bytes(width * height // 8) + b"\xff\xd9"


@pytest.mark.parametrize("oversize", ["auto", "resize"])
def test_a_lossless_jpeg_is_not_decoded_smaller(pool: DecoderPool, oversize: str) -> None:
    """Asked for less, libjpeg gives all its pixels, and Pillow writes them over the end of its memory."""
    policy = FitPolicy(max_bytes=1_000, types=("jpeg",), oversize=oversize, max_side=200)
    fitted = ask(pool, lossless_jpeg(1600, 1200), policy, "jpeg")
    made = Image.open(io.BytesIO(fitted.data))
    assert made.getextrema() == (128, 128) and made.width <= 1600 and len(pool._idle) == 1


def test_a_long_text_beside_the_picture_is_no_fault(pool: DecoderPool) -> None:
    from PIL.PngImagePlugin import PngInfo

    info, buffer = PngInfo(), io.BytesIO()
    info.add_text("workflow", "x" * (4 << 20), zip=True)
    Image.new("RGB", (8, 8), "red").save(buffer, "PNG", pnginfo=info)
    assert ask(pool, buffer.getvalue(), header_type="png").fate == "recompressed"


def test_helpers_decode_heic(pool: DecoderPool) -> None:
    buffer = io.BytesIO()
    pillow_heif.from_pillow(Image.new("RGB", (64, 48), "red")).save(buffer)
    data = buffer.getvalue()
    pool.check(data, 64 * 48, pixels=64 * 48)
    fitted = ask(pool, data, header_type="heic")
    assert (fitted.type, fitted.width, fitted.height, fitted.fate) == ("jpeg", 64, 48, "converted")
    assert reason(lambda: ask(pool, data[: len(data) * 3 // 4], header_type="heic")) == "truncated_image"
    assert reason(lambda: pool.check(data, 64 * 48 - 1, pixels=64 * 48)) == "too_many_pixels"


def test_a_helper_killed_at_work_is_replaced(tmp_path: Path) -> None:
    pool = DecoderPool(workers=1, command=altered(tmp_path, "if jobs < 3: time.sleep(60)"))
    results: list[FittedImage] = []
    thread = threading.Thread(target=lambda: results.append(ask(pool, bmp())))
    thread.start()
    for job in range(2):
        assert until(lambda job=job: len(jobs(tmp_path)) == job + 1)  # type: ignore[misc]
        os.kill(jobs(tmp_path)[job], signal.SIGKILL)
    thread.join(20)
    assert results == [fit(bmp(), POLICY, source="s", header_type="bmp")]
    assert len(set(jobs(tmp_path))) == 3
    pool.close()


def test_three_deaths_are_a_crash_and_the_next_picture_is_fine(tmp_path: Path) -> None:
    pool = DecoderPool(workers=1, command=altered(tmp_path, "if jobs < 4: ctypes.string_at(0)"))
    assert reason(lambda: ask(pool, bmp())) == "decoder_crashed"
    assert len(set(jobs(tmp_path))) == 3
    assert ask(pool, bmp()).type == "png"
    assert all(until(lambda pid=pid: gone(pid)) for pid in jobs(tmp_path)[:3])  # type: ignore[misc]
    pool.close()


def test_a_picture_is_read_again_for_the_next_helper_and_only_then(tmp_path: Path) -> None:
    pool = DecoderPool(workers=1, command=altered(tmp_path, "if jobs == 1: os.kill(os.getpid(), signal.SIGKILL)"))
    reads = []

    def read() -> bytes:
        reads.append(len(jobs(tmp_path)))
        return bmp()

    for expected in ([0, 1], [0, 1, 2]):  # the jobs begun before each read
        made = pool.fit(read, POLICY, source="s", header_type="bmp", pixels=64_000, size=len(bmp()))
        assert made == fit(bmp(), POLICY, source="s", header_type="bmp")
        assert reads == expected
    pool.close()


def test_an_idle_helper_that_died_costs_no_attempt(pool: DecoderPool) -> None:
    ask(pool, bmp())
    (helper,) = pool._idle
    helper._process.kill()
    helper._process.wait()
    reads = iter([bmp()])  # a second attempt would read again
    fitted = pool.fit(lambda: next(reads), POLICY, source="s", header_type="bmp", pixels=64_000, size=len(bmp()))
    assert fitted.type == "png" and pool._idle != [helper]


def test_a_hang_ends_at_the_limit_and_the_next_picture_is_fine(tmp_path: Path) -> None:
    pool = DecoderPool(workers=1, time_limit_s=3.0, command=altered(tmp_path, "if jobs == 1: time.sleep(600)"))
    begin = time.monotonic()
    assert reason(lambda: ask(pool, bmp())) == "decoder_timeout"
    assert 3.0 <= time.monotonic() - begin < 300
    assert len(jobs(tmp_path)) == 1  # a hang is not tried again
    assert gone(jobs(tmp_path)[0])
    assert ask(pool, bmp()).type == "png"
    pool.close()


def test_a_helper_has_no_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "key.json")
    pool = DecoderPool(
        workers=1, command=altered(tmp_path, "assert not [name for name in os.environ if 'GOOGLE' in name]")
    )
    assert ask(pool, bmp()).type == "png"
    pool.close()


def test_a_bug_is_no_rejection(tmp_path: Path) -> None:
    pool = DecoderPool(workers=1, command=altered(tmp_path, "if jobs == 1: 1 / 0"))
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        ask(pool, bmp())
    assert ask(pool, bmp()).type == "png"
    assert len(set(jobs(tmp_path))) == 1
    pool.close()


def test_what_a_decoder_prints_is_not_taken_for_a_reply(tmp_path: Path) -> None:
    pool = DecoderPool(
        workers=1, command=altered(tmp_path, "os.write(1, b'x' * 99); os.write(2, b'y' * 200_000); print('z')")
    )
    assert ask(pool, bmp()).type == "png"
    pool.close()


TRUE = {"type": "png", "width": 1, "height": 1, "quality": 0, "sampling": "", "scale": 1.0, "encodes": 1, "fate": "x",
        "frames_dropped": 2, "flat": True}  # fmt: skip


def answering(answer: str) -> DecoderPool:
    script = (
        f"from transforms.images.helper import process as helper\nhelper._answer = lambda *_: ({answer})\nhelper.main()"
    )
    return DecoderPool(workers=1, command=[sys.executable, "-c", script])


@pytest.mark.parametrize(
    "answer",
    [
        "{}, b''",
        f"{TRUE | {'type': 'gif'}}, b'x'",
        f"{TRUE | {'width': '1'}}, b'x'",
        f"{TRUE | {'width': True}}, b'x'",
        f"{TRUE | {'scale': 1}}, b'x'",
        f"{TRUE | {'more': 1}}, b'x'",
        f"{TRUE}, bytes(30_001)",
        "{'reason': 'unheard_of', 'detail': ''}, b''",
        "{'reason': 'undecodable'}, b''",
        "{'bug': 'x' * (2 << 20)}, b''",
        "[], b''",
    ],
)
def test_a_helper_that_answers_anything_else_is_not_believed(answer: str) -> None:
    pool = answering(answer)
    assert reason(lambda: ask(pool, bmp())) == "decoder_crashed"
    pool.close()


def test_a_helper_that_answers_as_one_is_believed() -> None:
    """So that the answers above are refused for what they change."""
    pool = answering(f"{TRUE}, bytes(30_000)")
    assert ask(pool, bmp()) == FittedImage(data=bytes(30_000), **TRUE)  # type: ignore[arg-type]
    pool.close()


def test_threads_share_the_helpers() -> None:
    pool = DecoderPool(workers=2)
    results: dict[int, FittedImage] = {}
    threads = [
        threading.Thread(target=lambda seed=seed: results.update({seed: ask(pool, bmp(seed))}))  # type: ignore[misc]
        for seed in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert results == {seed: fit(bmp(seed), POLICY, source="s", header_type="bmp") for seed in range(8)}
    assert 1 <= len(pool._idle) <= 2
    pool.close()


def test_close_ends_the_helpers_and_the_pool(pool: DecoderPool) -> None:
    ask(pool, bmp())
    pid = pool._idle[0]._process.pid
    pool.close()
    assert gone(pid)
    with pytest.raises(RuntimeError, match="closed"):
        ask(pool, bmp())


def test_the_shared_pool_is_one_for_a_process_and_its_settings() -> None:
    first = shared_pool(workers=1, budget_bytes=SMALL)
    assert shared_pool(workers=1, budget_bytes=SMALL) is first
    assert shared_pool(workers=2, budget_bytes=SMALL) is not first


@pytest.mark.parametrize("state", ["idle", "at work", "holding the interpreter"])
def test_a_parent_killed_leaves_no_helper(tmp_path: Path, state: str) -> None:
    """The last one ignores the end of stdin: its own alarm ends it."""
    body = {
        "idle": "pass",
        "at work": "time.sleep(60)",
        "holding the interpreter": "ctypes.PyDLL(None).sleep(60)",
    }[state]
    parent = f"""
import sys, time
sys.path[:] = {sys.path!r}
from transforms.images.helper.pool import DecoderPool
from transforms.images.fit.policy import FitPolicy
pool = DecoderPool(workers=1, time_limit_s=3 if {state!r}.startswith("holding") else 60, command={altered(tmp_path, body)!r})
pool._time_limit_s = 60
data = {bmp(1, 20, 20)!r}
pool.fit(lambda: data, FitPolicy(max_bytes=9_999, types=("png",)), source="s", header_type="bmp", pixels=400, size=len(data))
print("done", flush=True)
time.sleep(60)
"""
    script = tmp_path / "parent.py"
    script.write_text(parent.replace("helper.main()", "helper._GRACE_S = 0; helper.main()"))
    process = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, env={**os.environ, "TMPDIR": str(tmp_path)}
    )
    assert process.stdout is not None
    if state == "idle":
        assert process.stdout.readline() == b"done\n"
    assert until(lambda: bool(jobs(tmp_path)))
    (helper,) = jobs(tmp_path)
    assert not gone(helper)
    process.kill()
    process.wait()
    process.stdout.close()
    assert until(lambda: gone(helper), 30)


def test_want_of_memory_is_not_called_a_damaged_picture() -> None:
    """The decoder of a progressive JPEG itself calls it a broken data stream."""
    out = io.BytesIO()
    Image.radial_gradient("L").resize((3000, 2000)).convert("RGB").save(out, "JPEG", progressive=True, subsampling=0)
    pool = DecoderPool(workers=1, memory_bytes=120 << 20)
    assert reason(lambda: ask(pool, out.getvalue(), header_type="jpeg")) == "decoder_memory"
    pool.close()
