"""Fitting oversized images: Tuneset beside Ray Data, Daft, a thread pool (all three bisect, as people do) and img2dataset.

    python benchmarks/fit.py [--peers 0] [--percent 100] [--strict]

1. one thread, in this process: sizes, encodes, what the tiles cost, time against decode + one encode, and quality against an
   exhaustive search over whole qualities and subsamplings
2. what --effort best brings, and costs
3. two helper processes against one, and the memory of all processes on 108 MP
4. the peers, in environments that this script makes, over the same files: time without start-up, memory, PSNR and SSIM
5. the bytes that are read of an image that conforms

PSNR is of all pixels and colours against the decoded source, SSIM of all colours (and of brightness alone) over 64 tiles. The
peers know no least quality and shrink nothing, so beside them Tuneset works under `--oversize recompress --min_quality 1`.
"""

from __future__ import annotations

import io
import math
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from common import HERE, Report, arguments, environment, workdir
from pictures import Picture, make
from PIL import Image
from quality import MOST, opened, original, psnr, ssim
from trees import Tree, tree

from transforms.images import inspection
from transforms.images.fit import fit as fitting
from transforms.images.fit import predict
from transforms.images.fit.decode import decode
from transforms.images.fit.encode import CODEC_VERSIONS, SAMPLINGS, STEPS, Setting, code_jpeg, encode_jpeg
from transforms.images.fit.fit import fit
from transforms.images.fit.pixels import flatten
from transforms.images.fit.policy import FitPolicy, FittedImage
from transforms.storage.api import Stat
from transforms.storage.places import Places
from transforms.storage.reads import follow

Image.MAX_IMAGE_PIXELS = None
LIMIT = 20_000_000
PEERS = {"threads": ("pillow",), "ray": ("ray[data]", "pillow"), "daft": ("daft", "pillow")}


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
        self.kept: list[tuple[object, str]] = [(fitting, "png_bytes"), (fitting._Writer, "_sample")]
        self.kept += [(predict.Sample, "best"), (predict.Sample, "again")]
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


# --effort best


def with_more_effort(set_: Sequence[Picture], limit: int, repeat: int) -> None:
    print(f"\n{'--effort best':28}  {'became':20}  {'dB':>6}  {'bytes':>6}  {'time':>5}")
    rows = []
    for picture in set_:
        if picture.megapixels > 30 or not picture.whole:
            continue
        data, fast = picture.path.read_bytes(), FitPolicy(max_bytes=limit, types=("jpeg", "png"))
        source = original(picture)
        work = partial(fit, data, source="0" * 32, header_type=picture.type)
        one, quick = timed(repeat, partial(work, fast))
        other, slow = timed(repeat, partial(work, replace(fast, effort="best")))
        assert isinstance(quick, FittedImage) and isinstance(slow, FittedImage)
        if quick.scale < 1:
            continue
        quality = [psnr(source, opened(io.BytesIO(made.data), source.size)) for made in (quick, slow)]
        with Image.open(io.BytesIO(quick.data)) as made:
            tables = list(made.quantization.values())  # type: ignore[attr-defined]
        same = len(code_jpeg(source, tables, quick.sampling, True)) / len(quick.data)
        rows.append((quality[1] - quality[0], same, other / one))
        became = f"{slow.type} q{slow.quality} {slow.sampling}"
        print(f"{picture.name:28}  {became:20}  {rows[-1][0]:+6.2f}  {same - 1:+6.1%}  {rows[-1][2]:5.2f}", flush=True)
    gain, same, times = (statistics.median(values) for values in zip(*rows, strict=True))
    print(
        f"median: {gain:+.2f} dB within the limit; {same - 1:+.1%} bytes at the quality of --effort fast; {times:.2f} x its time"
    )


# Runs of several processes


def ours(folder: Path, workers: int, limit: int, files: Sequence[Path], floor: int = 0) -> Tree:
    """`floor`: quality under which no pixels are given up instead; 0: as usual."""
    environment = os.environ | {"PYTHONPATH": str(HERE.parent)}
    return tree(
        sys.executable,
        HERE / "fit_ours.py",
        folder,
        str(workers),
        str(limit),
        str(floor),
        *files,
        environment=environment,
    )


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
    together, shrunk = (ours(folder / f"large-{most}", 2, most, twins) for most in (limit, limit // 8))
    print(
        f"\n{len(middle)} files below 60 MP: one worker {one.wall:.1f} s, two {two.wall:.1f} s, {two.peak / 1e6:.0f} MB"
    )
    report.bar("two workers against one, time", two.wall / one.wall, most=0.65)
    for what, run in (("recompressed", together), ("made to fit an eighth of the limit", shrunk)):
        print(f"  4 times {large[0].name}, two workers, {what}: {run.wall:.1f} s, {run.peak / 1e6:.0f} MB in all")
    report.bar("memory on the largest, two workers, MB", max(together.peak, shrunk.peak) / 1e6, most=1000)


def against_peers(
    set_: Sequence[Picture], limit: int, folder: Path, report: Report, peers: Sequence[str], repeat: int
) -> None:
    files = [picture.path for picture in set_]
    originals = {picture.path.stem: original(picture) for picture in set_}
    runs: dict[str, tuple[float, Tree, dict[str, tuple[float, ...]]]] = {}

    def measure(name: str, work: Callable[[Path, Sequence[Path]], Tree]) -> None:
        start = work(folder / f"{name}-empty", ()).wall
        best = min((work(folder / f"{name}-{n}", files) for n in range(repeat)), key=lambda run: run.wall)
        made = {path.stem: path for path in (folder / f"{name}-0").iterdir()}
        judged = {}
        for stem, source in originals.items():
            size = made[stem].stat().st_size
            assert size <= limit, made[stem]
            result = opened(made[stem], source.size)
            bright = ssim(source.convert("L"), result.convert("L"))
            judged[stem] = (psnr(source, result), ssim(source, result), bright, size / limit)
        runs[name] = (max(best.wall - start, 1e-3), best, judged)
        p, s, b, share = (statistics.mean(values) for values in zip(*judged.values(), strict=True))
        print(f"  {name:14}  {best.wall:7.1f}  {start:8.1f}  {runs[name][0]:6.1f}  {best.peak / 1e6:8.0f}  "
              f"{p:6.2f}  {s:7.4f}  {b:10.4f}  {share:8.1%}", flush=True)  # fmt: skip

    print(f"\n{len(files):2} files          {'wall s':>7}  {'start-up':>8}  {'net s':>6}  {'peak MB':>8}    PSNR     SSIM  "
          "brightness  of limit")  # fmt: skip
    measure("tuneset", lambda out, given: ours(out, 2, limit, given, floor=1))
    for peer in peers:
        python = environment(folder / f"environment-{peer}", PEERS[peer]) if peer != "threads" else Path(sys.executable)
        measure(peer, lambda out, given, p=peer, x=python: tree(x, HERE / "fit_peer.py", p, out, str(limit), *given))  # type: ignore[misc]
    seconds, run, judged = runs.pop("tuneset")
    if not runs:
        return
    quickest = min(runs, key=lambda name: runs[name][0])
    report.bar(f"speed, of the fastest peer's ({quickest})", runs[quickest][0] / seconds, least=1.4)
    report.bar(f"memory, of the fastest peer's ({quickest})", run.peak / runs[quickest][1].peak, most=1 / 3)
    print("  above the best peer's          PSNR     SSIM  brightness")
    gains = {stem: [one - max(peer[2][stem][at] for peer in runs.values()) for at, one in enumerate(values[:3])]
             for stem, values in judged.items()}  # fmt: skip
    for stem, (p, s, b) in gains.items():
        print(f"    {stem:26} {p:+6.2f}  {s:+7.4f}  {b:+10.4f}")
    p, s, b = (statistics.mean(values) for values in zip(*gains.values(), strict=True))
    report.bar("PSNR above the best peer's, dB: mean", p, least=0)
    report.bar("SSIM above the best peer's: mean", s, least=0)
    print(f"  SSIM of brightness alone: {b:+.4f} (colour is worth some of it)")


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
    places = Places((str(folder),))
    inspector = inspection.Inspector(
        places=places, verify="structure", policy=policy, on_bad_image="reject_example", threads=1, upright=False
    )
    print("\nbytes read of an image that conforms, --verify structure")
    for kind in ("JPEG", "PNG", "WEBP"):
        path = folder / f"conforming.{kind.lower()}"
        drawn.save(path, kind, quality=95)
        data = path.read_bytes()
        for place, first in (("local", inspection._LOCAL_HEAD), ("gs://", inspection.HEAD)):
            read: list[int] = []

            def part(start: int, end: int, _: str, data: bytes = data, read: list[int] = read) -> tuple[bytes, Stat]:
                read.append(len(data[start:end]))
                return data[start:end], Stat("", len(data), "1")

            facts = follow(inspection._inspect("x", inspector, first), part)
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
            f"{CODEC_VERSIONS}\n"
        )
        on_one_thread(set_, limit, report, options.repeat)
        with_more_effort(set_, limit, options.repeat)
        on_two_workers(set_, limit, folder, report, options.repeat)
        peers = list(PEERS) if options.peers else ["threads"]
        against_peers(set_, limit, folder, report, peers, options.repeat)
        if options.peers:
            beside_img2dataset(set_, folder)
        read_of_conforming(folder)
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
