"""What a Pub/Sub message says: that an object was uploaded, a row itself, something that is no arrival, or nothing that is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from transforms.core import jsonl
from transforms.core.places import BUCKET
from transforms.core.reasons import RowError
from transforms.storage.api import Stat
from transforms.storage.uris import bucket_uri

LEASE_S = 30  # for which a message is ours, until it is renewed: as long do those of a stream that died stay away
OTHER, GARBAGE = "other", "garbage"
_UPLOADED = "OBJECT_FINALIZE"
_EVENTS = (_UPLOADED, "OBJECT_DELETE", "OBJECT_ARCHIVE", "OBJECT_METADATA_UPDATE")


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it was delivered. ack: what it is acknowledged by. published: in microseconds since 1970."""

    ack: str
    name: str
    data: bytes
    attributes: Mapping[str, str]
    published: int


@dataclass(frozen=True, slots=True)
class RowMessage:
    """A message that is a row."""

    row: bytes  # one line, without its end


def said_by(message: Message) -> Stat | RowMessage | str:
    """What a message says.

    Returns:
      The object that was uploaded, of size -1 if the message does not tell it; a row; OTHER: another event of Cloud Storage, which
      brings nothing; GARBAGE: neither an event nor marked as a row.
    """
    attributes = message.attributes
    if attributes.get("tuneset") == "row":
        return RowMessage(_one_line(message.data))
    event = attributes.get("eventType")
    if event not in _EVENTS:
        return GARBAGE
    bucket, name, generation = (attributes.get(key, "") for key in ("bucketId", "objectId", "objectGeneration"))
    if not BUCKET.fullmatch(bucket) or not name or not generation.isdecimal():
        return GARBAGE
    if event != _UPLOADED or name.endswith("/"):
        return OTHER
    told = _told(message.data)
    size = str(told.get("size", ""))
    return Stat(
        f"{bucket_uri(bucket)}/{name}",
        int(size) if size.isdecimal() else -1,
        generation,
        str(told.get("contentEncoding", "")),
        int(generation),  # microseconds since 1970
    )


def _told(data: bytes) -> dict[str, Any]:
    """The object as Cloud Storage describes it; nothing if the notification has no payload."""
    try:
        return jsonl.loads(data) if data else {}
    except RowError:
        return {}


def _one_line(data: bytes) -> bytes:
    """A row as a line: JSON may be laid out over several."""
    if b"\n" not in data and b"\r" not in data:
        return data
    try:
        return jsonl.dumps(jsonl.loads(data))
    except RowError:  # it is rejected as it stands
        return b" ".join(data.split())
