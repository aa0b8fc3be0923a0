"""Loops written twice, once for maps of certain fields: they do what the plain form does."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flinfast.lang import lower_fields
from tests.lang.compiling import bind_one
from tests.lang.test_lower import used
from tests.lang.test_lower_version import evaluated, outcome

FIELDS = ("a", "b", "t", "d.a", "d.b", "d.t", "l")
DEPTH = 2  # of blocks


class RecordLoopWriter:
    """Writes functions with loops over maps, from a source of random numbers."""

    def __init__(self, source: random.Random) -> None:
        self.random = source
        self.floats = source.random() < 0.3

    def pick(self, *options: Any) -> Any:
        return options[self.random.randrange(len(options))]

    def number(self) -> str:
        return str(
            self.pick(
                *("p.a", "p.b", "p.a", "p.b", "p.d.a", "p.d.b", "x", "k", "p.l.len"),
                *("1", "2", "0.5" if self.floats else "3"),
            )
        )

    def text(self) -> str:
        return str(self.pick("p.t", "p.d.t", '"a"', '"{p.t}{p.a}"', '"n" + p.t', "p.t", '"{p.o}"'))

    def value(self, depth: int = 2) -> str:
        if depth == 0 or self.random.random() < 0.3:
            return self.number()
        left, right = self.value(depth - 1), self.value(depth - 1)
        form = self.pick("+", "-", "*", "%", "/", "+", "-", "u", "?", "m")
        if form == "u":
            return f"(-{self.number()} + {right})"
        if form == "?":
            return f"({self.test(0)} ? {left} : {right})"
        if form == "m":
            return f"(m[{self.text()}] ?? {right})"
        return f"({left} {form} {right})"

    def test(self, depth: int = 1) -> str:
        if depth and self.random.random() < 0.3:
            return f"{self.test(depth - 1)} {self.pick('&&', '||')} {self.test(depth - 1)}"
        return str(
            self.pick(
                f"{self.value(1)} {self.pick('<', '<=', '>', '>=', '==', '!=')} {self.value(1)}",
                f"{self.text()} == {self.text()}",
                f"{self.text()} in {self.pick('by', 'm')}",
                *("p.o", "!p.o", "p.a == none", 'p.d.t == "a"', "x == none", "p.o == p.a"),
            )
        )

    def statement(self, depth: int) -> str:
        forms = ["x = V", "x += V", "n += V", "n -= V", "out.push(V)", "out.push(p.o)"]
        forms += ["by[T] = V", "by[T] = (by[T] ?? 0) + V", "p.a += V", "p.b = V", "p.d.a -= V"]
        forms += ["p.a = V", "p.d.b += V", "s = T", "s += T", "out.push({ t: T, o: p.o })"]
        forms += ["p.l.push(V)", "z = T", "by.total = V", "gr[T].push(V)"]
        forms += ["if gr[T] == none { gr[T] = [V] }\ngr[T].push(V)"] * 2
        if self.random.random() < 0.15:
            forms = ["p.t = V", "p.a = T", "p.d = { a: 1 }", "m[T] = V", "q = p\nq.a = T"]
            forms += ["out.push(by)", "p.o = V", "p.t += T", "p.new = V", "by.a.b = 1"]
        forms += ["{ a, b: w } = p\nx += a * w", "{ t, a: w } = p\nw -= V\nout.push([t, w])"]
        if self.random.random() < 0.1:
            forms = ["break", "continue", "return [x, n]"]
        if depth:
            forms += ["if"] * 4
        form = str(self.pick(*forms))
        if form == "if":
            other = f" else {self.block(depth - 1)}" if self.random.random() < 0.4 else ""
            return f"if {self.test()} {self.block(depth - 1)}{other}"
        for letter, make in (("V", self.value), ("T", self.text)):
            while letter in form:
                form = form.replace(letter, make(), 1)
        return form

    def block(self, depth: int) -> str:
        lines = [self.statement(depth) for _ in range(self.random.randint(1, 3))]
        return "{\n" + "\n".join(lines) + "\n}"

    def function(self) -> str:
        lines = [f"x = {self.pick('0', '0', '0.0', 'none', 'k')}\nn = 0\nz = none"]
        lines.append('s = ""\nout = []\nby = {}\ngr = {}')
        if self.random.random() < 0.1:
            lines.append("rows.push(by)")
        for _ in range(self.random.randint(1, 2)):
            loop = f"for p in rows {self.block(DEPTH)}"
            lines.append(f"for i in 0..2 {{\n{loop}\n}}" if self.random.random() < 0.2 else loop)
        lines.append(self.pick("[x, n, z, s, out, by, gr]", "[x, n, z, s, out]", "by", "gr"))
        return "fn f(rows, m, k) {\n" + "\n".join(lines) + "\n}"


def arguments(source: random.Random) -> tuple[Any, ...]:
    """Maps with the same fields for the most part, and what may stand there instead."""
    odd = [True, "a", 1 << 70, 2.5, None, [1], {"a": 1}]
    numbers: list[Any] = source.choice([[0, 1, 2, -3], [0, 1, 2, -3], [0.5, 2.0, -1.5]])
    chance = source.choice([0, 0, 0.05])

    def entry(deep: bool) -> dict[str, Any]:
        found: dict[str, Any] = {
            "a": source.choice(numbers),
            "b": source.choice(numbers),
            "t": source.choice(["a", "b", "c", ""]),
        }
        if deep:
            found["d"] = entry(False)
            found["l"] = [1] * source.randint(0, 2)
            found["o"] = source.choice([None, 1, "x", True])
            if source.random() < 0.2:
                del found["o"]
        for name in list(found):
            if source.random() < chance:
                found[name] = source.choice(odd)
            elif source.random() < chance:
                del found[name]
        return found

    rows: list[Any] = [entry(True) for _ in range(source.randint(0, 4))]
    if rows and source.random() < 0.2:
        rows.append(rows[0])
    if len(rows) > 1 and source.random() < 0.2:
        rows[0]["d"] = source.choice([rows[1], rows[1].get("d"), rows[0]])
    if rows and source.random() < 0.1:
        rows[source.randrange(len(rows))] = source.choice(odd)
    entries: Any = {"a": 1, "b": 2}
    if source.random() < 0.2:
        entries = source.choice([None, {"a": "x"}, rows[0] if rows else {}])
    return rows if source.random() < 0.95 else source.choice(odd), entries, source.choice([1, 0.5])


def plain_closures(text: str) -> Any:
    """The same program without the forms of `lower_fields`."""
    kept = lower_fields.form_of
    lower_fields.form_of = lambda *_: None
    try:
        return bind_one(text)[1]
    finally:
        lower_fields.form_of = kept


def check(text: str, given: list[tuple[Any, ...]]) -> None:
    """A program gives what the oracle gives, and has its faults where the plain form has them."""
    abi, closures = bind_one(text)
    plain, oracle = plain_closures(text), evaluated(abi, text)
    for args in given:
        found, line = outcome(lambda *values: closures["f"](None, *values), copy.deepcopy(args))
        expected, _ = outcome(oracle, copy.deepcopy(args))
        assert found == expected, (text, args)
        same, plain_line = outcome(lambda *values: plain["f"](None, *values), copy.deepcopy(args))
        assert (found, line) == (same, plain_line), (text, args)


def has_two_forms(text: str) -> bool:
    """Whether a program has a loop in the form for certain fields."""
    return any(name.startswith("$fields") for name in used(bind_one(text)[1]["f"]))


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 1 << 32))
def test_loop_over_maps_does_what_the_oracle_does(seed: int) -> None:
    """Values, their types, what becomes of the arguments, faults and their places."""
    source = random.Random(seed)
    check(RecordLoopWriter(source).function(), [arguments(source) for _ in range(12)])


def test_loops_of_the_property_have_two_forms() -> None:
    """Many of the generated loops are about what is tested here."""
    texts = [RecordLoopWriter(random.Random(seed)).function() for seed in range(60)]
    assert sum(map(has_two_forms, texts)) >= 15


def test_loop_over_fields_of_kinds_is_pythons_own() -> None:
    """Members set in a loop need no operator where the fields hold numbers."""
    text = """fn f(rows) {
        for p in rows {
            p.x += p.v * 0.5
            if p.x > 10 || p.x < 0 { p.v = -p.v }
        }
    }"""
    assert has_two_forms(text)
    _, closures = bind_one(text)
    rows = [{"x": 9.5, "v": 2.0}, {"x": 1.0, "v": 1.0}, {"x": 1, "v": 3}, {"x": 1.0, "v": 1.0}]
    closures["f"](None, rows)
    assert rows == [
        {"x": 10.5, "v": -2.0},
        {"x": 1.5, "v": 1.0},
        {"x": 2.5, "v": 3},
        {"x": 1.5, "v": 1.0},
    ]


@pytest.mark.parametrize("other", [[1], [], "text", 5, None, True, {}])
@pytest.mark.parametrize("end", ["", "if p.a == 9 { break }"])
def test_items_that_are_no_maps_are_no_fault_of_the_first_form(other: Any, end: str) -> None:
    """Also where it asks for no field of a kind, and reads members that may be anything."""
    text = f"fn f(rows) {{ n = 0\n for p in rows {{ if p.t != 1 {{ n += 2 }}\n{end} }}\n n }}"
    given = ([{"t": 1}, other, {"t": 2}], [other, {"t": 1}], [{"t": 2, "a": 9}, other])
    check(text, [(rows,) for rows in given])


@pytest.mark.parametrize("end", ["", "if p.a == 9 { break }", "if p.a == 9 { return out }"])
@pytest.mark.parametrize("change", ["p.a += p.b", "p.d.a += p.b", "p.b = p.d.a * 2"])
def test_items_that_share_maps_are_seen_as_earlier_turns_left_them(change: str, end: str) -> None:
    """In loops that look at all items before the first turn, and in those that look in each."""
    loop = f"for p in rows {{ {change}\n out.push(p.a + p.b + p.d.a)\n {end} }}"
    text = f"fn f(rows) {{ out = []\n {loop}\n out }}"
    assert has_two_forms(text)
    odds: list[Any] = [None, {"a": 1}, {"a": 1, "b": 2.5, "d": {"a": 1}, "t": 1}, "text", []]
    for odd in odds:
        inner = {"a": 1, "b": 2, "t": "x"}
        first = {"a": 1, "b": 3, "t": "x", "d": inner}
        second = {"a": 9, "b": 4, "t": "y", "d": first}
        rows = [first, second, first, inner]
        check(text, [(rows,), ([first, second, odd, *rows],), (odd,), (rows + rows,)])


@pytest.mark.parametrize(
    "body",
    [
        "p.x += g(p.x)",  # may do anything
        "p.x += 1\nm.x = p.x",  # may be one of the items
        "p.x += p.x\np.x = p.name",  # of another kind
        "p.d.x += p.x + p.x\np.d = p",  # other fields than the ones found
        "p.x += 1\nout.push(p.x + p.friend.x)\nby[p.x] = 1",
        "t += p.x\nby = p\nby[p.name] = p.name",
    ],
)
def test_loop_that_may_change_kinds_has_one_form(body: str) -> None:
    """Nothing is taken for granted that the body itself could change."""
    text = f"""fn g(x) {{ x }}
fn f(rows, m) {{
    out = []
    by = {{}}
    t = 0
    for p in rows {{
        {body}
        if p.x > 3 && p.x < 9 {{ t += p.x }}
    }}
    out
}}"""
    assert not has_two_forms(text)
