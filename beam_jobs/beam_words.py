"""Words of a command line that are Beam's: spelt as Beam knows them, none given twice by mistake, and no value left to fill in."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable, Iterator, Sequence

from apache_beam.options.pipeline_options import PipelineOptions

from beam_jobs.command_parser import Parser
from beam_jobs.option_values import check_printable, filled, readable_place, reader_of, shown
from beam_jobs.options import OptionError
from transforms.storage.uris import means_bucket

# Kinds of Beam's options; the values of others are texts.
KINDS = {
    "project": "PROJECT",
    "region": "PROJECT",
    "worker_region": "PROJECT",
    "worker_zone": "PROJECT",
    "temp_location": "FOLDER",
    "staging_location": "FOLDER",
    "template_location": "FOLDER",
    "sdk_container_image": "IMAGE",
}


def beam_words(words: Sequence[str]) -> list[str]:
    """What `tuneset prepare` leaves to Beam, with each known option's name as Beam spells it and no blanks around values.

    Options that Beam itself collects, as --experiments or --labels, may repeat. What is unknown here passes: a job server may
    know it.

    Raises:
      OptionError: an option that takes one value is given twice, or has a value that it does not take.
    """
    parser = Parser(prog="tuneset prepare", add_help=False)
    for group in {str(group): group for group in PipelineOptions.__subclasses__()}.values():
        group._add_argparse_args(parser)
    read = list(_read([parser.spelt(word) for word in words]))
    parser.parse_known_args(read)
    return read


def _read(words: Sequence[str]) -> Iterator[str]:
    """Words whose values are read as their kinds want it."""
    option = ""  # that the next value belongs to
    for word in words:
        named = word.startswith("--")
        option, equals, value = word.partition("=") if named else (option, "", word)
        try:
            if named and not equals:
                check_printable(word)
                yield word
                continue
            value = _reader(option, value)(value)
        except ArgumentTypeError as error:
            raise OptionError(f"{shown(option) if equals or not named else ''} {error}".strip()) from None
        yield option + equals + value if named else value


def _reader(option: str, value: str) -> Callable[[str], str]:
    """How a value is read: as the option's kind says, else as a place if it names a bucket, else as a text."""
    kind = KINDS.get(option.removeprefix("--"))
    if kind:
        return reader_of(kind)
    return readable_place if means_bucket(value.strip()) else filled
