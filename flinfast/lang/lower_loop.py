"""Loops over items of unknown kind whose body computes with them: written twice.

Most such lists hold ints. The first form takes that for granted and needs no tests in its body;
it runs when the class of all items, which the runtime gives together with their snapshot, is int.
The second form takes any.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from flinfast.lang import ast
from flinfast.lang.lower_base import Lowering
from flinfast.lang.symbol import Variable, walk
from flinfast.lang.types import ANY, INT, NONE

_NODES_MAX: Final = 60  # of a body that is written twice
_INTS: Final = frozenset({INT, ANY})
_COMPUTING: Final = frozenset({"+", "-", "*", "<", "<=", ">", ">="})
# What a body may hold: nothing that jumps elsewhere, is a function, or is given a name beforehand.
_PLAIN: Final = frozenset(
    {
        *(ast.Block, ast.ExprStatement, ast.Assign, ast.Return, ast.Break, ast.Continue),
        *(ast.Literal, ast.Name, ast.Member, ast.Index, ast.Binary, ast.Unary, ast.Conditional),
        *(ast.IfExpr, ast.Interpolation, ast.Call, ast.Argument, ast.ListLiteral, ast.ListItem),
        *(ast.MapLiteral, ast.MapEntry),
    }
)


@dataclass(frozen=True, slots=True)
class Ints:
    """What holds ints while the items of a loop do.

    Attributes:
        assumed: The item and other variables.
        tested: Those of them that must hold ints when the loop starts.
        optional: Variables that hold an int or none, if they do when the loop starts.
    """

    assumed: tuple[Variable, ...]
    tested: tuple[Variable, ...]
    optional: tuple[Variable, ...]


def ints_of(self: Lowering, node: ast.For) -> Ints | None:
    """What a form for ints may take for granted.

    Returns:
        None when such a form would gain nothing, or the body cannot be written twice.
    """
    variables = self.file.bindings[id(node)]
    if len(variables) != 1 or node.label is not None:
        return None
    item = variables[0]
    if item.kind != ANY or item.is_captured or item.writes != 1:
        return None
    nodes: list[ast.Node] = []
    for inner in walk(node.body):
        nodes.append(inner)
        if len(nodes) > _NODES_MAX or not _is_plain(inner):
            return None
    if not any(_computes_with(self, inner, item) for inner in nodes):
        return None
    return _kept_int(self, item, nodes)


def _is_plain(node: ast.Node) -> bool:
    if isinstance(node, ast.Break | ast.Continue):
        return node.label is None and getattr(node, "value", None) is None
    return type(node) in _PLAIN and not (isinstance(node, ast.Member) and node.optional)


def _computes_with(self: Lowering, node: ast.Node, item: Variable) -> bool:
    if isinstance(node, ast.Assign):
        compound = self.file.compounds.get(id(node))
        return compound is not None and _computes_with(self, compound, item)
    if not isinstance(node, ast.Binary) or node.operator not in _COMPUTING:
        return False
    return any(self.file.symbols.get(id(side)) is item for side in (node.left, node.right))


def _kept_int(self: Lowering, item: Variable, nodes: list[ast.Node]) -> Ints:
    """Variables that stay ints if they are ints, as far as these nodes assign to them."""
    given: dict[Variable, list[ast.Expr]] = {}
    for node in nodes:
        if isinstance(node, ast.Assign) and isinstance(node.target, ast.Name):
            origin = self.file.compounds.get(id(node), node.value)
            given.setdefault(self.file.targets[id(node)], []).append(origin)
    found = [v for v, inside in given.items() if _may_be(self, v, inside, _INTS)]
    while True:
        with self.kinds.assuming((item, *found)):
            kept = [v for v in found if all(self.kinds.of(o) == INT for o in given[v])]
            if len(kept) == len(found):
                optional = tuple(
                    v
                    for v, inside in given.items()
                    if v not in found
                    and _may_be(self, v, inside, _INTS | {NONE})
                    and all(self.kinds.of(origin) in (INT, NONE) for origin in inside)
                )
                break
        found = kept
    tested = tuple(v for v in found if len(given[v]) < v.writes)
    return Ints((item, *found), tested, optional)


def _may_be(
    self: Lowering, variable: Variable, inside: list[ast.Expr], kinds: frozenset[str]
) -> bool:
    """Whether a variable may be of certain kinds only, for all that is known of other values."""
    if variable.kind != ANY or variable.is_captured or variable.is_file_level:
        return False
    known = {id(origin) for origin in inside}
    others = [s for s in variable.sources if id(s) not in known]
    return variable.annotation is None and all(
        self.kinds.of_origin(origin) in kinds for origin in others
    )
