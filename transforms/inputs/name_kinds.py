"""Which listed names are no input, and of what kind: a URI -> one of KINDS, or "" if it is read.

What systems leave beside people's files (thumbnails, recycle bins, resource forks), or Kaggle beside its tables (made-up answers), is
never meant, whoever lists it; a name that a pattern spells is. Everything else that is not read is told by its ending, so that what is
not recognised is said too.
"""

from __future__ import annotations

import re

from transforms.core.media_types import IMAGE_TYPES
from transforms.core.places import is_text
from transforms.inputs.formats.sidecars import is_sidecar
from transforms.inputs.registry import IMAGES, MEANINGS, TABLE

_SYSTEM_FOLDERS = (
    "@eaDir", "#recycle", "#snapshot", "@tmp", "@Recycle", "@Recently-Snapshot", ".@__thumb",  # NAS
    "__MACOSX", ".AppleDouble", ".Spotlight-V100", ".fseventsd", ".TemporaryItems", ".Trashes", ".DocumentRevisions-V100",
    "Network Trash Folder", "Temporary Items",  # macOS
    "$RECYCLE.BIN", "RECYCLER", "System Volume Information",  # Windows
    "lost+found", ".Trash", ".thumbnails", ".thumbs", ".thumb",  # Linux, Android
    "__pycache__", ".ipynb_checkpoints", ".git", ".svn", ".hg",
)  # fmt: skip
_SYSTEM_FILES = (
    ".DS_Store", ".localized", ".directory", "Thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "Picasa.ini",
    ".picasa.ini", "ZbThumbnail.info", "Icon\r",
)  # fmt: skip
_UNREAD = re.compile(
    r"(?:^|/)(?:(?P<system>"
    rf"(?:{'|'.join(map(re.escape, _SYSTEM_FOLDERS))}|\.Trash-\d+)(?=/)"
    rf"|(?:{'|'.join(map(re.escape, _SYSTEM_FILES))})$|\._[^/]*|SYNO(?:PHOTO|FILE)_THUMB[^/]*|~\$[^/]*$"
    r"|cache-[0-9a-f]{8,}[^/]*\.arrow$"  # what Hugging Face's datasets keep of work on them
    r")|(?P<submission>(?:sample|gender|example|dummy)[-_ ]?submissions?(?=[-_. ])[^/]*$)|(?P<hidden>\.))",
    re.IGNORECASE,
)
_ALMOST_IMAGE = re.compile(rf"\.(?:{'|'.join(IMAGE_TYPES)})[^a-z0-9/][^/]*$", re.IGNORECASE)
_ENDING = re.compile(r"\.[^./\s]{1,20}$")
_ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst", ".zip", ".7z", ".rar")
_OTHER_ROWS = (
    ".xlsx", ".xls", ".xlsm", ".xlsb", ".ods", ".numbers", ".feather", ".orc", ".avro", ".tfrecord", ".tfrecords", ".sqlite",
    ".sqlite3", ".db", ".mdb", ".accdb", ".h5", ".hdf5", ".npy", ".npz", ".pkl", ".pickle", ".mat", ".lmdb", ".rds", ".rec",
)  # fmt: skip
CAMERA_RAW = (
    ".dng", ".nef", ".nrw", ".cr2", ".cr3", ".crw", ".arw", ".sr2", ".srf", ".raf", ".orf", ".rw2", ".rwl", ".pef", ".srw", ".x3f",
    ".3fr", ".iiq", ".dcr", ".kdc", ".mrw", ".erf", ".mef",
)  # fmt: skip
LINK = "link"  # in place of the version of a local name that is a link to a folder, or to nothing
ROWS = "table"  # the kind of files that hold rows, beside what is read

OF_OTHER_ROWS = ("archive", "other_rows")  # the kinds of files that may hold rows or images, but are not read
BY_ENDING = (*OF_OTHER_ROWS, "almost_image", "ending")  # the kinds whose endings are counted
KINDS = (
    "system", "hidden", "submission", "link", "unreadable", ROWS, "picture", "sidecar", "no_ending", *BY_ENDING,
)  # fmt: skip


def unread_place(below: str, spelled: str = "", hidden: bool = True) -> str:
    """ "system", "hidden" or "submission" for a name that is left out wherever it lies, else "".

    Args:
      below: the path below the folder that was given.
      spelled: what a pattern says of that path: a name of a system's that stands in it is meant.
      hidden: whether names with a dot before them are left out.

    >>> unread_place("cat/@eaDir/1.jpg/SYNOPHOTO_THUMB_M.jpg"), unread_place(".git/x"), unread_place("cat/.x"), unread_place("a/b")
    ('system', 'system', 'hidden', '')
    >>> unread_place("kaggle/sample_submission.csv")
    'submission'
    >>> unread_place("@eaDir/1.jpg", spelled="@eaDir/*.jpg")
    ''
    """
    match = _UNREAD.search(below)
    while match and _passed_over(match, spelled, hidden):
        match = _UNREAD.search(below, match.end())
    return (match.lastgroup or "") if match else ""


def _passed_over(match: re.Match[str], spelled: str, hidden: bool) -> bool:
    if match.lastgroup == "hidden":
        return not hidden
    name = match[match.lastgroup or 0].lower()
    return any(part == name or (name[:2] == part[:2] == "._") for part in spelled.lower().split("/"))


def kind_of_unread(uri: str, generation: str, row_format: str, suffixes: tuple[str, ...]) -> str:
    """The kind of a name that lies in no unread place; "" if it is read.

    Args:
      format: that is read.
      suffixes: endings of what is read of a folder; none where a file is read whatever it is called, as one that a glob matches.
    """
    if generation == LINK:
        return "link"
    if not is_text(uri) or uri[-1] == "/":
        return "unreadable"
    lower = uri.lower()
    if not suffixes or lower.endswith(suffixes):
        return ""
    if lower.endswith(TABLE.suffixes):
        return ROWS
    if lower.endswith(IMAGES.suffixes):
        return "picture"
    if MEANINGS[row_format].of_files and is_sidecar(lower):
        return "sidecar"
    if lower.endswith(_ARCHIVES):
        return "archive"
    if lower.endswith(_OTHER_ROWS):
        return "other_rows"
    if almost_image(uri):
        return "almost_image"
    return "ending" if ending_of(uri) else "no_ending"


def almost_image(uri: str) -> bool:
    """Whether an ending of an image is followed by what tools put behind it.

    >>> almost_image("a.jpg_large"), almost_image("a.JPG?w=1"), almost_image("a.jpg"), almost_image("a.jpgs")
    (True, True, False, False)
    """
    return _ALMOST_IMAGE.search(uri) is not None


def ending_of(uri: str) -> str:
    """The ending of a name in small letters, with its dot; "" if it has none that could be one.

    >>> ending_of("/in/a.MP4"), ending_of("/in/LICENSE"), ending_of("/in/v1.2/x")
    ('.mp4', '', '')
    """
    match = _ENDING.search(uri.rpartition("/")[2])
    return match[0].lower() if match else ""
