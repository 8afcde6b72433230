"""`tuneset demo --stream`: drop the sample's images into a folder that a stream watches, merge its windows, show what came out."""

from __future__ import annotations

import os
import shlex
import shutil
import threading
from pathlib import Path

from beam_jobs import console
from beam_jobs.commands.merge import merge
from beam_jobs.commands.stream import stream
from beam_jobs.exit_status import DONE

_SECONDS = 20  # over which the images arrive
_WINDOW_S = 5
_ENDS_S = _SECONDS + _WINDOW_S  # the last window is mostly over by then


def demo_stream(folder: Path, images: Path) -> int:
    """Stream the sample's images -> exit status. What an earlier demo streamed is replaced.

    Args:
      folder: of the demo.
      images: what is dropped; the first word of each name becomes its class.

    Raises:
      OSError: the images cannot be dropped.
    """
    arriving, output, merged = folder / "arriving", folder / "stream", folder / "merged"
    for made in (arriving, output, merged):
        shutil.rmtree(made, ignore_errors=True)
    arriving.mkdir(parents=True)

    over = threading.Event()
    feeder = threading.Thread(target=_drop, args=(sorted(images.iterdir()), arriving, over), daemon=True)
    words = [
        "--watch",
        f"{arriving}/",
        "--output",
        str(output),
        "--window",
        f"{_WINDOW_S}s",
        "--prompt",
        "What is this?",
    ]
    console.say(
        f"Dropping images into {arriving} over {_SECONDS} s. Now running:\n\n  tuneset stream {shlex.join(words)}\n"
    )
    feeder.start()
    status = stream([*words, "--answer", "{path.parent}", "--stop_after", f"{_ENDS_S}s"])
    over.set()
    feeder.join()
    if status != DONE:
        return status

    words = [str(output), "--output", str(merged)]
    console.say(f"\nJoining the windows:\n\n  tuneset merge {shlex.join(words)}\n")
    status = merge(words)
    console.say("\n".join(["", *_tree(folder, (output, merged))]))
    return status


def _drop(images: list[Path], arriving: Path, over: threading.Event) -> None:
    """Copy images aside and rename them, one after the other, as a careful producer does."""
    for image in images:
        name = image.name.partition("-")[0].partition(".")[0]
        target = arriving / name / image.name
        target.parent.mkdir(exist_ok=True)
        aside = target.with_name(f".{image.name}")
        shutil.copyfile(image, aside)
        os.rename(aside, target)
        if over.wait(_SECONDS / len(images)):
            return


def _tree(folder: Path, parts: tuple[Path, ...]) -> list[str]:
    """The folders that were made, with their files; of rewritten images only how many there are."""
    lines = [f"{folder}/"]
    for part in parts:
        lines.append(f"  {part.name}/")
        for path in sorted(part.rglob("*")):
            below = path.relative_to(part).parts
            if "images" in below[:-1]:
                continue
            files = sum(one.is_file() for one in path.rglob("*")) if path.name == "images" else 0
            name = f"{path.name}/" if path.is_dir() else path.name
            lines.append(f"  {'  ' * len(below)}{name}{f'  {files} rewritten' if files else ''}")
    return lines
