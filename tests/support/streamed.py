"""Streams in rounds, and what is read of their windows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import laws
from folders import read_folder

from beam_jobs.__main__ import main

PROMPT = "--prompt=What is it?"


def stream(source: str | Path, output: str | Path, *more: str, window: str = "1s") -> int:
    """Take what is there, and drain."""
    words = ["stream", "--watch", str(source), "--output", str(output), "--stop_after=1s"]
    return main([*words, "--window", window, *more])


def windows_in(output: Path) -> dict[str, dict[str, Any]]:
    """The windows of a stream by name, once each was found to obey the laws of a dataset."""
    found = {}
    for path in sorted((output / "windows").iterdir()):
        folder = read_folder(path)
        assert not [name for name in folder if name.startswith("_tuneset")]
        found[path.name] = folder
        if "unsealed.json" not in folder:
            lines = {name: text for name, text in folder.items() if name != "arrivals.jsonl"}
            laws.assert_ledger(lines)
            laws.assert_lines(lines)
    return found


def taken(folder: dict[str, Any]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in folder["arrivals.jsonl"].splitlines()]


def all_lines(folder: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(split, line) of all lines of a dataset, without where rewritten images lie."""
    for name, data in folder.items():
        if name.endswith(".jsonl") and name not in ("arrivals.jsonl", "rejected.jsonl"):
            for line in map(json.loads, data.splitlines()):
                for turn in line["contents"]:
                    for part in turn["parts"]:
                        if "/images/" in (uri := part.get("fileData", {}).get("fileUri", "")):
                            part["fileData"]["fileUri"] = "images/" + uri.rpartition("/")[2]
                yield name, json.dumps(line, sort_keys=True)
