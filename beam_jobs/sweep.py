"""`tuneset sweep`: list, and if asked remove, the rewritten images of a shared folder that none of the given datasets names."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence

from beam_jobs.options import OptionError, Parser
from beam_jobs.values import check_place
from transforms.listing import absolute
from transforms.storage import NoAccess, NotFound, Stat, StorageError, Unavailable, is_local, reach, store_for
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
        return DONE
    except OptionError as error:
        print(f"tuneset: {error}", file=sys.stderr)
        return WRONG
    reach(options.user_project)
    used = UsedImages()
    try:
        for dataset in datasets:
            used.add(dataset)
    except NotFound as error:
        print(f"tuneset: {dataset} is not a sealed dataset, so what it names is not known: {error}", file=sys.stderr)
        return WRONG
    except (Unavailable, NoAccess) as error:
        print(f"tuneset: {error}", file=sys.stderr)
        return FAILED
    except (StorageError, ValueError, LookupError) as error:
        print(f"tuneset: {dataset} cannot be read as a dataset: {error}", file=sys.stderr)
        return WRONG
    try:
        told = _Told()
        unnamed = told.each(used.unnamed(folder, time.time() - 3600 * options.min_age_hours))
        if options.remove:
            store_for(folder).delete(found.uri for found in unnamed)
        else:
            for _ in unnamed:
                pass
    except (StorageError, NoAccess) as error:
        print(f"tuneset: {error}", file=sys.stderr)
        return FAILED
    what = "removed" if options.remove else "named by none of them; --remove removes them"
    print(f"tuneset: {told.images:,} images, {told.bytes:,} bytes, {what}.", file=sys.stderr)
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


class _Told:
    """Prints each image that passes by, and counts."""

    def __init__(self) -> None:
        self.images = self.bytes = 0

    def each(self, found: Iterator[Stat]) -> Iterator[Stat]:
        for one in found:
            print(one.uri)
            self.images += 1
            self.bytes += one.size
            yield one
