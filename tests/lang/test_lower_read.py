"""What lowered code evaluates once, and what it knows of maps that stay in a function."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lang.compiling import bind_one
from tests.lang.test_lower import Thing, used


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ("[v.a, v.a + v.a]", "a"),
        ("v.a > 0 && v.a < 9 ? v.a : v.b", "a"),
        ("if v.b && v.a { [v.a, v.b] } else { v.a }", "ba"),
        ("if v.b || v.a { [v.b, v.a] }", "ba"),
        ("if v.a == 5 { 1 } else { v.a }", "a"),
        ("if v.b && v.c { 1 } else { [v.b, v.c] }", "bcc"),
        ("x = v.a  m = {}  m.k = 1\n[x, v.a]", "aa"),
        ("x = v.a  l = [1]  l[0] = 2\n[x, v.a]", "aa"),
        ("x = v.a  l = []  l.push(1)\n[x, v.a]", "aa"),
        ("x = v.a  g(1)\n[x, v.a]", "aa"),
        ("x = v.a  w = v  v = w\n[x, v.a]", "aa"),
        ("for i in 0..2 { v.a }  v.a", "aaa"),
        ("n = 0  while v.a > n { n += 1 }  n", "aa"),
        ("h = () => [v.a, v.a]\n[v.a, h()]", "aa"),
        ("[1, 2].map(x => v.a)", "aa"),
        ("match v.a { 1 -> v.a, _ -> v.b }  v.a", "a"),
        ("match v.a { 1 -> g(v.a), _ -> v.b }  v.a", "aa"),
        ("if v.b { g(1)  return v.a }  v.b", "ba"),
        ("[v.first, v.first]", ["first", "first"]),
        ('x = v?.a\n["{v.a}", v?.a]', "aaa"),
    ],
)
def test_member_is_read_again_where_it_may_have_changed(body: str, names: Any) -> None:
    """And only there: an assignment, a call or another turn of a loop may have done so."""
    read: list[str] = []

    class Reading(Thing):
        def flin_get(self, name: str) -> Any:
            read.append(name)
            return super().flin_get(name)

    _, closures = bind_one(f"fn f(v) {{ {body} }}  fn g(x) {{ x }}")
    closures["f"](None, Reading(a=1, b=2, c=0, first=3))
    assert read == list(names)


def test_fields_of_a_map_that_stays_here_have_kinds() -> None:
    """What nothing else can get hold of needs no tests."""
    text = """
        fn f() {
            state = { count: 0, log: [], name: "a" }
            state.count += 2
            state.log.push(state.count - 1)
            state.name = state.name + "b"
            state
        }
        fn g(h) {
            state = { count: 0 }
            h(state)
            state.count += 2
            state
        }
    """
    _, closures = bind_one(text)
    assert closures["f"](None) == {"count": 2, "log": [1], "name": "ab"}
    assert used(closures["f"]) == set()
    assert closures["g"](None, lambda m=None: m.update(count=0.5)) == {"count": 2.5}


def test_function_that_need_not_check_its_arguments_knows_its_maps() -> None:
    """Whether a parameter is a map is found out where its members are read."""
    text = """
        fn f(n: int, m) { m.a + m.b + n }
        fn g(m) { f(1, m) + f(2, m) }
    """
    _, closures = bind_one(text)
    for name, given in (("f", (5, {"a": 1, "b": 2})), ("f", (5, Thing(a=1, b=2)))):
        assert closures[name](None, *given) == 8
    assert closures["g"](None, {"a": 1, "b": 2}) == closures["g"](None, Thing(a=1, b=2)) == 9
