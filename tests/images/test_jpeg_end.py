"""JPEGs that lack their end: used where every row is there, and rejected where it is not."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
from image_bytes import encoded, noise
from inspecting import inspector
from PIL import Image

from transforms.core.reasons import ImageError
from transforms.images.fit.decode import check_decode
from transforms.images.fit.fit import fit
from transforms.images.fit.jpeg_end import with_end
from transforms.images.fit.policy import FitPolicy
from transforms.images.inspection import look_at_bytes

POLICY = FitPolicy(max_bytes=10**6, types=("jpeg", "png"))
SOFT = Image.radial_gradient("L").resize((150, 110))
WHOLE = {
    "noise": encoded("JPEG", noise(96, 64), quality=90),
    "progressive": encoded("JPEG", noise(96, 64), quality=90, progressive=True),
    "soft": encoded("JPEG", SOFT, quality=80),
    "soft, progressive": encoded("JPEG", SOFT.convert("RGB"), quality=80, progressive=True),
    "one colour": encoded("JPEG", Image.new("RGB", (320, 240), (200, 100, 30)), quality=90),
    "4:4:4": encoded("JPEG", noise(50, 33), quality=75, subsampling=0),
    "restarts": encoded("JPEG", noise(96, 64), restart_marker_rows=1),
    "CMYK": encoded("JPEG", noise(40, 40, "CMYK")),
}


def pixels(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data)) as image:
        return image.tobytes()


@pytest.mark.parametrize("name", WHOLE)
def test_without_its_last_two_bytes_it_is_used_whole(name: str) -> None:
    whole = WHOLE[name]
    assert with_end(whole) == whole and whole[-2:] == b"\xff\xd9"
    for data in (whole[:-1], whole[:-2], whole[:-2] + b"\xff" * 4096):
        assert pixels(with_end(data)) == pixels(whole)
        check_decode(data, 10**6)
        fitted = fit(data, POLICY, source="s", header_type="jpeg")
        assert fitted.data[-2:] == b"\xff\xd9" and (fitted.width, fitted.height) == Image.open(io.BytesIO(whole)).size


@pytest.mark.parametrize("padding", [1, 2, 600, 8192])
@pytest.mark.parametrize("name", ["noise", "progressive", "soft", "one colour", "4:4:4", "restarts", "CMYK"])
def test_padded_with_zeros_in_place_of_its_end_it_is_used(name: str, padding: int) -> None:
    data = WHOLE[name][:-2] + bytes(padding)
    assert pixels(with_end(data)) == pixels(WHOLE[name])


@pytest.mark.parametrize("name", ["noise", "progressive", "soft", "4:4:4", "CMYK"])
def test_without_a_byte_of_its_pixels_it_is_truncated(name: str) -> None:
    """Cuts of some bytes, and of halves, also where the rest of the file is padding or another file's bytes."""
    whole = WHOLE[name]
    cuts = [whole[:-missing] for missing in (3, 4, 5, 6, 9, 17, 40, 150)]
    half = whole[: len(whole) // 2]
    for data in (*cuts, half, half + bytes(5000), half + b"\x12other bytes" * 500):
        with pytest.raises(ImageError) as caught:
            check_decode(data, 10**6)
        assert caught.value.reason == "truncated_image"


def test_a_progressive_jpeg_cut_between_two_scans_is_truncated() -> None:
    whole = WHOLE["progressive"]
    scans = [at for at in range(len(whole)) if whole.startswith(b"\xff\xda", at)]
    tables = [whole.rindex(b"\xff\xc4", 0, at) for at in scans[1:]]
    assert len(scans) > 5
    for at in (*scans[1:], *tables):
        with pytest.raises(ImageError) as caught:
            with_end(whole[:at])
        assert caught.value.reason == "truncated_image"


@pytest.mark.parametrize(
    ("data", "verify", "facts"),
    [
        (WHOLE["noise"], "structure", {}),
        (WHOLE["noise"][:-2], "structure", {"escalated": True, "end_missing": True}),
        (WHOLE["noise"][:-2], "decode", {"end_missing": True}),
        (WHOLE["noise"][:-2] + bytes(300), "structure", {"escalated": True, "end_missing": True}),
        (WHOLE["noise"] + b"a motion photo", "structure", {"escalated": True}),
        (WHOLE["noise"][:-40], "structure", {"escalated": True, "end_missing": True, "reason": "truncated_image"}),
    ],
)
def test_what_inspection_says_of_it(data: bytes, verify: str, facts: dict[str, Any]) -> None:
    """One without its end does not conform: it is to be rewritten."""
    looking = replace(inspector(), verify=verify)
    found = look_at_bytes("a.jpg", data, looking)
    assert {name: getattr(found, name) for name in ("escalated", "end_missing", "reason")} == {
        "escalated": False, "end_missing": False, "reason": "", **facts}  # fmt: skip
    assert looking.must_fit(found) is (found.end_missing and not found.reason)
