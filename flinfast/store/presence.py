"""Who uses a project's data: servers hold a shared lock on `.flindb/server.lock` while they run.

The lock belongs to an open descriptor, so the kernel drops it however the process ends. Commands
that must not run beside a server (restoring, migrating) take it exclusively.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from flinfast.errors import StoreError

LOCK_FILE: Final = "server.lock"


class Presence:
    """A running server's mark.

    Args:
        folder: Where the data lies; made when missing.

    Attributes:
        has_company: Another server used the same data when this one started.

    Raises:
        StoreError: A command changes the data right now, or the lock file cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self._fd = _open(folder)
        try:
            self.has_company = not try_lock(self._fd, fcntl.LOCK_EX)
            if not try_lock(self._fd, fcntl.LOCK_SH):
                raise StoreError(f"a command is changing the data in {folder}: start when it ended")
        except BaseException:
            os.close(self._fd)
            raise

    def close(self) -> None:
        """The server has ended; more calls do nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


@contextlib.contextmanager
def alone(folder: Path, what: str) -> Iterator[None]:
    """No server runs, nor starts, inside the `with` block.

    Args:
        folder: Where the data lies.
        what: What the command does, such as "restoring a backup".

    Raises:
        StoreError: A server runs.
    """
    fd = _open(folder)
    try:
        if not try_lock(fd, fcntl.LOCK_EX):
            raise StoreError(f"a server uses the data in {folder}: stop it before {what}")
        yield
    finally:
        os.close(fd)


def _open(folder: Path) -> int:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(folder / LOCK_FILE, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(
            f"the database folder {folder} cannot be used: {error.strerror}: "
            "check its owner and permissions"
        ) from error


def try_lock(fd: int, kind: int) -> bool:
    """Take a lock of an open file (`fcntl.LOCK_SH`, `LOCK_EX`) unless somebody holds it."""
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
