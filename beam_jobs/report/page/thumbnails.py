"""Small pictures for the report, made in helper processes like every decoded picture: URI -> a JPEG or PNG, or why there is none."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass, replace
from threading import Lock

from transforms.core.reasons import ImageError
from transforms.core.records import ImageFacts
from transforms.images.inspection import Inspector, look
from transforms.images.orders import read_image
from transforms.storage.api import StorageError
from transforms.storage.parallel import overlapped

MOST_READS, MOST_BYTES = 48, 200_000_000  # whole files that are read for one report
_SIDE, _BYTES = 224, 14_000  # of a thumbnail
_AT_ONCE = 4


@dataclass(frozen=True)
class Thumbnail:
    """A picture as a data: URI with its size in pixels; or the reason why there is none."""

    data: str = ""
    width: int = 0
    height: int = 0
    missing: str = ""


class ThumbnailMaker:
    """Makes thumbnails until a report has read enough.

    Args:
      inspector: of the run: where images may be read from, and the pool of helpers.
      image_folder: of the run's own images, which may be read too; "" if it has none.
      uploaded: (folder here, folder there) of images that lines call as they will be once they are uploaded.
    """

    def __init__(self, inspector: Inspector, image_folder: str, uploaded: tuple[str, str] | None) -> None:
        places = replace(inspector.places, folders=(*inspector.places.folders, *filter(None, [image_folder])))
        self._inspector = replace(inspector, places=places, verify="header")
        self._uploaded = uploaded
        self._reads, self._bytes = MOST_READS, MOST_BYTES
        self._alone = Lock()

    def make(self, uris: Iterable[str]) -> dict[str, Thumbnail]:
        """A thumbnail of each distinct URI. Which of them are left out follows from their order and sizes alone."""
        facts = [(uri, self._look(uri)) for uri in dict.fromkeys(uris)]
        chosen = [(uri, one) for uri, one in facts if not isinstance(one, Thumbnail) and self._may_read(one)]
        made = dict(
            zip((uri for uri, _ in chosen), overlapped(lambda item: self._thumbnail(item[1]), chosen, _AT_ONCE))
        )
        left_out = Thumbnail(missing="not shown: the report has read enough")
        return {uri: one if isinstance(one, Thumbnail) else made.get(uri, left_out) for uri, one in facts}

    def _look(self, uri: str) -> ImageFacts | Thumbnail:
        try:
            source = self._inspector.places.resolve(self._here(uri), "")
            facts = look(source, self._inspector)
        except (ImageError, StorageError) as error:
            return Thumbnail(missing=error.reason)
        return Thumbnail(missing=facts.reason) if facts.reason else facts

    def _here(self, uri: str) -> str:
        """Where an image is now that a line calls as it will be."""
        if self._uploaded and uri.startswith(f"{self._uploaded[1]}/"):
            name = uri.rpartition("/")[2]
            return f"{self._uploaded[0]}/{name[:2]}/{name}"
        return uri

    def _may_read(self, facts: ImageFacts) -> bool:
        if not self._reads or facts.size > self._bytes:
            return False
        self._reads, self._bytes = self._reads - 1, self._bytes - facts.size
        return True

    def _thumbnail(self, facts: ImageFacts) -> Thumbnail:
        inspector = self._inspector
        try:
            data = read_image(facts, inspector.places.readable)
            with self._alone:  # to start a second helper costs more than all of the pictures
                made = inspector.pool.thumbnail(
                    data,
                    header_type=facts.type,
                    pixels=facts.width * facts.height,
                    max_pixels=inspector.policy.max_pixels,
                    side=_SIDE,
                    max_bytes=_BYTES,
                )
        except (ImageError, StorageError) as error:
            return Thumbnail(missing=error.reason)
        text = base64.b64encode(made.data).decode("ascii")
        return Thumbnail(f"data:image/{made.type};base64,{text}", made.width, made.height)
