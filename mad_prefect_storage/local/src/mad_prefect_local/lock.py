"""The lock on a small file that is replaced, and the temporary file of whoever has the lock.

Everybody who may write to the folder could have put something at these names. So links are not followed, and what is
in the lock file is used only if it is the name of a temporary file.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from stat import S_ISREG

from mad_prefect_core.sdk import StorageError, is_temporary, temporary_name

__all__ = ["locked", "temporary_file"]

_SECONDS = 60  # a holder needs milliseconds, and the kernel frees the lock of a dead one
_LONGEST = 512  # bytes of a temporary name


@contextlib.contextmanager
def locked(target: Path) -> Iterator[Path]:
    """Hold the lock on a file, for threads and processes alike. Gives the lock's own file, which stays there: removing
    it would break the lock. Raises `OSError` where it can't be had."""
    from filelock import FileLock, Timeout  # noqa: PLC0415  reading, which most processes do alone, must not cost it

    path = target.with_name(f".{target.name}.lock")
    lock = FileLock(path, timeout=_SECONDS, poll_interval=0.01)
    try:
        lock.acquire()
    except Timeout:
        raise  # the core tells which process has it
    except OSError as error:
        if not os.path.lexists(path):
            raise  # the folder's fault
        raise StorageError(
            f"The lock file {str(path)!r} can't be used: {error.strerror}",
            path=str(target),
            hint="It must be an ordinary file that this user may write to. Delete it if no process is running.",
        ) from error
    try:
        yield path
    finally:
        lock.release()


@contextlib.contextmanager
def temporary_file(lock: Path, target: Path) -> Iterator[Path]:
    """A free name beside a file that is locked. What is there at the end is deleted; what a writer that was killed left
    under its name is deleted by the next, which finds that name in the lock file."""
    staged = target.with_name(temporary_name(target.name))
    _delete_earlier(lock, target, staged.name)
    try:
        yield staged
    finally:
        staged.unlink(missing_ok=True)


def _delete_earlier(lock: Path, target: Path, name: str) -> None:
    with contextlib.suppress(OSError):  # such as Windows, where nobody else reads a file that is locked
        flags = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        descriptor = os.open(lock, flags)
        try:
            found = os.fstat(descriptor)
            if not S_ISREG(found.st_mode) or found.st_nlink != 1:
                return  # somebody's own file may have been linked here
            earlier = os.fsdecode(os.read(descriptor, _LONGEST))
            if is_temporary(earlier, target.name):
                target.with_name(earlier).unlink(missing_ok=True)
            os.lseek(descriptor, 0, os.SEEK_SET)
            os.write(descriptor, os.fsencode(name))  # always as many bytes for the same file
        finally:
            os.close(descriptor)
