"""Whether a database file is sound: what `flinfast doctor`, backups and restores ask."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from flinfast.errors import StoreError
from flinfast.store.sqlite import APPLICATION_ID, FORMAT_VERSION, read_only

PROBLEMS_MAX: Final = 20


def integrity(path: Path) -> list[str]:
    """Problems of a database file, a sentence each; empty when it is sound.

    Reads every page and every index, so it takes time for a large file. A server may be using it.

    Args:
        path: The database file, such as `.flindb/flin.db`.

    Raises:
        StoreError: The file is missing or may not be read.
    """
    with read_only(path) as database:
        try:
            rows = database.query(f"PRAGMA integrity_check({PROBLEMS_MAX})")
        except StoreError as error:
            return [str(error)]
        problems = [str(line) for (line,) in rows if line != "ok"]
        return problems or identity(path)


def identity(path: Path) -> list[str]:
    """Why a file is no database of ours that this version can use; empty when it is one.

    Raises:
        StoreError: The file is missing or may not be read.
    """
    with read_only(path) as database:
        try:
            (application,) = database.query("PRAGMA application_id")[0]
            (version,) = database.query("PRAGMA user_version")[0]
        except StoreError as error:
            return [str(error)]
    if application != APPLICATION_ID:
        return [f"{path} is not a database of flinfast"]
    if version > FORMAT_VERSION:
        return [
            f"{path} was written by a newer flinfast (format {version}, this one knows "
            f"{FORMAT_VERSION}): upgrade flinfast"
        ]
    return []
