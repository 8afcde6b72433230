"""A coder and settings of the garbage collector for OpenBlocks, each of which holds some ten thousand objects.

OpenBlocks stay inside one fused stage. Without these two, estimates of their size and the cyclic collector took half of a run's time.
"""

from __future__ import annotations

import gc
import pickle

import apache_beam as beam

from transforms.core.records import OpenBlock

_COLLECT_AFTER = 100_000  # new containers; those of ten blocks


class OpenBlockCoder(beam.coders.Coder):
    """Pickle, but with sizes that are told and not tried: Beam samples the sizes of elements even where none is encoded."""

    def encode(self, value: OpenBlock) -> bytes:
        return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)

    def decode(self, encoded: bytes) -> OpenBlock:
        opened: OpenBlock = pickle.loads(encoded)
        return opened

    def estimate_size(self, value: OpenBlock) -> int:
        return sum(extent.end - extent.start for extent in value.block.extents)

    def is_deterministic(self) -> bool:
        return False


beam.coders.registry.register_coder(OpenBlock, OpenBlockCoder)


def quiet_collector() -> None:
    """Let Python look for cycles seldom: parsed rows hold none, and are gone once their block is committed."""
    if gc.isenabled() and gc.get_threshold()[0] < _COLLECT_AFTER:
        gc.set_threshold(_COLLECT_AFTER, 20, 20)
