"""The sign of life that keeps a run's claim its own while its process lives."""

from __future__ import annotations

import logging
import threading

from transforms.dataset.claim import renew_claim
from transforms.storage.api import NoCredentials, StorageError

PERIOD_S = 30.0  # a read and a small write each
_PATIENCE_S = 5.0  # for a sign that is under way, when the thread is to end
_LOG = logging.getLogger(__name__)


class Heartbeat:
    """Context in which a thread renews a run's claim. It is a daemon: a process that ends does not wait for it.

    Once the claim is another's, the thread has nothing more to do: what the job still commits serves the other one too, and
    the seal looks for itself. Where storage does not answer, the next sign is tried as usual.
    """

    def __init__(self, folder: str, run: str, period_s: float = PERIOD_S) -> None:
        self._folder, self._run, self._period_s = folder, run, period_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def stop(self) -> None:
        """A sign that hangs in storage is not waited for: it renews only the version of the claim that it has seen."""
        self._ended.set()
        self._thread.join(_PATIENCE_S)

    def _beat(self) -> None:
        while not self._ended.wait(self._period_s):
            try:
                if not renew_claim(self._folder, self._run):
                    return
            except (StorageError, NoCredentials) as error:
                _LOG.warning("The claim on %s could not be renewed: %s", self._folder, error)
