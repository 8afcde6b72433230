"""What a URI says by its text alone: the one place where schemes are told apart and the names of buckets are parsed."""

from __future__ import annotations

import re
from urllib.parse import unquote

CLOUD = "gs://"  # what URIs of Cloud Storage begin with; alone it stands for every bucket
WEB_SCHEMES = ("http", "https")
ANY_OBJECT = f"{CLOUD}.+"  # as a pattern of the re module

_WEB_SCHEME = re.compile(r"https?://", re.IGNORECASE)
# How addresses of the web name an object of Cloud Storage: in the path, by its bucket's own host, or as the JSON API does.
_WEB = re.compile(
    r"https?://(?:"
    r"(?:storage|www|firebasestorage)\.googleapis\.com(?::443)?/(?:(?:download|upload)/)?(?:storage/v1|v0)"
    r"/b/(?P<api_bucket>[^/]+)/o/(?P<api_name>.+)"
    r"|(?P<host_bucket>[^/]+)\.storage\.googleapis\.com(?::443)?/(?P<host_name>.+)"
    r"|(?:storage\.googleapis\.com(?::443)?|storage\.cloud\.google\.com|commondatastorage\.googleapis\.com)"
    r"/(?P<bucket>[^/]+)/(?P<name>.+)"
    r"|console\.cloud\.google\.com/storage/browser/_details/(?P<page_bucket>[^/]+)/(?P<page_name>[^;]+)(?:;.*)?"
    r")",
    re.IGNORECASE,
)


def object_of_url(url: str) -> str:
    """The gs:// URI of the object that an address of the web names; "" if it names none of Cloud Storage.

    >>> host = "https:" "//storage.googleapis.com"
    >>> object_of_url(f"{host}/b/a%20b.jpg?X-Goog-Signature=1"), object_of_url(f"{host}/storage/v1/b/b/o/a%2Fb.jpg?alt=media")
    ('gs://b/a b.jpg', 'gs://b/a/b.jpg')
    """
    match = _WEB.fullmatch(re.split(r"[?#]", url, maxsplit=1)[0])
    if not match:
        return ""
    bucket, name = (part for part in match.groups() if part)
    return f"{CLOUD}{unquote(bucket)}/{unquote(name)}"


def is_web(text: str) -> bool:
    """Whether a text begins as a URL of http or https does."""
    return _WEB_SCHEME.match(text) is not None


def scheme_of(uri: str) -> str:
    """The scheme of a URI; "" of a path of this machine."""
    scheme, mark, _ = uri.partition("://")
    return scheme if mark else ""


def is_local(uri: str) -> bool:
    return "://" not in uri


def is_object(text: str) -> bool:
    """Whether a text begins as what names an object of Cloud Storage, or a folder of them."""
    return text.startswith(CLOUD)


def split_bucket(uri: str) -> tuple[str, str]:
    """A URI of Cloud Storage -> (bucket, name), either of which may be empty; nothing is checked.

    >>> split_bucket("gs://bucket/a/b.jpg"), split_bucket("gs://bucket")
    (('bucket', 'a/b.jpg'), ('bucket', ''))
    """
    bucket, _, name = uri[len(CLOUD) :].partition("/")
    return bucket, name


def bucket_of(uri: str) -> str:
    """The name of the bucket that a URI names; "" if it names none, as a local path."""
    return split_bucket(uri)[0] if is_object(uri) else ""


def means_bucket(text: str) -> bool:
    """Whether a text begins as if it named a bucket, well or not."""
    return text[:3].lower() == CLOUD[:3]


def lacks_bucket(text: str) -> bool:
    """Whether a text begins as if it named a bucket, and names none.

    >>> [lacks_bucket(text) for text in ("gs:/bucket", "GS://bucket", "gs:///a", "gs://bucket", "/gs:/a")]
    [True, True, True, False, False]
    """
    return means_bucket(text) and not bucket_of(text)


def lacks_host(text: str) -> bool:
    """Whether a text begins as if it were a URL, and is none.

    >>> [lacks_host(text) for text in ("https:/host/a", "HTTP:host", "https://x", "httpd/a")]
    [True, True, False, False]
    """
    return text.lower().startswith(("http:", "https:")) and not is_web(text)


def is_whole_bucket(uri: str) -> bool:
    """Whether a URI names a bucket and no folder in it."""
    return bucket_of(uri) != "" and uri == bucket_uri(bucket_of(uri))


def bucket_uri(bucket: str) -> str:
    return CLOUD + bucket
