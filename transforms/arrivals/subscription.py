"""A Pub/Sub subscription: messages come by streaming pull, stay leased while windows are open, and are acknowledged after the seal."""

from __future__ import annotations

import logging
import queue
from collections.abc import Sequence
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress

from google.api_core.exceptions import GoogleAPICallError, RetryError
from google.cloud import pubsub_v1
from google.cloud.pubsub_v1.subscriber.message import Message as Delivered
from google.cloud.pubsub_v1.types import FlowControl

from transforms.arrivals.messages import LEASE_S, Message
from transforms.storage.api import NoAccess, NotFound, Unavailable

_LOG = logging.getLogger(__name__)
_MOST, _MOST_BYTES = 200_000, 1 << 30  # messages that are held until their windows are sealed
_LONGEST_S = 7 * 86_400.0  # that a message is held: as long as a subscription keeps one by default
_AT_ONCE = 1000  # ack ids a request
_PATIENCE_S = 30.0


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
        self._delivered: queue.SimpleQueue[Delivered] = queue.SimpleQueue()
        self._held: dict[str, Delivered] = {}
        self._due: list[str] = []  # to be acknowledged
        try:
            found = self._client.get_subscription(subscription=name, timeout=_PATIENCE_S)
        except GoogleAPICallError as error:
            kind = NotFound if error.code == 404 else Unavailable
            raise kind(f"{name}: {error.message}") from None
        self.has_dead_letters = bool(found.dead_letter_policy.dead_letter_topic)
        flow = FlowControl(
            max_messages=_MOST,
            max_bytes=_MOST_BYTES,
            max_lease_duration=_LONGEST_S,
            min_duration_per_lease_extension=LEASE_S,
            max_duration_per_lease_extension=LEASE_S,
        )
        self._pull = self._client.subscribe(name, self._delivered.put, flow_control=flow)

    def messages(self) -> list[Message]:
        """What has come since the last call; each is held until it is acknowledged or given back.

        Raises:
          NoAccess: the pull has ended, as when the subscription was deleted.
        """
        if self._pull.done():
            raise NoAccess(f"{self._name} gives no more messages: {self._pull.exception()}")
        come = []
        while not self._delivered.empty():
            message = self._delivered.get()
            self._held[message.ack_id] = message
            published = int(message.publish_time.timestamp() * 1_000_000)
            come.append(Message(message.ack_id, message.message_id, message.data, dict(message.attributes), published))
        return come

    def acknowledge(self, acks: Sequence[str]) -> None:
        """Say that messages are done with, so that they do not come again. What Pub/Sub does not take now is said the next time."""
        self._due += acks
        while some := self._due[:_AT_ONCE]:
            try:
                self._client.acknowledge(subscription=self._name, ack_ids=some, timeout=_PATIENCE_S)
            except (GoogleAPICallError, RetryError) as error:
                _LOG.warning("%s takes no acknowledgements: %s", self._name, error)
                return
            del self._due[: len(some)]
            for ack in some:
                if message := self._held.pop(ack, None):
                    message.drop()  # its lease is renewed no longer

    def give_back(self, acks: Sequence[str]) -> None:
        """Let messages be delivered again, at once; after some times they go to the dead-letter topic, if there is one."""
        for ack in acks:
            if message := self._held.pop(ack, None):
                message.nack()

    def close(self) -> None:
        """Pull no more; what is held is given back."""
        self._pull.cancel()
        with suppress(FutureTimeout, GoogleAPICallError):  # what is held comes back when its lease is over
            self._pull.result(timeout=_PATIENCE_S)
        while not self._delivered.empty():
            message = self._delivered.get()
            self._held[message.ack_id] = message
        self.acknowledge([])
        rest = list(self._held)
        for start in range(0, len(rest), _AT_ONCE):
            self._client.modify_ack_deadline(
                subscription=self._name,
                ack_ids=rest[start : start + _AT_ONCE],
                ack_deadline_seconds=0,
                timeout=_PATIENCE_S,
            )
        self._client.close()
