"""Columns of URLs: what a look before the work says of those that may not be read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from folders import put

from beam_jobs.preflight import look_at_inputs, on_this_machine
from beam_jobs.settings import parse

WEB = "https:" + "//"
CDN, OTHER = "https://cdn.example.com", "http://other.example.com:8080"


def told(source: str, *flags: str) -> list[str]:
    argv = ["--input", source, "--output", "/nowhere/out", "--prompt", "Which?", "--answer", "{label}", *flags]
    settings, _ = look_at_inputs(on_this_machine(parse(argv)))
    return [notice.detail for notice in settings.notices if notice.code == "urls_not_allowed"]


@pytest.mark.parametrize(
    "images, flags, advice",
    [
        ([f"{CDN}/a/1.jpg", f"{CDN}/2.jpg"], (), f"of the first 2 images 2 .*: --allow_prefix {CDN}/ lets"),
        ([f"{CDN}/a/1.jpg", "HTTPS://CDN.example.com/2.jpg", f"{OTHER}/3"], (), f"3 images 3 .* {OTHER}/,{CDN}/ lets"),
        ([f"{CDN}/a/1.jpg", "here.jpg", "gs://bucket/1.jpg"], (), f"3 images 1 .* {CDN}/ lets"),
        ([f"{CDN}/a/1.jpg", f"{CDN}/b/1.jpg"], ("--allow_prefix", f"{CDN}/a"), f"2 images 1 .* {CDN}/a,{CDN}/ lets"),
        ([f"{CDN}/a/1.jpg", f" {CDN}/a/2.jpg "], ("--allow_prefix", f"{CDN}/a"), ""),
        ([f"{WEB}storage.googleapis.com/bucket/1.jpg"], (), ""),  # its rejection says what to write
        ([f"{WEB}me:word@cdn.example.com/1.jpg"], (), ""),
        (["here.jpg"], (), ""),
    ],
)
def test_urls_that_may_not_be_read_are_told_before_the_work(
    images: list[str], flags: tuple[str, ...], advice: str, tmp_path: Path
) -> None:
    lines = ["image,label", *(f"{image},x" for image in images)]
    said = told(put(tmp_path / "rows.csv", "".join(f"{line}\n" for line in lines).encode()), *flags)
    assert len(said) == bool(advice)
    for one in said:
        assert re.search(advice, one), one
