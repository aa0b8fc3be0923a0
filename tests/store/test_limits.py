"""Every limit at, below and above its value; every cache bounded."""

from __future__ import annotations

import pytest

from flinfast.errors import ValidationFault
from flinfast.store import Store, codec, condition, entity, query
from tests.store.store_loop import make

LIMIT = 1 << 20
PACKED = 1 + 5  # MessagePack around bytes of 64 KiB and more in a list: list header, bytes header


@pytest.mark.parametrize("below", [0, 1])
def test_size_of_a_cell(store: Store, monkeypatch: pytest.MonkeyPatch, below: int) -> None:
    """A value may have CELL_SIZE_MAX bytes (a text: characters)."""
    monkeypatch.setattr(codec, "CELL_SIZE_MAX", LIMIT)
    size = LIMIT - below
    packed = [bytes(size - PACKED)]
    with store.transaction():
        make(store, "Note", title="x" * size, blob=bytes(size), items=packed, free=packed)
    assert store.handle("Note").find(1).flin_get("items") == packed


def test_size_of_a_cell_above(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """One above the limit is a field error that names the limit."""
    monkeypatch.setattr(codec, "CELL_SIZE_MAX", LIMIT)
    size = LIMIT + 1
    packed = [bytes(size - PACKED)]
    fields = {"title": "x" * size, "blob": bytes(size), "items": packed, "free": packed}
    with pytest.raises(ValidationFault) as caught, store.transaction():
        make(store, "Note", **fields)
    assert caught.value.fields == dict.fromkeys(fields, "must be at most 1 MiB")


@pytest.mark.parametrize("count", [2, 3, 4, 6, 7])
def test_ids_are_looked_up_in_portions(
    store: Store, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """Any number of references loads, whatever one statement can take."""
    monkeypatch.setattr(entity, "IDS_MAX", 3)
    with store.transaction():
        tags = [make(store, "Tag", label=str(number)) for number in range(count)]
        make(store, "Note", tags=tags)
    assert store.handle("Note").find(1).flin_get("tags") == tags


def test_statement_cache_is_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Orders made from user input cannot fill the memory."""
    monkeypatch.setattr(query, "STATEMENTS_MAX", 4)
    note = store.handle("Note")
    for first in ("rank", "title", "score"):
        for second in ("id", "due", "done"):
            note.flin_call("order", (first,), {}).order(second).rows()
            assert len(note.statements) <= 4


def test_forms_of_a_condition_are_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A condition whose parameters change kind all the time keeps few forms."""
    monkeypatch.setattr(condition, "FORMS_MAX", 3)
    tree = ("eq", ("field", "rank"), ("param", 0))
    template = condition.Template(store.handle("Note").table, tree)
    for value in (1, "a", None, 1.5, True, [], [1], [1, 2], b"", {}):
        template.compile((value,))
        assert len(template._forms) <= 3


def test_templates_are_kept_by_identity_and_bounded(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`1` and `true` are different conditions although Python finds the trees equal."""
    monkeypatch.setattr(entity, "TEMPLATES_MAX", 2)
    note = store.handle("Note")
    with store.transaction():
        make(store, "Note", free=1)
        make(store, "Note", free=True)
    for value, expected in ((1, [1]), (True, [2]), (1.0, [1])):
        tree = ("eq", ("field", "free"), ("const", value))
        for _ in range(2):
            rows = note.flin_get("all").flin_where(tree, ()).rows()
            assert [record.id for record in rows] == expected
        assert note.template(tree) is note.template(tree)
        assert len(note._templates) <= 2
