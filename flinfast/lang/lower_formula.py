"""Small lambdas whose body walks over lists can compute without calling them.

`o => o.price * o.count` is a formula: members, items, literals, variables, operators, and nothing
that calls. The lambda is written as always; what is known of its body goes with it, and a walk
(`items.sum(...)`) uses that for plain values. For all others it calls the lambda, so a formula says
what operators do with plain values and nothing else.
"""

from __future__ import annotations

import ast as py
from collections.abc import Mapping
from typing import Any, Final

from flinfast.lang import ast
from flinfast.lang.lower_base import Lowering, folded
from flinfast.lang.lower_method import is_of_text, is_size
from flinfast.lang.symbol import Variable

Formula = tuple[Any, ...]

PARAMETERS_MAX: Final = 2
LOCALS_MAX: Final = 4  # these limits are those of native/collection_formula.pxi
NODES_MAX: Final = 24
_BINARY: Final = frozenset(
    {"+", "-", "*", "/", "%", "<", "<=", ">", ">=", "==", "!=", "&&", "||", "??"}
)


class _NoFormulaError(Exception):
    """A body has something else in it."""


class _Writer:
    """Writes the formula of one lambda.

    Attributes:
        places: Variable -> number of the argument or kept value.
        outer: Variables of functions around.
        count: Nodes so far.
        kept: Kept values so far.
    """

    def __init__(self, lowering: Lowering, node: ast.Lambda) -> None:
        self.lowering = lowering
        self.file = lowering.file
        self.places: dict[Variable, int] = {}
        self.outer: set[Variable] = set()
        self.count = self.kept = 0
        for place, parameter in enumerate(node.parameters):
            if parameter.rest or parameter.default is not None or parameter.type is not None:
                raise _NoFormulaError
            variable = self.file.bindings[id(parameter)][0]
            if variable.writes > 1 or variable.is_boxed:
                raise _NoFormulaError
            self.places[variable] = place

    def block(self, statements: tuple[ast.Statement, ...]) -> Formula:
        """`y = ...; z = ...; value`."""
        first, *rest = statements
        if not rest:
            if isinstance(first, ast.ExprStatement | ast.Return) and first.value is not None:
                return self.expr(first.value)
            raise _NoFormulaError
        if not isinstance(first, ast.Assign) or first.operator != "=" or first.type is not None:
            raise _NoFormulaError
        variable = self.file.symbols.get(id(first.target))
        if type(variable) is not Variable or variable.writes != 1 or variable.is_captured:
            raise _NoFormulaError
        if self.kept == LOCALS_MAX:
            raise _NoFormulaError
        value = self.expr(first.value)
        number = self.places[variable] = PARAMETERS_MAX + self.kept
        self.kept += 1
        return self.node("keep", number, value, self.block(tuple(rest)))

    def node(self, step: str, *parts: Any) -> Formula:
        self.count += 1
        if self.count > NODES_MAX:
            raise _NoFormulaError
        return (step, *parts)

    def expr(self, node: ast.Expr) -> Formula:
        rule = _RULES.get(type(node))
        if rule is None:
            raise _NoFormulaError
        found: Formula = rule(self, node)
        return found

    def literal(self, node: ast.Literal) -> Formula:
        return self.node("constant", node.value)

    def name(self, node: ast.Name) -> Formula:
        variable = self.file.symbols.get(id(node))
        if type(variable) is not Variable or variable.is_boxed or variable.role == "message":
            raise _NoFormulaError
        if variable in self.places:
            return self.node("at", self.places[variable])
        constant = folded(variable)
        if constant is not None:
            return self.node("constant", constant.value)
        self.outer.add(variable)
        return self.node("cell", variable.python)

    def member(self, node: ast.Member) -> Formula:
        target = node.target
        if id(node) in self.file.symbols or not isinstance(
            target, ast.Name | ast.Member | ast.Index
        ):
            raise _NoFormulaError
        if is_size(node.name) and not node.optional:
            return self.node("len", self.expr(target), node.name)
        if is_of_text(node.name):
            raise _NoFormulaError
        return self.node("get?" if node.optional else "get", self.expr(target), node.name)

    def index(self, node: ast.Index) -> Formula:
        return self.node("index", self.expr(node.target), self.expr(node.key))

    def unary(self, node: ast.Unary) -> Formula:
        return self.node("!" if node.operator == "!" else "negate", self.expr(node.operand))

    def binary(self, node: ast.Binary) -> Formula:
        if node.operator not in _BINARY:
            raise _NoFormulaError
        return self.node(node.operator, self.expr(node.left), self.expr(node.right))

    def conditional(self, node: ast.Conditional) -> Formula:
        parts = (node.condition, node.then, node.otherwise)
        return self.node("?", *(self.expr(part) for part in parts))


_RULES: Final[Mapping[type, Any]] = {
    ast.Literal: _Writer.literal,
    ast.Name: _Writer.name,
    ast.Member: _Writer.member,
    ast.Index: _Writer.index,
    ast.Unary: _Writer.unary,
    ast.Binary: _Writer.binary,
    ast.Conditional: _Writer.conditional,
}


def formula_of(self: Lowering, node: ast.Expr) -> tuple[Formula, bool] | None:
    """The formula of a lambda, and whether it reads no variable of a function around; or None."""
    if not isinstance(node, ast.Lambda) or not 0 < len(node.parameters) <= PARAMETERS_MAX:
        return None
    if self.rows or self.file.scopes[id(node)].outer_written:
        return None
    try:
        writer = _Writer(self, node)
        if not isinstance(node.body, ast.Block):
            formula = writer.expr(node.body)
        elif node.body.statements:
            formula = writer.block(node.body.statements)
        else:
            return None
    except _NoFormulaError:
        return None
    return formula, all(variable.is_file_level for variable in writer.outer)


def with_formula(
    self: Lowering, node: ast.Lambda, made: py.expr, *, is_made: bool = False
) -> py.expr:
    """A lowered lambda that carries its formula, if it has one.

    One that needs nothing of the functions around it is made once, when the file is bound, unless
    it `is_made` by a statement.
    """
    found = formula_of(self, node)
    if found is None:
        return made
    formula, is_alone = found
    wrap = self.bind(
        self.temp(),
        lambda: self.call(
            self.op("formula"), self.const(len(node.parameters)), self.const(formula)
        ),
    )
    carrying = self.call(wrap, made)
    if is_made:
        return self.kept(carrying)
    return self.bind(self.temp(), lambda: carrying) if is_alone else carrying
