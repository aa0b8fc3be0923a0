"""The texts an editor holds and the projects they belong to; no protocol in here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from flinfast.errors import CompileError, ConfigError
from flinfast.lang.diagnostic import Diagnostic
from flinfast.lang.program import KeptState
from flinfast.lang.source import Source
from flinfast.lsp.names import Parsed, ProjectNames
from flinfast.lsp.settings import setting_faults
from flinfast.runtime.loading import compile_files
from flinfast.runtime.project import (
    APP_FOLDER,
    Project,
    ProjectFile,
    load_project,
    watch_folders,
)
from flinfast.runtime.router import Pattern
from flinfast.server.config import CONFIG_FILE

PROJECTS_MAX: Final = 16  # whose names are remembered at a time


@dataclass(frozen=True, slots=True)
class Document:
    """One open text.

    Attributes:
        uri: As the editor spells it.
        text: All of it.
        version: Counts its changes.
    """

    uri: str
    text: str
    version: int


@dataclass(frozen=True, slots=True)
class Checked:
    """What one check of a project found.

    Attributes:
        project: The texts that were checked.
        diagnostics: Their faults and warnings.
        versions: Version of each open document that was checked, by path.
    """

    project: Project
    diagnostics: tuple[Diagnostic, ...]
    versions: dict[Path, int]


class Workspace:
    """Open documents over the files on disk."""

    def __init__(self) -> None:
        self.documents: dict[Path, Document] = {}
        self._parsed: dict[Path, Parsed] = {}
        self._names: dict[Path, ProjectNames] = {}
        self._compiled: dict[Path, KeptState] = {}  # touched by `check` only

    def put(self, path: Path, document: Document) -> None:
        """A document was opened or changed."""
        self.documents[path] = document
        self.forget()

    def drop(self, path: Path) -> None:
        """A document was closed: what is on disk counts again."""
        self.documents.pop(path, None)
        self.forget()

    def forget(self) -> None:
        """Files may have changed on disk."""
        self._names.clear()

    def text(self, path: Path) -> str:
        """The text of a document, else of its file; "" without either."""
        document = self.documents.get(path)
        if document is not None:
            return document.text
        try:
            return path.read_bytes().decode("utf-8-sig", "replace")
        except OSError:
            return ""

    def root_of(self, path: Path) -> Path:
        """Root of the project of a file; the file itself when it belongs to none."""
        if path.name == CONFIG_FILE and (path.parent / APP_FOLDER).is_dir():
            return path.parent
        names = {folder.name for folder in watch_folders(path)}
        found = path
        for folder in path.parents:
            if folder.name in names and (folder.parent / APP_FOLDER).is_dir():
                found = folder.parent
        return found

    def names(self, path: Path) -> tuple[ProjectNames, str]:
        """The names of the project of a file, and the file's path in it.

        Raises:
            ConfigError: The project cannot be read.
        """
        root = self.root_of(path)
        names = self._names.get(root)
        if names is None or self._path_in(names.project, path) not in names.files:
            names = ProjectNames(self._project(path, self._unsaved()), self.parsed(root))
            if len(self._names) >= PROJECTS_MAX:
                self._names.clear()
            self._names[root] = names
        return names, self._path_in(names.project, path)

    def parsed(self, root: Path) -> Parsed:
        """Remembered trees of a project."""
        return self._parsed.setdefault(root, {})

    def check(self, path: Path, documents: dict[Path, Document]) -> Checked:
        """Compile the project of a file; safe to run in a thread of its own, one at a time.

        Files that did not change since the last check are not compiled again.

        Args:
            path: The file.
            documents: A copy of `documents` that does not change meanwhile.

        Raises:
            ConfigError: The project cannot be read.
        """
        unsaved = {each: document.text for each, document in documents.items()}
        project = self._project(path, unsaved)
        try:
            kept = self._compiled.setdefault(self.root_of(path), {})
            diagnostics = compile_files(project, kept=kept).program.diagnostics
        except CompileError as error:
            diagnostics = tuple(error.diagnostics)
        if not project.is_single:
            diagnostics = (*diagnostics, *setting_faults(project.root))
        return Checked(project, diagnostics, {p: d.version for p, d in documents.items()})

    def _unsaved(self) -> dict[Path, str]:
        return {path: document.text for path, document in self.documents.items()}

    def _project(self, path: Path, unsaved: dict[Path, str]) -> Project:
        root = self.root_of(path)
        project = None
        try:
            project = load_project(root, unsaved, with_tests=True)
        except ConfigError:
            if path not in unsaved:
                raise
        if project is not None and self._path_in(project, path) in {
            file.source.path for file in project.files
        }:
            return project
        if path not in unsaved:
            return project or Project(path.parent)
        # A text that is not on disk yet, or not where a project reads it: a file by itself.
        source = Source(path.name, unsaved[path])
        return Project(path.parent, [ProjectFile(source, "route", Pattern(()))], is_single=True)

    @staticmethod
    def _path_in(project: Project, path: Path) -> str:
        try:
            return path.relative_to(project.root).as_posix()
        except ValueError:
            return path.name
