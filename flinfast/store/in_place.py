"""Whether the files of an open database still have their names.

SQLite works on open files and goes on when somebody removes, moves or replaces them. What it then
writes is gone with the process, or is copied into another database. So nothing is acknowledged
unless the files that hold it are the ones that the next start finds.

Not for a file that is overwritten in place: that it is another's cannot be seen from outside.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_SUFFIXES: Final = ("", "-wal", "-shm")  # the database, its log, the index of the log


class FilesInPlace:
    """The files of one database, as they were when it was opened.

    Args:
        path: The database; it and its log are open.

    Raises:
        OSError: One of them is gone already.
    """

    __slots__ = ("_files", "_path")

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files = tuple((f"{path}{suffix}", os.stat(f"{path}{suffix}")) for suffix in _SUFFIXES)

    def fault(self) -> str:
        """What happened to them, "" when they are where they were; any thread may ask."""
        for (path, before), suffix in zip(self._files, _SUFFIXES, strict=True):
            try:
                if os.path.samestat(os.stat(path), before):
                    continue
                what = "was replaced"
            except OSError as error:
                what = f"is gone ({error.strerror})"
            name = f"the file {path} of the database" if suffix else f"the database {path}"
            return (
                f"{name} {what} while a server used it: "
                "stop the server, put the right files there, start it again"
            )
        return ""

    def is_only_log_gone(self) -> bool:
        """Whether the database is in place and nobody has begun another log."""
        database, log, index = (_stat(path) for path, _ in self._files)
        if database is None or index is None or log is not None:
            return False
        return os.path.samestat(database, self._files[0][1]) and os.path.samestat(
            index, self._files[2][1]
        )


def _stat(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except OSError:
        return None
