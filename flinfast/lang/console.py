"""One input of an interactive prompt, compiled beside a program that is compiled already.

An input is file-level code of a file of its own. Variables of earlier inputs are assigned before
its statements run and handed back after them, so they are ordinary variables in between; functions
of earlier inputs are compiled again with each one. Nothing of the program is compiled again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from msgspec import structs

from flinfast.errors import CompileError
from flinfast.lang import ast
from flinfast.lang.abi import Builtin
from flinfast.lang.compile import Kept, analyse
from flinfast.lang.diagnostic import Diagnostic
from flinfast.lang.lower import lower
from flinfast.lang.parser import parse
from flinfast.lang.program import CompiledFile, Effects, KeptState
from flinfast.lang.report import Report
from flinfast.lang.resolve_needs import FILE_LEVEL_HELP
from flinfast.lang.source import Source, Span
from flinfast.lang.symbol import FileNames, FunctionScope, ProjectTable, walk

PATH: Final = "console.flin"
# Builtins of an input. No FLIN source can name them: a space ends a name.
READ: Final = "console read"  # (name) -> the variable's value
KEEP: Final = "console keep"  # (name, value)
SHOW: Final = "console show"  # (value): what the input came to
BUILTINS: Final[Mapping[str, Builtin]] = {
    READ: Builtin(READ, ("name",), "Give the value of a variable."),
    KEEP: Builtin(KEEP, ("name", "value"), "Keep the value of a variable.", result="none"),
    SHOW: Builtin(SHOW, ("value",), "Show a value.", result="none", reads=True),
}
_START: Final = Span(0, 0)
# Faults of a text that more lines may mend; others count when they stand at its end.
_UNFINISHED: Final = frozenset({"FL002", "FL007", "FL011", "FL103"})
# A scan may take its time when a person asks once, and nobody else checks passwords here.
_QUIET: Final = frozenset({"FL220", "FL221"})
_AT_END: Final = frozenset({"FL101", "FL102", "FL116"})


@dataclass(frozen=True, slots=True)
class Names:
    """What earlier inputs have named.

    Attributes:
        variables: Names of variables.
        functions: Source of each function.
        constants: Those variables that were declared with `const`.
    """

    variables: frozenset[str] = frozenset()
    functions: tuple[tuple[str, str], ...] = ()
    constants: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Input:
    """A compiled input.

    Attributes:
        source: Its text, and below it the functions of earlier inputs.
        compiled: To be bound with an Abi that has BUILTINS; binding runs it.
        effects: What running it may do.
        names: What is named after it.
        warnings: Diagnostics that do not stop it.
    """

    source: Source
    compiled: CompiledFile
    effects: Effects
    names: Names
    warnings: tuple[Diagnostic, ...]


def is_unfinished(text: str) -> bool:
    """Whether an input goes on in the next line: a bracket, text or expression has no end yet."""
    _, diagnostics = parse(Source(PATH, text))
    end = len(text.rstrip())
    errors = [d for d in diagnostics if d.severity == "error"]
    return bool(errors) and (
        errors[0].code in _UNFINISHED
        or (errors[0].code in _AT_END and errors[0].span.start >= end - 1 and _ends_open(text))
    )


def _ends_open(text: str) -> bool:
    """Whether the last character asks for more, such as an operator."""
    last = text.rstrip()[-1:]
    return last not in "})]\"'" or text.rstrip().endswith("else")


def compile_input(text: str, names: Names, kept: KeptState) -> Input:
    """Check and compile an input.

    Args:
        text: FLIN statements, expressions and functions.
        names: What earlier inputs named.
        kept: What compiling the program left behind, see `program.compile_project`.

    Raises:
        CompileError: The input has faults.
    """
    parsed, diagnostics = parse(Source(PATH, text))
    report = Report()
    report.diagnostics.extend(diagnostics)
    _check_items(parsed, Source(PATH, text), report)
    if report.has_errors:
        raise CompileError(report.diagnostics)
    own = {i.name: i for i in parsed.items if isinstance(i, ast.FunctionDecl)}
    assigned = dict.fromkeys(_top_names(parsed))
    earlier = {n: s for n, s in names.functions if n not in own and n not in assigned}
    source, functions = _with_functions(text, earlier)
    variables = frozenset(names.variables - own.keys())
    declared = _declared(parsed)
    constants = (names.constants & variables) - declared.keys()
    items = _wrapped(parsed, variables, assigned, constants)
    tree = ast.Program(parsed.span, (*items, *functions))
    state = kept["state"]
    assert isinstance(state, Kept)
    assert state.table is not None
    file = _file(source, tree, state.table)
    analysed = analyse([file], file.table, report)
    if analysed is None:
        raise CompileError([_in_words(d) for d in report.diagnostics])
    readers, effects = analysed
    kinds = readers[source.path]
    try:
        compiled = CompiledFile(*lower(kinds, effects))
    except (RecursionError, SyntaxError, MemoryError):
        span = Span(0, len(text))
        report.error("FL009", "code is nested too deeply", source, span, "somewhere here")
        raise CompileError(report.diagnostics) from None
    texts = {name: text[item.span.start : item.span.end] for name, item in own.items()}
    named = Names(
        variables | assigned.keys(),
        tuple({**earlier, **texts}.items()),
        constants | {name for name, word in declared.items() if word == "const"},
    )
    warnings = tuple(d for d in report.diagnostics if d.code not in _QUIET)
    return Input(source, compiled, effects.of(kinds, tree), named, warnings)


def _file(source: Source, tree: ast.Program, table: ProjectTable) -> FileNames:
    own = replace(table, builtins={**table.builtins, **BUILTINS})
    scope = FunctionScope("file", "the console", None)
    return FileNames(source, "console", tree, frozenset(), own, scope)


def _with_functions(text: str, functions: Mapping[str, str]) -> tuple[Source, list[ast.Item]]:
    """The text with functions below it, and their trees, whose spans are those of that text."""
    whole = "\n".join([text, *functions.values()])
    if not functions:
        return Source(PATH, whole), []
    blank = "".join("\n" if c == "\n" else " " for c in text)
    tree, _ = parse(Source(PATH, "\n".join([blank, *functions.values()])))
    return Source(PATH, whole), [i for i in tree.items if isinstance(i, ast.FunctionDecl)]


def _check_items(tree: ast.Program, source: Source, report: Report) -> None:
    for item in tree.items:
        if not isinstance(item, ast.Statement | ast.FunctionDecl):
            word = source.text[item.span.start : item.span.end].partition("\n")[0].split()[0]
            span = Span(item.span.start, item.span.start + len(word))
            report.error(
                "FL108",
                f"`{word}` in the console",
                source,
                span,
                "belongs in a file of the project",
                help="the console takes expressions, statements and functions",
            )


def _in_words(diagnostic: Diagnostic) -> Diagnostic:
    """Wording that fits a prompt."""
    message = diagnostic.message.replace("at file level", "in the console")
    help = diagnostic.help
    if help == FILE_LEVEL_HELP:
        help = "the console has no request, session or connection"
    # What earlier inputs named is declared nowhere in this one.
    notes = tuple(note for note in diagnostic.notes if note.span != _START)
    return structs.replace(diagnostic, message=message, help=help, notes=notes)


# --- variables ----------------------------------------


def _top_names(tree: ast.Program) -> Iterator[str]:
    """Variables that statements outside of blocks assign."""
    for item in tree.items:
        if isinstance(item, ast.Assign) and isinstance(item.target, ast.Name):
            yield item.target.name
        elif isinstance(item, ast.Destructure):
            for node in walk(item.pattern):
                if isinstance(node, ast.BindPattern | ast.RestPattern):
                    yield node.name
                elif isinstance(node, ast.MapPattern) and node.rest is not None:
                    yield node.rest


def _declared(tree: ast.Program) -> dict[str, str]:
    """Variables that statements outside of blocks declare, and with which word."""
    return {
        item.target.name: item.declared
        for item in tree.items
        if isinstance(item, ast.Assign) and isinstance(item.target, ast.Name) and item.declared
    }


def _wrapped(
    tree: ast.Program,
    variables: frozenset[str],
    assigned: Mapping[str, None],
    constants: frozenset[str],
) -> list[ast.Item | ast.Statement]:
    """The items between those that bring variables and those that keep them."""
    before: list[ast.Item | ast.Statement] = [
        # Shared: a function of the prompt may assign it.
        ast.Assign(
            _START,
            _name(name),
            "=",
            _call(READ, _literal(name)),
            "const" if name in constants else "shared",
        )
        for name in sorted(variables)
    ]
    end = tree.span.end
    items = [_shown(item) if item is tree.items[-1] else item for item in tree.items]
    if tree.items and isinstance(tree.items[-1], ast.Assign):
        place = tree.items[-1].target
        if isinstance(place, ast.Name):
            items.append(_statement(_call(SHOW, _name(place.name, end)), end))
    after = [
        _statement(_call(KEEP, _literal(name), _name(name, end)), end)
        for name in sorted(variables | assigned.keys())
    ]
    return [*before, *items, *after]


def _shown(item: ast.Item | ast.Statement) -> ast.Item | ast.Statement:
    """The last item, whose value is shown when it has one."""
    if not isinstance(item, ast.ExprStatement):
        return item
    call = ast.Call(item.span, _name(SHOW), (ast.Argument(item.span, item.value),))
    return ast.ExprStatement(item.span, call)


def _statement(value: ast.Expr, at: int) -> ast.Statement:
    return ast.ExprStatement(Span(at, at), value)


def _call(function: str, *values: ast.Expr) -> ast.Expr:
    arguments = tuple(ast.Argument(_START, value) for value in values)
    return ast.Call(_START, _name(function), arguments)


def _name(name: str, at: int = 0) -> ast.Expr:
    return ast.Name(Span(at, at), name)


def _literal(text: str) -> ast.Expr:
    return ast.Literal(_START, text)
