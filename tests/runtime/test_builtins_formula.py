"""Lambdas that walks compute without calling them: the same values, faults and lines as a loop."""

import random
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flinfast.errors import RuntimeFault
from flinfast.lang import lower_formula
from flinfast.lang.program import compile_project
from flinfast.lang.source import Source
from flinfast.native.collection import Formula
from flinfast.runtime.builtins import BoundBuiltins, specs
from flinfast.runtime.fault import to_fault
from flinfast.runtime.operators import OperatorSet
from tests.runtime.flin_values import FakeQuery, FakeRecord, plain

BUILTINS = BoundBuiltins(None)
BODIES = 120
EDGES = [0, 1, -1, 2**53, 2**53 + 1, -(2**53) - 1, 2**62, 2**63 - 1, -(2**63), 2**64, 10**400]
FRACTIONS = [0.0, -0.0, 0.5, -2.5, 1e308, 9007199254740993.0, float("nan"), float("inf")]
scalars = st.one_of(
    st.sampled_from(EDGES),
    st.integers(-9, 9),
    st.sampled_from(FRACTIONS),
    st.sampled_from(["", "a", "b", "aé", "\U0001f600"]),
    st.booleans(),
    st.none(),
)
maps = st.dictionaries(st.sampled_from(["a", "b", "len"]), scalars, max_size=3)
values = st.one_of(
    scalars, maps, st.lists(scalars, max_size=3), st.builds(lambda m: {"a": m}, maps), plain
)


def compiled(text: str) -> dict[str, Any]:
    """The functions of a file."""
    program = compile_project(
        [(Source("lib/run.flin", text), "lib", ())], builtins=specs(), guards=()
    )
    abi: Any = SimpleNamespace(
        ops=OperatorSet(BUILTINS), builtins=BUILTINS, entities={}, shared_functions={}
    )
    found: dict[str, Any] = program.files[0].bind(abi)
    return found


def body(source: random.Random, depth: int) -> str:
    """A random body of a lambda of `x`, in a function with `y` and `k`."""
    if depth == 0 or source.random() < 0.15:
        names = (
            "x",
            "x",
            "x.a",
            "x.a",
            "x.b",
            "x.len",
            "y",
            "k",
            "x?.a",
            "x.a.b",
            'x["a"]',
            "x[0]",
        )
        return source.choice((*names, "0", "1", "-3", "2.5", '"a"', "true", "none", "7"))
    left, right = body(source, depth - 1), body(source, depth - 1)
    kind = source.random()
    if kind < 0.08:
        return f"!({left})"
    if kind < 0.14:
        return f"-({left})"
    if kind < 0.22:
        return f"(({left}) ? ({right}) : ({body(source, depth - 1)}))"
    operators = ("+", "-", "*", "/", "%", "<", "<=", ">", ">=", "==", "!=", "&&", "||", "??")
    return f"({left}) {source.choice(operators)} ({right})"


def programs() -> tuple[dict[str, Any], int]:
    """Every body as a lambda and in a loop, and how many of the lambdas have a formula."""
    source = random.Random(7)
    lines = []
    for place in range(BODIES):
        made = body(source, place % 3 + 1)
        walk = f"xs.map(x => {{ y = x; {made} }})" if place % 5 == 0 else f"xs.map(x => {made})"
        if "y" in made and place % 5:
            walk = f"xs.map((x, y) => {made})"
        y = "x" if place % 5 == 0 else "n"
        loop = f"out = []; for x, n in xs {{ y = {y}; out.push({made}) }}; out"
        lines.append(f"fn walk{place}(xs, k) {{ {walk} }}")
        lines.append(f"fn lambda{place}(k) {{ f = {walk[7:-1]}; f }}")
        lines.append(f"fn loop{place}(xs, k) {{ {loop} }}")
    functions = compiled("\n".join(lines))
    made_of = [functions[f"lambda{place}"](None, 1).__doc__ for place in range(BODIES)]
    return functions, sum(type(formula) is Formula for formula in made_of)


PROGRAMS, WITH_FORMULA = programs()


def outcome(function: Any, *args: Any) -> str:
    """The result, with sign, type and NaN of numbers, or the fault."""
    try:
        return repr(function(None, *args))
    except RuntimeFault as fault:
        return f"{fault.code} {fault}"


def test_most_bodies_have_a_formula() -> None:
    """Those without are longer than NODES_MAX."""
    assert WITH_FORMULA > BODIES * 0.8


@settings(max_examples=60)
@given(items=st.lists(values, min_size=1, max_size=4), outer=values)
def test_a_formula_agrees_with_a_loop(items: list[Any], outer: Any) -> None:
    """Whatever body, items and variables are, it is the same list or the same fault."""
    for place in range(BODIES):
        expected = outcome(PROGRAMS[f"loop{place}"], items, outer)
        assert outcome(PROGRAMS[f"walk{place}"], items, outer) == expected, place


WALKS = compiled(
    "\n".join(
        f"fn {name}(xs) {{ {text} }}"
        for name, text in {
            "filter": "xs.filter(x => x.a)",
            "filter_loop": "out = []; for x in xs { if x.a { out.push(x) } }; out",
            "find": "xs.find(x => x.a)",
            "find_loop": "for x in xs { if x.a { return x } }; none",
            "find_index": "xs.find_index((x, i) => x.a && i > 0)",
            "find_index_loop": "for x, i in xs { if x.a && i > 0 { return i } }; -1",
            "any": "xs.any(x => x.a)",
            "any_loop": "for x in xs { if x.a { return true } }; false",
            "all": "xs.all(x => x.a)",
            "all_loop": "for x in xs { if !x.a { return false } }; true",
            "count": "xs.count(x => x.a)",
            "count_loop": "n = 0; for x in xs { if x.a { n = n + 1 } }; n",
            "sum": "xs.sum(x => x.a)",
            "sum_loop": "xs.sum(x => { [0]; x.a })",
            "avg": "xs.avg(x => x.a)",
            "avg_loop": "xs.avg(x => { [0]; x.a })",
            "min": "xs.min(x => x.a)",
            "min_loop": "xs.min(x => { [0]; x.a })",
            "max": "xs.max(x => x.a)",
            "max_loop": "xs.max(x => { [0]; x.a })",
            "sort": "xs.sort(x => x.a)",
            "sort_loop": "xs.sort(x => { [0]; x.a })",
            "unique": "xs.unique(x => x.a)",
            "unique_loop": "xs.unique(x => { [0]; x.a })",
            "group_by": "xs.group_by(x => x.a)",
            "group_by_loop": "xs.group_by(x => { [0]; x.a })",
            "flat_map": "xs.flat_map(x => x.a)",
            "flat_map_loop": "xs.flat_map(x => { [0]; x.a })",
            "each": "xs.each(x => x.a)",
            "each_loop": "xs.each(x => { [0]; x.a })",
            "zip_with": "xs.zip_with(xs, (x, y) => x.a == y.a)",
            "zip_with_loop": "xs.map(x => { [0]; x.a == x.a })",
            "reduce": "xs.reduce((n, x) => n + (x.a || 0), 0)",
            "reduce_loop": "n = 0; for x in xs { n = n + (x.a || 0) }; n",
            "compare": "xs.sort((x, y) => x.a - y.a)",
            "compare_loop": "xs.sort((x, y) => { [0]; x.a - y.a })",
            "compare_down": "xs.sort((x, y) => y.a - x.a)",
            "compare_down_loop": "xs.sort((x, y) => { [0]; y.a - x.a })",
        }.items()
    )
)


@pytest.mark.parametrize("name", [name for name in WALKS if not name.endswith("_loop")])
@given(
    items=st.lists(
        st.one_of(
            maps,
            scalars.map(lambda a: {"a": a}),
            st.none(),
            st.builds(FakeRecord, *map(st.just, ("R", 1)), maps),
        ),
        max_size=5,
    )
)
def test_a_walk_with_a_formula_agrees_with_one_without(name: str, items: list[Any]) -> None:
    """Records among maps are looked at by the lambda itself; a query is read first."""
    expected = outcome(WALKS[f"{name}_loop"], items)
    assert outcome(WALKS[name], items) == expected
    assert outcome(WALKS[name], FakeQuery(items)) == expected


def test_a_formula_sees_variables_as_the_lambda_does() -> None:
    """Their values of now, in every function that was made."""
    functions = compiled(
        "limit = 2\n"
        "fn above(k) { f = x => x > k && x > limit; f }\n"
        "fn walk(xs, f) { xs.filter(f) }\n"
        "fn grown(xs) { n = 1; f = x => x > n; first = xs.filter(f).len; n = 3\n"
        "  [first, xs.filter(f).len] }\n"
        "fn turns(xs) { fs = []; for k in [1, 2, 3] { fs.push(x => x > k) }\n"
        "  fs.map(f => xs.count(f)) }"
    )
    low, high = functions["above"](None, 1), functions["above"](None, 4)
    assert [functions["walk"](None, [1, 3, 5], f) for f in (low, high, low)] == [
        [3, 5],
        [5],
        [3, 5],
    ]
    assert functions["grown"](None, [1, 2, 3, 4]) == [3, 1]
    assert functions["turns"](None, [1, 2, 3, 4]) == [3, 2, 1]


def test_a_fault_has_the_line_of_the_lambda() -> None:
    functions = compiled("fn run(xs) {\n  xs.map(x =>\n    x * 2)\n}")
    with pytest.raises(RuntimeFault) as caught:
        functions["run"](None, [1, 2.5, {}])
    assert to_fault(caught.value).line == 3


def test_a_list_may_change_once_the_lambda_is_called() -> None:
    """The walk is over what the list held when it began."""
    functions = compiled("fn run(xs, change) { [xs.map(x => x.a), xs.len] }")
    items: list[Any] = [{"a": 1}]

    class Changing(FakeRecord):
        def flin_get(self, name: str) -> Any:
            items.clear()
            return 7

    items += [Changing("R", 1, {}), {"a": 2}]
    assert functions["run"](None, items, None) == [[1, 7, 2], 0]


def chain(nodes: int) -> tuple[Any, ...]:
    """A formula of an odd number of nodes: `x + x + ...`."""
    made: tuple[Any, ...] = ("at", 0)
    for _ in range(nodes // 2):
        made = ("+", ("at", 0), made)
    return made


def test_limits_of_a_formula() -> None:
    """The compiler writes none that the walks refuse."""
    assert Formula(1, ("!", chain(lower_formula.NODES_MAX - 1)))
    with pytest.raises(ValueError, match="at most 24 nodes"):
        Formula(1, chain(lower_formula.NODES_MAX + 1))
    for arguments in (0, lower_formula.PARAMETERS_MAX + 1):
        with pytest.raises(ValueError, match="expected 1 or 2 arguments"):
            Formula(arguments, ("at", 0))
    last = lower_formula.PARAMETERS_MAX + lower_formula.LOCALS_MAX
    assert Formula(1, ("keep", last - 1, ("at", 0), ("at", last - 1)))
    for wrong in (("at", last), ("at", -1), ("keep", last, ("at", 0), ("at", 0))):
        with pytest.raises(ValueError, match="expected a number"):
            Formula(1, wrong)
    with pytest.raises(TypeError, match="expected a function"):
        Formula(1, ("at", 0))(len)


@pytest.mark.parametrize("terms", [12, 13])
def test_longer_bodies_are_called(terms: int) -> None:
    text = " + ".join(["x"] * terms)
    found = compiled(f"fn get() {{ f = x => {text}; f }}\nfn run(xs) {{ xs.map(x => {text}) }}")
    assert (type(found["get"](None).__doc__) is Formula) == (2 * terms - 1 <= 24)
    assert found["run"](None, [1, 2]) == [terms, 2 * terms]


@pytest.mark.parametrize("count", [4, 5])
def test_more_kept_values_are_called(count: int) -> None:
    text = "; ".join(f"y{n} = x + {n}" for n in range(count)) + f"; y{count - 1}"
    found = compiled(f"fn get() {{ f = x => {{ {text} }}; f }}")
    assert (type(found["get"](None).__doc__) is Formula) == (count == 4)
    assert found["get"](None)(1) == count
