"""Folders as other tools write them, whose files of rows are not what is meant: what to do instead."""

from __future__ import annotations

import posixpath
import re

from transforms.inputs.patterns import first_image
from transforms.storage import exists

_SHARD = re.compile(r"\d{5,}\.parquet")
_NAMES = 100  # of a shard's folder, among which an image is looked for


def advice_on_shards(uri: str) -> str:
    """What to do with a folder that img2dataset wrote, of which `uri` is a table: it holds addresses, and the images lie beside it.

    -> "" if it is none.
    """
    folder, name = posixpath.split(uri)
    if not _SHARD.fullmatch(name):
        return ""
    shard = uri.removesuffix(".parquet")
    if exists(f"{shard}.tar"):
        return f"img2dataset wrote {folder}: extract its .tar files, and name the folder that comes of it with --input_format folder"
    if not first_image(f"{shard}/", (), _NAMES):
        return ""
    return (
        f"img2dataset wrote {folder}: its tables hold the addresses that images came from, and these lie in folders beside them. "
        "--input_format folder makes a row of each image, and --answer '{sidecar.caption}' takes its caption"
    )
