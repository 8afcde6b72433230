"""Look at the first files of every input: Settings -> Settings that know what each is, and lines that say what was found.

What was found is said with the option that overrides it; what cannot be is an OptionError before anything is written.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from beam_jobs.looking import Look
from beam_jobs.options import OptionError
from beam_jobs.settings import Settings
from transforms.core.splits import split_word
from transforms.listing import is_folder
from transforms.storage import exists, store_for

_TEMPLATES = ("prompt", "answer", "system", "image_column")
_SPLIT_FOLDERS = ("train", "training", "validation", "validate", "val", "test")


def detect(settings: Settings) -> tuple[Settings, list[str]]:
    """The same settings with what each input is and the columns of images; what to say, nothing if all are Gemini's rows.

    Raises:
      OptionError: an input has no file, or is not what options say.
    """
    looks = [look for pattern in settings.input for look in look_at(pattern, settings)]
    given = [name for name in _TEMPLATES if getattr(settings, name)]
    if given and not any(look.format != "gemini" or look.replay for look in looks):
        raise OptionError(
            f"--{given[0]} is for rows of tables and folders, but {settings.input[0]} holds Gemini's rows: leave it out, or "
            "name another --input_format"
        )
    settings, split = split_folders(settings, looks)
    formats = {look.format for look in looks}
    if "automl" in formats <= {"automl", "gemini"} and not (settings.split_by or settings.split_column):
        settings = replace(settings, split_column="ml_use")
        split.append("ml_use decides the split where it is given (--split_column ml_use)")
    if not settings.upright and any(look.boxes(settings) for look in looks):
        settings = replace(settings, upright=True)
        split.append(
            "images with a rotation tag are rewritten upright (--upright): boxes are of the picture as it is shown"
        )
    for look in looks:
        settings = look.fill(settings)
    settings = replace(settings, inputs=tuple(look.input for look in looks))
    if all(look.format == "gemini" for look in looks):
        return settings, unknown_columns(settings, looks)
    return settings, [look.said for look in looks] + split + unknown_columns(settings, looks)


def unknown_columns(settings: Settings, looks: list[Look]) -> list[str]:
    """Warnings: columns that are to decide the split and stand in none of the first rows, which Gemini's rows need not have."""
    return [
        f"! the first rows of {look.pattern} have no {getattr(settings, name)!r} (--{name})"
        for look in looks
        if look.format == "gemini" and not look.replay
        for name in ("split_by", "split_column")
        if getattr(settings, name) and getattr(settings, name) not in look.first_keys()
    ]


def look_at(pattern: str, settings: Settings) -> list[Look]:
    """An input as what it is; a folder of images with metadata beside them is the tables that these are."""
    look = Look(pattern, settings)
    if look.format != "folder" or not is_folder(pattern):
        return [look]
    places = split_places(look.base, settings)
    tables = [
        Look(uri, replace(settings, input_format="table")) for uri in metadata_files([look.base, *places.values()])
    ]
    for table in tables:
        table.base = look.base
    return tables or [look]


def metadata_files(folders: Iterable[str]) -> list[str]:
    """Hugging Face's convention: metadata.csv or .jsonl in a folder of images, or in each of its folders of a split."""
    return [uri for folder in folders for kind in ("csv", "jsonl") if exists(uri := f"{folder}/metadata.{kind}")]


def split_places(folder: str, settings: Settings) -> dict[str, str]:
    """Where folders of a split may lie, by name: a dataset may be called `test` too."""
    places = {name: f"{folder}/{name}" for name in _SPLIT_FOLDERS}
    return {name: place for name, place in places.items() if place not in (settings.output, *settings.left_out)}


def split_folders(settings: Settings, looks: list[Look]) -> tuple[Settings, list[str]]:
    """Let folders called train, validation, test decide the split, if all inputs have them and no option decides it."""
    if settings.split_by or settings.split_column or not all(look.base for look in looks):
        return settings, []
    there: dict[str, None] = {}
    for base in dict.fromkeys(look.base for look in looks):
        places = split_places(base, settings)
        names = [name for name, place in places.items() if next(store_for(base).list(place), None)]
        if len({split_word(name) for name in names}) < 2:
            return settings, []
        there.update(dict.fromkeys(names))
    return replace(settings, split_column="path.1"), [
        f"folders {', '.join(there)} decide the split (--split_column path.1)"
    ]
