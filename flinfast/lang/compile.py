"""The passes of the compiler, in order: parse, declare, resolve, infer kinds, effects, lower."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from flinfast.errors import CompileError
from flinfast.lang import ast
from flinfast.lang.abi import Builtin
from flinfast.lang.declare import Declarations
from flinfast.lang.diagnostic import Diagnostic
from flinfast.lang.effects import EffectAnalysis
from flinfast.lang.lower import lower
from flinfast.lang.parser import parse
from flinfast.lang.program import (
    FAULTS_MAX,
    CompiledFile,
    CompiledProgram,
    ParsedFiles,
    ProjectSource,
)
from flinfast.lang.report import Report
from flinfast.lang.resolve import Resolver
from flinfast.lang.resolve_needs import check_needs
from flinfast.lang.source import Source, Span
from flinfast.lang.symbol import FileNames, FunctionScope, FunctionSymbol, ProjectTable, depth
from flinfast.lang.types import infer

# Levels of nodes in a tree. Hand-written code has fewer than 40; each costs three Python frames
# of at most 1000 while it is compiled.
DEPTH_MAX = 160
_PLACE_ORDER = {"entities": 0, "lib": 1, "guards": 2, "middleware": 3, "route": 4}


def compile_sources(
    sources: Sequence[ProjectSource],
    *,
    builtins: Mapping[str, Builtin],
    guards: Collection[str],
    parsed: ParsedFiles | None = None,
) -> CompiledProgram:
    """See `program.compile_project`."""
    report = Report()
    table = ProjectTable(builtins, frozenset(guards))
    files: list[FileNames] = []
    kept = {} if parsed is None else dict(parsed)
    if parsed is not None:
        parsed.clear()
    for source, kind, parameters in sources:
        key = (source.path, source.text)
        trees = kept.get(key) or _parse(source)
        if parsed is not None:
            parsed[key] = trees
        file = _read(trees, kind, parameters, table, report)
        if file is None:
            table.is_complete &= kind == "route"
        else:
            files.append(file)
    program = compile_trees(files, report)
    if program is None:
        raise CompileError(_in_order(report.diagnostics, sources))
    warnings = _in_order(report.diagnostics, sources)
    return CompiledProgram(program, warnings)


def compile_trees(files: Sequence[FileNames], report: Report) -> tuple[CompiledFile, ...] | None:
    """Compile parsed files; None when there are faults, which are in the report."""
    if not files:
        return None if report.has_errors else ()
    declarations = Declarations(files[0].table, report)
    declarations.collect(files)
    for file in files:
        Resolver(file, report, declarations).run()
    check_needs(files, report)
    if report.has_errors:
        return None
    readers = infer(files)
    effects = EffectAnalysis(readers.values())
    compiled: list[CompiledFile] = []
    for file in _bind_order(files):
        try:
            compiled.append(CompiledFile(*lower(readers[file.source.path], effects)))
        except (RecursionError, SyntaxError, MemoryError):
            # Python's own compiler gives up: too deep, or too many blocks inside each other.
            _too_deep(file.source, file.tree, report)
    return None if report.has_errors else tuple(compiled)


def _parse(source: Source) -> tuple[Source, ast.Program, tuple[Diagnostic, ...]]:
    tree, diagnostics = parse(source)
    return source, tree, tuple(diagnostics)


def _read(
    trees: tuple[Source, ast.Program, tuple[Diagnostic, ...]],
    kind: str,
    parameters: tuple[str, ...],
    table: ProjectTable,
    report: Report,
) -> FileNames | None:
    """One parsed file; None when it has faults of syntax."""
    source, tree, diagnostics = trees
    report.diagnostics.extend(diagnostics)
    if any(d.severity == "error" for d in diagnostics):
        return None
    if depth(tree) > DEPTH_MAX:
        _too_deep(source, tree, report)
        return None
    scope = FunctionScope("file", "file level", None)
    return FileNames(source, kind, tree, frozenset(parameters), table, scope)


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


def _bind_order(files: Sequence[FileNames]) -> list[FileNames]:
    """Files with functions before those that use them; otherwise as they came."""
    by_path = {file.source.path: file for file in files}
    ordered: dict[str, FileNames] = {}
    entered: set[str] = set()
    for first in sorted(files, key=lambda file: _PLACE_ORDER.get(file.kind, 4)):
        pending = [(first.source.path, False)]
        while pending:
            path, is_done = pending.pop()
            if is_done:
                ordered.setdefault(path, by_path[path])
            elif path not in entered:
                entered.add(path)
                pending.append((path, True))
                pending += [(used, False) for used in sorted(_used(by_path[path]))]
    return list(ordered.values())


def _used(file: FileNames) -> set[str]:
    """Paths of other files whose functions a file uses."""
    found: set[str] = set()
    for scope in file.roots:
        for symbol, _ in scope.edges:
            if isinstance(symbol, FunctionSymbol) and symbol.source is not file.source:
                found.add(symbol.source.path)
    return found
