"""Connect to Cloud Storage: one client a process, its retries, and its errors as storage errors.

Retried for up to 60 s with growing pauses: 408, 429, 5xx and broken connections (what the library itself takes for
transient). With STORAGE_EMULATOR_HOST the client goes there, without credentials and without looking for any.

What is read goes another way than the library's (exchange.py), with its credentials. These names of it are private, and setup.py
caps google-cloud-storage for their sake: its `retry._should_retry`, `Client._http` and `Client._bucket_metadata_cache`; google-auth's
`AuthorizedSession._auth_request`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import quote

import certifi
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
from transforms.storage import throttling, traffic
from transforms.storage.api import Forbidden, NoAccess, NotFound, Refused, Unavailable, access
from transforms.storage.curl.handle import Answer, Route
from transforms.storage.gcs.credentials import connected
from transforms.storage.gcs.unreached import certificate_fault, resolve, unreached
from transforms.storage.uris import is_object, split_bucket


def _may_pass(error: Exception) -> bool:
    """Whether asking again may help: what the library retries, but for a certificate that cannot be verified."""
    return bool(_should_retry(error)) and not certificate_fault(error)


class Patience(Retry):
    """How often something is asked again, for the library and for the loop of transfers.

    Args:
      predicate: whether asking again may mend an error.
      initial, maximum, multiplier: of the pauses, in seconds.
      timeout: seconds in all.
    """

    def __init__(
        self,
        predicate: Callable[[Exception], bool] = _may_pass,
        initial: float = 1.0,
        maximum: float = 60.0,
        multiplier: float = 2.0,
        timeout: float = 60.0,
        on_error: Callable[[Exception], None] | None = throttling.note,
    ) -> None:
        super().__init__(predicate, initial, maximum, multiplier, timeout, on_error)
        self.may_pass, self.delays, self.patience = predicate, (initial, maximum, multiplier), timeout


RETRY = Patience()
TIMEOUT = (10.0, 30.0)  # seconds to connect, and between two bytes of an answer
CONNECTIONS = 256  # threads that can be writing at once in one process
ANSWERS = (200, 206, 416)  # a range past the end is one, too


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
    """The client of this process, made when it is first asked for, and how a read gets past it at less cost.

    Thread-safe; a forked child connects anew.

    Attributes:
      route: by way of which proxy and authorities the client reaches storage.
      curls: whether libcurl can go that way: it is given no client certificate.
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
        """Ask once what requests asks before each request: by way of which proxy and certificates."""
        session, url = client._http, client.api_endpoint
        settings = session.merge_environment_settings(url, {}, None, None, None)
        authorities = settings["verify"] if isinstance(settings["verify"], str) else certifi.where()
        if not os.path.exists(authorities):
            raise NoAccess(f"There are no certificates of authorities at {authorities} ({_AUTHORITIES} names it)")
        proxy = requests.utils.select_proxy(url, settings["proxies"]) or ""
        if not proxy:  # else it is the proxy that looks the name up
            resolve(url)
        self.route, self.curls = Route(proxy, authorities), not session.is_mtls

    def has_token(self) -> bool:
        """Whether a request can be authorised without waiting for a token."""
        return bool(self.client()._http.credentials.valid)

    def renew(self, refused: str) -> None:
        """Get a token, if there is none that can be used but the one of a header that was refused.

        Raises:
          GoogleAuthError: none is given.
        """
        session = self.client()._http
        if self.authorised("", {}).get("authorization") == refused:
            session.credentials.refresh(session._auth_request)

    def authorised(self, url: str, headers: dict[str, str]) -> dict[str, str]:
        """The headers of a GET, with whom it is asked as."""
        session, headers = self.client()._http, dict(headers)
        session.credentials.before_request(session._auth_request, "GET", url, headers)
        return headers

    def get(self, url: str, headers: dict[str, str], uri: str, most: int) -> Answer:
        """A GET through the client's own session, once.

        Raises:
          GoogleAPICallError: it was refused.
          Refused: the answer has more than `most` bytes.
        """
        with self.client()._http.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
            if response.status_code not in ANSWERS:
                raise exceptions.from_http_response(response)
            data = response.raw.read(most + 1, decode_content=False)
            if len(data) > most:
                raise Refused(f"{uri}: the answer goes on behind {most:,} bytes, the most that is taken for a part")
            return Answer(response.status_code, {n.lower(): v for n, v in response.headers.items()}, data)


_AUTHORITIES = "REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE or SSL_CERT_FILE"


def billed(url: str) -> str:
    """A URL with a query, and with whom to bill."""
    project = access().user_project
    return f"{url}&userProject={quote(project, safe='')}" if project else url


def _connect() -> storage.Client:
    client = connected()
    if not client._http.is_mtls:  # whose adapter carries the client certificate
        for scheme in ("https://", "http://"):
            client._http.mount(scheme, HTTPAdapter(pool_maxsize=CONNECTIONS))
    for session in (client._http, client._http._auth_request.session):
        session.verify = os.environ.get("SSL_CERT_FILE") or session.verify  # after those that requests looks at itself
    client._http.hooks["response"].append(traffic.note)
    # It would ask for the bucket itself, unasked, in a thread of its own, and again at every 404.
    client._bucket_metadata_cache = None
    return client
