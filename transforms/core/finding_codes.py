"""Every code that `tuneset check` may tell, with its severity and what to do: one table.

A reason of `prepare` (core/reasons.py) keeps its name, and is an error. What stands here comes beside those.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from transforms.core.limits import IMAGES_PAGE, LIMITS_PAGE
from transforms.core.reasons import REASONS

ERROR, WARNING, NOTE = SEVERITIES = ("error", "warning", "note")  # from the worst on

# What `prepare` tells of the findings of its dataset: nothing, what lines say by themselves, or also what they are compared by.
LEVELS = AUTO, NONE, ROWS, ALL = "auto", "none", "rows", "all"

FEW_EXAMPLES = 100  # of training, with which the service's page says to start
SAME_ANSWERS = 20  # examples from which on it is no chance that all answers are equal
MOST_CLASSES = 100  # different answers up to which they are taken for classes
IMBALANCE = 20  # times that the largest class may have of the smallest
SMALL_SIDE = 64  # pixels
LONGEST_SHAPE = 10  # times that the longer side may have of the shorter
DROPPED = 10  # one example among so many may have an error
COMMON_EXAMPLES = 10  # that an image has to be in, besides 1 % of all, to be taken for a logo


@dataclass(frozen=True, slots=True)
class FindingCode:
    name: str
    severity: str  # error | warning | note
    meaning: str  # what was found, one clause
    advice: str  # what to do
    source: str = ""  # the page that says so, with the date it was read; "": it follows from the data alone


_SKILL = "google/skills, agent-platform-tuning, data_prep.md (2026-08-21)"
_PREPARE = "https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/tuning/supervised-tuning/prepare-data (2026-08-22)"
_VIDEO = "https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/tuning/video (2026-08-22), of video"

_TABLE = (
    # what the service does not take
    ("mime_mismatch", ERROR, "The image's bytes are of another type than its mimeType says.",
     "Write the type of the bytes; `tuneset prepare` does.", IMAGES_PAGE),
    ("over_tokens", ERROR, "The example holds more tokens than the model takes (estimated).",
     "Shorten its texts, or split its images over several examples.", LIMITS_PAGE),
    ("file_too_large", ERROR, "The file has more bytes than a tuning job takes.",
     "Divide it; `tuneset prepare` numbers its files.", LIMITS_PAGE),
    ("too_many_examples", ERROR, "The file has more examples than a tuning job takes.",
     "Divide it; `tuneset prepare` numbers its files.", LIMITS_PAGE),
    ("validation_too_many", ERROR, "The validation file has more examples than a tuning job takes.",
     "Take some out, as with `tuneset prepare --max_validation`.", LIMITS_PAGE),
    ("predicted_drop", ERROR, "Over a tenth of the split's examples have an error: the job may fail before it trains.",
     "Mend the errors that are told beside this.", _VIDEO),
    ("no_training_examples", ERROR, "No example without an error is left to train on.",
     "Name the training file with --train, or mend its errors.", LIMITS_PAGE),
    ("bucket_unreadable", ERROR, "No image of the bucket can be read, and the bucket itself cannot be listed.",
     "Look at the bucket's name, and grant read access to who checks and to the tuning service's agent.", IMAGES_PAGE),
    # what makes a worse model, or a job that may be refused
    ("image_in_two_splits", WARNING, "The same image is in another split too: what is measured there was trained on.",
     "Keep its examples in one split, as with `tuneset prepare --split_by image`.", ""),
    ("duplicate_example", WARNING, "The same images, question and answer stand in an earlier line.",
     "Take one out, unless it is to count twice.", ""),
    ("conflicting_answers", WARNING, "The same images and question have another answer in an earlier line.",
     "Keep the right one.", ""),
    ("constant_answer", WARNING, f"All answers are equal, of {SAME_ANSWERS} or more.",
     "Look at where the answers come from: there is nothing to learn.", ""),
    ("validation_too_large", WARNING, "Validation is larger than the service may take beside the training file: 25 % of its "
     "bytes; above 1,000 examples, 30 % of its examples.", "Take some out, as with `tuneset prepare --max_validation auto`.",
     f"{_SKILL}; {LIMITS_PAGE}"),
    ("model_retired", WARNING, "The model is retired, so no tuning job takes it.",
     "Name one that can be tuned with --model.", LIMITS_PAGE),
    ("model_unknown", WARNING, "It is not known whether the model can still be tuned.",
     "Ask the service, or name another with --model.", LIMITS_PAGE),
    ("local_path", WARNING, "Images are named by paths, which the tuning service cannot read (told once).",
     "Upload them, and let `tuneset prepare --uri_prefix` name them there.", IMAGES_PAGE),
    # what may be meant
    ("too_few_examples", NOTE, f"Fewer than {FEW_EXAMPLES} examples to train on.", "Bring more.", _PREPARE),
    ("class_imbalance", NOTE, f"Of 2 to {MOST_CLASSES} different answers the most frequent stands over {IMBALANCE} times as often as "
     "the rarest.", "Bring more of the rare ones.", ""),
    ("common_image", NOTE, f"One image is in over 1 % of all examples, and in more than {COMMON_EXAMPLES}: a logo, or a picture that "
     "stands for none.", "Leave it out if it says nothing.", ""),
    ("rotated_image", NOTE, "The image is stored turned, with an EXIF tag that says how.",
     "`tuneset prepare --upright` turns its pixels.", IMAGES_PAGE),
    ("small_image", NOTE, f"A side of the image has under {SMALL_SIDE} pixels.", "Is it a thumbnail?", ""),
    ("extreme_shape", NOTE, f"One side of the image is over {LONGEST_SHAPE} times the other.", "Is it cut well?", ""),
    ("uneven_image_counts", NOTE, "Examples hold different numbers of images.", "See that the model will be asked so too.", ""),
)  # fmt: skip

FINDINGS: dict[str, FindingCode] = {row[0]: FindingCode(*row) for row in _TABLE}


def finding_code(name: str) -> FindingCode:
    """What a code says: of the table, or a reason of `prepare` as an error.

    >>> finding_code("small_image").severity, finding_code("not_json").severity
    ('note', 'error')
    """
    if name in FINDINGS:
        return FINDINGS[name]
    return FindingCode(name, ERROR, REASONS[name].help, "")


def by_severity(codes: Iterable[str]) -> list[str]:
    """Codes in the order in which they are told: the worst first, and then as tables have them."""
    names = [*REASONS, *FINDINGS]
    return sorted(codes, key=lambda code: (SEVERITIES.index(finding_code(code).severity), names.index(code)))


def is_at_least(severity: str, least: str) -> bool:
    """Whether a severity is at or above another.

    >>> is_at_least("error", "warning"), is_at_least("note", "warning")
    (True, False)
    """
    return SEVERITIES.index(severity) <= SEVERITIES.index(least)


def is_small(width: int, height: int) -> bool:
    return min(width, height) < SMALL_SIDE


def is_extreme(width: int, height: int) -> bool:
    """
    >>> is_extreme(1000, 100), is_extreme(100, 1001)
    (False, True)
    """
    return max(width, height) > LONGEST_SHAPE * min(width, height)
