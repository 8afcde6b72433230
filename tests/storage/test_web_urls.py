"""URLs: their one spelling, what a prefix allows, and which addresses may be asked. Nothing is asked here."""

from __future__ import annotations

import ipaddress
import posixpath
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_jobs.settings import parse
from transforms.core.reasons import ImageError
from transforms.storage.api import WebAccess
from transforms.storage.places import Places
from transforms.storage.web.addresses import fault_of_address, fault_of_prefix, fault_of_url, kind_of
from transforms.storage.web.urls import normal_prefix, normal_url

HTTP, HTTPS = "http:" + "//", "https:" + "//"  # before hosts that are no names of examples
CDN = "https://cdn.example.com"
PHOTOS = f"{CDN}/photos"


@pytest.mark.parametrize(
    "written, normal",
    [
        (f"{CDN}/a.jpg", f"{CDN}/a.jpg"),
        ("HTTPS://CDN.Example.com/A.jpg", f"{CDN}/A.jpg"),
        (f"{CDN}:443/a.jpg", f"{CDN}/a.jpg"),
        (f"{CDN}:/a.jpg", f"{CDN}/a.jpg"),
        ("http://cdn.example.com:80/a.jpg", "http://cdn.example.com/a.jpg"),
        (f"{CDN}:8443/a.jpg", f"{CDN}:8443/a.jpg"),
        (f"{HTTPS}cdn.example.com./a.jpg", f"{CDN}/a.jpg"),
        (CDN, f"{CDN}/"),
        (f"{CDN}?w=1", f"{CDN}/?w=1"),
        (f"{PHOTOS}/../secret", f"{CDN}/secret"),
        (f"{PHOTOS}/%2e%2E/secret", f"{CDN}/secret"),
        (f"{PHOTOS}/./a//b.jpg", f"{PHOTOS}/a//b.jpg"),
        (f"{CDN}/../../a.jpg", f"{CDN}/a.jpg"),
        (f"{PHOTOS}/..", f"{CDN}/"),
        (f"{CDN}/my cat.jpg", f"{CDN}/my%20cat.jpg"),
        (f"{CDN}/é.jpg", f"{CDN}/%C3%A9.jpg"),
        (f"{CDN}/100%.jpg", f"{CDN}/100%25.jpg"),
        (f"{CDN}/a%2fb.jpg?x=a b&y=%2e%2e/&z=../c", f"{CDN}/a%2fb.jpg?x=a%20b&y=%2e%2e/&z=../c"),
        (f"{CDN}/a.jpg#../b", f"{CDN}/a.jpg"),
        ("https://bücher.example/a.jpg", "https://xn--bcher-kva.example/a.jpg"),
        ("https://ｃｄｎ.example。com/a.jpg", f"{CDN}/a.jpg"),
        ("http://127.0.0.1:8000/a.jpg", "http://127.0.0.1:8000/a.jpg"),
        ("http://[0:0::1]/a.jpg", "http://[::1]/a.jpg"),
        ("http://[::ffff:10.0.0.1]/a.jpg", f"{HTTP}10.0.0.1/a.jpg"),
    ],
)
def test_every_url_has_one_spelling(written: str, normal: str) -> None:
    assert normal_url(written) == normal == normal_url(normal)


@pytest.mark.parametrize(
    "url",
    [
        "https://cdn.example.com@evil.example/photos/a.jpg",
        f"{HTTPS}user:word@cdn.example.com/photos/a.jpg",
        "https://cdn.example.com\\@evil.example/photos/a.jpg",
        "https://cdn.example.com\\.evil.example/a.jpg",
        "https://",
        "https:///a.jpg",
        f"{HTTPS}a..b/a.jpg",
        f"{HTTPS}x.%61mple.example/a.jpg",
        "https://cdn.example.com:0/a.jpg",
        "https://cdn.example.com:65536/a.jpg",
        "https://cdn.example.com:x/a.jpg",
        f"{HTTP}127.1/a.jpg",
        f"{HTTP}2130706433/a.jpg",
        f"{HTTP}0x7f.0.0.1/a.jpg",
        f"{HTTP}0x7f000001/a.jpg",
        f"{HTTP}0177.0.0.1/a.jpg",
        f"{HTTP}127.0.0.1.:80:80/a.jpg",
        "http://[::1/a.jpg",
        "http://[fe80::1%25eth0]/a.jpg",
        "http://[::1]x/a.jpg",
        f"{PHOTOS}/..%2fsecret",
        f"{PHOTOS}/%2e%2e%2Fsecret",
        f"{PHOTOS}/%252e%252e/secret",
        f"{PHOTOS}/..\\secret",
        f"{PHOTOS}/..%5csecret",
        f"{PHOTOS}/..;x=1/secret",
        f"{PHOTOS}/%2e%2e%20/secret",
        f"{CDN}/\ud800.jpg",
        f"{CDN}/" + "é" * 2000,
    ],
)
def test_what_servers_and_libraries_take_for_different_things_is_refused(url: str) -> None:
    with pytest.raises(ImageError) as caught:
        normal_url(url)
    assert caught.value.reason == "bad_uri" and caught.value.detail


@settings(max_examples=300)
@given(
    st.lists(
        st.sampled_from(
            ["..", ".", "%2e", "%2E%2e", "%252e", "/", "//", "\\", "%2f", "%5c", ";", "a", "photos", "?", " "]
        )
    )
)
def test_no_spelling_leads_out_of_a_prefix(pieces: list[str]) -> None:
    for url in (f"{PHOTOS}/{''.join(pieces)}", f"{PHOTOS}/{'/'.join(pieces)}", f"{PHOTOS}{''.join(pieces)}"):
        try:
            normal = Places((PHOTOS,)).resolve(url, "")
        except ImageError:
            continue
        assert normal_url(normal) == normal
        path = urlsplit(normal).path
        for _ in range(3):  # as servers may read it
            steps = path.replace("\\", "/")
            assert (posixpath.normpath(steps) + "/").startswith("/photos/"), normal
            path = unquote(path)


def why(url: str, *prefixes: str) -> str:
    try:
        return Places(("gs://", "/data", *prefixes)).resolve(url, "/data") and ""
    except ImageError as error:
        assert error.image == url
        return f"{error.reason}: {error.detail}"


def test_a_url_is_read_where_a_prefix_names_it_and_the_rest_says_how() -> None:
    assert why(f"{PHOTOS}/a.jpg?w=1", PHOTOS) == why(PHOTOS, PHOTOS) == why(f"{CDN}/x", f"{CDN}/") == ""
    assert why("http://any.example/a", "http://") == why(f"{CDN}:8443/a", f"{CDN}:8443/") == ""
    for url in (
        f"{CDN}/photos-secret/a.jpg",
        f"{CDN}/a.jpg?/photos/",
        f"{CDN}/a.jpg#/photos/",
        f"{PHOTOS}/../secret/a.jpg",
        f"{CDN}.evil.example/photos/a.jpg",
        f"{CDN}:8443/photos/a.jpg",
        "http://cdn.example.com/photos/a.jpg",
    ):
        assert why(url, PHOTOS).startswith("not_allowed: ") and "--allow_prefix http" in why(url, PHOTOS), url
    assert why(f"{CDN}/a.jpg") == (
        f"not_allowed: {CDN}/a.jpg: URLs are read where --allow_prefix names them, as --allow_prefix {CDN}/ or a folder of it"
    )
    assert why("https:" + "//storage.googleapis.com/b/o.jpg").endswith("this address names gs://b/o.jpg: write that")
    assert why("gs://b/a.jpg", PHOTOS) == why("a.jpg", PHOTOS) == why("/data/a.jpg", PHOTOS) == ""


@pytest.mark.parametrize(
    "flags, readable",
    [
        ("", ("gs://", "/data")),
        (f"--allow_prefix {CDN}/photos/", ("gs://", "/data", PHOTOS)),
        (f"--allow_prefix https://,{HTTP}intra:8080", ("gs://", "/data", "https://", f"{HTTP}intra:8080/")),
        (f"--allow_prefix {PHOTOS},gs://bucket/x", ("gs://bucket/x", PHOTOS)),
        (f"--allow_prefix /pics --allow_prefix {PHOTOS}", ("/pics", PHOTOS)),
    ],
)
def test_prefixes_of_the_web_add_and_others_replace(flags: str, readable: tuple[str, ...]) -> None:
    settings = parse(f"--input /data/rows.jsonl --output /out {flags}".split())
    assert settings.of_inputs.readable == readable
    web = tuple(prefix for prefix in readable if prefix.startswith("http"))
    assert settings.access.web == WebAccess(web) and parse([*settings.as_flags()]).allow_prefix == settings.allow_prefix


def test_how_servers_are_asked_is_for_options_to_say() -> None:
    flags = f"--allow_prefix {PHOTOS} --allow_private_hosts --per_host 3"
    settings = parse(f"--input /data/rows.jsonl --output /out {flags}".split())
    assert settings.access.web == WebAccess((PHOTOS,), private_hosts=True, per_host=3)
    assert settings.shaping()["allow_private_hosts"] and "per_host" not in settings.shaping()


@pytest.mark.parametrize(
    "prefix", [f"{CDN}/?a", f"{CDN}/#a", "https://*.example.com/", f"{HTTPS}me@x/", f"{HTTP}127.1/"]
)
def test_what_cannot_begin_a_url_is_no_prefix(prefix: str) -> None:
    with pytest.raises(ValueError):
        normal_prefix(prefix)


# Addresses

PUBLIC = ("8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808")
PRIVATE = (
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "fd12::1",
    "::ffff:10.0.0.1",
    "64:ff9b::a00:1",
)
LOOPBACK = (
    "127.0.0.1",
    "127.255.0.1",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:7f00:1",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "::ffff:0:7f00:1",
)
OTHER = (
    "0.0.0.0", "::", "169.254.1.1", "fe80::1", "fe80::1%eth0", "224.0.0.1", "ff02::1", "240.0.0.1", "255.255.255.255", "fec0::1",
    "2002:7f00:1::", "2001:0:7f00:1::", "64:ff9b:1::7f00:1",
)  # fmt: skip
METADATA = (
    "169.254.169.254",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "fd20:ce::254",
    "fd00:ec2::254",
    "100.100.100.200",
)
EVERYWHERE = WebAccess(("https://", "http://"))


def test_only_public_addresses_are_asked_unless_more_is_allowed() -> None:
    intranet = WebAccess(EVERYWHERE.prefixes, private_hosts=True)
    for addresses, usual, within in (
        (PUBLIC, True, True), (PRIVATE, False, True), (LOOPBACK, False, True), (OTHER, False, False), (METADATA, False, False)
    ):  # fmt: skip
        for address in addresses:
            assert (fault_of_address(address, "x.example", EVERYWHERE) == "") == usual, address
            assert (fault_of_address(address, "x.example", intranet) == "") == within, address
    assert "--allow_private_hosts lets it be asked" in fault_of_address("10.0.0.1", "x.example", EVERYWHERE)


@settings(max_examples=300)
@given(st.ip_addresses(v=4))
def test_an_address_of_ipv4_is_the_same_in_all_its_forms(address: ipaddress.IPv4Address) -> None:
    kind = kind_of(address)
    assert kind == kind_of(ipaddress.IPv6Address(f"::ffff:{address}"))
    assert kind == kind_of(ipaddress.IPv6Address(int(ipaddress.IPv6Address("64:ff9b::")) + int(address)))
    assert (kind == "public") <= (address.is_global and not address.is_multicast)


def test_the_very_address_or_localhost_in_a_prefix_allows_it() -> None:
    web = WebAccess(("http://127.0.0.1:8000/a", "http://[fd12::1]/", f"{HTTP}169.254.1.1/", "http://localhost/"))
    assert fault_of_url("http://127.0.0.1:8000/a/1.jpg", web) == fault_of_address("127.0.0.1", "127.0.0.1", web) == ""
    assert fault_of_address("fd12::1", "fd12::1", web) == fault_of_address("169.254.1.1", "169.254.1.1", web) == ""
    assert fault_of_address("::1", "localhost", web) == fault_of_address("127.0.0.1", "localhost", web) == ""
    assert fault_of_address("10.0.0.1", "localhost", web)  # whatever a table of hosts says
    assert fault_of_address("127.0.0.1", "x.localhost", web) and fault_of_address("127.0.0.1", "x.example", web)
    assert "lies outside" in fault_of_url("http://127.0.0.1/a/1.jpg", web)
    assert "a loopback address" in fault_of_url(f"{HTTP}127.0.0.2/", EVERYWHERE)


def test_metadata_services_are_never_asked() -> None:
    for host in ("169.254.169.254", "metadata.google.internal", "metadata", "[fd20:ce::254]"):
        prefix = normal_prefix(f"http://{host}/")
        web = WebAccess((prefix,), private_hosts=True)
        assert "metadata service" in fault_of_prefix(prefix) and "metadata service" in fault_of_url(f"{prefix}x", web)
    assert fault_of_prefix("https://") == fault_of_prefix(f"{CDN}/") == fault_of_prefix(f"{HTTP}10.0.0.1/") == ""
