"""Lowering of blocks, and of the way their values take."""

from __future__ import annotations

import ast as py
from functools import partial

from flinfast.lang import ast, lower_version
from flinfast.lang.abi import Builtin, Value
from flinfast.lang.check_types import shown
from flinfast.lang.lower_base import DISCARD, Lowering, Target
from flinfast.lang.program import TypeInfo
from flinfast.lang.symbol import ContextSymbol
from flinfast.lang.types import NONE, annotated, has_parts


def block(self: Lowering, node: ast.Block, target: Target) -> list[py.stmt]:
    """The statements of a block; the value of the last one goes to `target`."""
    with self.captured() as body:
        statements(self, node, target)
    return body


def statements(self: Lowering, node: ast.Block, target: Target) -> None:
    """Write the statements of a block into the present one."""
    write = self.statement if self.trial is None else partial(lower_version.statement, self)
    for statement in node.statements[:-1]:
        write(statement, DISCARD)
    if node.statements:
        write(node.statements[-1], target)
    else:
        no_value(self, target)


def deliver(self: Lowering, value: py.expr, node: ast.Expr, target: Target) -> None:
    """Give the value of `node` to the target."""
    if target.kind == "discard":
        self.emit_expr(value)
    elif target.kind == "assign":
        self.emit_assign(target.name, value)
    elif self.frame.mode == "ignored":
        self.emit_expr(value)  # this is the end of the function
    else:
        self.emit(py.Return(checked_result(self, value, node), **self.place))


def no_value(self: Lowering, target: Target) -> None:
    """The target gets what stands for no value."""
    if target.kind == "assign":
        self.emit_assign(target.name, self.const(None))
    elif target.kind == "return" and (self.frame.mode == "route" or self.frame.result):
        return_nothing(self)  # elsewhere the end of the function does


def return_nothing(self: Lowering) -> None:
    """Return what stands for no value."""
    if self.frame.mode == "route":
        self.emit(py.Return(self.support("no_value"), **self.place))
        return
    value = None
    if self.frame.mode == "value":
        value = checked_result(self, self.const(None), None)
    self.emit(py.Return(value, **self.place))


def checked_result(self: Lowering, value: py.expr, node: ast.Expr | None) -> py.expr:
    """A result of the present function, checked against its declared type."""
    declared = self.frame.result
    kind = NONE if node is None else self.kinds.of(node)
    return checked(self, value, kind, declared, f"result of `{self.frame.title}`")


def checked(
    self: Lowering, value: py.expr, kind: str, declared: TypeInfo | None, what: str
) -> py.expr:
    """A value of an evident kind, checked against a declared type."""
    if declared is None or (kind == NONE and declared.optional):
        return value
    value = _checked_whole(self, value, kind, declared, what)
    if not has_parts(declared):
        return value
    check = self.support_of_ops("parts_check")
    return self.call(check, value, self.const(_parts(self, declared)), self.const(what))


def _parts(self: Lowering, declared: TypeInfo) -> tuple[Value, ...] | None:
    """A type as `support.parts_check` reads it."""
    if declared.name == "any":
        return None
    enum = self.file.table.enums.get(declared.name)
    variants = () if enum is None else enum.variants
    inner = tuple(_parts(self, argument) for argument in declared.arguments)
    return declared.name, shown(declared), variants, declared.optional, inner


def _checked_whole(
    self: Lowering, value: py.expr, kind: str, declared: TypeInfo, what: str
) -> py.expr:
    """The same without a look at items."""
    if declared.name == "any" or annotated(declared) == kind != "":
        return value
    optional, text = self.const(declared.optional), self.const(what)
    enum = self.file.table.enums.get(declared.name)
    if enum is not None:
        variants = self.const(enum.variants)
        return self.call(self.support("check_variant"), value, variants, optional, text)
    if declared.name == "union":
        return _checked_union(self, value, kind, declared, text)
    check = self.support_of_ops("type_check")
    return self.call(check, value, self.const(declared.name), optional, text)


def _checked_union(
    self: Lowering, value: py.expr, kind: str, declared: TypeInfo, what: py.expr
) -> py.expr:
    names = [member.name for member in declared.arguments]
    if kind in names or "any" in names:
        return value
    enums = [self.file.table.enums[name] for name in names if name in self.file.table.enums]
    variants = tuple(variant for enum in enums for variant in enum.variants)
    optional = declared.optional or any(member.optional for member in declared.arguments)
    check = self.support_of_ops("union_check")
    constants = [self.const(part) for part in (tuple(names), variants, optional)]
    return self.call(check, value, *constants, what)


def has_value(self: Lowering, node: ast.Block | ast.IfExpr | None) -> bool:
    """Whether a block at the end of a route handler answers with something."""
    if isinstance(node, ast.IfExpr):
        return has_value(self, node.then) or has_value(self, node.otherwise)
    if node is None or not node.statements:
        return False
    last = node.statements[-1]
    return isinstance(last, ast.ExprStatement) and expr_has_value(self, last.value)


def _ends_session(self: Lowering, callee: ast.Member) -> bool:
    """`session.destroy()` and `session.clear()`, which give nothing."""
    if callee.name not in ("destroy", "clear") or not isinstance(callee.target, ast.Name):
        return False
    symbol = self.file.symbols.get(id(callee.target))
    return isinstance(symbol, ContextSymbol) and symbol.name == "session"


def expr_has_value(self: Lowering, node: ast.Expr) -> bool:
    """Whether an expression statement at the end of a route handler is an answer."""
    if isinstance(node, ast.IfExpr):
        return has_value(self, node)
    if isinstance(node, ast.BlockExpr):
        return has_value(self, node.block)
    if isinstance(node, ast.Match):
        return any(
            has_value(self, arm.body)
            if isinstance(arm.body, ast.Block)
            else expr_has_value(self, arm.body)
            for arm in node.arms
        )
    if isinstance(node, ast.Call) and isinstance(node.callee, ast.Name):
        symbol = self.file.symbols.get(id(node.callee))
        return not (isinstance(symbol, Builtin) and (symbol.result == "none" or symbol.sends))
    if isinstance(node, ast.Call) and isinstance(node.callee, ast.Member):
        return not _ends_session(self, node.callee)
    return not isinstance(node, ast.SaveExpr)


def is_plain(value: py.expr) -> bool:
    """Whether a lowered value is a name or constant: to read it has no effect."""
    return isinstance(value, py.Name | py.Constant)
