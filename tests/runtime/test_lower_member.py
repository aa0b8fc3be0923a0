"""Members compared and set by one step: as the operators do it, faults included."""

from __future__ import annotations

import random
from itertools import product
from typing import Any

import pytest

from flinfast.runtime.context import Headers, QueryMap
from flinfast.runtime.response import ResponseHeaders
from tests.runtime.test_lower_generic import compiled, compiled_plainly, outcome

VALUES: tuple[Any, ...] = (
    *(0, 1, -5, 1 << 70, 1.5, float("nan"), "a", "b", "", None, True, False, [1], {"a": 1}, b"x"),
)
OWNERS: tuple[Any, ...] = (
    *({"n": value} for value in VALUES),
    *({"m": 1, "n": 2}, {"n": {"n": 1}}, {}, None, 7, "text", [1], [{"n": 1}], True, len, range(3)),
    *(Headers([("n", "a")]), QueryMap([("n", "b")]), ResponseHeaders()),
)
TESTS = {
    "value and member": "v {sign} o.n",
    "member and value": "o.n {sign} v",
    "member and literal": "o.n {sign} 1",
    "literal and member": "1 {sign} o.n",
    "member and member": "o.n {sign} o.n",
    "member of a member and member": "o.n.n {sign} o.n",
    "member and member of a member": "o.n {sign} o.n.n",
    "member and computed": "o.n {sign} v + 1",
    "computed and member": "v + 1 {sign} o.n",
    "member and call": "o.n {sign} raised(o, v)",
    "call and member": "raised(o, v) {sign} o.n",
    "member and captured": "o.n {sign} given",
    "on two lines": "v {sign}\n o.n",
    "member on two lines": "o\n.n {sign}\n v",
}


@pytest.mark.parametrize("sign", ["<", "<=", ">", ">="])
@pytest.mark.parametrize("test", TESTS.values(), ids=TESTS)
def test_member_is_compared_as_if_read_before(test: str, sign: str) -> None:
    """Values, faults, their texts and lines; whichever operand is the member."""
    text = (
        'fn raised(o, v) { if o is map { o.n = "z" }\n v }\n'
        "fn f(o, v) {\n  given = v\n  tell = () => { given = 7 }\n"
        f"  found = {test.format(sign=sign)}\n  tell()\n  [found, o]\n}}"
    )
    short, plain = compiled(text)["f"], compiled_plainly(text)["f"]
    for given in product(OWNERS, VALUES):
        assert repr(outcome(short, given)) == repr(outcome(plain, given)), given


SET = """
fn node(v) {{ {{ n: v, left: none }} }}
fn f(o, v) {{
    {statement}
    [o, v]
}}
fn g(o, v) {{ o.n = v; o.left = node(o); v }}
"""
STATEMENTS = {
    "set": "o.n = v",
    "set to a call": "o.left = g(o.left, v)",
    "set in a member": "o.left.n = v",
    "set twice": "o.n = v\n o.left = o.n",
    "set if it is": "if o.n == none { o.n = v } else { o.left = v }",
    "changed": "o.n += v",
    "set on two lines": "o.n =\n [v,\n o.n]",
}


@pytest.mark.parametrize("statement", STATEMENTS.values(), ids=STATEMENTS)
def test_member_that_maps_of_the_file_have_is_set_as_by_the_operator(statement: str) -> None:
    """Of maps at once; anything else gets it, or is at fault, as ever."""
    text = SET.format(statement=statement)
    short, plain = compiled(text)["f"], compiled_plainly(text)["f"]
    owners = (*OWNERS, *({"n": 1, "left": owner} for owner in OWNERS))
    for given in product(owners, (1, "x", None)):
        assert repr(outcome(short, given)) == repr(outcome(plain, given)), given


def test_request_cannot_be_changed_by_python_either() -> None:
    """Whatever sets members without a look at what it sets them of is refused."""
    for fixed in (Headers([("n", "a")]), QueryMap([("n", "b")])):
        with pytest.raises(TypeError, match="read-only"):
            fixed["n"] = "c"
        assert fixed["n"] in ("a", "b")


@pytest.mark.parametrize("seed", range(20))
def test_tree_of_maps_is_as_without_short_ways(seed: int) -> None:
    """Keys of one kind or several; trees that are none, maps with other keys, or no maps."""
    text = """
    fn insert(tree, key) {
        if tree == none { return { key: key, left: none, right: none } }
        if key < tree.key { tree.left = insert(tree.left, key) }
        else { tree.right = insert(tree.right, key) }
        tree
    }
    fn sum(tree) {
        if tree == none { return 0 }
        tree.key + sum(tree.left) + sum(tree.right)
    }
    fn f(tree, keys) {
        for key in keys { tree = insert(tree, key) }
        [tree, sum(tree)]
    }
    """
    source = random.Random(seed)
    short, plain = compiled(text)["f"], compiled_plainly(text)["f"]
    for _ in range(20):
        keys: list[Any] = [source.randint(-9, 9) for _ in range(source.randint(0, 9))]
        if keys and source.random() < 0.4:
            keys[-1] = source.choice(VALUES)
        odd = [None, {}, {"key": 3}, {"key": 0, "left": {"key": "a"}, "right": 5}, [1], "text"]
        given = (source.choice([None, None, *odd]), keys)
        assert repr(outcome(short, given)) == repr(outcome(plain, given)), given
