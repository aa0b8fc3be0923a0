"""Builtins as FLIN programs call them, each beside the Python one would write instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple


class Call(NamedTuple):
    """One builtin in both languages.

    Attributes:
        name: What the row is called.
        data: Name of the maker of `xs` in DATA.
        flin: Body of a FLIN function of `xs` (and `ys`, the same again, one item later).
        python: The same as one expression of Python.
    """

    name: str
    data: str
    flin: str
    python: str


def _orders(count: int) -> list[dict[str, Any]]:
    return [
        {"user": f"u{n % 9}", "paid": n % 4 != 0, "total": n * 7 % 50, "tags": ["a", "b"]}
        for n in range(count)
    ]


DATA: Final[dict[str, Callable[[int], Any]]] = {
    "ints": lambda count: [n * 37 % 1001 for n in range(count)],
    "floats": lambda count: [n * 37 % 1001 / 8 for n in range(count)],
    "mixed": lambda count: [n * 37 % 1001 / (8 if n % 2 else 1) for n in range(count)],
    "texts": lambda count: [f"name {n * 37 % 101}" for n in range(count)],
    "lists": lambda count: [[n, n + 1, n + 2] for n in range(count)],
    "pairs": lambda count: [[f"k{n}", n] for n in range(count)],
    "orders": _orders,
    "map": lambda count: {f"k{n}": n for n in range(count)},
    "text": lambda count: "a quick fox, " * count,
}

# Functions of Python that have no expression of their own.
SUPPORT: Final = """
from functools import cmp_to_key, reduce
from itertools import chain


def grouped(items, key):
    groups = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def each(items, function):
    for item in items:
        function(item)
    return items


def position(items, item):
    try:
        return items.index(item)
    except ValueError:
        return -1


def unique_by(items, key):
    seen = set()
    kept = []
    for item in items:
        value = key(item)
        if value not in seen:
            seen.add(value)
            kept.append(item)
    return kept


def without(items, others):
    seen = set(others)
    kept = []
    for item in items:
        if item not in seen:
            seen.add(item)
            kept.append(item)
    return kept


def common(items, others):
    wanted = set(others)
    return [item for item in dict.fromkeys(items) if item in wanted]


def in_one(items, others):
    mine, theirs = set(items), set(others)
    return [x for x in dict.fromkeys([*items, *others]) if (x in mine) != (x in theirs)]
"""

CALLS: Final = tuple(
    Call(*row)
    for row in (
        ("map", "ints", "xs.map(x => x * 2)", "[x * 2 for x in xs]"),
        ("map a member", "orders", "xs.map(o => o.total)", "[o.get('total') for o in xs]"),
        ("map with index", "ints", "xs.map((x, i) => x + i)", "[x + i for i, x in enumerate(xs)]"),
        ("map a builtin", "texts", "xs.map(upper)", "[x.upper() for x in xs]"),
        ("map a block", "ints", "xs.map(x => { y = x + 1; y * 2 })", "[(x + 1) * 2 for x in xs]"),
        ("map by name", "ints", "f = x => x * 2; xs.map(f)", "[x * 2 for x in xs]"),
        ("filter", "ints", "xs.filter(x => x > 300)", "[x for x in xs if x > 300]"),
        ("filter a member", "orders", "xs.filter(o => o.paid)", "[o for o in xs if o.get('paid')]"),
        ("filter by name", "ints", "f = x => x > 3; xs.filter(f)", "[x for x in xs if x > 3]"),
        (
            "reduce",
            "ints",
            "xs.reduce((a, x) => a + x, 0)",
            "reduce(lambda a, x: a + x, xs, 0)",
        ),
        (
            "flat_map",
            "orders",
            "xs.flat_map(o => o.tags)",
            "[tag for o in xs for tag in o.get('tags')]",
        ),
        ("each", "ints", "xs.each(x => x * 2)", "each(xs, lambda x: x * 2)"),
        ("find", "ints", "xs.find(x => x < 0)", "next((x for x in xs if x < 0), None)"),
        (
            "find_index",
            "ints",
            "xs.find_index(x => x < 0)",
            "next((i for i, x in enumerate(xs) if x < 0), -1)",
        ),
        ("any", "ints", "xs.any(x => x < 0)", "any(x < 0 for x in xs)"),
        ("any a member", "orders", "xs.any(o => o.lost)", "any(o.get('lost') for o in xs)"),
        ("all", "ints", "xs.all(x => x >= 0)", "all(x >= 0 for x in xs)"),
        ("count by", "ints", "xs.count(x => x > 300)", "sum(1 for x in xs if x > 300)"),
        ("sum of ints", "ints", "xs.sum()", "sum(xs)"),
        ("sum of floats", "floats", "xs.sum()", "sum(xs)"),
        ("sum of both", "mixed", "xs.sum()", "sum(xs)"),
        ("sum by", "orders", "xs.sum(o => o.total)", "sum(o.get('total') for o in xs)"),
        ("sum by name", "orders", 'xs.sum("total")', "sum(o.get('total') for o in xs)"),
        ("sum of a map", "ints", "xs.map(x => x * 2).sum()", "sum([x * 2 for x in xs])"),
        ("avg", "ints", "xs.avg()", "sum(xs) / len(xs)"),
        ("avg by", "orders", "xs.avg(o => o.total)", "sum(o.get('total') for o in xs) / len(xs)"),
        ("min", "ints", "xs.min()", "min(xs)"),
        ("max", "texts", "xs.max()", "max(xs)"),
        ("max of both", "mixed", "max(xs)", "max(xs)"),
        ("max by", "orders", "xs.max(o => o.total)", "max(o.get('total') for o in xs)"),
        ("sort", "ints", "xs.sort()", "sorted(xs)"),
        ("sort texts", "texts", "xs.sort()", "sorted(xs)"),
        ("sort by", "orders", "xs.sort(o => o.total)", "sorted(xs, key=lambda o: o.get('total'))"),
        (
            "sort_by name",
            "orders",
            'xs.sort_by("total")',
            "sorted(xs, key=lambda o: o.get('total'))",
        ),
        (
            "sort descending",
            "orders",
            'xs.sort(o => o.user, "desc")',
            "sorted(xs, key=lambda o: o.get('user'), reverse=True)",
        ),
        (
            "sort by comparison",
            "ints",
            "xs.sort((a, b) => b - a)",
            "sorted(xs, key=cmp_to_key(lambda a, b: b - a))",
        ),
        ("group_by", "orders", "xs.group_by(o => o.user)", "grouped(xs, lambda o: o.get('user'))"),
        ("group_by name", "orders", 'xs.group_by("user")', "grouped(xs, lambda o: o.get('user'))"),
        (
            "group_by int",
            "ints",
            "xs.group_by(x => x % 7)",
            "grouped(xs, lambda x: str(x % 7))",
        ),
        ("unique", "ints", "xs.unique()", "list(dict.fromkeys(xs))"),
        ("unique texts", "texts", "xs.unique()", "list(dict.fromkeys(xs))"),
        ("unique by", "orders", "xs.unique(o => o.user)", "unique_by(xs, lambda o: o.get('user'))"),
        ("union", "ints", "xs.union(ys)", "list(dict.fromkeys([*xs, *ys]))"),
        ("intersection", "ints", "xs.intersection(ys)", "common(xs, ys)"),
        ("difference", "ints", "xs.difference(ys)", "without(xs, ys)"),
        ("symmetric_difference", "ints", "xs.symmetric_difference(ys)", "in_one(xs, ys)"),
        ("zip", "ints", "xs.zip(ys)", "[[x, y] for x, y in zip(xs, ys)]"),
        (
            "zip_with",
            "ints",
            "xs.zip_with(ys, (x, y) => x + y)",
            "[x + y for x, y in zip(xs, ys)]",
        ),
        ("flatten", "lists", "xs.flatten()", "list(chain.from_iterable(xs))"),
        ("chunk", "ints", "xs.chunk(7)", "[xs[i : i + 7] for i in range(0, len(xs), 7)]"),
        ("concat", "ints", "xs.concat(ys)", "xs + ys"),
        ("reverse", "ints", "xs.reverse()", "xs[::-1]"),
        ("slice", "ints", "xs.slice(2, 7)", "xs[2:7]"),
        ("slice operator", "ints", "xs[2:7]", "xs[2:7]"),
        ("take", "ints", "xs.take(5)", "xs[:5]"),
        ("drop", "ints", "xs.drop(5)", "xs[5:]"),
        ("first", "ints", "xs.first", "xs[0] if xs else None"),
        ("last()", "ints", "xs.last()", "xs[-1] if xs else None"),
        ("len", "ints", "xs.len", "len(xs)"),
        ("len()", "ints", "len(xs)", "len(xs)"),
        ("is_empty", "ints", "xs.is_empty", "not xs"),
        ("copy", "ints", "xs.copy()", "xs[:]"),
        ("contains an int", "ints", "xs.contains(-5)", "-5 in xs"),
        ("contains a text", "texts", 'xs.contains("nobody")', "'nobody' in xs"),
        ("in", "ints", "-5 in xs", "-5 in xs"),
        ("index_of", "ints", "xs.index_of(-5)", "position(xs, -5)"),
        ("index_of a text", "texts", 'xs.index_of("nobody")', "position(xs, 'nobody')"),
        ("join", "texts", 'xs.join(", ")', "', '.join(xs)"),
        ("join ints", "ints", 'xs.join(", ")', "', '.join(map(str, xs))"),
        ("range", "ints", "range(len(xs))", "list(range(len(xs)))"),
        ("keys", "map", "xs.keys()", "list(xs)"),
        ("values", "map", "xs.values()", "list(xs.values())"),
        ("entries", "map", "xs.entries()", "[[k, v] for k, v in xs.items()]"),
        ("from_entries", "pairs", "from_entries(xs)", "{k: v for k, v in xs}"),
        ("merge", "map", "xs.merge(ys)", "{**xs, **ys}"),
        ("clone", "map", "xs.clone()", "dict(xs)"),
        ("get", "map", 'xs.get("k5", 0)', "xs.get('k5', 0)"),
        ("has_key", "map", 'xs.has_key("k5")', "'k5' in xs"),
        (
            "pick",
            "map",
            'xs.pick(["k1", "k5", "no"])',
            "{k: xs[k] for k in ['k1', 'k5', 'no'] if k in xs}",
        ),
        (
            "omit",
            "map",
            'xs.omit(["k1", "k5"])',
            "{k: v for k, v in xs.items() if k not in {'k1', 'k5'}}",
        ),
        (
            "map_values",
            "map",
            "xs.map_values(v => v + 1)",
            "{k: v + 1 for k, v in xs.items()}",
        ),
        ("equal lists", "ints", "xs == ys", "xs == ys"),
        ("equal maps", "map", "xs == ys", "xs == ys"),
        ("split", "text", 'xs.split(",")', "xs.split(',')"),
        ("words", "text", "xs.words()", "xs.split()"),
        ("chars", "text", "xs.chars()", "list(xs)"),
        ("replace_all", "text", 'xs.replace_all("fox", "cat")', "xs.replace('fox', 'cat')"),
        ("text slice", "text", "xs.slice(2, 7)", "xs[2:7]"),
        ("text count", "text", 'xs.count("fox")', "xs.count('fox')"),
        ("capitalize", "text", "xs.capitalize()", "xs[:1].upper() + xs[1:]"),
        ("pad_start", "text", 'xs.pad_start(20, "0")', "xs.rjust(20, '0')"),
        ("upper", "text", "xs.upper()", "xs.upper()"),
    )
)
