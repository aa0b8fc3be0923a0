"""Lambdas that only the variable holds which they are given to: their calls are all known."""

from __future__ import annotations

from flinfast.lang import ast
from flinfast.lang.symbol import FileNames, Origin, Variable, all_code

_NONE = "none"  # kind of an argument that is missing


def own_lambdas(file: FileNames) -> list[tuple[Variable, ast.Expr]]:
    """Variables that hold one lambda which is only ever called, and the expression it gives.

    All that its parameters get is known then: their sources become the arguments of the calls.
    """
    calls: dict[Variable, list[ast.Call]] = {}
    lambdas: dict[Variable, ast.Lambda] = {}
    for variable in file.variables:
        origin = variable.sources[0] if variable.writes == 1 and variable.sources else None
        if isinstance(origin, ast.Lambda) and not variable.is_late:
            lambdas[variable], calls[variable] = origin, []
    if not lambdas:
        return []
    for node in all_code(file):
        if type(node) is ast.Call:
            symbol = file.symbols.get(id(node.callee))
            if type(symbol) is Variable and symbol in calls:
                calls[symbol].append(node)
    found: list[tuple[Variable, ast.Expr]] = []
    for variable, origin in lambdas.items():
        if len(calls[variable]) == variable.reads and _fit(origin, calls[variable]):
            _take_arguments(file, origin, calls[variable])
            if not isinstance(origin.body, ast.Block):
                found.append((variable, origin.body))
    return found


def _fit(function: ast.Lambda, calls: list[ast.Call]) -> bool:
    """Whether arguments stand where the parameters are."""
    if any(p.rest or p.default is not None for p in function.parameters):
        return False
    return all(
        len(call.arguments) <= len(function.parameters)
        and not any(a.spread or a.name is not None for a in call.arguments)
        for call in calls
    )


def _take_arguments(file: FileNames, function: ast.Lambda, calls: list[ast.Call]) -> None:
    for place, parameter in enumerate(function.parameters):
        given: list[Origin] = [
            call.arguments[place].value if place < len(call.arguments) else _NONE for call in calls
        ]
        variable = file.bindings[id(parameter)][0]
        variable.sources = [*given, *variable.sources[1:]]  # the first stood for all of them
