"""What answers of HTTP say beside their bodies: how long to wait, and which bytes these are."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

import requests

from transforms.storage.curl.handle import Answer

_BYTES = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(?:\d{1,18}|\*)", re.ASCII)


def retry_after(answer: Answer) -> float:
    """Seconds that the server wants to be left alone; 0 if it says nothing that can be understood."""
    said = answer.headers.get("retry-after", "")
    if re.fullmatch(r"\d{1,9}", said, re.ASCII):
        return float(said)
    try:
        at = parsedate_to_datetime(said)
    except ValueError:
        return 0.0
    return max(0.0, (at.replace(tzinfo=at.tzinfo or timezone.utc) - datetime.now(timezone.utc)).total_seconds())


def check_range(answer: Answer, start: int, end: int | None) -> None:
    """Hold a part against the range that it says it is, and that against what was asked for.

    Raises:
      requests.ConnectionError: they differ, so it is to be asked for again.
    """
    said = _BYTES.fullmatch(answer.headers.get("content-range", ""))
    if answer.status != 206 or not said:
        return
    first, last = int(said[1]), int(said[2])
    if first != start or last - first + 1 != len(answer.data) or (end is not None and last >= end):
        wanted = f"{start}-{'' if end is None else end - 1}"
        raise requests.ConnectionError(
            f"asked for bytes {wanted}, {len(answer.data):,} came that are said to be {first}-{last}"
        )
