"""Put images that stand in rows, and those of other people's servers, where they are read from: bytes -> an object, created
only if absent."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

from transforms.core.output_names import WORK
from transforms.core.reasons import ImageError
from transforms.core.records import ImageFacts
from transforms.images.headers.parse import NeedMore, parse
from transforms.storage import store_for

_SUFFIX = {"jpeg": ".jpg"}


def content_name(data: bytes) -> str:
    """The name of an image that is stored as it is: 32 hexadecimal digits."""
    return blake2b(data, digest_size=16, person=b"tuneset stage").hexdigest()


def staged_uri(folder: str, data: bytes) -> tuple[str, str, str]:
    """(where an image goes, the name of its content, its type). What is no image is staged too, and found out like any other."""
    try:
        image_type = parse(data, len(data)).type
    except (NeedMore, ImageError):
        image_type = "bin"
    name = content_name(data)
    return f"{folder}/{name[:2]}/{name}{_SUFFIX.get(image_type, '.' + image_type)}", name, image_type


@dataclass(frozen=True)
class Stager:
    """Stages images into a folder.

    folder: of rewritten images too.
    """

    folder: str

    def __call__(self, data: bytes) -> tuple[str, str]:
        """-> (where the image is now, the name of its content)."""
        uri, name, image_type = staged_uri(self.folder, data)
        put_by_content(uri, data, image_type)
        return uri, name


@dataclass(frozen=True)
class Copier:
    """Puts what servers of other people gave where the job has it from then on.

    images: folder of those that conform; "": they are left where they are (--stage none).
    output: of the dataset; in its work folder lie those that have to be rewritten, until they are.
    """

    images: str
    output: str

    def takes(self, must_fit: bool) -> bool:
        """Whether an image is wanted whole."""
        return must_fit or bool(self.images)

    def put(self, facts: ImageFacts, data: bytes, must_fit: bool) -> None:
        """Put an image that can be used, and note where it is. Raises StorageError."""
        if must_fit:
            version = f"{facts.uri}\n{facts.generation}".encode()
            name = blake2b(version, digest_size=16, person=b"tuneset fetched").hexdigest()
            facts.fetched = f"{self.output}/{WORK}/fits/{name[:2]}/{name}.fetched"
            put_by_content(facts.fetched, data, "bin")
        elif self.images:
            facts.copied, _ = Stager(self.images)(data)


def put_by_content(uri: str, data: bytes, image_type: str) -> None:
    """See to it that an image lies under the name of its content, whole."""
    store = store_for(uri)
    created = store.create(uri, data, "" if image_type == "bin" else f"image/{image_type}")
    # What a machine without power left of it, or somebody put there.
    if not created and store.stat(uri).size != len(data):
        store.replace(uri, data, "")
