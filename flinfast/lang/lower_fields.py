"""Loops over maps whose body computes with their fields: written twice.

Most lists of maps are records: all items have the same fields, and a field is of one kind.
`total += order.price * order.count` is Python's own where both are ints, `order.city` is a key
where it is a text. The first form takes that for granted. At the beginning of each turn one call
finds out whether the item has every field that the turn relies on, of the kind that it asks for;
the first item that has not, and all after it, go through the second form, which takes anything.
Where no turn can be the last before the items end, one call does so for all, as no turn changes it,
and takes their values (`lower_columns`).

An item of a list in an item counts as a field where its place is a literal: `game.goals[0]`. A
loop over a list literal of fields may stand in the body, whose variable is of their kind then.

Inside the first form nothing may change that: it calls nothing but what is known to be a builtin on
a text or list, reads nothing that may have to be fetched, sets fields of the items to values of the
kinds that they have, and others only in maps that nobody else has got (`_is_fresh`, `owned_rows`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

from flinfast.lang import ast, lower_loop
from flinfast.lang.abi import Builtin
from flinfast.lang.lower_base import Lowering
from flinfast.lang.lower_columns import Path, path_of
from flinfast.lang.lower_loop import Assumed
from flinfast.lang.lower_method import is_of_text, is_size
from flinfast.lang.owned import FieldKey, OwnedField
from flinfast.lang.owned_rows import table_of
from flinfast.lang.symbol import Variable, all_code, walk
from flinfast.lang.types import (
    ANY,
    BOOL,
    INT,
    LIST,
    MAP,
    NONE,
    NUMBER,
    PYTHON_TYPES,
    SIZE_NAMES,
    TEXT,
)

_NODES_MAX: Final = 120  # of a body that is written twice
_DEPTH_MAX: Final = 4  # members of a chain
PATHS_MAX: Final = 12  # fields that are looked at before the loop
_PLAIN: Final = frozenset(
    {
        *(ast.Block, ast.ExprStatement, ast.Assign, ast.Argument, ast.Call),
        *(ast.Continue, ast.Break, ast.Return, ast.For),
        *(ast.Literal, ast.Name, ast.Member, ast.Index, ast.Binary, ast.Unary, ast.Conditional),
        *(ast.IfExpr, ast.Interpolation, ast.ListLiteral, ast.ListItem, ast.MapLiteral),
        *(ast.MapEntry, ast.Destructure, ast.MapPattern, ast.MapPatternItem, ast.BindPattern),
    }
)
_COMPUTING: Final = frozenset({"+", "-", "*", "/", "%", "<", "<=", ">", ">="})
_ADD: Final = frozenset({"push", "append"})
_NUMERIC: Final = frozenset({INT, NUMBER})
_PRINTED: Final = "printed"  # none or a plain value: to look at it runs nobody's code
_SCALARS: Final = frozenset({INT, NUMBER, TEXT, BOOL, NONE, _PRINTED})
# Kinds of fields as `has_fields` of native/operators.pyx knows them.
_CODES: Final = {INT: 1, NUMBER: 2, TEXT: 3, LIST: 4, MAP: 5, _PRINTED: 6, "": 7}


@dataclass(slots=True)
class _Body:
    """The body of a loop.

    Attributes:
        item: The loop variable.
        start: Where the loop starts in the source.
        end: Where it ends.
        nodes: All nodes in it.
        given: Variables that it assigns -> expressions of the values.
        fields: Chains of members of the item -> the kind that is asked for.
        tested: Variables of unknown kind that must be of a kind when the loop starts.
        callees: Ids of what is called.
        uses: Places that gain from the kinds of fields.
    """

    item: Variable
    start: int
    end: int
    nodes: list[ast.Node] = field(default_factory=list)
    given: dict[Variable, list[ast.Expr]] = field(default_factory=dict)
    fields: dict[Path, str] = field(default_factory=dict)
    tested: dict[Variable, str] = field(default_factory=dict)
    callees: set[int] = field(default_factory=set)
    uses: int = 0

    def has_places(self, *, missing: bool = False) -> bool:
        """Whether items of lists are among the fields: then nothing may set items of lists.

        Args:
            missing: Only such that may be missing: then nothing may add items either.
        """
        return any(
            type(path[-1]) is int and (not missing or kind in ("", _PRINTED))
            for path, kind in self.fields.items()
        )


@dataclass(slots=True)
class Form:
    """What the first form takes for granted.

    Attributes:
        assumed: Kinds of the item and of other variables.
        fields: Fields of the item that have kinds.
        spec: What `has_fields` of the operators looks for.
        columns: Where it goes through all items unless there is a fault: fields whose values may
            be taken from all items at once -> their places in `spec`. None where it may leave.
    """

    assumed: Assumed
    fields: dict[FieldKey, OwnedField]
    spec: tuple[Any, ...]
    columns: dict[Path, int] | None = None


def form_of(self: Lowering, node: ast.For) -> Form | None:
    """What the form for maps of certain fields may take for granted.

    Returns:
        None when such a form would gain nothing, or the body cannot be written twice.
    """
    variables = self.file.bindings[id(node)]
    if len(variables) != 1 or node.label is not None or self.trial is not None:
        return None
    item = variables[0]
    if item.kind != ANY or item.is_captured or item.writes != 1:
        return None
    body = _read(self, node, item)
    if body is None:
        return None
    for place in body.nodes:
        _ask(self, body, place)
    if not body.fields or len(body.fields) > PATHS_MAX or not _add_maps(body):
        return None
    if sum(kind != "" for kind in body.fields.values()) > body.uses:
        return None  # to look at the fields would take as long as it gains
    return _settled(self, body)


def _read(self: Lowering, node: ast.For, item: Variable) -> _Body | None:
    body = _Body(item, node.span.start, node.span.end)
    for inner in walk(node.body):
        if len(body.nodes) == _NODES_MAX or type(inner) not in _PLAIN:
            return None
        if isinstance(inner, ast.Member) and inner.optional:
            return None
        if isinstance(inner, ast.ListItem | ast.Argument) and inner.spread:
            return None
        if isinstance(inner, ast.Break | ast.Continue) and inner.label is not None:
            return None
        if isinstance(inner, ast.Break) and inner.value is not None:
            return None
        if isinstance(inner, ast.MapEntry) and not isinstance(inner.key, str):
            return None
        if isinstance(inner, ast.Destructure) and not _takes_apart(self, body, inner):
            return None
        if isinstance(inner, ast.For) and not _goes_through(self, body, inner):
            return None
        body.nodes.append(inner)
        if isinstance(inner, ast.Assign) and isinstance(inner.target, ast.Name):
            origin = self.file.compounds.get(id(inner), inner.value)
            body.given.setdefault(self.file.targets[id(inner)], []).append(origin)
    return body


def _goes_through(self: Lowering, body: _Body, node: ast.For) -> bool:
    """Note what `for x in [item.a, item.b]` gives; False for what is anything else."""
    variables = self.file.bindings[id(node)]
    if (
        len(variables) != 1
        or node.label is not None
        or not isinstance(node.iterable, ast.ListLiteral)
    ):
        return False
    (variable,) = variables
    if variable.writes != 1 or not _is_own(variable) or not node.iterable.items:
        return False
    body.given[variable] = [item.value for item in node.iterable.items]
    return True


def _takes_apart(self: Lowering, body: _Body, node: ast.Destructure) -> bool:
    """Note what `{ x, y: z } = item` gives; False for what is anything else."""
    pattern = node.pattern
    if not isinstance(pattern, ast.MapPattern) or pattern.rest is not None:
        return False
    if self.file.symbols.get(id(node.value)) is not body.item:
        return False
    for entry in pattern.items:
        bound = entry.pattern
        variable = self.file.symbols.get(id(bound))
        if not isinstance(bound, ast.BindPattern) or bound.default is not None:
            return False
        if not isinstance(variable, Variable) or variable.annotation is not None:
            return False
        member = ast.Member(entry.span, node.value, entry.key, entry.span)
        self.file.made.append(member)
        body.nodes.append(member)
        body.given.setdefault(variable, []).append(member)
    return True


# --- what a body asks for ----------------------------------------


def _ask(self: Lowering, body: _Body, node: ast.Node) -> None:
    """Note what a node asks of the fields that it looks at."""
    if isinstance(node, ast.Binary):
        if node.operator in _COMPUTING:
            kind = TEXT if _is_text(node.left) or _is_text(node.right) else INT
            _want(self, body, node.left, kind)
            _want(self, body, node.right, kind)
        elif node.operator == "++":
            _want(self, body, node.left, _PRINTED)
            _want(self, body, node.right, _PRINTED)
    elif isinstance(node, ast.Assign) and node.operator != "=":
        kind = TEXT if _is_text(node.value) else INT
        _want(self, body, node.value, kind)
        _want(self, body, node.target, kind)
    elif isinstance(node, ast.Unary) and node.operator == "-":
        _want(self, body, node.operand, INT)
    elif isinstance(node, ast.Interpolation):
        for part in node.parts:
            if isinstance(part, ast.Expr):
                _want(self, body, part, _PRINTED)
    elif isinstance(node, ast.Index):
        path = path_of(self, body.item, node)
        if path:
            body.fields.setdefault(path, "")
        elif self.kinds.of(node.target) != LIST:
            _want(self, body, node.key, TEXT)
            _want(self, body, node.target, MAP)
    elif isinstance(node, ast.Call) and isinstance(node.callee, ast.Member):
        body.callees.add(id(node.callee))  # met before what it calls
        if node.callee.name in _ADD:
            _want(self, body, node.callee.target, LIST)
        elif is_of_text(node.callee.name):
            _want(self, body, node.callee.target, TEXT)
    elif isinstance(node, ast.Member) and is_size(node.name):
        _want(self, body, node.target, LIST)
    elif isinstance(node, ast.Member) and id(node) not in body.callees:
        path = path_of(self, body.item, node)
        if path:
            body.fields.setdefault(path, "")


def _is_text(node: ast.Expr) -> bool:
    return isinstance(node, ast.Interpolation) or (
        isinstance(node, ast.Literal) and isinstance(node.value, str)
    )


def _want(self: Lowering, body: _Body, node: ast.Expr, kind: str) -> None:
    path = path_of(self, body.item, node)
    if path:
        body.uses += kind != _PRINTED
        known = body.fields.get(path, "")
        if known in ("", _PRINTED) or (known == INT and kind == TEXT):
            body.fields[path] = kind
        return
    variable = self.file.symbols.get(id(node))
    if type(variable) is Variable and variable.kind == ANY and variable is not body.item:
        for origin in body.given.get(variable, ()):
            if path_of(self, body.item, origin):
                _want(self, body, origin, kind)
        is_outside = variable.span.start < body.start and variable not in body.given
        if is_outside and _is_own(variable) and kind in (MAP, INT):
            body.tested[variable] = kind


def _is_own(variable: Variable) -> bool:
    """Whether nobody but the function that is written sees a variable."""
    return not variable.is_captured and not variable.is_file_level


def _add_maps(body: _Body) -> bool:
    """Add what chains go through: maps and lists. False where they cannot."""
    for path in list(body.fields):
        if len(path) > _DEPTH_MAX:
            return False
        if len(path) > 1 and path[-1] in SIZE_NAMES and body.fields.get(path[:-1]) == LIST:
            body.fields.pop(path, None)
            path = path[:-1]
        for size in range(1, len(path)):
            kind = MAP if type(path[size]) is str else LIST
            if body.fields.get(path[:size], "") not in ("", kind):
                return False
            body.fields[path[:size]] = kind
    return True


# --- what may be taken for granted ----------------------------------------


@contextmanager
def known_fields(self: Lowering, form: Form) -> Iterator[None]:
    """Answer as if items had the fields, and variables the kinds."""
    with self.kinds.assuming(form.assumed.kinds):
        outer, self.kinds.fields = self.kinds.fields, {**self.kinds.fields, **form.fields}
        yield
        self.kinds.fields = outer


def _held(body: _Body) -> dict[FieldKey, OwnedField]:
    return {
        (body.item, ".".join(map(str, path))): OwnedField(kind=kind)
        for path, kind in body.fields.items()
        if kind not in ("", _PRINTED)
    }


def _settled(self: Lowering, body: _Body) -> Form | None:
    """Fields and variables that meet floats are floats; None if not all that is done is known."""
    while True:
        form = Form(Assumed("dict", {body.item: MAP}, {}, {}), _held(body), _spec(body))
        with known_fields(self, form):
            found = lower_loop.kept(self, body.item, MAP, body.given, body.tested)
            with self.kinds.assuming(found.kinds):
                floats = [p for p, kind in body.fields.items() if kind == INT]
                floats = [p for p in floats if _meets_float(self, body, p)]
                others = [v for v, kind in body.tested.items() if kind == INT]
                others = [v for v in others if _meets_float(self, body, v)]
                if not floats and not others:
                    is_sound = all(_is_known(self, body, node) for node in body.nodes)
                    break
        body.fields |= dict.fromkeys(floats, NUMBER)
        body.tested |= dict.fromkeys(others, NUMBER)
    if not is_sound:
        return None
    tested = {v: PYTHON_TYPES[kind] for v, kind in body.tested.items()}
    form.assumed = replace(found, tested={**found.tested, **tested})
    if not any(isinstance(node, ast.Break | ast.Return) for node in body.nodes):
        form.spec, form.columns = _columns(self, body)
    return form


def _columns(self: Lowering, body: _Body) -> tuple[tuple[Any, ...], dict[Path, int]]:
    """What to look for, and which of that may be columns: also fields that need no kind."""
    changed = {
        path[-1]
        for node in body.nodes
        if isinstance(node, ast.Assign) and (path := path_of(self, body.item, node.target))
    }
    wanted = {path for path in body.fields if path[-1] not in changed}
    order: list[Path] = []
    spec = _spec(body, wanted, order)
    return spec, {path: place for place, path in enumerate(order) if path in wanted}


def _meets_float(self: Lowering, body: _Body, wanted: Path | Variable) -> bool:
    """Whether the body computes with a float and the field or variable, or gives it one."""
    for node in body.nodes:
        if isinstance(node, ast.Binary) and node.operator in ("+", "-", "*", "/"):
            sides = (node.left, node.right)
        elif isinstance(node, ast.Assign) and not isinstance(node.target, ast.Name):
            sides = (node.target, node.value)
        else:
            continue
        for side, other in (sides, sides[::-1]):
            symbol = self.file.symbols.get(id(side))
            is_wanted = symbol is wanted or path_of(self, body.item, side) == wanted
            if is_wanted and self.kinds.of(other) == NUMBER:
                return True
    return False


def _spec(
    body: _Body, wanted: Collection[Path] = (), order: list[Path] | None = None
) -> tuple[Any, ...]:
    """What `has_fields` looks for: (name, code of the kind, the same of the map there).

    Args:
        body: The body of the loop.
        wanted: Fields that are looked for whatever they are.
        order: Gets all that is looked for, in the order of its places.
    """

    def below(path: Path) -> tuple[Any, ...]:
        found: list[Any] = []
        for inner, kind in sorted(body.fields.items()):
            if len(inner) == len(path) + 1 and inner[:-1] == path and (kind or inner in wanted):
                if order is not None:
                    order.append(inner)
                found.append((inner[-1], _CODES[kind], below(inner)))
        return tuple(found)

    return below(())


def _is_known(self: Lowering, body: _Body, node: ast.Node) -> bool:
    """Whether a node runs nobody else's code, waits for nothing, and leaves the fields as found."""
    rule = _RULES.get(type(node))
    return rule is None or rule(self, body, node)


def _is_scalar(self: Lowering, body: _Body, node: ast.Expr, depth: int = 0) -> bool:
    """Whether a value certainly is none or plain: to print it runs nobody's code."""
    if self.kinds.of(node) in _SCALARS:
        return True
    if body.fields.get(path_of(self, body.item, node)) == _PRINTED:
        return True
    if isinstance(node, ast.Binary):
        return node.operator in ("-", "*", "/", "%")
    variable = self.file.symbols.get(id(node))
    if type(variable) is not Variable or not _is_own(variable) or depth == _DEPTH_MAX:
        return False
    return bool(variable.sources) and all(
        isinstance(source, ast.Expr) and _is_scalar(self, body, source, depth + 1)
        for source in variable.sources
    )


def _binary(self: Lowering, body: _Body, node: ast.Binary) -> bool:
    kinds = {self.kinds.of(node.left), self.kinds.of(node.right)}
    sides = (node.left, node.right)
    if node.operator == "+" and kinds.isdisjoint(_NUMERIC):  # lists are not looked at
        return all(_is_scalar(self, body, side) for side in sides)
    if node.operator == "++":
        return all(_is_scalar(self, body, side) for side in sides)
    if node.operator in ("==", "!="):
        is_literal = any(isinstance(side, ast.Literal) for side in sides)
        return is_literal or TEXT in kinds or kinds <= _SCALARS
    if node.operator in ("in", "not_in"):
        is_scalar = _is_scalar(self, body, node.left)
        return is_scalar and self.kinds.of(node.right) in (MAP, LIST)
    return True  # the other operators know numbers and texts alone


def _unary(self: Lowering, body: _Body, node: ast.Unary) -> bool:
    return node.operator in ("!", "-")


def _interpolation(self: Lowering, body: _Body, node: ast.Interpolation) -> bool:
    parts = (part for part in node.parts if isinstance(part, ast.Expr))
    return all(_is_scalar(self, body, part) for part in parts)


def _member(self: Lowering, body: _Body, node: ast.Member) -> bool:
    if id(node) in body.callees:
        return True  # `_call` knows it
    target = self.kinds.of(node.target)
    if table_of(self.kinds, self.tables, node.target) is not None:
        return True  # a map that nobody else has, or none
    if target in (TEXT, LIST):
        return node.name in SIZE_NAMES or node.name in _ADD or is_of_text(node.name)
    return target == MAP


def _index(self: Lowering, body: _Body, node: ast.Index) -> bool:
    kinds = (self.kinds.of(node.target), self.kinds.of(node.key))
    return kinds in ((MAP, TEXT), (LIST, INT))


def _call(self: Lowering, body: _Body, node: ast.Call) -> bool:
    callee = node.callee
    if any(argument.name is not None for argument in node.arguments):
        return False
    if isinstance(callee, ast.Member):
        target = self.kinds.of(callee.target)
        if target == LIST or self.kinds.entry(callee.target) == LIST:
            is_add = callee.name in _ADD and len(node.arguments) == 1
            return is_add and not body.has_places(missing=True)
        return target == TEXT and is_of_text(callee.name) and not node.arguments
    symbol = self.file.symbols.get(id(callee))
    if not isinstance(symbol, Builtin) or symbol.name not in ("to_text", "to_int", "floor", "len"):
        return False
    return all(_is_scalar(self, body, argument.value) for argument in node.arguments)


def _assign(self: Lowering, body: _Body, node: ast.Assign) -> bool:
    place = node.target
    if isinstance(place, ast.Name):
        return _is_own(self.file.targets[id(node)])
    if isinstance(place, ast.Index):
        if self.kinds.of(place.target) == LIST:
            return not body.has_places()
        return _is_fresh(self, body, place.target)
    assert isinstance(place, ast.Member)
    if _is_fresh(self, body, place.target):
        return True
    if table_of(self.kinds, self.tables, place.target) is not None:
        return True
    path = path_of(self, body.item, place)
    if not path:
        return False
    kind = self.kinds.of(node.value)
    if node.operator != "=":
        result = ast.Binary(node.span, node.operator[0], place, node.value)
        self.file.made.append(result)
        kind = self.kinds.of(result)
    # Two chains may lead to the same map, so it is the name that decides.
    name = path[-1]
    asked = {wanted for other, wanted in body.fields.items() if other[-1] == name}
    kinds = {"", kind, _PRINTED} if kind in _SCALARS else {"", kind}
    return asked <= kinds and not any(name in other[:-1] for other in body.fields)


def _is_fresh(self: Lowering, body: _Body, node: ast.Expr) -> bool:
    """Whether it is a variable whose map is no part of the items."""
    variable = self.file.symbols.get(id(node))
    if type(variable) is not Variable or not _is_own(variable) or not variable.sources:
        return False
    if not all(isinstance(source, ast.MapLiteral) for source in variable.sources):
        return False
    uses = _bare_uses(self).get(variable, ())
    # A loop around this one comes back to what stands after it.
    return not uses if self.frame.loops else all(place >= body.end for place in uses)


def _bare_uses(self: Lowering) -> dict[Variable, list[int]]:
    """Where variables that hold maps are used as a whole: not for an item or member."""
    if self.bare_uses is None:
        self.bare_uses = {}
        parts: set[int] = set()
        for node in all_code(self.file):
            kind = type(node)
            if kind is ast.Call:
                callee = node.callee  # type: ignore[attr-defined]
                if type(callee) is ast.Member:
                    parts.add(-id(callee))
            elif kind is ast.Member or kind is ast.Index or kind is ast.Assign:
                if -id(node) not in parts:
                    parts.add(id(node.target))  # type: ignore[attr-defined]
            elif kind is ast.Binary and node.operator in ("in", "not_in"):  # type: ignore[attr-defined]
                parts.add(id(node.right))  # type: ignore[attr-defined]
            elif kind is ast.Name and id(node) not in parts:
                variable = self.file.symbols.get(id(node))
                if type(variable) is Variable:
                    self.bare_uses.setdefault(variable, []).append(node.span.start)
    return self.bare_uses


_RULES: Final[dict[type, Any]] = {
    ast.Binary: _binary,
    ast.Unary: _unary,
    ast.Interpolation: _interpolation,
    ast.Member: _member,
    ast.Index: _index,
    ast.Call: _call,
    ast.Assign: _assign,
}
