"""Loops that compute with items of lists by their index: the first form does what plain code does.

Each program is compared with itself without short ways, see `test_lower_generic`.
"""

from __future__ import annotations

import random
import re
from typing import Any

import pytest

from tests.runtime.test_lower_generic import compiled, compiled_plainly, outcome

SEEDS = range(60)
RUNS = 8  # of each program, with other arguments
PLACE = re.compile(r"<(\w+)>")
DEPTH = 2  # of expressions

FORMS = {
    "int": [
        *("0", "1", "2", "i", "j", "k", "n", "xs.len", "t") * 2,
        *("xs[<int>]", "ys[<int>]", "xs[i]", "xs[j]", "ys[i]", "xs[i + 1]", "xs[i - 1]"),
        *("(<int> + <int>)", "(<int> - <int>)", "(<int> * 2)", "(<int> % n)", "(-<int>)"),
        "(<test> ? <int> : <int>)",
    ],
    "test": [
        *(f"<int> {sign} <int>" for sign in ("<", "<=", ">", ">=", "==", "!=")),
        *("<test> && <test>", "<test> || <test>", "!(<test>)", "xs[<int>] == none", "xs[i] > t"),
    ],
}
LEAVES = ("0", "1", "i", "j", "n", "xs[i]", "ys[j]", "t")
STATEMENTS = [
    *("t = <int>", "t += <int>", "j += 1", "j -= 1", "k = <int>", "[t, k] = [<int>, t]"),
    *("xs[<int>] = <int>", "xs[i] += <int>", "ys[j] = <int>", "[i, j] = [j, i]"),
    *("out.push(<int>)", "out.push(xs[i])", "if ys.len < 90 { ys.push(<int>) }"),
    "t = if <test> { <int> } else { <int> }",
    "t += if <test> { out.push(1)\n <int> } else { xs[9] }",
    "xs[<int>] = if <test> { out.push(2)\n <int> } else { <int> }",
    "out.push(if <test> { <int> } else { out.push(3)\n xs[i] })",
]
HEADS = [
    *("while i < n && <test>", "while i < xs.len && j < ys.len", "while j >= xs[i] && i < 70"),
    *("for i in 0..n", "for j in 0..xs.len", "for i in 0..j + 2", "while <test> && i < 9"),
]


class Writer:
    """Writes one function of two lists and an int."""

    def __init__(self, source: random.Random) -> None:
        self.random = source

    def expand(self, form: str, depth: int = DEPTH) -> str:
        return PLACE.sub(lambda found: self._part(found[1], depth), form)

    def _part(self, kind: str, depth: int) -> str:
        if depth <= 0:
            leaf = self.random.choice(LEAVES)
            return leaf if kind == "int" else f"{leaf} < {self.random.choice(LEAVES)}"
        return self.expand(self.random.choice(FORMS[kind]), depth - 1)

    def statement(self, depth: int, *, is_inside: bool) -> str:
        chance = self.random.random()
        if depth and chance < 0.3:
            return self.loop(depth - 1)
        if depth and chance < 0.6:
            return self.branches(depth - 1, is_inside=is_inside)
        if is_inside and chance < 0.66:
            jump = self.random.choice(("break", "continue", "return [t, xs]"))
            return self.expand(f"if <test> {{ {jump} }}")
        return self.expand(self.random.choice(STATEMENTS))

    def branches(self, depth: int, *, is_inside: bool) -> str:
        parts = [self.expand("if <test> ") + self.block(depth, is_inside=is_inside)]
        for _ in range(self.random.randint(0, 2)):
            parts.append(self.expand("else if <test> ") + self.block(depth, is_inside=is_inside))
        if self.random.random() < 0.5:
            parts.append("else " + self.block(depth, is_inside=is_inside))
        return " ".join(parts)

    def block(self, depth: int, *, is_inside: bool) -> str:
        lines = [
            self.statement(depth, is_inside=is_inside) for _ in range(self.random.randint(1, 3))
        ]
        return "{\n" + "\n".join(lines) + "\n}"

    def loop(self, depth: int) -> str:
        head = self.expand(self.random.choice(HEADS))
        body = self.block(depth, is_inside=True)
        # No loop goes on without end, whatever it does with its variables.
        body = f"{{\nturns += 1\nif turns > 150 {{ break }}\n{body[2:]}"
        return f"{head} " + (body.replace("{\n", "{\ni += 1\n", 1) if "while" in head else body)

    def program(self) -> str:
        start = self.random.choice(("0", "0", "none", "1.5", "n", "xs[0]"))
        lines = ["fn f(xs, ys, n) {", f"i = 0; j = 0; k = 0; turns = 0; t = {start}; out = []"]
        lines += [self.loop(2) for _ in range(self.random.randint(1, 2))]
        return "\n".join([*lines, "[out, xs, ys, t, i, j, k]", "}"])


def items(source: random.Random, count: int) -> list[Any]:
    """Ints for the most part; now and then something else in between."""
    made: list[Any] = [source.choice((0, 1, 2, 3, 5, -1)) for _ in range(count)]
    for _ in range(source.choice((0, 0, 0, 0, 1, 2))):
        if made:
            odd = [None, None, 2.5, True, "a", [1], 1 << 63, -(1 << 70)]
            made[source.randrange(count)] = source.choice(odd)
    return made


def arguments(source: random.Random) -> tuple[Any, ...]:
    sizes = (0, 1, 3, 5, 9, 64, 65, 80)
    xs, ys = (items(source, source.choice(sizes)) for _ in "xy")
    n = source.choice([3, 5, 2, 60, 1, 0, -1, 2.5, "a", None, True, 4, 4, 70])
    return xs, (xs if source.random() < 0.1 else ys), n


@pytest.mark.parametrize("seed", SEEDS)
def test_loop_does_what_it_does_without_a_first_form(seed: int) -> None:
    """Values, types, what becomes of the lists, faults, their texts and lines."""
    source = random.Random(seed)
    text = Writer(source).program()
    short, plain = compiled(text)["f"], compiled_plainly(text)["f"]
    for _ in range(RUNS):
        given = arguments(source)
        assert outcome(short, given) == outcome(plain, given), (text, given)


def test_many_programs_have_a_first_form_and_a_result() -> None:
    """The property is about loops that are written twice, and not about faults alone."""
    forms = results = 0
    for seed in SEEDS:
        source = random.Random(seed)
        function = compiled(Writer(source).program())["f"]
        forms += any(name.startswith("$op_holds") for name in function.__code__.co_freevars)
        results += type(outcome(function, arguments(source))[0]) is list
    assert forms >= len(SEEDS) // 3
    assert results >= len(SEEDS) // 4


LOOPS = {
    "while": "i = -1\nwhile i < n - 1 {\ni += 1\n",
    "for": "for i in 0..n {\n",
}
CHANGES = (
    *("xs.push(i)", "xs[i + 2] = n", "xs[i + 1] += 9223372036854775807", "t = xs[i + 2]", "n -= 3"),
)


@pytest.mark.parametrize("head", LOOPS.values(), ids=LOOPS)
@pytest.mark.parametrize("change", CHANGES)
def test_loop_that_may_leave_takes_the_first_form_in_the_middle(head: str, change: str) -> None:
    """Jumps, changes and faults around the turns at which it looks at a long list again."""
    text = (
        f"fn f(xs, n, at: int, jump: int) {{\nt = 0\n{head}if i == at {{\n"
        f"if jump == 1 {{ break }}\nif jump == 2 {{ continue }}\nif jump == 3 {{ return [i, t] }}\n"
        f"if jump == 4 {{ {change} }}\n}}\n"
        "if xs[i] == 5 { continue }\nt += xs[i] * 2 - xs[i + 1] % at\n}\n[t, xs]\n}"
    )
    functions = compiled(text)
    assert "$op_holds_ints" in functions["f"].__code__.co_freevars
    plain = compiled_plainly(text)["f"]
    turns = (0, 31, 32, 33, 95, 96, 97)
    for size in (64, 65, 321):
        xs = [place % 7 for place in range(size)]
        for at, jump in [(-1, 0), *((at, jump) for at in turns for jump in (1, 2, 3, 4))]:
            given = (xs, size - 1, at, jump)
            assert outcome(functions["f"], given) == outcome(plain, given), given
        for n in (0, 1, 32, 33, size, size + 1, size + 40):
            assert outcome(functions["f"], (xs, n, 0, 0)) == outcome(plain, (xs, n, 0, 0)), n
