"""The passes of the compiler, in order: parse, declare, resolve, infer kinds, effects, lower."""

from __future__ import annotations

import gc
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from flinfast.errors import CompileError
from flinfast.lang import ast
from flinfast.lang.abi import Builtin
from flinfast.lang.check_methods import check_methods
from flinfast.lang.check_queries import check_queries
from flinfast.lang.check_types import check_types
from flinfast.lang.check_values import check_values
from flinfast.lang.declare import Declarations
from flinfast.lang.diagnostic import Diagnostic
from flinfast.lang.effects import EffectAnalysis
from flinfast.lang.lower import lower
from flinfast.lang.parser import parse
from flinfast.lang.program import (
    FAULTS_MAX,
    CompiledFile,
    CompiledProgram,
    KeptState,
    ProjectSource,
)
from flinfast.lang.report import Report
from flinfast.lang.resolve import Resolver
from flinfast.lang.resolve_needs import check_needs
from flinfast.lang.source import Source, Span
from flinfast.lang.symbol import FileNames, FunctionScope, FunctionSymbol, ProjectTable, depth
from flinfast.lang.types import Kinds, infer

_PLACE_ORDER: Final = {"entities": 0, "lib": 1, "guards": 2, "middleware": 3, "route": 4}
_SHARED_ITEMS: Final = (ast.EntityDecl, ast.EnumDecl, ast.TypeAlias)


@dataclass(slots=True)
class ParsedFile:
    """A file, its tree and its faults of syntax."""

    source: Source
    tree: ast.Program
    diagnostics: tuple[Diagnostic, ...]

    @property
    def is_whole(self) -> bool:
        """Whether the tree holds everything that stands in the file."""
        return all(d.severity != "error" for d in self.diagnostics)

    @property
    def declares_types(self) -> bool:
        """Whether other files see something of it, whatever its kind."""
        return any(isinstance(item, _SHARED_ITEMS) for item in self.tree.items)


@dataclass(slots=True)
class CheckedFile:
    """A compiled file without faults, with what is needed to compile others beside it."""

    names: FileNames
    compiled: CompiledFile
    warnings: tuple[Diagnostic, ...]


@dataclass(slots=True)
class Kept:
    """What one compilation leaves for the next.

    Attributes:
        parsed: By (path, text).
        shared: Everything that all files share; when it is the same, so is the table.
        table: The table of that compilation, when it had no faults.
        checked: Its files, by (path, text, parameters).
    """

    parsed: dict[tuple[str, str], ParsedFile] = field(default_factory=dict)
    shared: object = None
    table: ProjectTable | None = None
    checked: dict[tuple[str, str, tuple[str, ...]], CheckedFile] = field(default_factory=dict)


def compile_sources(
    sources: Sequence[ProjectSource],
    *,
    builtins: Mapping[str, Builtin],
    guards: Collection[str],
    kept: KeptState | None = None,
) -> CompiledProgram:
    """See `program.compile_project`."""
    with _uncollected():
        return _compile(sources, builtins, guards, kept)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Run without the cyclic garbage collector, which finds nothing in trees that all stay alive.

    A sixth of the time of a compilation otherwise.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _compile(
    sources: Sequence[ProjectSource],
    builtins: Mapping[str, Builtin],
    guards: Collection[str],
    kept: KeptState | None,
) -> CompiledProgram:
    state: Kept = Kept() if kept is None else kept.setdefault("state", Kept())
    parsed = [_parsed(source, state) for source, _, _ in sources]
    state.parsed = {(p.source.path, p.source.text): p for p in parsed}
    report = Report()
    shared = _shared(sources, parsed, builtins, guards)
    if state.shared != shared:
        state.table, state.checked = None, {}
    table = state.table or ProjectTable(builtins, frozenset(guards))
    table.is_complete = all(
        file.is_whole or kind == "route" for file, (_, kind, _) in zip(parsed, sources, strict=True)
    )
    found: list[CheckedFile | FileNames] = []
    for file, (_, kind, parameters) in zip(parsed, sources, strict=True):
        known = state.checked.get((file.source.path, file.source.text, parameters))
        report.diagnostics.extend(file.diagnostics if known is None else known.warnings)
        if known is not None:
            found.append(known)
        elif file.is_whole:
            scope = FunctionScope("file", "file level", None)
            names = frozenset(parameters)
            found.append(FileNames(file.source, kind, file.tree, names, table, scope))
    checked = _check(found, table, report)
    if checked is None:  # what was kept stays: the next version may have no faults
        raise CompileError(_in_order(report.diagnostics, sources))
    keys = [(source.path, source.text, parameters) for source, _, parameters in sources]
    state.shared, state.table = shared, table
    state.checked = dict(zip(keys, checked, strict=True))
    files = tuple(each.compiled for each in _bind_order(checked))
    return CompiledProgram(files, _in_order(report.diagnostics, sources))


def _parsed(source: Source, state: Kept) -> ParsedFile:
    known = state.parsed.get((source.path, source.text))
    if known is not None:
        return known
    tree, diagnostics = parse(source)
    return ParsedFile(source, tree, tuple(diagnostics))


def _shared(
    sources: Sequence[ProjectSource],
    parsed: Sequence[ParsedFile],
    builtins: Mapping[str, Builtin],
    guards: Collection[str],
) -> object:
    """What the compilation of every file depends on."""
    files = [
        (source.path, kind, source.text)
        for file, (source, kind, _) in zip(parsed, sources, strict=True)
        if kind != "route" or file.declares_types
    ]
    return (files, dict(builtins), frozenset(guards))


def _check(
    found: Sequence[CheckedFile | FileNames], table: ProjectTable, report: Report
) -> list[CheckedFile] | None:
    """Compile the files that are not compiled yet; None when there are faults."""
    fresh = [file for file in found if isinstance(file, FileNames)]
    compiled = compile_trees(fresh, table, report)
    if compiled is None:
        return None
    made = iter(compiled)
    warnings: dict[str, list[Diagnostic]] = {}
    for diagnostic in report.diagnostics:
        warnings.setdefault(diagnostic.source.path, []).append(diagnostic)
    checked: list[CheckedFile] = []
    for file in found:
        if isinstance(file, FileNames):
            mine = tuple(warnings.get(file.source.path, ()))
            checked.append(CheckedFile(file, next(made), mine))
        else:
            checked.append(file)
    return checked


def analyse(
    files: Sequence[FileNames], table: ProjectTable, report: Report
) -> tuple[dict[str, Kinds], EffectAnalysis] | None:
    """Resolve and check parsed files; kinds by path and effects, None when there are faults."""
    declarations = Declarations(table, report)
    declarations.collect(files)
    for file in files:
        try:
            Resolver(file, report, declarations).run()
        except RecursionError:  # the parser limits depth, but not what a host leaves of the stack
            _too_deep(file.source, file.tree, report)
    check_needs(files, report)
    readers = infer(files)
    check_types(readers.values(), report)
    check_methods(readers.values(), report)
    if report.has_errors:
        return None
    check_queries(readers.values(), report)
    check_values(readers.values(), report)
    return readers, EffectAnalysis(readers.values())


def compile_trees(
    files: Sequence[FileNames], table: ProjectTable, report: Report
) -> list[CompiledFile] | None:
    """Compile parsed files; None when there are faults, which are in the report."""
    analysed = analyse(files, table, report)
    if analysed is None:
        return None
    readers, effects = analysed
    compiled: list[CompiledFile] = []
    for file in files:
        try:
            compiled.append(CompiledFile(*lower(readers[file.source.path], effects)))
        except (RecursionError, SyntaxError, MemoryError):
            # Python's own compiler gives up: too deep, or too many blocks inside each other.
            _too_deep(file.source, file.tree, report)
    return None if report.has_errors else compiled


def _too_deep(source: Source, tree: ast.Program, report: Report) -> None:
    deepest = max(tree.items, key=depth, default=tree)
    start = deepest.span.start
    report.error(
        "FL009",
        "code is nested too deeply",
        source,
        Span(start, start + 1),
        "somewhere below",
        help="move inner parts into functions or variables",
    )


def _in_order(
    diagnostics: Sequence[Diagnostic], sources: Sequence[ProjectSource]
) -> tuple[Diagnostic, ...]:
    """Diagnostics by file and place, errors only if there are too many."""
    places = {source.path: place for place, (source, _, _) in enumerate(sources)}
    ordered = sorted(diagnostics, key=lambda d: (places.get(d.source.path, 0), d.span.start))
    if len(ordered) > FAULTS_MAX:
        ordered = [d for d in ordered if d.severity == "error"] or ordered
    return tuple(ordered[:FAULTS_MAX])


def _bind_order(files: Sequence[CheckedFile]) -> list[CheckedFile]:
    """Files with functions before those that use them; otherwise as they came."""
    by_path = {file.names.source.path: file for file in files}
    ordered: dict[str, CheckedFile] = {}
    entered: set[str] = set()
    for first in sorted(files, key=lambda file: _PLACE_ORDER.get(file.names.kind, 4)):
        pending = [(first.names.source.path, False)]
        while pending:
            path, is_done = pending.pop()
            if is_done:
                ordered.setdefault(path, by_path[path])
            elif path not in entered:
                entered.add(path)
                pending.append((path, True))
                pending += [(used, False) for used in sorted(_used(by_path[path].names))]
    return list(ordered.values())


def _used(file: FileNames) -> set[str]:
    """Paths of other files whose functions a file uses."""
    found: set[str] = set()
    for scope in file.roots:
        for symbol, _ in scope.edges:
            if isinstance(symbol, FunctionSymbol) and symbol.source is not file.source:
                found.add(symbol.source.path)
    return found
