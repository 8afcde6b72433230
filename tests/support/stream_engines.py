"""Engines that a stream can be given, as flags of its command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import flink

PRISM = flink.PARTS / "prism"


@contextmanager
def engine_flags(name: str, folder: Path) -> Iterator[list[str]]:
    """Flags that lead to an engine while the context lasts: "rounds", "prism" or "flink", whose files lie in a folder."""
    if name == "rounds":
        yield []
    elif name == "prism":
        flink.need(PRISM.exists(), "engines/prism is not there")
        yield ["--runner=PrismRunner", f"--prism_location={PRISM}"]
    else:
        with flink.job_server(folder) as endpoint:
            yield loopback(endpoint)


def loopback(endpoint: str) -> list[str]:
    """Flags that lead to Flink's job server, with threads of the command as its workers."""
    bundles = ["--max_bundle_time_mills=500", "--shutdown_sources_after_idle_ms=1000"]
    return ["--runner=PortableRunner", f"--job_endpoint={endpoint}", "--environment_type=LOOPBACK", *bundles]
