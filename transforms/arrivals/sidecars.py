"""Images and the words beside them: listed files -> arrivals. When a pair is whole follows from storage's dates alone.

An image that is to have a sidecar is whole once the last of its files is there, or so long after itself, whichever comes first.
A sidecar that comes later still makes a new version of the pair, as overwriting the image would: its window is that of the sidecar.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from transforms.arrivals.records import Arrival
from transforms.inputs.packing import SIDECARS
from transforms.storage.api import Stat


def paired(files: Iterable[Stat], wait: int, now: int) -> Iterator[Arrival]:
    """Images and sidecars, in any order -> arrivals of the images that are whole by now.

    Args:
      wait: microseconds that an image without a sidecar waits for one.
      now: of storage, in microseconds since 1970.
    """
    images, beside = list[Stat](), dict[str, list[Stat]]()
    for file in files:
        if file.uri.lower().endswith(SIDECARS):
            beside.setdefault(_stem(file.uri), []).append(file)
        else:
            images.append(file)
    for image in images:
        sidecars = tuple(sorted(beside.get(_stem(image.uri), ()), key=lambda file: file.uri))
        early = [file.dated for file in sidecars if file.dated <= image.dated + wait]
        if len(early) == len(sidecars):
            whole = max(image.dated, *early) if early else image.dated + wait
        else:
            whole = max(file.dated for file in sidecars)
        if whole <= now:
            yield Arrival(image.uri, image.generation, image.size, whole, image.encoding, sidecars)


def _stem(uri: str) -> str:
    return uri.rpartition(".")[0]
