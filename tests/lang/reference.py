"""A tree-walking evaluator, as the oracle for compiled code. Nothing like it ships.

It knows no kinds and no fast paths: every operator goes to the runtime's operators, operands are
evaluated from left to right, and a fault is whatever they raise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flinfast.lang import ast
from flinfast.lang.abi import Operators

_BINARY = {
    "+": "add",
    "-": "sub",
    "*": "mul",
    "/": "div",
    "%": "mod",
    "**": "pow",
    "++": "concat",
}


class _BreakError(Exception):
    """A loop ends."""


class _ContinueError(Exception):
    """A turn of a loop ends."""


class _ReturnError(Exception):
    """A function gives a value."""


class Evaluator:
    """Evaluates expressions and statements over one flat environment.

    Args:
        ops: Operators.
        names: Variables.
        builtins: Builtins that are called by name.
    """

    def __init__(
        self,
        ops: Operators,
        names: Mapping[str, Any],
        builtins: Mapping[str, Callable[..., Any]] | None = None,
    ) -> None:
        self.ops = ops
        self.names = dict(names)
        self.builtins = builtins or {}

    def value(self, node: ast.Expr) -> Any:
        rule = getattr(self, f"_{type(node).__name__}")
        return rule(node)

    def _Literal(self, node: ast.Literal) -> Any:  # noqa: N802 - named like the node
        return node.value

    def _Interpolation(self, node: ast.Interpolation) -> Any:  # noqa: N802
        parts = [p if isinstance(p, str) else self.ops.to_text(self.value(p)) for p in node.parts]
        return "".join(parts)

    def _Name(self, node: ast.Name) -> Any:  # noqa: N802
        return self.names[node.name]

    def _Member(self, node: ast.Member) -> Any:  # noqa: N802
        operator = self.ops.member_optional if node.optional else self.ops.member
        return operator(self.value(node.target), node.name)

    def _Index(self, node: ast.Index) -> Any:  # noqa: N802
        target = self.value(node.target)
        return self.ops.index(target, self.value(node.key))

    def _Slice(self, node: ast.Slice) -> Any:  # noqa: N802
        target = self.value(node.target)
        bounds = [None if b is None else self.value(b) for b in (node.start, node.stop, node.step)]
        return self.ops.slice(target, *bounds)

    def _ListLiteral(self, node: ast.ListLiteral) -> Any:  # noqa: N802
        found: list[Any] = []
        for item in node.items:
            value = self.value(item.value)
            if item.spread:
                self.ops.spread_list(found, value)
            else:
                found.append(value)
        return found

    def _MapLiteral(self, node: ast.MapLiteral) -> Any:  # noqa: N802
        found: dict[str, Any] = {}
        for entry in node.entries:
            value = self.value(entry.value)
            if entry.key is None:
                self.ops.spread_map(found, value)
            else:
                assert isinstance(entry.key, str)
                found[entry.key] = value
        return found

    def _Unary(self, node: ast.Unary) -> Any:  # noqa: N802
        value = self.value(node.operand)
        return not self.ops.truthy(value) if node.operator == "!" else self.ops.neg(value)

    def _TypeTest(self, node: ast.TypeTest) -> Any:  # noqa: N802
        return self.ops.is_type(self.value(node.value), node.type_name)

    def _Conditional(self, node: ast.Conditional) -> Any:  # noqa: N802
        chosen = node.then if self.ops.truthy(self.value(node.condition)) else node.otherwise
        return self.value(chosen)

    def _IfExpr(self, node: ast.IfExpr) -> Any:  # noqa: N802
        if self.ops.truthy(self.value(node.condition)):
            return self.block(node.then)
        if isinstance(node.otherwise, ast.Block):
            return self.block(node.otherwise)
        return None if node.otherwise is None else self.value(node.otherwise)

    def _Call(self, node: ast.Call) -> Any:  # noqa: N802
        callee = node.callee
        if isinstance(callee, ast.Member):
            target = self.value(callee.target)
            args = tuple(self.value(argument.value) for argument in node.arguments)
            return self.ops.call_method(None, target, callee.name, args, {})
        if isinstance(callee, ast.Name) and callee.name not in self.names:
            args = tuple(self.value(argument.value) for argument in node.arguments)
            return self.builtins[callee.name](*args)
        function = self.value(callee)
        args = tuple(self.value(argument.value) for argument in node.arguments)
        return self.ops.call(function, args, {})

    def _Lambda(self, node: ast.Lambda) -> Any:  # noqa: N802
        names = [parameter.name for parameter in node.parameters]

        def one(first: Any = None) -> Any:
            return self._run(node.body, dict(zip(names, (first,), strict=True)))

        def two(first: Any = None, second: Any = None) -> Any:
            return self._run(node.body, dict(zip(names, (first, second), strict=True)))

        return one if len(names) == 1 else two

    def _run(self, body: ast.Expr | ast.Block, given: Mapping[str, Any]) -> Any:
        outer = {name: self.names.get(name) for name in given}
        self.names.update(given)
        try:
            return self.block(body) if isinstance(body, ast.Block) else self.value(body)
        finally:
            self.names.update(outer)

    def _RangeExpr(self, node: ast.RangeExpr) -> Any:  # noqa: N802
        start = self.value(node.start)
        return self.ops.range(start, self.value(node.stop), node.inclusive)

    # --- statements ----------------------------------------

    def function(self, node: ast.Block) -> Any:
        """The value of the body of a function."""
        try:
            return self.block(node)
        except _ReturnError as result:
            return result.args[0]

    def block(self, node: ast.Block) -> Any:
        result = None
        for statement in node.statements:
            result = None
            if isinstance(statement, ast.ExprStatement):
                result = self.value(statement.value)
            else:
                getattr(self, f"_{type(statement).__name__}")(statement)
        return result

    def _Assign(self, node: ast.Assign) -> None:  # noqa: N802
        place, operator = node.target, _BINARY.get(node.operator[0])
        if isinstance(place, ast.Name):
            if operator is None:
                self.names[place.name] = self.value(node.value)
            else:
                before = self.names[place.name]
                self.names[place.name] = getattr(self.ops, operator)(before, self.value(node.value))
            return
        assert isinstance(place, ast.Member | ast.Index)
        owner = self.value(place.target)
        if isinstance(place, ast.Member):
            key: Any = place.name
            read, write = self.ops.member, self.ops.set_member
        else:
            key = self.value(place.key)
            read, write = self.ops.index, self.ops.set_index
        if operator is None:
            write(owner, key, self.value(node.value))
            return
        before = read(owner, key)
        write(owner, key, getattr(self.ops, operator)(before, self.value(node.value)))

    def _Destructure(self, node: ast.Destructure) -> None:  # noqa: N802
        values = self.value(node.value)
        if isinstance(node.pattern, ast.MapPattern):
            for entry in node.pattern.items:
                assert isinstance(entry.pattern, ast.BindPattern)
                self.names[entry.pattern.name] = self.ops.member(values, entry.key)
            return
        assert isinstance(node.pattern, ast.ListPattern)
        for place, pattern in enumerate(node.pattern.items):
            assert isinstance(pattern, ast.BindPattern)
            self.names[pattern.name] = self.ops.index(values, place)

    def _For(self, node: ast.For) -> None:  # noqa: N802
        values = self.value(node.iterable)
        if len(node.names) == 1:
            turns = ((value,) for value in self.ops.iterate(values))
        else:
            turns = self.ops.iterate_pairs(values, node.key_first)
        for turn in turns:
            self.names.update(zip(node.names, turn, strict=True))
            try:
                self.block(node.body)
            except _ContinueError:
                continue
            except _BreakError:
                break

    def _While(self, node: ast.While) -> None:  # noqa: N802
        while self.ops.truthy(self.value(node.condition)):
            try:
                self.block(node.body)
            except _ContinueError:
                continue
            except _BreakError:
                break

    def _Break(self, node: ast.Break) -> None:  # noqa: N802
        raise _BreakError

    def _Continue(self, node: ast.Continue) -> None:  # noqa: N802
        raise _ContinueError

    def _Return(self, node: ast.Return) -> None:  # noqa: N802
        raise _ReturnError(None if node.value is None else self.value(node.value))

    def _Binary(self, node: ast.Binary) -> Any:  # noqa: N802
        operator, ops = node.operator, self.ops
        left = self.value(node.left)
        if operator == "&&":
            return self.value(node.right) if ops.truthy(left) else left
        if operator == "||":
            return left if ops.truthy(left) else self.value(node.right)
        if operator == "??":
            return self.value(node.right) if left is None else left
        right = self.value(node.right)
        if operator in _BINARY:
            return getattr(ops, _BINARY[operator])(left, right)
        if operator in ("==", "!="):
            return ops.eq(left, right) == (operator == "==")
        if operator in ("in", "not_in"):
            return ops.contains(left, right) == (operator == "in")
        if operator in ("<", "<="):
            return (ops.lt if operator == "<" else ops.le)(left, right)
        return (ops.lt if operator == ">" else ops.le)(right, left)
