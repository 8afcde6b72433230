"""What Pub/Sub announces, by Beam's own source, for Dataflow: it acknowledges a message once what came of it is kept by the service.

Elements are stamped `slack` seconds after their arrivals' times, and lie in windows that begin as much later: between an upload and
its message passes a moment, in which the window of the upload must not be closed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import apache_beam as beam
from apache_beam.io.gcp.pubsub import PubsubMessage
from apache_beam.metrics import Metrics
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Timestamp

from transforms.arrivals.announced import Wanted, arrival_said
from transforms.arrivals.intake import Intake
from transforms.arrivals.messages import Message
from transforms.arrivals.panes import DonePanes
from transforms.arrivals.records import MICROS, Arrival
from transforms.arrivals.watching import Watcher
from transforms.arrivals.windows import Windows
from transforms.core.counters import NAMESPACE
from transforms.steps.billing import StorageDoFn
from transforms.storage import patiently
from transforms.storage.api import Access


@dataclass(kw_only=True)
class ReadAnnounced(beam.PTransform):
    """A pipeline -> (late, Arrival) that a subscription announces.

    Args:
      subscription: projects/PROJECT/subscriptions/NAME.
      slack: seconds by which elements are stamped later.
    """

    subscription: str
    wanted: Wanted
    slack: int
    access: Access

    def expand(self, root: beam.Pipeline) -> beam.PCollection[tuple[bool, Arrival]]:
        messages = root | "Messages" >> beam.io.ReadFromPubSub(subscription=self.subscription, with_attributes=True)
        return messages | "What they say" >> beam.ParDo(_Say(self)).with_output_types(tuple[bool, Arrival])


class _Say(StorageDoFn):
    def __init__(self, options: ReadAnnounced) -> None:
        super().__init__(options.access)
        self._name, self._wanted, self._slack = options.subscription, options.wanted, options.slack

    def process(
        self, message: PubsubMessage, published: Timestamp = beam.DoFn.TimestampParam
    ) -> Iterator[TimestampedValue]:
        told = Message("", message.message_id or "", message.data or b"", message.attributes or {}, published.micros)
        said = patiently(arrival_said, told, self._name, self._wanted)
        if isinstance(said, str):
            Metrics.counter(NAMESPACE, f"messages_{said}").inc()
        else:
            yield stamped(said, self._slack)


@dataclass(kw_only=True)
class ListOnce(beam.PTransform):
    """A pipeline -> (late, Arrival) of what lies there when the job begins, and that no sealed window names.

    Args:
      watcher: lists.
      output: of the stream.
      seconds: that a window lasts.
      since: microseconds since 1970; what storage dates before is left out.
      slack: seconds by which elements are stamped later.
    """

    watcher: Watcher
    output: str
    seconds: int
    since: int
    slack: int
    access: Access

    def expand(self, root: beam.Pipeline) -> beam.PCollection[tuple[bool, Arrival]]:
        once = root | "Once" >> beam.Create([None], reshuffle=False)
        return once | "List what is there" >> beam.ParDo(_ListOnce(self)).with_output_types(tuple[bool, Arrival])


class _ListOnce(StorageDoFn):
    def __init__(self, options: ListOnce) -> None:
        super().__init__(options.access)
        self._options = options

    def process(self, _: None) -> Iterator[TimestampedValue]:
        o = self._options
        intake = Intake(Windows(o.seconds), DonePanes(o.output).settled)
        for arrival in filter(intake.offer, o.watcher.arrivals(o.since, int(time.time() * MICROS))):
            yield stamped(arrival, o.slack)


def stamped(arrival: Arrival, slack: int) -> TimestampedValue:
    """(late, arrival) with the time that its window may not be closed before: it is for Beam to tell whether it is late."""
    return TimestampedValue((False, arrival), Timestamp(micros=arrival.time + slack * MICROS))
