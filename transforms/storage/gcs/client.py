"""Connect to Cloud Storage: one client a process, its retries, and its errors as storage errors.

Retried for up to 60 s with growing pauses: 408, 429, 5xx and broken connections (what the library itself takes for
transient). With STORAGE_EMULATOR_HOST the client goes there, without credentials and without looking for any.

These names of libraries are private, and setup.py caps google-cloud-storage for their sake: its `retry._should_retry`, `Client._http`
and `Client._bucket_metadata_cache`; google-auth's `AuthorizedSession._auth_request`; urllib3's `_get_conn` and `_put_conn` of a pool.
"""

from __future__ import annotations

import io
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlsplit

import requests
import urllib3
from google.api_core import exceptions
from google.api_core.retry import Retry
from google.auth.exceptions import GoogleAuthError
from google.cloud import storage
from google.cloud.storage.retry import _should_retry
from google.resumable_media import DataCorruption
from requests.adapters import HTTPAdapter

from transforms.core.places import BUCKET
from transforms.storage import throttling
from transforms.storage.api import Forbidden, NoAccess, NotFound, Refused, Unavailable, access
from transforms.storage.gcs.credentials import connected
from transforms.storage.gcs.reads import Answer, body_of, exchange
from transforms.storage.gcs.unreached import certificate_fault, resolve, unreached
from transforms.storage.uris import is_object, split_bucket


def _may_pass(error: Exception) -> bool:
    """Whether asking again may help: what the library retries, but for a certificate that cannot be verified."""
    return bool(_should_retry(error)) and not certificate_fault(error)


RETRY = Retry(predicate=_may_pass, timeout=60.0, on_error=throttling.note)  # seconds
TIMEOUT = (10.0, 30.0)  # seconds to connect, and between two bytes of an answer
CONNECTIONS = 256  # threads that can be reading at once in one process
# Whoever asks retries, follows no redirect, and takes bytes as they are stored.
_PLAIN: dict[str, Any] = {
    "timeout": urllib3.Timeout(connect=TIMEOUT[0], read=TIMEOUT[1]),
    "retries": urllib3.Retry(0, read=False),
    "redirect": False,
    "assert_same_host": False,
    "preload_content": False,
    "decode_content": False,
}
_AGENT = "User-Agent: tuneset"
_ANSWERS = (200, 206, 416)


def split_uri(uri: str) -> tuple[str, str]:
    """gs://bucket/name -> (bucket, name); the name may be empty.

    Raises:
      NotFound: no bucket or object can have that name, so no request is made with it. "." and ".." must not reach a
        URL: HTTP clients resolve them, and another resource would be read.
    """
    bucket, name = split_bucket(uri)
    if not is_object(uri) or not BUCKET.fullmatch(bucket):
        raise NotFound(f"{uri!r}: {bucket!r} is not a bucket's name (3 to 63 of a-z 0-9 _ -, or such parted by dots)")
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise NotFound(f"{uri!r}: the name is not valid Unicode") from None
    if size > 1024 or name in (".", "..") or "\n" in name or "\r" in name:
        raise NotFound(f"{uri!r}: no object can have this name (1 to 1024 bytes, no line ends, not . or ..)")
    return bucket, name


def split_object(uri: str) -> tuple[str, str]:
    """As `split_uri`, but the name must not be empty."""
    bucket, name = split_uri(uri)
    if not name:
        raise NotFound(f"{uri!r} names a bucket, not an object")
    return bucket, name


@contextmanager
def translated(uri: str, permission: str) -> Iterator[None]:
    """Client errors as storage errors; a precondition that failed is the caller's to handle."""
    try:
        yield
    except exceptions.NotFound as error:
        raise NotFound(f"{uri} does not exist, or its bucket does not") from error
    except exceptions.RetryError as error:
        raise Unavailable(f"{uri}: no answer after retries: {error.cause or error}") from error
    except exceptions.GoogleAPICallError as error:
        # A requester-pays bucket without a project to bill is a 400.
        if error.code in (401, 403) or "requester pays" in str(error).lower():
            raise Forbidden(f"{uri}: {_refusal(str(error.message), permission)}") from error
        if error.code is not None and (error.code >= 500 or error.code in (408, 429)):
            raise Unavailable(f"{uri}: {error}") from error
        raise Refused(f"{uri}: {error}") from error
    except GoogleAuthError as error:
        if error.retryable or certificate_fault(error):
            raise unreached(uri, error, "no access token: ") from error
        raise Forbidden(f"{uri}: no usable credentials: {error}") from error
    except (requests.RequestException, urllib3.exceptions.HTTPError, DataCorruption) as error:
        raise unreached(uri, error) from error
    finally:
        throttling.settle()


def _refusal(said: str, permission: str) -> str:
    """What storage said, and what to do about it."""
    lower = said.lower()
    if "requester pays" in lower or "userproject" in lower or "user project" in lower:
        return (
            f"{said} (who reads this bucket pays for it: name a project to bill with --user_project PROJECT, in which "
            f"the job's account has serviceusage.services.use; besides, it takes {permission})"
        )
    if "billing" in lower:
        return (
            f"{said} (the bucket's project has no active billing account: link one to it, since no permission helps; "
            f"besides, it takes {permission})"
        )
    if "retention" in lower or "hold" in lower:
        return (
            f"{said} (the bucket keeps objects from being replaced or deleted, which a job has to do with its own work: "
            "choose an --output in a bucket without a retention policy and without default holds)"
        )
    return (
        f"{said} (it takes {permission}: grant it on the bucket to the account the job runs as; on Dataflow that is the "
        "workers' service account)"
    )


class Connection:
    """The client of this process, made when it is first asked for, and a way to read through it at less cost.

    Thread-safe; a forked child connects anew.
    """

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._connected: storage.Client | None = None
        self.lock = threading.Lock()  # a new one: at a fork another thread may hold the parent's
        self._pid = os.getpid()

    def client(self) -> storage.Client:
        """Raises NoAccess if there is nobody to ask as, or nobody to be asked."""
        if self._pid != os.getpid():
            self._forget()
        if self._connected is None:
            with self.lock:
                if self._connected is None:
                    client = _connect()
                    self._reach(client)
                    self._connected = client
        return self._connected

    def _reach(self, client: storage.Client) -> None:
        """Ask once what requests asks before each request: the pool of connections, by way of which proxy and certificates."""
        session, first = client._http, requests.Request("GET", client.api_endpoint).prepare()
        settings = session.merge_environment_settings(first.url, {}, True, None, None)
        proxies, verify, cert = settings["proxies"], settings["verify"], settings["cert"]
        self._adapter = session.get_adapter(first.url)
        self._pool = self._adapter.get_connection_with_tls_context(first, verify, proxies, cert)
        try:
            self._adapter.cert_verify(self._pool, first.url, verify, cert)
        except OSError as error:
            raise NoAccess(f"{error} (REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names it)") from None
        if not requests.utils.select_proxy(client.api_endpoint, proxies):  # else it is the proxy that looks the name up
            resolve(client.api_endpoint)
        in_full = self._adapter.request_url(first, proxies) == first.url  # to a proxy that reads along
        self._before = 0 if in_full else len(client.api_endpoint)
        self._host = f"Host: {urlsplit(client.api_endpoint).netloc}"
        self._plain = not in_full

    def read(self, url: str, headers: dict[str, str], uri: str, most: int = sys.maxsize) -> Answer:
        """As `get`, with the body, of `most` bytes. Over an open connection it takes much less CPU (reads.exchange)."""
        answer = self._read_plain(url, headers, uri, most)
        if answer is None:
            with self.get(url, headers) as response:
                answer = Answer(response.status, response.headers, body_of(response, uri, most))
        return answer

    def _read_plain(self, url: str, headers: dict[str, str], uri: str, most: int) -> Answer | None:
        """None: no connection is open, or the request or its answer is not plain, which one like it will not be either."""
        client = self.client()
        if not self._plain:
            return None
        url = self._allowed(client, url, headers)
        lines = [f"GET {url[self._before :]} HTTP/1.1", self._host, _AGENT, *map(": ".join, headers.items()), "", ""]
        request, answer, connection = "\r\n".join(lines).encode("latin-1"), None, self._pool._get_conn()
        closed = connection.sock is None
        try:
            if closed or request.count(b"\r") + request.count(b"\n") != 2 * len(lines) - 2:  # a token with a line end
                return None
            answer = exchange(connection.sock, request, uri, most)
            self._plain = answer is not None
        except OSError as error:
            raise requests.ConnectionError(str(error)) from error
        finally:
            if answer is None or "close" in answer.headers.get("connection", "").lower():
                connection.close()
            self._pool._put_conn(connection)
        if answer is None or answer.status == 401:
            return None
        if answer.status not in _ANSWERS:
            told = urllib3.HTTPResponse(io.BytesIO(answer.data), answer.headers, answer.status, preload_content=False)
            raise self._refusal(url, told)
        return answer

    def get(self, url: str, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
        """GET (a URL with a query) through the session's own connections and credentials, past the bookkeeping of requests.

        That takes half of the CPU.

        Raises:
          GoogleAPICallError: it was refused. A range past the end (416) is an answer.
        """
        client = self.client()
        url = self._allowed(client, url, headers)
        response: urllib3.BaseHTTPResponse = self._pool.urlopen("GET", url[self._before :], headers=headers, **_PLAIN)
        if response.status == 401:
            response.close()
            # The session asks for a new token, and again.
            response = client._http.get(url, headers=headers, stream=True, timeout=TIMEOUT).raw
        if response.status not in _ANSWERS:
            raise self._refusal(url, response)
        return response

    def _allowed(self, client: storage.Client, url: str, headers: dict[str, str]) -> str:
        """The URL, with whom to bill; who asks is added to the headers."""
        if access().user_project:
            url += f"&userProject={quote(access().user_project, safe='')}"
        client._http.credentials.before_request(client._http._auth_request, "GET", url, headers)
        return url

    def _refusal(self, url: str, response: urllib3.BaseHTTPResponse) -> exceptions.GoogleAPICallError:
        request = requests.Request("GET", url).prepare()
        return exceptions.from_http_response(self._adapter.build_response(request, response))


def _connect() -> storage.Client:
    client = connected()
    if not client._http.is_mtls:  # whose adapter carries the client certificate
        for scheme in ("https://", "http://"):
            client._http.mount(scheme, HTTPAdapter(pool_maxsize=CONNECTIONS))
    # It would ask for the bucket itself, unasked, in a thread of its own, and again at every 404.
    client._bucket_metadata_cache = None
    return client
