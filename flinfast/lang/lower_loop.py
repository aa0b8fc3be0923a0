"""Loops over items of unknown kind whose body computes with them: written twice.

Most such lists hold ints, floats where the body computes with floats, texts where it asks for
their length and such or has entries of a map by them, or lists where it reads items of the items
by their place. The first form takes that for granted and needs no tests in its body; it runs when
the class of all items, which the runtime gives together with their snapshot, is that one, and
variables that the body assigns to hold what it keeps in them. The second form takes any.
"""

from __future__ import annotations

import ast as py
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

from flinfast.lang import ast
from flinfast.lang.lower_base import Lowering
from flinfast.lang.lower_method import is_of_text
from flinfast.lang.symbol import Variable, walk
from flinfast.lang.types import ANY, INT, LIST, MAP, NONE, NUMBER, PYTHON_TYPES, TEXT

_NODES_MAX: Final = 60  # of a body that is written twice
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


_TAKING: Final = _PLAIN | {ast.Destructure, ast.ListPattern, ast.BindPattern}
_KEPT: Final = frozenset({INT, NUMBER, TEXT, MAP})  # kinds that variables may stay of


_NONE: Final[Mapping[Variable, str]] = {}


@dataclass(frozen=True, slots=True)
class Assumed:
    """What holds values of evident kinds while the items of a loop do.

    Attributes:
        item: Python type of the items.
        kinds: Variables, the item among them, and their kinds.
        tested: Python types of those that must hold such when the loop starts.
        optional: Variables that hold such or none, if they do when the loop starts.
    """

    item: str
    kinds: dict[Variable, str]
    tested: dict[Variable, str]
    optional: dict[Variable, str]

    @property
    def number(self) -> str:
        """Kind of the items if they are numbers, or ""."""
        return {"int": INT, "float": NUMBER}.get(self.item, "")


def assumed_of(self: Lowering, node: ast.For) -> Assumed | None:
    """What a form for items of one kind may take for granted.

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
    is_text = any(_asks_text(self, inner, item) for inner in nodes)
    if not is_text and not any(_computes_with(self, inner, item) for inner in nodes):
        is_text = any(_is_key(self, inner, item) for inner in nodes)
    takes_apart = any(type(inner) is ast.Destructure for inner in nodes)
    if takes_apart or not is_text:
        if any(_takes_item(self, inner, item) for inner in nodes):
            return Assumed("list", {item: LIST}, {}, {})
        if takes_apart:
            return None
    if not is_text and not any(_computes_with(self, inner, item) for inner in nodes):
        return None
    given: dict[Variable, list[ast.Expr]] = {}
    for inner in nodes:
        if isinstance(inner, ast.Assign) and isinstance(inner.target, ast.Name):
            origin = self.file.compounds.get(id(inner), inner.value)
            given.setdefault(self.file.targets[id(inner)], []).append(origin)
    is_float = any(_is_float(inner) for inner in nodes) or _adds_to_float(given)
    kind = TEXT if is_text else NUMBER if is_float else INT
    beside = {} if is_text else _computed_beside(self, nodes, item, given)
    found = kept(self, item, kind, given, dict.fromkeys(beside, kind))
    return replace(found, tested={**found.tested, **dict.fromkeys(beside, PYTHON_TYPES[kind])})


def _is_plain(node: ast.Node) -> bool:
    if isinstance(node, ast.Break | ast.Continue):
        return node.label is None and getattr(node, "value", None) is None
    return type(node) in _TAKING and not (isinstance(node, ast.Member) and node.optional)


def _takes_item(self: Lowering, node: ast.Node, item: Variable) -> bool:
    """Whether it reads an item of the item by its place, as of a list."""
    if isinstance(node, ast.Index):
        is_at_place = self.kinds.of(node.key) == INT
        return is_at_place and self.file.symbols.get(id(node.target)) is item
    if not isinstance(node, ast.Destructure) or not isinstance(node.pattern, ast.ListPattern):
        return False
    return self.file.symbols.get(id(node.value)) is item


def _computes_with(self: Lowering, node: ast.Node, item: Variable) -> bool:
    if isinstance(node, ast.Assign):
        compound = self.file.compounds.get(id(node))
        return compound is not None and _computes_with(self, compound, item)
    if not isinstance(node, ast.Binary) or node.operator not in _COMPUTING:
        return False
    return any(self.file.symbols.get(id(side)) is item for side in (node.left, node.right))


def _computed_beside(
    self: Lowering, nodes: list[ast.Node], item: Variable, given: dict[Variable, list[ast.Expr]]
) -> dict[Variable, None]:
    """Variables of unknown kind that meet the item in a computation, and stay as they are."""
    found: dict[Variable, None] = {}
    for node in nodes:
        if isinstance(node, ast.Binary) and node.operator in _COMPUTING:
            sides = [self.file.symbols.get(id(side)) for side in (node.left, node.right)]
            for variable in sides if item in sides else ():
                if type(variable) is Variable and variable is not item and variable not in given:
                    is_own = not variable.is_captured and not variable.is_file_level
                    if variable.kind == ANY and is_own:
                        found[variable] = None
    return found


def _asks_text(self: Lowering, node: ast.Node, item: Variable) -> bool:
    """Whether it is a property of the item that a text has and a map hardly."""
    return (
        isinstance(node, ast.Member)
        and is_of_text(node.name)
        and self.file.symbols.get(id(node.target)) is item
    )


def _is_key(self: Lowering, node: ast.Node, item: Variable) -> bool:
    """Whether the item is the key of an entry of a map."""
    return (
        isinstance(node, ast.Index)
        and self.file.symbols.get(id(node.key)) is item
        and self.kinds.of(node.target) == MAP
    )


def kept(
    self: Lowering,
    item: Variable,
    kind: str,
    given: dict[Variable, list[ast.Expr]],
    others: Mapping[Variable, str] = _NONE,
) -> Assumed:
    """Variables that stay of a kind if the items are of one, as far as they are given values.

    Args:
        self: The file.
        item: The loop variable.
        kind: Its kind.
        given: Variables that the body assigns -> expressions of the values.
        others: Kinds of variables that it does not assign.
    """
    fixed = {item: kind, **others}
    wanted: dict[Variable, str] = {}
    optional: dict[Variable, str] = {}
    for variable, inside in given.items():
        before = _kinds_before(self, variable, inside)
        found = next(iter(before - {NONE}), kind)
        if len(before - {NONE}) < 2 and found in _KEPT and ANY not in before:
            (optional if NONE in before else wanted)[variable] = found
    fresh = [v for v in wanted if not _kinds_before(self, v, given[v])]
    with self.kinds.assuming({**fixed, **wanted}):
        for variable in fresh:
            first = self.kinds.of(given[variable][0])
            if first in _KEPT:
                wanted[variable] = first
    while True:
        with self.kinds.assuming({**fixed, **wanted}):
            kept = {v: k for v, k in wanted.items() if all(self.kinds.of(o) == k for o in given[v])}
            if len(kept) == len(wanted):
                optional = {
                    v: PYTHON_TYPES[k]
                    for v, k in optional.items()
                    if all(self.kinds.of(origin) in (k, NONE) for origin in given[v])
                }
                break
        wanted = kept
    tested = {v: PYTHON_TYPES[k] for v, k in wanted.items() if len(given[v]) < v.writes}
    return Assumed(PYTHON_TYPES[kind], {**fixed, **wanted}, tested, optional)


def _kinds_before(self: Lowering, variable: Variable, inside: list[ast.Expr]) -> set[str]:
    """Evident kinds of what a variable holds before a loop; ANY for one that is not our business.

    What is not evident may be of the right kind: it is tested when the loop starts.
    """
    if variable.kind != ANY or variable.is_captured or variable.is_file_level:
        return {ANY}
    if variable.annotation is not None:
        return {ANY}
    known = {id(origin) for origin in inside}
    others = {self.kinds.of_origin(s) for s in variable.sources if id(s) not in known}
    return others - {ANY}


def _is_float(node: ast.Node) -> bool:
    return isinstance(node, ast.Literal) and type(node.value) is float


def _adds_to_float(given: dict[Variable, list[ast.Expr]]) -> bool:
    """Whether a variable that the body assigns to starts as a float."""
    return any(_is_float(s) for v in given for s in v.sources if isinstance(s, ast.Literal))


# --- writing ----------------------------------------


def tests(self: Lowering, assumed: Assumed) -> list[py.expr]:
    """What must hold of variables when the loop starts."""
    found: list[py.expr] = []
    for variable, python_type in assumed.tested.items():
        found.append(self.is_exactly(self.load(variable.python), python_type))
    for variable, python_type in assumed.optional.items():
        value = self.load(variable.python)
        test = self.is_exactly(value, python_type)
        found.append(py.BoolOp(py.Or(), [self.is_none(value), test], **self.place))
    return found


@contextmanager
def fresh_facts(self: Lowering, assumed: Assumed) -> Iterator[None]:
    """Forget what follows from other kinds than those assumed."""
    known = self.naturals, self.bits, self.optional
    optional = {v.python: python_type for v, python_type in assumed.optional.items()}
    self.naturals, self.bits, self.optional = {}, {}, optional
    yield
    self.naturals, self.bits, self.optional = known
