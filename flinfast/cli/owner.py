"""The project that a file given on the command line belongs to."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from flinfast.errors import ConfigError

_SOURCE_FOLDERS: Final = frozenset({"app", "entities", "lib", "guards", "tests"})


def project_of(path: Path) -> tuple[Path, str]:
    """The project to load, and the one file or folder of it that is meant: "" for all of it.

    A file of a project is read with all that it knows of the others; one that stands alone is a
    project of its own.

    Raises:
        ConfigError: There is no such file.
    """
    if path.is_dir() and not (path / "app").is_dir() and path.name != "app":
        # A folder such as `chat/tests` stands for the files below it.
        root, only = project_of(path / "any.flin")
        if only:
            return root, only.removesuffix("any.flin")
        return path, ""
    if path.is_dir() or path.suffix != ".flin":
        return path, ""
    path = path.absolute()
    for folder in path.parents:
        parts = path.relative_to(folder).parts
        if len(parts) > 1 and parts[0] in _SOURCE_FOLDERS and (folder / "app").is_dir():
            if not path.exists() and path.name != "any.flin":
                raise ConfigError(f"{path} does not exist")
            return folder, path.relative_to(folder).as_posix()
    return path, ""
