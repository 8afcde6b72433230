"""The parser of command lines: argparse's, stricter; and `tuneset prepare`'s, made of the table of options."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, NoReturn

from beam_jobs.option_values import CRLF, reader_of, shown, word
from beam_jobs.options import OPTIONS, Option, OptionError


class TextAsked(Exception):
    """Somebody asked for a text instead of work: help, or the version. `main` prints it."""


class Parser(argparse.ArgumentParser):
    """argparse's, for commands that scripts put together: nothing that was given is dropped in silence.

    An option that takes one value may be given once, the values of a list add up ("add_up" is such an option's action), and
    a switch may repeat. Hyphens in names stand for underscores. A complaint is an OptionError that says where the options are
    listed.
    """

    def __init__(self, add_help: bool = True, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, add_help=False, **settings)
        self.given: dict[str, Any] = {}  # the value of each single option that was met, by its name in the namespace
        self.register("action", None, _StoreOnce)
        self.register("action", "store", _StoreOnce)
        self.register("action", "add_up", _AddUp)
        self.register("type", None, word)
        self.register("type", int, lambda text: int(word(text)))
        self.register("type", float, lambda text: float(word(text)))
        if add_help:
            self.add_argument("-h", "--help", action=_Help, nargs=0, default=argparse.SUPPRESS, help="show this help")

    def add_subparsers(self, **settings: Any) -> Any:
        """As argparse's; the words of an action are read by its own parser, and not by this one before."""
        actions = super().add_subparsers(**settings)
        actions.type = str
        return actions

    def parse_known_args(self, args: Iterable[str], namespace: Any = None) -> tuple[Any, list[str]]:  # type: ignore[override]
        """As argparse's, of names in any spelling."""
        self.given = {}
        return super().parse_known_args([self.spelt(word) for word in args], namespace)

    def spelt(self, word: str) -> str:
        """A word with its option's name as the parser knows it: --max-images=3 -> --max_images=3."""
        if not word.startswith("--"):
            return word
        name, equals, value = word.partition("=")
        known = "--" + name[2:].replace("-", "_")
        return known + equals + value if known in self._option_string_actions else word

    def error(self, message: str) -> NoReturn:
        """A complaint of argparse's, or of a reader of values, about one command line.

        Raises:
          OptionError: always.
        """
        # A reader says what was found, then what was expected: --output gs:/x: expected ...
        message = re.sub(r"^argument (--\w+)\S*: (?!invalid |expected |ignored )", r"\1 ", message)
        hint = f"; {CRLF}" if "\r" in message else ""
        raise OptionError(f"{shown(message)}{hint}. `{self.prog} --help` lists the options.")


class _StoreOnce(argparse.Action):
    """Stores the value of an option that takes one, and refuses a second: whoever gives two means both, or only one of them."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, value: Any, name: str | None = None
    ) -> None:
        assert isinstance(parser, Parser)
        if name and self.dest in parser.given:
            parser.error(f"{name} is given twice, with {parser.given[self.dest]} and with {value}, and takes one value")
        if value == "":
            parser.error(f"{name or self.metavar} is given without a value: give one, or leave it out")
        parser.given[self.dest] = value
        setattr(namespace, self.dest, value)


class _AddUp(argparse.Action):
    """Adds the values of an option that takes a list, separated by commas, to those given before."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, name: str | None = None
    ) -> None:
        setattr(namespace, self.dest, (*(getattr(namespace, self.dest) or ()), *values))


class _Help(argparse.Action):
    """Ends the reading of a command line with the parser's help."""

    def __call__(self, parser: argparse.ArgumentParser, *rest: object) -> None:
        raise TextAsked(parser.format_help())


class _HelpOfSome(argparse.Action):
    """As _Help: the options that most people need, or with the word `all` every one."""

    def __init__(self, *given: Any, parser_of: Callable[[bool], Parser], **settings: Any) -> None:
        super().__init__(*given, **settings)
        self._parser_of = parser_of

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, value: Any, name: str | None = None
    ) -> None:
        raise TextAsked(self._parser_of(value == "all").format_help())


def prepare_parser(everything: bool = True) -> Parser:
    """`tuneset prepare`'s parser, grouped, with defaults in the help.

    Args:
      everything: whether the help shows all options, or those that most people need. All are read in either case.
    """
    return options_parser(
        OPTIONS,
        everything,
        prog="tuneset prepare",
        usage="tuneset prepare --input PATTERNS --output FOLDER [options]",
        description="Make a Gemini image-tuning dataset: check and fit images, split examples, write split JSONL, seal it.",
    )


def options_parser(options: Sequence[Option], everything: bool, **texts: str) -> Parser:
    """The parser of a command that takes options of a table, and Beam's.

    Args:
      everything: as prepare_parser has it.
      texts: prog, usage and description.
    """
    parser = Parser(
        epilog=_EPILOG
        if everything
        else f"These are the options that most people need: --help all shows every one. {_STATUS}",
        add_help=False,
        **texts,
    )
    groups: dict[str, Any] = {}
    for option in options:
        if option.group not in groups:
            groups[option.group] = parser.add_argument_group(option.group)
        _add(groups[option.group], option, hidden=not (everything or option.common))

    parser.add_argument(
        "-h",
        "--help",
        action=_HelpOfSome,
        parser_of=lambda all_of_them: options_parser(options, all_of_them, **texts),
        default=argparse.SUPPRESS,
        nargs="?",
        choices=("all",),
        metavar="all",
        help="show the options that most people need, or all",
    )
    return parser


def add_options(parser: Parser, names: Collection[str]) -> None:
    """Give another command some of the options of `tuneset prepare`, with their defaults and help."""
    for option in OPTIONS:
        if option.name in names:
            _add(parser, option, hidden=False)


_STATUS = "Exit status: 0 sealed, 1 failed (the same command goes on), 2 wrong options."
_EPILOG = (
    "Every Apache Beam option may follow (--runner, --direct_num_workers, --region, ...). "
    "Names may be written with hyphens. Lists add up; what takes one value is given once. Blanks around a value are dropped; "
    f"control characters are refused, but for lines and tabs of a template and a --delimiter. {_STATUS}"
)


def _add(group: Any, option: Option, hidden: bool) -> None:
    """Add one option to a group of the parser."""
    if option.default is False:
        text = argparse.SUPPRESS if hidden else option.help.replace("%", "%%")
        group.add_argument(f"--{option.name}", action="store_true", help=text)
        return
    default = "" if option.default in (None, "") or option.default in (0, -1) else f" (default {option.default})"
    group.add_argument(
        f"--{option.name}",
        action="add_up" if option.is_list else "store",
        default=() if option.is_list else option.default,
        type=reader_of(option.metavar, option.default),
        choices=option.choices or None,
        metavar="|".join(option.choices) if option.choices and option.name != "model" else option.metavar,
        help=argparse.SUPPRESS if hidden else (option.help + default).replace("%", "%%"),
    )


def add_user_project(parser: argparse.ArgumentParser) -> None:
    """The option of commands that read buckets and are no job of rows."""
    parser.add_argument(
        "--user_project",
        default="",
        type=reader_of("PROJECT"),
        metavar="PROJECT",
        help="billed for requester-pays buckets",
    )
