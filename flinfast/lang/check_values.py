"""Values that go nowhere: `note.done == true`, `items.sort()`, `if !user { error(401, "no") }`.

Only expressions that can do nothing but give a value are looked at, and only where that value is
dropped: before the end of a block, at the end of a loop's body, and in branches of what is dropped.
Besides, `return 404` in a route, whose value is no status.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from flinfast.lang import ast
from flinfast.lang.abi import Builtin
from flinfast.lang.report import Report
from flinfast.lang.source import Span
from flinfast.lang.symbol import UNKNOWN, FileNames, FunctionSymbol, all_code
from flinfast.lang.types import Kinds
from flinfast.lang.vocabulary import FOREIGN

# Builtins that leave their arguments as they are.
_PURE: Final = frozenset(
    {
        *("abs", "capitalize", "ceil", "concat", "difference", "drop", "escape_html", "flatten"),
        *("floor", "format", "intersection", "join", "len", "lower", "merge", "omit", "pad_end"),
        *("pad_start", "pick", "remove_prefix", "remove_suffix", "replace", "replace_all"),
        *("reverse", "round", "slice", "slug", "sort", "split", "take", "title", "to_int"),
        *("to_json", "to_number", "to_text", "trim", "trim_end", "trim_start", "trunc"),
        *("truncate", "type_of", "union", "unique", "upper"),
    }
)
_ANSWERS: Final = frozenset({"error", "redirect"})  # builtins that make an answer
_FAULTS: Final = range(400, 600)  # statuses that a handler may mean, and hardly a number
_CHOICES: Final = frozenset({"&&", "||", "??"})  # their right side may do something


def check_values(readers: Iterable[Kinds], report: Report) -> None:
    """Warn about values that are not used by what does nothing else, and `return 404`."""
    for reader in readers:
        file = reader.file
        _check_statuses(file, report)
        for node in all_code(file):
            for value in _dropped(node):
                help = _help(file, value)
                if help is not None:
                    report.warning(
                        "FL222", "this value is not used", file.source, value.span, "", help=help
                    )


def _check_statuses(file: FileNames, report: Report) -> None:
    """Warn about `return 404` in routes, which answers 200 with a number."""
    code = all_code(file)
    found = [
        node.value
        for node in code
        if isinstance(node, ast.Return)
        and isinstance(node.value, ast.Literal)
        and type(node.value.value) is int
        and node.value.value in _FAULTS
    ]
    if not found:
        return
    routes = [item.span for item in file.tree.items if isinstance(item, ast.Route)]
    values = [node.span for node in code if isinstance(node, ast.Lambda)]
    for status in found:
        if _is_in(status.span, routes) and not _is_in(status.span, values):
            message = f"this answers 200 with the number {status.value}"
            help = f'write `return error({status.value}, "...")`'
            report.warning("FL223", message, file.source, status.span, "", help=help)


def _is_in(inner: Span, outer: Iterable[Span]) -> bool:
    return any(span.start <= inner.start and inner.end <= span.end for span in outer)


def _dropped(node: ast.Node) -> Iterator[ast.Expr]:
    statements: tuple[ast.Statement, ...] = ()
    if isinstance(node, ast.Program):
        statements = tuple(item for item in node.items if isinstance(item, ast.ExprStatement))
    elif isinstance(node, ast.Block):
        statements = node.statements[:-1]
    elif isinstance(node, ast.For | ast.While):
        statements = node.body.statements[-1:]
    for statement in statements:
        if isinstance(statement, ast.ExprStatement):
            yield from _values(statement.value)


def _values(dropped: ast.Expr) -> Iterator[ast.Expr]:
    """What an expression that is dropped may give: itself, or the values of its branches."""
    pending: list[ast.Expr | ast.Block | None] = [dropped]
    while pending:
        value = pending.pop()
        if isinstance(value, ast.Block):
            last = value.statements[-1] if value.statements else None
            pending.append(last.value if isinstance(last, ast.ExprStatement) else None)
        elif isinstance(value, ast.IfExpr):
            pending += [value.otherwise, value.then]
        elif isinstance(value, ast.Match):
            pending += [arm.body for arm in reversed(value.arms)]
        elif value is dropped or not isinstance(value, ast.Literal | ast.Name | None):
            yield value  # a branch that does nothing has to hold something: `_ -> none`


def _help(file: FileNames, value: ast.Expr) -> str | None:
    """What was meant; None when the value is no loss."""
    if isinstance(value, ast.Binary) and value.operator not in _CHOICES:
        return "write `=` to assign" if value.operator == "==" else "assign it, or `return` it"
    if isinstance(value, ast.Unary):
        return "to go on with a sum or a condition, end the line before with the operator"
    if isinstance(value, ast.Name):
        symbol = file.symbols.get(id(value))
        if isinstance(symbol, Builtin | FunctionSymbol):
            return FOREIGN.get(value.name, f"to call it, write `{value.name}(...)`")
        return None if symbol is UNKNOWN else "assign it, or `return` it"
    if isinstance(value, ast.Literal):
        return "assign it, or `return` it"
    if isinstance(value, ast.ResponseLiteral):
        return "to answer with it, write `return response { ... }`"
    if isinstance(value, ast.Call):
        return _call_help(file, value)
    return None


def _call_help(file: FileNames, node: ast.Call) -> str | None:
    callee = node.callee
    symbol = file.symbols.get(id(callee))
    if isinstance(symbol, Builtin):
        name = symbol.name
    elif isinstance(callee, ast.Member) and symbol is None and id(node) not in file.queries:
        builtin = file.table.builtins.get(callee.name)
        name = builtin.name if builtin is not None else ""
    else:
        return None
    if name in _ANSWERS and symbol is not None:
        return f"to answer with it, write `return {name}(...)`"
    return f"`{name}` changes nothing: it gives a new value" if name in _PURE else None
