"""What the six recipes share: they run one command, whose screen tells how to tune, and show an excerpt of what it wrote."""

from __future__ import annotations

import io
import json
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image

from beam_jobs.commands.prepare import prepare


def encoded(image: Image.Image, kind: str = "JPEG") -> bytes:
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()


def put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def main(name: str, make: Callable[[Path], Sequence[str]]) -> int:
    """Draw the data into a folder (the script's argument), prepare it, tell what came of it -> exit status."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else f"demo/{name}").resolve()
    bucket = f"gs://my-bucket/{name}"
    flags = [*make(folder / "raw"), "--output", str(folder / "dataset"), "--uri_prefix", bucket, "--overwrite"]
    print(f"  {shlex.join(['tuneset', 'prepare', *flags])}\n", flush=True)
    status = prepare(flags)
    if status:
        return status
    for split in ("train", "validation"):
        first, *_ = (folder / f"dataset/{split}.jsonl").read_text().splitlines() or ["{}"]
        print(f"\nThe first line of {split}.jsonl:\n{json.dumps(json.loads(first), indent=2, ensure_ascii=False)}")
    return 0
