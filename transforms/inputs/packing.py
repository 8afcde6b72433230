"""From listed files to packs: small files together, a folder's images with their sidecars. No file is read here.

Packs are cut where a file's name says so (content-defined), so that one new file changes few blocks; and at a length that chance
does not come to, since names can be chosen so that none says so.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator
from hashlib import blake2b

from transforms.core.listing_tally import ListingTally
from transforms.core.records import Block, Dialect, Extent
from transforms.inputs.formats.sidecars import SidecarIndex, is_sidecar, stem_of
from transforms.inputs.registry import DEFAULT, IMAGES, LINES, MEANINGS, container_of
from transforms.storage.api import Stat
from transforms.storage.compressed_members import is_packed

_LONGEST = 32  # times as many names as a pack holds on average: of 10^14 packs, one comes to it by chance
_FILES, _FILE_BYTES = 1000, 256  # files that a pack may hold: so many, or one for so many bytes of a block


def pack_files(index: int, files: Iterable[Stat], block_bytes: int, row_format: str = DEFAULT.name) -> Iterator[Block]:
    """Files in order -> blocks: large, compressed and Parquet ones alone and uncut, small ones of a kind together, a block at most."""
    pack: list[Extent] = []
    only_lines, only_converted = MEANINGS[row_format].only_lines, MEANINGS[row_format].only_converted
    size, container, most = 0, LINES, max(_FILES, block_bytes // _FILE_BYTES)

    def packed() -> Block:
        dialect = Dialect(container.name) if container.is_lines and not only_lines else None
        return Block((index, os.fsencode(pack[0].uri), 0), tuple(pack), row_format, dialect=dialect)

    for found in files:
        extent = Extent(found.uri, found.generation, found.size, 0, found.size, found.encoding)
        its = LINES if only_lines else container_of(found.uri, b"")
        known = only_lines or "." in found.uri.rpartition("/")[2]
        alone = (
            found.size > block_bytes
            or is_packed(found)
            or its.is_columnar
            or not known
            or only_converted
            or its.convert
        )
        if pack and (alone or size + found.size > block_bytes or its is not container):
            yield packed()
            pack, size = [], 0
        container = its
        if alone:
            yield Block((index, os.fsencode(found.uri), 0), (extent,), row_format)
            continue
        pack.append(extent)
        size += found.size
        name = blake2b(os.fsencode(found.uri), digest_size=1).digest()[0]
        chosen = name < 8 and size >= block_bytes // 8  # a cut that does not depend on what came before
        if chosen or len(pack) == most:
            yield packed()
            pack, size = [], 0
    if pack:
        yield packed()


def pack_images(
    index: int, files: Iterable[Stat], names: int, base: str, tally: ListingTally, sidecars: bool = False
) -> Iterator[Block]:
    """Images of a folder in order, each followed by its sidecar if it has one -> blocks that carry names and versions.

    A block ends where a name (below `base`, wherever that lies) says so, on average after `names` of them: one more file changes one.
    Sidecars without an image are left out.

    Args:
      sidecars: whether they are asked for; only then are any among the files.
    """
    pack: list[Extent] = []
    images_held = 0
    for stem in _by_stem(files):
        beside = SidecarIndex(file for file in stem if is_sidecar(file.uri))
        for image in stem:
            if is_sidecar(image.uri):
                continue
            pack.append(_whole(image))
            images_held += 1
            tally.counters["pictures_taken"] += 1
            if sidecars and (sidecar := beside.of_image(image.uri)):
                pack.append(_whole(sidecar))
            name = os.fsencode(image.uri.removeprefix(base).lstrip("/"))
            chosen = int.from_bytes(blake2b(name, digest_size=4).digest(), "big") % names == 0
            if chosen or images_held == _LONGEST * names:
                yield Block((index, os.fsencode(pack[0].uri), 0), tuple(pack), IMAGES.name, base=base)
                pack, images_held = [], 0
        if beside:
            lonely = beside.without_image()
            tally.counters["files_taken"] += len(beside) - len(lonely)
            for file in lonely:
                tally.leave_out("sidecar", file.uri)
    if pack:
        yield Block((index, os.fsencode(pack[0].uri), 0), tuple(pack), IMAGES.name, base=base)


def _whole(file: Stat) -> Extent:
    return Extent(file.uri, file.generation, file.size, 0, file.size)


def _by_stem(files: Iterable[Stat]) -> Iterator[list[Stat]]:
    """Files in order, those together whose names are equal up to the first dot: whatever belongs together is among them."""
    yield from (list(group) for _, group in itertools.groupby(files, lambda file: stem_of(file.uri)))
