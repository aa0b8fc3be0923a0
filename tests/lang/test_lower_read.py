"""What lowered code evaluates once, and what it knows of maps that stay in a function."""

from __future__ import annotations

from functools import partial
from itertools import product
from typing import Any

import pytest

from flinfast.errors import RuntimeFault
from tests.lang.compiling import bind_one
from tests.lang.test_lower import Thing, fault_of, used


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
        ("x = v.a  l = []  l.push(1)\n[x, v.a]", "a"),
        ("x = v.a  m = {}  m[x] = 1\nm[v.a]", "a"),
        ("x = v.a  m = {}  m[x] = 1\n[m, v.a]", "aa"),
        ("x = v.a  m = {}  m[x] = []\nm[v.a].push(v.a)", "a"),
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


MAPS: tuple[Any, ...] = (
    {"b": {"c": 3}},
    {"b": {}},
    {"b": [1, 2]},
    {"b": "text"},
    {"b": Thing(c=4)},
    {"b": None},
)


@pytest.mark.parametrize("inner", [*MAPS, {}, Thing(b={"c": 5}), Thing(b=Thing(c=6)), 7, None])
def test_member_of_a_member_is_what_two_reads_give(inner: Any) -> None:
    """One operator reads both where nobody else wants the first."""
    text = """
        fn once(m) { m.a.b.c }
        fn apart(m) { x = m.a  y = x.b  y.c }
        fn size(m) { m.a.b.len }
        fn size_apart(m) { x = m.a  y = x.b  y.len }
        fn kept(m) { x = m.a  x?.b?.c }
    """
    _, closures = bind_one(text)
    assert "$of.b.c" in used(closures["once"])
    assert "$of.b.len" in used(closures["size"])
    assert not {"$of.b.c", "$of.a.b"} & used(closures["kept"])
    for one, two in (("once", "apart"), ("size", "size_apart")):
        found = [_outcome(closures[name], {"a": inner}) for name in (one, two)]
        assert found[0] == found[1]


def test_fault_of_a_member_of_a_member_has_its_line() -> None:
    """The line on which the chain begins, as for one member."""
    text = "fn f(m) {\n    x = 1\n    x + m.a\n        .b\n}"
    _, closures = bind_one(text)
    for given in (None, {}, {"a": None}):
        frame = fault_of(partial(closures["f"], None, given))[-1]
        assert (frame.filename, frame.lineno) == ("app/api/test.flin", 3)


@pytest.mark.parametrize("rows", [[[1, 2], [3, 4]], {"a": 1}, [{"a": 1}, "xy"], "xy", [None], 5])
def test_item_of_an_item_is_what_two_reads_give(rows: Any) -> None:
    """Also from the end, beyond it, and of what is no list."""
    text = """
        fn once(m, i: int, j: int) { m[i][j - 1] }
        fn apart(m, i: int, j: int) { x = m[i]  k = j - 1  x[k] }
    """
    _, closures = bind_one(text)
    assert "$op_index_twice" in used(closures["once"])
    for i, j in product((0, 1, -1, 5), (0, 1, 2, 9)):
        found = [_outcome(closures[name], rows, i, j) for name in ("once", "apart")]
        assert found[0] == found[1]


def test_key_that_does_something_is_evaluated_after_the_first_item() -> None:
    """An item of an item is one operator only where its key just is there."""
    text = "fn f(m, h) { m[0][len(h())] }  fn g(m, h: int) { m[0][h + 1] }"
    called: list[int] = []

    def hidden() -> str:
        called.append(1)
        return ""

    _, closures = bind_one(text)
    assert "$op_index_twice" in used(closures["g"])
    assert "$op_index_twice" not in used(closures["f"])
    assert _outcome(closures["f"], None, hidden)[0] == "FL502"
    assert _outcome(closures["f"], [[5]], hidden) == 5
    assert called == [1]


@pytest.mark.parametrize("values", [[1, 2, 3], [], "abc", {"0": 5, "len": 2}, Thing(len=1), None])
def test_item_in_a_loop_of_a_value_that_may_be_a_list(values: Any) -> None:
    """A list is asked by Python, up to and beyond its end; the rest by the operator."""
    text = """
        fn f(v) { out = []  i = 0  while i < v.len + 1 { out.push(v[i])  i += 1 }  out }
        fn g(v) { out = []  i = 0  while i < v.len + 1 { w = v  out.push(w[i])  i += 1 }  out }
    """
    _, closures = bind_one(text)
    assert _outcome(closures["f"], values) == _outcome(closures["g"], values)


def test_functions_with_variables_of_one_name_know_nothing_of_each_other() -> None:
    """What was found out about a list holds for its own function alone, lambdas included."""
    text = """
        fn first(v) { v.len + v.len }
        fn second(v) { v.len }
        fn third(v, w) {
            n = v.len + v.len
            size = v => v.len
            [n, size(w), w.map(v => v.len)]
        }
    """
    _, closures = bind_one(text)
    assert closures["first"](None, [1]) == 2
    assert closures["second"](None, {"len": "long"}) == "long"
    assert closures["third"](None, [1], [{"len": 7}]) == [2, 1, [7]]


def _outcome(function: Any, *given: Any) -> Any:
    try:
        return function(None, *given)
    except RuntimeFault as fault:
        return fault.code, str(fault)
    except (KeyError, AttributeError) as error:  # what an object of the tests lacks
        return type(error)


@pytest.mark.parametrize(
    ("body", "is_known"),
    [
        ("m[k] = 1 + (m[k] ?? 0)  m", True),
        ("m[k] = 1 + (m[k] ?? 0)  if k in m { m.b = 2 }  m", True),
        ("m[k] = 1 + (m[k] ?? 0)  m[k] = none  m", False),
        ("m[k] = 1 + (m[k] ?? 0)  m[k] = k  m", False),
        ("m[k] = 1 + (m[k] ?? 0)  m.b = 0.5  m", False),
        ("m[k] = 1 + (m[k] ?? 0)  g(m)  m", False),
        ("m[k] = 1 + (m[k] ?? 0)  w = m  w[k] = k  m", False),
        ("h = () => { m[k] = k }  h()  m[k] = 1 + (m[k] ?? 0)  m", False),
        ("m = { ...g(m) }  m[k] = 1 + (m[k] ?? 0)  m", False),
    ],
)
def test_values_of_a_map_that_stays_here_have_a_kind(body: str, is_known: bool) -> None:
    """What is set by a computed name counts, too."""
    _, closures = bind_one(f"fn f(k: text) {{ m = {{ a: 1 }}  {body} }}  fn g(x) {{ x }}")
    assert used(closures["f"]).isdisjoint({"$op_add", "$op_add_to_entry"}) == is_known
    found = closures["f"](None, "a")
    assert type(found) is dict


def test_list_of_a_map_that_stays_here_gets_an_item() -> None:
    """Without a look at what it is, but for none."""
    text = """
        fn f(k, x) {
            m = { a: [] }
            if x != none { m[k] = [] }
            m[k].push(1)
            m
        }
        fn g(k: text) {
            m = { a: [] }
            m["a"] = [2]
            m[k].push(k.len)
            m
        }
    """
    _, closures = bind_one(text)
    assert closures["f"](None, "b", 1) == {"a": [], "b": [1]}
    assert closures["f"](None, 1, 1) == {"a": [], "1": [1]}
    assert closures["g"](None, "a") == {"a": [2, 1]}
    for run in (partial(closures["f"], None, "b", None), partial(closures["g"], None, "b")):
        with pytest.raises(RuntimeFault) as caught:
            run()
        assert caught.value.code == "FL502"
