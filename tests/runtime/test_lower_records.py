"""Loops over maps whose fields are columns, and tables that they fill: as plain code does it.

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
COLUMNS = re.compile(r"^\$fields .* \([-0-9, ]+\)$")

PARTS = {
    "key": ["g.home", "g.away", "g.home", "side", "g.d.name", '"a"'],
    "place": ["0", "1", "0", "1", "2"],
    "int": ["g.n", "g.goals[<place>]", "g.goals[<place>]", "1", "3", "t", "g.d.m", "g.pairs[0].m"],
    "test": [
        *("g.goals[0] > g.goals[1]", "g.goals[<place>] < <int>", "<int> >= <int>", "g.o"),
        *("<key> in table", "!(<key> in table)", "table[<key>] == none", "g.goals[2] == none"),
    ],
    "amount": ["1", "3", "1", "2", "10", "g.n"],
    "row": ["{ points: 0, played: 0 }", "{ points: 0, played: 0 }", "{ points: 0, played: t }"],
    "name": ["points", "played", "points"],
}
STATEMENTS = [
    *["table[<key>].<name> += 1", "table[<key>].<name> -= 3", "table[<key>].<name> += <amount>"]
    * 2,
    *["if !(<key> in table) { table[<key>] = <row> }", "table[<key>] = <row>"] * 3,
    *("t += <int>", "t = <int> - <int>", "out.push(<int>)", "out.push(g.home)", "out.push(g.o)"),
    *("out.push(table[<key>].<name>)", "{ n, home: h } = g\nt += n\nout.push(h)", "g.n += 1"),
    *("{ o, away } = g\nout.push([o, away])", "g.d.m = <int>", "g.total = <int>"),
]
# A loop has columns if it gains more from its fields than the look at them costs.
FIRST = [
    *("t += g.goals[0] * g.n - g.goals[0]", "if g.goals[0] > g.goals[1] { t += g.goals[0] + g.n }"),
    *(
        "t -= g.d.m + g.d.m * g.n",
        "table[g.home] = { points: 0, played: 0 }",
        "out.push(g.n * g.n)",
    ),
]
RARE = [
    *(
        "g.goals.push(<int>)",
        "g.goals[<place>] = <int>",
        "out.push(table[<key>])",
        "g.d = { name: side, m: g.n }",
    ),
    *("table[<key>].points = none", "table[<key>].points *= 2", "x = table[<key>]\nx.points = 0.5"),
    *("table.z = { points: 0.5, played: 0 }", 'table[<key>] = { points: "a" }', "out.push(table)"),
    *(
        "table[<key>].extra = g",
        "break",
        "continue",
        "return [t, out]",
        "g.home = t",
        "gs = g.goals",
    ),
    *(
        "table[<key>].points += 1.5",
        "out.push(g.goals)\nout[0].push(7)",
        "for row in [table] { out.push(row) }",
        "out.push(g)",
    ),
]


class Writer:
    """Writes one function that goes through games."""

    def __init__(self, source: random.Random) -> None:
        self.random = source
        self.is_odd = source.random() < 0.25

    def expand(self, form: str) -> str:
        while "<" in form and PLACE.search(form):
            form = PLACE.sub(lambda found: self.random.choice(PARTS[found[1]]), form, count=1)
        return form

    def statement(self, depth: int) -> str:
        chance = self.random.random()
        if depth and chance < 0.25:
            return self.expand("if <test> ") + self.block(depth - 1)
        if depth and chance < 0.5:
            items = self.random.choice(
                ("[g.home, g.away]", "[g.away]", '[g.home, "b"]', "[g.n, 2]")
            )
            return f"for side in {items} {self.block(depth - 1)}"
        rare = self.is_odd and chance < 0.65
        return self.expand(self.random.choice(RARE if rare else STATEMENTS))

    def block(self, depth: int) -> str:
        lines = [self.statement(depth) for _ in range(self.random.randint(1, 3))]
        return "{\n" + "\n".join(lines) + "\n}"

    def program(self) -> str:
        lines = ["fn f(games, side) {", "table = {}\nt = 0\nout = []"]
        for _ in range(self.random.randint(1, 2)):
            first = self.expand(self.random.choice(FIRST))
            lines.append(f"for g in games {{\n{first}\n{self.block(2)[2:]}")
        lines += [self.random.choice(("table", "[t, out]", "[t, out, table]")), "}"]
        return "\n".join(lines)


def arguments(source: random.Random) -> tuple[Any, ...]:
    """Games with the same fields for the most part, and what may stand there instead."""
    odd: list[Any] = [None, True, 2.5, "x", [1], {"m": 1}, 1 << 70, []]
    chance = source.choice((0, 0, 0, 0.05))

    def game() -> dict[str, Any]:
        made: dict[str, Any] = {
            "home": source.choice("abc"),
            "away": source.choice("abc"),
            "goals": [source.randint(0, 3) for _ in range(source.choice((2, 2, 3)))],
            "n": source.randint(-2, 5),
            "d": {"name": source.choice("ab"), "m": 1},
            "pairs": [{"m": 2}],
            "o": source.choice((None, 1, "x", 0)),
        }
        for name in list(made):
            if source.random() < chance:
                made[name] = source.choice(odd)
            elif source.random() < chance:
                del made[name]
        if source.random() < chance:
            made["goals"] = [source.choice(odd), 1]
        return made

    games: list[Any] = [game() for _ in range(source.randint(0, 5))]
    if games and source.random() < 0.3:
        games += [games[0], {**games[-1], "goals": games[0].get("goals")}]
    if games and source.random() < 0.1:
        games[source.randrange(len(games))] = source.choice(odd)
    return (games if source.random() < 0.95 else source.choice(odd)), source.choice(["a", 1, None])


@pytest.mark.parametrize("seed", SEEDS)
def test_loop_does_what_it_does_without_columns(seed: int) -> None:
    """Values, types, what becomes of the games, faults, their texts and lines."""
    source = random.Random(seed)
    text = Writer(source).program()
    short, plain = compiled(text)["f"], compiled_plainly(text)["f"]
    for _ in range(RUNS):
        given = arguments(source)
        assert outcome(short, given) == outcome(plain, given), (text, given)


def test_many_programs_have_columns_and_a_result() -> None:
    """The property is about the short ways, and not about faults alone."""
    columns = sums = results = 0
    for seed in SEEDS:
        source = random.Random(seed)
        function = compiled(Writer(source).program())["f"]
        names = function.__code__.co_freevars
        columns += any(COLUMNS.search(name) is not None for name in names)
        sums += "$s_py_key_error" in names
        results += type(outcome(function, arguments(source))[0]) in (list, dict)
    assert columns >= len(SEEDS) // 4
    assert sums >= len(SEEDS) // 8
    assert results >= len(SEEDS) // 4


def test_key_that_looks_like_a_chain_of_names_is_another_field() -> None:
    """`m.a.b` is not the field "a.b", whose kind is known."""
    text = 'fn f(x) {\n  m = { "a.b": 1, a: { b: x } }\n  m.a.b + m.a.b\n}'
    short, plain = compiled(text)["f"], compiled_plainly(text)["f"]
    for x in ("t", None, 2, [1]):
        assert outcome(short, (x,)) == outcome(plain, (x,))


@pytest.mark.parametrize("leak", ["kept = table[g.home]", "out.push(table[g.home])", "d = table"])
def test_table_whose_maps_others_have_got_is_none(leak: str) -> None:
    """They may put anything into the fields."""
    text = (
        "fn f(games) {\ntable = {}\nkept = { points: 0 }\nd = {}\nout = []\nfor g in games {\n"
        f"table[g.home] = {{ points: 0 }}\n{leak}\nkept.points = true\n"
        "for o in out { o.points = g.home }\nfor k, v in d { v.points = none }\n"
        "table[g.home].points += 1\n}\ntable\n}"
    )
    short, plain = compiled(text), compiled_plainly(text)["f"]
    assert "$s_py_key_error" not in short["f"].__code__.co_freevars
    given = ([{"home": "a"}, {"home": "b"}],)
    assert outcome(short["f"], given) == outcome(plain, given)
