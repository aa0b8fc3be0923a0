"""Every comparison of every kind of column with every value: the store against the naive model.

The model and the values are those of the random conditions in test_query_properties.py.
"""

from __future__ import annotations

import functools
from typing import Any

import pytest

from flinfast.store.base import BaseStore
from flinfast.values import Time
from tests.store.test_query_properties import (
    BIG,
    BLOBS,
    COMPARISONS,
    FIELDS,
    FLOATS,
    INTS,
    NESTED,
    ODD_FLOATS,
    RANGES,
    TEXTS,
    TIMES,
    TYPES,
    WIDE,
    fill,
    model,
    node,
    rows_store,
    true,
)

__all__ = ["rows_store"]

EVERYTHING = [
    *(None, True, False),
    *TEXTS,
    *INTS,
    *WIDE,
    *FLOATS,
    *ODD_FLOATS,
    *TIMES,
    *BLOBS,
    *NESTED,
    *RANGES,
    *([1, "a", None, 2.0, True], ["a", "ab"], [Time(1), b"a"], [1 << 70, BIG, 1e300]),
]
CELLS = {
    "text": TEXTS,
    "int": INTS,
    "number": [*FLOATS, float("inf"), float("-inf")],
    "bool": [True, False],
    "time": TIMES,
    "bytes": BLOBS,
    "any": [value for value in EVERYTHING if value not in WIDE and type(value) is not range],
    "list": [value for value in NESTED if isinstance(value, list)],
    "ref": [1, 2],
}


def every_cell() -> list[dict[str, Any]]:
    """Rows in which every column takes each of its values, and none."""
    count = max(len(values) for values in CELLS.values())
    rows = []
    for number in range(count + 1):
        row = {}
        for shift, (name, kind) in enumerate(TYPES.items()):
            values = [None, *CELLS[kind]]
            row[name] = values[(number + shift) % len(values)]
        rows.append(row)
    return rows


OPERATIONS = [
    *(functools.partial(node, op) for op in COMPARISONS),
    *(functools.partial(node, "call", op) for op in ("contains", "starts_with", "ends_with")),
]


@pytest.mark.parametrize("name", FIELDS)
def test_every_comparison_of_a_field_with_every_value(rows_store: BaseStore, name: str) -> None:
    """One comparison, both ways round and negated, for every pair of a cell and a value."""
    store = rows_store
    store.begin(writes=True)
    try:
        seen = fill(store, every_cell())
        entity = store.handle("Row")
        field, value = ("field", name), ("param", 0)
        trees = [op(*sides) for op in OPERATIONS for sides in ((field, value), (value, field))]
        values = [*EVERYTHING, entity.find(2), entity.construct({})]
        cells = {id(row[name]): row for row in seen}  # one row for each: the trees read no other
        for number, tree in enumerate([*trees, *(("not", tree) for tree in trees)]):
            prepared = entity.prepare(tree)
            for param in values[number % 3 :: 3] if tree[0] == "not" else values:
                found = [record.id for record in prepared((param,))]
                right = {key for key, row in cells.items() if true(model(tree, row, (param,)))}
                expected = [row["id"] for row in seen if id(row[name]) in right]
                assert found == expected, (tree, param)
    finally:
        store.rollback()


def test_every_comparison_of_two_fields(rows_store: BaseStore) -> None:
    """One comparison for every pair of columns."""
    store = rows_store
    store.begin(writes=True)
    try:
        seen = fill(store, every_cell())
        entity = store.handle("Row")
        for left in FIELDS:
            for right in FIELDS:
                for op in OPERATIONS:
                    tree = op(("field", left), ("field", right))
                    for tried in (tree, ("not", tree)):
                        found = [record.id for record in entity.prepare(tried)(())]
                        expected = [row["id"] for row in seen if true(model(tried, row, ()))]
                        assert found == expected, tried
    finally:
        store.rollback()
