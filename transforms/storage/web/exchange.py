"""One question to a server of other people, asked until it is answered: redirects are followed, and what may pass is asked again.

Nothing is sent that says who asks but the name of the tool: no credentials, cookies or client certificates. Each URL on the way
passes the checks of addresses.py, and so does each address that is connected to, except behind a proxy, which looks names up itself.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from functools import partial
from urllib.parse import urljoin

import certifi
import pycurl
import requests
from requests.utils import get_environ_proxies, select_proxy

from transforms.core import VERSION
from transforms.core.reasons import ImageError
from transforms.storage.api import Disallowed, Forbidden, NoAnswer, NotFound, Refused, StorageError, TooLarge, WebAccess
from transforms.storage.curl import handle
from transforms.storage.curl import loop as curl_loop
from transforms.storage.curl.answers import retry_after
from transforms.storage.curl.handle import Answer, Failure, Get, Route
from transforms.storage.curl.loop import CurlLoop
from transforms.storage.curl.transfers import Ask, Then, waited
from transforms.storage.uris import is_web
from transforms.storage.web.addresses import fault_of_address, fault_of_url
from transforms.storage.web.hosts import LONGEST_REST, Hosts
from transforms.storage.web.urls import host_of, normal_url, server_of

MOST_REDIRECTS = 5
TRIES = 3  # of one question, where each fails
_PAUSES = (1.0, 3.0)  # seconds between them
_HEADERS = (f"User-Agent: tuneset/{VERSION}", "Accept-Encoding: identity")
_REDIRECTS = (301, 302, 303, 307, 308)
_ANSWERS = (200, 206, 304, 416)  # a range past the end is one, too
_RATE = (429, 503)
_GONE = (404, 410)
_SHUT = (401, 403, 407, 451)
_TROUBLE = 500  # this status and those above say that the server itself is in trouble
_MAY_PASS = (408, 425)
_CERTIFICATE = (pycurl.E_PEER_FAILED_VERIFICATION, pycurl.E_SSL_CACERT_BADFILE)


class _Routes:
    """How servers are reached, each looked up once."""

    def __init__(self) -> None:
        named = (os.environ.get(name) for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"))
        self._authorities = next(filter(None, named), certifi.where())
        self._routes = dict[str, Route]()

    def to(self, url: str) -> Route:
        server = server_of(url)
        if server not in self._routes:
            proxy = select_proxy(url, get_environ_proxies(url)) or ""
            # What is connected to behind a proxy is the proxy, which the person who set it trusts.
            self._routes[server] = Route(proxy, self._authorities, guarded=not proxy)
        return self._routes[server]


@dataclass(frozen=True)
class WebAsker:
    """Asks by the rules of one job."""

    web: WebAccess

    def loop(self) -> CurlLoop:
        return curl_loop.loop(self.web)

    def begin(self, loop: CurlLoop, ask: Ask, then: Then) -> None:
        try:
            url = normal_url(ask.url)
        except ImageError as error:
            then(None, Refused(f"{ask.uri}: {error}"))
        else:
            _WebExchange(loop, self.web, ask, then).follow(url)

    def answer(self, ask: Ask) -> Answer:
        return waited(self, ask)


class _WebExchange:
    """Asks until there is an answer, or an error: `then` gets one of the two."""

    def __init__(self, loop: CurlLoop, web: WebAccess, ask: Ask, then: Then) -> None:
        self._loop, self._web, self._ask, self._then = loop, web, ask, then
        self._hosts: Hosts = loop.lanes.get("hosts") or loop.lanes.setdefault("hosts", Hosts(loop, web.per_host))
        self._routes: _Routes = loop.lanes.get("routes") or loop.lanes.setdefault("routes", _Routes())
        self._redirects = self._failures = 0
        self._refused_since = 0.0
        self._headers = [*_HEADERS, *(f"{name}: {value}" for name, value in ask.headers.items())]

    def follow(self, url: str) -> None:
        """Ask for a normal URL: the first, or where one leads."""
        if fault := fault_of_url(url, self._web):
            way = f"it leads to {url}, but " if self._redirects else ""
            self._fail(Disallowed(f"{self._ask.uri}: {way}{fault}"))
            return
        self._url, self._server = url, server_of(url)
        self._enter()

    def _enter(self) -> None:
        self._hosts.enter(self._server, self._send, lambda fault: self._fail(NoAnswer(f"{self._ask.uri}: {fault}")))

    def _send(self) -> None:
        judge = partial(fault_of_address, host=host_of(self._url), web=self._web)
        route = self._routes.to(self._url)
        seconds = handle.CONNECT_S + 2 * handle.PATIENCE + self._ask.most / handle.SLOWEST
        ask = self._ask
        get = Get(self._url, self._headers, ask.most, route, self._came, seconds, ask.first, ask.rest_if, judge)
        self._loop.begin(get)

    def _came(self, outcome: Answer | Failure) -> None:
        if isinstance(outcome, Failure):
            self._failed(outcome)
        elif outcome.status in _RATE:
            self._refused(outcome)
        elif outcome.status >= _TROUBLE or outcome.status in _MAY_PASS:
            self._again(f"the server says {outcome.status}")
        else:
            self._hosts.answered(self._server)
            self._take(outcome)

    def _take(self, answer: Answer) -> None:
        """Take an answer of a server that is well."""
        if answer.status in _REDIRECTS:
            self._redirected(answer)
        elif answer.status not in _ANSWERS:
            self._fail(_error_of(answer.status, self._ask.uri))
        else:
            try:
                self._ask.check(answer)
            except requests.ConnectionError as error:
                self._try_later(str(error))
            else:
                self._then(answer, None)

    def _redirected(self, answer: Answer) -> None:
        self._redirects += 1
        named = answer.headers.get("location", "")
        if self._redirects > MOST_REDIRECTS or not named:
            fault = f"more than {MOST_REDIRECTS} redirects" if named else "a redirect that leads nowhere"
            self._fail(Refused(f"{self._ask.uri}: {fault}"))
            return
        try:
            # Bytes of headers, which should be ASCII and often are UTF-8.
            target = urljoin(self._url, named.encode("latin-1").decode("utf-8", "replace"))
            if not is_web(target):
                raise ImageError("bad_uri", "only http and https are followed")
            url = normal_url(target)
        except (ImageError, ValueError) as error:
            self._fail(Disallowed(f"{self._ask.uri}: it leads to {named[:200]!r}: {error}"))
            return
        self.follow(url)

    def _failed(self, failure: Failure) -> None:
        uri = self._ask.uri
        if failure.too_long or failure.refused or failure.code in _CERTIFICATE:
            self._hosts.answered(self._server)
            if failure.too_long:
                self._fail(TooLarge(f"{uri}: {failure.text}"))
            elif failure.refused:
                self._fail(Disallowed(f"{uri}: {failure.text}"))
            else:
                self._fail(Forbidden(f"{uri}: the server's certificate cannot be verified ({failure.text})"))
        else:
            self._again(failure.text)

    def _refused(self, answer: Answer) -> None:
        """It is asked again when the server has had its rest, for as long as that may take."""
        now = time.monotonic()
        self._refused_since = self._refused_since or now
        self._hosts.refused(self._server, retry_after(answer))
        if now - self._refused_since > LONGEST_REST:
            self._fail(NoAnswer(f"{self._ask.uri}: the server says {answer.status}, for minutes"))
        else:
            self._enter()

    def _again(self, why: str) -> None:
        """A server gave no answer, or is in trouble."""
        self._hosts.failed(self._server, why)
        self._try_later(why)

    def _try_later(self, why: str) -> None:
        self._failures += 1
        if self._failures >= TRIES:
            self._fail(NoAnswer(f"{self._ask.uri}: {why}"))
        else:
            self._loop.later(_PAUSES[self._failures - 1], self._enter)

    def _fail(self, error: StorageError) -> None:
        self._then(None, error)


def _error_of(status: int, uri: str) -> StorageError:
    if status in _GONE:
        return NotFound(f"{uri}: the server says {status}: it is not there")
    if status in _SHUT:
        return Forbidden(f"{uri}: the server says {status}: it may not be read without credentials, and none are sent")
    return Refused(f"{uri}: the server says {status}")
