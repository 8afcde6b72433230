"""Servers of other people are asked by few at once, as seldom as they want, and no more once they only fail."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

import pytest
from web_reads import FILE, allow, always, both_ends, why
from web_server import Said, web_server

from transforms.storage import throttling
from transforms.storage.api import WebAccess
from transforms.storage.curl import loop as curl_loop
from transforms.storage.parallel import read_together
from transforms.storage.web import exchange, hosts

pytestmark = pytest.mark.usefixtures("as_before")


def test_no_server_is_asked_by_more_than_so_many_at_once_and_none_holds_up_another() -> None:
    with web_server({"/a": FILE}) as fast, web_server({"/a": FILE}) as slow:
        slow.wait = gate = threading.Event()
        allow(f"{fast.url}/", f"{slow.url}/", per_host=3)
        slow_ones = [f"{slow.url}/a?{number}" for number in range(30)]
        fast_ones = [f"{fast.url}/a?{number}" for number in range(30)]
        later = read_together(both_ends, slow_ones, 60)
        assert list(read_together(both_ends, fast_ones, 60)) == [(FILE[:100], FILE[-50:])] * 30
        gate.set()
        assert list(later) == [(FILE[:100], FILE[-50:])] * 30
        assert slow.at_once == 3 and fast.at_once <= 3


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_refuses_is_asked_again_when_it_wants_to_be(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttling, "_noted", 0.0)
    monkeypatch.setattr(throttling, "tell", lambda: None)
    times = []

    def answer(number: int, headers: Mapping[str, str]) -> Said:
        times.append(time.monotonic())
        return (status, {"Retry-After": "1"}, b"") if len(times) == 1 else server.file(FILE, headers)

    with web_server(says={"/a": answer}) as server:
        allow(f"{server.url}/", per_host=1)
        urls = [f"{server.url}/a?{number}" for number in range(5)]
        assert list(read_together(both_ends, urls, 5)) == [(FILE[:100], FILE[-50:])] * 5
        assert times[1] - times[0] >= 1.0
    assert 1.0 <= throttling._noted < 1.5  # and so autoscaling is told


def test_a_server_that_wants_long_to_be_left_alone_is_asked_no_more() -> None:
    with web_server(says={"/a": always(429, {"Retry-After": "3600"})}) as server:
        allow(f"{server.url}/", per_host=2)
        assert list(read_together(both_ends, [f"{server.url}/a?{n}" for n in range(50)], 50)) == ["image_timeout"] * 50
        assert len(server.asked) <= 2 and "wants to be left alone for 3600 s" in why(f"{server.url}/b")


@pytest.mark.parametrize(
    "longest, refusing, said", [(0.0, 300.0, "for minutes"), (120.0, 0.1, "whatever it was asked")]
)
def test_a_server_that_only_refuses_is_given_up(
    monkeypatch: pytest.MonkeyPatch, longest: float, refusing: float, said: str
) -> None:
    monkeypatch.setattr(exchange, "LONGEST_REST", longest)
    monkeypatch.setattr(hosts, "_REFUSING", refusing)
    with web_server(says={"/a": always(429)}) as server:
        allow(f"{server.url}/", per_host=2)
        urls = [f"{server.url}/a?{number}" for number in range(3)]
        assert list(read_together(both_ends, urls, 8)) == ["image_timeout"] * 3
        assert len(server.asked) <= 8 and said in why(f"{server.url}/a")


def test_a_server_that_only_fails_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts, "_TROUBLE", 0.2)
    with web_server(says={"/a": always(500)}) as server, web_server({"/a": FILE}) as well:
        allow(f"{server.url}/", f"{well.url}/")
        urls = [f"{one.url}/a?{number}" for number in range(200) for one in (server, well)]
        told = list(read_together(both_ends, urls, 256))
        assert told == ["image_timeout", (FILE[:100], FILE[-50:])] * 200
        assert len(server.asked) < 60
        before = len(server.asked)
        assert "times in a row" in why(f"{server.url}/b") and len(server.asked) == before


def test_a_thousand_servers_are_asked_and_forgotten() -> None:
    with web_server({"/a": FILE}, host="") as server:
        allow("http://", private_hosts=True)
        hosts_named = [f"127.0.{number // 200}.{1 + number % 200}:{server.port}" for number in range(1000)]
        urls = [f"http://{host}/a" for host in hosts_named]
        assert list(read_together(both_ends, urls, 256)) == [(FILE[:100], FILE[-50:])] * 1000
        assert curl_loop.loop(WebAccess(("http://",), private_hosts=True)).lanes["hosts"]._hosts == {}


def test_each_policy_has_connections_of_its_own() -> None:
    """One that was opened where private addresses are allowed is not judged again."""
    with web_server({"/a": FILE}) as server:
        url = f"http://x.localhost:{server.port}/"
        allow(url, private_hosts=True)
        assert why(f"{url}a") == ""
        allow(url)
        assert why(f"{url}a").startswith("not_allowed: ")
        assert curl_loop.loop(WebAccess((url,))) is not curl_loop.loop(WebAccess((url,), private_hosts=True))
