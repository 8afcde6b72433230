"""List what a local dataset's upload consists of: JSONL files -> the images below the image folder that their lines name.

    IMAGE_FOLDER/ab/NAME  ->  URI_PREFIX/images/NAME

Every name is 32 hexadecimal digits and an ending, so none of them means anything to a shell or to gcloud, and no two folders of
the input can meet in one. The list is what `gcloud storage cp --read-paths-from-stdin` reads: it keeps the last part of each path.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from transforms.core import jsonl
from transforms.core.places import uploaded_images
from transforms.dataset.join import Joined
from transforms.dataset.seal_plan import SealPlan
from transforms.dataset.segments import SegmentWriter
from transforms.storage import abilities, store_for
from transforms.storage.api import crc32c

UPLOADS = (
    "upload-images.txt"  # beside the manifest: paths below the image folder, one a line, in the order of their names
)
_CHUNK = 8 << 20  # bytes of lines that are looked through at once
_SOME = 1 << 16  # names after which equal ones are dropped


@dataclass(frozen=True, kw_only=True)
class UploadLister:
    """Writes the list of a dataset's images.

    Args:
      writer: of the dataset's files.
      image_folder: where images lie; of one in Cloud Storage nothing has to be uploaded.
      uri_prefix: where the dataset will be uploaded to.
    """

    writer: SegmentWriter
    image_folder: str
    uri_prefix: str

    @property
    def mapping(self) -> dict[str, str]:
        """What the manifest says of it."""
        return {"from": self.image_folder, "to": uploaded_images(self.uri_prefix)}

    def write(self, _: None, files: Iterable[Joined], plan: SealPlan) -> Joined | None:
        """List the images that the files' lines name and that lie in the image folder; lists the same however often it is called."""
        if plan.fault:
            return None
        self.writer.check_claim()
        names = np.zeros(0, "S40")
        for file in sorted(files, key=lambda file: file.name):
            if file.name.endswith(".jsonl") and file.name != "rejected.jsonl":
                named = self._named_in(f"{self.writer.folder}/{file.name}")
                while some := list(islice(named, _SOME)):
                    names = np.unique(np.concatenate([names, np.array(some, "S40")]))
        paths = [
            path for name in names.tolist() if os.path.lexists(os.path.join(self.image_folder, path := _path_of(name)))
        ]
        data = "".join(f"{path}\n" for path in paths).encode()
        uri = f"{self.writer.folder}/{UPLOADS}"
        store = store_for(uri)
        store.replace(uri, data, "")
        return Joined(UPLOADS, len(paths), len(data), crc32c(data), store.stat(uri).generation)

    def _named_in(self, uri: str) -> Iterator[bytes]:
        """Names below the folder of uploaded images in a file of lines, as often as they stand there."""
        if not abilities(self.image_folder).has_paths:
            return
        folder = jsonl.dumps({"": f"{uploaded_images(self.uri_prefix)}/"})[5:-2]  # as the lines spell it
        name = re.compile(b'"fileUri":"' + re.escape(folder) + rb'([0-9a-f]{32}\.[a-z0-9]{1,7})"')
        store, tail = store_for(uri), b""
        for start in range(0, store.stat(uri).size, _CHUNK):
            data = tail + store.read(uri, start, start + _CHUNK)[0]
            end = 0
            for found in name.finditer(data):
                yield found[1]
                end = found.end()
            tail = data[max(end, len(data) - len(folder) - 64) :]


def _path_of(name: bytes) -> str:
    text = name.decode()
    return f"{text[:2]}/{text}"
