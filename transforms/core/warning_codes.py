"""Every warning: one table of stable codes. A warning never ends a job; it says what looks wrong, or what was left out.

A `Notice` is one warning of a run or a dataset. It is told on the screen in a line that begins with `! `, and stands in the manifest
under `dataset.warnings` (what follows from the input alone, so that every run of it says the same) or `run.warnings` (the rest).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from transforms.core.limits import DEFAULT_PROFILE, PROFILES, TUNABLE, Profile, takes_more


@dataclass(frozen=True, slots=True)
class WarningCode:
    name: str
    unit: str  # what is counted, in the singular; "" if nothing is
    meaning: str  # what was found; after a count it reads on: "3 examples held more images than ..."
    hint: str = ""  # what to do about it


_ROOMIER = " or ".join(
    f"--model {profile.name}" for profile in takes_more(PROFILES[DEFAULT_PROFILE], PROFILES[DEFAULT_PROFILE].max_images)
)
_TUNABLE = " or ".join(f"--model {profile.name}" for profile in TUNABLE)

_TABLE = (
    # the model
    ("model_retired", "", "the model is retired, so no tuning job takes it", f"{_TUNABLE} makes a dataset for one that can be tuned."),
    ("model_unknown", "", "it is not known whether the model can still be tuned",
     f"Ask the service before a long run; {_TUNABLE} makes a dataset for one that can be tuned."),
    # rows of tables
    ("records_merged", "line", "would each be a record, but lie inside a quoted cell: is a quote missing, or one too many?",
     "Mend the quotes there, or double those that are text."),
    ("tsv_unquoted", "TSV file", "whose quotes do not balance: every quote in it was read as a letter", ""),
    ("blank_records", "record", "of empty cells only, read as blank lines", ""),
    # the finished dataset
    ("train_in_several_files", "file", "of training lines were needed, and a tuning job takes one of them",
     "Name one of them, or train in several jobs."),
    ("train_files_in_order", "", "the first file of training lines is the first part of the input, not a fair sample",
     "--shuffle_seed 1 mixes them."),
    ("classes_in_order", "", "images of a folder stand in the order of their names, so classes follow one another",
     "--shuffle_seed 1 mixes them."),
    ("empty_split", "", "a split that was asked for has no line", "Raise its fraction in --splits, or bring more examples."),
    ("validation_bytes", "byte", "of validation are over 25 % of those of the training file: the service may refuse them",
     "--max_validation auto keeps 20 %; it never cuts a split that the data names, where --max_validation N keeps N examples."),
    ("validation_examples", "line", "of validation are over 1,000 and over 30 % of the training file's: the service may refuse them",
     "--max_validation N keeps N examples, --max_validation auto as many as are taken, unless the data names the split."),
    ("validation_over_model", "line", "of validation are more than the model takes", "--max_validation N keeps N examples."),
    ("examples_split", "example", "held more images than an example may, and became pieces",
     "Where an answer depends on all of them, use --on_too_many_images reject."),
    ("examples_cut_by_default", "example",
     f"held more images than {DEFAULT_PROFILE} takes, but not too many for a model that can be tuned",
     f"{_ROOMIER} takes them whole."),
    ("examples_over_tokens", "example", "may hold more tokens than the model takes (estimated)",
     "--on_too_many_tokens reject leaves them out."),
    ("split_unnamed", "example", "whose folder or file names no split, beside others that do: the hash decides there",
     "Rename it, or give a --split_column; --split_names ignore lets the hash decide everywhere."),
    ("image_common", "example", "held an image that over 1 % of all examples hold, which does not keep them together",
     "If it says something about them, --join_common does."),
    ("image_group_large", "example", "hang together by images that they share, more than the share of a split: --splits cannot hold",
     "Leave out what joins them, or name a column with --split_by; another --seed puts them into another split."),
    ("test_without_answers", "file", "named test without the column of the answer, and left out",
     "To use it, name it as an --input of its own with an --answer that it has."),
    ("annotations_unread", "", "a folder of images holds annotations, and they are not read",
     "--input names their file, --input_format the one that is meant of several, --image_root the folder of the images."),
    ("json_without_rows", "file", "called .json without a row (settings, a list of classes, ...), and left out", ""),
    ("images_warn_type", "reference", "to WebP, HEIC or HEIF, which not all tuning pages name", "--types jpeg,png converts them."),
    ("images_rotated_tag", "reference", "to images with an EXIF rotation tag", "--upright rewrites them upright."),
    ("images_frames_dropped", "frame", "or pages of animations and documents were left out: of each file one is used",
     "Export each page that is wanted as a file of its own; --animation reject leaves such files out."),
    ("images_flat", "reference", "to images that are nearly one colour as they were rewritten, though their sources are not",
     "Look at one; export it as PNG or JPEG of 8 bits without alpha."),
    ("images_renamed", "reference", "to images that are there under the same name in another slash, Unicode or percent form",
     "They are used; images.parquet names both. Mend the names if other tools are to find the images."),
    ("second_looks_ended", "reference", "to images that are not there, not looked for in other spellings: 1,000 others were in vain",
     "Mend the names, or how --image_column makes them, and run again."),
    ("validation_unused", "line", "beyond --max_validation, in validation-unused.jsonl", ""),
    ("detail_dropped", "image", "of rows of OpenAI's lost the `detail`, on which the images of the row do not agree",
     "--model gemini-3 keeps it for each image."),
    ("not_verified", "", "no image was looked at", "Leave --verify none out to look at them."),
    # what a look before the work found
    ("split_named_alone", "", "of folders and files, only one names a split, so the hash decides by --splits",
     "Name others too, or give a --split_column; --split_names ignore says nothing of it."),
    ("split_names_cut_short", "", "only the first folders and files were looked at for names of splits",
     "--split_column decides for all."),
    ("images_without_metadata", "", "images lie in folders without a metadata file, and templates name columns: they are left out",
     "Give them a row in a metadata file."),
    ("answers_equal", "", "all answers that were looked at are equal",
     "Look at the rows; of a table or folder, --answer takes a column in braces, or '{path.1}'."),
    ("answers_technical", "", "answers are names of folders that say no class",
     "Another folder of the path may be the class: --answer '{path.1}', '{path.2}', ..."),
    ("template_literal", "", "a template without a place equals a column", "Braces make it a place."),
    ("images_unused", "", "a column holds images, and no option names it", "--image_column takes several columns."),
    ("tables_unread", "table", "beside the images that nothing reads",
     "Name the file as --input; metadata.csv is the name of a table that is found."),
    ("images_misnamed", "", "images that rows name are not there, but others are that may be meant", ""),
    ("urls_not_allowed", "", "rows name images by URLs that may not be read",
     "Their rows are rejected otherwise; a folder of a server will do."),
    ("links_lead_out", "", "links lead out of what may be read", "What a job reads must be named by --input or --allow_prefix."),
    ("metadata_not_sought", "", "there are too many folders to look for metadata files in all of them",
     "One metadata file in the folder that is given may name all images."),
    ("datasets_left_out", "", "what Tuneset wrote is left out", "To read some of it, name a file or folder in it."),
    ("datasets_not_sought", "", "there are too many folders to look for datasets of Tuneset's in all of them: if there is one, its "
     "rows and images are read as input", "A narrower --input avoids that."),
    ("column_unseen", "", "the first rows have no column that an option names", "Look at its spelling; rows without it go by hash."),
    # nights
    ("previous_unusable", "", "nothing can be taken from --previous", "Everything is made anew."),
    ("blocks_made_anew", "block", "of the night before had to be made anew, because of what is missing or damaged there", ""),
    ("images_kept", "reference", "to images whose servers gave no answer: they are as the night before found them",
     "The next night asks again."),
    ("night_passed_over", "", "a later night, or windows of the stream, cannot be used", ""),
    # buckets
    ("bucket_bills", "", "what is written costs more than usual", ""),
    # names that were listed and not read
    ("left_out_system", "file", "of a system's own left out", ""),
    ("left_out_hidden", "hidden file", "left out", ""),
    ("left_out_link", "link", "left out: to nothing, to a folder that is read by another path, or out of what may be read",
     "--allow_prefix with the folders of the input and the one that it leads to follows it."),
    ("left_out_unreadable", "name", "left out: no UTF-8, or too long a path", "Rename what is to be read."),
    ("left_out_table", "table", "beside what is read left out", "--input FILE reads it, or --input_format table all of them."),
    ("left_out_picture", "picture", "beside tables or rows: only those that a row names are used", ""),
    ("left_out_sidecar", "file", "beside images left out", "A template that names {sidecar} reads them."),
    ("left_out_submission", "file", "of made-up answers left out", "Name it as --input to read it."),
    ("left_out_archive", "archive", "left out", "Extract it, and name the folder that comes of it."),
    ("left_out_other_rows", "file", "of a kind that is not read (a spreadsheet, a database, arrays, ...) left out",
     "Save it as CSV (UTF-8), JSON lines or Parquet."),
    ("left_out_almost_image", "file", "with something behind an image's ending left out", "Rename those that are to be read."),
    ("left_out_no_ending", "file", "without an ending left out", "Give those that are to be read the ending of their type."),
    ("left_out_ending", "file", "with another ending left out", ""),
)  # fmt: skip

WARNINGS: dict[str, WarningCode] = {row[0]: WarningCode(*row) for row in _TABLE}


@dataclass(frozen=True, slots=True)
class Notice:
    """One warning: a code of WARNINGS, how often it is true, the smallest name it is true of, and what the table cannot say."""

    code: str
    count: int = 1
    example: str = ""
    detail: str = ""  # a clause that takes the place of the table's meaning

    @property
    def line(self) -> str:
        """What the screen says.

        >>> Notice("images_rotated_tag", 2, "a.jpg").line
        '! images_rotated_tag: 2 references to images with an EXIF rotation tag (a.jpg). --upright rewrites them upright.'
        """
        kind = WARNINGS[self.code]
        clause = _printable(self.detail) or kind.meaning
        if kind.unit:
            clause = f"{self.count:,} {kind.unit}{'' if self.count == 1 else 's'} {clause}"
        if self.example:
            clause += f" ({_printable(_cut(self.example))})"
        return f"! {self.code}: {clause}.{f' {kind.hint}' if kind.hint else ''}"

    def as_json(self) -> dict[str, Any]:
        """What the manifest says; `detail` only where there is one."""
        kind = WARNINGS[self.code]
        known = {"code": self.code, "count": self.count, "example": self.example, "hint": kind.hint}
        return known | ({"detail": self.detail} if self.detail else {})


def model_notices(profile: Profile) -> list[Notice]:
    """What is to be said of a profile whose models may not be tunable any more."""
    status = profile.status
    if status is None or f"model_{status.name}" not in WARNINGS:
        return []
    known = (
        f"{WARNINGS[f'model_{status.name}'].meaning} (--model {profile.name}: {status.meaning}; as of {status.date})"
    )
    return [Notice(f"model_{status.name}", detail=known)]


@dataclass(slots=True)
class WarningCounts:
    """Warnings of rows and images, added up on their way from blocks to the dataset: {code: (count, smallest example)}."""

    counts: dict[str, tuple[int, str]] = field(default_factory=dict)

    def add(self, code: str, example: str, count: int = 1) -> None:
        """Count a warning of the table; of the examples the smallest is kept, so that the order of blocks does not matter."""
        before, smallest = self.counts.get(code, (0, example))
        self.counts[WARNINGS[code].name] = (before + count, min(smallest, example))

    def update(self, counts: Mapping[str, tuple[int, str]]) -> None:
        for code, (count, example) in counts.items():
            self.add(code, example, count)

    def notices(self) -> list[Notice]:
        """In the table's order."""
        return [Notice(code, *self.counts[code]) for code in WARNINGS if code in self.counts]


def as_lines(notices: Iterable[Notice]) -> list[str]:
    """What the screen says of each."""
    return [notice.line for notice in notices]


def _cut(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}..."


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
