"""What a file is by its first bytes: bytes -> the type of an image, or what else they look like."""

from __future__ import annotations

from transforms.core.file_kinds import kind_of
from transforms.images.headers import rare
from transforms.images.headers.mangled import damage_of

_SIGNATURES = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0\x08\0\0\0", "tiff"),  # BigTIFF
    (b"MM\0+\0\x08\0\0", "tiff"),
    (b"\0\0\x01\0", "ico"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "jp2"),
    (b"\xff\x4f\xff\x51", "jp2"),  # bare codestream
    (b"\0\0\0\x0cJXL \r\n\x87\n", "jxl"),
    (b"\xff\x0a", "jxl"),
)
# ISO/IEC 23008-12 annex B (HEIF, HEVC) and the AV1 Image File Format: brands of stills and of sequences.
_HEIC_SEQUENCES = frozenset((b"hevc", b"hevx", b"hevm", b"hevs"))
_HEIC = _HEIC_SEQUENCES | {b"heic", b"heix", b"heim", b"heis"}
_AVIF = frozenset((b"avif", b"avis"))
_HEIF = frozenset((b"mif1", b"msf1", b"mif2", b"miaf"))
SEQUENCES = _HEIC_SEQUENCES | {b"msf1", b"avis"}
_BMP_HEADERS = frozenset((12, 16, 40, 52, 56, 64, 108, 124))  # sizes of the known DIB headers, bytes
# Cameras' raw data that is no TIFF, or calls itself something else: (place, bytes, name).
_RAW = (
    (0, b"FUJIFILMCCD-RAW", "RAF"),
    (0, b"IIRO", "ORF"),
    (0, b"IIRS", "ORF"),
    (0, b"MMOR", "ORF"),
    (0, b"IIU\0", "RW2"),
    (4, b"ftypcrx ", "CR3"),
    (6, b"HEAPCCDR", "CRW"),
    (0, b"FOVb", "X3F"),
    (0, b"\0MRM", "MRW"),
)
_BLANK = b"\xef\xbb\xbf \t\r\n"
_EXCERPT = 60  # letters of a text that are told
_TEXT = bytes({*range(32, 127), *b"\t\n\r\f", *range(128, 256)})


def sniff(head: bytes) -> str:
    """The type that the first bytes announce, one of Header's types, or "" if none.

    >>> sniff(bytes.fromhex("ffd8ffe0"))
    'jpeg'
    """
    for magic, type_ in _SIGNATURES:
        if head.startswith(magic):
            return type_
    if head[4:8] == b"ftyp":
        return _sniff_brands(head)
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "webp"
    if head.startswith(b"BM") and (len(head) < 18 or int.from_bytes(head[14:18], "little") in _BMP_HEADERS):
        return "bmp"
    return "svg" if _is_svg(head) else rare.sniff(head)


def raw_format(head: bytes) -> str:
    """The name of a camera's raw format that is no TIFF, or "".

    >>> raw_format(b"FUJIFILMCCD-RAW 0201")
    'RAF'
    """
    return next((name for at, magic, name in _RAW if head.startswith(magic, at)), "")


def looks_like(head: bytes) -> str:
    """What bytes that are no image seem to be, and what to do, for a person to read."""
    if told := damage_of(head):
        return told
    if kind := kind_of(head):
        return str(kind)
    if not head.strip(b"\0"):
        return "nothing but zero bytes: a copy or download that was cut off; make it again"
    sample = head[:512]
    if not sample.strip(b"\0"):
        return f"{len(head) - len(head.lstrip(bytes(1))):,} zero bytes before anything else: copy or download it again"
    if sample.lstrip(_BLANK).startswith(b"<"):
        return f"XML or HTML, {_excerpt(sample)}"
    if (
        not sample.translate(None, _TEXT) and sample.decode("utf-8", "replace").count("\ufffd") <= 1
    ):  # 1: cut at the end
        kind_of_text = "JSON" if sample.lstrip(_BLANK).startswith((b"{", b"[")) else "text"
        return f"{kind_of_text}, {_excerpt(sample)}: was an error saved in place of the image? Download it again"
    return f"nothing known, first bytes {sample[:8].hex(' ')}"


def _excerpt(sample: bytes) -> str:
    """The beginning of a text, as a person reads it."""
    text = " ".join(sample.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace").split())
    return repr(text if len(text) <= _EXCERPT else f"{text[:_EXCERPT]}...")


def _sniff_brands(head: bytes) -> str:
    major, end = head[8:12], min(int.from_bytes(head[:4], "big"), len(head), 4096)
    if major in _AVIF:
        return "avif"
    if major in _HEIC:
        return "heic"
    if major not in _HEIF:
        return ""
    for at in range(16, end, 4):  # compatible brands say what is coded in the generic container
        if head[at : at + 4] in _AVIF:
            return "avif"
        if head[at : at + 4] in _HEIC:
            return "heic"
    return "heif"


def _is_svg(head: bytes) -> bool:
    text = head[:4096].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<?xml", b"<!--", b"<!doctype svg")):
        return b"<svg" in text and b"<html" not in text
    return text.startswith(b"<svg")
