"""One question to Cloud Storage, asked until it is answered: with a token, and again with growing pauses after what may pass.

No thread waits in between: all of it is called in the loop of transfers, tokens are renewed beside it.
"""

from __future__ import annotations

import base64
import binascii
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass

import pycurl
import requests
from google.api_core import exceptions
from google.api_core.retry import exponential_sleep_generator
from google.auth.exceptions import GoogleAuthError

from transforms.storage import throttling
from transforms.storage.api import NoAccess, Refused, crc32c
from transforms.storage.curl import loop as curl_loop
from transforms.storage.curl.answers import check_range, retry_after
from transforms.storage.curl.handle import Answer, Failure, Get
from transforms.storage.curl.loop import CurlLoop
from transforms.storage.curl.transfers import Ask, Then, waited
from transforms.storage.gcs import client
from transforms.storage.gcs.client import ANSWERS, Connection
from transforms.storage.gcs.unreached import untrusted

_RENEWALS = 2  # of a token that is refused


class Exchange:
    """Asks until there is an answer, or an error that asking again does not mend: `then` gets one of the two.

    The errors are those of the client library, and of storage.
    """

    def __init__(
        self,
        loop: CurlLoop,
        connection: Connection,
        ask: Ask,
        then: Then,
    ) -> None:
        self._loop, self._connection, self._ask, self._then = loop, connection, ask, then
        self._retry = client.RETRY
        self._pauses = exponential_sleep_generator(*self._retry.delays)
        self._until = time.monotonic() + self._retry.patience
        self._renewals = 0
        self._token = ""

    def begin(self) -> None:
        if self._connection.has_token():
            self._send()
        else:
            self._renew()

    def _send(self) -> None:
        try:
            headers = self._connection.authorised(self._ask.url, self._ask.headers)
        except GoogleAuthError as error:
            self._again(error)
            return
        self._token = headers.get("authorization", "")
        lines = [f"{name}: {value}" for name, value in headers.items()]
        if not all(line.isascii() and line.isprintable() for line in lines):
            self._then(None, ValueError("Invalid header value: a token with a line end, or what is not ASCII"))
            return
        self._loop.begin(Get(self._ask.url, lines, self._ask.most, self._connection.route, self._came))

    def _renew(self, refused: str = "") -> None:
        """Get a token that is none of those refused, beside the loop; then ask."""

        def renewed(error: BaseException | None) -> None:
            if error is None:
                self._send()
            elif isinstance(error, Exception):
                self._again(error)
            else:
                self._then(None, error)

        self._loop.beside(self._loop.tokens, lambda: self._connection.renew(refused), renewed)

    def _came(self, outcome: Answer | Failure) -> None:
        if isinstance(outcome, Failure):
            self._again(_error_of(outcome, self._ask.uri))
        elif outcome.status == 401 and self._token and self._renewals < _RENEWALS:
            self._renewals += 1
            self._renew(self._token)
        elif outcome.status not in ANSWERS:
            self._again(_refusal(outcome, self._ask.url), retry_after(outcome))
        else:
            try:
                self._ask.check(outcome)
            except requests.ConnectionError as error:
                self._again(error)
            else:
                self._then(outcome, None)

    def _again(self, error: Exception, wanted: float = 0.0) -> None:
        """Ask again after a pause, if that may help and there is time for it.

        Args:
          wanted: seconds that the server wants to be left alone.
        """
        if not self._retry.may_pass(error):
            self._then(None, error)
            return
        left, pause = self._until - time.monotonic(), next(self._pauses)
        if pause >= left:
            text = f"Timeout of {self._retry.patience:.1f}s exceeded"
            self._then(None, exceptions.RetryError(text, error))
            return
        pause = max(pause, min(wanted, left))
        if throttling.refused_rate(error):
            throttling.add(pause)
        self._loop.later(pause, self.begin)


@dataclass(frozen=True)
class CloudAsker:
    """Asks Cloud Storage by the connection of this process: through the loop, or where libcurl cannot go its way, by a session."""

    connection: Connection

    def loop(self) -> CurlLoop:
        return curl_loop.loop()

    def begin(self, loop: CurlLoop, ask: Ask, then: Then) -> None:
        Exchange(loop, self.connection, ask, then).begin()

    def answer(self, ask: Ask) -> Answer:
        if self.connection.curls:
            return waited(self, ask)

        def get() -> Answer:
            answer = self.connection.get(ask.url, ask.headers, ask.uri, ask.most)
            ask.check(answer)
            return answer

        answer: Answer = client.RETRY(get)()
        return answer


def _error_of(failure: Failure, uri: str) -> Exception:
    if failure.too_long:
        return Refused(f"{uri}: {failure.text}")
    if failure.code == pycurl.E_PEER_FAILED_VERIFICATION:
        return untrusted(uri, failure.text)
    if failure.code == pycurl.E_SSL_CACERT_BADFILE:
        return NoAccess(f"{failure.text} (REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE or SSL_CERT_FILE names it)")
    return requests.ConnectionError(failure.text)


def _refusal(answer: Answer, url: str) -> exceptions.GoogleAPICallError:
    """What the client library would raise."""
    try:
        said = json.loads(answer.data)["error"]["message"]
    except (ValueError, KeyError, TypeError, RecursionError):
        said = answer.data[:1000].decode("utf-8", "replace") or "unknown error"
    return exceptions.from_http_status(answer.status, f"GET {url}: {said}")


def check_part(answer: Answer, start: int, end: int | None) -> None:
    """Hold a body against the range that it says it is, and that against what was asked for; a whole one against its CRC32C."""
    if answer.status == 200:
        check_whole(answer)
    check_range(answer, start, end)


def told_crc32c(headers: Mapping[str, str]) -> str:
    """The CRC32C of the whole object that an answer tells, in base64; "" if it tells none.

    >>> told_crc32c({"x-goog-hash": "crc32c=AAAAAA==, md5=1B2M2Y8AsgTpgAmY7PhCfg=="}), told_crc32c({})
    ('AAAAAA==', '')
    """
    for part in headers.get("x-goog-hash", "").split(","):
        name, _, value = part.strip().partition("=")
        if name == "crc32c":
            return value
    return ""


def check_whole(answer: Answer) -> None:
    """Hold a whole object against the CRC32C that came with it."""
    told = told_crc32c(answer.headers)
    if told and _decoded(told) != crc32c(answer.data).to_bytes(4, "big"):
        raise requests.ConnectionError("the bytes that came are not those that are stored (CRC32C)")


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text)
    except binascii.Error:
        return b""
