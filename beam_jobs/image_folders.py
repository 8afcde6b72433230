"""Whose images lie where a run is going to put its own: checked at launch, and settled once the output is claimed."""

from __future__ import annotations

from beam_jobs.job import Job
from beam_jobs.options import OptionError
from transforms.core.output_names import CLAIM, SHARED, WORK
from transforms.dataset.claim import Claimed, state_of_claim
from transforms.dataset.sharing import add_user, is_private, owner_of, place_of, remove_user, sweep_place
from transforms.dataset.sweep import owned_images
from transforms.storage import abilities
from transforms.storage.uris import CLOUD


def check_image_folder(plan: Job) -> None:
    """Look at the folders that a run writes into, before anything is written.

    Raises:
      OptionError: their names would be read in two ways, or images would lie where another dataset deletes.
    """
    for name, folder in (("output", plan.settings.output), ("image_folder", plan.settings.image_folder)):
        if folder:
            _check_names(name, folder)
    if is_private(plan.image_folder, plan.settings.output):
        return
    if owner := owner_of(plan.image_folder, plan.settings.output):
        raise OptionError(_refusal(plan, owner))


def _check_names(option: str, folder: str) -> None:
    names = place_of(folder).split("/") if abilities(folder).has_paths else folder.removeprefix(CLOUD).split("/")
    if taken := {WORK, SHARED}.intersection(names):
        raise OptionError(
            f"--{option} {folder} lies in a {min(taken)} folder, where runs delete what they no longer need: choose another"
        )
    if not abilities(folder).has_paths and {"", ".", ".."}.intersection(names):
        raise OptionError(
            f"--{option} {folder}: a name in it is empty, . or .., which Cloud Storage takes as it stands, and other tools do not: "
            "leave it out"
        )


def _refusal(plan: Job, owner: str) -> str:
    folder = plan.image_folder
    if not plan.settings.image_folder:
        return (
            f"{folder} leads to {place_of(folder)}, which belongs to the dataset in {owner}: its runs may delete images there. "
            "Name another --image_folder"
        )
    return (
        f"--image_folder {folder} belongs to the dataset in {owner}: what is done to that dataset may delete images there. Name a "
        f"folder that lies in no dataset, or run {owner} again with --image_folder {folder} --overwrite, which makes it a shared one"
    )


def settle_image_folder(plan: Job, *, fresh: bool) -> None:
    """Say that the run uses its folder of images, unless that is the output's own; nothing that it counts on goes from now on.

    Args:
      fresh: nobody has worked in the output before, so that images which lie there already are somebody else's.

    Raises:
      Claimed: a sweep is removing images there, or a dataset has come to lie around the folder since it was checked.
    """
    output, folder = plan.settings.output, plan.image_folder
    foreign = plan.settings.image_folder or (fresh and next(owned_images(folder), None))
    if is_private(folder, output) and not foreign:
        return
    added = add_user(folder, output)
    reason = ""
    if owner := owner_of(folder, output):
        reason = _refusal(plan, owner)
    elif state_of_claim(sweep_place(folder)) == "live":
        reason = (
            f"`tuneset sweep` is removing images from {folder}: the same command goes on once it is done. If it is dead, delete "
            f"{sweep_place(folder)}/{CLAIM}"
        )
    if reason:
        if added:
            remove_user(folder, output)
        raise Claimed(reason)
