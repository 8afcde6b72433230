"""Images and the words beside them: listed files -> arrivals. When a pair is whole follows from storage's dates alone.

An image that is to have a sidecar is whole once both are there, or so long after itself, whichever comes first.
A sidecar that comes later still makes a new version of the pair, as overwriting the image would: its window is that of the sidecar.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from transforms.arrivals.records import Arrival
from transforms.inputs.formats.sidecars import SidecarIndex, is_sidecar
from transforms.storage.api import Stat


def paired(files: Iterable[Stat], wait: int, now: int, all_of_them: bool = True) -> Iterator[Arrival]:
    """Images and sidecars, in any order -> arrivals of the images that are whole by now.

    Args:
      wait: microseconds that an image without a sidecar waits for one.
      now: of storage, in microseconds since 1970.
      all_of_them: as SidecarIndex takes it.
    """
    listed = list(files)
    index = SidecarIndex(sorted(filter(_is_sidecar, listed), key=lambda file: file.uri), all_of_them)
    for image in listed:
        if is_sidecar(image.uri):
            continue
        sidecar = index.of_image(image.uri)
        whole = max(image.dated, sidecar.dated) if sidecar else image.dated + wait
        if whole <= now:
            beside = (sidecar,) if sidecar else ()
            yield Arrival(image.uri, image.generation, image.size, whole, image.encoding, beside)


def _is_sidecar(file: Stat) -> bool:
    return is_sidecar(file.uri)
