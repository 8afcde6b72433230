"""What looks like the name of an image."""

from __future__ import annotations

import re

from transforms.core.media_types import has_image_ending, named_by
from transforms.storage.uris import ANY_OBJECT

_OBJECT = re.compile(ANY_OBJECT, re.IGNORECASE)


def is_image_name(value: object) -> bool:
    """Whether a text looks like an image's name: a gs:// object, or a file of a known type."""
    if not isinstance(value, str) or len(value) >= 2048:
        return False
    name = value.strip()
    return "\n" not in name and (_OBJECT.fullmatch(name) is not None or has_image_ending(named_by(name)))
