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
    is_folder = path.is_dir()
    is_project = is_folder and ((path / "app").is_dir() or path.name == "app")
    if is_project or not (is_folder or path.suffix == ".flin"):
        return path, ""
    absolute = path.absolute()
    for folder in absolute.parents:
        parts = absolute.relative_to(folder).parts
        is_source = parts[0] in _SOURCE_FOLDERS and (is_folder or len(parts) > 1)
        if is_source and (folder / "app").is_dir():
            if not absolute.exists():
                raise ConfigError(f"{absolute} does not exist")
            return folder, "/".join(parts) + ("/" if is_folder else "")
    return path, ""
