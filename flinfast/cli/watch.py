"""Waits until the source of a project changes.

Looks at size and time of every source file four times a second: about 0.3 % of a core for 200
files, no dependency, and it works where events do not arrive, such as mounted folders of
containers and network drives.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from flinfast.runtime.project import SUFFIX, watch_folders
from flinfast.server.config import CONFIG_FILE

PAUSE_S: Final = 0.25
FILES_MAX: Final = 50_000  # a wrong folder such as `/` costs no more than this per look

# Path -> what changes when the file does: time, size and inode (editors replace files).
Look = dict[str, tuple[int, int, int]]


def look_at(root: Path, single: Path | None = None, *, assets: str = "") -> Look:
    """The source files and settings of a project as they are now.

    Args:
        root: Its root; it need not exist.
        single: The file, when the project is one file.
        assets: Name of a folder of which every file counts, such as "public".
    """
    found: Look = {}
    for path in (root / CONFIG_FILE, single):
        if path is not None:
            _note(found, str(path))
    for folder in watch_folders(root):
        _note_all(found, folder, SUFFIX)
    if assets:
        _note_all(found, root / assets, "")
    return found


def wait_for_change(
    root: Path,
    single: Path | None = None,
    *,
    assets: str = "",
    before: Look | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> tuple[Look, list[str]]:
    """Return when files were added, changed or removed and are quiet again.

    Args:
        root: Root of the project.
        single: The file, when the project is one file.
        assets: As for look_at().
        before: What was there when the caller last read it; now, when left out.
        pause: Waits that many seconds.

    Returns:
        The files as they are now, and the paths that changed, in order.
    """
    if before is None:
        before = look_at(root, single, assets=assets)
    while True:
        pause(PAUSE_S)
        now = look_at(root, single, assets=assets)
        if now == before:
            continue
        while True:  # an editor may write a file in several steps
            pause(PAUSE_S / 5)
            later = look_at(root, single, assets=assets)
            if later == now:
                break
            now = later
        changed = sorted(p for p in before.keys() | now.keys() if before.get(p) != now.get(p))
        if changed:
            return now, changed


def _note_all(found: Look, folder: Path, suffix: str) -> None:
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if name.endswith(suffix) and len(found) < FILES_MAX:
                _note(found, os.path.join(parent, name))


def _note(found: Look, path: str) -> None:
    try:
        status = os.stat(path)
    except OSError:
        return
    found[path] = (status.st_mtime_ns, status.st_size, status.st_ino)
