"""Functions written twice: once for arguments of the kinds that calls in their file give them.

`fn safe(cols, row) { for r in 0..row { ... } }` is called with a list and an int, or computes with
`row`: its special form takes that for granted, and so do the calls in it. Calls whose arguments
evidently fit go to the special form; everything else goes to the function itself, which looks at
the classes of its arguments once and passes them on if they fit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from flinfast.lang import ast
from flinfast.lang.program import TypeInfo
from flinfast.lang.symbol import (
    FileNames,
    FunctionSymbol,
    Special,
    Variable,
    code_nodes,
    extent_of,
)
from flinfast.lang.types import (
    ANY,
    INT,
    LIST,
    MAP,
    NUMBER,
    TEXT,
    UNSEEN,
    Kinds,
    annotated,
    has_parts,
    join,
)

_NODES_MAX: Final = 240  # of a function that is written twice
_ROUNDS_MAX: Final = 4  # in which kinds of arguments are found through one another
_TRIES_MAX: Final = 8  # in which forms that do not hold are dropped; then there are none
_ARGUMENTS: Final = frozenset({INT, NUMBER, TEXT, LIST, MAP})
_COMPUTING: Final = frozenset({"+", "-", "*", "%", "<", "<=", ">", ">="})
# What a function may hold: nothing that is a function itself, or asks the database.
_PLAIN: Final = frozenset(
    {
        *(ast.FunctionDecl, ast.Parameter, ast.Block, ast.ExprStatement, ast.Assign, ast.Return),
        *(ast.Break, ast.Continue, ast.For, ast.While, ast.RangeExpr, ast.Slice, ast.TypeRef),
        *(ast.Literal, ast.Name, ast.Member, ast.Index, ast.Binary, ast.Unary, ast.Conditional),
        *(ast.IfExpr, ast.Call, ast.Argument, ast.ListLiteral, ast.ListItem, ast.MapLiteral),
        *(ast.MapEntry, ast.Interpolation, ast.Destructure, ast.ListPattern, ast.MapPattern),
        *(ast.MapPatternItem, ast.BindPattern),
    }
)


@dataclass(slots=True)
class _Candidate:
    """A function that may be written twice.

    Attributes:
        symbol: The function.
        parameters: Its parameters.
        calls: Its calls in the file.
        nodes: What stands in it.
        again: Ids of the names by which it may come back to itself, through others or directly.
        inner: Its other variables of unknown kind.
        kinds: Kinds of parameters that its special form takes for granted.
    """

    symbol: FunctionSymbol
    parameters: list[Variable]
    calls: list[ast.Call]
    nodes: list[ast.Node]
    again: set[int] = field(default_factory=set)
    inner: list[Variable] = field(default_factory=list)
    kinds: dict[Variable, str] = field(default_factory=dict)


def find_specials(kinds: Kinds, calls: dict[FunctionSymbol, list[ast.Call]]) -> None:
    """Find the functions of a file that get a special form, and what is known in it.

    Args:
        kinds: Kinds of the file; gets the special forms.
        calls: Functions that may have one, and all calls of them in the file.
    """
    found = [c for symbol, of in calls.items() for c in _candidates(kinds.file, symbol, of)]
    if not found:
        return
    _find_kinds(kinds, found)
    found = [candidate for candidate in found if candidate.kinds]
    if found:
        _find_inner(kinds.file, found)
        _find_again(kinds.file, found)
    for _ in range(_TRIES_MAX):
        kinds.specials = {c.symbol: _special(c) for c in found}
        wrong = _infer(kinds, found)
        for candidate in found:
            for variable in wrong:
                candidate.kinds.pop(variable, None)
        fitting = [c for c in found if c.kinds and _is_called(kinds, c)]
        if not wrong and len(fitting) == len(found):
            break
        found = fitting
    else:
        kinds.specials = {}
    if kinds.specials:
        kinds.freeze()  # what calls give is another kind now


def _candidates(
    file: FileNames, symbol: FunctionSymbol, calls: list[ast.Call]
) -> Iterator[_Candidate]:
    """The function, if it can be written twice."""
    declaration = symbol.declaration
    if any(p.rest or p.default is not None for p in declaration.parameters):
        return
    parameters = [file.bindings[id(p)][0] for p in declaration.parameters]
    if any(v.is_captured or not _is_evident(v.annotation) for v in parameters):
        return
    if all(v.kind != ANY for v in parameters):
        return
    start, end = extent_of(file, declaration)
    if end - start > _NODES_MAX:
        return
    nodes = file.code[start:end]
    is_plain = {type(node) for node in nodes} <= _PLAIN
    if is_plain and not any(id(node) in file.queries for node in nodes):
        yield _Candidate(symbol, parameters, calls, nodes)


def _is_evident(declared: TypeInfo | None) -> bool:
    """Whether a kind says as much as a declared type, whose check calls may pass by then."""
    return declared is None or (annotated(declared) != UNSEEN and not has_parts(declared))


# --- kinds of arguments ----------------------------------------


def _find_kinds(kinds: Kinds, found: list[_Candidate]) -> None:
    """What calls give, or else what a function computes with."""
    for _ in range(_ROUNDS_MAX):
        assumed = {v: kind for c in found for v, kind in c.kinds.items()}
        count = len(assumed)
        with kinds.assuming(assumed):
            for candidate in found:
                used = _kinds_by_use(kinds, candidate)
                for place, variable in enumerate(candidate.parameters):
                    given = _kinds_by_calls(kinds, candidate, place)
                    kind = next(iter(given)) if len(given) == 1 else used.get(variable, ANY)
                    if variable.kind == ANY and kind in _ARGUMENTS and len(given) < 2:
                        candidate.kinds.setdefault(variable, kind)
        if sum(len(c.kinds) for c in found) == count:
            return


def _kinds_by_calls(kinds: Kinds, candidate: _Candidate, place: int) -> set[str]:
    given = {
        kinds.of(call.arguments[place].value)
        for call in candidate.calls
        if place < len(call.arguments)
    }
    return given - {ANY, UNSEEN}


def _kinds_by_use(kinds: Kinds, candidate: _Candidate) -> dict[Variable, str]:
    """Parameters that are counted with, or are read at a place that is counted."""
    found: dict[Variable, str] = {}

    def note(node: ast.Expr, kind: str) -> None:
        variable = kinds.file.symbols.get(id(node))
        if type(variable) is Variable and variable in candidate.parameters:
            found.setdefault(variable, kind)

    for node in candidate.nodes:
        if type(node) is ast.Binary and node.operator in _COMPUTING:
            if kinds.of(node.right) == INT:
                note(node.left, INT)
            if kinds.of(node.left) == INT:
                note(node.right, INT)
        elif type(node) is ast.RangeExpr:
            note(node.start, INT)
            note(node.stop, INT)
        elif type(node) is ast.Index:
            if kinds.of(node.key) == INT:
                note(node.target, LIST)
            if kinds.of(node.target) == LIST:
                note(node.key, INT)
    return found


# --- what follows from them ----------------------------------------


def _special(candidate: _Candidate) -> Special:
    arguments = tuple(
        candidate.kinds.get(variable, UNSEEN if variable.kind == ANY else variable.kind)
        for variable in candidate.parameters
    )
    return Special(arguments, dict(candidate.kinds))


def _find_inner(file: FileNames, found: list[_Candidate]) -> None:
    of_scope = {id(file.scopes[id(c.symbol.declaration)]): c for c in found}
    for variable in file.variables:
        candidate = of_scope.get(id(variable.function))
        if candidate is None or variable.kind != ANY or variable.annotation is not None:
            continue
        if not variable.is_captured and variable not in candidate.parameters:
            candidate.inner.append(variable)


def _infer(kinds: Kinds, found: list[_Candidate]) -> list[Variable]:
    """Settle the kinds of variables and results of special forms.

    Returns:
        Parameters that do not keep the kind of the argument.
    """
    specials = kinds.specials
    inner = [variable for c in found for variable in c.inner]
    order = list(found)
    assumed = {v: kind for c in found for v, kind in c.kinds.items()}
    is_declared = {c.symbol for c in found if c.symbol.kind != ANY}
    for symbol in is_declared:
        specials[symbol].result = symbol.kind
    with kinds.assuming({**assumed, **dict.fromkeys(inner, UNSEEN)}), kinds.undecided():
        is_settled = False
        while not is_settled:
            is_settled = True
            inner.reverse()  # chains of calls settle soon in one direction or the other
            order.reverse()
            for variable in inner:
                kind = variable.kind
                for origin in variable.sources:
                    kind = join(kind, kinds.of_origin(origin))
                if kind != variable.kind:
                    variable.kind, is_settled = kind, False
            for candidate in order:
                special = specials[candidate.symbol]
                if candidate.symbol in is_declared:
                    continue
                kind = special.result
                for origin in candidate.symbol.results:
                    kind = join(kind, kinds.of_origin(origin))
                if kind != special.result:
                    special.result, is_settled = kind, False
        wrong = [v for v in assumed if not _keeps(kinds, v)]
        for candidate in found:
            special = specials[candidate.symbol]
            special.result = special.result or ANY
            special.kinds |= {v: v.kind or ANY for v in candidate.inner}
    return wrong


def _keeps(kinds: Kinds, variable: Variable) -> bool:
    """Whether all that a parameter is assigned is of its kind."""
    return all(kinds.of_origin(origin) == variable.kind for origin in variable.sources[1:])


def _find_again(file: FileNames, found: list[_Candidate]) -> None:
    """Find the uses of each function in those that it reaches: it is on the stack already there."""
    uses: dict[FunctionSymbol, list[tuple[FunctionSymbol, int]]] = {}
    for symbol in file.functions.values():
        uses[symbol] = own = []
        for node in code_nodes(file, symbol.declaration):
            used = file.symbols.get(id(node))
            if type(used) is FunctionSymbol and type(node) is ast.Name:
                own.append((used, id(node)))
    for candidate in found:
        reached, pending = {candidate.symbol}, [candidate.symbol]
        while pending:
            for used, name in uses.get(pending.pop(), ()):
                if used is candidate.symbol:
                    candidate.again.add(name)
                elif used not in reached:
                    reached.add(used)
                    pending.append(used)


def _is_called(kinds: Kinds, candidate: _Candidate) -> bool:
    """Whether some call goes to the special form, and each by which it may come back to itself.

    A call that does not takes two frames of Python, and recursion would go half as deep.
    """
    assumed = {v: kind for s in kinds.specials.values() for v, kind in s.kinds.items()}
    with kinds.assuming(assumed):
        fits = {
            id(c.callee) for c in candidate.calls if kinds.special(c, candidate.symbol) is not None
        }
    return bool(fits) and candidate.again <= fits
