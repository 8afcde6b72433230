"""Every reason why a row or an image is not used: one tree, stable names.

Class says whose move it is: `yours` (the row or file is at fault: mend it, then replay rejected.jsonl), `missing` (storage
did not give it: it may heal by itself, so a later run tries again) and `ours` (a decoder failed: report it).

All exceptions of the product are one tree, too. The text of each is for a person:

    TunesetError
    ├── RowError (also a ValueError)       a row breaks a rule: it is rejected
    │   └── ImageError                     an image of it cannot be used
    ├── StorageError                       storage could not do it; `reason` says what that makes of an image
    │   ├── NotFound, Forbidden, Refused, NotAFile, Changed
    │   ├── Disallowed, TooLarge, NoAnswer  of a server of other people
    │   ├── Unavailable                    no answer: the call is made again, then the job fails
    │   └── DamagedMark                    nobody knows whose images these are
    ├── NoAccess                           storage can be asked nothing at all
    │   ├── NoCredentials
    │   └── Untrusted                      the certificate of whoever answers cannot be verified
    ├── WrongRequest (also a ValueError)   a person asked for what cannot be: exit status 2
    │   ├── OptionError                    of the command line
    │   ├── InputError                     of files that an option names
    │   ├── TemplateError                  of a template that an option gives
    │   ├── FunctionError                  of the function that --transform names
    │   ├── DamagedJob                     what was given as a tuning job is none
    │   └── Unexplained                    a dataset does not tell of a line
    └── JobStopped                         a job may not go on, or may not seal: exit status 1
        ├── Claimed                        another live job has the folder
        ├── Unsealed                       the dataset may not be sealed
        ├── AtWork                         a run may count on any image of the folder
        └── NoEngine                       no engine of Beam answers

Three more are signals inside a module and its callers, which no person sees: Damaged (a part of an earlier night: the block is worked
anew), NeedMore (a header goes on behind what was read) and Died (a helper process: the image is tried again).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    name: str
    stage: str  # read | rules | inspect | fit | split | assign
    owner: str  # yours | missing | ours
    help: str  # what was wrong and what to do, one sentence


class TunesetError(Exception):
    """The root of all that Tuneset raises for a person to read."""


class WrongRequest(TunesetError, ValueError):
    """A person asked for what cannot be. The text says what was found, what was expected and what to do."""


class JobStopped(TunesetError):
    """A job may not go on, or may not seal its dataset, though nothing is wrong with a row or with storage."""


class RowError(TunesetError, ValueError):
    """A row that breaks a rule. `reason` is a name of REASONS; the text says what was found and expected."""

    def __init__(self, reason: str, detail: str, image: str = "") -> None:
        super().__init__(detail)
        self.reason, self.detail, self.image = reason, detail, image


class ImageError(RowError):
    """An image that cannot be used; under --on_bad_image drop_image it costs the image, not the example."""


_TABLE = (
    # reading a line
    ("not_utf8", "read", "yours", "The line is not strict UTF-8: save the file as UTF-8."),
    ("utf16", "read", "yours", "The file starts with a UTF-16 mark: save it as UTF-8. Counted once for the whole file."),
    ("not_rows", "read", "yours", "The file is something else than its name says (an archive, a spreadsheet, a web page, ...). "
     "Counted once for the whole file."),
    ("corrupt_gzip", "read", "yours", "The .gz file ends early or is damaged: what came before is used; copy it again."),
    ("corrupt_packing", "read", "yours", "The compressed file ends early or is damaged: what came before is used; copy it again."),
    ("line_too_long", "read", "yours", "The line is longer than --max_line_bytes, so it was not read whole: is it really one line?"),
    ("not_json", "read", "yours", "The line is not JSON (NaN, 1e999 and lone surrogates are not JSON either)."),
    ("duplicate_key", "read", "yours", "An object names a key twice, so its meaning depends on the reader: remove one."),
    ("too_deep", "read", "yours", "The line nests deeper than 200 levels, or a column of Parquet deeper than 100."),
    ("not_an_object", "read", "yours", "The line is JSON but not an object: write one a line, with no list around them."),
    # reading a table
    ("bad_record", "read", "yours", "A CSV record has more or fewer cells than its header or an open quote; a Parquet cell no value."),
    ("corrupt_parquet", "read", "yours", "The Parquet file is damaged, or none: what came before is used; copy it again."),
    ("missing_column", "read", "yours", "The file has not a column that an option names. Counted once for the whole file."),
    ("transform_failed", "read", "yours", "The function of --transform raised an exception, or returned what is no row."),
    ("bad_sidecar", "read", "yours", "The .txt or .json beside an image of a folder, or its metadata, cannot be read."),
    # the rules of an example
    ("other_format", "rules", "yours", "The row is in another format (messages, input_text, ...), not Gemini's contents."),
    ("missing_contents", "rules", "yours", "The row has no `contents` list, or an empty one."),
    ("bad_turn", "rules", "yours", "A turn is not an object with `role` and `parts`."),
    ("bad_role", "rules", "yours", "A role is neither `user` nor `model` (a system text belongs in systemInstruction)."),
    ("turn_order", "rules", "yours", "Turns must alternate, begin with user and end with model."),
    ("bad_part", "rules", "yours", "A part is not an object with exactly one of text, fileData."),
    ("empty_text", "rules", "yours", "A text part is empty or only white space."),
    ("unsupported_part", "rules", "yours", "A part holds a function call or another kind image tuning does not take."),
    ("inline_data", "rules", "yours", "A part holds the image itself (inlineData), which the service does not take, "
     "or a data: URI that cannot be decoded."),
    ("bad_file_data", "rules", "yours", "fileData needs the strings `mimeType` and `fileUri`."),
    ("unsupported_media", "rules", "yours", "The part is a PDF, audio or video, or a type that must be converted while "
     "`--verify none` looks at no file."),
    ("image_in_model_turn", "rules", "yours", "Images stand in user turns only."),
    ("no_image", "rules", "yours", "The row of a table names no image in any --image_column."),
    ("nearer_metadata", "rules", "yours", "A metadata file nearer to the image speaks for it, not this row: remove one of the two."),
    ("bad_image_value", "rules", "yours", "A column of images holds neither paths nor URIs."),
    ("bad_box", "rules", "yours", "A box of object detection is not four numbers inside the picture with a label."),
    ("no_boxes", "rules", "yours", "An image of object detection has no box, under --empty_boxes reject."),
    ("annotation_without_image", "rules", "yours", "Annotations are of images that their file does not list. Counted once a file."),
    ("empty_answer", "rules", "yours", "The --answer is blank for this row: there is nothing to learn."),
    ("bad_system_instruction", "rules", "yours", "systemInstruction must be an object whose parts are texts."),
    ("too_many_images", "split", "yours", "More images than --max_images, under --on_too_many_images reject; or over 10,000 in a row, "
     "or so many pieces that they would repeat over 64 MB of its texts."),
    ("too_many_tokens", "split", "yours", "More estimated tokens than the model takes, under --on_too_many_tokens reject."),
    ("unknown_split", "assign", "yours", "--split_column holds a word that names no split."),
    # images: where they are
    ("bad_uri", "inspect", "yours", "fileUri is not a path or URI that can be read."),
    ("unsupported_scheme", "inspect", "yours", "Only gs:// objects, local files and, where --allow_prefix names them, URLs are read."),
    ("not_allowed", "inspect", "yours", "The image lies outside what may be read: name its folder or server with --allow_prefix."),
    ("not_a_file", "inspect", "yours", "The path is a folder, a device or a pipe, or a link that leads out of what may be read."),
    ("image_not_found", "inspect", "missing", "There is no such object or file."),
    ("image_forbidden", "inspect", "missing", "The credentials may not read it, or a server gives it not to everybody: grant "
     "read access."),
    ("image_timeout", "inspect", "missing", "Storage, or the server of a URL, did not answer in time, after retries."),
    ("image_changed", "inspect", "missing", "It was overwritten while the job worked on it: run again when nothing writes there."),
    # images: what they are
    ("empty_image", "inspect", "yours", "The file has no bytes."),
    ("not_an_image", "inspect", "yours", "The bytes are no image of a known type, whatever the name says."),
    ("camera_raw", "inspect", "yours", "The file is a camera's raw data (DNG, NEF, CR2, CR3, ARW, RAF, ORF, RW2, PEF, ...), "
     "which has still to be developed: export it as JPEG, PNG or TIFF of 8 bits."),
    ("truncated_image", "inspect", "yours", "The file ends before its image does, or is too short for its pixels: copy it again from "
     "the source."),
    ("undecodable", "inspect", "yours", "The decoder cannot read the image."),
    ("too_many_pixels", "inspect", "yours", "More pixels than --max_pixels, by its header (over all frames where all are decoded)."),
    ("too_large", "inspect", "yours", "The file is over the limit under --oversize reject, or over 1 GiB, which is not rewritten."),
    ("animated", "inspect", "yours", "The file holds more than one frame or page, under --animation reject."),
    ("cannot_fit", "fit", "yours", "No quality and size that --oversize, --min_quality and --alpha allow fits the byte limit."),
    ("decoder_crashed", "fit", "ours", "The decoder died on it, three times: please report the image."),
    ("decoder_timeout", "fit", "ours", "The decoder did not end in time."),
    ("decoder_memory", "fit", "ours", "Decoding it needs more memory than a helper may use."),
    ("no_images_left", "inspect", "yours", "Under --on_bad_image drop_image no image of the example was left."),
    ("empty_turn", "inspect", "yours", "Under --on_bad_image drop_image a turn was left without a part."),
)  # fmt: skip

REASONS: dict[str, Reason] = {row[0]: Reason(*row) for row in _TABLE}


def owner(reason: str) -> str:
    """Whose move a reason is: yours, missing or ours."""
    return REASONS[reason].owner
