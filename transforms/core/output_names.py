"""Names of the objects that an output folder holds beside the dataset's own files."""

from __future__ import annotations

WORK = "_tuneset"
CLAIM = f"{WORK}/claim.json"
MANIFEST = "manifest.json"
FAILURE = "unsealed.json"  # in the work folder: why a finished job did not seal
STREAM = "stream.json"  # what a stream was begun with, in the folder of its windows
