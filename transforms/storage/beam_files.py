"""Objects of other schemes (s3://, hdfs://, azfs://, ...) as a store, through the file systems that Beam has installed.

They can be listed and read: as input. They cannot be written to: none of them creates a file *only if it is absent*, on which
the commit protocol stands, so output lies on gs:// or in a local folder. A "generation" is SIZE-SECONDS, as precise as the
file system's clock: a read that expects one asks for the metadata first, and sees a change only between its reads.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import NoReturn

from apache_beam.io.filesystem import BeamIOError, CompressionTypes, FileMetadata
from apache_beam.io.filesystems import FileSystems

from transforms.core.places import FolderSet
from transforms.storage.api import Changed, Forbidden, NotFound, Stat, StorageError, Unavailable
from transforms.storage.read_only import ReadOnlyStore

_EXTRAS = {"s3": "aws", "azfs": "azure", "hdfs": "hadoop"}  # packages that bring Beam's file systems


def _installed_by(scheme: str) -> str:
    return f" (pip install 'apache-beam[{_EXTRAS[scheme]}]')" if scheme in _EXTRAS else ""


def _stat_of(found: FileMetadata) -> Stat:
    return Stat(found.path, int(found.size_in_bytes), f"{found.size_in_bytes}-{found.last_updated_in_seconds:.6f}")


def _causes(error: BeamIOError) -> list[BaseException]:
    """What lies at the bottom of an error: Beam's file systems wrap each other's."""
    details = (error.exception_details or {}).values()
    return [one for cause in details for one in (_causes(cause) if isinstance(cause, BeamIOError) else [cause])]


@contextmanager
def _translated(uri: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise NotFound(f"{uri} does not exist") from None
    except PermissionError as error:
        raise Forbidden(f"{uri} may not be read: {error}") from None
    except BeamIOError as error:
        causes = _causes(error)
        text = f"{uri}: {'; '.join(map(str, causes)) or error}"
        if any(
            isinstance(cause, AssertionError | ImportError) for cause in causes
        ):  # as Beam says what is not installed
            scheme = uri.partition("://")[0]
            raise StorageError(f"{uri} cannot be read: {causes[0]}{_installed_by(scheme)}") from error
        codes = {getattr(cause, "code", None) for cause in causes}
        if any(isinstance(cause, FileNotFoundError) for cause in causes) or 404 in codes:
            raise NotFound(f"{uri} does not exist") from error
        if any(isinstance(cause, PermissionError) for cause in causes) or 403 in codes:
            raise Forbidden(text) from error
        raise Unavailable(text) from error
    except ImportError as error:
        raise StorageError(f"{uri} cannot be read: {error}") from error
    except OSError as error:
        raise Unavailable(f"{uri}: {error}") from error


class BeamStore(ReadOnlyStore):
    """What Beam's file system of a scheme can do: list and read.

    Raises:
      StorageError: Beam knows no such scheme, or the package that brings it is not installed.
    """

    def __init__(self, scheme: str) -> None:
        self._scheme = scheme
        try:
            FileSystems.get_filesystem(f"{scheme}://")
        except (ValueError, BeamIOError):
            raise StorageError(
                f"{scheme}:// cannot be read: expected a local path or gs://BUCKET/..., or a scheme that Beam has a file "
                f"system for{_installed_by(scheme)}"
            ) from None

    def stat(self, uri: str) -> Stat:
        with _translated(uri):
            found = [one for result in FileSystems.match([uri]) for one in result.metadata_list if one.path == uri]
        if not found:
            raise NotFound(f"{uri} does not exist")
        return _stat_of(found[0])

    def list(
        self,
        prefix: str,
        *,
        deep: bool = True,
        start: str = "",
        end: str = "",
        page: int = 0,
        without: Collection[str] = (),
    ) -> Iterator[Stat]:
        pattern = prefix.rstrip("/") + ("/**" if deep else "/*")
        with _translated(prefix):
            found = {one.path: one for result in FileSystems.match([pattern]) for one in result.metadata_list}
        left_out = FolderSet(without)
        for path in sorted(found, key=os.fsencode):
            if path.endswith("/") or path < start or (end and path >= end) or left_out.holding(path):
                continue
            yield _stat_of(found[path])

    def read(self, uri: str, start: int = 0, end: int | None = None, generation: str = "") -> tuple[bytes, Stat]:
        found = self.stat(uri)
        if generation and generation != found.generation:
            raise Changed(f"{uri} was {generation} (size-seconds) when it was listed and is {found.generation} now")
        stop = found.size if end is None else min(end, found.size)
        if stop <= start:
            return b"", found
        with (
            _translated(uri),
            FileSystems.open(uri, compression_type=CompressionTypes.UNCOMPRESSED) as file,
        ):
            file.seek(start)
            data = file.read(stop - start)
        if len(data) != stop - start:
            raise Unavailable(f"{uri}: {len(data)} bytes came of {stop - start}")
        return data, found

    def _refuse(self, uri: str) -> NoReturn:
        raise StorageError(
            f"{uri} can only be read: Beam's file system of {self._scheme}:// cannot create a file only if it is absent, "
            "which a job that may be repeated needs. Let the output be gs:// or a local folder."
        )
