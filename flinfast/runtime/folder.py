"""Files of a program: read and written below the project root, and nowhere else.

A path is split into names and walked with `openat`, one folder at a time, never following a
symbolic link; so neither `..` nor a link made between check and use leads outside. Names of new
files are ours: random, unguessable, with a plain extension.

Out of bounds although below the root: hidden files, the database folder itself (folders in it are
fine), `flinfast.toml`, and writing to folders of source code.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeVar

from flinfast.errors import RuntimeFault
from flinfast.runtime.file_log import RUNNING, is_part_name, part_name
from flinfast.runtime.unfinished import Unfinished, remove_abandoned

T = TypeVar("T")

FILE_SIZE_MAX: Final = 64 << 20  # bytes read or written at once
PATH_CHARS_MAX: Final = 1024
NAME_BYTES_MAX: Final = 255
NAME_RANDOM_BYTES: Final = 16
_SOURCES: Final = frozenset({"app", "entities", "lib", "guards"})
_SETTINGS_FILE: Final = "flinfast.toml"
_FOLDER_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_FLAGS: Final = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # a FIFO must not block us
# What `openat` answers for a link or something that is no folder on the way.
_ESCAPES: Final = frozenset({errno.ELOOP, errno.ENOTDIR})


class Folder:
    """The files of one program.

    Args:
        root: Project root, absolute.
        data_path: Folder of the database, relative to the root or absolute.
    """

    __slots__ = ("_data", "_data_folder", "_root", "_unfinished")

    def __init__(self, root: Path, data_path: str) -> None:
        self._root = root
        self._data_folder = root / data_path
        self._data = _names_below(self._data_folder, root)
        self._unfinished = Unfinished(self._data_folder, root)

    def save(self, function: str, data: bytes, folder: str, extension: str) -> str:
        """Write a new file; `folder` is created when missing (0750).

        Args:
            function: Builtin that was called, for faults.
            data: At most FILE_SIZE_MAX bytes.
            folder: Relative to the root.
            extension: Of the new name, with its dot.

        Returns:
            Path of the file relative to the root.

        Raises:
            RuntimeFault: FL540 for a folder that may not be written to, FL541 when the system
                refuses, FL508 for too many bytes.
        """
        if len(data) > FILE_SIZE_MAX:
            raise RuntimeFault(
                f"`{function}`: a file has at most {FILE_SIZE_MAX} bytes", code="FL508"
            )
        names = self._names(function, folder)
        self._check(function, folder, (*names, "new"), write=True)
        name = secrets.token_hex(NAME_RANDOM_BYTES) + extension
        log = RUNNING.get()
        path = (*names, name)
        with (
            self._failures(function, folder),
            _opened_below(self._root, names, create=True) as parent,
        ):
            if log is None:
                _write_new(name, parent, data, sync=False)
            else:
                self._unfinished.begin((*names, part_name(name)))
                try:
                    _write_new(part_name(name), parent, data, sync=True)
                except OSError:
                    self.ended(path)
                    raise
                log.save(path, self)
        return "/".join(path)

    def read(self, function: str, path: str) -> bytes | None:
        """Content of a regular file, None when there is none.

        Raises:
            RuntimeFault: FL540 for a path out of bounds, FL541 when the system refuses, FL508 for
                a file of more than FILE_SIZE_MAX bytes.
        """

        def content(name: str, parent: int) -> bytes | None:
            file = os.open(name, os.O_RDONLY | _FILE_FLAGS, dir_fd=parent)
            try:
                found = os.fstat(file)
                if not stat.S_ISREG(found.st_mode):
                    return None
                if found.st_size > FILE_SIZE_MAX:
                    raise RuntimeFault(
                        f"`{function}`: the file has more than {FILE_SIZE_MAX} bytes", code="FL508"
                    )
                return _read_all(file)
            finally:
                os.close(file)

        return self._use(function, path, content, None)

    def delete(self, function: str, path: str) -> bool:
        """Remove a regular file; whether there was one. Faults as `read`."""
        log = RUNNING.get()

        def remove(name: str, parent: int) -> bool:
            found = _is_regular(name, parent)
            if found and log is not None:
                log.delete(self._names(function, path), self)
            elif found:
                os.unlink(name, dir_fd=parent)
            return found

        return self._use(function, path, remove, False, write=True)

    def exists(self, function: str, path: str) -> bool:
        """Whether there is such a regular file. Faults as `read`."""
        return self._use(function, path, _is_regular, False)

    def remove_abandoned(self) -> int:
        """Remove hidden files that processes which are gone have left; how many there were."""
        return remove_abandoned(self._data_folder, _remove_part)

    def close(self) -> None:
        """Nothing is saved any more; more calls do nothing."""
        self._unfinished.close()

    # --- Place ----------------------------------------

    def opened(self, names: tuple[str, ...]) -> contextlib.AbstractContextManager[int]:
        """Descriptor of a folder below the root; raises OSError."""
        return _opened_below(self._root, names, create=False)

    def ended(self, names: tuple[str, ...]) -> None:
        """A file that was saved has its own name, or is gone."""
        self._unfinished.end((*names[:-1], part_name(names[-1])))

    # --- private ----------------------------------------

    def _names(self, function: str, path: str) -> tuple[str, ...]:
        """The names of a path; FL540 when it cannot be below the root."""
        is_plain = path.isprintable() and "\\" not in path and len(path) <= PATH_CHARS_MAX
        names = tuple(name for name in path.split("/") if name not in ("", "."))
        fits = (
            all(len(os.fsencode(name)) <= NAME_BYTES_MAX for name in names) if is_plain else False
        )
        if not fits or path.startswith("/") or ".." in names:
            raise _escape(function, path)
        return names

    def _check(self, function: str, path: str, names: tuple[str, ...], *, write: bool) -> None:
        """FL540 for a file that is below the root and still none of the program's business."""
        inner = names
        if self._data is not None and names[: len(self._data)] == self._data:
            inner = names[len(self._data) :]
            if len(inner) < 2:  # the database, its log and the secret lie here
                raise _escape(function, path, "is kept for the database; use a folder in it")
        if any(name.startswith(".") for name in inner):
            raise _escape(function, path, "is hidden")
        top, last = names[0].lower(), names[-1].lower()  # some file systems ignore case
        if (len(names) == 1 and last == _SETTINGS_FILE) or last.endswith(".flin"):
            raise _escape(function, path, "is part of the program")
        if write and (len(names) < 2 or top in _SOURCES):
            raise _escape(function, path, "may not be changed by a handler; use another folder")

    def _use(
        self,
        function: str,
        path: str,
        action: Callable[[str, int], T],
        missing: T,
        *,
        write: bool = False,
    ) -> T:
        """`action(name, parent descriptor)`, or `missing` when there is no such file."""
        names = self._names(function, path)
        if not names:
            raise _escape(function, path, "is a folder")
        self._check(function, path, names, write=write)
        log = RUNNING.get()
        if log is not None and log.is_deleted(names):
            return missing
        is_part = log is not None and log.is_saved(names)
        with self._failures(function, path):
            try:
                with _opened_below(self._root, names[:-1], create=False) as parent:
                    return action(part_name(names[-1]) if is_part else names[-1], parent)
            except FileNotFoundError:
                return missing

    @contextlib.contextmanager
    def _failures(self, function: str, path: str) -> Iterator[None]:
        """Faults for what the system refuses."""
        try:
            yield
        except OSError as error:
            if error.errno in _ESCAPES:
                raise _escape(function, path) from None
            reason = os.strerror(error.errno) if error.errno else "input/output error"
            raise RuntimeFault(
                f"`{function}`: cannot use `{_shown(path)}`: {reason}", code="FL541"
            ) from None


@contextlib.contextmanager
def _opened_below(root: Path, names: tuple[str, ...], *, create: bool) -> Iterator[int]:
    """Descriptor of a folder below the root; raises OSError."""
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in names:
            if create:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, 0o750, dir_fd=folder)
            inner = os.open(name, _FOLDER_FLAGS, dir_fd=folder)
            os.close(folder)
            folder = inner
        yield folder
    finally:
        os.close(folder)


def _names_below(folder: Path, root: Path) -> tuple[str, ...] | None:
    """The names that lead from the root to a folder, None when it lies elsewhere."""
    relative = os.path.relpath(os.path.realpath(folder), os.path.realpath(root))
    names = Path(relative).parts
    return None if names[:1] == ("..",) else names


def _remove_part(root: Path, names: tuple[str, ...]) -> bool:
    """Remove a hidden file of a handler that never ended; raises OSError."""
    if not is_part_name(names[-1]) or ".." in names:
        return False
    with _opened_below(root, names[:-1], create=False) as parent:
        if not _is_regular(names[-1], parent):
            return False
        os.unlink(names[-1], dir_fd=parent)
    return True


def _write_new(name: str, parent: int, data: bytes, *, sync: bool) -> None:
    """Write a new file whole, or none; raises OSError."""
    file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FILE_FLAGS, 0o640, dir_fd=parent)
    try:
        _write_all(file, data)
        if sync:
            os.fsync(file)  # a durable row may name it
    except OSError:
        os.unlink(name, dir_fd=parent)
        raise
    finally:
        os.close(file)


def _write_all(file: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]


def _read_all(file: int) -> bytes:
    """Everything, but not more than FILE_SIZE_MAX when the file grows meanwhile."""
    parts, size = [], 0
    while size < FILE_SIZE_MAX:
        part = os.read(file, min(1 << 20, FILE_SIZE_MAX - size))
        if not part:
            break
        parts.append(part)
        size += len(part)
    return b"".join(parts)


def _is_regular(name: str, parent: int) -> bool:
    return stat.S_ISREG(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)


def _escape(function: str, path: str, why: str = "is not below the project root") -> RuntimeFault:
    return RuntimeFault(f"`{function}`: path `{_shown(path)}` {why}", code="FL540")


def _shown(path: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in path[:80])
