"""A SQLite VFS that counts, records and breaks I/O, and what a power cut leaves of it.

Every write, sync, truncation, deletion, opening and read of SQLite, and every sync of the log by
the store itself, is one numbered call. `FaultVfs.plan` decides what happens at a number;
`FaultVfs.events` records what reached the operating system, so that `Disk` can rebuild what the
disk may hold when the power goes.
"""

# ruff: noqa: N802 - methods of a SQLite VFS have SQLite's names

from __future__ import annotations

import errno
import itertools
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw

from flinfast.store.sqlite import LogSync

SECTOR = 512
_NUMBERS = itertools.count()

# What a fault does at a call: ("eio" | "enospc" | "short").
Plan = Callable[[int, str], str | None]


class FaultVfs(apsw.VFS):
    """Passes everything to the default VFS unless `plan(number, what)` names a fault.

    Attributes:
        calls: I/O calls so far.
        events: ("write", file, offset, data), ("truncate", file, size), ("sync", file),
            ("delete", file), and whatever a test adds.
        plan: Decides about faults.
    """

    def __init__(self) -> None:
        self.name = f"fault{next(_NUMBERS)}"
        self.calls = 0
        self.events: list[tuple[Any, ...]] = []
        self.plan: Plan = lambda number, what: None
        super().__init__(self.name, "")

    def excepthook(self, *args: object) -> bool:
        return True  # the faults are ours

    def fault(self, what: str) -> str | None:
        self.calls += 1
        return self.plan(self.calls, what)

    def xOpen(self, name: Any, flags: list[int]) -> FaultFile:
        if self.fault("open"):
            raise apsw.exception_for(apsw.SQLITE_CANTOPEN)
        return FaultFile(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        if self.fault("delete"):
            raise apsw.exception_for(apsw.SQLITE_IOERR_DELETE)
        super().xDelete(filename, syncdir)
        self.events.append(("delete", os.path.basename(filename)))

    def open_log_sync(self, database: Path) -> FaultLogSync:
        return FaultLogSync(self, database)


class FaultFile(apsw.VFSFile):
    """One open file of a FaultVfs."""

    def __init__(self, vfs: FaultVfs, name: Any, flags: list[int]) -> None:
        self._vfs = vfs
        text = name.filename() if isinstance(name, apsw.URIFilename) else name
        self._name = os.path.basename(text) if text else ""
        super().__init__("", name, flags)

    def excepthook(self, *args: object) -> bool:
        return True

    def xRead(self, amount: int, offset: int) -> bytes:
        if self._vfs.fault("read"):
            raise apsw.exception_for(apsw.SQLITE_IOERR_READ)
        return super().xRead(amount, offset)

    def xWrite(self, data: Any, offset: int) -> None:
        data = bytes(data)
        fault = self._vfs.fault("write")
        if fault == "short":
            data = data[: len(data) // 2]
        if fault in (None, "short"):
            super().xWrite(data, offset)
            self._vfs.events.append(("write", self._name, offset, data))
        if fault:
            code = apsw.SQLITE_IOERR_WRITE if fault == "eio" else apsw.SQLITE_FULL
            raise apsw.exception_for(code)

    def xSync(self, flags: int) -> None:
        if self._vfs.fault("sync"):
            raise apsw.exception_for(apsw.SQLITE_IOERR_FSYNC)
        super().xSync(flags)
        self._vfs.events.append(("sync", self._name))

    def xTruncate(self, newsize: int) -> None:
        if self._vfs.fault("truncate"):
            raise apsw.exception_for(apsw.SQLITE_IOERR_TRUNCATE)
        super().xTruncate(newsize)
        self._vfs.events.append(("truncate", self._name, newsize))


class FaultLogSync(LogSync):
    """The store's own sync of the log, as one more numbered call."""

    def __init__(self, vfs: FaultVfs, database: Path) -> None:
        super().__init__(database)
        self._vfs = vfs
        self._name = f"{database.name}-wal"

    def __call__(self) -> None:
        if self._vfs.fault("log sync"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        super().__call__()
        self._vfs.events.append(("sync", self._name))


# --- power cuts ----------------------------------------


class DiskFile:
    """One file: what is certainly on disk, and the writes that may or may not be."""

    def __init__(self) -> None:
        self.durable = b""
        self.pending: list[tuple[Any, ...]] = []

    def sync(self) -> None:
        self.durable = self.image(lambda versions: versions[-1], lambda sizes: sizes[-1])
        self.pending.clear()

    def image(
        self, pick: Callable[[list[bytes]], bytes], pick_size: Callable[[list[int]], int]
    ) -> bytes:
        """A possible content: each sector, and the size, in any of its versions."""
        sectors: dict[int, list[bytes]] = {}
        sizes = [len(self.durable)]

        def versions(number: int) -> list[bytes]:
            if number not in sectors:
                old = self.durable[number * SECTOR : (number + 1) * SECTOR]
                sectors[number] = [old.ljust(SECTOR, b"\0")]
            return sectors[number]

        for event in self.pending:
            if event[0] == "truncate":
                sizes.append(event[1])
                continue
            _, offset, data = event
            sizes.append(max(sizes[-1], offset + len(data)))
            for number in range(offset // SECTOR, (offset + len(data) - 1) // SECTOR + 1):
                start = number * SECTOR
                known = versions(number)
                low, high = max(offset, start), min(offset + len(data), start + SECTOR)
                new = bytearray(known[-1])
                new[low - start : high - start] = data[low - offset : high - offset]
                known.append(bytes(new))
        size = pick_size(sizes)
        content = bytearray(self.durable[:size].ljust(size, b"\0"))
        for number, known in sectors.items():
            if number * SECTOR < size:
                chosen = pick(known)
                end = min(size, (number + 1) * SECTOR)
                content[number * SECTOR : end] = chosen[: end - number * SECTOR]
        return bytes(content)


class Disk:
    """What a disk may hold after a recorded sequence of events and a power cut."""

    def __init__(self) -> None:
        self.files: dict[str, DiskFile] = {}

    def apply(self, event: tuple[Any, ...]) -> None:
        """Take one event of a FaultVfs; others are ignored."""
        kind = event[0]
        if kind == "write":
            self._file(event[1]).pending.append(("write", event[2], event[3]))
        elif kind == "truncate":
            self._file(event[1]).pending.append(("truncate", event[2]))
        elif kind == "sync":
            self._file(event[1]).sync()
        elif kind == "delete":
            self.files.pop(event[1], None)

    def _file(self, name: str) -> DiskFile:
        return self.files.setdefault(name, DiskFile())

    def write_image(self, folder: Path, rng: random.Random) -> None:
        """Write one possible content of every file.

        The styles: everything unsynced is lost, everything arrived, a random mix by sector
        (reordered), and a prefix of the writes with the last one torn.
        """
        style = rng.choice(("none", "all", "mix", "mix", "mostly", "prefix"))
        for name, file in self.files.items():
            if style == "prefix":
                cut = DiskFile()
                cut.durable = file.durable
                cut.pending = file.pending[: rng.randint(0, len(file.pending))]
                content = cut.image(lambda v: v[-1], lambda s: s[-1])
                if cut.pending and cut.pending[-1][0] == "write" and rng.random() < 0.5:
                    content = content[: max(len(file.durable), len(content) - rng.randint(1, 600))]
            else:
                content = _styled(file, style, rng)
            (folder / name).write_bytes(content)


def _styled(file: DiskFile, style: str, rng: random.Random) -> bytes:
    if style == "none":
        return file.durable
    if style == "all":
        return file.image(lambda v: v[-1], lambda s: s[-1])
    if style == "mostly":
        return file.image(lambda v: v[-1] if rng.random() < 0.95 else v[0], lambda s: s[-1])
    return file.image(rng.choice, lambda s: max(s) if rng.random() < 0.8 else rng.choice(s))
