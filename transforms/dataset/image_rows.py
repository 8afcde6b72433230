"""What a block's table of images (block_files.IMAGES) tells a later night: which versions it saw, what it wrote, and its facts."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from transforms.core import reasons
from transforms.core.records import Block, ImageFacts
from transforms.storage import abilities

SETTLED = ("bad_uri", "unsupported_scheme", "not_allowed")  # say something about the text of a URI, whatever is stored


def generations(images: pa.Table, block: Block) -> dict[str, str]:
    """The images that must still be what they were, beside those that the block's key tells of: "" if they must not be there."""
    own = {(extent.uri, extent.generation) for extent in block.extents}
    columns = (images[name].to_pylist() for name in ("source", "generation", "reason"))
    missing = dict.fromkeys(pc.list_flatten(images["renamed_from"]).to_pylist(), "")
    return missing | {
        source: generation
        for source, generation, reason in zip(*columns)
        if is_open(source, reason) and (source, generation) not in own
    }


def is_open(source: str, reason: str) -> bool:
    """Whether what is stored may have changed that an image cannot be used: where a server leads to is no matter of texts."""
    return reason not in SETTLED or abilities(source).foreign


def outputs(images: pa.Table) -> dict[str, int]:
    """Rewritten images, with their bytes."""
    sizes = dict(zip(images["output"].to_pylist(), images["output_bytes"].to_pylist()))
    sizes.pop("", None)
    return sizes


# Fields of ImageFacts by the columns that tell them.
_COLUMNS = {"uri": "source", "size": "bytes"} | {
    name: name
    for name in ("generation", "type", "width", "height", "orientation", "frames", "escalated", "encoding", "identity")
}
TELLING = [*_COLUMNS.values(), "reason", "fate", "output"]  # columns that facts are told by


def facts(images: pa.Table) -> dict[str, ImageFacts]:
    """Facts of the images that could be used, as far as their rows tell them.

    One that was read whole is looked at again, for its row does not tell whether its end was missing; but where it was copied as
    it is it was not.
    """
    rows = zip(*(images[column].to_pylist() for column in _COLUMNS.values()))
    told = (images[name].to_pylist() for name in ("reason", "escalated", "fate", "output"))
    return {
        row[0]: ImageFacts(**dict(zip(_COLUMNS, row)), copied=_copy(row[0], fate, output))
        for row, reason, escalated, fate, output in zip(rows, *told)
        if (not escalated or _copy(row[0], fate, output)) and (not reason or reasons.REASONS[reason].stage == "fit")
    }


def _copy(source: str, fate: str, output: str) -> str:
    """Where an image that is named by URL lies as it is beside the dataset, if it does."""
    return output if fate == "untouched" and abilities(source).foreign else ""
