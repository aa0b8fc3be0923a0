"""Values that go nowhere: `note.done == true`, `items.sort()`, `- b` on a line of its own.

Only expressions that can do nothing but give a value are looked at, and only where that value is
dropped: before the end of a block, and at the end of a loop's body.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from flinfast.lang import ast
from flinfast.lang.abi import Builtin
from flinfast.lang.report import Report
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
_CHOICES: Final = frozenset({"&&", "||", "??"})  # their right side may do something


def check_values(readers: Iterable[Kinds], report: Report) -> None:
    """Warn about expressions whose value is not used and which do nothing else."""
    for reader in readers:
        file = reader.file
        for node in all_code(file):
            for value in _dropped(node):
                help = _help(file, value)
                if help is not None:
                    report.warning(
                        "FL222", "this value is not used", file.source, value.span, "", help=help
                    )


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
            yield statement.value


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
    return f"`{name}` changes nothing: it gives a new value" if name in _PURE else None
