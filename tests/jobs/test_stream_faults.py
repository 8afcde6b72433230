"""Streams that are told wrong, begun anew, or whose rounds and storage fail: nothing is sealed twice, and they go on."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cloud import Cloud
from fault_proxy import Fault, Proxy, Request
from folders import bmp, jpeg, put
from streamed import PROMPT, stream, taken, windows_in

from beam_jobs.__main__ import main
from beam_jobs.job import Job
from beam_jobs.signals import Stop
from beam_jobs.stream import rounds
from beam_jobs.stream.graph import StreamJob
from beam_jobs.stream.options import parse_stream
from beam_jobs.stream.rounds import Rounds
from beam_jobs.stream.tally import NewPanes, Tally
from transforms.arrivals import watching
from transforms.arrivals.records import MICROS, Arrival
from transforms.core.listing_tally import ListingTally
from transforms.dataset.claim import take_claim
from transforms.storage import store_for
from transforms.storage.api import Unavailable


@pytest.mark.parametrize(
    "words, complaint",
    [
        (["--window=0s"], "--window 0s: expected at least 1s"),
        (["--stop_after=0"], "expected a whole number of seconds, minutes or hours"),
        (["--sidecar_wait="], "--sidecar_wait s: expected at least 0s"),
        (["--watch=nowhere/"], "there is nothing named"),
        (["--watch=nowhere/*.jpg"], "there is nothing named"),
        (["--watch=out/windows"], "lies inside --output"),
        (["--window=5"], "expected a whole number of seconds, minutes or hours"),
        (["--report=all.html"], "each window has its own report.html"),
        (["--sample=10"], "which a stream never has"),
        (["--answer=x"], "--prompt is missing"),
        (["--runner=PrismRunner"], "name Prism's program with --prism_location"),
        (["--runner=DirectRunner"], "a stream works in this process, on Prism"),
        (["--preview=1"], "option of neither Tuneset nor Apache Beam"),
    ],
)
def test_wrong_options_are_told(
    words: list[str],
    complaint: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "raw").mkdir()
    monkeypatch.chdir(tmp_path)
    watch = [] if words[-1].startswith("--watch") else ["--watch", str(tmp_path / "raw")]
    assert main(["stream", *watch, "--output", str(tmp_path / "out"), *words]) == 2
    assert complaint in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "words, complaint",
    [
        ([], "the --output of `tuneset stream` is missing"),
        (["none"], "/none holds no window: expected the --output of `tuneset stream`"),
        (["begun"], "/begun: its stream has sealed no window yet"),
        (["open/windows"], "/open/windows lies in a stream's folder: name that, "),
        (["open/windows/2026-11-22T10-05-00Z"], "lies in a stream's folder: name that, "),
        (["open"], "windows in the range: 2, none of them sealed; 1 are not done yet"),
        (["open", "--to=2026-11-22T10:06"], "windows in the range: 1, none of them sealed; too much of them was rejected"),
        (["open", "--from=2027-01-01"], "some of those from 2026-11-22T10-05-00Z to 2026-11-22T10-10-00Z"),
        (["open", "--from=2027-01-01", "--to=2027-01-01"], "--to 2027-01-01T00-00-00Z: expected a --to that is later"),
        (["open", "--findings=some"], "--findings: invalid choice"),
    ],
)  # fmt: skip
def test_what_cannot_be_merged_is_told(
    words: list[str],
    complaint: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("begun", "open"):
        put(tmp_path / name / "stream.json", b"{}")
    put(tmp_path / "open/windows/2026-11-22T10-05-00Z/unsealed.json", b"{}")
    put(tmp_path / "open/windows/2026-11-22T10-10-00Z/rejected.jsonl", b"")
    assert main(["merge", "--output=merged", *words]) == 2
    assert complaint in capsys.readouterr().err
    assert not (tmp_path / "merged").exists()


def test_a_stream_goes_on_with_the_options_that_it_was_begun_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    raw.mkdir()
    assert stream(raw, out, "--existing=no") == 0
    assert stream(raw, out, window="2s") == 2
    assert "begun with other options (--window was 1s and is 2s)" in capsys.readouterr().err
    assert not (out / "windows").exists()


def test_a_round_that_fails_is_run_again_and_seals_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    work, tries = rounds.run_round, list[int]()

    def fails_after_its_work(*given: Any) -> None:
        work(*given)
        tries.append(1)
        if len(tries) == 1:
            raise RuntimeError("an engine's")

    monkeypatch.setattr(rounds, "run_round", fails_after_its_work)
    monkeypatch.setattr(rounds, "_PAUSES_S", (0.01, 0.01))
    names = [put(raw / f"{number}.jpg", jpeg(seed=number)) for number in range(4)]
    assert stream(raw, out, PROMPT) == 0
    assert len(tries) >= 2
    found = windows_in(out)
    assert sorted(one["uri"] for folder in found.values() for one in taken(folder)) == names
    assert not [name for name in found if ".late-" in name]


def test_a_stream_waits_for_storage_that_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    put(raw / "a.jpg", jpeg(seed=1))
    list_names, asked = watching.list_names, list[str]()

    def away_at_first(pattern: str, **given: Any) -> Iterator[Any]:
        asked.append(pattern)
        if len(asked) == 1:
            raise Unavailable("storage is away")
        yield from list_names(pattern, **given)

    monkeypatch.setattr(watching, "list_names", away_at_first)
    assert stream(raw, out, PROMPT, "--poll_interval=1s") == 0
    assert [one["uri"] for folder in windows_in(out).values() for one in taken(folder)] == [str(raw / "a.jpg")]


class TwoTimes:
    """A front whose second arrival comes once the first is sealed, and the clock an hour back."""

    def __init__(self, files: list[str], clock: SimpleNamespace, done: Callable[[], int], stop: Stop) -> None:
        self.counts, self.left_out = Counter[str](), ListingTally()
        self._files, self._clock, self._done, self._stop = files, clock, done, stop
        self._given, self._calls = list[Arrival](), 0

    def arrivals(self, since: int, now: int, draining: bool = False) -> Iterator[Arrival]:
        self._calls += 1
        if self._done() and not self._clock.back:
            self._clock.back = 3600
        elif len(self._given) == self._done() < len(self._files):
            uri = self._files[len(self._given)]
            self._given.append(Arrival(uri, store_for(uri).stat(uri).generation, 9, int(self._clock.time() * MICROS)))
        if self._done() == len(self._files) or self._calls == 20:
            self._stop.set()
        return iter(self._given)

    def settle(self, waits: Callable[[int], bool]) -> None: ...

    def close(self) -> None: ...


def test_a_clock_that_goes_back_holds_nothing_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [put(tmp_path / f"raw/{name}.jpg", jpeg(seed=1)) for name in "ab"]
    words = ["--watch", str(tmp_path / "raw"), "--output", str(tmp_path / "out"), "--window=1s", "--poll_interval=1s"]
    given = parse_stream([*words, PROMPT])
    job = Job(given.of_job, take_claim(given.of_job.output, "run", take_over=False), remote=False)
    clock = SimpleNamespace(back=0, monotonic=time.monotonic, sleep=time.sleep)
    clock.time = lambda: time.time() - clock.back
    monkeypatch.setattr(rounds, "time", clock)
    tally, stop = Tally(), Stop()
    panes = NewPanes(given.of_job.output, tally, print, lambda pane, manifest: None)
    front = TwoTimes(files, clock, lambda: tally.sealed, stop)
    Rounds(StreamJob(job, given.of_stream), front, 0, stop, panes, tally).run()
    assert (tally.sealed, tally.part_filled) == (2, 0)
    assert front._calls < 20


def once(fault: Fault, wanted: Callable[[Request], bool]) -> Callable[[Request], Fault | None]:
    """A fault for the first request of each sort, so that asking again helps."""
    met: Counter[tuple[str, str, str]] = Counter()

    def harm(request: Request) -> Fault | None:
        key = (request.method, request.path + request.query.get("name", ""), request.range)
        met[key] += wanted(request)
        return fault if wanted(request) and met[key] == 1 else None

    return harm


def test_a_bucket_that_is_not_there_is_told(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    assert stream("gs://no-such-bucket/in/", f"{cloud.uri}/out", PROMPT) == 2
    assert "--watch gs://no-such-bucket/in/: there is no such bucket" in capsys.readouterr().err
    assert main(["stream", "--watch", f"{cloud.uri}/in", "--output", f"{cloud.uri}/out"]) == 2
    assert "a gs:// folder is named with a / at its end" in capsys.readouterr().err
    assert cloud.blobs() == {}


@pytest.mark.parametrize(
    "fault, reads",
    [(Fault("answer", 503), True), (Fault("answer", 503), False), (Fault("short"), True), (Fault("lost"), False)],
    ids=["503 to reads", "503 to writes", "cut answers", "lost answers to writes"],
)
def test_a_stream_outlasts_storage_that_fails(
    fault: Fault, reads: bool, cloud: Cloud, proxy: Proxy, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "SLACK_S", {True: 1, False: 1})
    for number in range(5):
        cloud.put(f"in/{number}.jpg", jpeg(seed=number))
    cloud.put("in/a.bmp", bmp(seed=9))
    proxy.fault = once(fault, lambda request: (request.method == "GET") == reads)
    assert stream(f"{cloud.uri}/in/", f"{cloud.uri}/out", PROMPT) == 0
    proxy.fault = lambda request: None
    texts = [blob.download_as_bytes() for name, blob in cloud.blobs("out/").items() if name.endswith("arrivals.jsonl")]
    arrived = sorted(json.loads(line)["uri"].rpartition("/")[2] for text in texts for line in text.splitlines())
    assert arrived == ["0.jpg", "1.jpg", "2.jpg", "3.jpg", "4.jpg", "a.bmp"]
    lines = [
        blob.download_as_bytes()
        for name, blob in cloud.blobs("out/windows/").items()
        if "train" in name or "valid" in name
    ]
    assert b"".join(lines).count(b"\n") == 6 and not [name for name in cloud.blobs("out/") if "_tuneset" in name]
