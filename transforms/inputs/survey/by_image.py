"""Splits that the data names, beside --split_by image, which would undo them: refused, with the reason."""

from __future__ import annotations

from transforms.inputs.options import InputError, InputOptions
from transforms.inputs.survey.splits import OVERRIDE


def refuse_named_splits(options: InputOptions, column: str, lines: list[str]) -> None:
    """Under --split_by image the data may not name splits, unless they are ignored.

    Args:
      column: of a format, that decides the split of its rows, if there is one. lines: what names decide, for a person.

    Raises:
      InputError: the data names splits.
    """
    if not options.by_image or not (column or lines):
        return
    decides = f"{column} decides the split of its rows" if column else lines[0].removesuffix(OVERRIDE).strip()
    raise InputError(
        f"--split_by image, but the data names its splits ({decides}): examples that share an image have to stay in one split, "
        "wherever these are. Leave --split_by image out to keep them (`tuneset check` then tells which images are in two splits: "
        "image_in_two_splits), or add --split_names ignore to split by images alone"
    )
