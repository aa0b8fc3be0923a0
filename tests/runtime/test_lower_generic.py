"""Programs with all short ways of the compiler, and the same ones without: they do the same.

Without: no expression has an evident kind, no loop is written twice, no lambda is a comprehension
or carries a formula, and nothing is read once for several places.
"""

from __future__ import annotations

import copy
import random
import re
import traceback
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from flinfast.errors import RuntimeFault
from flinfast.lang import (
    lower_call,
    lower_compare,
    lower_each,
    lower_entry,
    lower_expr,
    lower_fields,
    lower_formula,
    lower_item,
    lower_loop,
    lower_method,
    lower_read,
    lower_version,
    types,
)
from flinfast.lang.program import compile_project
from flinfast.lang.source import Source
from flinfast.runtime.builtins import BoundBuiltins, specs
from flinfast.runtime.operators import OperatorSet

BUILTINS = BoundBuiltins(None)
SEEDS = range(40)
RUNS = 8  # of each program, with other arguments
Function = Callable[..., Any]


def compiled(text: str) -> dict[str, Function]:
    """The functions of a file."""
    program = compile_project(
        [(Source("lib/run.flin", text), "lib", ())], builtins=specs(), guards=()
    )
    abi: Any = SimpleNamespace(
        ops=OperatorSet(BUILTINS), builtins=BUILTINS, entities={}, shared_functions={}
    )
    found: dict[str, Function] = program.files[0].bind(abi)
    return found


def compiled_plainly(text: str) -> dict[str, Function]:
    """The same by the ways that are right for every value."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(types.Kinds, "of", lambda *_: types.ANY)
        patch.setattr(types.Kinds, "of_origin", lambda *_: types.ANY)
        patch.setattr(types.Kinds, "is_split", lambda *_: False)
        patch.setattr(types, "owned_fields", lambda *_: {})
        for module, name in (
            (lower_version, "facts_of"),
            (lower_loop, "assumed_of"),
            (lower_formula, "formula_of"),
            (lower_each, "formula_of"),
            (lower_method, "text_property"),
            (lower_read, "read_of"),
            (lower_fields, "form_of"),
            (lower_entry, "added"),
            (lower_compare, "with_member"),
            (lower_item, "item_of_item"),
            (lower_item, "assign"),
        ):
            patch.setattr(module, name, lambda *_, **__: None)
        for module, name in (
            (lower_each, "fits"),
            (lower_expr, "is_change"),
            (lower_call, "has_text_form"),
            (lower_call, "has_map_form"),
            (lower_read, "is_twice"),
        ):
            patch.setattr(module, name, lambda *_: False)
        return compiled(text)


def shape(value: Any) -> Any:
    """Value and exact type, sign of zero and NaN included."""
    if isinstance(value, list):
        return [shape(item) for item in value]
    if isinstance(value, dict):
        return {name: shape(item) for name, item in value.items()}
    return (type(value).__name__, repr(value))


def outcome(function: Function, given: tuple[Any, ...]) -> Any:
    """Result or fault with its line, and what became of the arguments."""
    args = copy.deepcopy(given)
    try:
        result: Any = shape(function(None, *args))
    except RuntimeFault as fault:
        frames = traceback.extract_tb(fault.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename.endswith(".flin")]
        result = (fault.code, str(fault), lines[-1:])
    return result, shape(list(args))


LEAVES = {
    "number": ["0", "1", "2", "-1", "7", "2.5", "xs.len", "s.len", "xs[0]", "xs.first"],
    "text": ['"a"', '""', '"ab"', "s", "w", "s", "w"],
    "list": ["xs", "ys", "zs", "xs"],
    "test": ["true", "false", "t", "!u"],
}
# `<number>` is one, `<number of item>` a function of an item, `<number of map>` of one of `ms`.
FORMS = {
    "number": [
        *("(<number> + <number>)", "(<number> - <number>)", "(<number> * <number>)") * 2,
        *("(<number> / 2)", "(<number> % 3)", "(<number> % -2)", "floor(<number> / 2)"),
        *("(<number> ?? <number>)", "(<number> || <number>)", "(<test> ? <number> : <number>)"),
        *("(-<number>)", "(if <test> { <number> } else { <number> })", "h(<number>)"),
        *("<list>.sum(<number of item>)", "<list>.count(<test of item>)", "<list>.len"),
        *("(<list>.find(<test of item>) ?? 3)", "(<list>.max(<number of item>) ?? 3)"),
        *("(<list>.avg(<number of item>) ?? 3)", "<list>.find_index(<test of item>)"),
        *("ms.sum(<number of map>)", "(ms.min(<number of map>) ?? 2)", "(<list>[<number>] ?? 1)"),
    ],
    "test": [
        *(f"(<number> {sign} <number>)" for sign in ("<", "<=", ">", ">=", "==", "!=")),
        *("(<number> in <list>)", "(!<number>)", "(<text> == <text>)", "(<test> && <test>)"),
        *("(<test> || <test>)", "<list>.any(<test of item>)", "<list>.all(<test of item>)"),
    ],
    "text": [
        *("(<text> + <number>)", "(<text> ++ <number>)", "<text>.upper", "<text>.trim()"),
        *('"{t}-{w}"', "<text>.pad_start(3)", "to_text(<number>)"),
    ],
    "list": [
        *("<list>.map(<number of item>)", "<list>.filter(<test of item>)") * 2,
        *("<list>.flat_map(<list of item>)", "<list>.sort(<number of item>)", "(<list> + <list>)"),
        *("xs[<number>:]", "ms.map(<number of map>)", "[<number>, <number>]"),
    ],
}
# Nothing grows without end.
STATEMENTS = [
    *("<name> = <number>", "<name> += <number>", "<name> -= <number>", "<name> += <number>"),
    *(
        "xs[0] = <number>",
        "ys[x] = <number>",
        "m.a += <number>",
        "ms[0].a = <number>",
        "ms[t].a += x",
        "ms[1].b -= 2",
        "w = (w + <text>).slice(0, 9)",
        "zs = <list>.take(5)",
    ),
    *("out.push(<number>)", "out.push(<list>)", "fs.push(() => <number>)", "[t, u] = [u, t]"),
    *("if xs.len < 6 { xs.push(<number>) }", "xs.pop()", "ys = xs", "grow(xs)", "out.push(<test>)"),
]
HEADS = [
    *("for <item> in xs", "for <item> in xs", "for <item> in <list>", "for <map> in ms"),
    "for <item> in [x, t, xs.len]",
    *("for <item> in 0..3", "for <item> in 1..xs.len", "for <item> in 0..ys.len"),
    *("for <item>, <item> in ys", "while <item> < 4 && <test>"),
]
PLACE = re.compile(r"<(\w+)(?: of (\w+))?>")
DEPTH = 3  # of expressions


class Writer:
    """Writes functions of ints, texts, lists and maps; now and then something does not fit."""

    def __init__(self, source: random.Random) -> None:
        self.random = source
        self.numbers = ["x", "y", "t", "u"]
        self._names = 0

    def pick(self, options: Sequence[str]) -> str:
        return options[self.random.randrange(len(options))]

    def expand(self, form: str, depth: int = DEPTH) -> str:
        """A form with everything in it written out."""
        return PLACE.sub(lambda found: self._part(found[1], found[2], depth), form)

    def _part(self, kind: str, of: str | None, depth: int) -> str:
        if kind == "name":
            return self.pick(("t", "u", "t", "u", "x"))
        if kind in ("item", "map"):
            self._names += 1
            self.numbers.append(f"i{self._names}" + (".a" if kind == "map" else ""))
            return f"i{self._names}"
        if of is None:
            return self._value(kind, depth - 1)
        kept, item = list(self.numbers), self._part(of, None, 0)
        self.numbers += self.numbers[-1:] * 3
        body = self._value(kind, depth - 1)
        chance = self.random.random()
        if chance < 0.2:
            first = self.pick(
                ("t += <number>", "u = <number>", "out.push(1)", "if xs.len < 6 { xs.push(2) }")
            )
            body = f"{{ {self.expand(first, 0)}; {body} }}"
        self.numbers = kept
        return f"{item} => {body}"

    def _value(self, kind: str, depth: int) -> str:
        if self.random.random() < 0.01:
            return self.pick(('"q"', "none", "[]", "true", "m", "s"))
        if depth <= 0 or self.random.random() < 0.2:
            names = self.numbers * 3 if kind == "number" else []
            return self.pick([*LEAVES[kind], *names])
        return self.expand(self.pick(FORMS[kind]), depth)

    def statement(self, depth: int, labels: tuple[str, ...] | None) -> str:
        """A statement; `labels` of the loops around, None outside of loops."""
        chance = self.random.random()
        if depth and chance < 0.25:
            return self.loop(depth - 1, labels or ())
        if depth and chance < 0.4:
            return self.expand("if <test> ") + self.block(depth - 1, labels)
        if labels is not None and chance < 0.55:
            jumps = ["break", "continue", "return out"]
            jumps += [f"{jump} {label}" for label in labels for jump in jumps[:2]]
            return self.expand(f"if <test> {{ {self.pick(jumps)} }}")
        return self.expand(self.pick(STATEMENTS))

    def block(self, depth: int, labels: tuple[str, ...] | None) -> str:
        count = self.random.randint(1, 3)
        return "{\n" + "\n".join(self.statement(depth, labels) for _ in range(count)) + "\n}"

    def loop(self, depth: int, labels: tuple[str, ...]) -> str:
        kept = list(self.numbers)
        head = self.pick(HEADS).replace("<list>", self._value("list", 2))
        head = self.expand(head.replace("<test>", self._value("test", 2)))
        start = f"{self.numbers[-1]} = 0\n" if head.startswith("while") else ""
        if self.random.random() < 0.25:
            labels = (*labels, f"'l{self._names}")
            head = f"{labels[-1]}: {head}"
        body = self.block(depth, labels)
        if start:
            body = f"{{\n{start.split()[0]} += 1\n{body[2:]}"
        self.numbers = kept
        return f"{start}{head} {body}"

    def program(self) -> str:
        lines = ["fn h(v) { v + 1 }", "fn grow(list) { if list.len < 6 { list.push(5) }; list }"]
        lines += ["fn f(x, y, xs, ys, m, s, ms) {", "out = []; fs = []; zs = []; w = s"]
        lines += [f"u = {self.pick(('0', '0.0', 'none', 'x', 'xs[0]'))}"]
        lines += [f"t = {self.pick(('0', '1', '1.5', 'none'))}"]
        lines += [self.loop(2, ()) for _ in range(self.random.randint(1, 3))]
        lines += ["r = []; for q in fs { r.push(q()) }", "[out, t, u, r, w, zs]", "}"]
        return "\n".join(lines)


def arguments(source: random.Random) -> tuple[Any, ...]:
    """Lists of ints for the most part, one of them twice perhaps, and odd values in between."""
    odd = [True, "a", 1 << 62, 1 << 63, 2.5, None, [1], {"a": 1}, float("nan")]

    def numbers(least: int) -> list[Any]:
        kinds: list[list[Any]] = [[0, 1, 2, 3, -2]] * 5
        kinds += [[0.5, 2.0, -1.5], [None, 1, 2], [1 << 62, 3]]
        leaf = source.choice(kinds)
        made = [source.choice(leaf) for _ in range(source.randint(least, 4))]
        if made and source.random() < 0.1:
            made[-1] = source.choice(odd)
        return made

    first, second = numbers(0), numbers(1)
    maps: list[Any] = [{"a": source.choice([1, 2, 0.5]), "b": 2} for _ in range(3)]
    if source.random() < 0.15:
        second = first
    if source.random() < 0.1:
        maps[1] = source.choice([*odd, {"b": 1}])
    scalars = [source.choice([2, 3, 1, 0, -1, 2.5]) for _ in "xy"]
    return (*scalars, first, second, {"a": 1, "b": 2}, source.choice(["abc", "", "a"]), maps)


@pytest.mark.parametrize("seed", SEEDS)
def test_program_does_what_it_does_without_short_ways(seed: int) -> None:
    """Values, types, what becomes of the arguments, faults, their texts and lines."""
    source = random.Random(seed)
    text = Writer(source).program()
    short, plain = compiled(text)["f"], compiled_plainly(text)["f"]
    for _ in range(RUNS):
        given = arguments(source)
        assert outcome(short, given) == outcome(plain, given), (text, given)


def test_many_programs_have_a_result() -> None:
    """The property is not about faults alone."""
    results = 0
    for seed in SEEDS:
        source = random.Random(seed)
        function = compiled(Writer(source).program())["f"]
        results += type(outcome(function, arguments(source))[0]) is list
    assert results >= len(SEEDS) // 4


def test_loop_over_what_is_no_list_takes_one_item_after_the_other() -> None:
    """A loop that computes with fields of its items keeps none of those that it never reaches."""
    text = (
        "fn f(items) {\ntotal = 0\nfor item in items {\ntotal += 1\nif total > 3 { break }\n"
        "if item.a != none { total += item.a * item.b }\n}\ntotal\n}"
    )
    short, plain = compiled(text)["f"], compiled_plainly(text)["f"]
    assert any(
        name.startswith("$fields ") for name in short.__code__.co_freevars
    )  # it is written twice
    for given in (range(1 << 60), "text", {"a": 1}, [{"a": 1, "b": 2}] * 3, [1, 2], None):
        assert outcome(short, (given,)) == outcome(plain, (given,))


FOLDS = ("map", "filter", "any", "all", "find", "find_index", "count", "sum", "avg", "min", "max")
WALKS = (*FOLDS, "flat_map", "sort", "unique", "group_by", "each")
WALKED = {
    "numbers": "[3, 2, 0, 1]",
    "a text before the fault": '[3, "a", 0, 1]',
    "a text after the fault": '[3, 0, "a", 1]',
    "a list before the fault": "[[1], 2, 0, 1]",
    "a map and none": "[{ a: 1 }, none, 0]",
}


@pytest.mark.parametrize("method", WALKS)
@pytest.mark.parametrize("items", WALKED.values(), ids=WALKED)
def test_walk_calls_in_order_and_tells_the_first_fault(method: str, items: str) -> None:
    """Of both faults, that of the earlier item; and the function is called for no later one."""
    text = (
        "fn note(seen, x) { seen.push(x); if x == 0 { [x / 0] } else { x } }\n"
        f"fn known(seen) {{ {items}.{method}(x => note(seen, x)) }}\n"
        f"fn unknown(seen, xs) {{ xs.{method}(x => note(seen, x)) }}\n"
        f"fn block(seen, xs) {{ xs.{method}(x => {{ y = note(seen, x)\n y }}) }}\n"
        f"fn made() {{ {items} }}"
    )
    functions = compiled(text)
    made = functions["made"](None)
    found = []
    for name in ("known", "unknown", "block"):
        seen: list[Any] = []
        result, _ = outcome(functions[name], (seen, *([made] if name != "known" else [])))
        found.append(result[:2] if isinstance(result, tuple) else result)
    assert found[0] == found[1] == found[2]


CHANGED: tuple[Any, ...] = (
    *({"a": {"n": before}} for before in (0, 1 << 62, (1 << 63) - 1, -(1 << 63), 1.5, -0.0, "t")),
    *({"a": {"n": before}} for before in (None, True, [1], {"x": 1}, float("inf"))),
    *({"a": inner} for inner in ({}, {"m": 1}, None, 3, "text", [1], [{"n": 1}], True, len)),
    *({}, None, [{"n": 1}], "text", 5),
)


@pytest.mark.parametrize("operator", ["+=", "-="])
@pytest.mark.parametrize("amount", ["1", "1.5", '"x"', "none", "by", "given"])
def test_member_is_changed_as_if_read_computed_and_set(operator: str, amount: str) -> None:
    """Values, what becomes of the maps, faults, their texts and lines; `given` is captured."""
    text = (
        "fn f(table, key, by) {\n  given = by\n  tell = () => { given = 7 }\n"
        f"  table[key].n {operator} {amount}\n  tell()\n"
        f"  table[key]\n    .n {operator} {amount}\n  [table, given]\n}}"
    )
    short, plain = compiled(text)["f"], compiled_plainly(text)["f"]
    for table in CHANGED:
        for by in (2, -1, 0.5, "y", None, (1 << 63) - 1, [2], {"y": 2}):
            for key in ("a", 0, None):
                given = (table, key, by)
                assert outcome(short, given) == outcome(plain, given), given


def test_amount_is_computed_after_the_member_is_read() -> None:
    """One that calls, or reads what a call may change, keeps its place in the order."""
    text = (
        "fn raised(m) { m.a.n += 10; 1 }\n"
        "fn called(m) { m.a.n += raised(m); m }\n"
        "fn read(m) { m.a.n += m.a.n; m.a.n -= 2 * m.a.n; m }\n"
        'fn owner(m, seen) { m[seen.push(1) ?? "a"].n += seen.len; [m, seen] }'
    )
    functions = compiled(text)
    assert functions["called"](None, {"a": {"n": 5}}) == {"a": {"n": 6}}
    assert functions["read"](None, {"a": {"n": 5}}) == {"a": {"n": -10}}
    short, plain = functions["owner"], compiled_plainly(text)["owner"]
    assert outcome(short, ({"a": {"n": 5}}, [])) == outcome(plain, ({"a": {"n": 5}}, []))


def test_loop_over_a_list_literal_has_its_items_of_before() -> None:
    """Whatever the body assigns, and spread lists that it adds to included."""
    text = (
        "fn nine(a, b) { for x in [a, b] { if x == 9 { break x + 1 } } }\n"
        "fn f(a, b, xs) {\n  out = []\n"
        "  for x in [a, b, a + b] { a = 9; b = x; out.push(x) }\n"
        "  for x in [a, ...xs, b] { xs.push(x); out.push(x * 2) }\n"
        "  for x in [] { out.push(x) }\n"
        "  out.push(nine(b, a))\n"
        "  [out, xs]\n}"
    )
    function = compiled(text)["f"]
    assert function(None, 1, 2, [5]) == [[1, 2, 3, 18, 10, 6, 10], [5, 9, 5, 3]]
    assert function(None, 1.5, 2, []) == [[1.5, 2, 3.5, 18, 7.0, 10], [9, 3.5]]
    assert outcome(function, (1, "a", []))[0][0] == "FL501"
