"""What messages say, and which of them are acknowledged when."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cloud import Cloud

from beam_jobs.job import Job
from beam_jobs.stream.options import parse_stream
from transforms.arrivals.announced import Announced, Wanted
from transforms.arrivals.intake import Intake
from transforms.arrivals.messages import GARBAGE, OTHER, Message, RowMessage, said_by
from transforms.arrivals.records import MICROS
from transforms.arrivals.windows import Windows
from transforms.dataset.claim import Claim
from transforms.storage.api import Stat

NAME = "projects/shop/subscriptions/uploads"


def event(name: str, generation: int, kind: str = "OBJECT_FINALIZE", bucket: str = "shop", **payload: Any) -> Message:
    attributes = {"eventType": kind, "bucketId": bucket, "objectId": name, "objectGeneration": str(generation)}
    data = json.dumps(payload).encode() if payload else b""
    return Message(f"ack of {name} {generation}", f"{generation}", data, attributes, generation)


@pytest.mark.parametrize(
    "message, said",
    [
        (event("a.jpg", 7, size="12"), Stat("gs://shop/a.jpg", 12, "7")),
        (event("a.jpg", 7, size="12", contentEncoding="gzip"), Stat("gs://shop/a.jpg", 12, "7", "gzip")),
        (event("a b/ä.jpg", 7), Stat("gs://shop/a b/ä.jpg", -1, "7")),  # a notification without a payload
        (event("a.jpg", 7, "OBJECT_DELETE"), OTHER),
        (event("a.jpg", 7, "OBJECT_METADATA_UPDATE"), OTHER),
        (event("folder/", 7), OTHER),
        (event("a.jpg", 7, "SOMETHING"), GARBAGE),
        (event("a.jpg", 7, bucket="../etc"), GARBAGE),
        (event("", 7), GARBAGE),
        (Message("", "1", b"{}", {}, 1), GARBAGE),
        (Message("", "1", b'{"a": 1}', {"tuneset": "row"}, 1), RowMessage(b'{"a": 1}')),
        (Message("", "1", b'{\n "a": 1\n}', {"tuneset": "row"}, 1), RowMessage(b'{"a":1}')),
        (Message("", "1", b"no\nJSON", {"tuneset": "row"}, 1), RowMessage(b"no JSON")),
    ],
)
def test_what_a_message_says(message: Message, said: Any) -> None:
    assert said_by(message) == said


class Queue:
    """Pub/Sub of a test: what is delivered next, and what came of it."""

    def __init__(self, has_dead_letters: bool = False) -> None:
        self.has_dead_letters = has_dead_letters
        self.next: list[Message] = []
        self.acknowledged: list[str] = []
        self.given_back: list[str] = []

    def messages(self) -> list[Message]:
        come, self.next = self.next, []
        return come

    def acknowledge(self, acks: list[str]) -> None:
        self.acknowledged += acks

    def give_back(self, acks: list[str]) -> None:
        self.given_back += acks


def front(queue: Queue, *words: str, bucket: str = "gs://shop") -> Announced:
    given = parse_stream(["--subscription", NAME, "--output", f"{bucket}/out", *words])
    job = Job(given.of_job, Claim("", 0, False), remote=False)
    wanted = Wanted(
        pattern=given.of_stream.watch, options=given.of_job.of_inputs, cutter=job.cutter, without=(f"{bucket}/out",)
    )
    return Announced(NAME, queue, wanted, sidecar_wait=30)


def test_messages_are_acknowledged_once_their_arrivals_are_sealed() -> None:
    queue = Queue()
    announced = front(queue, "--prompt=What?", "--watch=gs://shop/in/")
    sealed: set[int] = set()
    intake = Intake(Windows(10), lambda start: sealed)
    queue.next = [
        event("in/a.jpg", 1 * MICROS, size="5"),
        event("in/a.jpg", 1 * MICROS, size="5"),  # delivered twice
        event("in/b.jpg", 11 * MICROS, size="5"),
        event("in/notes.txt", 1, size="5"),
        event("in/.hidden.jpg", 1, size="5"),
        event("elsewhere/c.jpg", 1, size="5"),
        event("out/images/aa/c.jpg", 1, size="5"),
        event("in/a.jpg", 1, "OBJECT_DELETE"),
        Message("garbage", "9", b"?", {}, 5),
    ]
    assert [intake.offer(arrival) for arrival in announced.arrivals(50 * MICROS)] == [True, False, True]
    announced.settle(intake.waits)
    of_no_arrivals = [
        "ack of in/notes.txt 1", "ack of in/.hidden.jpg 1", "ack of elsewhere/c.jpg 1", "ack of out/images/aa/c.jpg 1",
        "ack of in/a.jpg 1", "garbage",
    ]  # fmt: skip
    assert sorted(queue.acknowledged) == sorted(of_no_arrivals)
    assert announced.counts == {OTHER: 5, GARBAGE: 1, "doubles": 1}

    [taken] = intake.take(10, 100).values()
    sealed.update(arrival.identity for arrival in taken)
    announced.settle(intake.waits)
    assert queue.acknowledged[6:] == [f"ack of in/a.jpg {MICROS}"] * 2

    # Delivered again after a restart: it is in a sealed window.
    queue.next = [event("in/a.jpg", 1 * MICROS, size="5")]
    restarted = Intake(Windows(10), lambda start: sealed)
    assert [restarted.offer(arrival) for arrival in announced.arrivals(50 * MICROS)] == [False]
    announced.settle(restarted.waits)
    assert queue.acknowledged[8:] == [f"ack of in/b.jpg {11 * MICROS}", f"ack of in/a.jpg {MICROS}"]


def test_what_a_caller_fails_at_is_handed_on_again_and_not_acknowledged() -> None:
    queue = Queue()
    announced = front(queue, "--prompt=What?")
    queue.next = [event(f"{number}.jpg", number, size="5") for number in range(1, 4)]
    for arrival in announced.arrivals(1):
        assert arrival.uri == "gs://shop/1.jpg"
        break  # as where storage is away
    announced.settle(lambda identity: False)
    assert queue.acknowledged == []
    assert [arrival.uri for arrival in announced.arrivals(1)] == [f"gs://shop/{number}.jpg" for number in range(1, 4)]
    announced.settle(lambda identity: False)
    assert len(queue.acknowledged) == 3


def test_garbage_is_given_back_where_it_becomes_a_dead_letter() -> None:
    queue = Queue(has_dead_letters=True)
    queue.next = [Message("garbage", "9", b"?", {}, 5)]
    assert list(front(queue).arrivals(1)) == []
    assert (queue.acknowledged, queue.given_back) == ([], ["garbage"])


def test_a_row_is_an_arrival_of_when_it_was_published() -> None:
    queue = Queue()
    queue.next = [Message("ack", "77", b'{"a": 1}', {"tuneset": "row"}, 5 * MICROS)]
    [arrival] = front(queue).arrivals(1)
    assert (arrival.uri, arrival.time, arrival.row) == (f"{NAME}/77", 5 * MICROS, b'{"a": 1}')


def test_images_wait_for_the_words_beside_them(cloud: Cloud) -> None:
    queue, bucket = Queue(), cloud.uri.removeprefix("gs://")
    announced = front(queue, "--prompt=What?", "--answer={sidecar}", bucket=cloud.uri)

    def put(name: str) -> int:
        cloud.put(name, b"x")
        generation = int(cloud.bucket.get_blob(name).generation)
        queue.next.append(event(name, generation, bucket=bucket))
        return generation

    image = put("in/a.jpg")
    assert list(announced.arrivals(image + 29 * MICROS)) == []
    words = put("in/a.txt")
    put("in/b.txt")  # beside no image
    assert [(one.version, one.time) for one in announced.arrivals(image + 29 * MICROS)] == [(f"{image}+{words}", words)]
    assert queue.acknowledged == [f"ack of in/b.txt {queue_generation(queue, 'in/b.txt')}"]
    announced.settle(lambda identity: False)
    assert len(queue.acknowledged) == 3

    alone = put("in/c.jpg")
    assert list(announced.arrivals(alone + 29 * MICROS)) == []
    assert [one.time for one in announced.arrivals(alone + 30 * MICROS)] == [alone + 30 * MICROS]
    last = put("in/d.jpg")
    assert len(list(announced.arrivals(last, draining=True))) == 1


def queue_generation(queue: Queue, name: str) -> str:
    return next(ack.rpartition(" ")[2] for ack in queue.acknowledged if name in ack)


def test_an_object_that_is_told_without_its_size_is_asked_after(cloud: Cloud) -> None:
    queue = Queue()
    cloud.put("a.jsonl", b"12345")
    generation = int(cloud.bucket.get_blob("a.jsonl").generation)
    bucket = cloud.uri.removeprefix("gs://")
    queue.next = [event("a.jsonl", generation, bucket=bucket), event("gone.jsonl", 5, bucket=bucket)]
    found = list(front(queue, bucket=cloud.uri).arrivals(generation))
    assert [(one.uri, one.size, one.time) for one in found] == [
        (f"{cloud.uri}/a.jsonl", 5, generation),
        (f"{cloud.uri}/gone.jsonl", 0, 5),
    ]
