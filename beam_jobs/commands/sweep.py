"""`tuneset sweep`: list, and if asked remove, the rewritten images of a shared folder that none of the given datasets names."""

from __future__ import annotations

import argparse
import os
import sys
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack

from beam_jobs import console
from beam_jobs.command_parser import Parser, add_options
from beam_jobs.exit_status import DONE, FAILED, WRONG
from beam_jobs.option_values import reader_of
from beam_jobs.options import OptionError
from beam_jobs.report.ticker import ticking
from transforms.core.output_names import CLAIM
from transforms.core.reasons import JobStopped
from transforms.dataset.claim import Claimed, release_claim, take_claim
from transforms.dataset.heartbeat import Heartbeat
from transforms.dataset.sharing import (
    DamagedMark,
    User,
    holds_dataset,
    is_shared,
    mark_of,
    place_of,
    state_of_user,
    sweep_place,
    users_of,
)
from transforms.dataset.sweep import UsedImages
from transforms.inputs.patterns import absolute
from transforms.storage import abilities, store_for
from transforms.storage.api import Access, NoAccess, NotFound, Stat, StorageError, Unavailable, set_access
from transforms.storage.parallel import overlapped

_AT_ONCE = 32  # datasets asked after


def parser() -> Parser:
    made = Parser(
        prog="tuneset sweep",
        description="List the images of a shared --image_folder that none of the datasets names, one URI a line; with --remove, "
        "remove them. Name every dataset that is still wanted: a sweep that forgets one is refused.",
        epilog="Exit status: 0 done, 1 storage failed or a run is at work (the same command goes on), 2 wrong options.",
    )
    made.add_argument(
        "--image_folder", required=True, type=reader_of("FOLDER"), metavar="FOLDER", help="that the runs were given"
    )
    made.add_argument(
        "--datasets",
        required=True,
        action="add_up",
        type=reader_of("FOLDERS"),
        metavar="FOLDERS",
        help="sealed datasets that are still wanted, separated by commas, or each after a --datasets of its own",
    )
    made.add_argument(
        "--min_age_hours",
        type=float,
        default=48.0,
        metavar="N",
        help="images written later are left alone: a run that is not sealed yet may need them (default 48)",
    )
    made.add_argument("--remove", action="store_true", help="remove what is listed")
    add_options(made, ("user_project", "quiet"))
    return made


def sweep(argv: Sequence[str]) -> int:
    """-> exit status. URIs go to standard output, numbers to standard error."""
    try:
        options = parser().parse_args(list(argv))
        folder, datasets = places(options.image_folder, options.datasets)
        if not options.min_age_hours >= 0:
            raise OptionError(f"--min_age_hours {options.min_age_hours:g}: expected 0 or more")
    except OptionError as error:
        console.complain(str(error))
        return WRONG
    set_access(Access(options.user_project))
    run = uuid.uuid4().hex[:12]
    try:
        if not is_shared(folder):
            raise OptionError(
                f"--image_folder {folder} is not a shared folder: no run of this version was given it. A dataset's own images are "
                "removed by its own runs; a folder that earlier versions filled is shared once a run is given it as --image_folder"
            )
        with ExitStack() as ending:
            if options.remove:
                take_claim(sweep_place(folder), run, take_over=False)
                ending.callback(release_claim, sweep_place(folder), run)
                ending.enter_context(Heartbeat(sweep_place(folder), run))
            return look_for_unnamed(folder, datasets, options)
    except Claimed:
        console.complain(
            f"{folder} is being swept by another command: wait for it or, if it is dead, delete {sweep_place(folder)}/{CLAIM}"
        )
        return FAILED
    except (OptionError, DamagedMark) as error:
        console.complain(str(error))
        return WRONG
    except (AtWork, StorageError, NoAccess) as error:
        console.complain(str(error))
        return FAILED


class AtWork(JobStopped):
    """A run may count on any image of the folder."""


def look_for_unnamed(folder: str, datasets: list[str], options: argparse.Namespace) -> int:
    """List what no dataset names, and remove it if asked -> exit status.

    Raises:
      OptionError: a dataset that uses the folder was not named, or one that was cannot be read.
      AtWork: one of them is not sealed yet.
    """
    check_users(folder, datasets)
    used = read_used(datasets, options.quiet)
    unnamed = used.unnamed(folder, time.time() - 3600 * options.min_age_hours)
    # In a terminal that the list fills nothing else is told.
    hidden = options.quiet or (sys.stdout is not None and sys.stdout.isatty())
    return remove(folder, unnamed, hidden) if options.remove else show(unnamed, hidden)


def read_used(datasets: list[str], quiet: bool) -> UsedImages:
    """The images that datasets name.

    Raises:
      OptionError: one of them cannot be read.
    """
    used, number = UsedImages(), 0
    with ticking(lambda: f"{number:,} of {len(datasets):,} datasets read", hidden=quiet):
        for dataset in datasets:
            try:
                used.add(dataset)
            except NotFound as error:
                raise OptionError(
                    f"{dataset} is not a sealed dataset, so what it names is not known: {error}"
                ) from None
            except Unavailable:
                raise
            except (StorageError, ValueError, LookupError) as error:
                raise OptionError(f"{dataset} cannot be read as a dataset: {error}") from None
            number += 1
    return used


def show(unnamed: Iterable[Stat], hidden: bool) -> int:
    """List images, until whoever reads the list has enough -> exit status."""
    number = size = 0
    with ticking(lambda: f"{number:,} images found that none of them names", hidden=hidden):
        for image in unnamed:
            if not console.say(image.uri):
                return console.printed(DONE)
            number, size = number + 1, size + image.size
    console.complain(f"{number:,} images, {size:,} bytes, named by none of them; --remove removes them.")
    return DONE


def remove(folder: str, unnamed: Iterable[Stat], hidden: bool) -> int:
    """Remove images, and list them for whoever reads -> exit status: of the removal, whatever becomes of the list."""
    number = size = 0

    def listed(printer: console.Printer) -> Iterator[str]:
        nonlocal number, size
        for image in unnamed:
            printer.say(image.uri)
            number, size = number + 1, size + image.size
            yield image.uri

    try:
        with ticking(lambda: f"{number:,} images removed", hidden=hidden), console.Printer() as printer:
            store_for(folder).delete(listed(printer))
    except KeyboardInterrupt:
        console.complain(
            f"interrupted, after some {number:,} images were removed. The same command goes on with the rest."
        )
        return FAILED
    console.complain(f"{number:,} images, {size:,} bytes, removed.")
    return DONE


def check_users(folder: str, datasets: list[str]) -> None:
    """Ask after every dataset that uses the folder, or that was named. (A sweep has claimed the folder: no new run begins.)

    Raises:
      OptionError: one was not named, and is sealed, or nobody here can tell.
      AtWork: a run is at work on one, or stopped before it was sealed.
    """
    named = [User(place_of(dataset)) for dataset in datasets]
    users = {user.output: user for user in (*named, *users_of(folder))}
    around = place_of(folder).removesuffix("/images")
    if around != place_of(folder) and holds_dataset(around):
        users.setdefault(around, User(around))
    states = overlapped(lambda user: state_of_user(user, folder), list(users.values()), _AT_ONCE)
    for output, state in zip(users, states):
        if state == "live":
            raise AtWork(f"a run is at work on {output}, which uses {folder}: the same command goes on once it is done")
        if any(user.output == output for user in named):
            continue
        if state == "unsealed":
            raise AtWork(
                f"{output} uses {folder} too, and a run on it stopped before it was sealed: run it again, or remove that folder"
            )
        if state == "sealed":
            raise OptionError(
                f"{output} uses {folder} too, and is not among --datasets: name it, or remove it if it is no longer wanted"
            )
        if state == "out of sight":
            raise OptionError(
                f"{output} of {users[output].host} uses {folder} too, and cannot be seen from here: sweep there, or, if it is gone, "
                f"delete {mark_of(folder, users[output])}"
            )


def places(image_folder: str, datasets: Sequence[str]) -> tuple[str, list[str]]:
    """The folder of images and the datasets, absolute.

    Raises:
      OptionError: there is no such folder of images.
    """
    folder = absolute(image_folder).rstrip("/")
    if abilities(folder).has_paths and not os.path.isdir(folder):
        raise OptionError(f"--image_folder {image_folder}: expected the folder that the runs were given")
    return folder, [absolute(one).rstrip("/") for one in datasets]
