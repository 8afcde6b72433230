"""Whole jobs on images named by URL: what becomes of them, and what a later night asks for."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cloud import Cloud
from folders import assert_equal_folders, bmp, jpeg, png, put, read_folder, row, write_lines
from gcs_jobs import lines as lines_of
from gcs_jobs import sealed
from launcher import Launcher
from laws import Folder, counters, lines, rejections
from opening import tried
from web_server import web_server

from beam_jobs.job import Job
from beam_jobs.preflight import on_this_machine
from beam_jobs.settings import parse
from transforms.core.records import OpenBlock
from transforms.dataset.claim import Claim
from transforms.images.publishing import publish_images
from transforms.steps.trial import TrialWriter
from transforms.storage.api import USUAL, Access, WebAccess, set_access
from transforms.storage.web import exchange, hosts

Run = Callable[..., Folder]
ALL = ("--splits", "train=1", "--max_rejected_fraction", "1")
HTML = b"<!DOCTYPE html><html><head><title>Sign in</title></head></html>"


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    yield
    set_access(USUAL)


def uris(found: Folder) -> list[str]:
    return [
        part["fileData"]["fileUri"]
        for line in lines(found)
        for part in line["contents"][0]["parts"]
        if "fileData" in part
    ]


def test_images_named_by_url_are_copied_once_by_content(run: Run, tmp_path: Path) -> None:
    files = {
        "/p/1.jpg": jpeg(seed=1),
        "/p/again.jpg": jpeg(seed=1),
        "/p/2": png(),
        "/p/3.bmp": bmp(),
        "/p/5.jpg": jpeg(seed=5),
        "/p/page.jpg": HTML,
        "/q/4.jpg": jpeg(),
    }
    with web_server(files, says={"/p/shut.jpg": lambda *_: (403, {}, b"")}) as server:
        names = ["1.jpg", "again.jpg", "2", "3.bmp", "page.jpg", "shut.jpg", "late.jpg", "../q/4.jpg"]
        rows = [row(name, [f"{server.url}/p/{name}"]) for name in names] + [
            row("query", [f"{server.url}/p/1.jpg?w=1#top"])
        ]
        rows.append(row("unused", [f"{server.url}/p/5.jpg", f"{server.url}/p/late.jpg"]))
        for one in rows:
            one["contents"][0]["parts"][0]["fileData"]["mimeType"] = "image/jpeg"
        source = write_lines(tmp_path / "in/rows.jsonl", rows)
        found = run(source, *ALL, "--allow_prefix", f"{server.url}/p/")
        one, again, two, three, query = uris(found)
        assert (
            one == again == query
            and Path(one).read_bytes() == files["/p/1.jpg"]
            and one.startswith(f"{tmp_path}/out/images/")
        )
        assert Path(two).read_bytes() == files["/p/2"] and three.endswith(".png")
        assert [line["contents"][0]["parts"][0]["fileData"]["mimeType"] for line in lines(found)][2] == "image/png"
        assert {told["row"]["contents"][0]["parts"][-1]["text"]: told["reason"] for told in rejections(found)} == {
            "page.jpg": "not_an_image", "shut.jpg": "image_forbidden", "late.jpg": "image_not_found", "../q/4.jpg": "not_allowed",
            "unused": "image_not_found",
        }  # fmt: skip
        tally = counters(found)
        assert (tally["images_fetched"], tally["images_staged"], tally["images_converted"]) == (7, 4, 1)
        assert tally["bytes_fetched"] == sum(len(files[f"/p/{name}"]) for name in (*names[:5], "1.jpg", "5.jpg"))
        assert {str(path) for path in (tmp_path / "out/images").rglob("*.*")} == {one, two, three}
        # Each is asked for once, and whole, also what is rewritten when its turn has come.
        assert [server.paths().count(f"/p/{name}") for name in names[:-1]] == [1] * 7
        assert not any("range" in headers for _, headers in server.asked)
        assert "/q/4.jpg" not in server.paths()


def published(source: str, *flags: str) -> OpenBlock:
    """The one block of a job over one input, with images as its lines name them; nothing is written."""
    (opened,) = tried(source, *flags)
    settings = on_this_machine(parse(["--input", source, "--output", f"{source}-out", *flags]))
    rewriter = Job(settings, Claim("", 0, False), False).rewriter
    return publish_images(TrialWriter(rewriter).hold(opened)[0], rewriter, ())


def test_urls_stay_where_nothing_is_copied_or_looked_at(tmp_path: Path) -> None:
    with web_server({"/1.jpg": jpeg(), "/2.bmp": bmp()}, ranges=False) as server:
        url = server.url.replace("http", "HTTP")
        source = write_lines(tmp_path / "in/rows.jsonl", [row("one", [f"{url}/1.jpg"]), row("two", [f"{url}/2.bmp"])])
        set_access(Access("", WebAccess((f"{server.url}/",))))
        kept = published(source, "--allow_prefix", server.url, "--stage", "none")
        one, two = (example.images[0]["fileUri"] for example in kept.examples)
        assert one == f"{server.url}/1.jpg" and two.startswith(f"{source}-out/images/")
        assert kept.counters["images_fetched"] == 2 and sorted(server.paths()) == ["/1.jpg", "/2.bmp"]

        server.asked.clear()
        unseen = published(source, "--allow_prefix", server.url, "--verify", "none")
        assert [example.images[0]["fileUri"] for example in unseen.examples] == [f"{server.url}/1.jpg"]
        assert (
            unseen.counters["images_unverified"] == 1 and not unseen.counters["images_fetched"] and server.asked == []
        )


def test_names_are_told_by_the_path_of_a_url(tmp_path: Path) -> None:
    """Of a table, and of OpenAI's rows; nothing is asked."""
    cdn = "https://cdn.example.com/shop"
    table = put(
        tmp_path / "in/rows.csv", f"image_url,n\n{cdn}/red%20cats/1.b.PNG?w=2.gif,1\n{cdn}/dogs/2?x=.png,2\n".encode()
    )
    flags = ("--prompt", "{path.stem}?", "--answer", "{path.parent} {path.1} {path}", "--verify", "none")
    (opened,) = tried(table, *flags, "--allow_prefix", cdn)
    texts = [[turn["parts"][-1]["text"] for turn in example.contents] for example in opened.examples]
    assert texts == [["1.b?", "red cats shop shop/red cats/1.b.PNG"], ["2?", "dogs shop shop/dogs/2"]]
    images = [(image["mimeType"], source) for one in opened.examples for image, source in zip(one.images, one.sources)]
    assert images == [("image/png", f"{cdn}/red%20cats/1.b.PNG?w=2.gif"), ("image/jpeg", f"{cdn}/dogs/2?x=.png")]

    turn = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": f"{cdn}/1.png?w=2"}}]}
    rows = write_lines(tmp_path / "in/rows.jsonl", [{"messages": [turn, {"role": "assistant", "content": "A cat."}]}])
    (opened,) = tried(rows, "--verify", "none", "--allow_prefix", cdn)
    assert [example.sources for example in opened.examples] == [[f"{cdn}/1.png?w=2"]]


def test_a_night_fetches_what_has_changed_and_tries_again_what_may_heal(run: Run, tmp_path: Path) -> None:
    with web_server({f"/{number}.jpg": jpeg(seed=number) for number in range(8)}) as server:
        rows = [row(f"n{number}", [f"{server.url}/{number}.jpg"]) for number in range(9)]
        for part, some in enumerate((rows[:3], rows[3:6], rows[6:])):
            write_lines(tmp_path / f"in/{part}.jsonl", some)
        usual = (
            *ALL,
            "--allow_prefix",
            server.url,
            "--image_folder",
            str(tmp_path / "images"),
            "--keep_blocks",
            "--block_bytes",
            "1024",
        )
        server.says["/0.jpg"] = lambda *_: (302, {"Location": "https://elsewhere.example/"}, b"")
        first = run(tmp_path / "in", *usual)
        assert [told["reason"] for told in rejections(first)] == ["not_allowed", "image_not_found"]

        server.says.clear()
        server.files |= {"/4.jpg": jpeg(seed=40), "/8.jpg": jpeg(seed=8)}
        server.asked.clear()
        second = run(tmp_path / "in", *usual, "--previous", str(tmp_path / "out"), output="second")
        assert rejections(second) == [] and counters(second)["images_fetched"] == 9
        assert [Path(uri).read_bytes() for uri in uris(second)] == [
            server.files[f"/{number}.jpg"] for number in range(9)
        ]
        fetched = [path for path, headers in server.asked if "if-none-match" not in headers]
        assert sorted(fetched) == ["/0.jpg", "/0.jpg", "/4.jpg", "/8.jpg"]


def test_while_a_server_is_down_its_images_stay_as_they_were(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those of rows that stand in another block tonight; one that is gone for good is rejected all the same."""
    monkeypatch.setattr(exchange, "_PAUSES", (0.01, 0.01))
    monkeypatch.setattr(hosts, "_TROUBLE", 0.01)
    monkeypatch.setattr(hosts, "GIVEN_UP", 0.1)
    files = {"/0.jpg": jpeg(seed=1), "/1.bmp": bmp(), "/2.jpg": jpeg(seed=2)}
    with web_server({"/gone.jpg": jpeg(seed=3)}) as up:
        with web_server(files) as server:
            flags = (*ALL, "--allow_prefix", f"{server.url},{up.url}", "--keep_blocks")
            flags += ("--image_folder", str(tmp_path / "images"))
            write_lines(tmp_path / "in/0.jsonl", [row("0", [f"{server.url}/0.jpg", f"{server.url}/1.bmp"])])
            rows = [row("2", [f"{server.url}/2.jpg"]), row("gone", [f"{up.url}/gone.jpg"])]
            write_lines(tmp_path / "in/1.jsonl", rows)
            first = run(tmp_path / "in", *flags)
            assert len(uris(first)) == 4

        up.files.clear()
        write_lines(tmp_path / "in/1.jsonl", [*rows, row("new", [f"{server.url}/new.jpg"])])
        away = run(tmp_path / "in", *flags, "--previous", str(tmp_path / "out"), output="away")
        assert uris(away) == uris(first)[:3]
        assert sorted(told["reason"] for told in rejections(away)) == ["image_not_found", "image_timeout"]
        assert counters(away)["images_kept"] == 3 and "images_fetched" not in counters(away)
        (warning,) = (one for one in away["manifest.json"]["warnings"] if one["code"] == "images_kept")
        assert warning["count"] == 3 and warning["example"] == f"{server.url}/0.jpg"

        files |= {"/0.jpg": jpeg(seed=10), "/new.jpg": jpeg(seed=4)}
        with web_server(files, at=server.port):
            again = run(tmp_path / "in", *flags, "--previous", str(tmp_path / "away"), output="again")
        fetched = [Path(uri).read_bytes() for uri in uris(again)]
        assert (fetched[0], *fetched[2:]) == tuple(files[path] for path in ("/0.jpg", "/2.jpg", "/new.jpg"))
        assert counters(again)["images_fetched"] == 4 and "images_kept" not in counters(again)
        assert "images_kept" not in [one["code"] for one in again["manifest.json"]["warnings"]]


def test_a_job_that_is_killed_goes_on_and_leaves_nothing_over(launcher: Launcher, tmp_path: Path) -> None:
    """As images come, and before what was fetched and is rewritten by now is forgotten."""
    output = tmp_path / "out"
    files = {f"/{n}.bmp": bmp(seed=n) for n in range(8)} | {f"/{n}.jpg": jpeg(seed=n) for n in range(4)}
    with web_server(files) as server:
        write_lines(tmp_path / "in/rows.jsonl", [row(name, [server.url + name]) for name in files])
        command = ["--input", str(tmp_path / "in"), "--output", str(output), "--allow_prefix", server.url]
        command += ["--splits", "train=1", "--block_bytes", "1024", "--no_pipeline_type_check"]
        for change in (r"link _tuneset/fits/.*\.fetched", r"unlink _tuneset/fits/../[0-9a-f]{32}\.fetched"):
            assert launcher.run(command, (change, 3)) == -signal.SIGKILL, change
            assert not (output / "manifest.json").exists()
        assert launcher.run(command) == 0
        found = read_folder(output)
        assert {path.name for path in output.iterdir()} == {name.partition("/")[0] for name in found}

        output.rename(tmp_path / "killed")
        server.asked.clear()
        assert launcher.run(command) == 0
        assert_equal_folders(read_folder(output), found)
        assert sorted(server.paths()) == sorted(server.files)


def test_a_dataset_in_a_bucket_has_copies_of_images_by_url(cloud: Cloud, tmp_path: Path) -> None:
    """Rows name images by URL, in the bucket and on this machine."""
    with web_server({"/1.jpg": jpeg(seed=1), "/2.bmp": bmp(seed=2)}) as server:
        here, there = put(tmp_path / "in/3.jpg", jpeg(seed=3)), cloud.put("raw/4.jpg", jpeg(seed=4))
        images = [f"{server.url}/1.jpg", f"{server.url}/2.bmp", here, there]
        source = write_lines(tmp_path / "in/rows.jsonl", [row("mixed", images)])
        sealed("--input", source, "--output", f"{cloud.uri}/out", "--splits", "train=1", "--allow_prefix", server.url)
        blobs = cloud.blobs("out/")
        (line,) = lines_of(blobs["train.jsonl"].download_as_bytes())
        named = [part["fileData"]["fileUri"] for part in line["contents"][0]["parts"] if "fileData" in part]
        assert named[3] == there and all(uri.startswith(f"{cloud.uri}/out/images/") for uri in named[:3])
        one, two, three = (blobs[uri.removeprefix(f"{cloud.uri}/out/")] for uri in named[:3])
        assert (one.download_as_bytes(), three.download_as_bytes()) == (jpeg(seed=1), jpeg(seed=3))
        assert two.content_type == "image/png" and sorted(server.paths()) == ["/1.jpg", "/2.bmp"]
        assert not [name for name in blobs if name.startswith("_tuneset")]
