"""What a handler does to files: it happens with its transaction, or not at all.

A saved file is written and synced under a hidden name beside its own. Before the handler's rows are
committed it gets its name; when they are lost it is removed. A file is deleted once the rows are
durable. So a row never names a file that a crash took away; a crash can leave a file that no row
names, or a hidden `.<name>.part`, which the next start removes (`unfinished.py`).
"""

from __future__ import annotations

import contextlib
import os
import re
from contextvars import ContextVar
from typing import Final, Protocol

from flinfast.errors import RuntimeFault
from flinfast.late_pattern import late_pattern

Names = tuple[str, ...]  # folders and file name below the project root

_PART: Final = late_pattern(r"\.[0-9a-f]{32}\.[0-9a-z]{1,10}\.part", re.ASCII)


class Place(Protocol):
    """Where files lie."""

    def opened(self, names: Names) -> contextlib.AbstractContextManager[int]:
        """Descriptor of a folder; raises OSError."""

    def ended(self, names: Names) -> None:
        """A file that was saved has its own name, or is gone."""


def part_name(name: str) -> str:
    """Hidden name that a file has until its handler's rows are committed."""
    return f".{name}.part"


def is_part_name(name: str) -> bool:
    """Whether `part_name` gives such names to new files."""
    return _PART.fullmatch(name) is not None


class FileLog:
    """Files that one handler saved and deleted, in the order it did."""

    __slots__ = ("_deleted", "_is_published", "_saved")

    def __init__(self) -> None:
        self._saved: dict[Names, Place] = {}
        self._deleted: dict[Names, Place] = {}
        self._is_published = False

    def save(self, names: Names, place: Place) -> None:
        """A file lies under its hidden name."""
        self._saved[names] = place

    def delete(self, names: Names, place: Place) -> None:
        """A file is to go."""
        self._deleted[names] = place

    def is_saved(self, names: Names) -> bool:
        """Whether the handler saved it, so that it has its hidden name still."""
        return names in self._saved and not self._is_published

    def is_deleted(self, names: Names) -> bool:
        """Whether the handler deleted it, so that it is not there for it."""
        return names in self._deleted

    def publish(self) -> None:
        """Give saved files their names, before the rows are committed.

        Raises:
            RuntimeFault: FL541, the system refused; what was saved is gone.
        """
        if not self._saved:
            return
        try:
            for names, place in self._saved.items():
                with place.opened(names[:-1]) as folder:
                    name = names[-1]
                    os.rename(part_name(name), name, src_dir_fd=folder, dst_dir_fd=folder)
                    os.fsync(folder)
                place.ended(names)
        except OSError as error:
            self.retract()
            reason = error.strerror or "input/output error"
            raise RuntimeFault(f"a file cannot be saved: {reason}", code="FL541") from None
        self._is_published = True

    def retract(self) -> None:
        """The handler failed or its rows are lost: remove what it saved, keep what it deleted."""
        for names, place in self._saved.items():
            with contextlib.suppress(OSError), place.opened(names[:-1]) as folder:
                for name in (names[-1], part_name(names[-1])):
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(name, dir_fd=folder)
                place.ended(names)
        self._saved = {}
        self._deleted = {}

    def settle(self) -> None:
        """The rows are durable: remove what the handler deleted."""
        for names, place in self._deleted.items():
            with contextlib.suppress(OSError), place.opened(names[:-1]) as folder:
                os.unlink(names[-1], dir_fd=folder)
        self._saved = {}
        self._deleted = {}


# Of the running handler; None outside of one, where files are changed at once. Greenlets and
# callbacks of the loop each have their own context.
RUNNING: ContextVar[FileLog | None] = ContextVar("flin_files", default=None)
