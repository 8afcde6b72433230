"""What a Dataflow worker should be for a mix of images: machine, threads, disk, and the memory arithmetic behind it.

Nothing here was measured on Dataflow. The numbers it starts from were measured on one machine: a process at work, and the
peak of a fit (transforms/images/helper/pool.py).
"""

from __future__ import annotations

from dataclasses import dataclass

from transforms.images.helper.memory_slots import BUDGET_SHARE
from transforms.images.helper.pool import MEMORY_BYTES, OF_OTHERS

PROCESS_GB = 0.4  # a worker process that reads blocks; docs/benchmarks.md says what was measured
HELPER_GB = 0.1  # a helper process before it decodes
RUNNER_GB = 1.0  # Dataflow's own share of a worker: its harness and its logs


@dataclass(frozen=True, slots=True)
class Machine:
    name: str
    cores: int
    gb: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """A mix of images, and the worker for it.

    Args:
      megapixels: of the largest images that are expected to need rewriting.
      threads: of a worker process (one process for each core).
      disk_gb: nothing is kept on disk, so it only has to hold the image.
    """

    name: str
    what: str
    megapixels: int
    machine: Machine
    threads: int
    disk_gb: int = 30

    @property
    def decode_memory(self) -> int:
        """MB for --decode_memory: more than it is by default, because nothing but the job runs on a worker."""
        return int(self.machine.gb * BUDGET_SHARE * 1000)

    @property
    def peak_gb(self) -> float:
        """Of one fit, at most: a helper's limit ends those that want more."""
        return min(self.megapixels * 1e6 * OF_OTHERS, MEMORY_BYTES) / 1e9 + HELPER_GB

    @property
    def at_once(self) -> int:
        """Images that are decoded at once: two a process (graph.py), and no more than the machine's budget holds."""
        by_budget = int(self.decode_memory / 1000 / self.peak_gb)
        return max(1, min(2 * self.machine.cores, by_budget))

    @property
    def needs_gb(self) -> float:
        return RUNNER_GB + self.machine.cores * PROCESS_GB + self.at_once * self.peak_gb


STANDARD, HIGHMEM = Machine("n2-standard-4", 4, 16), Machine("n2-highmem-4", 4, 32)
MIXES = {
    mix.name: mix
    for mix in (
        Mix(
            name="conforming",
            what="nearly all conform: little but headers is read",
            megapixels=24,
            machine=STANDARD,
            threads=2,
        ),
        Mix(name="photos", what="photographs, some over the limit", megapixels=50, machine=STANDARD, threads=1),
        Mix(
            name="large",
            what="scans and panoramas up to the limit of pixels",
            megapixels=300,
            machine=HIGHMEM,
            threads=1,
        ),
    )
}
