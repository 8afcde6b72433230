"""Look at the first files of every input: options -> options that know what each is, and lines that say what was found.

What was found is said with the option that overrides it; what cannot be is an error before anything is written. Of a table its
columns are held against those that options name.
"""

from __future__ import annotations

import posixpath
from dataclasses import replace

from transforms.core.warning_codes import Notice
from transforms.examples.image_cells import columns_of_images
from transforms.inputs.metadata_files import find_metadata
from transforms.inputs.options import InputError, InputOptions
from transforms.inputs.patterns import first_image, is_folder
from transforms.inputs.registry import DEFAULT, TABLE
from transforms.inputs.survey.annotated_folders import annotations_of
from transforms.inputs.survey.by_image import refuse_named_splits
from transforms.inputs.survey.first_file import AUTO
from transforms.inputs.survey.input_detector import InputDetector
from transforms.inputs.survey.layouts import advice_on_shards
from transforms.inputs.survey.splits import survey_splits

_TEMPLATES = ("prompt", "answer", "system", "image_column")
_CAPTION = "{sidecar.caption}"  # of an image that img2dataset wrote
_LOOKED_FOR_IMAGES = 1000  # names, to find an image that no metadata file stands above
_SAID = 5  # metadata files of a folder that are told


def detect(options: InputOptions) -> tuple[InputOptions, list[str]]:
    """The same options with what each input is and the columns of images; what to say, nothing if all are Gemini's rows.

    Raises:
      InputError: an input has no file, or is not what options say.
    """
    looks = [look for pattern in options.input for look in look_at(pattern, options)]
    given = [name for name in _TEMPLATES if getattr(options, name)]
    if given and not any(look.meaning.by_templates or look.replay for look in looks):
        raise InputError(
            f"--{given[0]} is for rows of tables and folders, but {options.input[0]} holds {looks[0].meaning.rows}: leave it "
            "out, or name another --input_format"
        )
    if not options.answer and all(look.has_captions for look in looks):
        options = replace(options, answer=_CAPTION)
    about_splits: list[Notice] = []
    decides = "" if options.columns_of_splits or options.only_by_image else split_column_of(looks)
    if decides:
        options = replace(options, split_column=decides)
        split = [f"{decides} decides the split where it is given (--split_column {decides})"]
    else:
        rows, json = not all(look.meaning.of_files for look in looks), any(look.json for look in looks)
        names, split, about_splits = survey_splits(options, rows, json)
        options = replace(options, names_of_splits=names)
    refuse_named_splits(options, decides, split)
    if not options.upright and any(look.boxes(options) for look in looks):
        options = replace(options, upright=True)
        split.append("images with a rotation tag are rewritten upright (--upright): boxes are of the picture as shown")
    for look in looks:
        options = look.fill(options)
    notices = (*about_splits, *(notice for look in looks for notice in look.notices), *unseen_columns(options, looks))
    options = replace(options, inputs=tuple(look.input for look in looks), notices=(*options.notices, *notices))
    if all(look.meaning is DEFAULT for look in looks):
        return options, split
    told = [look.said for look in looks if not look.quiet]
    if len(told) < len(looks):
        told.append(f"and {len(looks) - len(told):,} more metadata files")
    return options, told + split


def split_column_of(looks: list[InputDetector]) -> str:
    """The column that decides the split of a meaning's rows, unless rows of tables or images stand beside them; else ""."""
    decides = next((look.meaning.split_column for look in looks if look.meaning.split_column), "")
    others = any(look.meaning.by_templates and look.meaning.split_column != decides for look in looks)
    return "" if others else decides


def unseen_columns(options: InputOptions, looks: list[InputDetector]) -> list[Notice]:
    """Columns that are to decide the split and stand in none of the first rows, which Gemini's rows need not have."""
    return [
        Notice(
            "column_unseen", detail=f"the first rows of {look.pattern} have no {getattr(options, name)!r} (--{name})"
        )
        for look in looks
        if not look.meaning.by_templates and not look.replay
        for name in options.columns_of_splits
        if getattr(options, name) not in look.first_keys()
    ]


def look_at(pattern: str, options: InputOptions) -> list[InputDetector]:
    """An input as what it is; a folder of images with metadata files is the tables that these are, and the images beside them."""
    look = InputDetector(pattern, options)
    if look.shards:
        return [_as_shards(look, options)]
    if not look.meaning.of_files or not is_folder(pattern):
        return [look]
    metadata = find_metadata(look.base, (*look.left_out, options.output), options.links)
    if not metadata.whole:
        look.notices.append(Notice("metadata_not_sought", example=pattern))
    if not metadata.uris:
        return _as_annotated(look, options)

    tables = [InputDetector(uri, replace(options, input_format=TABLE.name)) for uri in metadata.uris]
    for number, table in enumerate(tables):
        table.base, table.nearer, table.quiet = look.base, metadata.nearer(table.pattern), number >= _SAID
    tables[0].notices = look.notices
    look.left_out += metadata.folders
    image = first_image(pattern, (*look.left_out, options.output), options.links, _LOOKED_FOR_IMAGES)
    if not image:
        return tables
    columns = set(options.recipe.columns if options.recipe else ()) - set(columns_of_images(options.image_column))
    if columns <= set(look.meaning.columns or ()):
        look.beside_tables = True
        return [*tables, look]
    look.notices.append(Notice("images_without_metadata", example=image))
    return tables


def _as_shards(look: InputDetector, options: InputOptions) -> InputDetector:
    """A folder of img2dataset's as its shards, or the images that lie beside its tables.

    Raises:
      InputError: columns are asked for that only its tables have.
    """
    shards = InputDetector(look.pattern, replace(options, input_format=look.shards))
    shards.has_captions = shards.meaning.of_files
    columns = {name.partition(".")[0] for name in (options.recipe.columns if options.recipe else ())}
    if shards.has_captions and not columns <= set(shards.meaning.columns or ()):
        raise InputError(advice_on_shards(look.pattern.rstrip("/")))
    shards.said += ", as img2dataset wrote them"
    return shards


def _as_annotated(look: InputDetector, options: InputOptions) -> list[InputDetector]:
    """A folder of images as the annotations among them say, where nobody named its format and they say one thing."""
    told = annotations_of(look.pattern, options) if options.input_format == AUTO else []
    if len(told) != 1 or not told[0].patterns:
        if told:
            kinds = " and ".join(f"{one.meaning.name} ({posixpath.basename(one.by)})" for one in told)
            look.notices.append(Notice("annotations_unread", example=look.pattern, detail=f"it holds {kinds}"))
        return [look]
    annotated = told[0]
    looks = [InputDetector(one, replace(options, input_format=annotated.meaning.name)) for one in annotated.patterns]
    for number, one in enumerate(looks):
        one.quiet = number >= _SAID
        one.base = annotated.bases[number] if annotated.bases else ""
        one.said += f", told by {posixpath.basename(annotated.by)} (--input_format folder reads the images alone)"
    looks[0].notices += look.notices
    if annotated.unread:
        detail = "; ".join(annotated.unread)
        looks[0].notices.append(Notice("annotations_unread", example=look.pattern, detail=detail))
    return looks
