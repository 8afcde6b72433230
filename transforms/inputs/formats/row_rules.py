"""What all rows of a block are made examples by."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from transforms.core.warning_codes import WarningCounts
from transforms.examples.recipe import Recipe


@dataclass(frozen=True)
class RowRules:
    """Handed to whoever makes an example of a row.

    seed, check_types: as gemini_rules.parse_example takes them. recipe: the templates, None without --prompt. part_resolution:
    whether the model takes a media resolution for each image. warnings: where one that a row deserves is counted.
    """

    seed: bytes
    check_types: Collection[str] | None
    recipe: Recipe | None = None
    part_resolution: bool = False
    warnings: WarningCounts = field(default_factory=WarningCounts)
