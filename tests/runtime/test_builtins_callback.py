"""Functions of a FLIN program that builtins call back: what they are given, what they may do."""

from types import SimpleNamespace
from typing import Any

import pytest

from flinfast.lang.program import compile_project
from flinfast.lang.source import Source
from flinfast.runtime.builtins import BoundBuiltins, specs
from flinfast.runtime.operators import OperatorSet

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
