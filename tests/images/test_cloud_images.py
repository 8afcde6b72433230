"""Images and rows in Cloud Storage: what looking at them costs, who pays, and how they are stored."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from cloud import Cloud
from fault_proxy import Fault, Proxy
from folders import bmp, jpeg, row, write_rows
from google.auth.credentials import AnonymousCredentials

from beam_jobs.commands.prepare import prepare
from beam_jobs.job import Job
from beam_jobs.settings import parse
from transforms.core.records import ImageFacts
from transforms.dataset.claim import Claim
from transforms.images import orders
from transforms.images.fit.policy import FitPolicy
from transforms.images.inspection import HEAD, TAIL, Inspector, look
from transforms.images.orders import fit_image
from transforms.storage import api, patiently, throttling
from transforms.storage.api import Access, Changed, Forbidden, NotFound, StorageError
from transforms.storage.gcs.store import GcsStore
from transforms.storage.places import Places

PHONE_EXIF = b"\xff\xe1\xff\xff" + b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0".ljust(65_533, b"\0")
PROFILE = b"\xff\xe2\x0b\xb8" + b"ICC_PROFILE\0\x01\x01".ljust(2_998, b"\0")


def inspector(verify: str = "structure") -> Inspector:
    policy = FitPolicy(max_bytes=20_000_000, types=("jpeg", "png"))
    return Inspector(
        places=Places(("gs://",)), verify=verify, policy=policy, on_bad_image="reject_example", threads=4, upright=False
    )


def prepare_cloud(cloud: Cloud, *flags: str) -> dict[str, Any]:
    assert prepare(["--input", f"{cloud.uri}/rows.jsonl", "--output", f"{cloud.uri}/out", *flags]) == 0
    found: dict[str, Any] = cloud.json("out/manifest.json")["dataset"]
    return found


def put_rows(cloud: Cloud, images: list[str]) -> None:
    rows = [row(f"what is number {i}?", [uri]) for i, uri in enumerate(images)]
    cloud.put("rows.jsonl", b"".join(json.dumps(one).encode() + b"\n" for one in rows))


def plain(size: int, head: bytes = b"") -> bytes:
    """A JPEG of `size` bytes: a comment at its end, before the end mark, makes up for what is missing."""
    data = jpeg()
    data = data[:2] + head + data[2:-2]
    while len(data) < size - 2:
        room = min(size - 2 - len(data), 60_000)
        data += b"\xff\xfe" + (room - 2).to_bytes(2, "big") + bytes(room - 4)
    return data + b"\xff\xd9"


@pytest.mark.parametrize(
    "size, head, requests",
    [
        (HEAD - 1, b"", 1),
        (HEAD, b"", 1),
        (HEAD + 5, b"", 2),
        (400_000, b"", 2),
        (3_000_000, PHONE_EXIF, 2),
        (3_000_000, PHONE_EXIF + PROFILE, 2),
    ],
)
def test_a_conforming_image_costs_two_small_requests(
    cloud: Cloud, proxy: Proxy, size: int, head: bytes, requests: int
) -> None:
    data = plain(size, head)
    assert len(data) == size
    uri = cloud.put("a.jpg", data)
    generation = str(cloud.blobs("a.jpg")[""].generation)
    assert look(uri, inspector()) == ImageFacts(uri, generation, size, "jpeg", 64, 48)
    assert len(proxy.seen) == requests
    assert [bool(request.query.get("generation")) for request in proxy.seen] == [False, True][:requests]
    assert sum(request.bytes for request in proxy.seen) == (size if requests == 1 else HEAD + TAIL) <= 96 << 10


def test_equal_uris_of_a_block_are_looked_at_once(cloud: Cloud, proxy: Proxy) -> None:
    uris = [cloud.put(f"{i}.jpg", jpeg(seed=i)) for i in range(3)]
    put_rows(cloud, uris * 5)
    assert prepare_cloud(cloud)["counters"]["images_untouched"] == 15
    assert sorted(request.name for request in proxy.seen if request.name.endswith(".jpg")) == [
        "0.jpg",
        "1.jpg",
        "2.jpg",
    ]


def test_an_image_overwritten_between_two_reads_is_looked_at_again(cloud: Cloud, proxy: Proxy) -> None:
    uri = cloud.put("a.jpg", plain(200_000))

    def overwrite(request: Any) -> None:
        if request.query.get("generation") and len(proxy.seen) < 2:
            cloud.put("a.jpg", plain(300_000))

    proxy.fault = overwrite
    found = look(uri, inspector())
    assert (found.size, found.reason, found.generation) == (300_000, "", str(cloud.blobs("a.jpg")[""].generation))


def test_an_object_overwritten_before_it_is_fitted_is_not_read_for_the_one_that_was_seen(cloud: Cloud) -> None:
    uri = cloud.put("a.jpg", jpeg())
    facts = look(uri, inspector())
    assert orders.read_image(facts, ()) == jpeg()
    cloud.put("a.jpg", jpeg(seed=2))
    with pytest.raises((Changed, NotFound)):
        orders.read_image(facts, ())


def put_packed(cloud: Cloud, name: str, data: bytes) -> str:
    blob = cloud.bucket.blob(name)
    blob.content_encoding = "gzip"
    blob.upload_from_string(data, content_type="image/jpeg")
    return f"{cloud.uri}/{name}"


def test_images_stored_with_content_encoding_gzip_are_copied_plain(cloud: Cloud, tmp_path: Path) -> None:
    whole, other = jpeg(seed=1), bmp(seed=2)
    uris = [put_packed(cloud, f"{i}.jpg", gzip.compress(data)) for i, data in enumerate((whole, other, whole[:900]))]
    uris += [put_packed(cloud, "3.jpg", gzip.compress(whole)[:-9]), cloud.put("4.jpg", jpeg(seed=4))]
    put_rows(cloud, uris)
    dataset = prepare_cloud(cloud)
    counters = dataset["counters"]
    assert dataset["reasons"] == {"truncated_image": 1, "undecodable": 1}
    assert counters["images_staged"] == 1 and counters["images_untouched"] == 2 and counters["images_converted"] == 1
    found = cloud.folder("out/", tmp_path / "out")
    (staged,) = (one for one in found["images.parquet"] if one["source"] == uris[0])
    assert cloud.bucket.blob(staged["output"].removeprefix(cloud.uri + "/")).download_as_bytes() == whole
    assert staged["bytes"] == len(whole) and staged["fate"] == "untouched"


def test_rows_stored_with_content_encoding_gzip_are_read_as_a_gz(cloud: Cloud, tmp_path: Path) -> None:
    rows = Path(write_rows(tmp_path / "rows.jsonl", 300)).read_bytes()
    packed = cloud.bucket.blob("rows.jsonl")
    packed.content_encoding = "gzip"
    packed.upload_from_string(gzip.compress(rows))
    assert prepare_cloud(cloud, "--block_bytes", "4096")["counters"]["examples_written"] == 300
    cloud.put("plain.jsonl", rows)
    assert prepare(["--input", f"{cloud.uri}/plain.jsonl", "--output", f"{cloud.uri}/plain"]) == 0
    made = [cloud.bucket.blob(f"{output}/train.jsonl").download_as_bytes() for output in ("out", "plain")]
    assert made[0] == made[1]


def test_a_bomb_behind_content_encoding_is_not_unpacked(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transforms.images.inspection._UNPACKED", 10_000)
    for size, reason in ((9_999, ""), (10_000, ""), (10_001, "undecodable")):
        uri = put_packed(cloud, f"{size}.jpg", gzip.compress(plain(size)))
        found = look(uri, inspector())
        assert (found.reason, found.encoding) == (reason, "" if reason else "gzip")


def test_stage_copy_puts_conforming_objects_beside_the_dataset_on_the_server(
    cloud: Cloud, gcs: Any, proxy: Proxy, tmp_path: Path
) -> None:
    elsewhere = Cloud(gcs.client.bucket((other := gcs.new_bucket())[5:]), other)
    images = {f"{i}.jpg": plain(100_000 + i) for i in range(3)} | {"b.bmp": bmp()}
    uris = [elsewhere.put(name, data) for name, data in images.items()]
    put_rows(cloud, [*uris, f"{other}/none.jpg"])
    dataset = prepare_cloud(cloud, "--stage", "copy")
    assert dataset["counters"]["images_staged"] == 3 and dataset["counters"]["images_untouched"] == 3
    assert dataset["reasons"] == {"image_not_found": 1}
    found = cloud.folder("out/", tmp_path / "out")
    for image in found["images.parquet"]:
        name = image["source"].rpartition("/")[2]
        if image["fate"] == "untouched":
            assert image["output"].startswith(f"{cloud.uri}/out/images/")
            stored = cloud.bucket.blob(image["output"].removeprefix(cloud.uri + "/")).download_as_bytes()
            assert stored == images[name]
    assert other not in (found["train.jsonl"] + found["validation.jsonl"]).decode()
    read = [request for request in proxy.seen if request.reads and request.name.endswith(".jpg")]
    assert max(request.bytes for request in read) == HEAD  # none was read whole
    assert sum("/rewriteTo/" in request.path for request in proxy.seen) == 3


def test_an_object_that_changed_since_it_was_looked_at_is_not_fitted(cloud: Cloud) -> None:
    settings = parse(["--input", f"{cloud.uri}/rows.jsonl", "--output", f"{cloud.uri}/out"])
    rewriter = Job(settings, Claim("me", 1, False), remote=False).rewriter
    uri = cloud.put("a.bmp", bmp(seed=1))
    order = rewriter.order(look(uri, rewriter.inspector))
    cloud.put("a.bmp", bmp(seed=2))
    assert order and fit_image(order, rewriter) == order.key
    assert cloud.json(rewriter.outcome_path(order.key).removeprefix(cloud.uri + "/"))["reason"] == "image_changed"
    assert not cloud.blobs("out/images/")


@pytest.mark.parametrize(
    "error, reason", [(api.Changed("another"), "image_changed"), (NotFound("gone"), "image_not_found")]
)
def test_an_object_that_cannot_be_copied_any_more_is_told(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, error: StorageError, reason: str
) -> None:
    def refuse(*_: Any) -> bool:
        raise error

    settings = parse(["--input", f"{cloud.uri}/rows.jsonl", "--output", f"{cloud.uri}/out", "--stage", "copy"])
    rewriter = Job(settings, Claim("me", 1, False), remote=False).rewriter
    order = rewriter.order(look(cloud.put("a.jpg", jpeg(seed=1)), rewriter.inspector))
    monkeypatch.setattr(GcsStore, "copy", refuse)
    assert order and fit_image(order, rewriter) == order.key
    assert cloud.json(rewriter.outcome_path(order.key).removeprefix(cloud.uri + "/"))["reason"] == reason


def test_stage_copy_needs_cloud_storage_and_a_look(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for output, flags in ((str(tmp_path / "out"), []), ("gs://bucket/out", ["--verify", "none"])):
        assert prepare(["--input", "x", "--output", output, "--stage", "copy", *flags]) == 2
        assert "--stage copy" in capsys.readouterr().err


def requester_pays(request: Any) -> Fault | None:
    body = b'{"error": {"message": "Bucket is a requester pays bucket but no user project provided."}}'
    return None if request.query.get("userProject") == "payer" else Fault("answer", 400, body)


@pytest.mark.parametrize("processes", [1, 2])
def test_user_project_is_billed_for_every_request(cloud: Cloud, proxy: Proxy, processes: int) -> None:
    uris = [cloud.put(f"{i}.jpg", plain(100_000)) for i in range(3)] + [cloud.put("b.bmp", bmp())]
    put_rows(cloud, uris)
    proxy.fault = requester_pays
    flags = ["--user_project", "payer"]
    if processes == 2:
        flags += ["--direct_num_workers=2", "--direct_running_mode=multi_processing"]
    dataset = prepare_cloud(cloud, *flags)
    assert dataset["counters"]["examples_written"] == 4 and not dataset["reasons"]
    assert {request.query.get("userProject") for request in proxy.seen} == {"payer"}


def test_without_user_project_a_requester_pays_bucket_says_what_to_do(
    cloud: Cloud, proxy: Proxy, capsys: pytest.CaptureFixture[str]
) -> None:
    put_rows(cloud, [cloud.put("a.jpg", jpeg())])
    proxy.fault = requester_pays
    assert prepare(["--input", f"{cloud.uri}/rows.jsonl", "--output", f"{cloud.uri}/out"]) == 2
    said = capsys.readouterr().err
    assert "requester pays" in said and "--user_project PROJECT" in said and said.count("\n") == 1
    assert api.access() == Access()


class Tokens(AnonymousCredentials):
    """Credentials whose token has to be renewed."""

    def __init__(self) -> None:
        super().__init__()
        self.number = 0

    def before_request(self, request: Any, method: str, url: str, headers: Any) -> None:
        headers["authorization"] = f"Bearer {self.number}"

    def refresh(self, request: Any) -> None:
        self.number += 1


def test_reads_carry_a_token_and_ask_for_a_new_one(cloud: Cloud, proxy: Proxy) -> None:
    uri = cloud.put("a", b"0123")
    store = GcsStore()
    tokens = Tokens()
    session = store._client()._http
    session.credentials = tokens
    for times, renewed in ((1, 1), (2, 3)):
        refused = iter([Fault("answer", 401)] * times)
        proxy.fault = lambda request, refused=refused: next(refused, None)
        assert store.read(uri, 1, 3)[0] == b"12"
        assert tokens.number == renewed
    proxy.fault = lambda request: Fault("answer", 401)
    with pytest.raises(Forbidden):
        store.read(uri, 1, 3)
    assert tokens.number == 5  # one that is refused thrice is asked for no more


def test_seconds_of_throttling_are_told_to_beam(cloud: Cloud, proxy: Proxy, impatient: None) -> None:
    uri = cloud.put("a", b"0123")
    for status, counts in ((429, True), (503, True), (500, False)):
        faults = iter([Fault("answer", status)] * 2)
        proxy.fault = lambda request, faults=faults: next(faults, None)
        throttling._noted = 0.0
        assert GcsStore().read(uri)[0] == b"0123"
        assert (0 < throttling._noted < 5) is counts
    throttling._noted = 2.75  # as if they had been longer

    def room(number: int) -> int:
        return patiently(lambda: number)

    with beam.Pipeline("FnApiRunner") as pipeline:
        _ = pipeline | beam.Create([1, 2]) | beam.Map(room)
    told = pipeline.result.metrics().query(
        beam.metrics.MetricsFilter().with_namespace("gcsio").with_name("cumulativeThrottlingSeconds")
    )
    assert [counter.committed for counter in told["counters"]] == [2] and throttling._noted == 0.75


def test_the_closing_screen_names_every_bucket_and_how_to_grant(
    cloud: Cloud, gcs: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = Cloud(gcs.client.bucket((other := gcs.new_bucket())[5:]), other)
    here = cloud.put("a.jpg", jpeg(seed=1))
    put_rows(cloud, [here, elsewhere.put("b.jpg", jpeg(seed=2)), "gs://tuneset-never/gone.jpg"])
    dataset = prepare_cloud(cloud)
    assert dataset["buckets"] == sorted([cloud.uri[5:], other[5:]])  # not that of the rejected row
    said = capsys.readouterr().out
    both = " ".join(sorted([cloud.uri, other]))
    assert f"The tuning service must be able to read {both}." in said
    command = "gcloud storage buckets add-iam-policy-binding $b --member=serviceAccount:service-PROJECT_NUMBER@"
    assert (
        f"for b in {both}; do {command}gcp-sa-vertex-tune.iam.gserviceaccount.com --role=roles/storage.objectViewer; done"
        in said
    )
    put_rows(cloud, [here])
    output = ["--output", str(tmp_path / "local")]
    assert prepare(["--input", f"{cloud.uri}/rows.jsonl", *output]) == 0
    assert f"add-iam-policy-binding {cloud.uri} --member" in capsys.readouterr().out
    write_rows(tmp_path / "texts.jsonl", 3)
    assert prepare(["--input", str(tmp_path / "texts.jsonl"), "--output", str(tmp_path / "texts")]) == 0
    assert "add-iam-policy-binding" not in capsys.readouterr().out
