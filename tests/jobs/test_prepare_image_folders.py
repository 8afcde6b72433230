"""Where images may lie under the options of `tuneset prepare`, and what they will be called."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from folders import bmp, png, put, row
from laws import counters, uris
from prepared import Run, all_lines, in_folder, why

from transforms.core.records import ImageFacts
from transforms.images import orders


def test_allow_prefix_names_what_may_be_read(run_rows: Run, tmp_path: Path) -> None:
    elsewhere = put(tmp_path / "pictures" / "a.png", png())
    near = put(tmp_path / "in" / "b.png", png(seed=2))
    rows = [row("elsewhere", [elsewhere]), row("near", [near])]
    found = run_rows(rows, "--allow_prefix", f"{tmp_path}/pictures")
    assert why(found) == {"b.png": "not_allowed"}
    found = run_rows(rows, "--allow_prefix", f"{tmp_path}/pictures,{tmp_path}/in", output="two")
    assert why(found) == {}


def test_uri_prefix_names_the_images_as_they_will_be_uploaded(run_rows: Run, tmp_path: Path) -> None:
    named = in_folder(tmp_path, a_png=png(), b_bmp=bmp())
    put(tmp_path / "in" / "deep" / "c d.png", png(seed=3))
    rows = [row("all", [*named.values(), "deep/c d.png"])]
    found = run_rows(rows, "--uri_prefix", "gs://bucket/data/", "--splits", "train=1")
    names = [uri.removeprefix("gs://bucket/data/images/") for uri in uris(json.loads(all_lines(found)[0]))]
    first, fitted, deep = (found[f"images/{name[:2]}/{name}"] for name in names)
    assert (first, deep) == (png(), png(seed=3)) and fitted != bmp()
    assert found["manifest.json"]["uploadable"] == "yes" and "images_local" not in found["manifest.json"]["counters"]
    assert found["manifest.json"]["counters"]["images_staged"] == 2


def note_fitted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """URIs of the images that are read to be fitted, as they come."""
    fitted: list[str] = []
    real = orders.read_image

    def noting(facts: ImageFacts, readable: tuple[str, ...]) -> bytes:
        fitted.append(facts.uri)
        return real(facts, readable)

    monkeypatch.setattr(orders, "read_image", noting)
    return fitted


def test_a_shared_image_folder_is_filled_once(run_rows: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = in_folder(tmp_path, a_bmp=bmp(), b_bmp=bmp(seed=2))
    folder = tmp_path / "shared"
    one = run_rows([row("first night", [named["a_bmp"]])], "--image_folder", str(folder))
    made = {path: path.stat() for path in folder.glob("??/*")}
    assert len(made) == 1 and not any(name.startswith("images/") for name in one)

    fitted = note_fitted(monkeypatch)
    rows = [row("second night", list(named.values()))]
    two = run_rows(rows, "--image_folder", str(folder), output="two")
    assert fitted == [named["b_bmp"]]
    assert {path: path.stat() for path in made} == made
    old, new = uris(json.loads(all_lines(two)[0]))
    assert old == str(next(iter(made))) and Path(new).is_relative_to(folder)
    # What the image tells of itself is what its maker told.
    described = [{k: v for k, v in image.items() if k != "references"} for image in one["images.parquet"]]
    assert described[0] in [{k: v for k, v in image.items() if k != "references"} for image in two["images.parquet"]]


def test_an_image_that_many_rows_and_blocks_name_is_fitted_once(
    run_rows: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = in_folder(tmp_path, a_bmp=bmp())
    fitted = note_fitted(monkeypatch)
    found = run_rows([row(f"row {n}", [named["a_bmp"]]) for n in range(40)], "--block_bytes", "1024")
    assert fitted == [named["a_bmp"]] and counters(found)["images_converted"] == 40
    assert len([name for name in found if name.startswith("images/")]) == 1
    assert sum(image["references"] for image in found["images.parquet"]) == 40 < 40 * len(found["images.parquet"])
