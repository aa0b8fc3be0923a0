"""Random rows and random conditions: the store against a naive model over Python values.

The model below is written from the language reference (3.2, 6.2, 6.3) and shares no code with the
store.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from flinfast.store import EntitySpec, FieldSpec
from flinfast.store.base import BaseStore
from flinfast.values import Time
from tests.store.postgres_server import emptied
from tests.store.store_loop import ENGINES, FakeLoop, open_postgres, open_store

TYPES = {
    "t": "text",
    "u": "text",
    "n": "int",
    "m": "int",
    "r": "number",
    "b": "bool",
    "w": "time",
    "y": "bytes",
    "a": "any",
    "l": "list",
    "o": "ref",
}
SPEC = EntitySpec(
    "Row",
    tuple(
        FieldSpec(name, kind, target="Row" if kind == "ref" else "", index=name in "tnw")
        for name, kind in TYPES.items()
    ),
)
BIG = 1 << 63
EXAMPLES = int(os.environ.get("FLINFAST_STORE_EXAMPLES", "250"))


# --- the model ----------------------------------------


class Ref:
    """A reference field's value in the model."""

    def __init__(self, id: int) -> None:
        self.id = id


def is_number(value: Any) -> bool:
    return type(value) in (int, float)


def same(left: Any, right: Any) -> bool:
    if isinstance(left, Ref) or isinstance(right, Ref):
        a, b = (x.id if isinstance(x, Ref) or hasattr(x, "entity") else x for x in (left, right))
        return is_number(a) and is_number(b) and a == b
    if hasattr(left, "entity") or hasattr(right, "entity"):
        return left == right
    if is_number(left) and is_number(right):
        return left == right
    left, right = items(left), items(right)
    if type(left) is not type(right):
        return False
    if isinstance(left, list):
        return len(left) == len(right) and all(same(a, b) for a, b in zip(left, right, strict=True))
    if isinstance(left, dict):
        return set(left) == set(right) and all(same(left[k], right[k]) for k in left)
    return left == right


def items(value: Any) -> Any:
    """A range is the list of its items; one that no list can hold stays what it is."""
    return list(value) if isinstance(value, range) and value.stop < 1000 else value


def true(value: Any) -> bool:
    if value is None or value is False:
        return False
    return not (is_number(value) and (value == 0 or value != value)) and value != ""


def less(left: Any, right: Any) -> bool:
    comparable = (
        (is_number(left) and is_number(right))
        or (isinstance(left, str) and isinstance(right, str))
        or (isinstance(left, Time) and isinstance(right, Time))
    )
    return comparable and left < right


def member(item: Any, container: Any) -> bool:
    if isinstance(container, str):
        return isinstance(item, str) and item in container
    if isinstance(container, list):
        return any(same(item, other) for other in container)
    if isinstance(container, dict):
        return isinstance(item, str) and item in container
    if isinstance(container, bytes):
        return is_number(item) and item in list(container)
    if isinstance(container, range):
        return is_number(item) and item == item // 1 and int(item) in container
    return False


def text_method(name: str, value: Any) -> Any:
    if name == "len":
        return len(value) if isinstance(value, (str, bytes, list, dict)) else None
    if not isinstance(value, str):
        return None
    return {"lower": value.lower, "upper": value.upper, "trim": value.strip}[name]()


def model(tree: tuple, row: dict[str, Any], params: tuple) -> Any:
    op = tree[0]
    if op == "field":
        return row[tree[1]]
    if op == "param":
        return params[tree[1]]
    if op == "const":
        return tree[1]
    if op == "call":
        target = model(tree[2], row, params)
        if len(tree) == 3:
            return text_method(tree[1], target)
        arg = model(tree[3], row, params)
        if tree[1] == "contains":
            return member(arg, target)
        if not (isinstance(target, str) and isinstance(arg, str)):
            return False
        return target.startswith(arg) if tree[1] == "starts_with" else target.endswith(arg)
    a = model(tree[1], row, params)
    if op == "not":
        return not true(a)
    if op == "truthy":
        return true(a)
    if op == "or":
        return a if true(a) else model(tree[2], row, params)
    if op == "and":
        return model(tree[2], row, params) if true(a) else a
    b = model(tree[2], row, params)
    return {
        "eq": lambda: same(a, b),
        "ne": lambda: not same(a, b),
        "lt": lambda: less(a, b),
        "gt": lambda: less(b, a),
        "le": lambda: less(a, b) or ordered_equal(a, b),
        "ge": lambda: less(b, a) or ordered_equal(a, b),
        "in": lambda: member(a, b),
    }[op]()


def ordered_equal(left: Any, right: Any) -> bool:
    kinds = {type(left), type(right)}
    orderable = kinds <= {int, float} or kinds == {str} or kinds == {Time}
    return orderable and same(left, right)


# --- strategies ----------------------------------------

TEXTS = ["", "a", "A", "ab", "b a", " a ", "é", "É", "ß", "7", "%", "_", "𝄞", "\ud7ff", "\uffff"]
TEXTS.append("\U0010ffff")
INTS = [0, 1, -1, 2, 7, 97, 255, 1 << 53, (1 << 53) + 1, BIG - 1, -BIG]
WIDE = [BIG, -BIG - 1, 1 << 70, -(1 << 70), 10**400]
FLOATS = [0.0, -0.0, 1.0, 0.5, 2.0, -1.5, float(1 << 53), float(BIG), 1e300]
ODD_FLOATS = [float("inf"), float("-inf"), float("nan")]
TIMES = [Time(ms) for ms in (0, 1, 7, -1, 1 << 40)]
BLOBS = [b"", b"a", b"ab", b"\0"]
NESTED = [[], [1], [1.0, "a"], [True], [None], {}, {"a": 1}, {"a": True}, {"b": [1]}]
RANGES = [range(0), range(3), range(-1, 8, 3), range(2, 1 << 70)]
texts, ints, wide = st.sampled_from(TEXTS), st.sampled_from(INTS), st.sampled_from(WIDE)
floats, odd_floats = st.sampled_from(FLOATS), st.sampled_from(ODD_FLOATS)
times, blobs = st.sampled_from(TIMES), st.sampled_from(BLOBS)
scalars = st.one_of(st.none(), st.booleans(), texts, ints, floats, times, blobs)
lists = st.lists(scalars, max_size=3)
maps = st.dictionaries(st.sampled_from(["a", "b", ""]), scalars, max_size=2)
anything = st.one_of(scalars, lists, maps)
params_ = st.one_of(
    anything,
    wide,
    odd_floats,
    st.lists(st.one_of(scalars, wide, odd_floats), max_size=9),
    st.sampled_from(RANGES),
    st.just("a record"),
)
BY_TYPE = {
    "text": texts,
    "int": ints,
    "number": st.one_of(floats, odd_floats.filter(lambda x: x == x)),
    "bool": st.booleans(),
    "time": times,
    "bytes": blobs,
    "any": anything,
    "list": lists,
    "ref": st.integers(1, 4),
}
rows_ = st.lists(
    st.fixed_dictionaries(
        {name: st.none() | BY_TYPE[kind] for name, kind in TYPES.items()},
    ),
    max_size=7,
)
FIELDS = [*TYPES, "id", "version", "deleted_at", "updated_at"]
COMPARISONS = ["eq", "ne", "lt", "le", "gt", "ge", "in"]


def node(op: str, *parts: Any) -> tuple:
    return (op, *parts)


leaf = st.one_of(
    st.builds(functools.partial(node, "field"), st.sampled_from(FIELDS)),
    st.builds(functools.partial(node, "param"), st.integers(0, 3)),
    st.builds(functools.partial(node, "const"), scalars),
)


def deeper(inner: st.SearchStrategy[tuple]) -> st.SearchStrategy[tuple]:
    return st.one_of(
        st.builds(node, st.sampled_from(COMPARISONS), inner, inner),
        st.builds(node, st.sampled_from(COMPARISONS), leaf, leaf),
        st.builds(node, st.sampled_from(["and", "or"]), inner, inner),
        st.builds(node, st.sampled_from(["not", "truthy"]), inner),
        st.builds(
            functools.partial(node, "call"),
            st.sampled_from(["contains", "starts_with", "ends_with"]),
            inner,
            inner,
        ),
        st.builds(
            functools.partial(node, "call"),
            st.sampled_from(["lower", "upper", "trim", "len"]),
            inner,
        ),
    )


trees = st.recursive(leaf, deeper, max_leaves=6)


# --- the tests ----------------------------------------


@pytest.fixture(scope="module", params=ENGINES)
def rows_store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BaseStore]:
    store: BaseStore
    if request.param == "postgres":
        url = emptied(request.getfixturevalue("postgres_server"))
        store = open_postgres(url, entities=[SPEC], durability="normal")
    else:
        folder = tmp_path_factory.mktemp("rows")
        store = open_store(folder, FakeLoop(), entities=[SPEC], durability="normal")
    yield store
    store.close()


def fill(store: BaseStore, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Replace all records; returns what the model sees."""
    entity = store.handle("Row")
    store.database.execute('DELETE FROM "Row"')
    if store.waits:
        sql = "SELECT setval(pg_get_serial_sequence('\"Row\"', 'id'), 1, false)"
        store.database.query(sql)
    else:
        store.database.execute("DELETE FROM sqlite_sequence")
    seen = []
    for id, row in enumerate(rows, 1):
        record = store.save(entity.construct({**row, "o": None}))
        seen.append({**row, "id": id, "version": 1, "deleted_at": None})
        seen[-1]["updated_at"] = record.flin_get("updated_at")
        if row["r"] is not None:
            seen[-1]["r"] = float(row["r"])
    for id, row in enumerate(rows, 1):
        target = row["o"] if row["o"] is not None and row["o"] <= len(rows) else None
        seen[id - 1]["o"] = None if target is None else Ref(target)
        if target is not None:  # around `save`, so that the version stays 1
            store.database.execute('UPDATE "Row" SET o = ? WHERE id = ?', (target, id))
    return seen


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(rows=rows_, tree=trees, raw=st.tuples(params_, params_, params_, params_))
@example(
    rows=[dict.fromkeys(TYPES) | {"t": "7", "n": 7, "r": 7.0, "a": 7}],
    tree=("eq", ("field", "t"), ("field", "n")),
    raw=(None, None, None, None),
)
def test_where_equals_the_model(
    rows_store: BaseStore, rows: list[dict[str, Any]], tree: tuple, raw: tuple
) -> None:
    """Any condition selects exactly the rows that the language's rules select."""
    store = rows_store
    store.begin(writes=True)
    try:
        seen = fill(store, rows)
        entity = store.handle("Row")
        some = entity.find(2) or entity.construct({})
        params = tuple(some if value == "a record" else value for value in raw)
        expected = [row["id"] for row in seen if true(model(tree, row, params))]
        query = entity.prepare(tree)(params)
        assert query.count() == len(expected)
        assert [record.id for record in query] == expected
        negated = entity.prepare(("not", tree))(params)
        assert [record.id for record in negated] == [
            row["id"] for row in seen if row["id"] not in expected
        ]
    finally:
        store.rollback()


ORDERABLE = ["t", "n", "r", "b", "w", "id", "o"]


def sort_key(value: Any) -> tuple[bool, Any]:
    value = value.id if isinstance(value, Ref) else value
    return (value is not None, 0 if value is None else value)


@settings(
    max_examples=EXAMPLES // 2,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    rows=rows_,
    keys=st.lists(st.tuples(st.sampled_from(ORDERABLE), st.booleans(), st.booleans()), max_size=3),
    limit=st.none() | st.integers(0, 5),
    offset=st.integers(0, 5),
    tree=st.none() | trees,
    raw=st.tuples(params_, params_, params_, params_),
)
def test_order_paging_and_aggregates_equal_the_model(
    rows_store: BaseStore,
    rows: list[dict[str, Any]],
    keys: list[tuple[str, bool, bool]],
    limit: int | None,
    offset: int,
    tree: tuple | None,
    raw: tuple,
) -> None:
    """Order, paging and every aggregate agree with sorting and slicing a list."""
    store = rows_store
    store.begin(writes=True)
    try:
        seen = fill(store, rows)
        entity = store.handle("Row")
        params = tuple(None if value == "a record" else value for value in raw)
        query = entity.flin_get("all") if tree is None else entity.prepare(tree)(params)
        wanted = [row for row in seen if tree is None or true(model(tree, row, params))]
        for name, descending, in_python in keys:
            key = (
                (lambda r, name=name: r._row[r._entity.columns[name].index]) if in_python else name
            )
            query = query.order(key, "desc" if descending else "asc")
        for name, descending, _ in reversed(keys):
            wanted.sort(key=lambda row, name=name: sort_key(row[name]), reverse=descending)
        query = query.offset(offset)
        query = query if limit is None else query.limit(limit)
        wanted = wanted[offset : None if limit is None else offset + limit]
        first, last = query._copy().first(), query._copy().last()
        sums = [query._copy().sum(name) for name in "nr"]
        least, most = query._copy().min("t"), query._copy().max("t")
        count, average = query._copy().count(), query._copy().avg("n")
        assert [record.id for record in query] == [row["id"] for row in wanted]
        assert count == len(wanted)
        assert (first and first.id) == (wanted[0]["id"] if wanted else None)
        assert (last and last.id) == (wanted[-1]["id"] if wanted else None)
        whole = [row["n"] for row in wanted if row["n"] is not None]
        assert sums[0] == sum(whole)
        assert average == (sum(whole) / len(whole) if whole else None)
        parts = [row["r"] for row in wanted if row["r"] is not None]
        assert sums[1] == pytest.approx(sum(parts), nan_ok=True)
        named = [row["t"] for row in wanted if row["t"] is not None]
        assert (least, most) == ((min(named), max(named)) if named else (None, None))
    finally:
        store.rollback()
