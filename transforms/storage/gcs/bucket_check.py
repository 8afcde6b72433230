"""Check a bucket's settings (retention, holds, soft delete, class) before writing: gs:// folder -> why it cannot work, what it costs.

A job makes, replaces, composes and deletes many objects on the way, all in the bucket of its output. The check takes one request and
a permission (storage.buckets.get) that writing does not need: without the permission nothing is reported.
"""

from __future__ import annotations

from transforms.storage import store_for
from transforms.storage.api import Forbidden, NotFound
from transforms.storage.gcs.client import split_uri
from transforms.storage.gcs.store import GcsStore

_DAY = 86_400  # seconds


def look_at_bucket(folder: str) -> tuple[str, list[str]]:
    """-> (why no job can write there, or ""; warnings), each a sentence or two for a person."""
    name, store = split_uri(folder)[0], store_for(folder)
    assert isinstance(store, GcsStore)
    try:
        bucket = store.bucket(name)
    except NotFound:
        return (
            f"{folder}: there is no bucket {name!r}. Is it spelled right? To make it: gcloud storage buckets create gs://{name}",
            [],
        )
    except Forbidden:
        return "", []
    if bucket.retention_period:
        days = bucket.retention_period / _DAY
        return (
            f"{folder}: the bucket's retention policy keeps every object for {days:g} days from being replaced or deleted, and "
            "a job has to do both with its own work: choose an --output in a bucket without one",
            [],
        )
    if bucket.default_event_based_hold:
        return (
            f"{folder}: the bucket holds every new object (default event-based hold), so that a job could neither replace nor "
            "delete its own work: choose an --output in a bucket without one",
            [],
        )
    warnings = []
    kept = bucket.soft_delete_policy.retention_duration_seconds or 0
    if kept:
        warnings.append(
            f"gs://{name} keeps deleted objects for {kept / _DAY:g} days (soft delete): what a job writes on the way, about "
            "twice the text of the dataset, is billed for as long"
        )
    if bucket.versioning_enabled:
        warnings.append(
            f"gs://{name} keeps old versions of objects: what a job deletes on the way stays, and is billed"
        )
    if bucket.storage_class not in ("STANDARD", "MULTI_REGIONAL", "REGIONAL", None):
        warnings.append(
            f"gs://{name} is of class {bucket.storage_class}, which bills each object for its least time of storage, also "
            "those that a job deletes at once: a bucket of class STANDARD costs less"
        )
    return "", warnings
