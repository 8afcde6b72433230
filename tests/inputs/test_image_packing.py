"""How images of folders, with their sidecars, are packed into blocks."""

from __future__ import annotations

import itertools
from hashlib import blake2b

from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.core.listing_tally import ListingTally
from transforms.inputs.packing import pack_files, pack_images
from transforms.storage.api import Stat


@given(st.sets(st.text(alphabet="ab.-x/", min_size=1, max_size=6), max_size=25), st.integers(1, 8))
def test_packing_keeps_every_image_once_in_order_with_its_sidecars(stems: set[str], names: int) -> None:
    uris_of = sorted(f"/in/{stem}{ending}" for stem in stems for ending in (".jpg", ".txt"))
    skipped = ListingTally()
    blocks = list(pack_images(0, (Stat(uri, 1, "1") for uri in uris_of), names, "/in", skipped, sidecars=True))
    packed = [extent.uri for block in blocks for extent in block.extents]
    assert [uri for uri in packed if uri.endswith(".jpg")] == [uri for uri in uris_of if uri.endswith(".jpg")]
    assert sorted(packed) == uris_of and skipped.counters["files_skipped"] == 0
    for block in blocks:
        pairs = [extent.uri for extent in block.extents]
        assert all(pairs[i + 1] == pairs[i][:-4] + ".txt" for i in range(0, len(pairs), 2))
        assert block.order == (0, pairs[0].encode(), 0) and (block.format, block.base) == ("folder", "/in")


def packed_by_search(files: list[Stat], names: int, base: str) -> tuple[list[list[str]], list[str]]:
    """The rule of packing, at any cost: each image, then the first file that bears its name -> packs, and files left out."""
    stems = itertools.groupby(files, lambda f: f.uri.rpartition("/")[0] + f.uri.rpartition("/")[2].partition(".")[0])
    packs: list[list[str]] = [[]]
    skipped: list[str] = []
    for _, group in stems:
        stem = [f.uri for f in group]
        images = [uri for uri in stem if not uri.lower().endswith((".txt", ".json"))]
        for image in images:
            bases = image.rpartition(".")[0], image
            ranked = [
                uri
                for base in bases
                for ending in (".json", ".txt")
                for uri in stem
                if uri.lower() == base.lower() + ending
            ]
            packs[-1] += [image, *[uri for uri in ranked if uri[: uri.rfind(".")] in bases and uri not in images][:1]]
            name = image.removeprefix(base).lstrip("/").encode()
            if int.from_bytes(blake2b(name, digest_size=4).digest(), "big") % names == 0:
                packs.append([])
        mine = {image.rpartition(".")[0] for image in images} | {*images}
        skipped += [uri for uri in stem if uri not in images and uri.rpartition(".")[0] not in mine]
    return [pack for pack in packs if pack], skipped


ENDINGS = (".jpg", ".PNG", ".txt", ".json", ".TXT", "")


@settings(max_examples=200)
@given(
    st.sets(st.tuples(st.text("ab./", min_size=1, max_size=5), st.sampled_from(ENDINGS)), max_size=30),
    st.integers(2, 6),
)
def test_packing_is_what_a_search_for_every_image_gives(parts: set[tuple[str, str]], names: int) -> None:
    files = [Stat(uri, 1, "1") for uri in sorted({f"/in/{stem}{ending}" for stem, ending in parts})]
    skipped = ListingTally()
    blocks = [[extent.uri for extent in block.extents] for block in pack_images(0, files, names, "/in", skipped, True)]
    wanted, left_out = packed_by_search(files, names, "/in")
    assert (blocks, skipped.counters["files_skipped"]) == (wanted, len(left_out))


def test_images_with_one_beginning_are_not_searched_for_each_sidecar() -> None:
    """With a search for every image that took minutes."""
    uris_of = [f"/in/scan.{number:06}{ending}" for number in range(30_000) for ending in (".jpg", ".txt")]
    blocks = pack_images(0, (Stat(uri, 1, "1") for uri in uris_of), 512, "/in", ListingTally(), True)
    assert [extent.uri for block in blocks for extent in block.extents] == uris_of


def test_names_that_are_chosen_so_that_none_ends_a_block_are_cut_all_the_same() -> None:
    def ends(name: str) -> bool:
        return int.from_bytes(blake2b(name.encode(), digest_size=4).digest(), "big") % 4 == 0

    files = [Stat(f"/in/{n:04}.jpg", 1, "1") for n in range(1000) if not ends(f"{n:04}.jpg")]
    sizes = [len(block.extents) for block in pack_images(0, files, 4, "/in", ListingTally())]
    assert len(files) > 600 and max(sizes) == 128 and sum(sizes) == len(files)


def test_a_pack_of_empty_files_ends() -> None:
    files = [Stat(f"/in/{n:05}.jsonl", 0, "1") for n in range(10_000)]
    sizes = [len(block.extents) for block in pack_files(0, files, 262_144)]
    assert sum(sizes) == 10_000 and max(sizes) == 1024
    # No chance brings files of a few rows there.
    small = [Stat(f"/in/{n:05}.jsonl", 100, "1") for n in range(30_000)]
    assert max(len(block.extents) for block in pack_files(0, small, 262_144)) < 700
