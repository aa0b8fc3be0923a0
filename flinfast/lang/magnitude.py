"""How large evident ints can become, and which are never negative: what needs no test then.

A variable that starts at a literal or size and only ever moves in small steps is counted: it cannot
leave COUNTED_BITS while anybody waits. So are indexes of loops, and what is halved as often as two
of them are added.
"""

from __future__ import annotations

from typing import Final

from flinfast.lang import ast
from flinfast.lang.abi import Builtin
from flinfast.lang.lower_base import Lowering
from flinfast.lang.symbol import ItemOf, Origin, Variable
from flinfast.lang.types import INT, LIST, SIZE_NAMES, TEXT, is_floored

INT_EXACT_BITS: Final = 53  # ints up to that power of two are numbers without loss
PRODUCT_BITS_MAX: Final = 4096  # far below the runtime's limit of a computed int
COUNTED_BITS: Final = 52  # magnitude of what is counted
_START_BITS_MAX: Final = 48  # of a literal that counting starts at
_STEP_MAX: Final = 16  # 2**48 such steps, which lead beyond it, take months
_SIZE_BITS: Final = 48  # of the size of anything in memory


def bits_of(self: Lowering, node: ast.Expr) -> int | None:
    """A number of bits for which an int evidently is not beyond `2**bits`, either sign.

    Returns:
        None for anything else.
    """
    if isinstance(node, ast.Literal):
        return abs(node.value).bit_length() if type(node.value) is int else None
    if isinstance(node, ast.Index):
        return self.item_bits if self.kinds.of(node) == "int?" else None
    if self.kinds.of(node) != INT:
        return None
    if isinstance(node, ast.Binary):
        return _bits_of_result(self, node)
    if isinstance(node, ast.Name):
        symbol = self.file.symbols.get(id(node))
        return _bits_of_variable(self, symbol) if isinstance(symbol, Variable) else None
    if isinstance(node, ast.Member):
        return _SIZE_BITS if _is_size(self, node) else None
    if isinstance(node, ast.Unary):
        return bits_of(self, node.operand)
    if isinstance(node, ast.Conditional):
        both = (bits_of(self, node.then), bits_of(self, node.otherwise))
        return None if both[0] is None or both[1] is None else max(both[0], both[1])
    return _bits_of_call(self, node) if isinstance(node, ast.Call) else None


def _bits_of_result(self: Lowering, node: ast.Binary) -> int | None:
    left, right = bits_of(self, node.left), bits_of(self, node.right)
    if node.operator == "%":
        return right if isinstance(node.right, ast.Literal) else None
    if left is None or right is None:
        return None
    if node.operator == "*":
        return left + right
    return max(left, right) + 1 if node.operator in ("+", "-") else None


def _bits_of_call(self: Lowering, node: ast.Call) -> int | None:
    """Bits of a size, and of `floor(x / 2)`."""
    callee = node.callee
    if isinstance(callee, ast.Member):
        return _SIZE_BITS if _is_size(self, callee) and not node.arguments else None
    symbol = self.file.symbols.get(id(callee))
    if not isinstance(symbol, Builtin) or len(node.arguments) != 1:
        return None
    if symbol.name in SIZE_NAMES:
        return _SIZE_BITS
    inner = node.arguments[0].value
    if symbol.name != "floor" or not is_floored(self.kinds, inner):
        return None
    assert isinstance(inner, ast.Binary)
    assert isinstance(inner.right, ast.Literal)
    bits, divisor = bits_of(self, inner.left), inner.right.value
    assert isinstance(divisor, int)
    return None if bits is None else max(bits - divisor.bit_length() + 1, 0)


def _floored(self: Lowering, node: ast.Call) -> ast.Binary | None:
    """The quotient of `floor(x / 2)` for an int."""
    symbol = self.file.symbols.get(id(node.callee))
    if not isinstance(symbol, Builtin) or symbol.name != "floor" or len(node.arguments) != 1:
        return None
    inner = node.arguments[0].value
    return inner if isinstance(inner, ast.Binary) and is_floored(self.kinds, inner) else None


def _is_size(self: Lowering, node: ast.Member) -> bool:
    """Whether it is the size of a text or list; a field of a map may have any name."""
    return node.name in SIZE_NAMES and self.kinds.of(node.target) in (TEXT, LIST)


def _bits_of_variable(self: Lowering, variable: Variable) -> int | None:
    """Bits of all that a variable gets, if others keep to theirs."""
    if variable in self.bits:
        return self.bits[variable]
    self.bits[variable] = COUNTED_BITS  # assumed until one of its sources says no
    most: int | None = 0
    for origin in variable.sources:
        found = _bits_of_origin(self, origin)
        most = None if found is None or most is None else max(most, found)
    if not variable.sources or most is None or most > COUNTED_BITS:
        # What was found out under the assumption is worth nothing.
        self.bits = {v: bits for v, bits in self.bits.items() if bits is None}
        self.bits[variable] = None
        return None
    self.bits[variable] = COUNTED_BITS
    return COUNTED_BITS


def _bits_of_origin(self: Lowering, origin: Origin) -> int | None:
    if isinstance(origin, str):
        return None
    if isinstance(origin, ItemOf):
        return COUNTED_BITS if _counts(self, origin) else None
    if isinstance(origin, ast.Literal):
        bits = bits_of(self, origin)
        return bits if bits is None or bits <= _START_BITS_MAX else None
    if isinstance(origin, ast.Binary) and origin.operator in ("+", "-"):
        step = origin.right
        if isinstance(step, ast.Literal) and type(step.value) is int and step.value <= _STEP_MAX:
            return bits_of(self, origin.left)
    return bits_of(self, origin)


def _counts(self: Lowering, origin: ItemOf) -> bool:
    """Whether a loop variable counts up from what is counted itself."""
    if origin.place == 1:
        return self.kinds.of_origin(origin) == INT
    iterable = origin.iterable
    if not isinstance(iterable, ast.RangeExpr) or self.kinds.of(iterable.start) != INT:
        return False
    bits = bits_of(self, iterable.start)
    return bits is not None and bits <= COUNTED_BITS


def is_natural(self: Lowering, node: ast.Expr) -> bool:
    """Whether an int evidently is not negative."""
    if isinstance(node, ast.Literal):
        return type(node.value) is int and node.value >= 0
    if self.kinds.of(node) != INT:
        return False
    if isinstance(node, ast.Binary) and node.operator in ("+", "*"):
        return is_natural(self, node.left) and is_natural(self, node.right)
    if isinstance(node, ast.Binary) and node.operator == "%":
        return is_natural(self, node.left)
    if isinstance(node, ast.Member):
        return _is_size(self, node)
    if isinstance(node, ast.Call):
        inner = _floored(self, node)
        return inner is not None and is_natural(self, inner.left)
    symbol = self.file.symbols.get(id(node))
    return isinstance(symbol, Variable) and _counts_up(self, symbol)


def _counts_up(self: Lowering, variable: Variable) -> bool:
    """Whether a variable only ever holds ints from 0: every value it gets is one, if others are."""
    known = self.naturals.get(variable)
    if known is None:
        self.naturals[variable] = True  # assumed until one of its sources says no
        known = bool(variable.sources) and all(_gives_natural(self, s) for s in variable.sources)
        if not known:
            # What was found out under the assumption is worth nothing.
            self.naturals = {v: k for v, k in self.naturals.items() if not k}
        self.naturals[variable] = known
    return known


def _gives_natural(self: Lowering, origin: Origin) -> bool:
    if isinstance(origin, str):
        return False
    if not isinstance(origin, ItemOf):
        return is_natural(self, origin)
    if origin.place == 1:
        return self.kinds.of_origin(origin) == INT
    iterable = origin.iterable
    return isinstance(iterable, ast.RangeExpr) and is_natural(self, iterable.start)
