"""What every name of a project stands for, also while some of its files do not parse.

Made anew for every text: parsing is remembered by text, declarations of all files are collected
each time, bodies are resolved when somebody asks about their file. Faults are not reported here;
diagnostics come from the same compilation as `flinfast check`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any, Final

from flinfast.lang import ast
from flinfast.lang.declare import SHARED_KINDS, Declarations
from flinfast.lang.parser import parse
from flinfast.lang.report import Report
from flinfast.lang.resolve import Resolver
from flinfast.lang.source import Source, Span
from flinfast.lang.symbol import FileNames, FunctionScope, ProjectTable, children, walk
from flinfast.lang.types import Kinds, infer
from flinfast.runtime.builtins import specs
from flinfast.runtime.guard import BUILTIN_GUARDS
from flinfast.runtime.project import Project, ProjectFile

TREES_MAX: Final = 2  # remembered per file: as it is, and with a word at the cursor
log = logging.getLogger(__name__)

Parsed = dict[str, list[tuple[str, ast.Program]]]  # by path: texts and their trees


def parsed(source: Source, known: Parsed) -> ast.Program:
    """The tree of a file, from memory if its text was read before."""
    trees = known.setdefault(source.path, [])
    for text, tree in trees:
        if text == source.text:
            return tree
    tree, _ = parse(source)
    trees.insert(0, (source.text, tree))
    del trees[TREES_MAX:]
    return tree


class ProjectNames:
    """The names of one state of a project.

    Attributes:
        project: The files.
        table: What they declare for each other.
        files: What is known of each file, by path relative to the root.
    """

    def __init__(self, project: Project, known: Parsed) -> None:
        self.project = project
        self.table = ProjectTable(specs(), frozenset(BUILTIN_GUARDS))
        self.files: dict[str, FileNames] = {}
        self.kinds: dict[str, Kinds] = {}
        self._sources: dict[str, ProjectFile] = {f.source.path: f for f in project.files}
        self._declarations = Declarations(self.table, Report())
        self._resolved: set[str] = set()
        for file in project.files:
            names = file.pattern.names if file.pattern is not None else ()
            self.files[file.source.path] = FileNames(
                file.source,
                file.kind,
                parsed(file.source, known),
                frozenset(names),
                self.table,
                FunctionScope("file", "file level", None),
            )
        self._quietly(lambda: self._declarations.collect(self.files.values()))

    def file(self, path: str) -> FileNames | None:
        """A file with its bodies resolved, and kinds inferred; None when there is no such file."""
        file = self.files.get(path)
        if file is None:
            return None
        if path not in self._resolved:
            needed = [path, *(p for p, f in self.files.items() if f.kind in SHARED_KINDS)]
            for each in dict.fromkeys(needed):
                self._resolve(each, Resolver(self.files[each], Report(), self._declarations))
            group = [self.files[each] for each in dict.fromkeys(needed)]
            self._quietly(lambda: self.kinds.update(infer(group)))
        return file

    def all_files(self) -> Iterator[FileNames]:
        """Every file, resolved."""
        for path in self.files:
            file = self.file(path)
            assert file is not None
            yield file

    def project_file(self, path: str) -> ProjectFile | None:
        """The file as the project lists it."""
        return self._sources.get(path)

    def kinds_of(self, path: str) -> Kinds:
        """Evident kinds of the expressions of a resolved file."""
        return self.kinds.get(path) or Kinds(self.files[path])

    def with_resolver(self, path: str, make: Any) -> None:
        """Resolve a file with a resolver of the caller's own, made by `make(file, ...)`."""
        for each, file in self.files.items():
            if each != path and file.kind in SHARED_KINDS:
                self._resolve(each, Resolver(file, Report(), self._declarations))
        self._resolve(path, make(self.files[path], Report(), self._declarations))

    def _resolve(self, path: str, resolver: Resolver) -> None:
        if path not in self._resolved:
            self._resolved.add(path)
            self._quietly(resolver.run)

    def _quietly(self, step: Any) -> None:
        """Run a pass over a tree that may be half typed; what it leaves undone stays unknown."""
        try:
            step()
        except Exception:
            log.debug("analysis of a half-typed file stopped early", exc_info=True)


def chain_at(tree: ast.Node, offset: int) -> list[ast.Node]:
    """Nodes around an offset, outermost first."""
    found = [tree]
    node = tree
    while True:
        inside = [child for child in children(node) if _holds(child.span, offset)]
        if not inside:
            return found
        # Of two that touch at the offset, the one that starts there: in `a.b|(c)` that is `c`.
        node = max(inside, key=lambda child: (child.span.start, -child.span.end))
        if node in found[-1:]:
            return found
        found.append(node)


def _holds(span: Span, offset: int) -> bool:
    return span.start <= offset <= span.end


def nodes_of(tree: ast.Node, *kinds: type) -> Iterator[Any]:
    """Every node of these classes."""
    for node in walk(tree):
        if isinstance(node, kinds):
            yield node
