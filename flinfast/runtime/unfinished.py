"""Which files a process has begun and not finished, so that the next one can remove them.

A file of a handler has a hidden name until its rows are committed (`file_log.py`). Before it is
made, its path is written to a list of this process in the data folder, which the process locks for
as long as it lives. The kernel drops the lock however the process ends: a list that can be locked
belongs to nobody, and what it names and still has a hidden name is nobody's either. Files of
another server that runs are never touched, and no folder is searched.

A list is not synced. After a power cut a hidden file may stay that no list names.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from flinfast.store.presence import try_lock

Names = tuple[str, ...]  # folders and file name below the project root
Remove = Callable[[Path, Names], bool]  # root and names of a begun file; whether it was there

FOLDER: Final = ".unfinished"  # in the data folder; hidden, so that no program reaches it
LIST_SIZE_MAX: Final = 1 << 20  # bytes; then a new list is begun, of what is unfinished
READ_SIZE_MAX: Final = 16 << 20  # bytes of one list that a start reads
REMOVED_MAX: Final = 10_000  # files that one start removes; the next one goes on
OPEN_TRIES: Final = 8  # a start elsewhere may take a new list for an abandoned one


class Unfinished:
    """The list of one process; its file is made with the first entry.

    Args:
        folder: The data folder.
        root: Project root, absolute: paths are relative to it.

    Not thread-safe.
    """

    __slots__ = ("_fd", "_folder", "_header", "_names", "_path", "_size", "_size_max")

    def __init__(self, folder: Path, root: Path) -> None:
        self._folder = folder / FOLDER
        self._names: dict[Names, None] = {}  # begun and not ended
        self._fd = -1
        self._path = Path()
        self._header = _entry((str(root),))
        self._size = 0
        self._size_max = LIST_SIZE_MAX

    def begin(self, names: Names) -> None:
        """A file is about to be made.

        Args:
            names: Printable; the last one is its hidden name.

        Raises:
            OSError: The list cannot be written; the file must not be made.
        """
        entry = _entry(names)
        if self._fd < 0 or self._size + len(entry) > self._size_max:
            self._start_over()
        _write(self._fd, entry)
        self._size += len(entry)
        self._names[names] = None

    def end(self, names: Names) -> None:
        """The file has its own name, or is gone."""
        self._names.pop(names, None)
        if not self._names and self._fd >= 0:
            with contextlib.suppress(OSError):  # then it names files that are not there
                os.ftruncate(self._fd, len(self._header))
                self._size = len(self._header)

    def close(self) -> None:
        """The process is done; more calls do nothing. What is unfinished stays listed."""
        if self._fd < 0:
            return
        if not self._names:
            with contextlib.suppress(OSError):
                self._path.unlink()
        os.close(self._fd)
        self._fd = -1

    # --- private ----------------------------------------

    def _start_over(self) -> None:
        """Go on with a new list of what is unfinished; the old one stays until that is written."""
        entries = self._header + b"".join(map(_entry, self._names))
        fd, path = _open_list(self._folder)
        try:
            _write(fd, entries)
        except OSError:
            os.close(fd)
            path.unlink(missing_ok=True)
            raise
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                self._path.unlink()
            os.close(self._fd)
        self._fd, self._path, self._size = fd, path, len(entries)
        self._size_max = max(LIST_SIZE_MAX, 2 * self._size)


def remove_abandoned(folder: Path, remove: Remove) -> int:
    """Remove what processes that are gone have left unfinished.

    Args:
        folder: The data folder.
        remove: Removes a file that still has its hidden name; other errors than OSError are bugs.

    Returns:
        How many files were removed, at most REMOVED_MAX.
    """
    count = 0
    try:
        lists = sorted(entry.path for entry in os.scandir(folder / FOLDER))
    except OSError:  # there is none, as a rule
        return 0
    for path in lists:
        with contextlib.suppress(OSError), _locked(path) as content:
            if content is None:
                continue
            count += _remove_listed(content, remove, REMOVED_MAX - count)
            if count >= REMOVED_MAX:
                break
            os.unlink(path)
    return count


def _remove_listed(content: bytes, remove: Remove, count_max: int) -> int:
    """Remove the files of one list, at most so many; how many were there."""
    lines = [os.fsdecode(line) for line in content.split(b"\n") if line]
    if not lines:
        return 0
    root, count = Path(lines[0]), 0
    for line in dict.fromkeys(lines[1:]):
        if count >= count_max:
            break
        with contextlib.suppress(OSError):
            count += remove(root, tuple(line.split("/")))
    return count


def _write(fd: int, entries: bytes) -> None:
    """Raises OSError also when only a part could be written."""
    if os.write(fd, entries) != len(entries):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _entry(names: Names) -> bytes:
    """One line; a torn one before it does not join it."""
    return b"\n" + os.fsencode("/".join(names)) + b"\n"


def _open_list(folder: Path) -> tuple[int, Path]:
    """A new list that this process has locked; raises OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
    for _ in range(OPEN_TRIES):
        path = folder / secrets.token_hex(8)
        fd = os.open(path, flags, 0o600)
        try:
            if try_lock(fd, fcntl.LOCK_EX) and _is_at(fd, path):
                return fd, path
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))


@contextlib.contextmanager
def _locked(path: str) -> Iterator[bytes | None]:
    """Content of a list that belongs to nobody, None for one that somebody holds."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        yield os.read(fd, READ_SIZE_MAX) if try_lock(fd, fcntl.LOCK_EX) else None
    finally:
        os.close(fd)


def _is_at(fd: int, path: Path) -> bool:
    """Whether the open file still has this name: nobody took it for an abandoned one."""
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False
