"""Words of a command line that are Beam's: spelt as Beam knows them, and none of them given twice by mistake."""

from __future__ import annotations

from collections.abc import Sequence

from apache_beam.options.pipeline_options import PipelineOptions

from beam_jobs.options import Parser


def beam_words(words: Sequence[str]) -> list[str]:
    """What `tuneset prepare` leaves to Beam, with each known option's name as Beam spells it.

    Options that Beam itself collects, as --experiments or --labels, may repeat. What is unknown here passes: a job server may
    know it.

    Raises:
      OptionError: an option that takes one value is given twice, or has a value that it does not take.
    """
    parser = Parser(prog="tuneset prepare", add_help=False)
    for group in {str(group): group for group in PipelineOptions.__subclasses__()}.values():
        group._add_argparse_args(parser)
    parser.parse_known_args(words)
    return [parser.spelt(word) for word in words]
