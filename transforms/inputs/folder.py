"""Read a block of a folder's images: Block -> OpenBlock with Records; rejects: bad_sidecar. No image is opened here.

An image is a row: its path below the folder, what stands in the file beside it, and the metadata of its object. The block carries the
names; files beside images are read, and objects asked for their metadata, only if a template asks for that.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from typing import Any

from transforms.core import jsonl
from transforms.core.reasons import RowError
from transforms.core.records import Block, Extent, ImageFacts, OpenBlock, Record, Rejection
from transforms.inputs.formats.sidecars import is_sidecar
from transforms.inputs.registry import IMAGES
from transforms.storage import abilities, store_for
from transforms.storage.api import Changed, Forbidden, NotAFile, NotFound, StorageError
from transforms.storage.parallel import overlapped

_AT_ONCE = 16  # objects asked after
_SINCE_LISTED = (Changed, Forbidden, NotAFile, NotFound)  # what may have happened; an outage is none of these


def image_record(uri: str, base: str, sidecar: Any = None, metadata: dict[str, str] | None = None) -> Record:
    """The row of one image.

    Args:
        base: the folder that was given; the path is told from there.
        sidecar: text, or the value of a JSON file; None without one.
        metadata: that the object's uploader gave it.
    """
    path = uri[len(base) + 1 :]
    if abilities(base).literal_names and (path.startswith("/") or posixpath.normpath(path) != path):
        path = uri  # an object's name is literal, also with `//` in it; a path that is told from a folder is not
    columns: dict[str, Any] = {"image": path}
    if "/" not in uri[len(base) :].lstrip("/"):  # its class is then the folder that was given
        columns["path.parent"] = posixpath.basename(base)
    if sidecar is not None:
        columns["sidecar"] = sidecar
    if metadata:
        columns["metadata"] = metadata
    return Record(uri, 0, 1, b"", columns, IMAGES.name, base)


def sidecar_value(uri: str, data: bytes) -> Any:
    """What a sidecar says: the text of a .txt without white space around it, the value of a .json.

    Raises:
        RowError: bad_sidecar.
    """
    try:
        if not uri.lower().endswith(".json"):
            return data.decode("utf-8-sig").strip()
        return jsonl.loads(b'{"sidecar":' + data.removeprefix(b"\xef\xbb\xbf") + b"}")["sidecar"]
    except UnicodeDecodeError as error:
        raise RowError("bad_sidecar", f"{uri}: byte {error.start} is not UTF-8") from None
    except RowError as error:
        raise RowError("bad_sidecar", f"{uri}: {error.detail}") from None


def read_folder(
    block: Block, key: Callable[[Block], str], max_line_bytes: int, with_metadata: bool = False
) -> OpenBlock:
    """An image a row; its sidecar, if it has one, is read.

    Args:
      max_line_bytes: a longer sidecar is refused.
      with_metadata: whether objects are asked for their metadata.
    """
    opened = OpenBlock(block, key(block))
    extents = list(block.extents)
    images = [extent for extent in extents if not is_sidecar(extent.uri)] if with_metadata else []
    metadata = dict(zip((image.uri for image in images), overlapped(_metadata_of, images, _AT_ONCE)))
    for number, extent in enumerate(extents):
        if is_sidecar(extent.uri):
            continue
        beside = next((one for one in extents[number + 1 : number + 2] if is_sidecar(one.uri)), None)
        opened.lines.append((extent.uri, 1))
        try:
            sidecar = _read(beside, max_line_bytes, opened)
            said = _metadata_or_fault(metadata.get(extent.uri), opened, extent.uri)
        except RowError as error:
            row = image_record(extent.uri, block.base)
            opened.rejections.append(Rejection(row, error.reason, error.detail, extent.uri, block.base))
            continue
        opened.rows.append(image_record(extent.uri, block.base, sidecar, said))
    opened.counters["examples_read"] = len(opened.rows) + len(opened.rejections)
    return opened


def _metadata_of(image: Extent) -> dict[str, str] | StorageError:
    """What an object's uploader said of it, or why that cannot be told."""
    try:
        return store_for(image.uri).metadata(image.uri, image.generation)
    except _SINCE_LISTED as error:
        return error


def _metadata_or_fault(
    told: dict[str, str] | StorageError | None, opened: OpenBlock, uri: str
) -> dict[str, str] | None:
    """Raises RowError: bad_sidecar."""
    if isinstance(told, StorageError):
        raise _noted(told, opened, uri)
    return told


def _noted(error: StorageError, opened: OpenBlock, uri: str) -> RowError:
    """The reason of a row whose words cannot be read. Noted like an image's, so that the block heals in a later run if that does."""
    opened.facts[uri] = ImageFacts(uri, reason=error.reason)
    return RowError("bad_sidecar", str(error))


def _read(extent: Extent | None, most: int, opened: OpenBlock) -> object:
    if extent is None:
        return None
    if extent.size > most:
        raise RowError(
            "bad_sidecar", f"{extent.uri} has {extent.size:,} bytes; at most {most:,} are read (--max_line_bytes)"
        )
    try:
        data, _ = store_for(extent.uri).read(extent.uri, generation=extent.generation)
    except _SINCE_LISTED as error:
        raise _noted(error, opened, extent.uri) from None
    return sidecar_value(extent.uri, data)
