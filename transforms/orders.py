"""What has to be done about an image: ImageFacts -> FitOrder, or nothing; and where the outcome goes."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

from transforms.committing import WORK, Ledgers
from transforms.core.places import uploaded_images
from transforms.core.policy import FitPolicy
from transforms.core.records import FitOrder, Fitted, ImageFacts
from transforms.looking import Inspector
from transforms.storage import is_local

_SUFFIX = {"jpeg": ".jpg"}


@dataclass(frozen=True, kw_only=True)
class Fitter:
    """Where rewritten images go, and by which policy.

    stage: conforming local images are put beside them, as the dataset will be read elsewhere. copy: gs:// ones are too, on the
    server. uri_prefix: where a local dataset will be uploaded to, if anywhere.
    """

    ledgers: Ledgers
    inspector: Inspector
    image_folder: str
    stage: bool
    copy: bool = False
    uri_prefix: str = ""

    @property
    def policy(self) -> FitPolicy:
        return self.inspector.policy

    def order(self, facts: ImageFacts) -> FitOrder | None:
        """What has to be done about an image, if anything."""
        fit = self.inspector.must_fit(facts)
        staged = self.stage if is_local(facts.uri) else self.copy or facts.encoding == "gzip"
        if facts.reason or not (fit or staged):
            return None
        digest = blake2b(f"{facts.uri}\n{facts.generation}\n".encode(), digest_size=16, person=b"tuneset fit")
        digest.update(self.policy.digest_text().encode() if fit else b"stage")
        return FitOrder(digest.hexdigest(), facts, stage=not fit)

    def image_uri(self, key: str, type: str) -> str:
        return f"{self.image_folder}/{key[:2]}/{key}{_SUFFIX.get(type, '.' + type)}"

    def publish(self, fitted: Fitted) -> str:
        """The fileUri of an image of the image folder, as it will be called after uploading."""
        if self.uri_prefix and is_local(fitted.uri):
            return f"{uploaded_images(self.uri_prefix)}/{fitted.uri.rpartition('/')[2]}"
        return fitted.uri

    def outcome_path(self, key: str) -> str:
        return f"{self.ledgers.folder}/{WORK}/fits/{key[:2]}/{key}.{self.ledgers.epoch}.json"
