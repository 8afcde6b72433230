"""What has to be done about an image: ImageFacts -> FitOrder, or nothing; and an order -> its outcome in storage.

An outcome is a rewritten image, or the reason why there is none. It is an object too, created only if absent, so that two
executions cannot tell two blocks different things.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from hashlib import blake2b

from transforms.core.output_names import WORK
from transforms.core.places import uploaded_images
from transforms.core.reasons import ImageError
from transforms.core.records import FitOrder, Fitted, ImageFacts
from transforms.dataset.receipts import ReceiptStore
from transforms.images.fit.embedded_facts import read_facts
from transforms.images.fit.policy import FitPolicy, FittedImage
from transforms.images.identity import REWRITTEN_HEAD, identity_of_rewritten
from transforms.images.inspection import Inspector, unpack
from transforms.images.staging import content_name
from transforms.storage import abilities, store_for
from transforms.storage.allowed_files import open_allowed
from transforms.storage.api import Changed, NotAFile, NotFound, Stat, StorageError, Unavailable
from transforms.storage.local import read_open
from transforms.storage.local_walk import translate

_SUFFIX = {"jpeg": ".jpg"}


@dataclass(frozen=True, kw_only=True)
class ImageRewriter:
    """Where rewritten images go, and by which policy.

    stage: conforming local images are put beside them, as the dataset will be read elsewhere. copy: gs:// ones are too, on the
    server. keep: so are those of other people's servers. uri_prefix: where a local dataset will be uploaded to, if anywhere.
    """

    receipt_store: ReceiptStore
    inspector: Inspector
    image_folder: str
    stage: bool
    copy: bool = False
    keep: bool = False
    uri_prefix: str = ""

    @property
    def policy(self) -> FitPolicy:
        return self.inspector.policy

    def order(self, facts: ImageFacts) -> FitOrder | None:
        """What has to be done about an image, if anything."""
        if facts.respelled:
            return None
        fit = self.inspector.must_fit(facts)
        if facts.reason or not (fit or self._is_staged(facts)):
            return None
        digest = blake2b(f"{facts.uri}\n{facts.generation}\n".encode(), digest_size=16, person=b"tuneset fit")
        digest.update(self.policy.digest_text().encode() if fit else b"stage")
        return FitOrder(digest.hexdigest(), facts, stage=not fit)

    def _is_staged(self, facts: ImageFacts) -> bool:
        """Whether a conforming image has still to be put beside the dataset."""
        where = abilities(facts.uri)
        if where.foreign:
            return (self.keep or facts.encoding == "gzip") and not facts.copied
        return self.copy or facts.encoding == "gzip" if where.readable_by_service else self.stage

    def image_uri(self, key: str, image_type: str) -> str:
        return f"{self.image_folder}/{key[:2]}/{key}{_SUFFIX.get(image_type, '.' + image_type)}"

    def publish(self, fitted: Fitted) -> str:
        """The fileUri of an image of the image folder, as it will be called after uploading."""
        if self.uri_prefix and not abilities(fitted.uri).readable_by_service:
            return f"{uploaded_images(self.uri_prefix)}/{fitted.uri.rpartition('/')[2]}"
        return fitted.uri

    def outcome_path(self, key: str) -> str:
        return f"{self.receipt_store.folder}/{WORK}/fits/{key[:2]}/{key}.{self.receipt_store.epoch}.json"


def fit_image(order: FitOrder, rewriter: ImageRewriter) -> str:
    """Make sure that an order has its outcome -> its key."""
    store, path = store_for(rewriter.receipt_store.folder), rewriter.outcome_path(order.key)
    try:
        store.stat(path)
    except NotFound:
        store.create(path, json.dumps(asdict(_outcome(order, rewriter))).encode())
    if order.facts.fetched:
        store_for(order.facts.fetched).delete([order.facts.fetched])
    return order.key


def _outcome(order: FitOrder, rewriter: ImageRewriter) -> Fitted:
    facts = order.facts
    made = None if order.stage else _made_before(order, rewriter)
    if made:
        return made
    on_server = abilities(facts.uri).composes and abilities(rewriter.image_folder).composes
    if order.stage and on_server and not facts.encoding:
        return _copied(order, rewriter)
    try:
        if order.stage:
            data = read_image(facts, rewriter.inspector.places.readable)
            name = content_name(data)
            image = FittedImage(data, facts.type, facts.width, facts.height, 0, "", 1.0, 0, "untouched")
        else:
            name, pixels = order.key, facts.width * facts.height
            image = rewriter.inspector.pool.fit(
                lambda: read_image(facts, rewriter.inspector.places.readable),
                rewriter.policy,
                source=name,
                header_type=facts.type,
                pixels=pixels,
                size=facts.size,
            )
    except (ImageError, StorageError) as error:  # of reading and decoding; a failed write below is an outage
        if isinstance(error, Unavailable) and not abilities(facts.uri).has_paths:
            raise  # says nothing about the image
        return Fitted(reason=error.reason, detail=str(error))
    uri = rewriter.image_uri(name, image.type)
    size, shape, store = len(image.data), (image.width, image.height), store_for(uri)
    if order.stage and abilities(uri).has_paths and abilities(facts.uri).has_paths:
        if not _linked(facts, uri, name):
            store.replace(uri, image.data, "")  # puts another file in its place, and writes into none
    elif not store.create(uri, image.data, f"image/{image.type}"):
        # Another execution's, by other codecs perhaps; or what a machine without power left of it, or somebody put there.
        if not order.stage and (made := _made_before(order, rewriter)):
            return made
        if store.stat(uri).size != size:
            store.replace(uri, image.data, "")
    dropped, flat = image.frames_dropped, image.flat
    identity = "" if order.stage else identity_of_rewritten(image.data, size)
    return Fitted(
        uri, image.type, size, *shape, image.fate, image.quality, image.scale, dropped, flat, identity=identity
    )


def _linked(facts: ImageFacts, uri: str, name: str) -> bool:
    """Whether a conforming local image lies beside the dataset as one more link to its file, which costs no room.

    What was linked is read again by its new name: the old one may have come to name another file.
    """
    store = store_for(uri)
    source = Stat(
        os.path.realpath(facts.uri), facts.size, facts.generation
    )  # a link to a link would lead elsewhere from here
    try:
        store.copy(source, uri)
    except (NotFound, Changed, NotAFile):
        return False
    return content_name(store.read(uri)[0]) == name


def _copied(order: FitOrder, rewriter: ImageRewriter) -> Fitted:
    """A conforming object of Cloud Storage beside the dataset: no byte of it passes through here."""
    facts, uri = order.facts, rewriter.image_uri(order.key, order.facts.type)
    try:
        store_for(uri).copy(Stat(facts.uri, facts.size, facts.generation), uri)
    except (NotFound, Changed) as error:  # it was there when it was inspected
        return Fitted(reason=error.reason, detail=str(error))
    return Fitted(uri, facts.type, facts.size, facts.width, facts.height, "untouched")


def _made_before(order: FitOrder, rewriter: ImageRewriter) -> Fitted | None:
    """What an earlier run made of the same source by the same policy, as the image itself tells it."""
    for image_type in ("jpeg", "png"):
        uri = rewriter.image_uri(order.key, image_type)
        try:
            head, found = store_for(uri).read(uri, 0, REWRITTEN_HEAD)
        except NotFound:
            continue
        told = read_facts(head)
        if told and told.get("source") == order.key:
            width, height = int(told["width"]), int(told["height"])
            return Fitted(
                uri,
                image_type,
                found.size,
                width,
                height,
                str(told["fate"]),
                int(told["quality"]),
                float(told["scale"]),
                int(told.get("frames_dropped", 0)),
                bool(told.get("flat", 0)),
                identity=identity_of_rewritten(head, found.size),
            )
    return None


def read_image(facts: ImageFacts, readable: tuple[str, ...]) -> bytes:
    """All bytes of an image that was inspected, unpacked.

    Args:
      facts: the version that is read; without a generation any.
      readable: folders that local images may lie in.

    Raises:
      StorageError: it cannot be read any more.
      ImageError: it cannot be unpacked.
    """
    if facts.fetched:
        try:
            data, found = store_for(facts.fetched).read(facts.fetched)
            if found.size == facts.size:
                return data
        except NotFound:  # another run's, or another execution has rewritten it
            pass
    if not abilities(facts.uri).has_paths:
        data = store_for(facts.uri).read(facts.uri, generation=facts.generation)[0]
        return unpack(data) if facts.encoding == "gzip" else data
    descriptor = -1
    try:
        descriptor, found = open_allowed(facts.uri, readable)
        return read_open(descriptor, found, 0, found.size, facts.generation)[0]
    except OSError as error:  # it was there when it was inspected
        raise translate(error, facts.uri) from None
    finally:
        if descriptor >= 0:
            os.close(descriptor)
