"""What a person says of the inputs, as far as looking at them needs it; field names are the options'."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from transforms.core.reasons import WrongRequest
from transforms.core.records import NO_LINKS, Input, Links
from transforms.core.warning_codes import Notice
from transforms.examples.prompt_templates import parse_template
from transforms.examples.recipe import Recipe
from transforms.examples.split_names import NO_NAMES, SplitNames
from transforms.inputs.cells.csv_dialect import DELIMITERS, Wanted


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
    delimiter: str
    header: str
    encoding: str
    keep_blanks: bool
    output: str  # what lies below it, or below the next two, is no input
    image_folder: str
    previous: str
    split_by: str
    split_column: str
    split_names: str
    upright: bool
    notices: tuple[Notice, ...] = ()  # what looking at the inputs found
    left_out: tuple[str, ...] = ()  # folders below an input that Tuneset wrote
    inputs: tuple[Input, ...] = ()  # what `input` names, once it was looked at
    links: Links = NO_LINKS  # which links to folders are followed
    names_of_splits: SplitNames = NO_NAMES  # that decide, once inputs were looked at

    @cached_property
    def recipe(self) -> Recipe | None:
        """How rows of other formats than Gemini's become examples; None without --prompt."""
        prompt, answer, system = (
            parse_template(text) if text else None for text in (self.prompt, self.answer, self.system)
        )
        splits = tuple(name for name in (self.split_by, self.split_column) if name)
        return Recipe(prompt, answer, system, self.image_column, splits) if prompt else None

    @property
    def wanted(self) -> Wanted:
        """What is said of the files of tables."""
        delimiter = "" if self.delimiter == "auto" else DELIMITERS.get(self.delimiter, self.delimiter)
        encoding = "utf-8" if self.encoding == "auto" else self.encoding
        return Wanted(delimiter, self.header, encoding, self.recipe.columns if self.recipe else (), self.keep_blanks)
