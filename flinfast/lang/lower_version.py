"""Loops that compute with items of lists: written twice, once for lists of ints or floats.

`total += a[i][k] * b[k][j]` is Python's own where the items of both lists are ints. That is asked
when the outermost loop begins that can be written twice: of each list that it reads items of, and
of each variable of unknown kind that it computes with. Inside, nothing can put another value into
those lists (`_keeps_lists`). The second form takes anything. A loop that may end in any turn asks
again while it runs, see `lower_for`. A loop over a list of numbers
(`lower_loop`) asks the same of lists that are made in its function.

An item may still be none, beyond the end or in the list. Its kind is "int?" then, and Python
refuses what FLIN does otherwise with none: so each statement of the first form that relies on such
an item is tried, and done again as in the second form when Python raises. Up to there it has
changed nothing: a statement changes something at its end, and calls do not occur in it. An `if` or
`while` is tried as a whole, as Python jumps best on what it has just compared: all statements in it
are tried themselves, so it is the condition that was refused.
"""

from __future__ import annotations

import ast as py
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from flinfast.lang import ast
from flinfast.lang.lower_base import Lowering, Target
from flinfast.lang.symbol import Variable, all_code, children, walk
from flinfast.lang.types import (
    ANY,
    INT,
    LIST,
    NONE,
    NUMBER,
    PYTHON_TYPES,
    SIZE_NAMES,
    TEXT,
    is_parallel,
)

_NODES_MAX: Final = 160  # of a loop that is written twice
_TWICE_NODES_MAX: Final = 60  # of an `if` or `while` that is tried as a whole
ITEM_BITS: Final = 63  # magnitude of the ints of a list when the first form starts
_TESTED: Final = frozenset({INT, NUMBER, TEXT})  # kinds of variables that it asks for
_OF_LISTS: Final = frozenset({*SIZE_NAMES, "push", "append"})
_ARITHMETIC: Final = frozenset({"+", "-", "*", "/", "%"})
_COMPUTING: Final = _ARITHMETIC | {"<", "<=", ">", ">="}
_PLAIN: Final = frozenset(
    {
        *(ast.Block, ast.ExprStatement, ast.Assign, ast.Return, ast.Break, ast.Continue, ast.For),
        *(ast.Literal, ast.Name, ast.Member, ast.Index, ast.Binary, ast.Unary, ast.Conditional),
        *(ast.IfExpr, ast.Call, ast.Argument, ast.ListLiteral, ast.ListItem, ast.RangeExpr),
        *(ast.While, ast.Destructure, ast.ListPattern, ast.BindPattern),
    }
)
_EFFECTS: Final = frozenset(
    {ast.Assign, ast.Destructure, ast.Call, ast.For, ast.While, ast.Break, ast.Continue, ast.Return}
)
# Statements that are tried as a whole; others are tried part by part.
_LEAVES: Final = frozenset({ast.ExprStatement, ast.Assign, ast.Destructure, ast.Return})


@dataclass(slots=True)
class Facts:
    """What the first form takes for granted.

    Attributes:
        leaf: Kind of the items.
        kinds: Variables and their kinds; with "?" they may be none.
        lists: Lists whose items are read -> 1, or 2 for lists of lists.
        tested: Other variables that must be of their kind when the loop starts, and the kind.
        divisors: Variables that the loop divides by and does not assign: ints above 0.
        is_nested: Whether there is a loop inside the loop.
        may_leave: Whether the loop may end before its last turn.
        is_kept: Whether the loop sets and adds no item of the lists.
    """

    leaf: str = INT
    kinds: dict[Variable, str] = field(default_factory=dict)
    lists: dict[Variable, int] = field(default_factory=dict)
    tested: dict[Variable, str] = field(default_factory=dict)
    divisors: dict[Variable, None] = field(default_factory=dict)
    is_nested: bool = False
    may_leave: bool = False
    is_kept: bool = True

    def parts(self) -> dict[Variable, str]:
        """Kinds of the items of the lists."""
        return {
            v: self.leaf if deep == 1 else f"list {self.leaf}" for v, deep in self.lists.items()
        }


# --- what a loop does ----------------------------------------


@dataclass(slots=True)
class _Loop:
    """What stands in a loop.

    Attributes:
        node: The loop.
        nodes: All nodes in it.
        given: Variables that it assigns -> expressions of the values.
        leaves: Whether it may end before its last turn.
    """

    node: ast.For | ast.While
    nodes: list[ast.Node] = field(default_factory=list)
    given: dict[Variable, list[ast.Expr]] = field(default_factory=dict)
    leaves: bool = False


def _read(self: Lowering, node: ast.For | ast.While, items: ast.Expr | None) -> _Loop | None:
    """What stands in a loop, but for the list of items; None when it cannot be written twice."""
    loop = _Loop(node)
    pending: list[tuple[ast.Node, int]] = [(node, 0)]
    while pending:
        inner, depth = pending.pop()
        is_of_items = inner is node and items is not None
        if len(loop.nodes) == _NODES_MAX or not (is_of_items or _is_plain(self, inner)):
            return None
        if not _does_again(inner):
            return None
        loop.nodes.append(inner)
        if type(inner) is ast.Return or (type(inner) is ast.Break and depth == 1):
            loop.leaves = True
        depth += isinstance(inner, ast.For | ast.While)
        pending += [(child, depth) for child in children(inner) if child is not items]
        _note_given(self, loop, inner)
    return loop


def _note_given(self: Lowering, loop: _Loop, node: ast.Node) -> None:
    if isinstance(node, ast.Assign) and isinstance(node.target, ast.Name):
        origin = self.file.compounds.get(id(node), node.value)
        loop.given.setdefault(self.file.targets[id(node)], []).append(origin)
    elif isinstance(node, ast.Destructure):
        assert isinstance(node.pattern, ast.ListPattern)
        assert isinstance(node.value, ast.ListLiteral)
        for pattern, item in zip(node.pattern.items, node.value.items, strict=True):
            variable = self.file.symbols[id(pattern)]
            assert isinstance(variable, Variable)
            loop.given.setdefault(variable, []).append(item.value)


def _is_plain(self: Lowering, node: ast.Node) -> bool:
    """Whether a node may stand in a loop that is written twice: it calls nothing that matters."""
    if type(node) not in _PLAIN or getattr(node, "label", None) is not None:
        return False
    if isinstance(node, ast.Break):
        return node.value is None
    if isinstance(node, ast.While):
        return node.pattern is None
    if isinstance(node, ast.Destructure):
        return is_parallel(node)
    if isinstance(node, ast.ListItem):
        return not node.spread
    if isinstance(node, ast.For):
        return isinstance(node.iterable, ast.RangeExpr)
    if isinstance(node, ast.Member):
        return node.name in _OF_LISTS and not node.optional and isinstance(node.target, ast.Name)
    if isinstance(node, ast.Call):
        return is_push(node)
    return not isinstance(node, ast.Name) or type(self.file.symbols.get(id(node))) is Variable


def _does_again(node: ast.Node) -> bool:
    """Whether nothing is done twice when a statement is: what it changes, it changes at its end."""
    if isinstance(node, ast.ExprStatement | ast.IfExpr | ast.Return):
        return True  # statements in branches are tried themselves
    takes_branches = False
    if isinstance(node, ast.Assign) and node.operator == "=":
        takes_branches = isinstance(node.target, ast.Name)
    return not any(
        isinstance(child, ast.Call)
        or (isinstance(child, ast.IfExpr) and not takes_branches and has_effects(child))
        for child in children(node)
    )


def has_effects(node: ast.IfExpr) -> bool:
    """Whether an `if` does more than to choose a value."""
    return any(type(inner) in _EFFECTS for inner in walk(node))


def is_push(node: ast.Call) -> bool:
    """`list.push(item)`."""
    callee = node.callee
    return (
        isinstance(callee, ast.Member)
        and callee.name in ("push", "append")
        and not callee.optional
        and isinstance(callee.target, ast.Name)
        and len(node.arguments) == 1
        and not node.arguments[0].spread
        and node.arguments[0].name is None
    )


def _is_own(variable: object) -> bool:
    """Whether nobody but the function that is written sees a variable."""
    return type(variable) is Variable and not variable.is_captured and not variable.is_file_level


def _root(self: Lowering, node: ast.Expr) -> tuple[Variable | None, int]:
    """The variable of `v[i][j]`, and the number of indexes."""
    deep = 0
    while isinstance(node, ast.Index):
        node, deep = node.target, deep + 1
    variable = self.file.symbols.get(id(node))
    return (variable if isinstance(variable, Variable) else None), deep


# --- what may be taken for granted ----------------------------------------


def facts_of(self: Lowering, node: ast.For | ast.While, item: str = "") -> Facts | None:
    """What the first form of a loop takes for granted; None when there is nothing to gain.

    Args:
        self: The file.
        node: A loop.
        item: Kind of the items if it is a loop over a list of numbers. The lists that it reads must
            be made in the function then: others hold anything as easily.
    """
    if self.has_forms or self.rows or node.label is not None:
        return None
    loop = _read(self, node, node.iterable if item and isinstance(node, ast.For) else None)
    if loop is None:
        return None
    facts = Facts(item or _leaf(loop), may_leave=loop.leaves)
    _find_lists(self, loop, facts)
    if item:
        if not facts.lists or not all(_is_made_of(self, v, item) for v in facts.lists):
            return None
        facts.kinds[self.file.bindings[id(node)][0]] = item
    elif not facts.lists and not _reads_text(self, loop):
        return None
    facts.kinds |= dict.fromkeys(facts.lists, LIST)
    _find_scalars(self, loop, facts)
    if item == NUMBER and facts.tested:
        return None  # it would ask for ints where floats are as likely
    _find_divisors(self, loop, facts)
    _find_given(self, loop, facts)
    with self.kinds.assuming(facts.kinds, facts.parts()):
        is_sound = _is_known(self, loop) and _keeps_lists(self, loop, facts)
        return facts if is_sound else None


def _leaf(loop: _Loop) -> str:
    """The kind that the items have, by the literals of the loop and of what it assigns."""
    sources = [source for variable in loop.given for source in variable.sources]
    is_float = any(
        isinstance(node, ast.Literal) and type(node.value) is float
        for node in (*loop.nodes, *sources)
    )
    return NUMBER if is_float else INT


def _find_lists(self: Lowering, loop: _Loop, facts: Facts) -> None:
    depths: dict[Variable, int] = {}
    for node in loop.nodes:
        if isinstance(node, ast.Index):
            variable, deep = _root(self, node)
            if variable is not None and _is_own(variable) and variable not in loop.given:
                depths[variable] = max(deep, depths.get(variable, 0))
    for variable, deep in depths.items():
        begins_before = variable.span.start < loop.node.span.start
        if variable.kind in (ANY, LIST) and deep <= 2 and begins_before:
            facts.lists[variable] = deep
    facts.is_nested = sum(isinstance(node, ast.For | ast.While) for node in loop.nodes) > 1


def _is_made_of(self: Lowering, variable: Variable, kind: str) -> bool:
    """Whether all lists that a variable gets are written there, and start with items of a kind."""
    return bool(variable.sources) and all(
        isinstance(source, ast.ListLiteral)
        and all(not i.spread and self.kinds.of(i.value) == kind for i in source.items)
        for source in variable.sources
    )


def _reads_text(self: Lowering, loop: _Loop) -> bool:
    return any(_is_of_text(self, node) for node in loop.nodes)


def _is_of_text(self: Lowering, node: ast.Node) -> bool:
    """Whether it is an item of a text."""
    return isinstance(node, ast.Index) and self.kinds.of(node.target) == TEXT


def _find_scalars(self: Lowering, loop: _Loop, facts: Facts) -> None:
    """Variables of unknown kind that the loop computes with and does not assign: ints."""
    for node in loop.nodes:
        sides: tuple[ast.Expr, ...] = ()
        if isinstance(node, ast.Binary) and node.operator in _COMPUTING:
            sides = (node.left, node.right)
        elif isinstance(node, ast.RangeExpr):
            sides = (node.start, node.stop)
        elif isinstance(node, ast.Index) and _root(self, node)[0] in facts.lists:
            sides = (node.key,)
        for side in sides:
            variable = self.file.symbols.get(id(side))
            if isinstance(variable, Variable) and _is_own(variable) and variable.kind == ANY:
                is_outside = variable.span.start < loop.node.span.start
                if is_outside and variable not in loop.given and variable not in facts.kinds:
                    facts.kinds[variable] = facts.tested[variable] = INT


def _find_divisors(self: Lowering, loop: _Loop, facts: Facts) -> None:
    """Ints that the loop divides by and does not assign: above 0, which is asked once."""
    for node in loop.nodes:
        if isinstance(node, ast.Binary) and node.operator == "%":
            variable = self.file.symbols.get(id(node.right))
            if isinstance(variable, Variable) and _is_own(variable) and variable not in loop.given:
                is_outside = variable.span.start < loop.node.span.start
                if is_outside and INT in (variable.kind, facts.kinds.get(variable)):
                    facts.divisors[variable] = None


def _find_given(self: Lowering, loop: _Loop, facts: Facts) -> None:
    """Variables that the loop assigns: of a kind as long as all that it gives them is."""
    wanted: dict[Variable, str] = {}
    for variable, origins in loop.given.items():
        if variable.kind != ANY or not _is_own(variable) or variable.annotation is not None:
            continue
        begins_before = variable.span.start < loop.node.span.start
        if len(origins) < variable.writes and not begins_before:
            continue  # a variable of a loop: there is nothing to ask when it starts
        known = {id(origin) for origin in origins}
        before = {self.kinds.of_origin(s) for s in variable.sources if id(s) not in known}
        kinds = before - {ANY, NONE}
        if len(kinds) < 2 and kinds <= _TESTED:
            is_of_text = any(_is_of_text(self, origin) for origin in origins)
            kind = next(iter(kinds), TEXT if is_of_text else facts.leaf)
            wanted[variable] = f"{kind}?" if NONE in before else kind
    is_settled = False
    while not is_settled:
        is_settled = True
        with self.kinds.assuming({**facts.kinds, **wanted}, facts.parts()):
            for variable, kind in list(wanted.items()):
                found = {self.kinds.of(origin) for origin in loop.given[variable]}
                sure = kind.rstrip("?")
                if not found <= {sure, f"{sure}?"}:
                    del wanted[variable]
                elif f"{sure}?" in found and kind == sure:
                    wanted[variable] = f"{sure}?"
                else:
                    continue
                is_settled = False
    facts.kinds |= wanted
    facts.tested |= {v: kind for v, kind in wanted.items() if len(loop.given[v]) < v.writes}


def _is_known(self: Lowering, loop: _Loop) -> bool:
    """Whether the kinds of all operands are known: nothing waits, or runs code of somebody else."""
    for node in loop.nodes:
        known: tuple[ast.Expr, ...] = ()
        if isinstance(node, ast.Binary):
            known = (node.left, node.right)
        elif isinstance(node, ast.Unary):
            known = (node.operand,)
        elif isinstance(node, ast.RangeExpr):
            known = (node.start, node.stop)
        elif isinstance(node, ast.Index):
            known = (node.target, node.key)
        elif isinstance(node, ast.Member):
            known = (node.target,)
        if any(self.kinds.of(operand) == ANY for operand in known):
            return False
    return True


def _keeps_lists(self: Lowering, loop: _Loop, facts: Facts) -> bool:
    """Whether all that the loop puts into lists leaves the items of each list as they are."""
    kinds = {facts.leaf, f"{facts.leaf}?"}
    for node in loop.nodes:
        value: ast.Expr
        if isinstance(node, ast.Assign) and isinstance(node.target, ast.Index):
            value = node.value
            if node.operator == "/=" or (node.operator != "=" and self.kinds.of(value) == TEXT):
                return False
            variable, deep = _root(self, node.target)
        elif isinstance(node, ast.Call):
            assert isinstance(node.callee, ast.Member)
            variable, deep = _root(self, node.callee.target)
            value, deep = node.arguments[0].value, deep + 1
        else:
            continue
        if variable is None:
            return False
        if variable in facts.lists:
            if deep != facts.lists[variable] or self.kinds.of(value) not in kinds:
                return False
            facts.is_kept = False
        elif deep > 1 or not _is_fresh(self, loop, variable):
            return False
    return True


def _is_fresh(self: Lowering, loop: _Loop, variable: Variable) -> bool:
    """Whether a list is no part of those that were there when the loop began."""
    if not variable.sources or not _is_own(variable):
        return False
    if not all(isinstance(source, ast.ListLiteral) for source in variable.sources):
        return False
    start, end = loop.node.span.start, loop.node.span.end
    if all(isinstance(s, ast.ListLiteral) and s.span.start > start for s in variable.sources):
        return True
    # Made before: nothing may have put it anywhere until the loop is over, in no turn of a loop
    # around it either.
    around = self.frame.loops[-1].start if self.frame.loops else -1
    return variable.span.start > around and all(
        place >= end for place in _bare_uses(self, variable)
    )


def _bare_uses(self: Lowering, variable: Variable) -> list[int]:
    """Where a variable is used as a whole: not for its items or size, or to add to it."""
    others: set[int] = set()
    uses: list[ast.Name] = []
    for node in all_code(self.file):
        kind = type(node)
        if isinstance(node, ast.Member):
            if node.name in _OF_LISTS:
                others.add(id(node.target))
        elif kind is ast.Index or kind is ast.Assign:
            others.add(id(node.target))  # type: ignore[attr-defined]
        elif kind is ast.Name and self.file.symbols.get(id(node)) is variable:
            uses.append(node)  # type: ignore[arg-type]
    return [use.span.start for use in uses if id(use) not in others]


# --- writing ----------------------------------------


def is_known_item(self: Lowering, node: ast.Index) -> bool:
    """Whether it is an item of a list or text of the first form, by an int."""
    if self.trial is None or self.kinds.sure(node.key) != INT:
        return False
    return self.kinds.part_of(node.target) != ""


def statement(self: Lowering, node: ast.Statement, target: Target) -> None:
    """Write a statement of the first form."""
    value = getattr(node, "value", None)
    is_leaf = type(node) in _LEAVES
    if isinstance(value, ast.IfExpr):
        is_leaf = isinstance(node, ast.Assign) and not has_effects(value)
    if is_leaf:
        tried(self, lambda: self.statement(node, target))
    else:
        self.statement(node, target)


def tests_of(self: Lowering, facts: Facts, turns: py.expr, had: py.expr | None) -> list[py.expr]:
    """What must hold when the loop starts.

    Args:
        self: The file.
        facts: What its first form takes for granted.
        turns: The range or list that it goes through.
        had: The number of turns that it has had in the second form, if it may be over at any time.
    """
    if had is None and facts.may_leave:
        had = self.const(0)
    tests: list[py.expr] = []
    for variable, kind in facts.tested.items():
        value = self.load(variable.python)
        test = self.is_exactly(value, PYTHON_TYPES[kind.rstrip("?")])
        if kind.endswith("?"):
            test = py.BoolOp(py.Or(), [self.is_none(value), test], **self.place)
        tests.append(test)
    zero = self.const(0)
    tests += [self.compare(self.load(v.python), py.Gt(), zero) for v in facts.divisors]
    wanted = self.support(f"py_{PYTHON_TYPES[facts.leaf]}")
    for variable, deep in facts.lists.items():
        value = self.load(variable.python)
        if facts.leaf == INT and deep == 1 and had is not None:
            tests.append(self.call(self.op("holds_ints"), value, had))
            continue
        parts = (self.const(deep), had or turns, self.const(facts.is_nested))
        tests.append(self.call(self.op("holds"), value, wanted, *parts))
    return tests


@contextmanager
def first_form(self: Lowering, facts: Facts) -> Iterator[list[py.stmt]]:
    """Write the form that takes the facts for granted."""
    known = self.naturals, self.bits, self.trial, self.item_bits, self.positive
    self.naturals, self.bits, self.positive = {}, {}, frozenset(facts.divisors)
    self.item_bits = ITEM_BITS if facts.is_kept and facts.leaf == INT else None
    self.trial = {variable: variable.kind for variable in facts.kinds}
    with self.kinds.assuming(facts.kinds, facts.parts()), self.captured() as body:
        yield body
    self.naturals, self.bits, self.trial, self.item_bits, self.positive = known


@contextmanager
def _second_form(self: Lowering) -> Iterator[list[py.stmt]]:
    """Write in the first form what stands there for the second."""
    trial = self.trial
    assert trial is not None
    known = self.naturals, self.bits, self.item_bits, self.positive
    self.naturals, self.bits, self.trial, self.item_bits = {}, {}, None, None
    self.positive = frozenset()
    with self.kinds.assuming(trial, None), self.captured() as body:
        yield body
    self.naturals, self.bits, self.item_bits, self.positive = known
    self.trial = trial
    self.seen_if_true = {}


def is_small(node: ast.IfExpr | ast.While) -> bool:
    """Whether an `if` or `while` is tried as a whole: Python jumps best on what it has compared.

    The statements in it are tried themselves, so it is always the condition that is refused: then
    the second form, written once more, begins with that.
    """
    return sum(1 for _ in walk(node)) <= _TWICE_NODES_MAX


def tried(self: Lowering, write: Callable[[], None]) -> None:
    """Write statements; once more for where Python refuses them, if they rely on items."""
    outer, self.is_tried = self.is_tried, False
    with self.captured() as fast:
        write()
    relies, self.is_tried = self.is_tried, outer
    if not relies:
        self.body += fast
        return
    with _second_form(self) as other:
        write()
    handler = py.ExceptHandler(self.support("py_refused"), None, other, **self.place)
    self.emit(py.Try(fast, [handler], [], [], **self.place))


def tried_value(self: Lowering, make: Callable[[], py.expr]) -> py.expr:
    """The same for a value."""
    name = self.temp()
    before = len(self.body)

    def write() -> None:
        self.emit_assign(name, make())

    tried(self, write)
    last = self.body[-1]
    if len(self.body) == before + 1 and isinstance(last, py.Assign):  # it relies on none
        self.body.pop()
        return last.value
    return self.load(name)
