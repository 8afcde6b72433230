"""The one spelling of a URL: what is compared with the prefixes that may be read is what is asked for.

Host and scheme in small letters, without a port that is the usual one, dotted segments resolved, no fragment. What servers and
libraries understand differently is refused: names and passwords, addresses in odd notations, and steps upward that are hidden
in escapes, backslashes or parameters.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from urllib.parse import quote, unquote, urlsplit

from transforms.core.places import LONGEST
from transforms.core.reasons import ImageError

EVERY = ("https://", "http://")  # as prefixes: every server with a public address
_AUTHORITY = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]@:/\\?#%\s]+)(?::(?P<port>\d{0,5}))?")
_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_](?:[a-z0-9_-]{0,62})(?:\.[a-z0-9_](?:[a-z0-9_-]{0,62}))*")
_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")  # hosts that some take for an address: 127.1, 0x7f000001
_PORTS = {"http": 80, "https": 443}
_BARE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_KEPT = "%/:@!$&'()*+,;=~"  # beside letters and digits; in a query also "?"
_STEPS = {".": 0, "..": 1}  # segments of a path that name none, by how many levels they lead up
_ESCAPED_DOT = re.compile("%2e", re.IGNORECASE)
# Paths and queries in which nothing is resolved, escaped or hidden: most are such.
_PLAIN = re.compile(r"(https?://[^/?#]+)(?:/[A-Za-z0-9_-][A-Za-z0-9_.-]*)+/?(?:\?[A-Za-z0-9_.=&-]+)?", re.ASCII)
_BLANKS = "".join(map(chr, range(33)))
_DECODINGS = 3  # of a path, in which steps upward are looked for


def normal_url(url: str) -> str:
    """The one spelling of an http or https URL.

    >>> normal_url("HTTPS://CDN.Example.com.:443/a/../b c.jpg?w=1#top")
    'https://cdn.example.com/b%20c.jpg?w=1'

    Raises:
      ImageError: bad_uri.
    """
    url = url.strip(_BLANKS)  # as browsers do; cells of tables often end so
    plain = _PLAIN.fullmatch(url)
    if plain and len(url) <= LONGEST and _is_normal_server(plain[1]):
        return url
    try:
        parts = urlsplit(url)
        scheme, host = parts.scheme.lower(), _authority(parts.scheme.lower(), parts.netloc)
        path = _path(parts.path)
        query = quote(_BARE_PERCENT.sub("%25", parts.query), safe=_KEPT + "?") if parts.query else ""
    except ValueError as error:  # also a surrogate that UTF-8 cannot tell
        raise ImageError("bad_uri", f"the URL cannot be read: {error}", url) from None
    normal = f"{scheme}://{host}{path}{'?' if query else ''}{query}"
    if len(normal) > LONGEST:
        raise ImageError("bad_uri", f"the URL has {len(normal):,} characters; at most {LONGEST:,} are read", url)
    return normal


def normal_prefix(prefix: str) -> str:
    """The one spelling of what URLs may begin with: a server, or a folder of it; or one of EVERY.

    >>> normal_prefix("https://Cdn.example.com/photos/"), normal_prefix("https://cdn.example.com"), normal_prefix("https://")
    ('https://cdn.example.com/photos', 'https://cdn.example.com/', 'https://')

    Raises:
      ValueError: it is no such prefix.
    """
    if prefix.lower() in EVERY:
        return prefix.lower()
    if "?" in prefix or "#" in prefix:
        raise ValueError("expected a server or a folder of it, without a query")
    try:
        normal = normal_url(prefix)
    except ImageError as error:
        raise ValueError(error.detail) from None
    return normal.rstrip("/") if urlsplit(normal).path != "/" else normal


def place_of(url: str) -> str:
    """A normal URL without its query: what prefixes and names are told by."""
    return url.partition("?")[0]


def server_of(url: str) -> str:
    """The part of a normal URL that names scheme, host and port."""
    return "/".join(url.split("/", 3)[:3])


def host_of(url: str) -> str:
    """The host of a normal URL or prefix, of an IPv6 address without brackets."""
    return _host_of_server(server_of(url))


@lru_cache(maxsize=4096)
def _host_of_server(server: str) -> str:
    return urlsplit(server).hostname or ""


@lru_cache(maxsize=4096)
def _is_normal_server(server: str) -> bool:
    """Whether scheme, host and port are written as they are asked for."""
    scheme, _, authority = server.partition("://")
    try:
        return _authority(scheme, authority) == authority
    except ValueError:
        return False


def _authority(scheme: str, text: str) -> str:
    """Host and port, as they are asked for. Raises ValueError."""
    match = _AUTHORITY.fullmatch(text)
    if not match:
        if "@" in text:
            raise ValueError("a name or password stands before its host, and none is ever sent")
        raise ValueError(f"{text!r} is no host with or without a port")
    host, port = _host(match["host"]), int(match["port"] or _PORTS[scheme])
    if not 0 < port < 1 << 16:
        raise ValueError(f"there is no port {port}")
    return host if port == _PORTS[scheme] else f"{host}:{port}"


def _host(text: str) -> str:
    if text.startswith("["):
        address = ipaddress.IPv6Address(text[1:-1])
        return str(address.ipv4_mapped or f"[{address}]")
    # A browser's full stops of other scripts, and letters that look like ASCII's, become what they mean here.
    name = (text if text.isascii() else text.encode("idna").decode("ascii")).lower().removesuffix(".")
    if _NUMBER.fullmatch(name):
        return str(ipaddress.IPv4Address(name))
    if not _NAME.fullmatch(name):
        raise ValueError(f"{text!r} is no name of a host")
    return name


def _path(text: str) -> str:
    """A path without steps. Raises ValueError if it has some that only a server might see."""
    path = quote(_BARE_PERCENT.sub("%25", text), safe=_KEPT) or "/"
    segments: list[str] = []
    named = path.split("/")[1:]
    for at, segment in enumerate(named):
        levels = _STEPS.get(_ESCAPED_DOT.sub(".", segment), -1)
        if levels < 0:
            segments.append(segment)
            continue
        del segments[len(segments) - levels :]
        if at == len(named) - 1:
            segments.append("")
    path = "/" + "/".join(segments)
    if _climbs(path):
        raise ValueError("a step upward (..) is hidden in its path, which servers may see or not")
    return path


def _climbs(path: str) -> bool:
    """Whether a segment is a step upward for who decodes once more, takes backslashes for slashes, or drops parameters."""
    for _ in range(_DECODINGS):
        if any(segment.partition(";")[0].strip() == ".." for segment in re.split(r"[/\\]", path)):
            return True
        path = unquote(path)
    return False
