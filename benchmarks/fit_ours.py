"""Fit files with Tuneset's helper processes, as its workers do. Files -> rewritten files, and a JSON line each.

    python benchmarks/fit_ours.py OUTPUT WORKERS 20000000 FLOOR FILE...

FLOOR above 0: all pixels are kept, down to that quality, which is the only rule that the peers can follow.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from transforms.images.fit.policy import FitPolicy
from transforms.images.headers.parse import parse
from transforms.images.helper.pool import DecoderPool


def main(output: Path, workers: int, limit: int, floor: int, files: list[str]) -> None:
    output.mkdir(parents=True)
    pool, policy = DecoderPool(workers=workers), FitPolicy(max_bytes=limit, types=("jpeg", "png"))
    if floor:
        policy = replace(policy, oversize="recompress", min_quality=floor)

    def work(name: str) -> str:
        path = Path(name)
        size = path.stat().st_size
        with path.open("rb") as file:
            head = parse(file.read(1 << 20), size)
        pixels = head.width * head.height
        fitted = pool.fit(path.read_bytes, policy, source="0" * 32, header_type=head.type, pixels=pixels, size=size)
        (output / f"{path.stem}.{fitted.type}").write_bytes(fitted.data)
        return json.dumps({"name": path.stem, "encodes": fitted.encodes, "quality": fitted.quality,
                           "sampling": fitted.sampling, "scale": fitted.scale})  # fmt: skip

    with ThreadPoolExecutor(workers) as threads:
        for line in threads.map(work, files):
            print(line, flush=True)
    pool.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5:])
