"""Which servers may be asked: by the text of a URL, and by the address that a connection really goes to.

A name in a row may come to an address of the worker's own network, or to that at the second look. So libcurl asks before it opens
each connection (curl.handle.Get.fault_of), after names were looked up and of each redirect.

    public                         may be asked
    private, loopback              where a prefix holds that very address, or `localhost`; or under --allow_private_hosts
    link-local, multicast          where a prefix holds that very address
    of a metadata service          never, for it gives tokens to who asks
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache

from transforms.core.places import inside
from transforms.storage.api import WebAccess
from transforms.storage.web.urls import host_of, place_of, server_of

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_METADATA = {
    ipaddress.ip_address(text)
    for text in (
        "169.254.169.254",  # of nearly all clouds
        "fd20:ce::254",  # Google Cloud's, over IPv6
        "fd00:ec2::254",  # Amazon's, over IPv6
        "169.254.170.2",  # of Amazon's containers
        "169.254.170.23",
        "fd00:ec2::23",
        "168.63.129.16",  # Azure's
        "100.100.100.200",  # Alibaba's
        "192.0.0.192",  # Oracle's
    )
}
_METADATA_NAMES = (
    "metadata",
    "metadata.google.internal",
    "metadata.goog",
    "instance-data",
    "instance-data.ec2.internal",
)
# Addresses whose last 32 bits are one of IPv4: NAT64, translated ones, and a form that is out of use.
_EMBEDDING = tuple(map(ipaddress.ip_network, ("64:ff9b::/96", "::ffff:0:0:0/96", "::/96")))
# 6to4, Teredo, and NAT64 by a network's own rules.
_TUNNELS = tuple(map(ipaddress.ip_network, ("2002::/16", "2001::/32", "64:ff9b:1::/48")))
PUBLIC, PRIVATE, LOOPBACK, OTHER, METADATA = "public", "private", "loopback", "reserved", "metadata"


def fault_of_url(url: str, web: WebAccess) -> str:
    """Why a normal URL may not be read, as far as its text tells; "" if it may."""
    host = host_of(url)
    if host in _METADATA_NAMES:
        return f"{host} is a metadata service, which is never asked"
    address = _literal(host)
    if address and (fault := fault_of_address(str(address), host, web)):
        return fault
    if not any(inside(place_of(url), prefix) for prefix in web.prefixes):
        return f"it lies outside what may be read; --allow_prefix {server_of(url)}/ lets it be read"
    return ""


def fault_of_prefix(prefix: str) -> str:
    """Why nothing below a normal prefix can ever be read; "" if something can."""
    host = host_of(prefix)
    address = _literal(host)
    if host in _METADATA_NAMES or (address and kind_of(address) == METADATA):
        return f"{host} is a metadata service, which is never asked"
    return ""


def fault_of_address(text: str, host: str, web: WebAccess) -> str:
    """Why no connection may be opened to an address that a host came to; "" if one may."""
    address = ipaddress.ip_address(text.partition("%")[0])
    kind = kind_of(address)
    if kind == PUBLIC:
        return ""
    if kind == METADATA:
        return f"{host} leads to {text}, the address of a metadata service, which is never asked"
    named = any(host_of(prefix) == host for prefix in web.prefixes)
    if named and (_literal(host) is not None or (host == "localhost" and kind == LOOPBACK)):
        return ""
    if web.private_hosts and kind in (PRIVATE, LOOPBACK):
        return ""
    mend = "; --allow_private_hosts lets it be asked" if kind in (PRIVATE, LOOPBACK) else ""
    return f"{host} leads to {text}, a {kind} address and none of the public network{mend}"


def kind_of(address: Address) -> str:
    """Where an address lies.

    >>> [kind_of(ipaddress.ip_address(text)) for text in ("8.8.8.8", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "224.0.0.1")]
    ['public', 'private', 'loopback', 'reserved']
    """
    if address in _METADATA:
        return METADATA
    if address.is_loopback:
        return LOOPBACK
    if isinstance(address, ipaddress.IPv6Address) and not address.is_unspecified:
        if address.ipv4_mapped:
            return kind_of(address.ipv4_mapped)
        if any(address in network for network in _EMBEDDING):
            return kind_of(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        if address.is_site_local or any(address in network for network in _TUNNELS):
            return OTHER
    if address.is_multicast or address.is_link_local or address.is_reserved or address.is_unspecified:
        return OTHER
    return PUBLIC if address.is_global else PRIVATE


@lru_cache(maxsize=4096)
def _literal(host: str) -> Address | None:
    """The address that a host is written as; None: it is a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
