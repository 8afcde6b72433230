"""Files beside images: which one is whose, as people, Google Takeout and others name them, and that each is counted once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cloud import Cloud
from folders import jpeg, put
from laws import texts
from opening import tried

from transforms.core.listing_tally import ListingTally
from transforms.core.records import Block, Extent
from transforms.inputs.folder import read_folder
from transforms.inputs.packing import pack_images
from transforms.storage import store_for

ASK = ("--prompt", "What?", "--verify", "none")
LONG = "a_very_long_name_that_a_phone_would_never_give_it"  # 49 letters


def answers(source: str, template: str) -> dict[str, str]:
    """The answer of each image by its name; of one that is rejected its reason's detail."""
    blocks = tried(source, *ASK, "--answer", template)
    found = {e.row.source.rpartition("/")[2]: texts({"contents": e.contents})[-1] for b in blocks for e in b.examples}
    return found | {r.row.source.rpartition("/")[2]: r.detail for b in blocks for r in b.rejections}


TAKEOUT = {
    "IMG.JPG": "IMG.JPG.json",
    "b.jpg": "b.jpg.supplemental-metadata.json",
    "c.jpg": "c.jpg.suppl.json",
    "d.jpg": "d.jpg.s.json",
    "e.png": "e.png.json",
    "f.jpg": "f.jpg.json",
    "f(1).jpg": "f.jpg(1).json",
    "f(12).jpg": "f.jpg(12).json",
    "g(2).heic": "g.heic.supplemental-metadata(2).json",
    "h(3).jpg": "h(3).json",
    f"{LONG}.jpg": f"{LONG[:46]}.json",
    "a_name_whose_ending_is_cut_off_in_two_here.jpg": "a_name_whose_ending_is_cut_off_in_two_here.jpg.json",
    "a_name_whose_long_word_is_cut.jpg": "a_name_whose_long_word_is_cut.jpg.supplemental.json",
    "a_name_whose_ending_is_cut_off_in_two_here_x.jpg": "a_name_whose_ending_is_cut_off_in_two_here_x.j.json",
}


@pytest.mark.parametrize("cloudy", [False, True])
def test_takeouts_names(tmp_path: Path, cloud: Cloud, cloudy: bool) -> None:
    others = {
        "f-other.jpg": jpeg(),
        "f.other": b"",
        "print-subscriptions.json": b"{}",
        "x(1).json": b"{}",
        "y.jpg(1).json": b"{}",
    }
    files = {image: jpeg(seed=number) for number, image in enumerate(TAKEOUT)} | others
    files |= {sidecar: json.dumps({"title": image}).encode() for image, sidecar in TAKEOUT.items()}
    for name, data in files.items():
        if cloudy:
            cloud.put(f"in/{name}", data)
        else:
            put(tmp_path / "in" / name, data)
    folder = f"{cloud.uri}/in" if cloudy else str(tmp_path / "in")
    told = answers(f"{folder}/", "{sidecar.title}")
    lonely = told.pop("f-other.jpg")
    assert told == {image: image for image in TAKEOUT}
    assert lonely == (
        "the answer is blank for this row: there is no sidecar beside the image; looked for f-other.json, f-other.txt, "
        "f-other.jpg.json, f-other.jpg.txt"
    )

    tally = ListingTally()
    listed = [file for file in store_for(folder).list(folder) if not file.uri.endswith(".other")]
    blocks = list(pack_images(0, listed, 512, folder, tally, sidecars=True))
    assert sum(len(block.extents) for block in blocks) == 2 * len(TAKEOUT) + 1
    counters = {
        "pictures_taken": len(TAKEOUT) + 1,
        "files_taken": len(TAKEOUT),
        "left_out_sidecar": 3,
        "files_skipped": 3,
    }
    assert tally.counters == counters
    assert tally.warnings.counts == {"left_out_sidecar": (3, f"{folder}/print-subscriptions.json")}


@pytest.mark.parametrize(
    "beside, answer",
    [
        (("a.json", "a.txt", "a.jpg.json", "a.jpg.txt", "a.jpg.supplemental-metadata.json"), "a.json"),
        (("a.txt", "a.jpg.json", "a.jpg.txt", "a.jpg.supplemental-metadata.json"), "a.txt"),
        (("a.jpg.json", "a.jpg.txt", "a.jpg.s.json"), "a.jpg.json"),
        (("a.jpg.txt", "a.jpg.s.json"), "a.jpg.txt"),
        (("a.TXT",), "a.TXT"),
        (("a.jpg.supplemental-metadata.json", "a.jpg.sharp.json", "b.txt"), "a.jpg.supplemental-metadata.json"),
    ],
)
def test_of_several_one_counts(tmp_path: Path, beside: tuple[str, ...], answer: str) -> None:
    put(tmp_path / "in/a.jpg", jpeg())
    for name in beside:
        put(tmp_path / "in" / name, json.dumps(name).encode() if name.endswith("json") else name.encode())
    assert answers(str(tmp_path / "in"), "{sidecar}") == {"a.jpg": answer}


def test_a_sidecar_of_two_images_is_taken_once(tmp_path: Path) -> None:
    for name, data in (("a.jpg", jpeg()), ("a.png", jpeg()), ("a.txt", b"both")):
        put(tmp_path / name, data)
    tally = ListingTally()
    list(pack_images(0, store_for(str(tmp_path)).list(str(tmp_path)), 512, str(tmp_path), tally, sidecars=True))
    assert tally.counters == {"pictures_taken": 2, "files_taken": 1}


@pytest.mark.parametrize(
    "data, said",
    [
        (
            b'{"caption": "", "url": "u"}',
            "{sidecar.title} stands for nothing in its sidecar, which holds 'caption', 'url'",
        ),
        (b"{}", "{sidecar.title} stands for nothing in its sidecar, which holds nothing"),
        (b'"x"', '{sidecar.title} stands for nothing in its sidecar, which holds "x"'),
    ],
)
def test_a_sidecar_without_what_is_asked_for(tmp_path: Path, data: bytes, said: str) -> None:
    put(tmp_path / "in/a.jpg", jpeg())
    put(tmp_path / "in/a.json", data)
    assert answers(str(tmp_path / "in"), "{sidecar.title}") == {"a.jpg": f"the answer is blank for this row: {said}"}


def test_without_a_template_for_sidecars_nothing_is_looked_for(tmp_path: Path) -> None:
    put(tmp_path / "in/a(1).jpg", jpeg())
    put(tmp_path / "in/a.jpg(1).json", b"{}")
    tally = ListingTally()
    images = [file for file in store_for(str(tmp_path)).list(str(tmp_path)) if file.uri.endswith(".jpg")]
    blocks = list(pack_images(0, images, 512, str(tmp_path), tally))
    assert [len(block.extents) for block in blocks] == [1] and tally.counters == {"pictures_taken": 1}


def test_an_object_says_of_itself_what_its_uploader_did(cloud: Cloud) -> None:
    for name, metadata in {"a": {"label": "cat", "n": "1"}, "b": {"label": "dog"}, "c": {}}.items():
        blob = cloud.bucket.blob(f"in/{name}.jpg")
        blob.metadata = metadata
        blob.upload_from_string(jpeg(seed=ord(name)))
    blank = "the answer is blank for this row: {metadata.label} stands for nothing"
    assert answers(f"{cloud.uri}/in/", "{metadata.label}") == {"a.jpg": "cat", "b.jpg": "dog", "c.jpg": blank}


def test_metadata_is_that_of_the_version_that_was_listed(cloud: Cloud) -> None:
    uris = [cloud.put(f"in/{name}.jpg", jpeg()) for name in "ab"]
    extents = tuple(Extent(uri, "7", 1, 0, 1) for uri in uris)
    cloud.bucket.blob("in/b.jpg").delete()
    opened = read_folder(Block((0, b"", 0), extents, "folder"), lambda block: "key", 100, with_metadata=True)
    assert [(one.reason, opened.facts[one.row.source].reason) for one in opened.rejections] == [
        ("bad_sidecar", "image_changed"),
        ("bad_sidecar", "image_not_found"),
    ]
    assert opened.rows == [] and opened.counters["examples_read"] == 2
