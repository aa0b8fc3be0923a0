"""Queries: building, order, paging, aggregates, lambdas, eager loading, limits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from flinfast.errors import RuntimeFault, StoreError
from flinfast.store import EntitySpec, FieldSpec, Query, Store
from flinfast.store.predicate import LIST_ITEMS_MAX
from flinfast.store.sqlite import SCAN_PATIENCE
from flinfast.values import Time
from tests.store.store_loop import FakeLoop, make, open_store


@pytest.fixture
def notes(store: Store) -> Store:
    """Six notes: ranks 3 1 none 2 1 and a deleted 9."""
    with store.transaction():
        ada, bob = make(store, "User", name="ada"), make(store, "User", name="bob")
        rows = (
            ("c", 3, 1.5, True, ada),
            ("a", 1, None, False, bob),
            ("b", None, 2.5, None, ada),
            ("a", 2, 0.5, True, None),
            ("B", 1, 1.5, False, ada),
        )
        for title, rank, score, done, owner in rows:
            make(store, "Note", title=title, rank=rank, score=score, done=done, owner=owner)
        store.delete(make(store, "Note", title="gone", rank=9))
    return store


def ids(query: Query) -> list[int | None]:
    return [record.id for record in query.rows()]


def call(target: object, name: str, *args: object) -> object:
    return target.flin_call(name, args, {})


def where(store: Store, template: tuple, *params: object) -> Query:
    return store.handle("Note").prepare(template)(params)


def fault_code(function, *args: object) -> str:
    with pytest.raises(RuntimeFault) as caught:
        function(*args)
    return caught.value.code


FIELD_RANK = ("field", "rank")
P0, P1 = ("param", 0), ("param", 1)


# --- building and order ----------------------------------------


def test_default_order_is_id_and_deleted_is_invisible(notes: Store) -> None:
    """`E.all` is live records by id; `.with_deleted` adds the others."""
    note = notes.handle("Note")
    assert ids(note.flin_get("all")) == ids(call(note, "all")) == [1, 2, 3, 4, 5]
    assert ids(note.flin_get("with_deleted")) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ([("rank",)], [3, 2, 5, 4, 1]),
        ([("rank", "asc")], [3, 2, 5, 4, 1]),
        ([("rank", "desc")], [1, 4, 2, 5, 3]),
        ([("title",)], [5, 2, 4, 3, 1]),
        ([("title",), ("rank", "desc")], [5, 4, 2, 3, 1]),
        ([("done", "desc"), ("id", "desc")], [4, 1, 5, 2, 3]),
        ([("owner",), ("title", "desc")], [4, 1, 3, 5, 2]),
        ([(lambda note: note.flin_get("title").lower(),)], [2, 4, 3, 5, 1]),
        ([("rank",), (lambda note: -note.id,)], [3, 5, 2, 4, 1]),
        ([(lambda note: note.flin_get("rank"), "desc"), ("title",)], [1, 4, 5, 2, 3]),
    ],
)
def test_order(notes: Store, keys: list[tuple], expected: list[int]) -> None:
    """none first ascending; repeated calls add keys; ties by id."""
    query = notes.handle("Note").flin_get("all")
    for key in keys:
        query = call(query, "order", *key)
    assert ids(query) == expected
    assert query.first().id == expected[0]
    assert call(query, "limit", 2).offset(1).rows() == query.rows()[1:3]


def test_last_is_the_last_of_the_order(notes: Store) -> None:
    """`.last` agrees with the rows, in any order and with paging."""
    note = notes.handle("Note")
    for query in (
        note.flin_get("all"),
        call(note, "order", "rank"),
        call(note, "order", "rank", "desc"),
        call(note, "order", "id", "desc"),
        call(note, "order", lambda r: -r.id),
        call(note, "limit", 2),
        call(note, "limit", 0),
    ):
        rows = query.rows()
        fresh = query._copy()
        assert fresh.last() == (rows[-1] if rows else None)


@pytest.mark.parametrize(
    ("method", "args", "code"),
    [
        ("order", ("nope",), "FL511"),
        ("order", ("rank", "up"), "FL504"),
        ("order", ("items",), "FL504"),
        ("order", (5,), "FL504"),
        ("limit", (-1,), "FL504"),
        ("limit", ("5",), "FL504"),
        ("limit", (None,), "FL504"),
        ("limit", (True,), "FL504"),
        ("offset", (1.5,), "FL504"),
        ("sum", ("title",), "FL504"),
        ("avg", ("done",), "FL504"),
        ("min", ("items",), "FL504"),
        ("sum", ("nope",), "FL511"),
        ("group_by", ("items",), "FL504"),
        ("distinct", ("nope",), "FL511"),
        ("with", ("title",), "FL504"),
        ("with", ("nope",), "FL511"),
        ("map", (len,), "FL505"),
        ("count", (len,), "FL505"),
        ("sum", (len,), "FL505"),
        ("first", (2,), "FL505"),
        ("where", (), "FL505"),
        ("where", (5,), "FL505"),
    ],
)
def test_bad_calls(notes: Store, method: str, args: tuple, code: str) -> None:
    """Bad arguments name what was expected; list methods are the caller's business."""
    assert fault_code(call, notes.handle("Note").flin_get("all"), method, *args) == code


def test_named_arguments_are_refused(notes: Store) -> None:
    """No query method takes named arguments."""
    query = notes.handle("Note").flin_get("all")
    assert fault_code(query.flin_call, "limit", (1,), {"n": 1}) == "FL505"
    assert fault_code(query.flin_set, "x", 1) == "FL507"
    assert fault_code(query.flin_get, "nope") == "FL505"


def test_where_unknown_field_fails_when_prepared(notes: Store) -> None:
    """A template with an unknown field is refused before any row is looked at."""
    template = ("or", P0, ("eq", ("field", "rnk"), P1))
    with pytest.raises(RuntimeFault) as caught:
        notes.handle("Note").prepare(template)
    assert (caught.value.code, caught.value.hint) == ("FL511", "did you mean `rank`?")


# --- where ----------------------------------------


def test_chained_conditions_are_and(notes: Store) -> None:
    """`.where` on a query narrows it; templates and lambdas mix."""
    query = where(notes, ("eq", FIELD_RANK, P0), 1)
    assert ids(query) == [2, 5]
    assert ids(query.flin_where(("eq", ("field", "title"), P0), ("B",))) == [5]
    assert ids(call(query, "where", lambda note: note.flin_get("title") == "a")) == [2]
    assert ids(query) == [2, 5]


def test_optional_filter_idiom(notes: Store) -> None:
    """`rank == q.rank || q.rank == none` filters only when there is something to filter by."""
    template = ("or", ("eq", FIELD_RANK, P0), P1)
    assert ids(where(notes, template, 1, False)) == [2, 5]
    assert ids(where(notes, template, None, True)) == [1, 2, 3, 4, 5]


def test_text_never_equals_a_number(notes: Store) -> None:
    """SQLite would convert; FLIN does not."""
    assert ids(where(notes, ("eq", FIELD_RANK, P0), "1")) == []
    assert ids(where(notes, ("eq", ("field", "title"), P0), 1)) == []
    assert ids(where(notes, ("eq", ("field", "done"), P0), 1)) == []
    assert ids(where(notes, ("in", FIELD_RANK, P0), ["1", "2"])) == []
    assert ids(where(notes, ("lt", FIELD_RANK, P0), "9")) == []


def test_none_in_conditions(notes: Store) -> None:
    """none equals none only, differs from everything else, and has no order."""
    assert ids(where(notes, ("eq", FIELD_RANK, P0), None)) == [3]
    assert ids(where(notes, ("ne", FIELD_RANK, P0), None)) == [1, 2, 4, 5]
    assert ids(where(notes, ("ne", FIELD_RANK, P0), 1)) == [1, 3, 4]
    assert ids(where(notes, ("not", ("eq", FIELD_RANK, P0)), 1)) == [1, 3, 4]
    assert ids(where(notes, ("lt", FIELD_RANK, P0), 99)) == [1, 2, 4, 5]
    assert ids(where(notes, ("le", FIELD_RANK, P0), None)) == []
    assert ids(where(notes, ("in", FIELD_RANK, P0), [None, 3])) == [1, 3]
    assert ids(where(notes, ("not", ("in", FIELD_RANK, P0)), [1, None])) == [1, 4]


def test_reference_conditions(notes: Store) -> None:
    """A reference field compares with records, ids, lists and queries of its entity."""
    user = notes.handle("User")
    ada = user.find(1)
    owner = ("field", "owner")
    assert ids(where(notes, ("eq", owner, P0), ada)) == [1, 3, 5]
    assert ids(where(notes, ("eq", owner, P0), 1)) == [1, 3, 5]
    assert ids(where(notes, ("eq", owner, P0), notes.handle("Note").find(1))) == []
    assert ids(where(notes, ("eq", owner, P0), user.construct({}))) == []
    assert ids(where(notes, ("in", owner, P0), [2, ada])) == [1, 2, 3, 5]
    named = user.prepare(("eq", ("field", "name"), P0))(("bob",))
    assert ids(where(notes, ("in", owner, P0), named)) == [2]


def test_list_fields_in_conditions(store: Store) -> None:
    """Lists, maps and `any` compare structurally, in Python where SQL cannot."""
    with store.transaction():
        tag = make(store, "Tag", label="t")
        make(store, "Note", items=[1, "a"], extra={"a": 1, "b": [True]}, free=[1], tags=[tag])
        make(store, "Note", items=[1.0, "a"], extra={"b": [True], "a": 1.0}, free=True)
        make(store, "Note", items=[True, "a"], extra={"a": True, "b": [1]}, free=1)
    assert ids(where(store, ("eq", ("field", "items"), P0), [1, "a"])) == [1, 2]
    assert ids(where(store, ("eq", ("field", "extra"), P0), {"a": 1, "b": [True]})) == [1, 2]
    assert ids(where(store, ("in", P0, ("field", "items")), True)) == [3]
    assert ids(where(store, ("call", "contains", ("field", "items"), P0), 1)) == [1, 2]
    assert ids(where(store, ("eq", ("field", "free"), P0), 1)) == [3]
    assert ids(where(store, ("eq", ("field", "free"), P0), True)) == [2]
    assert ids(where(store, ("truthy", ("field", "free")))) == [1, 2, 3]
    assert ids(where(store, ("in", P0, ("field", "tags")), tag)) == [1]
    assert ids(where(store, ("in", P0, ("field", "extra")), "b")) == [1, 2, 3]
    two = where(store, ("in", P0, ("field", "items")), "a").limit(1).offset(1)
    assert ids(two) == [2]
    assert where(store, ("in", P0, ("field", "items")), 1).count() == 2


def test_lambda_rows_that_cannot_be_compared_do_not_match(notes: Store) -> None:
    """One odd record does not fail a filter; any other fault does."""

    def odd(note: object) -> bool:
        if note.id == 2:
            raise RuntimeFault("cannot compare", code="FL501")
        return True

    def broken(note: object) -> bool:
        raise RuntimeFault("unknown method", code="FL505")

    note = notes.handle("Note")
    assert ids(call(note, "where", odd)) == [1, 3, 4, 5]
    assert fault_code(call(note, "where", broken).rows) == "FL505"


def test_lambda_may_query(notes: Store) -> None:
    """A filter function can run queries of its own."""
    note = notes.handle("Note")
    query = call(note, "where", lambda n: note.find(n.id).flin_get("rank") == 1)
    assert ids(query) == [2, 5]


def test_long_lists_in_conditions(store: Store) -> None:
    """Lists of any length work, below and above what becomes SQL parameters."""
    with store.transaction():
        for rank in range(20):
            make(store, "Note", rank=rank)
    for size in (0, 1, 2, 3, 7, 8, 9, LIST_ITEMS_MAX, LIST_ITEMS_MAX + 1):
        query = where(store, ("in", FIELD_RANK, P0), list(range(5, 5 + size)))
        assert query.count() == min(size, 15)


def test_values_are_never_part_of_the_statement(store: Store) -> None:
    """Hostile text is data."""
    hostile = "x'; DROP TABLE Note; --"
    with store.transaction():
        make(store, "Note", title=hostile)
    assert ids(where(store, ("eq", ("field", "title"), P0), hostile)) == [1]
    assert ids(where(store, ("call", "starts_with", ("field", "title"), P0), "x'")) == [1]
    assert ids(where(store, ("call", "contains", ("field", "title"), P0), "%")) == []


def test_hostile_names(tmp_path: Path, loop: FakeLoop) -> None:
    """Names that SQL reserves, or that need quoting, are ordinary names."""
    spec = EntitySpec(
        "Order",
        (
            FieldSpec("select", "text", index=True),
            FieldSpec("größe", "int", unique=True),
            FieldSpec("group", "text"),
            FieldSpec("rowid", "int"),
        ),
    )
    store = open_store(tmp_path, loop, entities=[spec])
    with store.transaction():
        make(store, "Order", select="a", größe=1, group="g", rowid=7)
    order = store.handle("Order")
    assert order.prepare(("eq", ("field", "größe"), P0))((1,)).count() == 1
    assert order.prepare(("eq", ("field", "rowid"), P0))((7,)).order("group").first().id == 1
    store.close()


# --- results ----------------------------------------


def test_count_first_exists(notes: Store) -> None:
    """Property form and call form agree."""
    note = notes.handle("Note")
    assert note.flin_get("count") == call(note, "count") == len(note.flin_get("all")) == 5
    assert note.flin_get("first").id == 1
    assert note.flin_get("last").id == 5
    assert note.flin_get("exists") is True
    empty = where(notes, ("eq", FIELD_RANK, P0), 77)
    assert (empty.flin_get("exists"), empty.flin_get("first"), empty.flin_get("last")) == (
        False,
        None,
        None,
    )
    assert call(note, "limit", 3).flin_get("count") == 3
    assert call(note, "offset", 3).flin_get("length") == 2
    assert call(note, "skip", 9).flin_get("count") == 0


def test_find_within_a_query(notes: Store) -> None:
    """`query.find(id)` looks only among the query's records."""
    query = where(notes, ("eq", FIELD_RANK, P0), 1)
    assert call(query, "find", "2").id == 2
    assert call(query, "find", 1) is None
    assert call(query, "find", "x") is None


def test_rows_are_fetched_once(notes: Store) -> None:
    """Iterating, indexing and counting a query use one fetch; chaining asks again."""
    query = notes.handle("Note").flin_get("all")
    rows = query.rows()
    with notes.transaction():
        make(notes, "Note")
    assert query.rows() is rows
    assert query.count() == 5
    assert list(query) == rows
    assert query.limit(100).count() == 6


def test_aggregates(notes: Store) -> None:
    """none does not count; empty sums are 0, everything else of nothing is none."""
    note = notes.handle("Note")
    assert call(note, "sum", "rank") == 7
    assert call(note, "avg", "rank") == 1.75
    assert (call(note, "min", "rank"), call(note, "max", "rank")) == (1, 3)
    assert (call(note, "min", "title"), call(note, "max", "title")) == ("B", "c")
    assert call(note, "sum", "score") == 6.0
    assert type(call(note, "sum", "score")) is float
    assert isinstance(call(note, "max", "created_at"), Time)
    empty = where(notes, ("eq", FIELD_RANK, P0), 77)
    assert (empty.sum("rank"), empty.sum("score"), empty.avg("rank"), empty.min("rank")) == (
        *(0, 0.0),
        *(None, None),
    )
    ordered = call(note, "order", "rank", "desc").limit(2)
    assert (ordered.sum("rank"), ordered.avg("rank"), ordered.min("rank")) == (5, 2.5, 2)
    lambdas = call(note, "where", lambda n: n.flin_get("title") == "a")
    assert (lambdas.sum("rank"), lambdas.max("rank"), lambdas.count()) == (3, 2, 2)


def test_sum_is_exact_beyond_64_bits(store: Store) -> None:
    """Integers never overflow."""
    big, small = (1 << 63) - 1, -(1 << 63)
    with store.transaction():
        for rank in (big, big, big, -1):
            make(store, "Note", rank=rank)
    assert store.handle("Note").flin_call("sum", ("rank",), {}) == 3 * big - 1
    with store.transaction():
        for _ in range(5):
            make(store, "Note", rank=small)
    assert store.handle("Note").flin_call("sum", ("rank",), {}) == 3 * big - 1 + 5 * small


def test_group_by_and_distinct(notes: Store) -> None:
    """Groups and distinct values in order of appearance."""
    note = notes.handle("Note")
    groups = call(note, "group_by", "rank")
    assert {key: [r.id for r in rows] for key, rows in groups.items()} == {
        "3": [1],
        "1": [2, 5],
        "none": [3],
        "2": [4],
    }
    assert list(call(note, "group_by", "done")) == ["true", "false", "none"]
    assert list(call(note, "group_by", "owner")) == ["1", "2", "none"]
    assert list(call(note, "group_by", "score")) == ["1.5", "none", "2.5", "0.5"]
    assert call(note, "distinct", "rank") == [3, 1, None, 2]
    assert call(call(note, "order", "rank"), "distinct", "rank") == [None, 1, 2, 3]
    assert call(note, "distinct", "owner") == [
        notes.handle("User").find(1),
        notes.handle("User").find(2),
        None,
    ]


def test_eager_loading_asks_once(notes: Store) -> None:
    """`.with(owner)` loads all owners with one statement instead of one per record."""
    statements = set()
    database = notes.database
    query, query_table = database.query, database.query_table

    def note(sql: str, values: Sequence[object]) -> None:
        statements.add((sql, tuple(values)))  # one that asks another way is asked once, too

    database.query = lambda sql, values=(): note(sql, values) or query(sql, values)
    database.query_table = lambda queue, sql, values: (
        note(sql, values) or query_table(queue, sql, values)
    )
    rows = call(notes.handle("Note"), "with", "owner").rows()
    names = [row.flin_get("owner") and row.flin_get("owner").flin_get("name") for row in rows]
    assert names == ["ada", "bob", "ada", None, "ada"]
    # the record without an owner has nothing to load
    assert len(statements) == 2


# --- indexes and limits ----------------------------------------


@pytest.mark.parametrize(
    ("template", "params"),
    [
        (("eq", ("field", "id"), P0), (1,)),
        (("eq", FIELD_RANK, P0), (1,)),
        (("eq", ("field", "owner"), P0), (1,)),
        (("in", FIELD_RANK, P0), ([1, 2],)),
        (("and", ("ge", FIELD_RANK, P0), ("lt", FIELD_RANK, P1)), (1, 3)),
        (("and", ("truthy", ("field", "done")), ("eq", FIELD_RANK, P0)), (1,)),
    ],
)
def test_conditions_use_the_index(notes: Store, template: tuple, params: tuple) -> None:
    """Equality, lists and ranges on indexed fields search and do not scan."""
    query = notes.handle("Note").prepare(template)(params)
    text, values, filters = query._plan()
    statement = query._statement(text, paged=False)
    assert not filters
    if notes.waits:  # PostgreSQL looks at how much there is
        with notes.transaction():
            notes.database.execute(
                'INSERT INTO "Note" (rank, owner, done, created_at, updated_at, version) '
                "SELECT n, n, TRUE, 0, 0, 1 FROM generate_series(10, 3000) AS n"
            )
            notes.database.execute("ANALYZE")
            plan = notes.database.query(f"EXPLAIN {statement}", values)
        assert any("Index Cond" in line for (line,) in plan), plan
        return
    plan = notes.database.query(f"EXPLAIN QUERY PLAN {statement}", values)
    assert plan[0][3].startswith("SEARCH")


def test_prefix_search_uses_the_index(tmp_path: Path, loop: FakeLoop) -> None:
    """`name.starts_with(q)` is a range over the index."""
    spec = EntitySpec("T", (FieldSpec("name", "text", index=True),))
    store = open_store(tmp_path, loop, entities=[spec])
    query = store.handle("T").prepare(("call", "starts_with", ("field", "name"), P0))(("ab",))
    text, values, _ = query._plan()
    plan = store.database.query(f"EXPLAIN QUERY PLAN {query._statement(text, paged=False)}", values)
    assert plan[0][3].startswith("SEARCH")
    store.close()


@pytest.mark.parametrize(
    ("used_s", "passed_s", "is_stopped"),
    [(1.0, 1.0, True), (0.0, SCAN_PATIENCE + 1.0, True), (0.0, 1.0, False)],
    ids=["long", "waits for ever", "busy machine"],
)
def test_long_scan_is_stopped(
    tmp_path: Path, loop: FakeLoop, used_s: float, passed_s: float, is_stopped: bool
) -> None:
    """A scan beyond the limit is FL512 and harms nothing else; a busy machine alone is no reason.

    Args:
        used_s: Processor time between two looks at the clocks.
        passed_s: Time between them.
    """
    looks = 1

    def look() -> int:
        nonlocal looks
        looks += 1
        return looks

    store = open_store(
        tmp_path,
        loop,
        scan_limit_s=2.5,
        processor_s=lambda: look() * used_s,
        monotonic=lambda: looks * passed_s,
    )
    with store.transaction():
        for _ in range(40):
            make(store, "Note", title="x" * 10)
        store.database.execute(
            "INSERT INTO Note (title, created_at, updated_at, version) "
            "SELECT a.title, 0, 0, 1 FROM Note a, Note b, Note c"
        )
    slow = store.handle("Note").prepare(("call", "contains", ("field", "title"), P0))(("q",))
    store.begin(writes=True)
    make(store, "Note", title="kept")
    before = looks
    if is_stopped:
        assert fault_code(slow.count) == "FL512"
    else:
        assert slow.count() == 0
        assert 4 < looks - before < 2.5 * SCAN_PATIENCE
    make(store, "Note", title="kept too")
    store.commit()
    loop.settle()
    count = store.handle("Note").prepare(("call", "starts_with", ("field", "title"), P0))
    store.database.limit_scans(1e9, lambda: 1.0, lambda: 1.0)
    assert count(("kept",)).count() == 2
    store.close()


def test_damaged_cell_is_a_store_error(store: Store) -> None:
    """A cell that is not MessagePack is reported by entity and field, not as a Python error."""
    with store.transaction():
        make(store, "Note", items=[1])
        store.database.execute('UPDATE "Note" SET items = ?', (b"\xc1\xff",))
    note = store.handle("Note").find(1)
    with pytest.raises(StoreError, match=r"damaged: `Note.items` cannot be read"):
        note.flin_get("items")
