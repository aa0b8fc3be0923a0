"""Compiled code against the oracle, and the compiler against anything at all."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flinfast.errors import CompileError, RuntimeFault
from flinfast.lang import ast
from flinfast.lang.compile import compile_trees
from flinfast.lang.program import compile_project
from flinfast.lang.report import Report
from flinfast.lang.source import Source, Span
from flinfast.lang.symbol import FileNames, FunctionScope, ProjectTable
from tests.lang.fake_abi import GUARDS, Context, FakeAbi, builtin_table
from tests.lang.reference import Evaluator

HERE = Span(0, 1)
SOURCE = Source("app/generated.flin", "x")
BODY = {
    "t": "text",
    "i": 3,
    "z": 0,
    "n": 2.5,
    "b": True,
    "f": False,
    "e": "",
    "l": [1, "a", None, True],
    "m": {"k": 1, "len": "own"},
}
VARIABLES = ("va", "vb", "vc")

# --- trees ----------------------------------------

literals = st.builds(
    lambda value: ast.Literal(HERE, value),
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-4, 4),
        st.sampled_from([0, 1, 7, 1 << 40]),
        st.sampled_from([0.0, 0.5, 1.0, -2.0, math.inf]),
        st.sampled_from(["", "a", "text", "1", "k"]),
    ),
)
OPERATORS = ("+", "-", "*", "/", "%", "++", "==", "!=", "<", "<=", ">", ">=")
LOGICAL = ("&&", "||", "??", "in", "not_in")


def make_expressions(variables: tuple[str, ...], assigned: str) -> st.SearchStrategy[ast.Expr]:
    """Expressions over variables and `body`; blocks in them may assign to `assigned`."""
    names = st.one_of(
        st.builds(lambda name: ast.Name(HERE, name), st.sampled_from(variables)),
        st.builds(
            lambda key: ast.Member(HERE, ast.Name(HERE, "body"), key, HERE),
            st.sampled_from([*BODY, "missing"]),
        ),
    )

    def block(value: ast.Expr, first: ast.Expr | None) -> ast.Block:
        last = ast.ExprStatement(HERE, value)
        if first is None:
            return ast.Block(HERE, (last,))
        return ast.Block(HERE, (ast.Assign(HERE, ast.Name(HERE, assigned), "=", first), last))

    def extend(inner: st.SearchStrategy[ast.Expr]) -> st.SearchStrategy[ast.Expr]:
        return larger(inner, st.builds(block, inner, st.one_of(st.none(), inner)))

    return st.recursive(st.one_of(literals, names), extend, max_leaves=12)


def larger(
    inner: st.SearchStrategy[ast.Expr], blocks: st.SearchStrategy[ast.Block]
) -> st.SearchStrategy[ast.Expr]:
    """Expressions made of smaller ones."""
    maybe = st.one_of(st.none(), inner)
    entries = st.lists(
        st.builds(
            lambda key, value: ast.MapEntry(HERE, key, value, HERE),
            st.sampled_from(["k", "x", "len"]),
            inner,
        ),
        max_size=2,
    )
    items = st.lists(st.builds(lambda value: ast.ListItem(HERE, value), inner), max_size=3)
    return st.one_of(
        st.builds(
            lambda operator, left, right: ast.Binary(HERE, operator, left, right),
            st.sampled_from(OPERATORS + LOGICAL),
            inner,
            inner,
        ),
        st.builds(
            lambda operator, operand: ast.Unary(HERE, operator, operand),
            st.sampled_from(["!", "-"]),
            inner,
        ),
        st.builds(lambda c, a, b: ast.Conditional(HERE, c, a, b), inner, inner, inner),
        st.builds(
            lambda c, a, b: ast.IfExpr(HERE, c, a, b), inner, blocks, st.one_of(st.none(), blocks)
        ),
        st.builds(lambda found: ast.ListLiteral(HERE, tuple(found)), items),
        st.builds(lambda found: ast.MapLiteral(HERE, tuple(found)), entries),
        st.builds(lambda a, b: ast.Interpolation(HERE, ("<", a, "|", b, ">")), inner, inner),
        st.builds(
            lambda target, name, optional: ast.Member(HERE, target, name, HERE, optional),
            inner,
            st.sampled_from(["k", "len", "size", "upper", "first"]),
            st.booleans(),
        ),
        st.builds(lambda target, key: ast.Index(HERE, target, key), inner, inner),
        st.builds(lambda t, a, b: ast.Slice(HERE, t, a, b, None), inner, maybe, maybe),
    )


expressions = make_expressions(VARIABLES, "va")
typed_expressions = make_expressions(VARIABLES, "other")


def compile_tree(*items: Any) -> Any:
    """Compile items as a route file and bind them to a fresh fake."""
    scope = FunctionScope("file", "file level", None)
    table = ProjectTable(builtin_table(), GUARDS)
    program = ast.Program(HERE, items)
    file = FileNames(SOURCE, "route", program, frozenset(), table, scope)
    report = Report()
    compiled = compile_trees([file], table, report)
    assert compiled is not None, [d.message for d in report.diagnostics]
    abi = FakeAbi()
    return abi, compiled[0].bind(abi)


def outcome(run: Any) -> Any:
    """A value, or the code of a fault, in a form that can be compared."""
    try:
        return ("value", shape(run()))
    except RuntimeFault as fault:
        return ("fault", fault.code)


def shape(value: Any) -> Any:
    """Value and exact type, lists and maps included; NaN equals itself."""
    if isinstance(value, list):
        return ("list", [shape(item) for item in value])
    if isinstance(value, dict):
        return ("map", [(name, shape(item)) for name, item in value.items()])
    return (type(value).__name__, repr(value))


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(first=expressions, second=expressions, third=expressions)
def test_expressions_give_what_the_oracle_gives(
    first: ast.Expr, second: ast.Expr, third: ast.Expr
) -> None:
    """Fast paths change nothing: values, their types and faults are those of plain evaluation."""
    initial = [("va", 1), ("vb", "b"), ("vc", None)]
    statements: list[ast.Statement] = [
        ast.Assign(HERE, ast.Name(HERE, name), "=", ast.Literal(HERE, value))
        for name, value in initial
    ]
    statements += [
        ast.Assign(HERE, ast.Name(HERE, name), "=", value)
        for name, value in zip(VARIABLES, (first, second, third), strict=True)
    ]
    result = ast.ListLiteral(
        HERE, tuple(ast.ListItem(HERE, ast.Name(HERE, name)) for name in VARIABLES)
    )
    body = ast.Block(HERE, (*statements, ast.ExprStatement(HERE, result)))
    abi, closures = compile_tree(ast.Route(HERE, "GET", HERE, None, (), None, body))
    evaluator = Evaluator(abi.ops, {"body": BODY})
    expected = outcome(lambda: evaluator.block(body))
    assert outcome(lambda: closures["route GET"](Context(body=BODY))) == expected


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(value=typed_expressions, k=st.integers(-3, 3), t=st.sampled_from(["", "a", "1"]))
def test_typed_parameters_give_what_the_oracle_gives(value: ast.Expr, k: int, t: str) -> None:
    """Evident kinds of parameters change nothing either."""

    def typed(name: str, kind: str) -> ast.Parameter:
        return ast.Parameter(HERE, name, ast.TypeRef(HERE, kind))

    parameters = (typed("va", "int"), typed("vb", "text"), typed("vc", "number"))
    data = ast.Parameter(HERE, "body")
    body = ast.Block(HERE, (ast.ExprStatement(HERE, value),))
    function = ast.FunctionDecl(HERE, "f", HERE, (*parameters, data), None, body)
    abi, closures = compile_tree(function)
    evaluator = Evaluator(abi.ops, {"va": k, "vb": t, "vc": k / 2, "body": BODY})
    expected = outcome(lambda: evaluator.block(body))
    assert outcome(lambda: closures["f"](None, k, t, k / 2, BODY)) == expected


# --- texts ----------------------------------------

FRAGMENTS = [
    *("x", "y", "data", "body", "session", "params.id", "Note", "Status.Open", "Open", "now"),
    *("1", "2.5", '"a"', '"{x}"', "none", "true", "[]", "{}", "[1, 2]", "{ a: 1 }", "[:]"),
    *("x + 1", "x ++ y", "x == none", "x in y", "!x", "-x", "x ?? y", "x || y", "x && y"),
    *("x.a", "x?.b", "x[0]", "x[1:2]", "x.len", "f(x)", "f(a: 1)", "f(...x)", "x.map(y => y)"),
    *("x |> f", "x |> f(1)", "x => x", "(a, b) => { a }", "fn(a) { a }", "x@-1", "0..3", "0..=x"),
    *("Note.find(1)", "Note.where(text == x)", "Note.where(n => n.text == x)", "Note.all"),
    *('Note.where(done).order(text, "desc").limit(2)', "Note { text: x, ...y }", "Note.sum(n)"),
    *("if x { 1 } else { 2 }", "x ? 1 : 2", "match x { 1 -> 2 _ -> { 3 } }", "x is text"),
    *("save x", "delete x", "response { status: 1 }", "error(1)", "ws.connection_id", "next()"),
]
STATEMENTS = [
    *("x = {}", "{} = x", "let x = {}", "const y = {}", "shared y = {}", "x += {}", "x.a = {}"),
    *("x[0] -= {}", "x++", "[a, ...b] = {}", "{{ a, b = 1 }} = {}", "x: int = {}", "{}"),
    *("for i in {} {{ y = i }}", "for k, v in {} {{ break }}", "while {} {{ continue }}"),
    *("'a: while true {{ break 'a {} }}", "while let [p] = {} {{ p }}", "return {}", "return"),
    *("if {} {{ x = 1 }} else {{ return 2 }}", "match {} {{ [a, b] | {{ a, b }} -> a }}"),
    *("f = () => {{ x = {} }}", "push(x, () => {})", "break {}", "broadcast({}, data)"),
]
ITEMS = [
    *("fn f(a, b = 1, ...c) {{ {} }}", "fn g(n: int) -> int {{ {} }}", "route GET {{ {} }}"),
    *("route POST {{ guard auth validate {{ a: text @required }} {} }}", 'test "t" {{ {} }}'),
    *("ws {{ on connect {{ {} }} on message(data) {{ {} }} on close {{ {} }} }}", "guard auth"),
    *("entity Note {{ text: text done: bool n: int = 5 }}", "enum Status {{ Open, Closed }}"),
    *("guard_definition own(n) {{ {} }}", "middleware {{ {} }}", "type Id = int", "{}"),
    "guard own(1)",
]
statement_texts = st.builds(
    lambda statement, value: statement.replace("{}", value).replace("{{", "{").replace("}}", "}"),
    st.sampled_from(STATEMENTS),
    st.sampled_from(FRAGMENTS),
)
bodies = st.lists(statement_texts, max_size=4).map(
    lambda lines: "\n".join(("x = 1", "y = []", *lines))
)
item_texts = st.builds(
    lambda item, a, b, c: (
        item.replace("{}", a, 1)
        .replace("{}", b, 1)
        .replace("{}", c, 1)
        .replace("{{", "{")
        .replace("}}", "}")
    ),
    st.sampled_from(ITEMS),
    bodies,
    bodies,
    bodies,
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(item_texts, max_size=5).map("\n".join), st.sampled_from(["route", "lib"]))
def test_compiler_raises_nothing_but_compile_errors(text: str, kind: str) -> None:
    """Whatever the text is, there is a program or there are diagnostics."""
    try:
        program = compile_project(
            [(Source("app/x.flin", text), kind, ("id",))], builtins=builtin_table(), guards=GUARDS
        )
    except CompileError as error:
        found = error.diagnostics
    else:
        found = program.files
        assert program.files[0].code.co_filename == "app/x.flin"
    assert found


@pytest.mark.parametrize("levels", [30, 200, 5_000])
@pytest.mark.parametrize(
    ("before", "after"),
    [("(", ")"), ("[", "]"), ("-", ""), ("x + ", ""), ("if true { ", " }"), ("f(", ")"), ("!", "")],
    ids=["parentheses", "lists", "minus", "sums", "ifs", "calls", "nots"],
)
def test_deep_code_compiles_or_is_refused(before: str, after: str, levels: int) -> None:
    """Depth ends in a diagnostic, never in a RecursionError."""
    text = "fn f(x) { " + before * levels + "x" + after * levels + " }"
    codes: set[str] = set()
    try:
        compile_project(
            [(Source("app/x.flin", text), "route", ())], builtins=builtin_table(), guards=GUARDS
        )
    except CompileError as error:
        codes = {d.code for d in error.diagnostics}
    assert codes <= {"FL009", "FL105", "FL101"}
    assert not codes or levels > 30
