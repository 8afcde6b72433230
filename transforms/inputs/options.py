"""What a person says of the inputs, as far as looking at them needs it; field names are the options'."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from transforms.core.reasons import WrongRequest
from transforms.core.records import Input, Links
from transforms.core.warning_codes import Notice
from transforms.examples.image_cells import columns_of_images
from transforms.examples.image_groups import BY_IMAGE
from transforms.examples.prompt_templates import parse_template
from transforms.examples.recipe import Recipe
from transforms.examples.split_names import NO_NAMES, SplitNames
from transforms.inputs.cells.csv_dialect import DELIMITERS, Wanted
from transforms.inputs.linked_folders import links_of
from transforms.inputs.patterns import absolute, is_folder, is_glob, static_folder
from transforms.inputs.row_function import RowFunction
from transforms.storage import abilities
from transforms.storage.uris import CLOUD


class InputError(WrongRequest):
    """An input is not there, or is not what options say. The text says what was found, what was expected and what to do."""


@dataclass(frozen=True, kw_only=True)
class InputOptions:
    """Checked options of inputs, with what follows from them."""

    input: tuple[str, ...]
    input_format: str
    prompt: str
    answer: str
    system: str
    image_column: tuple[str, ...]
    image_root: str
    empty_boxes: str
    delimiter: str
    header: str
    encoding: str
    keep_blanks: bool
    output: str  # what lies below it, or below the next two, is no input
    image_folder: str
    previous: str
    allow_prefix: tuple[str, ...]
    verify: str
    split_by: str
    split_column: str
    split_names: str
    upright: bool
    row_function: RowFunction | None = None  # makes rows of rows (--transform)
    notices: tuple[Notice, ...] = ()  # what looking at the inputs found
    left_out: tuple[str, ...] = ()  # folders below an input that Tuneset wrote
    inputs: tuple[Input, ...] = ()  # what `input` names, once it was looked at
    names_of_splits: SplitNames = NO_NAMES  # that decide, once inputs were looked at

    @cached_property
    def recipe(self) -> Recipe | None:
        """How rows of other formats than Gemini's become examples; None without --prompt."""
        prompt, answer, system = (
            parse_template(text) if text else None for text in (self.prompt, self.answer, self.system)
        )
        splits = tuple(getattr(self, name) for name in self.columns_of_splits)
        return Recipe(prompt, answer, system, self.image_column, splits, self.empty_boxes == "keep") if prompt else None

    @property
    def by_image(self) -> bool:
        """Whether images decide splits, and no column."""
        return self.split_by == BY_IMAGE

    @property
    def only_by_image(self) -> bool:
        """Whether they do, whatever the data names."""
        return self.by_image and self.split_names == "ignore"

    @property
    def columns_of_splits(self) -> tuple[str, ...]:
        """The options that name a column which decides splits."""
        by_column = "split_by" if self.split_by and not self.by_image else ""
        return tuple(filter(None, (by_column, "split_column" if self.split_column else "")))

    @property
    def asked_columns(self) -> tuple[str, ...]:
        """Columns of a file that templates and options name; none where a function makes them."""
        if self.row_function:
            return ()
        return self.recipe.columns if self.recipe else columns_of_images(self.image_column)

    @cached_property
    def readable(self) -> tuple[str, ...]:
        """Where images may be read: by default any gs:// object, and local files under the inputs' own folders and --image_root.

        Prefixes of the web add to that; others replace it.
        """
        if own := self.own_prefixes:
            return tuple(p if p == CLOUD else absolute(p).rstrip("/") or "/" for p in own) + self.web_prefixes
        named = (*map(static_folder, self.input), *filter(None, (self.image_root,)))
        folders = {folder.rstrip("/") or "/" for folder in named if abilities(folder).has_paths}
        return (CLOUD, *sorted(folders), *self.web_prefixes)

    @cached_property
    def own_prefixes(self) -> tuple[str, ...]:
        """Folders and gs:// prefixes that replace the default."""
        return tuple(prefix for prefix in self.allow_prefix if not abilities(prefix).foreign)

    @cached_property
    def web_prefixes(self) -> tuple[str, ...]:
        """What URLs may begin with whose images are read."""
        return tuple(prefix for prefix in self.allow_prefix if abilities(prefix).foreign)

    @cached_property
    def links(self) -> Links:
        """Which links to folders below inputs are followed."""
        walked = (static_folder(pattern) for pattern in self.input if is_folder(pattern) or is_glob(pattern))
        return links_of(walked, self.readable)

    @property
    def wanted(self) -> Wanted:
        """What is said of the files of tables."""
        delimiter = "" if self.delimiter == "auto" else DELIMITERS.get(self.delimiter, self.delimiter)
        encoding = "utf-8" if self.encoding == "auto" else self.encoding
        columns = self.recipe.columns if self.recipe and not self.row_function else ()
        return Wanted(delimiter, self.header, encoding, columns, self.keep_blanks, self.row_function is not None)
