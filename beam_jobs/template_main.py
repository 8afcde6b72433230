"""What the main file of a Dataflow template calls. The launcher's argv -> `prepare` or `stream`, which
writes the job and never waits.

The launcher gives each parameter as --NAME=VALUE, a switch as --NAME=true or --NAME=false, and one that was left empty as
--NAME=. It sets runner, project, region, job_name and template_location itself: nothing here may.
"""

from __future__ import annotations

from collections.abc import Sequence

from beam_jobs import console
from beam_jobs.commands.prepare import prepare
from beam_jobs.commands.stream import stream
from beam_jobs.dataflow.templates import TEMPLATES, Template
from beam_jobs.exit_status import WRONG
from beam_jobs.option_values import shown
from beam_jobs.options import OptionError


def run(name: str, argv: Sequence[str]) -> int:
    """Lay out a template's job -> exit status. Its log is whole, since nobody sits at the terminal."""
    try:
        words = words_of(TEMPLATES[name], argv)
    except OptionError as error:
        console.complain(str(error))
        return WRONG
    if TEMPLATES[name].streaming:
        return stream([*words, "--verbose"])
    return prepare([*words, "--no_wait", "--verbose"])


def words_of(template: Template, argv: Sequence[str]) -> list[str]:
    """The launcher's argv as a person would have typed it.

    What the launcher says twice in the same words is said once: an image may come both from the spec and from the launch.

    Raises:
      OptionError: a switch that is neither true nor false, or an option that the template does not offer.
    """
    switches = {option.name for option in template.options if option.default is False}
    names = {option.name for option in template.options}
    words = []
    for word in argv:
        name, given, value = word.removeprefix("--").partition("=")
        value = value if name == "delimiter" else value.strip(" ")
        if not word.startswith("--") or name not in names:
            if not given or (value and word not in words):
                words.append(word)
            continue
        if name in template.left_out:
            raise OptionError(f"--{name} is no parameter of this template: {template.left_out[name]}")
        if name in switches and given:
            if value.lower() not in ("true", "false", ""):
                raise OptionError(f"{shown(word)}: expected true or false")
            words += [f"--{name}"] * (value.lower() == "true")
        elif value or not given:
            words.append(word)
    return words
