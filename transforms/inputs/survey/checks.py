"""A look before the work: the first rows of every input, as they would be answered -> Notices of what looks wrong.

It never ends a job. CHECKS is the list of what is looked for: a check takes a sample of an input and the options, and gives Notices.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from transforms.core.media_types import IMAGE_TYPES
from transforms.core.reasons import ImageError
from transforms.core.warning_codes import Notice
from transforms.examples.prompt_templates import Template, asks_for, is_path, parse_template
from transforms.inputs.image_names import is_image_name
from transforms.inputs.options import InputOptions
from transforms.inputs.registry import MEANINGS
from transforms.inputs.survey.links import links_out
from transforms.inputs.survey.near_paths import Thinker
from transforms.inputs.survey.sample import Sample, SampleRow, sample_of
from transforms.storage import abilities
from transforms.storage.places import Places
from transforms.storage.uris import is_web, object_of_url
from transforms.storage.web.urls import normal_url, server_of

_FEW = 3  # answers, of which fewer may be equal by chance
_TECHNICAL = frozenset(
    (
        "images", "image", "imgs", "img", "pictures", "picture", "pics", "photos", "photo", "frames", "crops", "thumbs", "thumbnails",
        "data", "dataset", "datasets", "files", "raw", "original", "originals", "input", "inputs", "output", "source", "samples",
        "labels", "annotations", "export", "exports", "download", "downloads", "upload", "uploads", "media", "assets", "static", "tmp",
        "temp", "misc", "new folder", "untitled folder", "dcim", "camera", "100apple", "unsorted", "all", "jpegimages",
        "train", "training", "validation", "validate", "valid", "val", "dev", "test", "testing", "eval", 
        *IMAGE_TYPES,
    )
)  # fmt: skip
_DATE = re.compile(r"(?:19|20)\d\d(?:[-_. ]?(?:0[1-9]|1[0-2])(?:[-_. ]?(?:0[1-9]|[12]\d|3[01])(?:[-_. T].*)?)?)?")
_HASH = re.compile(r"[0-9a-f]{2}|(?=[^0-9]*[0-9])[0-9a-f]{8,}|[0-9a-f]{8}-[0-9a-f-]{27}|\d{4,}", re.IGNORECASE)
_PART_WORDS = re.compile(r"(?:part|shard|batch|chunk|folder|dir|split)[-_ ]?\d*", re.IGNORECASE)

Check = Callable[[Sample, InputOptions], Iterable[Notice]]


def survey(options: InputOptions) -> list[Notice]:
    """What looks wrong about the inputs; `options` know what each of them is."""
    notices: dict[tuple[str, str], Notice] = {}
    for one_input in options.inputs:
        sample = sample_of(one_input, options)
        for notice in (notice for check in CHECKS for notice in check(sample, options)):
            notices.setdefault((notice.code, notice.detail), notice)
    return list(notices.values())


def equal_answers(sample: Sample, options: InputOptions) -> Iterator[Notice]:
    answers = _answers(sample, options)
    if len(answers) >= _FEW and len(set(answers)) == 1:
        number = len(answers)
        yield Notice("answers_equal", number, answers[0], f"all {number:,} answers that were looked at are equal")


def technical_answers(sample: Sample, options: InputOptions) -> Iterator[Notice]:
    """Answers told by a path that no person gave to a class."""
    template = _answer_template(sample, options)
    if not template or not any(map(is_path, template.names)):
        return
    answers = _answers(sample, options)
    technical = Counter(answer for answer in answers if is_technical(answer))
    if technical:
        example, _ = min(technical.items(), key=lambda item: (-item[1], item[0]))
        said = f"{sum(technical.values()):,} of {len(answers):,} answers that were looked at are names of folders that say no class"
        yield Notice("answers_technical", sum(technical.values()), example, said)


def is_technical(name: str) -> bool:
    """Whether a folder is called by what it technically is, by a date, a number or a hash, and not by a class.

    >>> [is_technical(name) for name in ("Images", "train2017", "2023-05", "eb", "9f86d081884c", "0001", "IMG_0.jpg", "part-3")]
    [True, True, True, True, True, True, True, True]
    >>> [is_technical(name) for name in ("cat", "beef", "facade", "7", "red wine", "trainer")]
    [False, False, False, False, False, False]
    """
    lower = name.strip().lower()
    words = [word for word in re.split(r"[-_. ]+", re.sub(r"\d+$", "", lower)) if word]
    if lower in _TECHNICAL or (words and all(word in _TECHNICAL for word in words)) or _PART_WORDS.fullmatch(lower):
        return True
    return bool(_DATE.fullmatch(lower) or _HASH.fullmatch(lower)) or is_image_name(lower)


def literal_templates(sample: Sample, options: InputOptions) -> Iterator[Notice]:
    """Templates without a place that are called as a column is."""
    columns = {name for row in sample.rows for name in row.columns} | {"path", "path.parent", "sidecar", "metadata"}
    for option in ("prompt", "answer", "system"):
        text = getattr(options, option).strip()
        if text in columns and not parse_template(text).names:
            said = f"--{option} {text} is that word for every row, and the input has something of this name"
            yield Notice("template_literal", example=f"--{option} '{{{text}}}'", detail=said)


def unused_images(sample: Sample, options: InputOptions) -> Iterator[Notice]:
    """Columns that hold names of images and that no option names."""
    if not MEANINGS[sample.input.format].own_columns:
        return
    used = {name.split(".")[0] for name in (options.recipe.columns if options.recipe else ())}
    for column in dict.fromkeys(name for row in sample.rows for name in row.columns if name not in used):
        values = [value for row in sample.rows if (value := row.columns.get(column)) not in (None, "", [])]
        if values and sum(map(_holds_image, values)) * 2 > len(values):
            yield Notice("images_unused", example=column, detail="a column holds images, and no option names it")


def unread_tables(sample: Sample, options: InputOptions) -> Iterator[Notice]:
    if sample.tables:
        yield Notice("tables_unread", len(sample.tables), min(sample.tables))


def misnamed_images(sample: Sample, options: InputOptions) -> Iterator[Notice]:
    """Images of the first rows that are not there, where files lie that they may mean."""
    if options.verify == "none":
        return
    thinker = Thinker(options.readable, abilities(sample.input.pattern).has_paths, options.image_root)
    missing = [named for named in sample.images if named.is_path and not thinker.is_found(named)]
    for named, told in thinker.advices(missing):
        said = f"of the first {len(sample.images):,} images {len(missing):,} are not there, but {told}"
        yield Notice("images_misnamed", len(missing), named.written, said)


def urls_not_allowed(sample: Sample, options: InputOptions) -> Iterator[Notice]:
    """URLs that the first rows name, and that no option lets be read."""
    places, refused = Places(options.readable), dict[str, str]()
    for named in sample.images:
        try:
            if is_web(named.written) and not object_of_url(named.written):
                places.resolve(named.written, named.base)
        except ImageError as error:
            if error.reason == "not_allowed":
                refused[named.written] = f"{server_of(normal_url(named.written))}/"
    if refused:
        prefixes = ",".join((*options.allow_prefix, *sorted(set(refused.values()))))
        said = f"of the first {len(sample.images):,} images {len(refused):,} are named by URLs that may not be read"
        hint = f"{said}: --allow_prefix {prefixes} lets them be read"
        yield Notice("urls_not_allowed", len(refused), next(iter(refused)), hint)


def leading_out(sample: Sample, options: InputOptions) -> Iterator[Notice]:
    """Links that lead out of what may be read."""
    return links_out(sample.input.pattern, options)


CHECKS: tuple[Check, ...] = (
    equal_answers,
    technical_answers,
    literal_templates,
    unused_images,
    unread_tables,
    leading_out,
    misnamed_images,
    urls_not_allowed,
)


def _answer_template(sample: Sample, options: InputOptions) -> Template | None:
    meaning = MEANINGS[sample.input.format]
    if not meaning.by_templates:
        return None
    if options.recipe and options.recipe.answer:
        return options.recipe.answer
    return parse_template(meaning.row.answer) if meaning.row.answer else None


def _answers(sample: Sample, options: InputOptions) -> list[str]:
    """What the rows would be answered, as far as nothing beside the images is asked for."""
    template = _answer_template(sample, options)
    if not MEANINGS[sample.input.format].example:
        return [answer for row in sample.rows if (answer := _answer_of_gemini(row))]
    if not template or any(asks_for(template.names, column) for column in ("sidecar", "metadata")):
        return []
    answers = (template.render(row.columns, row.path) for row in sample.rows)
    return [answer for answer in answers if answer.strip()]


def _answer_of_gemini(row: SampleRow) -> str:
    """The text that a row of Gemini's ends with; "" if it has none."""
    contents = row.columns.get("contents")
    turn = contents[-1] if isinstance(contents, list) and contents else None
    parts = turn.get("parts") if isinstance(turn, dict) else None
    part = parts[-1] if isinstance(parts, list) and parts else None
    text = part.get("text") if isinstance(part, dict) else None
    return text if isinstance(text, str) else ""


def _holds_image(value: object) -> bool:
    if isinstance(value, list):
        return bool(value) and all(map(_holds_image, value))
    return is_image_name(value)
