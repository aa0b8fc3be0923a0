"""A project on disk: where its root is, and the source files that make up its program.

    ROOT/app/**       routes, and `_middleware.flin` per folder
    ROOT/entities/**  entities        ROOT/lib/**  shared functions
    ROOT/guards/**    guard definitions
    ROOT/tests/**     tests; a program that serves does not read them
    ROOT/public/**    static files    ROOT/.flindb/  data

PATH may be the root, its `app` folder, or one `.flin` file, which is then the only route file.
Reads files and nothing else; every fault of a file is a diagnostic, so all are reported at once.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from msgspec import Struct, field

from flinfast.errors import ConfigError
from flinfast.lang.diagnostic import Diagnostic
from flinfast.lang.source import SOURCE_BYTES_MAX, Source, Span
from flinfast.runtime.router import Pattern, RouteNameError, pattern_of_file
from flinfast.settings import PUBLIC_FOLDER

APP_FOLDER: Final = "app"
MIDDLEWARE_FILE: Final = "_middleware.flin"
SUFFIX: Final = ".flin"
FILES_MAX: Final = 20_000  # source files of one project; a wrong PATH such as `/` ends here
FOLDERS_MAX: Final = 20_000
DEPTH_MAX: Final = 64  # folders inside folders
BESIDE_MAX: Final = 1000  # entries of a folder that is no project; it may be anything

# Folder below the root -> kind of its files.
_KINDS: Final = {APP_FOLDER: "route", "entities": "entities", "lib": "lib", "guards": "guards"}
TESTS_FOLDER: Final = "tests"


class ProjectFile(Struct, frozen=True):
    """One source file.

    Attributes:
        source: Its path relative to the root, and its text.
        kind: "route", "middleware", "entities", "lib", "guards" or "tests".
        pattern: Path of a route file, None for others.
        folder: For files below `app/`: their folders, as named on disk.
    """

    source: Source
    kind: str
    pattern: Pattern | None = None
    folder: tuple[str, ...] = ()


class Project(Struct):
    """A project as it was read.

    Attributes:
        root: Absolute path of the root.
        files: Source files: entities, lib, guards, then `app`, each in path order.
        diagnostics: What was wrong with files and their names.
        is_single: Whether PATH was one file, whose routes may name their own paths.
        unsaved: Text of files that an editor holds and has not saved, by path.
    """

    root: Path
    files: list[ProjectFile] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)
    is_single: bool = False
    unsaved: Mapping[Path, str] = field(default_factory=dict)

    @property
    def public(self) -> Path:
        """Folder of static files; it need not exist."""
        return self.root / PUBLIC_FOLDER


def find_root(path: Path) -> tuple[Path, Path | None]:
    """The root of the project at PATH, and the file when PATH is one.

    Raises:
        ConfigError: There is no such path, or no `app` folder in it (FL903).
    """
    path = path.absolute()
    if path.is_file():
        if path.suffix != SUFFIX:
            raise ConfigError(f"expected a {SUFFIX} file or a folder, got {path.name}")
        folder = path.parent
        return (folder.parent if folder.name == APP_FOLDER else folder), path
    if not path.is_dir():
        raise ConfigError(f"{path} does not exist", hint="give the folder that holds `app`")
    if path.name == APP_FOLDER and not _is_root_called_app(path):
        return path.parent, None
    if (path / APP_FOLDER).is_dir():
        return path, None
    raise ConfigError(f"{path} has no `app` folder (FL903)", hint=_hint_without_app(path))


def _hint_without_app(path: Path) -> str:
    """What a person meant who stands beside a project, or has none yet."""
    with contextlib.suppress(OSError), os.scandir(path) as entries:
        for entry in itertools.islice(entries, BESIDE_MAX):
            if os.path.isdir(os.path.join(entry.path, APP_FOLDER)):
                return f"`{entry.name}` is a project: give its folder"
    return "routes stand in `app/`, such as `app/index.flin`; `flinfast new chat` makes a project"


def _is_root_called_app(path: Path) -> bool:
    """Whether a folder called `app` is a root that holds another one: it has no routes itself."""
    return (path / APP_FOLDER).is_dir() and not any(path.glob(f"*{SUFFIX}"))


def load_project(
    path: Path, unsaved: Mapping[Path, str] | None = None, *, with_tests: bool = False
) -> Project:
    """Read the project at PATH.

    Args:
        path: Its root, its `app` folder, or one file.
        unsaved: Texts that stand for those of files, by absolute path: what an editor holds.
        with_tests: Whether to read the files of `tests/` too.

    Raises:
        ConfigError: PATH is no project, or it has more files than FILES_MAX.
    """
    root, single = find_root(path)
    project = Project(root, is_single=single is not None, unsaved=unsaved or {})
    for folder, kind in _KINDS.items():
        if folder != APP_FOLDER:
            for file in _walk(project, root / folder):
                _add(project, file, kind)
    if with_tests:
        for file in _walk(project, root / TESTS_FOLDER):
            _add(project, file, "tests")
    if single is not None:
        _add_single(project, single)
    else:
        for file in _walk(project, root / APP_FOLDER):
            _add_app_file(project, file)
    return project


def relative(project: Project, path: Path) -> str:
    """A path as shown to people: relative to the root, with forward slashes."""
    return path.relative_to(project.root).as_posix()


def _walk(project: Project, top: Path) -> list[Path]:
    """Source files below a folder in path order; names that start with `.` are passed over."""
    found: list[Path] = []
    pending = [(top, 0)]
    seen = 0
    while pending:
        folder, depth = pending.pop()
        seen += 1
        if seen > FOLDERS_MAX or len(found) > FILES_MAX:
            raise ConfigError(f"{top} holds more than {FILES_MAX} files: is it the right folder?")
        try:
            entries = list(os.scandir(folder))
        except FileNotFoundError:
            continue
        except OSError as error:
            _fault(project, folder, "FL907", f"cannot read this folder: {error.strerror}")
            continue
        for entry in entries:
            if entry.name.startswith("."):
                continue
            path = Path(entry.path)
            if _is_outside(project, entry):
                _fault(project, path, "FL908", "link leads outside the project")
            elif entry.is_dir():
                if depth < DEPTH_MAX and not _is_loop(entry):
                    pending.append((path, depth + 1))
            elif entry.name.endswith(SUFFIX) and entry.is_file():
                found.append(path)
    return sorted(found)


def _is_outside(project: Project, entry: os.DirEntry[str]) -> bool:
    """Whether a symlink that would be followed leads out of the root."""
    if not entry.is_symlink() or not (entry.is_dir() or entry.name.endswith(SUFFIX)):
        return False
    return not Path(os.path.realpath(entry.path)).is_relative_to(os.path.realpath(project.root))


def _is_loop(entry: os.DirEntry[str]) -> bool:
    """Whether a linked folder holds itself."""
    return entry.is_symlink() and Path(os.path.abspath(entry.path)).is_relative_to(
        os.path.realpath(entry.path)
    )


def _add_single(project: Project, path: Path) -> None:
    """PATH itself: the route `/`."""
    source = _read(project, path)
    if source is not None:
        project.files.append(ProjectFile(source, "route", Pattern(())))


def _add_app_file(project: Project, path: Path) -> None:
    app = project.root / APP_FOLDER
    parts = path.relative_to(app).parts
    if parts[-1] == MIDDLEWARE_FILE:
        _add(project, path, "middleware", folder=parts[:-1])
        return
    try:
        pattern = pattern_of_file("/".join(parts))
    except RouteNameError as error:
        _fault(project, path, "FL909", str(error))
        return
    if pattern is not None:
        _add(project, path, "route", pattern=pattern, folder=parts[:-1])


def _add(
    project: Project,
    path: Path,
    kind: str,
    *,
    pattern: Pattern | None = None,
    folder: tuple[str, ...] = (),
) -> None:
    source = _read(project, path)
    if source is not None:
        project.files.append(ProjectFile(source, kind, pattern, folder))


def _read(project: Project, path: Path) -> Source | None:
    """A file's text; None with a diagnostic when it cannot be used."""
    held = project.unsaved.get(path)
    if held is not None:
        return Source(relative(project, path), held.removeprefix("\ufeff"))
    try:
        with path.open("rb") as file:
            raw = file.read(SOURCE_BYTES_MAX + 1)
    except OSError as error:
        _fault(project, path, "FL907", f"cannot read this file: {error.strerror}")
        return None
    if len(raw) > SOURCE_BYTES_MAX:
        _fault(project, path, "FL901", f"file is larger than {SOURCE_BYTES_MAX >> 20} MB")
        return None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        _fault(project, path, "FL902", f"file is not UTF-8: byte {error.start}, line {line}")
        return None
    return Source(relative(project, path), text)


def _fault(project: Project, path: Path, code: str, message: str) -> None:
    source = Source(relative(project, path), "")
    project.diagnostics.append(Diagnostic(code, message, source, Span(0, 0), ""))


def watch_folders(root: Path) -> list[Path]:
    """Folders whose files make up the program and its tests; they need not exist."""
    return [root / folder for folder in (*_KINDS, TESTS_FOLDER)]


def line_reader(project: Project) -> Callable[[str, int], str | None]:
    """`(path, line)` to the text of that line of a source file, None without one."""
    sources = {file.source.path: file.source for file in project.files}

    def read(path: str, line: int) -> str | None:
        source = sources.get(path)
        if source is None or line < 1 or line > source.text.count("\n") + 1:
            return None
        return source.line_text(line)

    return read
