"""The one catalogue of counters, and the laws that the ledger obeys before a dataset is sealed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

LEFT_OUT = "left_out_"  # before a kind of name: its counter, and its warning
NAMESPACE = "tuneset"  # of the Beam metrics: for watching; the manifest, computed from receipts, is the truth

REWRITTEN_FATES = ("resized", "converted", "recompressed")
FATES = ("rejected", "dropped", "unused", "unverified", *REWRITTEN_FATES, "untouched")


@dataclass(frozen=True, slots=True)
class Counter:
    name: str
    unit: str
    meaning: str


_TABLE = (
    ("files_read", "files", "input files that rows came from"),
    (
        "names_listed",
        "names",
        "names that the inputs list; each is taken, or left out by one of the next kinds but for the sum",
    ),
    ("files_taken", "files", "of them, files whose rows, or words beside an image, are read"),
    ("pictures_taken", "files", "of them, images of a folder, which are rows"),
    ("files_skipped", "files", "of them, all that is left out: the sum of the left_out_..."),
    (
        "left_out_system",
        "files",
        "left out: what a system keeps beside people's files (@eaDir, __MACOSX, Thumbs.db, ._x.jpg, ...)",
    ),
    ("left_out_hidden", "files", "left out: a dot before its name, or before that of a folder it lies in"),
    (
        "left_out_link",
        "links",
        "left out: links to nothing, to a folder that is read by another path, or out of what may be read",
    ),
    ("left_out_unreadable", "names", "left out: no dataset can tell its name (no UTF-8), or its path is too long"),
    ("left_out_table", "files", "left out: tables beside what is read"),
    ("left_out_picture", "files", "left out: images beside tables or rows, which take only those that they name"),
    ("left_out_sidecar", "files", "left out: .txt and .json that no template asks for, or without an image"),
    ("left_out_submission", "files", "left out: made-up answers, as Kaggle's sample_submission.csv"),
    ("left_out_archive", "files", "left out: archives (.tar, .zip, ...)"),
    (
        "left_out_other_rows",
        "files",
        "left out: spreadsheets, databases and other files of rows (.xlsx, .arrow, ...)",
    ),
    ("left_out_almost_image", "files", "left out: an image's ending with something behind it (a.jpg_large, a.jpg?w=1)"),
    ("left_out_no_ending", "files", "left out: a name without an ending"),
    ("left_out_ending", "files", "left out: another ending"),
    ("examples_read", "examples", "rows: lines that are not blank, records of tables, images of folders"),
    ("examples_dropped", "examples", "of them, those that the function of --transform made no row of"),
    ("examples_added", "examples", "rows that the function of --transform made of one, beside the first"),
    ("examples_used", "examples", "of them, those that became output lines, or would have but for a cap"),
    ("examples_rejected", "examples", "of them, those written to rejected.jsonl"),
    ("examples_split", "examples", "used examples with more images than one example may hold"),
    ("pieces_written", "examples", "what the split examples became"),
    ("examples_without_images", "examples", "used examples of text alone"),
    ("examples_over_tokens", "examples", "used examples of more estimated tokens than the model takes"),
    ("examples_sampled_out", "examples", "lines left out by --sample"),
    ("validation_unused", "examples", "lines beyond --max_validation, in validation-unused.jsonl"),
    ("examples_written", "examples", "lines of train, validation and test"),
    (
        "split_group_missing",
        "examples",
        "examples without the --split_by column, or without an image under --split_by image: split by their own id",
    ),
    ("split_named", "examples", "examples whose split a name of a folder or file decides (--split_names)"),
    (
        "images_seen",
        "references",
        "image references of well-formed rows; each has one fate, images_rejected to images_untouched",
    ),
    ("images_rejected", "references", "could not be used, and their example with them"),
    ("images_dropped", "references", "could not be used and were dropped (--on_bad_image drop_image)"),
    ("images_unused", "references", "its example was rejected for another cause, or left out by --sample"),
    ("images_unverified", "references", "not looked at (--verify none)"),
    ("images_resized", "references", "rewritten with fewer pixels"),
    ("images_converted", "references", "rewritten in another format, all pixels kept"),
    ("images_recompressed", "references", "rewritten in its own format, all pixels kept"),
    ("images_untouched", "references", "conforming: left where it is"),
    ("images_rotated_tag", "references", "used as they are, with an EXIF rotation tag (--upright rewrites them)"),
    ("images_warn_type", "references", "used as WebP, HEIC or HEIF, which the tuning pages do not all name"),
    (
        "images_rare_type",
        "references",
        "rewritten from a type that is no web image (netpbm, PSD, QOI, SGI, DDS, PCX, Sun)",
    ),
    (
        "images_frames_dropped",
        "frames",
        "frames or pages of rewritten images beside the one that was kept, per reference",
    ),
    ("images_flat", "references", "rewritten, and nearly one colour now, though the source was not"),
    ("images_renamed", "references", "found under the same name in its other slash, Unicode or percent form alone"),
    ("images_in_root", "references", "not where rows name them, and found below --image_root by an end of their path"),
    ("images_type_corrected", "references", "their mimeType named another type than their bytes"),
    ("images_escalated", "references", "had no end mark, so the file was read whole and decoded"),
    ("images_staged", "references", "copied, or linked where that can be, as they are beside the dataset"),
    ("images_local", "references", "named by a local path, which the tuning service cannot read"),
    ("bytes_seen", "bytes", "of the images looked at, per reference"),
    ("images_fetched", "references", "named by URL, and given by their server"),
    ("bytes_fetched", "bytes", "of the images that were given so, per reference"),
    (
        "images_kept",
        "references",
        "named by URL, and left as an earlier night found them, since their server gave no answer",
    ),
    ("bytes_rewritten", "bytes", "of the rewritten images, per reference"),
)
COUNTERS: dict[str, Counter] = {row[0]: Counter(*row) for row in _TABLE}


def broken_laws(counters: Mapping[str, int]) -> list[str]:
    """Each law that does not hold, as a sentence with its numbers; empty when the ledger balances."""

    def c(name: str) -> int:
        return counters.get(name, 0)

    laws = (
        (
            "examples_read = examples_used + examples_rejected + examples_dropped - examples_added",
            c("examples_read"),
            c("examples_used") + c("examples_rejected") + c("examples_dropped") - c("examples_added"),
        ),
        ("images_seen = sum of the fates", c("images_seen"), sum(c(f"images_{fate}") for fate in FATES)),
        (
            "examples_written = examples_used - examples_split + pieces_written - examples_sampled_out - validation_unused",
            c("examples_written"),
            c("examples_used")
            - c("examples_split")
            + c("pieces_written")
            - c("examples_sampled_out")
            - c("validation_unused"),
        ),
        (
            "names_listed = files_taken + pictures_taken + the names left out, by kind",
            c("names_listed"),
            c("files_taken")
            + c("pictures_taken")
            + sum(n for name, n in counters.items() if name.startswith(LEFT_OUT)),
        ),
    )
    return [f"{law}: {left} is not {right}" for law, left, right in laws if left != right]
