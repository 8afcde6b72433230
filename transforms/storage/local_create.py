"""Give a finished local file its name, only if nothing has it: what the commit protocol stands on, on every file system.

Readers see nothing under the name, or the whole file; of many writers at once one succeeds. Three ways, the first that the
file system knows:

    link        a second name for the file: it fails where there is one already
    renameat2   a rename that does not replace (Linux), as on FAT and on some mounts of containers
    lock        under a lock on the folder: look, then rename. The kernel frees the lock of a writer that dies

Where there are no locks either, two writers could replace each other's file, so none is written.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from transforms.storage.api import Refused

# What file systems without hard links, and kernels that may not make them, answer to `link`.
_NO_LINKS = (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EXDEV, errno.EMLINK)
_NO_RENAME = (errno.EINVAL, errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP)
_NO_LOCKS = (errno.EINVAL, errno.EBADF, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
_AT_FDCWD, _NOREPLACE = -100, 1  # of <fcntl.h> and <linux/fs.h>


def lacks_links(error: OSError) -> bool:
    """Whether a `link` failed because there are none, or none more, rather than for what was linked."""
    return error.errno in _NO_LINKS


def place(path: str, name: str) -> bool:
    """Rename a file to a name in the same folder unless something has it; False: something had it.

    The old name may stay, as another one of the file.

    Raises:
      OSError: as `os.link`.
      Refused: the file system has no way to do it.
    """
    try:
        os.link(path, name)
        return True
    except FileExistsError:
        return False
    except OSError as error:
        if not lacks_links(error):
            raise
    try:
        _rename_noreplace(path, name)
        return True
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_RENAME:
            raise
    with locked(os.path.dirname(name) or "."):
        if os.path.lexists(name):
            return False
        os.rename(path, name)
        return True


@contextmanager
def locked(folder: str) -> Iterator[None]:
    """Alone, of all who ask for this folder.

    Raises:
      Refused: its file system has no locks.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            raise Refused(
                f"{folder}: its file system cannot keep two writers from replacing each other's work, for it has no hard "
                f"links, or no locks on folders ({error.strerror}): choose a folder on another one"
            ) from error
        yield
    finally:
        os.close(descriptor)


def _rename_noreplace(path: str, name: str) -> None:
    """`renameat2` with RENAME_NOREPLACE, which Python does not offer.

    Raises:
      OSError: EEXIST, or that the C library, the kernel or the file system does not know it.
    """
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if rename(_AT_FDCWD, os.fsencode(path), _AT_FDCWD, os.fsencode(name), ctypes.c_uint(_NOREPLACE)) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), name)
