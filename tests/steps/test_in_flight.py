"""The short cuts of the hot path come to what the long way comes to."""

from __future__ import annotations

import gc
import os
import pickle
from dataclasses import replace
from pathlib import Path

import apache_beam as beam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_jobs.graph import build
from beam_jobs.job import Job
from beam_jobs.preflight import on_this_machine
from beam_jobs.settings import parse
from transforms.core.reasons import ImageError
from transforms.core.records import Block, Example, Extent, OpenBlock, Row
from transforms.dataset.claim import Claim
from transforms.images.inspection import Inspector
from transforms.images.sources import resolve_images
from transforms.steps import open_block_coder
from transforms.steps.open_block_coder import OpenBlockCoder, quiet_collector
from transforms.storage.api import Changed
from transforms.storage.local import LocalStore, open_regular, read_open
from transforms.storage.places import Places

ROW = Row("/data/rows.jsonl", 0, 1, b"{}")
EXTENT = Extent("/data/rows.jsonl", "9-9", 5000, 1000, 5000)
PIECES = st.sampled_from(["a", "b.png", ".", "..", "", "%2e", "c%20d", ":", "gs:", "é", " ", "\n", "x..y", ".hidden"])


def open_block(*examples: Example) -> OpenBlock:
    return OpenBlock(Block((0, b"/data/rows.jsonl", 1000), (EXTENT,), "gemini"), "key", examples=list(examples))


def inspector(places: Places) -> Inspector:
    plan = Job(on_this_machine(parse(["--input", "x", "--output", "y"])), Claim("run", 1, False), False)
    return replace(plan.inspector, places=places)


@settings(max_examples=400)
@given(
    st.lists(st.builds("/".join, st.lists(PIECES, min_size=1, max_size=5)), min_size=1, max_size=3),
    st.sampled_from(["", "/", "gs://bucket/", "gs://"]),
    st.sampled_from(["/data", "/data/sub", "/data/../etc", "/", "//data", "/elsewhere", "gs://bucket/set", ""]),
    st.sampled_from([("/data",), ("gs://", "/data"), ("gs://bucket/set", "/"), ("gs://",)]),
)
def test_plain_names_resolve_as_all_names_do(paths: list[str], start: str, base: str, folders: tuple[str, ...]) -> None:
    places = Places(folders)
    uris = [start + path for path in paths]
    expected, faults = [], set()
    for uri in uris:
        try:
            expected.append(places.resolve(uri, base))
        except ImageError:
            expected.append(uri)
            faults.add(uri)
    images = [{"mimeType": "image/png", "fileUri": uri} for uri in uris]
    found = open_block(Example(ROW, 1, [], {}, {}, images, base=base))
    resolve_images(found, inspector(places))
    assert (found.examples[0].sources, set(found.facts)) == (expected, faults)


def test_an_open_file_gives_what_the_store_gives_and_a_change_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(bytes(range(200)))
    store = LocalStore()
    descriptor, found = open_regular(str(path))
    try:
        for start, end in ((0, 10), (5, 5), (10, 5), (0, 200), (190, 999), (300, 400)):
            for generation in ("", found.generation):
                given = read_open(descriptor, found, start, end, generation)
                assert given == store.read(str(path), start, end, generation)
        os.utime(path, ns=(0, 1))
        assert read_open(descriptor, found, 0, 3)[0] == bytes(range(3))
        with pytest.raises(Changed, match="200-1 now"):
            read_open(descriptor, found, 0, 3, found.generation)
    finally:
        os.close(descriptor)


def test_the_size_of_an_open_block_is_told_without_pickling_it() -> None:
    block = open_block(Example(ROW, 1, [], {}, {}, [], sources=["gs://b/a"]))
    coder = beam.coders.registry.get_coder(OpenBlock)
    assert isinstance(coder, OpenBlockCoder)
    assert coder.decode(coder.encode(block)) == block
    block.examples.append(lambda: None)  # type: ignore[arg-type]  # cannot be pickled
    with pytest.raises((pickle.PicklingError, AttributeError)):
        coder.encode(block)
    assert coder.get_impl().get_estimated_size_and_observables(block) == (4000, [])


def test_all_rooms_say_that_they_hand_on_open_blocks(tmp_path: Path) -> None:
    """Where one does not, Beam pickles every block it samples."""
    rows = tmp_path / "rows.jsonl"
    rows.write_text("{}\n")
    settings = on_this_machine(parse(["--input", str(rows), "--output", str(tmp_path / "out")]))
    pipeline = beam.Pipeline()
    build(pipeline, Job(settings, Claim("run", 1, False), False))
    components = pipeline.to_runner_api().components
    coders = {
        pcollection.unique_name.split(".")[0]
        for pcollection in components.pcollections.values()
        if b"OpenBlockCoder" in components.coders[pcollection.coder_id].spec.payload
    }
    steps = {"/".join(name.lstrip("0123456789").split("/")[:2]) for name in coders}
    finish = {f"Finish {branch}/{step}" for branch in ("ready", "recalled") for step in ("Split", "Assign", "Publish")}
    reading = {"Read/Read rows", "Build/Build", "Read again/Read rows", "Build again/Build"}
    assert steps == finish | reading | {"Inspect/Inspect", "Hold/Hold", "Recall/Take fitted images"}


def test_the_collector_is_made_quiet_and_never_busier() -> None:
    before = gc.get_threshold()
    try:
        gc.set_threshold(700, 10, 10)
        quiet_collector()
        assert gc.get_threshold()[0] == open_block_coder._COLLECT_AFTER
        gc.set_threshold(10 * open_block_coder._COLLECT_AFTER, 1, 1)
        quiet_collector()
        assert gc.get_threshold() == (10 * open_block_coder._COLLECT_AFTER, 1, 1)
    finally:
        gc.set_threshold(*before)
