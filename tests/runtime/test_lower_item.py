"""Items of lists of lists in special forms, read and set: as the operators do, faults included."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from flinfast.runtime.context import Headers, QueryMap
from flinfast.runtime.response import ResponseHeaders
from tests.runtime.test_lower_generic import compiled, compiled_plainly, outcome

# Each is called with a list and two ints, which it counts with: it has a special form.
WALK = """
fn walk(rows, y, x, v) {{
    if y < 0 || x < 0 || y >= rows.len {{ return "out" }}
    {body}
    if v == "more" {{ return walk(rows, y + 1, x - 1, 5) }}
    [rows, y, x]
}}
"""
BODIES = {
    "read": "a = rows[y][x]\n v = [a, v]",
    "read beside": "a = rows[y + 1][x - 1]\n b = rows[y - 2][x + 1]\n v = [a, b]",
    "compared with 0": "if rows[y][x] == 0 { return 1 }",
    "compared with 1": "if rows[y][x] != 1 { return [y] }",
    "compared with 1.0": "if 1.0 == rows[y][x] { return [y] }",
    "first of the first": "if x >= rows[0].len { return 2 }",
    "set": "rows[y][x] = v",
    "set beside": "rows[y][x - 1] = [v]\n rows[y - 1][x] = x",
    "set on several lines": "rows[y]\n[x] =\n v",
    "set and read": "rows[y][x] = v\n if rows[y][x] == 0 { rows[y][0] = 7 }\n v = rows[y][0]",
    "row of a name": "row = rows[y]\n row[x] = v\n row[x + 1] = row[x]",
    "value that changes the row": "rows[y][x] = taken(rows)",
    "read in a loop": "for i in 0..3 { v = [v, rows[i][x]] }",
    "added": "rows[y][x] += 1",
}
ROWS: tuple[Any, ...] = (
    [[0, 1, 2], [3, 0, 1], [1, 1, 0]],
    [[0, True, 1.0], [False, 0.0, -0.0], [None, "0", []]],
    [[0], [], [1, 2, 3]],
    [[1, 2], None, [3]],
    [[1, 2], "text", [3]],
    [[1, 2], {"0": 5, "1": 6}, {}],
    [{"0": 1}, {"len": 9}],
    [b"ab", range(4), 7],
    [Headers([("0", "a")]), QueryMap([("1", "b")]), [0]],
    [ResponseHeaders(), [1 << 64, 1 << 63], len],
    [],
    {"0": [1]},
    "text",
    None,
)
PLACES: tuple[Any, ...] = (0, 1, -1, 1 << 70, True, None)


def _shown(value: Any) -> Any:
    """What does not become something else by being copied."""
    return repr(value)


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_items_of_items_are_as_the_operators_have_them(body: str) -> None:
    """Values, what becomes of the lists, faults, their texts and lines."""
    text = WALK.format(body=body) + "fn taken(rows) { rows[0] = [8, 9]\n rows.pop()\n 4 }"
    short, plain = compiled(text)["walk"], compiled_plainly(text)["walk"]
    assert "$special_walk" in short.__code__.co_freevars
    for rows, y, x, v in product(ROWS, PLACES, PLACES, (5, "more")):
        given = (rows, y, x, v)
        assert repr(outcome(short, given)) == repr(outcome(plain, given)), given


def test_row_that_is_one_list_in_two_places_is_set_in_both() -> None:
    """Nothing is copied, and the place counts from the end where it is below 0."""
    text = WALK.format(body="rows[y][x] = v\n rows[y][x - 3] = 9")
    row = [1, 2, 3]
    function = compiled(text)["walk"]
    assert function(None, [row, row], 0, 1, 5) == [[[1, 9, 3]] * 2, 0, 1]
    assert row == [1, 9, 3]
