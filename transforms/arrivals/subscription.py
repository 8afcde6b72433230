"""A Pub/Sub subscription: messages are pulled by a thread, stay leased while windows are open, and are acknowledged after the seal.

Pulls are requests of their own and not one long stream: what a process that was killed had been given then comes again when its lease
is over, and leases are no longer than they are here.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence

from google.api_core.exceptions import DeadlineExceeded, GoogleAPICallError, RetryError
from google.cloud import pubsub_v1
from google.cloud.pubsub_v1.types import ReceivedMessage

from transforms.arrivals.messages import LEASE_S, Message
from transforms.storage.api import NoAccess, NotFound, Unavailable

_LOG = logging.getLogger(__name__)
_MOST = 200_000  # messages that are held until their windows are sealed
_AT_ONCE = 1000  # messages, or ack ids, a request
_PULL_S, _PATIENCE_S = 5.0, 30.0  # that a pull waits for a message, and other requests for an answer
_PAUSE_S = 1.0
_REFUSED = (400, 403, 404)  # HTTP's codes of what asking again does not mend


class Subscription:
    """Pulls until it is closed.

    Args:
      name: projects/PROJECT/subscriptions/NAME.

    Raises:
      NotFound: there is no such subscription.
      Unavailable: Pub/Sub does not answer.
    """

    def __init__(self, name: str) -> None:
        self._name, self._client = name, pubsub_v1.SubscriberClient()
        self._delivered: queue.SimpleQueue[ReceivedMessage] = queue.SimpleQueue()
        self._leases: dict[str, float] = {}  # of what is held: when each is renewed, by the monotonic clock
        self._due: list[str] = []  # to be acknowledged
        self._lock, self._closed = threading.Lock(), threading.Event()
        self._failure = ""
        try:
            found = self._client.get_subscription(subscription=name, timeout=_PATIENCE_S)
        except (GoogleAPICallError, RetryError) as error:
            kind = NotFound if getattr(error, "code", 0) == 404 else Unavailable
            raise kind(f"{name}: {error.message}") from None
        self.has_dead_letters = bool(found.dead_letter_policy.dead_letter_topic)
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._pull, self._renew)]
        for thread in self._threads:
            thread.start()

    def messages(self) -> list[Message]:
        """What has come since the last call; each is held until it is acknowledged or given back.

        Raises:
          NoAccess: no more can come, as when the subscription was deleted.
        """
        if self._failure:
            raise NoAccess(f"{self._name} gives no more messages: {self._failure}")
        come = []
        while not self._delivered.empty():
            received = self._delivered.get()
            message = received.message
            published = int(message.publish_time.timestamp() * 1_000_000)
            told = Message(received.ack_id, message.message_id, message.data, dict(message.attributes), published)
            come.append(told)
        return come

    def acknowledge(self, acks: Sequence[str]) -> None:
        """Say that messages are done with, so that they do not come again. What Pub/Sub does not take now is said the next time."""
        self._due += acks
        while some := self._due[:_AT_ONCE]:
            if not self._ask(self._client.acknowledge, ack_ids=some):
                return
            del self._due[: len(some)]
            self._forget(some)

    def give_back(self, acks: Sequence[str]) -> None:
        """Let messages be delivered again, at once; after some times they go to the dead-letter topic, if there is one."""
        for start in range(0, len(acks), _AT_ONCE):
            some = list(acks[start : start + _AT_ONCE])
            self._ask(self._client.modify_ack_deadline, ack_ids=some, ack_deadline_seconds=0)
            self._forget(some)

    def close(self) -> None:
        """Pull no more; what is held is given back."""
        self._closed.set()
        for thread in self._threads:
            thread.join(_PATIENCE_S)
        self.acknowledge([])
        self.give_back(list(self._leases))
        self._client.close()

    def _pull(self) -> None:
        while not self._closed.is_set():
            if len(self._leases) >= _MOST:
                self._closed.wait(_PAUSE_S)
                continue
            try:
                answer = self._client.pull(subscription=self._name, max_messages=_AT_ONCE, timeout=_PULL_S, retry=None)
            except DeadlineExceeded:  # there was none
                continue
            except (GoogleAPICallError, RetryError) as error:
                if getattr(error, "code", 0) in _REFUSED:
                    self._failure = error.message
                    return
                _LOG.warning("%s cannot be pulled from: %s", self._name, error)
                self._closed.wait(_PAUSE_S)
                continue
            with self._lock:
                self._leases.update({received.ack_id: 0.0 for received in answer.received_messages})
            for received in answer.received_messages:
                self._delivered.put(received)

    def _renew(self) -> None:
        """Renew leases when half of their time is over, and those of new messages at once."""
        while not self._closed.wait(_PAUSE_S):
            now = time.monotonic()
            with self._lock:
                due = [ack for ack, renewed_at in self._leases.items() if renewed_at <= now]
            for start in range(0, len(due), _AT_ONCE):
                some = due[start : start + _AT_ONCE]
                if self._ask(self._client.modify_ack_deadline, ack_ids=some, ack_deadline_seconds=LEASE_S):
                    with self._lock:
                        held = self._leases.keys() & set(some)
                        self._leases.update(dict.fromkeys(held, now + LEASE_S / 2))

    def _ask(self, call: Callable[..., object], **what: object) -> bool:
        """Make a request -> whether it was answered."""
        try:
            call(subscription=self._name, timeout=_PATIENCE_S, **what)
        except (GoogleAPICallError, RetryError) as error:
            _LOG.warning("%s: %s", self._name, error)
            return False
        return True

    def _forget(self, acks: Sequence[str]) -> None:
        with self._lock:
            for ack in acks:
                self._leases.pop(ack, None)
