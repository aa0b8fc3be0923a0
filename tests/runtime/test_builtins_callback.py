"""Functions of a FLIN program that builtins call back: what they are given, what they may do."""

from types import SimpleNamespace
from typing import Any

import pytest

from flinfast.errors import RuntimeFault
from flinfast.lang.program import compile_project
from flinfast.lang.source import Source
from flinfast.runtime.builtins import BoundBuiltins, specs
from flinfast.runtime.operators import OperatorSet
from tests.runtime.flin_values import FakeQuery

BUILTINS = BoundBuiltins(None)


def run(body: str, *given: Any) -> Any:
    """Result of a FLIN function of `xs` and `ys` with this body."""
    helpers = "fn plus(x, y) { x + y }\nfn rated(x, rate = 10) { x * rate }"
    text = f"{helpers}\nfn run(xs, ys) {{ {body} }}"
    source = Source("lib/run.flin", text)
    program = compile_project([(source, "lib", ())], builtins=specs(), guards=())
    abi: Any = SimpleNamespace(
        ops=OperatorSet(BUILTINS), builtins=BUILTINS, entities={}, shared_functions={}
    )
    return program.files[0].bind(abi)["run"](None, *given)


@pytest.mark.parametrize(
    ("body", "result"),
    [
        ("xs.map((x, i) => x * i)", [0, 1, 4]),
        ("xs.map((x, i = 7) => x * i)", [21, 7, 14]),
        ("xs.map(rated)", [30, 10, 20]),
        ("xs.map(plus)", [3, 2, 4]),
        ("xs.map((x, i, more) => [x, i, more])[1]", [1, 1, None]),
        ("xs.map((...all) => all.len)", [1, 1, 1]),
        ("xs.map(() => 5)", [5, 5, 5]),
        ("xs.filter((x, i) => i == 1)", [1]),
        ("xs.find_index((x, i) => i == 2)", 2),
        ("xs.any((x, i) => i == 2)", True),
        ("xs.sum((x, i) => i)", 3),
        ("xs.sort((a, b) => b - a)", [3, 2, 1]),
        ('xs.sort((a, b) => b - a, "desc")', [1, 2, 3]),
        ("xs.sort(x => -x)", [3, 2, 1]),
        ("xs.sort((x, factor = 2) => -x * factor)", [3, 2, 1]),
        ("xs.reduce((total, x) => total + x, 1)", 7),
        ("xs.reduce(1, (total, x) => total + x)", 7),
        ("xs.reduce(plus, 0)", 6),
        ("xs.zip_with(xs, (a, b) => a * b)", [9, 1, 4]),
        ("{ a: 1 }.map_values((v, k) => k)", {"a": "a"}),
    ],
)
def test_function_is_given_what_it_asks_for(body: str, result: Any) -> None:
    """A parameter without a default asks for the index, too; one with a default keeps it."""
    assert run(body, [3, 1, 2]) == result


@pytest.mark.parametrize(
    ("body", "result"),
    [
        ("xs.any(x => x > 2)", True),
        ("xs.some(x => x.name)", False),
        ("xs.all(x => x > 1)", False),
        ("xs.every(x => x)", True),
        ("xs.find(x => x < 3)", 1),
        ("xs.find(x => x > 9)", None),
        ("xs.find_index(x => x == 2)", 2),
        ("xs.find_index(x => x.a?.b ?? false)", -1),
        ("xs.count(x => x != 1)", 2),
        ("xs.sum(x => x * 2)", 12),
        ("xs.sum(x => x == 1 ? none : x)", 5),
        ("xs.avg(x => x + 0.5)", 2.5),
        ("xs.min(x => -x)", -3),
        ('xs.max(x => "t{x}")', "t3"),
        ("xs.flat_map(x => [x, [x]])", [3, [3], 1, [1], 2, [2]]),
        ("xs.flat_map(x => x)", [3, 1, 2]),
        ("[{ a: 1 }, none, { a: 0 }].count(m => m?.a)", 1),
        ("[{ a: 1 }, { a: 2 }].find(m => m.a > 1 || m.b).a", 2),
        ("xs.any(x => ys.all(y => y > x))", True),
        ("xs.count(x => x > ys.sum(y => y) - 8)", 2),
    ],
)
def test_lambda_of_a_walk_may_be_a_comprehension(body: str, result: Any) -> None:
    """Of a list; of a query it is called, with the same result."""
    assert run(body, [3, 1, 2], [2, 4, 3]) == result
    assert run(body, FakeQuery([3, 1, 2]), [2, 4, 3]) == result


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("xs.sum(x => x == 2)", "FL504 `sum`: expected a list of number, got bool in it"),
        ('xs.max(x => x == 2 ? "a" : x)', "FL501 cannot compare int with text"),
        ('xs.any(x => x > "a")', "FL501 cannot compare text with int"),
        ("xs.find(x => x.y.z)", "FL502 cannot read `.z` of none"),
        ("none.any(x => x)", "FL502 cannot call `.any()` of none"),
        ("5.sum(x => x)", "FL504 `sum` argument 1: expected list, got int"),
    ],
)
def test_faults_of_a_comprehension_are_those_of_the_walk(body: str, fault: str) -> None:
    for given in ([3, 1, 2], FakeQuery([3, 1, 2])):
        with pytest.raises(RuntimeFault) as caught:
            run(body, given, [])
        assert f"{caught.value.code} {caught.value}" == fault


def test_a_lambda_may_change_the_list_that_is_walked() -> None:
    """The walk is over the items that the list had at first."""
    assert run("n = xs.count(x => xs.push(x)); [n, xs.len]", [1, 2], None) == [2, 4]
    assert run("n = xs.find(x => xs.pop() == 1); [n, xs.len]", [1, 2], None) == [2, 0]
    assert run("n = xs.sum(x => xs.push(1).len); [n, xs.len]", [1, 2], None) == [7, 4]


@pytest.mark.parametrize("value", ["x.a", "(x.a)", "[x.a][0]"])
@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("sum", "FL504 `sum`: expected a list of number, got text in it"),
        ("avg", "FL504 `avg`: expected a list of number, got text in it"),
        ("min", "FL501 cannot compare text with int"),
        ("max", "FL501 cannot compare int with text"),
    ],
)
def test_the_fault_of_the_first_item_that_has_one_is_told(
    name: str, fault: str, value: str
) -> None:
    """Whether the value is refused, or the lambda has none: as a loop would tell it."""
    refused_first = [{"a": 1}, {"a": "b"}, None]
    failed_first = [{"a": 1}, None, {"a": "b"}]
    for items, expected in (
        (refused_first, fault),
        (failed_first, "FL502 cannot read `.a` of none"),
    ):
        for given in (items, FakeQuery(items)):
            with pytest.raises(RuntimeFault) as caught:
                run(f"xs.{name}(x => {value})", given, None)
            assert f"{caught.value.code} {caught.value}" == expected


def test_a_fold_leaves_variables_of_that_name_alone() -> None:
    """Of the function around, and of another fold in it."""
    body = "x = 9; total = xs.sum(x => [x][0]) + xs.max(x => [x][0]); [x, total]"
    assert run(body, [1, 2], None) == [9, 5]
    assert run("ys && xs.sum(x => [x][0]) > 2 || xs.len", [1, 2], True) is True
    assert run("xs.map(x => x.sum(y => [y][0]))", [[1, 2], [3]], None) == [3, 3]
    assert run("xs.flat_map(x => [x, xs.sum(x => [x][0])])", [1, 2], None) == [1, 3, 2, 3]
