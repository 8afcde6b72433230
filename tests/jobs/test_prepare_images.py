"""Options of `tuneset prepare` on images: their limits, and how closely they are looked at."""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path

import pytest
from folders import bmp, encoded, jpeg, png, put, row
from laws import counters, lines, texts, uris
from PIL import Image
from prepared import Run, all_lines, fate_of, fates, in_folder, why

from transforms.core.limits import PROFILES

ROTATED = 6  # EXIF: to be turned a quarter


def jpeg_of(size: int) -> bytes:
    """A real JPEG of exactly `size` bytes: comments take up what the picture does not."""
    data = jpeg(160, 120)
    while (missing := size - len(data)) > 0:
        length = missing if missing < 4 + 60_000 else 60_000
        assert missing >= 4
        data = data[:2] + b"\xff\xfe" + (length - 2).to_bytes(2, "big") + b" " * (length - 4) + data[2:]
    return data


def test_an_image_of_exactly_max_image_bytes_is_left_as_it_is(run_rows: Run, tmp_path: Path) -> None:
    limit = 20_000
    named = in_folder(tmp_path, **{f"x{limit + d}_jpg": jpeg_of(limit + d) for d in (-1, 0, 1)})
    assert [os.path.getsize(path) for path in named.values()] == [limit - 1, limit, limit + 1]
    found = run_rows([row("all", list(named.values()))], "--max_image_bytes", str(limit), "--splits", "train=1")
    assert fate_of(found) == {"x19999.jpg": "untouched", "x20000.jpg": "untouched", "x20001.jpg": "recompressed"}
    (line,) = lines(found) + lines(found, "validation")
    assert uris(line)[:2] == [named["x19999_jpg"], named["x20000_jpg"]]
    rewritten = Path(uris(line)[2])
    assert rewritten.is_relative_to(tmp_path / "out" / "images") and rewritten.stat().st_size <= limit
    assert counters(found)["bytes_rewritten"] == rewritten.stat().st_size
    assert counters(found)["bytes_seen"] == 3 * limit
    assert sorted(name.partition("/")[0] for name in found if name != "screen") == [
        "examples.parquet",
        "images",
        "images.parquet",
        "manifest.json",
        "rejected.jsonl",
        "train.jsonl",
        "validation.jsonl",
    ]
    assert not (tmp_path / "out/_tuneset").exists()  # no --keep_blocks
    assert found["manifest.json"]["uploadable"] == "not yet" and counters(found)["images_local"] == 3
    assert "Not yet uploadable" in found["screen"] and "--uri_prefix" in found["screen"]


def test_an_example_over_max_images_is_split(run_rows: Run, tmp_path: Path) -> None:
    named = list(in_folder(tmp_path, **{f"x{number}_png": png(seed=number) for number in range(4)}).values())
    rows = [row(f"of {count}", named[:count]) for count in (2, 3, 4)]
    found = run_rows(rows, "--max_images", "3", "--splits", "train=1")
    assert [(texts(line)[0], uris(line)) for line in lines(found)] == [
        ("of 2", named[:2]),
        ("of 3", named[:3]),
        ("of 4", named[:2]),
        ("of 4", named[2:]),
    ]
    assert [(e["piece"], e["pieces"], e["source_line"]) for e in found["examples.parquet"]] == [
        (1, 1, 1),
        (1, 1, 2),
        (1, 2, 3),
        (2, 2, 3),
    ]
    count = counters(found)
    assert (count["examples_split"], count["pieces_written"], count["examples_written"]) == (1, 2, 4)
    assert "1 example held more images" in found["screen"]


def test_an_example_over_max_images_may_be_rejected_instead(run_rows: Run, tmp_path: Path) -> None:
    named = list(in_folder(tmp_path, **{f"x{number}_png": png(seed=number) for number in range(3)}).values())
    named.append(put(tmp_path / "in/big.bmp", bmp()))
    rows = [row(f"of {count}", named[-count:]) for count in (2, 3, 4)]
    found = run_rows(rows, "--max_images", "3", "--on_too_many_images", "reject")
    assert why(found) == {"of 4": "too_many_images"}
    # The example was counted before anything of it was fitted; the image is fitted for the others.
    assert fates(found) == {"unused": 4, "converted": 2, "untouched": 3}


def test_types_that_do_not_conform_are_converted(run_rows: Run, tmp_path: Path) -> None:
    named = in_folder(
        tmp_path, a_webp=encoded("WEBP"), b_png=png(), c_jpg=jpeg(), d_gif=encoded("GIF"), liar_jpg=png(seed=5)
    )
    found = run_rows([row("all", list(named.values()))])
    conform = dict.fromkeys(("a.webp", "b.png", "c.jpg", "liar.jpg"), "untouched")
    assert fate_of(found) == conform | {"d.gif": "converted"}
    assert counters(found)["images_warn_type"] == 1 and "WebP, HEIC or HEIF" in found["screen"]
    # The type is what the bytes say. Only the liar's mimeType was wrong of what stays as it is.
    liar = json.loads(all_lines(found)[0])["contents"][0]["parts"][4]["fileData"]
    assert liar == {"mimeType": "image/png", "fileUri": named["liar_jpg"]}
    assert counters(found)["images_type_corrected"] == 1
    found = run_rows([row("all", list(named.values()))], "--types", "jpeg", output="two")
    assert fate_of(found) == dict.fromkeys((*conform, "d.gif"), "converted") | {"c.jpg": "untouched"}
    assert "images_warn_type" not in found["manifest.json"]["counters"]


@pytest.mark.parametrize("model, conform", [("image-tuning", 16), ("gemini-2.5", 30)])
def test_the_model_sets_the_limits(run_rows: Run, model: str, conform: int) -> None:
    rows = [row(f"of {count}", [f"gs://b/{n}.png" for n in range(count)]) for count in (conform, conform + 1)]
    found = run_rows(rows, "--model", model, "--verify", "none", "--splits", "train=1")
    assert [len(uris(line)) for line in lines(found)] == [
        conform,
        -(-(conform + 1) // 2),
        (conform + 1) // 2,
    ]
    assert found["manifest.json"]["options"]["max_images"] == conform
    assert found["manifest.json"]["limits"] == PROFILES[model].source


def undecodable_png() -> bytes:
    """Whose chunks and checksums are right, and whose data are none: only the decoder sees it."""
    data = png(320, 240)
    at = data.index(b"IDAT")
    length = int.from_bytes(data[at - 4 : at], "big")
    body = b"IDAT" + bytes(length)
    return data[:at] + body + zlib.crc32(body).to_bytes(4, "big") + data[at + 8 + length :]


def damaged() -> dict[str, bytes]:
    whole = encoded("JPEG", 320, 240, quality=95)
    drawn = bytearray(png(320, 240))
    drawn[len(drawn) // 2] ^= 0xFF  # of the picture's data, so that a checksum is wrong
    return {
        "good_jpg": whole,
        "trailer_jpg": whole + b"motion photo" * 1000,
        "truncated_jpg": whole[: len(whole) * 3 // 4],
        "middle_png": bytes(drawn),
        "deep_png": undecodable_png(),
        "text_jpg": b"no image at all, but long enough to be one",
    }


@pytest.mark.parametrize(
    "level, bad",
    [
        ("none", {}),
        ("header", {"text.jpg": "not_an_image"}),
        ("structure", {"text.jpg": "not_an_image", "truncated.jpg": "truncated_image"}),
        (
            "decode",
            {
                "text.jpg": "not_an_image",
                "truncated.jpg": "truncated_image",
                "middle.png": "undecodable",
                "deep.png": "undecodable",
            },
        ),
    ],
)
def test_verify_decides_how_closely_images_are_looked_at(
    run_rows: Run, tmp_path: Path, level: str, bad: dict[str, str]
) -> None:
    named = in_folder(tmp_path, **damaged())
    found = run_rows([row(name, [path]) for name, path in named.items()], "--verify", level)
    assert why(found) == bad
    good = len(named) - len(bad)
    assert fates(found) == (
        {"unverified": len(named)} if level == "none" else {"untouched": good} | ({"rejected": len(bad)})
    )
    assert found["manifest.json"]["verified"] is (level != "none")
    assert ("! not_verified: no image was looked at" in found["screen"]) is (level == "none")
    # Only a missing end mark makes a file be read whole: of the trailer and of the truncated one.
    assert counters(found)["images_escalated"] == (2 if level == "structure" else 0)


def test_upright_rewrites_what_carries_a_rotation_tag(run_rows: Run, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = ROTATED
    named = in_folder(tmp_path, turned_jpg=encoded("JPEG", 64, 48, exif=exif), plain_jpg=jpeg())
    rows = [row("both", list(named.values()))]
    found = run_rows(rows)
    assert fates(found) == {"untouched": 2} and counters(found)["images_rotated_tag"] == 1
    assert "--upright rewrites them upright" in found["screen"]
    found = run_rows(rows, "--upright", output="two")
    assert fate_of(found) == {"turned.jpg": "recompressed", "plain.jpg": "untouched"}
    assert "images_rotated_tag" not in found["manifest.json"]["counters"]
    turned, plain = uris(json.loads(all_lines(found)[0]))
    with Image.open(turned) as image:
        assert image.size == (48, 64) and 0x0112 not in image.getexif()
    assert plain == named["plain_jpg"]
