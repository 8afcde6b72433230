"""Fitting oversized images: Tuneset beside Ray Data, Daft, a thread pool (all three bisect, as people do) and img2dataset.

    python benchmarks/fit.py [--peers 0] [--percent 100] [--strict]

1. one thread, in this process: sizes, encodes, what the tiles cost, time against decode + one encode, and quality against an
   exhaustive search over whole qualities and subsamplings
2. two helper processes against one, and the memory of all processes on 108 MP
3. the peers, in environments that this script makes, over the same files: time without start-up, memory, PSNR and SSIM
4. the bytes that are read of an image that conforms

PSNR is of all pixels against the decoded source, SSIM of brightness over 64 tiles. Memory is that of all processes of a run
together, looked at 50 times a second.
"""

from __future__ import annotations

import io
import math
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from common import HERE, Report, arguments, workdir
from pictures import Picture, make
from PIL import Image, ImageChops

from transforms import looking
from transforms.core import images, predict
from transforms.core.decode import decode
from transforms.core.encode import SAMPLINGS, STEPS, Setting, code_jpeg, encode_jpeg
from transforms.core.images import FitPolicy, FittedImage, fit
from transforms.core.pixels import flatten
from transforms.core.places import Places
from transforms.storage import Stat

Image.MAX_IMAGE_PIXELS = None
LIMIT = 20_000_000
MOST = 300_000_000
BUDGET = 700_000_000  # --decode_memory on the largest pictures: two of them do not go together
PEERS = {"threads": ("pillow",), "ray": ("ray[data]", "pillow"), "daft": ("daft", "pillow")}


# Quality


def psnr(one: Image.Image, other: Image.Image) -> float:
    counts = ImageChops.difference(one, other).histogram()
    error = sum(count * (value & 255) ** 2 for value, count in enumerate(counts)) / sum(counts)
    return 10 * math.log10(255**2 / error) if error else 99.0


def ssim(one: Image.Image, other: Image.Image) -> float:
    """Mean structural similarity of brightness, 8 x 8 windows, over 64 tiles of 256."""
    found = []
    width, height = one.size
    side = min(256, width, height)
    for at in range(64):
        x, y = (at % 8) * (width - side) // 7, (at // 8) * (height - side) // 7
        box = (x, y, x + side, y + side)
        a, b = (_windows(picture.crop(box).convert("L")) for picture in (one, other))
        mean_a, mean_b = a.mean(1), b.mean(1)
        both = ((a - mean_a[:, None]) * (b - mean_b[:, None])).mean(1)
        top = (2 * mean_a * mean_b + 6.5025) * (2 * both + 58.5225)
        found.append(float((top / ((mean_a**2 + mean_b**2 + 6.5025) * (a.var(1) + b.var(1) + 58.5225))).mean()))
    return statistics.mean(found)


def _windows(grey: Image.Image) -> np.ndarray:
    pixels = np.asarray(grey, dtype=np.float64)
    rows, columns = pixels.shape[0] // 8, pixels.shape[1] // 8
    cut = pixels[: rows * 8, : columns * 8].reshape(rows, 8, columns, 8)
    return cut.swapaxes(1, 2).reshape(-1, 64)


def original(picture: Picture) -> Image.Image:
    decoded = decode(picture.path.read_bytes(), picture.type, MOST)
    return decoded.upright().convert("RGB")


def opened(path: Path | io.BytesIO, size: tuple[int, int]) -> Image.Image:
    with Image.open(path) as image:
        image.load()
    return image.convert("RGB") if image.size == size else image.convert("RGB").resize(size, Image.Resampling.LANCZOS)


# One thread


@dataclass
class Alone:
    picture: Picture
    fitted: FittedImage
    share: float  # of the limit
    time: float  # of the fit, of decode + one encode
    tiles: float  # of decode + one encode
    better: float  # dB above the exhaustive search


def timed(times: int, work: Callable[[], object]) -> tuple[float, object]:
    spent, made = [], None
    for _ in range(times):
        made = None
        began = time.perf_counter()
        made = work()
        spent.append(time.perf_counter() - began)
    return min(spent), made


class Watch:
    """Counts the time that the fitter spends on tiles."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.kept = [(images._Writer, "_sample"), (predict.Sample, "best"), (predict.Sample, "again")]
        self.depth = 0

    def __enter__(self) -> Watch:
        self.real = [getattr(owner, name) for owner, name in self.kept]
        for (owner, name), real in zip(self.kept, self.real, strict=True):
            setattr(owner, name, self._timing(real))
        return self

    def __exit__(self, *_: object) -> None:
        for (owner, name), real in zip(self.kept, self.real, strict=True):
            setattr(owner, name, real)

    def _timing(self, real: Callable[..., object]) -> Callable[..., object]:
        def work(*given: object) -> object:
            self.depth += 1
            began = time.perf_counter()
            try:
                return real(*given)
            finally:
                self.depth -= 1
                if not self.depth:
                    self.seconds += time.perf_counter() - began

        return work


def exhaustive(picture: Image.Image, limit: int) -> float:
    """The best PSNR of any whole quality and subsampling that fits. (Bytes grow with quality: the highest that fits is looked for.)"""
    best = 0.0
    for sampling in SAMPLINGS if picture.mode == "RGB" else ("",):
        low, high = 85, 100
        while low < high:
            middle = (low + high + 1) // 2
            fits = len(encode_jpeg(picture, Setting(sampling, middle * STEPS, False))) <= limit
            low, high = (middle, high) if fits else (low, middle - 1)
        made = encode_jpeg(picture, Setting(sampling, low * STEPS, False))
        if len(made) <= limit:
            with Image.open(io.BytesIO(made)) as decoded:
                best = max(best, psnr(picture, decoded))
    return best


def alone(picture: Picture, limit: int, repeat: int) -> Alone:
    data, policy = picture.path.read_bytes(), FitPolicy(max_bytes=limit, types=("jpeg", "png"))
    decoding, _ = timed(repeat, lambda: decode(data, picture.type, MOST).upright())
    with Watch() as watch:
        spent, fitted = timed(repeat, lambda: fit(data, policy, source="0" * 32, header_type=picture.type))
    assert isinstance(fitted, FittedImage)
    size = len(fitted.data)
    assert size <= limit
    if fitted.scale < 1 or fitted.type != "jpeg":
        return Alone(picture, fitted, size / limit, math.nan, math.nan, math.nan)
    source = flatten(decode(data, picture.type, MOST).upright())
    with Image.open(io.BytesIO(fitted.data)) as made:
        made.load()
    tables = [list(table) for table in made.quantization.values()]  # type: ignore[attr-defined]
    encoding, _ = timed(repeat, lambda: code_jpeg(source, tables, fitted.sampling, False))
    base = decoding + encoding
    better = psnr(source, made) - exhaustive(source, limit)
    return Alone(picture, fitted, size / limit, spent / base, watch.seconds / repeat / base, better)


def on_one_thread(set_: Sequence[Picture], limit: int, report: Report, repeat: int) -> None:
    print(
        f"{'one thread':28}  {'source MB':>9}  {'became':28}  {'of limit':>8}  {'encodes':>7}  {'time':>5}  {'tiles':>6}  {'dB':>6}"
    )
    rows = []
    for picture in set_:
        row = alone(picture, limit, repeat)
        rows.append(row)
        f = row.fitted
        became = f"{f.type} q{f.quality} {f.sampling}" + (f" scale {f.scale:.2f}" if f.scale < 1 else "")
        print(
            f"{picture.name:28}  {picture.path.stat().st_size / 1e6:9.1f}  {became:28}  {row.share:8.1%}  {f.encodes:7d}  "
            f"{row.time:5.2f}  {row.tiles:6.1%}  {row.better:+6.2f}",
            flush=True,
        )
    whole = [row for row in rows if not math.isnan(row.time)]
    print("time, tiles: of decode + one encode at the final setting; dB: above the exhaustive search")
    report.bar("median size, of the limit", statistics.median(row.share for row in whole), least=0.95)
    report.bar("full encodes, mean", statistics.mean(row.fitted.encodes for row in whole), most=1.3)
    report.bar("time, of decode + one encode: median", statistics.median(row.time for row in whole), most=1.25)
    report.bar("time, of decode + one encode: mean", statistics.mean(row.time for row in whole), most=1.25)
    report.bar("tiles, of decode + encode: median", statistics.median(row.tiles for row in whole), most=0.1)
    report.bar("quality against exhaustive search, dB: worst", min(row.better for row in whole), least=-0.1)


# Runs of several processes


@dataclass(frozen=True)
class Tree:
    """One command with all its processes."""

    wall: float
    peak: int  # bytes
    said: str


def processes(root: int) -> list[int]:
    """A process and all that came of it."""
    parents: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                told = Path(f"/proc/{name}/stat").read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
            parents.setdefault(int(told.rpartition(")")[2].split()[1]), []).append(int(name))
    found, at = [root], 0
    while at < len(found):
        found += parents.get(found[at], [])
        at += 1
    return found


def memory(pids: Sequence[int]) -> int:
    """What the processes hold for themselves, and the most that one of them shares. (PSS would say more exactly, and take a core.)"""
    own, shared = 0, 0
    for pid in pids:
        try:
            _, resident, common, *_ = map(int, Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split())
        except OSError:
            continue
        own, shared = own + resident - common, max(shared, common)
    return (own + shared) * os.sysconf("SC_PAGE_SIZE")


def tree(*command: str | Path, environment: dict[str, str] | None = None) -> Tree:
    """Run a command to its end. Raises SystemExit: it failed."""
    began, peak = time.perf_counter(), 0
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = subprocess.Popen([str(w) for w in command], stdout=out, stderr=err, env=environment)
        ended = threading.Event()

        def look() -> None:
            nonlocal peak
            pids: list[int] = []
            turn = 0
            while not ended.wait(0.02):
                if turn % 10 == 0:
                    pids = processes(child.pid)
                peak, turn = max(peak, memory(pids)), turn + 1

        watcher = threading.Thread(target=look)
        watcher.start()
        status = child.wait()
        wall = time.perf_counter() - began
        ended.set()
        watcher.join()
        out.seek(0)
        err.seek(0)
        if status:
            raise SystemExit(f"{command[:4]}\n{out.read().decode()[-2000:]}{err.read().decode()[-2000:]}")
        return Tree(wall, peak, out.read().decode())


def ours(folder: Path, workers: int, limit: int, files: Sequence[Path], memory: int = 0) -> Tree:
    environment = os.environ | {"PYTHONPATH": str(HERE.parent)}
    return tree(
        sys.executable,
        HERE / "fit_ours.py",
        folder,
        str(workers),
        str(limit),
        str(memory),
        *files,
        environment=environment,
    )


def environment(folder: Path, packages: Sequence[str]) -> Path:
    """A new environment with some packages -> its Python."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin/python"
    install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *packages]
    subprocess.run(install, check=True)
    return python


def on_two_workers(set_: Sequence[Picture], limit: int, folder: Path, report: Report, repeat: int) -> None:
    middle = [picture.path for picture in set_ if picture.megapixels < 60] * 2
    one, two = (
        min(
            (ours(folder / f"workers-{count}-{n}", count, limit, middle) for n in range(repeat)),
            key=lambda run: run.wall,
        )
        for count in (1, 2)
    )
    large = [picture.path for picture in set_ if picture.megapixels >= 60] or [set_[-1].path]
    twins = [folder / f"twin-{n}{large[0].suffix}" for n in range(4)]
    for twin in twins:
        os.link(large[0], twin)
    together = ours(folder / "large", 2, limit, twins, BUDGET)
    print(
        f"\n{len(middle)} files below 60 MP: one worker {one.wall:.1f} s, two {two.wall:.1f} s, {two.peak / 1e6:.0f} MB"
    )
    report.bar("two workers against one, time", two.wall / one.wall, most=0.65)
    print(f"  4 times {large[0].name}, two workers: {together.wall:.1f} s, {together.peak / 1e6:.0f} MB in all")
    report.bar("memory on the largest, two workers, MB", together.peak / 1e6, most=1000)


def against_peers(
    set_: Sequence[Picture], limit: int, folder: Path, report: Report, peers: Sequence[str], repeat: int
) -> None:
    files = [picture.path for picture in set_]
    originals = {picture.path.stem: original(picture) for picture in set_}
    runs: dict[str, tuple[float, Tree, dict[str, tuple[float, float, int]]]] = {}

    def measure(name: str, work: Callable[[Path, Sequence[Path]], Tree]) -> None:
        start = work(folder / f"{name}-empty", ()).wall
        best = min((work(folder / f"{name}-{n}", files) for n in range(repeat)), key=lambda run: run.wall)
        made = {path.stem: path for path in (folder / f"{name}-0").iterdir()}
        judged = {}
        for stem, source in originals.items():
            assert made[stem].stat().st_size <= limit, made[stem]
            result = opened(made[stem], source.size)
            judged[stem] = (psnr(source, result), ssim(source, result), made[stem].stat().st_size)
        runs[name] = (max(best.wall - start, 1e-3), best, judged)
        p, s, b = (statistics.mean(one[i] for one in judged.values()) for i in range(3))
        times = f"{best.wall:7.1f}  {start:8.1f}  {runs[name][0]:6.1f}"
        print(f"  {name:14}  {times}  {best.peak / 1e6:8.0f}  {p:6.2f}  {s:7.4f}  {b / limit:8.1%}", flush=True)

    print(
        f"\n{len(files):2} files          {'wall s':>7}  {'start-up':>8}  {'net s':>6}  {'peak MB':>8}    PSNR     SSIM  of limit"
    )
    measure("tuneset", lambda out, given: ours(out, 2, limit, given))
    for peer in peers:
        python = environment(folder / f"environment-{peer}", PEERS[peer]) if peer != "threads" else Path(sys.executable)
        measure(peer, lambda out, given, p=peer, x=python: tree(x, HERE / "fit_peer.py", p, out, str(limit), *given))  # type: ignore[misc]
    seconds, run, judged = runs.pop("tuneset")
    if not runs:
        return
    quickest = min(runs, key=lambda name: runs[name][0])
    report.bar(f"speed, of the fastest peer's ({quickest})", runs[quickest][0] / seconds, least=1.4)
    report.bar(f"memory, of the fastest peer's ({quickest})", run.peak / runs[quickest][1].peak, most=1 / 3)
    for at, what in ((0, "PSNR, dB"), (1, "SSIM")):
        gains = [judged[stem][at] - max(peer[2][stem][at] for peer in runs.values()) for stem in judged]
        report.bar(f"{what} above the best peer's: mean", statistics.mean(gains), least=0)
        print(f"    worst picture {min(gains):+.4f}, best {max(gains):+.4f}")


def beside_img2dataset(set_: Sequence[Picture], folder: Path) -> None:
    """It re-encodes at one quality and size, under no limit of bytes: told, not compared."""
    python = environment(folder / "environment-img2dataset", ("img2dataset",))
    listed = folder / "urls.txt"
    listed.write_text("".join(f"file://{picture.path}\n" for picture in set_), encoding="utf-8")
    command = [python, "-m", "img2dataset.main", f"--url_list={listed}", "--input_format=txt", "--output_format=files",
               f"--output_folder={folder / 'img2dataset'}", "--processes_count=2", "--thread_count=2", "--resize_mode=no",
               "--encode_quality=95", "--timeout=600", "--disable_all_reencoding=False"]  # fmt: skip
    run = tree(python, *command[1:])
    made = list((folder / "img2dataset").rglob("*.jpg"))
    over = sum(path.stat().st_size > LIMIT for path in made)
    print(
        f"  img2dataset     {run.wall:7.1f}  {'':8}  {'':6}  {run.peak / 1e6:8.0f}   "
        f"{len(made)} of {len(set_)} written at quality 95, {over} of them over the limit"
    )


# Images that conform


def read_of_conforming(folder: Path) -> None:
    drawn = Image.effect_noise((2000, 1500), 40).convert("RGB")
    policy = FitPolicy(max_bytes=LIMIT, types=("jpeg", "png", "webp"))
    places = Places((str(folder),), str(folder), "")
    inspector = looking.Inspector(
        places=places, verify="structure", policy=policy, on_bad_image="reject_example", threads=1, upright=False
    )
    print("\nbytes read of an image that conforms, --verify structure")
    for kind in ("JPEG", "PNG", "WEBP"):
        path = folder / f"conforming.{kind.lower()}"
        drawn.save(path, kind, quality=95)
        data = path.read_bytes()
        for place, first in (("local", looking._LOCAL_HEAD), ("gs://", looking.HEAD)):
            read: list[int] = []

            def part(start: int, end: int, _: str, data: bytes = data, read: list[int] = read) -> tuple[bytes, Stat]:
                read.append(len(data[start:end]))
                return data[start:end], Stat("", len(data), "1")

            facts = looking._inspect("x", inspector, part, first)
            assert (facts.reason, facts.type) == ("", kind.lower())
            print(f"  {kind:5} {place:6} {len(data):12,} bytes, {sum(read):7,} read in {len(read)} reads")


def main() -> int:
    options = arguments(__doc__ or "", percent=100, peers=1)
    limit = max(60_000, LIMIT * options.percent**2 // 10_000)
    report = Report(options.strict)
    with workdir(options.workdir) as folder:
        set_ = make(folder / "set", options.percent)
        print(
            f"{len(set_)} pictures, limit {limit:,} bytes, {os.cpu_count()} cores, Python {sys.version.split()[0]}\n"
            f"{images.CODEC_VERSIONS}\n"
        )
        on_one_thread(set_, limit, report, options.repeat)
        on_two_workers(set_, limit, folder, report, options.repeat)
        peers = list(PEERS) if options.peers else ["threads"]
        against_peers(set_, limit, folder, report, peers, options.repeat)
        if options.peers:
            beside_img2dataset(set_, folder)
        read_of_conforming(folder)
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
