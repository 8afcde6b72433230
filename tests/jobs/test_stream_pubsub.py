"""A stream of what Pub/Sub announces, on the official emulator: each good upload is in one window, whatever else is announced."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from folders import bmp, jpeg, row
from pubsub import BUCKET, Uploads, uploads
from stream_engines import engine_flags

from beam_jobs.__main__ import main
from beam_jobs.stream import rounds
from transforms import storage
from transforms.images import inspection
from transforms.images.helper import pool as helper_pool
from transforms.images.helper.pool import DecoderPool

pytestmark = pytest.mark.engines
OUT = f"gs://{BUCKET}/stream"
LONG = os.environ.get("TUNESET_LONG") == "1"
UPLOADS = 2000 if LONG else 120
PAIRS = 400 if LONG else 20  # images with words beside them
PATIENCE_S = 240 if LONG else 120


@pytest.fixture
def arriving(tmp_path: Path) -> Iterator[Uploads]:
    with uploads(tmp_path / "pubsub.log") as servers:
        storage._stores.pop("gs", None)  # of another server
        yield servers
    storage._stores.pop("gs", None)


BEGUN: list[subprocess.Popen[bytes]] = []


@pytest.fixture(autouse=True)
def ended() -> Iterator[None]:
    """No stream outlives its test."""
    yield
    for job in BEGUN:
        if job.poll() is None:
            os.killpg(job.pid, signal.SIGKILL)


def begin(subscription: str, screen: Path, *more: str) -> subprocess.Popen[bytes]:
    words = [
        "stream",
        "--subscription",
        subscription,
        "--watch",
        f"gs://{BUCKET}/in/",
        "--output",
        OUT,
        "--window",
        "3s",
    ]
    words += ["--prompt", "What?", *more]
    with open(screen, "ab") as said:
        BEGUN.append(
            subprocess.Popen(
                [sys.executable, "-m", "beam_jobs", *words], stdout=said, stderr=said, start_new_session=True
            )
        )
    return BEGUN[-1]


def wait_for(screen: Path, text: bytes, job: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while text not in screen.read_bytes():
        assert job.poll() is None and time.monotonic() < deadline, screen.read_text()
        time.sleep(0.1)


@pytest.mark.timeout(3 * PATIENCE_S)
@pytest.mark.parametrize("engine", ["rounds", "prism"])
def test_uploads_are_sealed_once_though_the_stream_is_killed(engine: str, arriving: Uploads, tmp_path: Path) -> None:
    with engine_flags(engine, tmp_path) as flags:
        uploads_are_sealed_once(arriving, tmp_path, flags)


def uploads_are_sealed_once(arriving: Uploads, tmp_path: Path, flags: list[str]) -> None:
    """The stream of an engine is killed on the way, and merged in the end."""
    screen, bucket = tmp_path / "screen", arriving.bucket

    def put(name: str, data: bytes) -> None:
        bucket.blob(name).upload_from_string(data)

    def announce(name: str) -> None:
        uploaded = {"bucketId": BUCKET, "objectId": name, "objectGeneration": str(bucket.get_blob(name).generation)}
        arriving.publisher.publish(arriving.topic, b"", eventType="OBJECT_FINALIZE", **uploaded).result()

    for name in ("early", "late"):  # which nobody hears of yet
        put(f"in/cat/{name}.jpg", jpeg(seed=len(name)))
    subscription = arriving.subscribe("photos")
    job = begin(subscription, screen, *flags)
    wait_for(screen, b"Watching", job)
    announce("in/cat/early.jpg")
    for number in range(UPLOADS):
        put(f"in/cat/{number}.jpg", jpeg(seed=number))
        if number == UPLOADS // 2:
            wait_for(screen, b"sealed\n", job)
            os.killpg(job.pid, signal.SIGKILL)
            job.wait()
            job = begin(subscription, screen, *flags)
        if number % 100 == 99:
            announce(f"in/cat/{number - 50}.jpg")  # a second time
    announce("in/cat/late.jpg")  # long after its window
    put("in/cat/x.bmp", bmp(seed=500))
    put("in/cat/broken.jpg", b"\xff\xd8\xff none")
    put("in/cat/0.jpg", jpeg(seed=501))  # overwritten
    put("in/notes.txt", b"no dataset")
    put("elsewhere/a.jpg", jpeg(seed=502))
    bucket.blob("elsewhere/a.jpg").delete()
    text = json.dumps(row("by itself")).encode()
    publish = arriving.publisher.publish
    for sent in (publish(arriving.topic, text, tuneset="row"), publish(arriving.topic, b"\x00 garbage")):
        sent.result()
    # What the killed stream had leased comes again within half a minute; then a window has to be over.
    deadline = time.monotonic() + PATIENCE_S
    names = [*(f"{number}.jpg" for number in range(UPLOADS)), "x.bmp", "early.jpg", "late.jpg"]
    good = {f"gs://{BUCKET}/in/cat/{name}" for name in names}
    while not good <= set(taken(arriving)):
        assert job.poll() is None and time.monotonic() < deadline, (good - set(taken(arriving)), screen.read_text())
        time.sleep(1)
    os.kill(job.pid, signal.SIGINT)
    assert job.wait(120) == 0, screen.read_text()

    arrived = taken(arriving)
    rows = [uri for uri in arrived if uri.startswith(subscription)]
    assert {uri: n for uri, n in arrived.items() if n > 1} == {f"gs://{BUCKET}/in/cat/0.jpg": 2}
    assert set(arrived) == good | {f"gs://{BUCKET}/in/cat/broken.jpg", *rows} and len(rows) == 1
    time.sleep(12)  # longer than the subscription's own deadline: what was not acknowledged comes again
    for told in arriving.left(subscription):  # by the race of a pull that ended without its answer: nothing new
        assert told.get("eventType") != "OBJECT_FINALIZE" or f"gs://{BUCKET}/{told['objectId']}" in arrived
    left = [blob.name for blob in bucket.list_blobs(prefix="stream/") if "_tuneset" in blob.name]
    assert left == []

    # What is merged is what the batch job makes of the bucket, and the row that came by itself.
    assert main(["merge", OUT, "--output", f"gs://{BUCKET}/merged"]) == 0
    assert (
        main(["prepare", "--input", f"gs://{BUCKET}/in/", "--output", f"gs://{BUCKET}/batch", "--prompt", "What?"]) == 0
    )
    merged, batch = lines(arriving, "merged"), lines(arriving, "batch")
    assert [text for _, text in (merged - batch).elements()] == [text_of(row("by itself"))]
    assert batch - merged == Counter()


# A helper that a picture kills, as a bug in a decoder would.
POISONED = """
import ctypes
from transforms.images.helper import process as helper
real = helper.fit.fit
helper.fit.fit = lambda data, *rest, **options: ctypes.string_at(0) if b"POISON" in data else real(data, *rest, **options)
helper.main()
"""


@pytest.mark.timeout(300)
def test_each_good_arrival_is_sealed_whatever_comes_with_it(arriving: Uploads, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = DecoderPool(workers=1, command=[sys.executable, "-c", POISONED])
    monkeypatch.setattr(inspection, "shared_pool", lambda **options: pool)
    monkeypatch.setattr(rounds, "SLACK_S", {True: 1, False: 1})
    subscription, bucket = arriving.subscribe("words"), arriving.bucket

    def put(name: str, data: bytes, **metadata: str) -> None:
        blob = bucket.blob(f"in/{name}")
        blob.metadata = metadata
        blob.upload_from_string(data)

    for number in range(PAIRS):
        put(f"p/{number}.txt", b"words before")
        put(f"p/{number}.jpg", jpeg(seed=number), ask=f"{number}?")
    put("p/poison.bmp", bmp(seed=30) + b"POISON")
    put("p/poison.txt", b"words of a poison")
    put("p/0.jpg", jpeg(seed=40), ask="again?")  # overwritten
    put("p/after.jpg", jpeg(seed=41))
    put("p/silent.jpg", jpeg(seed=42))  # no words ever: rejected
    put("rows/a.jsonl", (text_of(row("of a file")) + "\n{}\n").encode())
    put("p/gone.txt", b"words of nothing")
    bucket.blob("in/p/gone.txt").delete()
    update = {
        "eventType": "OBJECT_METADATA_UPDATE",
        "bucketId": BUCKET,
        "objectId": "in/p/1.jpg",
        "objectGeneration": "1",
    }
    for attributes in (update, {"eventType": "OBJECT_FINALIZE"}):  # neither brings anything
        arriving.publisher.publish(arriving.topic, b"\xff", **attributes).result()
    feeder = threading.Timer(10, put, ("p/after.txt", b"words after"))
    feeder.start()
    words = ["--prompt", "{metadata.ask} What?", "--answer", "{sidecar}"]
    places = ["--subscription", subscription, "--watch", f"gs://{BUCKET}/in/", "--output", OUT]
    stream = ["stream", *places, "--window=2s", "--sidecar_wait=2s", "--stop_after=16s", *words]
    assert main(stream) == 0
    feeder.join()
    pool.close()

    arrived = taken(arriving)
    # What was overwritten before it was looked at came once, what got its words after its wait came again.
    assert {uri: n for uri, n in arrived.items() if n > 1} == {f"gs://{BUCKET}/in/p/after.jpg": 2}
    names = [*(f"p/{n}.jpg" for n in range(PAIRS)), "p/poison.bmp", "p/after.jpg", "p/silent.jpg", "rows/a.jsonl"]
    assert set(arrived) == {f"gs://{BUCKET}/in/{name}" for name in names}
    assert main(["merge", OUT, "--output", f"gs://{BUCKET}/merged"]) == 0
    whole = ["--input", f"gs://{BUCKET}/in/", "--input_format=folder", "--output", f"gs://{BUCKET}/batch"]
    monkeypatch.setattr(inspection, "shared_pool", helper_pool.shared_pool)
    bucket.blob("in/p/poison.bmp").delete()  # whose decoder lives without that helper
    assert main(["prepare", *whole, *words]) == 0
    merged, batch = lines(arriving, "merged"), lines(arriving, "batch")
    assert [text for _, text in (merged - batch).elements()] == [text_of(row("of a file"))]
    assert batch - merged == Counter() and batch.total() == PAIRS + 1
    reasons = {name: json.loads(bucket.blob(f"{name}/manifest.json").download_as_bytes())["dataset"]["reasons"]
               for name in ("merged", "batch")}  # fmt: skip
    assert reasons["merged"] == {**reasons["batch"], "decoder_crashed": 1, "missing_contents": 1}


@pytest.mark.timeout(300)
def test_a_job_server_is_given_what_is_announced(arriving: Uploads, tmp_path: Path) -> None:
    subscription, screen = arriving.subscribe("photos"), tmp_path / "screen"
    uris = {f"gs://{BUCKET}/in/{number}.jpg" for number in range(20)}
    with engine_flags("flink", tmp_path) as flags:
        job = begin(subscription, screen, *flags, "--poll_interval=1s")
        wait_for(screen, b"Watching", job)
        for number in range(20):
            arriving.bucket.blob(f"in/{number}.jpg").upload_from_string(jpeg(seed=number))
        deadline = time.monotonic() + 200
        while set(taken(arriving)) != uris:
            assert job.poll() is None and time.monotonic() < deadline, screen.read_text()
            time.sleep(1)
        os.kill(job.pid, signal.SIGINT)
        assert job.wait(120) == 0, screen.read_text()
    assert taken(arriving) == Counter(uris)
    time.sleep(12)  # longer than the subscription's own deadline
    left = [one["objectId"] for one in arriving.left(subscription)]
    assert [name for name in left if name.startswith("in/")] == []  # the stream's own files are announced to the end


def taken(arriving: Uploads) -> Counter[str]:
    """URIs of what sealed windows took."""
    names = [blob.name for blob in arriving.bucket.list_blobs(prefix="stream/windows/")]
    sealed = [name.rpartition("/")[0] for name in names if name.endswith("/manifest.json")]
    texts = [arriving.bucket.blob(f"{folder}/arrivals.jsonl").download_as_bytes() for folder in sealed]
    return Counter(json.loads(line)["uri"] for text in texts for line in text.splitlines())


def lines(arriving: Uploads, folder: str) -> Counter[tuple[str, str]]:
    """(split, line) of a dataset, without where rewritten images lie."""
    found = Counter[tuple[str, str]]()
    for split in ("train", "validation"):
        for line in arriving.bucket.blob(f"{folder}/{split}.jsonl").download_as_bytes().splitlines():
            told = json.loads(line)
            for part in told["contents"][0]["parts"]:
                if "/images/" in (uri := part.get("fileData", {}).get("fileUri", "")):
                    part["fileData"]["fileUri"] = uri.rpartition("/")[2]
            found[split, text_of(told)] += 1
    return found


def text_of(line: object) -> str:
    return json.dumps(line, sort_keys=True)


# Beam's own source runs here on the DirectRunner, which is not told to anybody: it acknowledges what is in no window yet.
NATIVE = """
import sys, threading, time, os
import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from beam_jobs.job import Job
from beam_jobs.stream.graph import StreamJob
from beam_jobs.stream.native import build_native
from beam_jobs.stream.options import parse_stream
from transforms.dataset.claim import take_claim
given = parse_stream(sys.argv[1:])
job = Job(given.of_job, take_claim(given.of_job.output, "run", take_over=False), remote=True)
options = PipelineOptions(["--runner=DirectRunner", "--streaming", "--no_save_main_session"])
pipeline = beam.Pipeline(options=options)
build_native(pipeline, StreamJob(job, given.of_stream), 0)
pipeline.run().wait_until_finish()
"""


@pytest.mark.timeout(200)
def test_beams_own_source_seals_the_same_windows(arriving: Uploads, tmp_path: Path) -> None:
    subscription, screen, bucket = arriving.subscribe("native"), tmp_path / "screen", arriving.bucket
    for number in range(12):
        bucket.blob(f"in/c/{number}.jpg").upload_from_string(jpeg(seed=number))
    bucket.blob("in/c/a.bmp").upload_from_string(bmp(seed=20))
    words = [
        "--subscription",
        subscription,
        "--watch",
        f"gs://{BUCKET}/in/",
        "--output",
        OUT,
        "--window=4s",
        "--prompt=What?",
    ]
    with open(screen, "ab") as said:
        job = subprocess.Popen([sys.executable, "-c", NATIVE, *words], stdout=said, stderr=said, start_new_session=True)
    BEGUN.append(job)
    text = json.dumps(row("by itself")).encode()
    arriving.publisher.publish(arriving.topic, text, tuneset="row").result()
    arriving.publisher.publish(arriving.topic, b"garbage").result()
    wanted = {f"gs://{BUCKET}/in/c/{number}.jpg" for number in range(12)} | {f"gs://{BUCKET}/in/c/a.bmp"}
    deadline, number = time.monotonic() + 150, 12
    while not wanted <= set(taken(arriving)):
        assert job.poll() is None and time.monotonic() < deadline, (wanted - set(taken(arriving)), screen.read_text())
        # An idle pull holds the watermark up on this runner: something has to come.
        bucket.blob(f"in/c/{number}.jpg").upload_from_string(jpeg(seed=number))
        number += 1
        time.sleep(2)
    arrived = taken(arriving)
    assert max(arrived.values()) == 1
    assert sum(uri.startswith(subscription) for uri in arrived) == 1
