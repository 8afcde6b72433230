"""`tuneset sweep`: list, and if asked remove, the rewritten images of a shared folder that none of the given datasets names."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence

from beam_jobs import console
from beam_jobs.options import OptionError, Parser
from beam_jobs.values import check_place
from transforms.listing import absolute
from transforms.storage import NoCredentials, NotFound, Stat, StorageError, Unavailable, is_local, reach, store_for
from transforms.sweeping import UsedImages

DONE, FAILED, WRONG = 0, 1, 2


def parser() -> Parser:
    made = Parser(
        prog="tuneset sweep",
        allow_abbrev=False,
        description="List the images of a shared --image_folder that none of the datasets names, one URI a line; with --remove, "
        "remove them. Name every dataset that is still wanted: what only a forgotten one names is listed too.",
        epilog="Exit status: 0 done, 1 storage failed (the same command goes on), 2 wrong options.",
    )
    made.add_argument("--image_folder", required=True, metavar="FOLDER", help="that the runs were given")
    made.add_argument(
        "--datasets",
        required=True,
        metavar="FOLDERS",
        help="sealed datasets that are still wanted, separated by commas",
    )
    made.add_argument(
        "--min_age_hours",
        type=float,
        default=48.0,
        metavar="N",
        help="images written later are left alone: a run that is not sealed yet may need them (default 48)",
    )
    made.add_argument("--remove", action="store_true", help="remove what is listed")
    made.add_argument("--user_project", default="", metavar="PROJECT", help="billed for requester-pays buckets")
    return made


def sweep(argv: Sequence[str]) -> int:
    """-> exit status. URIs go to standard output, numbers to standard error."""
    try:
        options = parser().parse_args(list(argv))
        folder, datasets = places(options.image_folder, options.datasets)
        if not options.min_age_hours >= 0:
            raise OptionError(f"--min_age_hours {options.min_age_hours:g}: expected 0 or more")
    except SystemExit:  # of --help
        return console.printed(DONE)
    except OptionError as error:
        console.complain(str(error))
        return WRONG
    reach(options.user_project)
    used = UsedImages()
    try:
        for dataset in datasets:
            used.add(dataset)
    except NotFound as error:
        console.complain(f"{dataset} is not a sealed dataset, so what it names is not known: {error}")
        return WRONG
    except (Unavailable, NoCredentials) as error:
        console.complain(str(error))
        return FAILED
    except (StorageError, ValueError, LookupError) as error:
        console.complain(f"{dataset} cannot be read as a dataset: {error}")
        return WRONG
    unnamed = used.unnamed(folder, time.time() - 3600 * options.min_age_hours)
    try:
        return remove(folder, unnamed) if options.remove else show(unnamed)
    except (StorageError, NoCredentials) as error:
        console.complain(str(error))
        return FAILED


def show(unnamed: Iterable[Stat]) -> int:
    """List images, until whoever reads the list has enough -> exit status."""
    number = size = 0
    for image in unnamed:
        if not console.say(image.uri):
            return console.printed(DONE)
        number, size = number + 1, size + image.size
    console.complain(f"{number:,} images, {size:,} bytes, named by none of them; --remove removes them.")
    return DONE


def remove(folder: str, unnamed: Iterable[Stat]) -> int:
    """Remove images, and list them for whoever reads -> exit status: of the removal, whatever becomes of the list."""
    number = size = 0

    def listed(printer: console.Printer) -> Iterator[str]:
        nonlocal number, size
        for image in unnamed:
            printer.say(image.uri)
            number, size = number + 1, size + image.size
            yield image.uri

    with console.Printer() as printer:
        store_for(folder).delete(listed(printer))
    console.complain(f"{number:,} images, {size:,} bytes, removed.")
    return DONE


def places(image_folder: str, datasets: str) -> tuple[str, list[str]]:
    """The folder of images and the datasets, absolute.

    Raises:
      OptionError: no dataset is named, so that every image would be one that none names; or a folder cannot be one.
    """
    named = [one.strip() for one in datasets.split(",") if one.strip()]
    if not named:
        raise OptionError(
            "--datasets names none: expected every sealed dataset that is still wanted, separated by commas"
        )
    for name, place in (("image_folder", image_folder), *(("datasets", one) for one in named)):
        check_place(name, place)
    folder = absolute(image_folder).rstrip("/")
    if not image_folder or (is_local(folder) and not os.path.isdir(folder)):
        raise OptionError(f"--image_folder {image_folder}: expected the folder that the runs were given")
    return folder, [absolute(one).rstrip("/") for one in named]
