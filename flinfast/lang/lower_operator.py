"""Lowering of operators: inline Python where kinds are evident, `Operators` elsewhere."""

from __future__ import annotations

import ast as py
from collections.abc import Callable
from typing import Final, TypeGuard

from flinfast.lang import ast, lower_compare
from flinfast.lang.lower_base import Lowering, Rule
from flinfast.lang.lower_read import is_tested
from flinfast.lang.lower_text import join_texts
from flinfast.lang.lower_value import Choice
from flinfast.lang.magnitude import INT_EXACT_BITS, PRODUCT_BITS_MAX, bits_of, is_natural
from flinfast.lang.types import (
    ANY,
    BOOL,
    CHECKED,
    INT,
    LIST,
    MAP,
    NUMBER,
    TEXT,
    entity_of,
    is_floored,
)

_ARITHMETIC: Final = {"+": "add", "-": "sub", "*": "mul", "/": "div", "%": "mod", "**": "pow"}
_PYTHON: Final[dict[str, type[py.operator]]] = {"+": py.Add, "-": py.Sub, "*": py.Mult}
_ORDER: Final[dict[str, tuple[str, type[py.cmpop]]]] = {
    "<": ("lt", py.Lt),
    "<=": ("le", py.LtE),
    ">": ("gt", py.Gt),
    ">=": ("ge", py.GtE),
}
_NUMERIC: Final = frozenset({INT, NUMBER})
_TYPE_TESTS: Final = {"text": "str", "string": "str", "bool": "bool", "boolean": "bool"}


# --- truth ----------------------------------------


def condition(self: Lowering, node: ast.Expr) -> py.expr:
    """An expression whose Python truth is the FLIN truth of `node`."""
    if isinstance(node, ast.Binary) and node.operator == "&&":
        with self.at(node.span):
            return _both(self, node)
    before = self.seen_if_true
    found = _condition(self, node)
    if self.seen_if_true:
        now = self.seen_if_true.items()
        self.seen_if_true = {read: name for read, name in now if before.get(read) == name}
    return found


def _condition(self: Lowering, node: ast.Expr) -> py.expr:
    if isinstance(node, ast.Binary) and node.operator == "||":
        with self.at(node.span):
            return _both(self, node)
    if isinstance(node, ast.Unary) and node.operator == "!":
        with self.at(node.span):
            return self.negate(condition(self, node.operand))
    is_map = self.is_map(node)
    if is_map is not None:
        return py.BoolOp(py.Or(), [is_map, truth(self, self.expr(node), ANY)], **self.place)
    return truth(self, self.expr(node), self.kinds.of(node))


def truth(self: Lowering, value: py.expr, kind: str) -> py.expr:
    """The truth of a lowered value."""
    # An empty list or map is true, and NaN is not: Python's truth only fits these kinds.
    if kind in (BOOL, TEXT, INT, "int?", "text?"):
        return value
    if entity_of(kind, "record"):
        return self.compare(value, py.IsNot(), self.const(None))
    if kind != ANY or isinstance(value, py.Constant):
        return self.call(self.op("truthy"), value)
    if isinstance(value, Choice) and value.kind in (BOOL, TEXT, INT):
        rare = self.call(self.op("truthy"), value.orelse)
        return self.likely(BOOL, value.test, value.body, rare)
    first, again = self.once(value)
    is_true = self.compare(first, py.Is(), self.const(True))
    is_not_false = self.compare(again(), py.IsNot(), self.const(False))
    rest = self.both(is_not_false, self.call(self.op("truthy"), again()))
    return py.BoolOp(py.Or(), [is_true, rest], **self.place)


def _both(self: Lowering, node: ast.Binary) -> py.expr:
    left = condition(self, node.left)
    seen = self.seen
    with self.captured() as made:
        right = condition(self, node.right)
        if node.operator == "&&" and self.seen != seen:
            fresh = {r: name for r, name in self.seen.items() if seen.get(r) != name}
            self.seen_if_true = self.seen_if_true | fresh
    operator: py.boolop = py.And() if node.operator == "&&" else py.Or()
    if not made:
        return py.BoolOp(operator, [left, right], **self.place)
    result = self.temp()
    self.emit_assign(result, left)
    test: py.expr = self.load(result)
    if node.operator == "||":
        test = self.negate(test)
    made.append(py.Assign([self.store(result)], right, **self.place))
    self.emit(py.If(test, made, [], **self.place))
    return self.load(result)


def unary(self: Lowering, node: ast.Unary) -> py.expr:
    """`!x`, `-x`."""
    if node.operator == "!":
        return self.negate(condition(self, node.operand))
    operand = node.operand
    if isinstance(operand, ast.Literal) and type(operand.value) in (int, float):
        return self.const(-operand.value)  # type: ignore[operator]  # a number, see above
    value = self.expr(operand)
    if self.kinds.sure(operand) in _NUMERIC:
        self.is_tried = self.is_tried or self.kinds.of(operand) not in _NUMERIC
        return py.UnaryOp(py.USub(), value, **self.place)
    return self.call(self.op("neg"), value)


# --- binary operators ----------------------------------------


def binary(self: Lowering, node: ast.Binary) -> py.expr:
    """All operators with two operands."""
    operator = node.operator
    if operator in ("&&", "||"):
        return _logical(self, node)
    if operator == "??":
        first, again = self.once(self.expr(node.left))
        return self.branch(self.is_none(first), lambda: self.expr(node.right), again)
    if operator == "++" or (operator == "+" and self.kinds.of(node) == TEXT):
        return join_texts(self, node)
    if operator in ("==", "!="):
        return _equality(self, node)
    left, right = self.operands([node.left, node.right])
    kinds = _sure_kinds(self, node)
    if operator in _ORDER:
        return _order(self, operator, left, right, kinds)
    if operator in ("in", "not_in"):
        found = _contains(self, node, left, right, kinds)
        return self.negate(found) if operator == "not_in" else found
    return _arithmetic(self, node, left, right, kinds)


def _sure_kinds(self: Lowering, node: ast.Binary) -> tuple[str, str]:
    """Kinds of the operands; where they may be none, and Python refuses that, of the others."""
    kinds = (self.kinds.of(node.left), self.kinds.of(node.right))
    if self.trial is None or node.operator in ("in", "not_in"):
        return kinds
    sure = (self.kinds.sure(node.left), self.kinds.sure(node.right))
    self.is_tried = self.is_tried or sure != kinds
    return sure


def _logical(self: Lowering, node: ast.Binary) -> py.expr:
    """`a || b`, `a && b` as values: one of the operands."""
    kind = self.kinds.of(node.left)
    left = self.expr(node.left)
    with self.captured() as made:
        right = self.expr(node.right)
    if kind in (BOOL, TEXT, INT) and not made:
        operator: py.boolop = py.And() if node.operator == "&&" else py.Or()
        return py.BoolOp(operator, [left, right], **self.place)
    first, again = self.once(left)
    is_unknown = kind == ANY and not isinstance(left, py.Constant)
    test = self.call(self.op("truthy"), first) if is_unknown else truth(self, first, kind)

    def other() -> py.expr:
        self.body.extend(made)
        return right

    if node.operator == "&&":
        return self.branch(test, other, again)
    return self.branch(test, again, other)


def _equality(self: Lowering, node: ast.Binary) -> py.expr:
    left_node, right_node = node.left, node.right
    is_equal = node.operator == "=="
    for side, other in ((right_node, left_node), (left_node, right_node)):
        if isinstance(side, ast.Literal) and (side.value is None or type(side.value) is bool):
            missing = _is_missing(self, other, is_equal) if side.value is None else None
            if missing is not None:
                return missing
            value = self.expr(other)
            if isinstance(value, py.Constant):
                return self.const((value.value is side.value) == is_equal)
            operator: py.cmpop = py.Is() if is_equal else py.IsNot()
            return self.compare(value, operator, self.const(side.value))
    left, right = self.operands([left_node, right_node])
    kinds = set(_sure_kinds(self, node))
    # Python's == is FLIN's when one side is text, or both are numbers; true == 1 must not happen.
    inline = (
        TEXT in kinds
        or kinds == {"text?"}
        or kinds <= _NUMERIC
        or kinds == {BOOL}
        or _is_plain_number(left_node)
        or _is_plain_number(right_node)
    )
    if inline:
        return self.compare(left, py.Eq() if is_equal else py.NotEq(), right)
    for number, value in ((right, left), (left, right)):
        if _is_zero_or_one(number) and not isinstance(value, Choice):
            return _is_number(self, value, number, is_equal)

    def slow(left: py.expr, right: py.expr) -> py.expr:
        found = self.call(self.op("eq"), left, right)
        return found if is_equal else self.negate(found)

    def fast(left: py.expr, right: py.expr) -> py.expr:
        return self.compare(left, py.Eq() if is_equal else py.NotEq(), right)

    sides = (self.kinds.of(left_node), self.kinds.of(right_node))
    return _if_alike(self, left, right, sides, fast, slow)


def _is_zero_or_one(value: py.expr) -> TypeGuard[py.Constant]:
    is_number = isinstance(value, py.Constant) and type(value.value) in (int, float)
    return is_number and value.value in (0, 1)  # type: ignore[attr-defined]  # a constant, see above


def _is_number(self: Lowering, value: py.expr, number: py.Constant, is_equal: bool) -> py.expr:
    """`value == 0`, `value != 1`: to Python, a bool is such a number."""
    first, again = self.once(value)
    is_true = number.value == 1
    if is_equal:
        no_bool = self.compare(again(), py.IsNot(), self.const(is_true))
        return self.both(self.compare(first, py.Eq(), number), no_bool)
    is_bool = self.compare(again(), py.Is(), self.const(is_true))
    return py.BoolOp(py.Or(), [self.compare(first, py.NotEq(), number), is_bool], **self.place)


def _is_missing(self: Lowering, node: ast.Expr, is_equal: bool) -> py.expr | None:
    """`map[key] == none` of an owned map, or `!=`: no entry of it is none, so one is missing."""
    if self.rows or not isinstance(node, ast.Index) or self.kinds.entry(node) not in CHECKED:
        return None
    kinds = (self.kinds.of(node.target), self.kinds.of(node.key))
    if kinds != (MAP, TEXT) and not (kinds == (MAP, ANY) and isinstance(node.key, ast.Name)):
        return None
    value, key = self.operands([node.target, node.key])
    if kinds[1] == ANY and not isinstance(key, py.Name):
        key = self.kept(key)
    found = self.compare(key, py.NotIn() if is_equal else py.In(), value)
    if kinds[1] == TEXT:
        return found
    with self.at(node.span):
        other = self.call(self.op("index"), value, key)
    none: py.cmpop = py.Is() if is_equal else py.IsNot()
    return self.choose(
        self.is_exactly(key, "str"), found, self.compare(other, none, self.const(None))
    )


_Operation = Callable[[py.expr, py.expr], py.expr]


def _if_alike(
    self: Lowering,
    left: py.expr,
    right: py.expr,
    kinds: tuple[str, str],
    fast: _Operation,
    slow: _Operation,
) -> py.expr:
    """An operation that Python does where one value is a number, and the other one turns out so.

    Of two unknown values the operator looks at both, in less time than two tests take.
    """
    if ANY not in kinds or not _NUMERIC.intersection(kinds):
        return slow(left, right)
    chosen = _in_branches(self, left, right, kinds, fast, slow)
    if chosen is not None:
        return chosen
    is_left = kinds[0] != ANY  # the one that is known
    known, other = (left, right) if is_left else (right, left)
    if not (_is_simple(known) if _is_simple(other) or not is_left else _is_fixed(self, known)):
        return slow(left, right)  # what makes the right value may change a variable on the left
    first, again = self.once(other)
    test = is_tested(self, first, "int" if INT in kinds else "float")
    if is_left:
        return self.choose(test, fast(left, again()), slow(left, again()))
    return self.choose(test, fast(again(), right), slow(again(), right))


def _in_branches(
    self: Lowering,
    left: py.expr,
    right: py.expr,
    kinds: tuple[str, str],
    fast: _Operation,
    slow: _Operation,
) -> py.expr | None:
    """The operation in both branches of an operand that is a choice, if the other one is plain."""
    if isinstance(left, Choice) and left.kind == INT:
        if kinds[1] == INT and _is_simple(right):
            rare = slow(left.orelse, right)
            return self.choose(left.test, fast(left.body, right), rare)
    elif isinstance(right, Choice) and right.kind == kinds[0] == INT and _is_fixed(self, left):
        return self.choose(right.test, fast(left, right.body), slow(left, right.orelse))
    return None


def _is_simple(value: py.expr) -> bool:
    """Whether reading a value later, or twice, makes no difference and costs nothing."""
    return isinstance(value, py.Name | py.Constant)


def _is_fixed(self: Lowering, value: py.expr) -> bool:
    """Whether nothing that runs in between changes a value."""
    return isinstance(value, py.Constant) or (
        isinstance(value, py.Name) and value.id not in self.open_names
    )


def _is_plain_number(node: ast.Expr) -> bool:
    """A number literal that no bool is equal to in Python."""
    return (
        isinstance(node, ast.Literal)
        and type(node.value) in (int, float)
        and node.value not in (0, 1)
    )


def _order(
    self: Lowering, operator: str, left: py.expr, right: py.expr, kinds: tuple[str, str]
) -> py.expr:
    name, inline = _ORDER[operator]
    if kinds == (TEXT, TEXT) or (kinds[0] in _NUMERIC and kinds[1] in _NUMERIC):
        return self.compare(left, inline(), right)
    by_member = lower_compare.with_member(
        self, operator, left, right, is_fixed=_is_fixed(self, right)
    )
    if by_member is not None:
        return by_member
    return _if_alike(
        self,
        left,
        right,
        kinds,
        lambda left, right: self.compare(left, inline(), right),
        lambda left, right: self.call(self.op(name), left, right),
    )


def _contains(
    self: Lowering, node: ast.Binary, item: py.expr, container: py.expr, kinds: tuple[str, str]
) -> py.expr:
    kind, inside = kinds
    if kind == TEXT and inside in (TEXT, MAP):
        return self.compare(item, py.In(), container)
    texts = _text_literals(node.right)
    if texts is not None:
        return self.compare(item, py.In(), self.const(texts))
    if kind == TEXT and inside == LIST:
        return self.compare(item, py.In(), container)
    if kind == ANY and inside in (LIST, MAP) and _is_simple(container):
        first, again = self.once(item)
        fast = self.compare(again(), py.In(), container)
        rare = self.call(self.op("contains"), again(), container)
        return self.likely(BOOL, self.is_exactly(first, "str"), fast, rare)
    return self.call(self.op("contains"), item, container)


def _text_literals(node: ast.Expr) -> tuple[str, ...] | None:
    """The items of a list literal that holds only texts, which every value can be compared to."""
    if not isinstance(node, ast.ListLiteral):
        return None
    texts: list[str] = []
    for item in node.items:
        value = item.value
        if item.spread or not isinstance(value, ast.Literal) or not isinstance(value.value, str):
            return None
        texts.append(value.value)
    return tuple(texts)


def _arithmetic(
    self: Lowering, node: ast.Binary, left: py.expr, right: py.expr, kinds: tuple[str, str]
) -> py.expr:
    if node.operator == "*" and kinds == (INT, INT):
        bits = bits_of(self, node)
        if bits is not None and bits <= PRODUCT_BITS_MAX:
            return py.BinOp(left, py.Mult(), right, **self.place)
        return _int_product(self, node, left, right)
    return arithmetic(self, node.operator, (node.left, node.right), left, right, kinds)


def arithmetic(
    self: Lowering,
    operator: str,
    nodes: tuple[ast.Expr, ast.Expr],
    left: py.expr,
    right: py.expr,
    kinds: tuple[str, str],
) -> py.expr:
    """`left operator right` of lowered values; `nodes` are what they come from."""
    exact = kinds[0] == kinds[1] and kinds[0] in _NUMERIC
    small = _is_small(left, kinds[0]) or _is_small(right, kinds[1])
    small = small or (set(kinds) == _NUMERIC and _is_exact(self, nodes[kinds[1] == INT]))
    numeric = kinds[0] in _NUMERIC and kinds[1] in _NUMERIC
    if operator == "+" and kinds == (LIST, LIST):
        return py.BinOp(left, py.Add(), right, **self.place)
    if operator in ("+", "-") and (exact or (numeric and small)):
        return py.BinOp(left, _PYTHON[operator](), right, **self.place)
    if operator == "*" and numeric and (kinds == (NUMBER, NUMBER) or (small and not exact)):
        return py.BinOp(left, py.Mult(), right, **self.place)
    name = self.op(_ARITHMETIC[operator])
    if operator in ("%", "/") and kinds[0] in (INT, ANY) and _is_divisor(right):
        inline = _int_remainder if operator == "%" else _int_quotient
        return inline(self, nodes[0], left, right, kinds[0])
    if operator == "%" and kinds == (INT, INT):
        return _natural_remainder(self, nodes, left, right)
    if operator == "/" and kinds == (NUMBER, NUMBER) and _is_simple(right):
        quotient = py.BinOp(left, py.Div(), right, **self.place)
        if isinstance(right, py.Constant):
            return quotient if right.value else self.call(name, left, right)
    if operator not in ("+", "-"):
        return self.call(name, left, right)
    return _if_alike(
        self,
        left,
        right,
        kinds,
        lambda left, right: py.BinOp(left, _PYTHON[operator](), right, **self.place),
        lambda left, right: self.call(name, left, right),
    )


def _int_product(self: Lowering, node: ast.Expr, left: py.expr, right: py.expr) -> py.expr:
    """`x * y` of ints: beyond 64 bits the operator says whether it is too large."""
    name = self.temp()
    product = self.walrus(name, py.BinOp(left, py.Mult(), right, **self.place))
    is_usual = _is_within(self, node, product, 63)
    rare = self.call(self.op("mul"), self.load(name), self.const(1))
    return self.choose(is_usual, self.load(name), rare)


def _is_within(self: Lowering, node: ast.Expr, value: py.expr, bits: int) -> py.expr:
    """Whether an int is between `-2**bits` and `2**bits`; one that is not negative has one end."""
    most = self.const(1 << bits)
    if is_natural(self, node):
        return self.compare(value, py.Lt(), most)
    least = self.const(-1 << bits)
    return py.Compare(least, [py.Lt(), py.Lt()], [value, most], **self.place)


def _is_exact(self: Lowering, node: ast.Expr) -> bool:
    """Whether an int converts to a number without loss."""
    bits = bits_of(self, node)
    return bits is not None and bits <= INT_EXACT_BITS


def _is_small(value: py.expr, kind: str) -> bool:
    """Whether it is an int literal that converts to a number and cannot make ints explode."""
    if kind != INT or not isinstance(value, py.Constant):
        return False
    return isinstance(value.value, int) and abs(value.value) < 1 << 31


def _is_divisor(value: py.expr) -> bool:
    """Whether it is an int literal above 0."""
    return isinstance(value, py.Constant) and type(value.value) is int and value.value > 0


def _int_remainder(
    self: Lowering, node: ast.Expr, left: py.expr, right: py.expr, kind: str
) -> py.expr:
    """`x % 7`: the sign is that of `x`, so Python's operator serves for positive ones."""
    if kind == INT and is_natural(self, node):
        return py.BinOp(left, py.Mod(), right, **self.place)
    first, again = self.once(left)
    fast = py.BinOp(again(), py.Mod(), right, **self.place)
    rare = self.call(self.op("mod"), again(), right)
    if kind == INT:
        return self.choose(self.compare(first, py.GtE(), self.const(0)), fast, rare)
    is_natural_int = self.both(
        self.is_exactly(first, "int"), self.compare(again(), py.GtE(), self.const(0))
    )
    return self.likely(INT, is_natural_int, fast, rare)


def _natural_remainder(
    self: Lowering, nodes: tuple[ast.Expr, ast.Expr], left: py.expr, right: py.expr
) -> py.expr:
    """`x % y` of ints: Python's operator serves for positive ones."""
    if not _is_simple(right):
        return self.call(self.op("mod"), left, right)
    is_positive = self.file.symbols.get(id(nodes[1])) in self.positive
    if is_natural(self, nodes[0]) and (is_positive or _is_simple(left)):
        fast = py.BinOp(left, py.Mod(), right, **self.place)
        if is_positive:
            return fast
        zero = self.const(0)
        # Of ints from 0, Python's truth is the test that costs least.
        test = right if is_natural(self, nodes[1]) else self.compare(right, py.Gt(), zero)
        return self.choose(test, fast, self.call(self.op("mod"), left, right))
    first, again = self.once(left)
    natural: py.expr = self.compare(first, py.GtE(), self.const(0))
    if not is_positive:
        natural = py.Compare(first, [py.GtE(), py.Lt()], [self.const(0), right], **self.place)
    fast = py.BinOp(again(), py.Mod(), right, **self.place)
    return self.choose(natural, fast, self.call(self.op("mod"), again(), right))


def _int_quotient(
    self: Lowering, node: ast.Expr, left: py.expr, right: py.expr, kind: str
) -> py.expr:
    """`x / 7`: an int when the division is exact."""
    first, again = self.once(left)
    fast = py.BinOp(again(), py.FloorDiv(), right, **self.place)
    rare = self.call(self.op("div"), again(), right)
    if kind == INT:
        is_inexact = py.BinOp(first, py.Mod(), right, **self.place)
        return self.choose(is_inexact, rare, fast)
    is_inexact = py.BinOp(again(), py.Mod(), right, **self.place)
    is_exact = self.both(self.is_exactly(first, "int"), self.negate(is_inexact))
    return self.likely(INT, is_exact, fast, rare)


def floor_quotient(self: Lowering, node: ast.Expr) -> py.expr | None:
    """`floor(x / 7)` of an evident int, FLIN's division of whole numbers."""
    if not is_floored(self.kinds, node):
        return None
    assert isinstance(node, ast.Binary)
    left, right = self.operands([node.left, node.right])
    bits = bits_of(self, node.left)
    if bits is not None and bits <= INT_EXACT_BITS:
        return py.BinOp(left, py.FloorDiv(), right, **self.place)
    first, again = self.once(left)
    # Up to 2**53 the float quotient is never rounded up to the next whole number.
    inside = _is_within(self, node.left, first, INT_EXACT_BITS)
    quotient = self.call(self.op("div"), again(), right)
    rare = self.call(self.builtin("floor"), quotient)
    return self.choose(inside, py.BinOp(again(), py.FloorDiv(), right, **self.place), rare)


# --- ranges and type tests ----------------------------------------


def range_expr(self: Lowering, node: ast.RangeExpr) -> py.expr:
    """`a..b`."""
    start, stop = self.operands([node.start, node.stop])
    if self.kinds.of(node.start) == self.kinds.of(node.stop) == INT:
        if node.inclusive:
            stop = py.BinOp(stop, py.Add(), self.const(1), **self.place)
        return self.call(self.support("py_range"), start, stop)
    return self.call(self.op("range"), start, stop, self.const(node.inclusive))


def type_test(self: Lowering, node: ast.TypeTest) -> py.expr:
    """`value is text`."""
    value = self.expr(node.value)
    name = node.type_name
    if name in _TYPE_TESTS:
        return self.is_exactly(value, _TYPE_TESTS[name])
    if name in ("none", "null", "nil"):
        return self.is_none(value)
    first, again = self.once(value)
    tests = [
        _is_type(self, again() if place else first, wanted)
        for place, wanted in enumerate(_type_names(self, name))
    ]
    return tests[0] if len(tests) == 1 else py.BoolOp(py.Or(), tests, **self.place)


def _type_names(self: Lowering, name: str) -> list[str]:
    """Names that a type name stands for: itself, or what an alias comes to."""
    alias = self.file.table.aliases.get(name)
    if alias is None:
        return [name]
    ref = alias[0].type
    members = ref.arguments if ref.name == "union" else (ref,)
    found = [wanted for member in members for wanted in _type_names(self, member.name)]
    return [*found, "none"] if ref.optional else found


def _is_type(self: Lowering, value: py.expr, name: str) -> py.expr:
    enum = self.file.table.enums.get(name)
    if enum is not None:
        return self.compare(value, py.In(), self.const(enum.variants))
    return self.call(self.op("is_type"), value, self.const(name))


RULES: Final[dict[type, Rule]] = {
    ast.Unary: unary,
    ast.Binary: binary,
    ast.RangeExpr: range_expr,
    ast.TypeTest: type_test,
}
