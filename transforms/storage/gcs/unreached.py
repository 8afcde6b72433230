"""Why a server cannot be reached: its name is not known, or its certificate cannot be verified, which asking again does not mend."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from transforms.storage.api import NoAccess, StorageError, Unavailable, Untrusted

PATIENCE = 10.0  # seconds that a name may stay unknown, as while a container's network comes up
_PAUSE = 1.0  # seconds


def certificate_fault(error: BaseException) -> str:
    """What is wrong with the certificate that a request was refused for; "" if it failed for another reason."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return cause.verify_message or str(cause)
    return ""


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and all that led to it: clients wrap each other's in different ways."""
    waiting, seen = [error], set[int]()
    while waiting:
        cause = waiting.pop()
        if id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        inner = (cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args)
        waiting += [one for one in inner if isinstance(one, BaseException)]


def unreached(uri: str, error: Exception, what: str = "") -> StorageError | NoAccess:
    """A request without an answer, as the error that says whether to ask again.

    Args:
      what: what was asked for, if not the URI itself.
    """
    if fault := certificate_fault(error):
        return untrusted(uri, fault)
    return Unavailable(f"{uri}: {what}{error}")


def untrusted(uri: str, fault: str) -> Untrusted:
    """The error for a certificate with a fault."""
    return Untrusted(
        f"{uri}: the server's certificate cannot be verified ({fault}). Where a proxy of your network shows a certificate "
        "of its own, let REQUESTS_CA_BUNDLE name the file of its authority; one that is not valid yet or any more may "
        "come of a wrong clock on this machine."
    )


def resolve(url: str) -> None:
    """Look a server's name up.

    Raises:
      Unavailable: it is not known, and did not become known within PATIENCE.
    """
    parts, deadline = urlsplit(url), time.monotonic() + PATIENCE
    while True:
        try:
            socket.getaddrinfo(parts.hostname, parts.port or parts.scheme, type=socket.SOCK_STREAM)
            return
        except socket.gaierror as error:
            if error.errno == socket.EAI_NONAME or time.monotonic() >= deadline:
                raise Unavailable(
                    f"{parts.hostname} cannot be found ({error.strerror}): is this machine on a network whose DNS knows it? "
                    "Where a proxy is the way out, HTTPS_PROXY has to name it."
                ) from error
        time.sleep(_PAUSE)
