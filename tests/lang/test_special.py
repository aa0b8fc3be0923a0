"""Functions with a special form: they do what they do without one, whoever calls them."""

from __future__ import annotations

import copy
import random
import traceback
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flinfast.errors import RuntimeFault
from flinfast.lang import lower_function
from tests.lang.compiling import bind_one
from tests.lang.test_lower import used
from tests.lang.test_lower_version import outcome

ODD = (True, False, None, "a", "", 2.5, 0.0, -3, 1 << 62, 1 << 70, [], [1, None], {"k": 1})

DEEP = 700  # levels; Python allows 1,000 frames, some of them the test runner's


class ProgramWriter:
    """Writes functions that call one another, from a source of random numbers."""

    def __init__(self, source: random.Random) -> None:
        self.random = source
        self.others = "fgh"  # that are called for the most part

    def pick(self, *options: Any) -> Any:
        return options[self.random.randrange(len(options))]

    def value(self, depth: int = 2) -> str:
        simple = ("n", "n", "x", "y", "t", "0", "1", "2", "v[0]", "v[n]", "v[t]", "v.len", "v[-1]")
        if depth == 0 or self.random.random() < 0.3:
            return str(self.pick(*simple, *(("0.5", '"a"') if self.random.random() < 0.1 else ())))
        left, right = self.value(depth - 1), self.value(depth - 1)
        form = self.pick("+", "-", "*", "%", "+", "-", "?", "??", "f", "g", "h")
        if form == "?":
            return f"({self.test()} ? {left} : {right})"
        if form in ("f", "g", "h"):
            return self.call(str(self.pick(*self.others, *self.others, *self.others, form)))
        return f"({left} {form} {right})"

    def call(self, name: str) -> str:
        items = self.pick("v", "v", "v", "w", "v[1:]", "[n, 1]", "x", "v + [n]")
        count = self.pick("n - 1", "n - 1", "n - 2", "t - 1", "-1", "none")
        return f"{name}({items}, {count}, {self.value(0)}, d - 1)"

    def test(self) -> str:
        sign = self.pick("<", "<=", ">", ">=", "==", "!=")
        return f"{self.value(1)} {sign} {self.value(0)}"

    def statement(self, depth: int) -> str:
        forms = ["x = V", "y = V", "t = t + 1", "t = V", "w.push(V)", "v[0] = V", "v[t] += 1"]
        forms += ["if", "if", "for", "for", "[x, y] = [y, x]", "[x, y] = w"] if depth else []
        forms += ["if n != x { return V }"] if self.random.random() < 0.2 else []
        forms += ["n = V", "n -= 1", "n = n"] if self.random.random() < 0.2 else []
        form = str(self.pick(*forms))
        if form == "if":
            return f"if {self.test()} {self.block(depth - 1)} else {self.block(depth - 1)}"
        if form == "for":
            source = self.pick("0..n % 4", "0..v.len", "v", "w", "1..t % 5")
            return f"for {self.pick('i', 'y', 'z')} in {source} {self.block(depth - 1)}"
        return form.replace("V", self.value())

    def block(self, depth: int) -> str:
        return "{\n" + "\n".join(self.statement(depth) for _ in range(self.pick(1, 2))) + "\n}"

    def function(self, name: str) -> str:
        self.others = "fgh"["fgh".index(name) + 1 :]
        start = self.pick("0", "1", "x", "v[0]", "none", "0.5")
        lines = [f"fn {name}(v, n, x, d) {{", f"y = {start}", "t = 0", "w = [1, 2]"]
        lines += [f"if d < 1 || n == 3 {{ return {self.value(0)} }}"]
        lines += [self.statement(2) for _ in range(self.pick(2, 3, 4))]
        other = self.pick(self.value(), "[x, y, t, w]", "w", "v", "t")
        lines += [f"y == t && w == none ? {self.value()} : {other}", "}"]
        return "\n".join(lines)

    def program(self) -> str:
        start = "fn main(n, x) { f([1, 2, 3], 2, x, 3) + h([], n, 1, 3) }\n"
        return start + "\n".join(self.function(name) for name in "fgh")


def plain_closures(text: str) -> Any:
    """The same program without special forms."""
    kept = lower_function.find_specials
    lower_function.find_specials = lambda *_: None  # type: ignore[assignment]
    try:
        return bind_one(text)[1]
    finally:
        lower_function.find_specials = kept


def arguments(source: random.Random) -> tuple[Any, ...]:
    """Those that a special form takes for the most part, and others."""
    items: Any = [source.randint(-3, 4) for _ in range(source.randint(0, 4))]
    if items and source.random() < 0.2:
        items[0] = source.choice(ODD)
    if source.random() < 0.1:
        items = source.choice(["text", None, {"0": 1}, 5])
    count: Any = source.choice([0, 1, 2, 3, 3, *(ODD if source.random() < 0.2 else ())])
    value = source.choice([0, 1, 2, -1, *(ODD if source.random() < 0.2 else ())])
    return items, count, value, source.choice([0, 2, 3])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 1 << 32))
def test_functions_do_what_they_do_without_a_special_form(seed: int) -> None:
    """Values, their types, what becomes of the arguments, faults and their places."""
    source = random.Random(seed)
    text = ProgramWriter(source).program()
    _, closures = bind_one(text)
    plain = plain_closures(text)
    for _ in range(4):
        args = arguments(source)
        for name, given_args in (("f", args), ("g", args), ("h", args), ("main", args[1:3])):
            found = outcome(lambda *a, n=name: closures[n](None, *a), copy.deepcopy(given_args))
            same = outcome(lambda *a, n=name: plain[n](None, *a), copy.deepcopy(given_args))
            assert found == same, (text, name, given_args)


def test_programs_of_the_property_have_special_forms() -> None:
    """Most of the generated functions are about what is tested here."""
    count = 0
    for seed in range(40):
        _, closures = bind_one(ProgramWriter(random.Random(seed)).program())
        count += any("$special" in name for f in "fgh" for name in used(closures[f]))
    assert count >= 20


@pytest.mark.parametrize("step", ["node.i", "i + 1"])
def test_recursion_goes_as_deep_as_without(step: str) -> None:
    """A call of the function by itself that does not fit the special form is no frame more."""
    _, closures = bind_one(
        f"fn walk(node, i) {{ if node == none {{ return i * 2 }} walk(node.next, {step}) }}\n"
        "fn f(top) { walk(top, 1) }"
    )
    top = None
    for _ in range(DEEP):
        top = {"next": top, "i": 1}
    assert closures["f"](None, top) == 2 * (DEEP + 1 if "+" in step else 1)


@pytest.mark.parametrize(
    "others",
    [
        "fn other(node, i) { walk(node.next, node.i) }",
        "fn other(node, i) { [node].map(n => third(n))[0] }\nfn third(n) { walk(n.next, n.i) }",
        "fn other(node, i) { give(walk, node) }\nfn give(f, node) { f(node.next, node.i) }",
    ],
)
def test_recursion_through_others_goes_as_deep_as_without(others: str) -> None:
    """The same for calls in functions that it calls, and for the function as a value."""
    text = (
        "fn walk(node, i) { if node == none { return [] + i } other(node, i + 1) }\n"
        f"{others}\nfn f(top) {{ top.one ? walk({{ i: 1 }}, 1) : walk(top, 1) }}"
    )
    top = None
    for _ in range(9):
        top = {"next": top, "i": 1}
    counts = []
    for closures in (bind_one(text)[1], plain_closures(text)):
        with pytest.raises(RuntimeFault) as caught:
            closures["f"](None, top)
        frames = traceback.extract_tb(caught.value.__traceback__)
        counts.append(sum(frame.filename.endswith(".flin") for frame in frames))
    assert counts[0] == counts[1]


GCD = "fn gcd(a, b) { while b != 0 { [a, b] = [b, a % b] }  a }\n"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("fn fib(n) { if n < 2 { n } else { fib(n - 1) + fib(n - 2) } }", "fib"),
        ("fn g(l, i) { l[i] }  fn f(n: int) { l = [n]  g(l, n) }", "g"),
        (GCD + "fn f(n: int) { gcd(n, 12) }", "gcd"),
    ],
)
def test_function_with_evident_arguments_has_a_special_form(text: str, name: str) -> None:
    """By its calls, or by what it does with a parameter in a call of itself."""
    _, closures = bind_one(text)
    assert f"$special_{name}" in used(closures[name])


@pytest.mark.parametrize(
    "text",
    [
        "fn f(n) { n + 1 }",
        "fn g(n) { n }  fn f(n) { g(n) }",
        "fn g(n) { n = n / 2  n }  fn f(n) { g(1) }",
        "fn g(n, m = [1]) { n }  fn f(n) { g(1, [2]) }",
        "fn g(...n) { n }  fn f(n) { g(1) }",
        "fn g(n) { [1].map(x => x + n) }  fn f(n) { g(1) }",
        "fn g(n: int?, m) { m + 1 }  fn f(n) { g(1, 2) }",
        "fn g(n: [int], m) { m + 1 }  fn f(n) { g([], 2) }",
        'fn g(n) { n == 1 }  fn f(n) { g(1)  g("a") }',
        "fn g(n, m) { n + 1 }  fn f(n) { g(n: 1, m: 2) }",
    ],
)
def test_other_functions_are_written_once(text: str) -> None:
    """No call of these would go to a special form."""
    _, closures = bind_one(text)
    for name in ("f", "g"):
        if name in closures:
            assert not any("$special" in found for found in used(closures[name]))


def test_special_form_takes_what_python_takes() -> None:
    """The kinds of results are known, too: nothing of the runtime is called."""
    text = "fn g(n) { if n < 2 { n } else { g(n - 1) + g(n - 2) } }  fn f(n: int) { g(n) + 1 }"
    _, closures = bind_one(text)
    assert not any(name.startswith("$op_") for name in used(closures["f"]))
    assert closures["f"](None, 10) == 56
    assert closures["g"](None, 2.5) == 2.0


def test_fault_in_a_special_form_has_its_line() -> None:
    """Both forms are the same function to whoever reads a traceback."""
    text = "fn g(n, m) {\n n + 1\n m.x.y\n}\nfn f(n) { g(1, none) }"
    _, closures = bind_one(text)
    for run in (lambda: closures["f"](None, 1), lambda: closures["g"](None, 1, None)):
        with pytest.raises(RuntimeFault) as caught:
            run()
        frames = traceback.extract_tb(caught.value.__traceback__)
        places = [(f.name, f.lineno) for f in frames if f.filename.endswith(".flin")]
        assert places[-1] == ("g", 3)
