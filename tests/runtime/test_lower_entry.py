"""Entries of maps that one operator looks up, adds to and sets: as if three of them did."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from tests.runtime.test_lower_generic import compiled, compiled_plainly, outcome

TARGETS: tuple[Any, ...] = (
    *({"a": one} for one in (0, 1 << 62, (1 << 63) - 1, 1.5, "t", None, True, [1], {"x": 1})),
    *({"1": 5}, {}, [3, "x", None], "text", None, 7),
)
KEYS: tuple[Any, ...] = ("a", 1, -1, None, True, 0.5, [1], {"a": 1})
AMOUNTS: tuple[Any, ...] = (2, -0.5, "y", None, [2], True)
ADDED = {
    "entry or 0": "m[k] = (m[k] ?? 0) + v",
    "entry or a float": "m[k] = (m[k] ?? 0.5) + v",
    "literal": "m[k] = (m[k] ?? 0) + 1",
    "compound": "m[k] += v",
    "compound with a literal": "m[k] += 2",
    "key itself": "m[k] = (m[k] ?? 0) + k",
    "map itself": "m[k] = (m[k] ?? 0) + m",
}


@pytest.mark.parametrize("statement", ADDED.values(), ids=ADDED)
def test_entry_is_added_to_as_if_read_computed_and_set(statement: str) -> None:
    """Values, what becomes of the maps, faults, their texts and lines."""
    text = f"fn f(m, k, v) {{\n  {statement}\n  [m, k, v]\n}}"
    short, plain = compiled(text)["f"], compiled_plainly(text)["f"]
    assert "$op_add_to_entry" in short.__code__.co_freevars
    for given in product(TARGETS, KEYS, AMOUNTS):
        assert outcome(short, given) == outcome(plain, given), given


OTHERS = {
    "another entry": "m[k] = (m[v] ?? 0) + 1",
    "another map": "m[k] = (n[k] ?? 0) + 1",
    "amount of a call": "m[k] = (m[k] ?? 0) + raised(m, k)",
    "compound with a call": "m[k] += raised(m, k)",
    "captured amount": "m[k] = (m[k] ?? 0) + given",
    "on several lines": "m[k] =\n (m[k] ??\n 0) +\n v",
    "text": 'm[k] = (m[k] ?? "") + v',
}


@pytest.mark.parametrize("statement", OTHERS.values(), ids=OTHERS)
def test_other_sums_are_computed_step_by_step(statement: str) -> None:
    """What reads something else, or an amount that a call makes, keeps its order."""
    text = (
        "fn raised(m, k) { m[k] = 10; 1 }\n"
        "fn f(m, k, v) {\n  n = { a: 3 }\n  given = v\n  tell = () => { given = 7 }\n"
        f"  {statement}\n  tell()\n  [m, k, v, n, given]\n}}"
    )
    short, plain = compiled(text)["f"], compiled_plainly(text)["f"]
    assert "$op_add_to_entry" not in short.__code__.co_freevars
    for given in product(TARGETS, KEYS, AMOUNTS):
        assert outcome(short, given) == outcome(plain, given), given


def test_sum_of_known_kinds_is_pythons() -> None:
    """A map of the function whose keys are texts and whose values are ints."""
    text = 'fn f(s: text) { m = {}; for w in s.split(" ") { m[w] = (m[w] ?? 0) + 1 }; m }'
    function = compiled(text)["f"]
    assert function(None, "a b a") == {"a": 2, "b": 1}
    assert "$op_add_to_entry" not in function.__code__.co_freevars
