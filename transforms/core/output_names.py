"""Names of the objects that an output folder, or a folder of images, holds beside the dataset's own files."""

from __future__ import annotations

WORK = "_tuneset"
CLAIM = f"{WORK}/claim.json"
MANIFEST = "manifest.json"
SHARED = "_tuneset-shared"  # in a folder of images: the marks of those who use it
REPORT = "report.html"  # and report.json: not a part of the dataset, so no manifest names them
FAILURE = "unsealed.json"  # in the work folder: why a finished job did not seal
STREAM = "stream.json"  # what a stream was begun with, in the folder of its windows
