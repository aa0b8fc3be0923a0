"""Loops written twice, once for lists of ints or floats: they do what the plain form does."""

from __future__ import annotations

import copy
import random
import traceback
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flinfast.errors import RuntimeFault
from flinfast.lang import ast, lower_version
from flinfast.lang.parser import parse
from flinfast.lang.source import Source
from tests.lang.compiling import bind_one
from tests.lang.reference import Evaluator
from tests.lang.test_lower import used
from tests.lang.test_lower_values import shape

NAMES = ("v", "w", "m", "n", "k", "s")
SCALARS = ("n", "k", "x", "y", "t")
DEPTH = 3  # of blocks


class LoopWriter:
    """Writes functions with loops over indexes, from a source of random numbers."""

    def __init__(self, source: random.Random) -> None:
        self.random = source
        self.floats = False
        self.rows = ("m",)  # names of lists of lists, or of what is made in each turn around
        self._names = 0
        self._places = ["y", "k"]  # names that hold indexes here

    def pick(self, *options: Any) -> Any:
        return options[self.random.randrange(len(options))]

    def place(self) -> str:
        return self._places[-1 - self.random.randrange(min(len(self._places), 3))]

    def scalar(self) -> str:
        return str(
            self.pick(
                *SCALARS, self.place(), "0", "1", "2", "-1", "3", *(("0.5",) if self.floats else ())
            )
        )

    def key(self) -> str:
        place = self.place()
        return str(
            self.pick(place, place, f"{place} + 1", f"{place} - 1", "n", "x", f"{place} % 2", "-1")
        )

    def item(self) -> str:
        if "q" in self.rows and self.random.random() < 0.4:
            return f"{self.pick('q', 'z', 'z')}[{self.key()}]"
        return str(
            self.pick(
                *(f"v[{self.key()}]", f"w[{self.key()}]", f"m[{self.key()}][{self.key()}]"),
                *(f"r[{self.key()}]", f"v[{self.key()}]", f"m[{self.key()}][{self.key()}]"),
            )
        )

    def value(self, depth: int = 2) -> str:
        if depth == 0 or self.random.random() < 0.3:
            return self.item() if self.random.random() < 0.6 else self.scalar()
        left, right = self.value(depth - 1), self.value(depth - 1)
        form = self.pick("+", "-", "*", "%", "/", "?", "u", "+", "-", "??", "floor")
        if form == "?":
            return f"({self.test(1)} ? {left} : {right})"
        if form == "u":
            return f"(-{self.scalar()} + {right})"
        if form == "floor":
            return f"({self.item()} - {right})"
        return f"({left} {form} {right})"

    def test(self, depth: int = 2) -> str:
        if depth and self.random.random() < 0.3:
            return f"{self.test(depth - 1)} {self.pick('&&', '||')} {self.test(depth - 1)}"
        return str(
            self.pick(
                f"{self.value(1)} {self.pick('<', '<=', '>', '>=', '==', '!=')} {self.value(1)}",
                f"{self.item()} {self.pick('<', '>', '==', '!=')} {self.scalar()}",
                f"s[{self.key()}] == {self.pick('s[0]', 'c', chr(34) + 'a' + chr(34))}",
                *(f"{self.pick('x', self.item())} == none", f"!({self.item()})", self.item()),
                *(f"{self.place()} < {self.pick('v', 'm', 's')}.len", f"{self.key()} >= 0"),
            )
        )

    def statement(self, depth: int, inside: bool) -> str:
        forms = ["x = V", "y = V", "t += V", "t = V", "x = I", "y = I", "c = s[K]", "t -= V"]
        forms += ["[x, y] = [y, x]", "[x, y] = [I, I]", "out.push(V)", "out.push(x)"]
        forms += ["v[K] = V", "w[K] = I", "m[K][K] = V", "m[K][K] += V", "v[K] -= V", "v.push(V)"]
        forms += (
            ["r[K] = V", "v[K] = x", "v[K] = c", "m[K] = v"] if self.random.random() < 0.1 else []
        )
        if "q" in self.rows:
            forms += ["q.push(V)", "q[K] = V", "q.push(I)", "z[K] = V", "z.push(x)", "r.push(I)"]
        if depth:
            forms += ["if", "if", "for", "while", "if"]
        if inside and self.random.random() < 0.2:
            forms = ["break", "continue", "return [x, t]"]
        form = str(self.pick(*forms))
        if form == "if":
            other = f" else {self.block(depth - 1, inside)}" if self.random.random() < 0.4 else ""
            return f"if {self.test()} {self.block(depth - 1, inside)}{other}"
        if form in ("for", "while"):
            return self.loop(depth - 1)
        for letter, make in (("V", self.value), ("I", self.item), ("K", self.key)):
            while letter in form:
                form = form.replace(letter, make(), 1)
        return form

    def block(self, depth: int, inside: bool) -> str:
        lines = [self.statement(depth, inside) for _ in range(self.random.randint(1, 3))]
        return "{\n" + "\n".join(lines) + "\n}"

    def loop(self, depth: int) -> str:
        self._names += 1
        name = f"i{self._names}"
        self._places.append(name)
        body = self.block(depth, True)
        if self.random.random() < 0.7:
            self._places.pop()
            stop = self.pick(
                "v.len", "n", "3", "m.len", "k + 1", f"v.len - {self.place()} % 3", "w[0] % 5"
            )
            return f"for {name} in {self.pick('0', '1', '0')}..{stop} {body}"
        test = self.test()
        self._places.pop()
        return f"{name} = 0\nwhile {name} < 6 && ({test}) {{\n{name} += 1\n{body[2:]}"

    def turns(self) -> str:
        """A loop that is written once, with loops in it that are not."""
        self.rows = ("m", "q")
        inner = [self.loop(DEPTH - 2) for _ in range(self.random.randint(1, 2))]
        self.rows = ("m",)
        where = self.pick(
            "m.push(q)",
            "m[0] = q",
            "m[0] = r",
            "m.push(r)",
            "out.push(q)",
            "m[o] = q",
            "r = q",
            "q = r",
        )
        made = self.pick("q = [1, 2]", "q = []", "q = [x]", "q = [1]  if n == o { q = [2] }")
        lines = [f"for o in 0..3 {{\n{made}\nz = m[{self.pick('o', '0', '-1')}]", *inner, where]
        return "\n".join([*lines, f"out.push({self.pick('len(z)', 'q.len', 'to_text(z)')})", "}"])

    def function(self) -> str:
        self.floats = self.random.random() < 0.2
        start = self.pick("0", "0", "v[0]", "none", "0.0" if self.floats else "1")
        lines = [f"x = {start}\ny = 1\nt = 0\nc = none\nout = []\nr = [1, 2]"]
        for _ in range(self.random.randint(1, 2)):
            lines.append(self.turns() if self.random.random() < 0.3 else self.loop(DEPTH - 1))
        lines.append("[x, y, t, c, out, r]")
        return f"fn f({', '.join(NAMES)}) {{\n" + "\n".join(lines) + "\n}"


def arguments(source: random.Random) -> tuple[Any, ...]:
    """Lists of ints for the most part, and what may stand there instead."""
    leaf = source.choice([[0, 1, 2, 3, -2], [0, 1, 2, 3, -2], [1, 2, None], [0.5, 2.0, -1.5]])
    odd = [True, "a", 1 << 62, 1 << 70, 2.5, None, [1]]

    def numbers() -> list[Any]:
        found: list[Any] = [source.choice(leaf) for _ in range(source.randint(0, 5))]
        if found and source.random() < 0.15:
            found[source.randrange(len(found))] = source.choice(odd)
        return found

    rows: list[Any] = [numbers() for _ in range(source.randint(1, 4))]
    first, second = numbers(), numbers()
    if source.random() < 0.2:
        second = first
    if source.random() < 0.2:
        rows[source.randrange(len(rows))] = source.choice([first, rows[0]])
    chance = source.random()
    if chance < 0.05:
        rows[0] = source.choice(odd)
    elif chance < 0.1:
        first = source.choice([None, "text", {"0": 1}, 5, rows])
    unlike = [True, "a", 2.5, None] if source.random() < 0.2 else []
    scalars = [source.choice([2, 3, 1, 4, 0, 2, 3, *unlike]) for _ in "nk"]
    return first, second, rows, *scalars, source.choice(["abc", "a", ""])


def outcome(run: Any, args: tuple[Any, ...]) -> Any:
    """A value or a fault, and the arguments afterwards; the line of a fault in a FLIN file."""
    line = 0
    try:
        result = ("value", shape(run(*args)))
    except RuntimeFault as fault:
        frames = traceback.extract_tb(fault.__traceback__)
        lines = [(f.lineno, f.colno) for f in frames if f.filename.endswith(".flin")]
        line = lines[-1] if lines else 0
        result = ("fault", (fault.code, str(fault)))
    return (result, [shape(arg) for arg in args]), line


def plain_closures(text: str) -> Any:
    """The same program without the forms of `lower_version`."""
    kept = lower_version.facts_of
    lower_version.facts_of = lambda *_: None  # type: ignore[assignment]
    try:
        return bind_one(text)[1]
    finally:
        lower_version.facts_of = kept


def evaluated(abi: Any, text: str) -> Any:
    """The function of a text, as the oracle runs it."""
    tree, diagnostics = parse(Source("x.flin", text))
    assert not diagnostics
    declaration = tree.items[0]
    assert isinstance(declaration, ast.FunctionDecl)
    names = [parameter.name for parameter in declaration.parameters]

    def run(*args: Any) -> Any:
        evaluator = Evaluator(abi.ops, dict(zip(names, args, strict=True)), abi.builtins)
        return evaluator.function(declaration.body)

    return run


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


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 1 << 32))
def test_loop_does_what_the_oracle_does(seed: int) -> None:
    """Values, their types, what becomes of the arguments, faults and their places."""
    source = random.Random(seed)
    check(LoopWriter(source).function(), [arguments(source) for _ in range(12)])


def test_loop_that_assigns_its_own_variable() -> None:
    """Nothing is known of it when the loop starts."""
    text = "fn f(v, n) { for y in 0..n { n = v[y] + y  y = v[0]  n += y }  n }"
    check(text, [([1, 2, 3], 2), ([1, None], 2), ([2.5], 1), ([], 1)])


def test_list_that_was_put_somewhere_by_a_loop_around() -> None:
    """What an inner loop reads may be the list that it sets items of."""
    text = (
        "fn f(m, n) {\nr = [1, 2]\nt = 0\nfor o in 0..3 {\nz = m[0]\nfor i in 0..n {\n"
        'if o > 0 { r.push("a") }\nt = z[-1] * 2\n}\nm[0] = r\n}\nt\n}'
    )
    check(text, [([[1]], 2), ([[1.5]], 1)])


def test_loops_of_the_property_have_two_forms() -> None:
    """Many of the generated loops are about what is tested here."""
    count = 0
    for seed in range(40):
        _, closures = bind_one(LoopWriter(random.Random(seed)).function())
        count += bool({"$op_holds", "$op_holds_ints", "$s_py_refused"} & used(closures["f"]))
    assert count >= 10


class ItemLoopWriter(LoopWriter):
    """Writes loops over the items of lists, which read and change lists made in the function."""

    odd = 0.0  # chance of what lists of ints do not survive

    def item(self) -> str:
        name = self.pick("a", "a", "b")
        last = self.random.random() < 0.4
        return f"{name}[{name}.len - 1]" if last else f"{name}[{self.key()}]"

    def key(self) -> str:
        return str(self.pick("p", "p", "y", "0", "1", "-1", "n", "p % 2", "a.len - 2", "b.len - 1"))

    def value(self, depth: int = 2) -> str:
        one = self.pick("p", "p", self.item(), self.item(), "x", "y", "n", "1", "p", "a.len")
        if self.random.random() < self.odd:
            one = "2.5"
        if depth and self.random.random() < 0.5:
            return f"({one} {self.pick('+', '+', '-', '*', '%')} {self.value(depth - 1)})"
        return str(one)

    def statement(self, depth: int, inside: bool) -> str:
        form = self.pick("a.push(V)", "a.push(V)", "b[K] = V", "b[K] += V", "x = V", "t += V", "if")
        if self.random.random() < self.odd:
            form = self.pick('a.push("s")', "c = a", "a = [V]", "out.push(a)", "c.push(V)", "b = v")
        if self.random.random() < 0.1:
            form = self.pick("break", "continue", "return [x, t]", "p = V", "y = V", "x = none")
        if form == "if":
            test = f"{self.value(1)} {self.pick('<', '>=', '==')} {self.value(1)}"
            return f"if {test} {self.block(depth - 1, True)}" if depth else "x = 1"
        return form.replace("V", self.value()).replace("K", self.key())

    def function(self) -> str:
        self.odd = self.pick(0, 0, 0.1)
        lines = [f"a = [{self.pick('0', '1, 2', '')}]\nb = [{self.pick('1, 2, 3', '1')}]"]
        if self.odd:
            lines = [f"a = [{self.pick('0', '0.5', 'n')}]\nb = [{self.pick('0, none', '0.5')}]"]
        if self.random.random() < 0.5:
            lines.append(self.pick("a.push(n)", "b.push(2)", "a.push(v)", "out.push(a)", "c = b"))
        first = self.pick("a.push(p + I)", "t += p - I", "b[K] = p * I", "if p < I { x += I }")
        while "I" in first:
            first = first.replace("I", self.item(), 1).replace("K", self.key())
        body = f"{{\n{first}\n{self.block(2, True)[2:]}"
        loop = f"for p in {self.pick('v', 'v', 'w', 'a', 'v[1:]')} {body}"
        if self.random.random() < 0.3:
            loop = f"for o in 0..2 {{\n{loop}\n{self.pick('c = a', 'a.push(none)', 'm[0] = b')}\n}}"
        lines += [loop, "[x, y, t, c, out, a, b, a + b, a[a.len - 1]]"]
        start = "x = 0\ny = 1\nt = 0\nc = [3]\nout = []\n"
        return f"fn f({', '.join(NAMES)}) {{\n{start}" + "\n".join(lines) + "\n}"


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 1 << 32))
def test_loop_over_items_does_what_the_oracle_does(seed: int) -> None:
    """The same for loops over lists, whatever becomes of the lists of the function."""
    source = random.Random(seed)
    check(ItemLoopWriter(source).function(), [arguments(source) for _ in range(12)])


def test_loops_over_items_read_lists_of_the_function() -> None:
    """Many of the generated loops rely on what such lists hold."""
    count = 0
    for seed in range(60):
        _, closures = bind_one(ItemLoopWriter(random.Random(seed)).function())
        count += bool({"$op_holds", "$op_holds_ints"} & used(closures["f"]))
    assert count >= 15


def test_last_item_of_an_empty_list() -> None:
    """`list[list.len - 1]` is none then, in a loop and outside of it."""
    text = "fn f(n) {\na = []\nout = [a[a.len - 1]]\nfor i in 0..n {\nout.push(a[a.len - 1])\n"
    text += "a.push(i)\nout.push(a[a.len - 1])\n}\n[out, a[a.len - 1], a + out]\n}"
    check(text, [(0,), (1,), (3,)])


@pytest.mark.parametrize("start", ["{}", "{ a: 0 }", "{ a: none }", "{ a: 0.5 }", '{ a: "t" }'])
@pytest.mark.parametrize("value", ["m[k] + 1", "0", "m[x] * 2", "none", "x", "m[k] + m[x]"])
def test_entry_that_is_missing_or_none(start: str, value: str) -> None:
    """`map[key] == none` where no entry is none, and where one may be; sums with such entries."""
    text = f"""fn f(v, k) {{
        m = {start}
        n = 0
        for x in v {{
            if m[x] == none {{ m[x] = {value} }} else {{ m[x] += 1 }}
            if m["{{x}}"] != none && none != m[k] {{ n += 1 }}
            if m["b"] == none {{ m[to_text(k)] = m[x] ?? 1 }}
        }}
        m["n"] = n
        m
    }}"""
    keys = (["a", "b", "a"], ["b"], ["a", 1], [None, "a"], "ab", [], [["a"], "a"])
    check(text, [(given, k) for given in keys for k in ("a", "c", None, 1)])


def test_entry_of_a_typed_key() -> None:
    """The same for keys that are texts for sure."""
    text = (
        "fn f(k: text) { m = {}\nm[k] = 1\nm[k + k] = m[k] + 1\nif m[k] == none { m[k] = 5 }\nm }"
    )
    check(text, [("a",), ("",)])
