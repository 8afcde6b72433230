"""The command line: `tuneset COMMAND ...`, the same as `python -m beam_jobs COMMAND ...`."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence

from transforms.core import VERSION

_USAGE = """usage: tuneset COMMAND [options]

  prepare   make a Gemini image-tuning dataset (tuneset prepare --help)
  template  print, build or launch a Dataflow template (tuneset template --help)
  sweep     list or remove images of a shared folder that no dataset names (tuneset sweep --help)
  demo      write the embedded sample to a folder and prepare it (tuneset demo FOLDER)
  --version
"""


def main(argv: Sequence[str] | None = None) -> int:
    command, *rest = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    if command == "prepare":
        if "--help" in rest or "-h" in rest:
            from beam_jobs.options import parser

            parser().print_help()
            return 0
        from beam_jobs.prepare import prepare

        return prepare(rest)
    if command == "template":
        if not rest or {"--help", "-h"} & set(rest):
            from beam_jobs.template_commands import parser as template_parser

            with contextlib.suppress(SystemExit):
                template_parser().parse_args(rest or ["--help"])
            return 0
        from beam_jobs.template_commands import template

        return template(rest)
    if command == "sweep":
        from beam_jobs.sweep import sweep

        return sweep(rest)
    if command == "demo" and not {"--help", "-h"} & set(rest):
        from beam_jobs.demo import demo

        return demo(rest)
    if command == "--version":
        print(f"tuneset {VERSION}")
        return 0
    asked = command in ("--help", "-h", "help", "demo")
    print(_USAGE, file=sys.stdout if asked else sys.stderr)
    return 0 if asked else 2


def command_line() -> None:
    """The process: `main`, then silence, since some engines' threads complain while the interpreter goes down."""
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    if "--verbose" not in sys.argv:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    sys.exit(status)


if __name__ == "__main__":
    command_line()
