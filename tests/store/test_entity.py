"""Construction, fields, validation, references, deletion and JSON shape of records."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flinfast.errors import ConflictFault, RuntimeFault, UniqueFault, ValidationFault
from flinfast.store import EntitySpec, FieldSpec, Record, Store
from flinfast.store.entity import Entity
from flinfast.values import Time
from tests.store.store_loop import Clock, FakeLoop, at_least, make, open_store


def fault_code(call, *args, **named) -> str:
    with pytest.raises(RuntimeFault) as caught:
        call(*args, **named)
    return caught.value.code


# --- construction ----------------------------------------


def test_construct_takes_defaults_per_instance(store: Store) -> None:
    """Defaults are made per construction: two records do not share a list."""
    note = store.handle("Note")
    one, two = note.construct({}), note.construct({})
    one.flin_get("items").append(1)
    assert two.flin_get("items") == []
    assert one.flin_get("title") == "untitled"
    assert one.flin_get("rank") is None
    assert one.id is None
    assert one.flin_get("version") is None


def test_construct_explicit_none_beats_default(store: Store) -> None:
    """A field given as none stays none."""
    assert store.handle("Note").construct({"title": None}).flin_get("title") is None


@pytest.mark.parametrize("name", ["titel", "id", "version", "created_at"])
def test_construct_unknown_or_auto_field_fails(store: Store, name: str) -> None:
    """Named fields must be declared; auto fields are not given by hand."""
    assert fault_code(store.handle("Note").construct, {name: 1}) == "FL511"


def test_unknown_field_has_hint(store: Store) -> None:
    """A misspelt field names the one that was meant."""
    with pytest.raises(RuntimeFault) as caught:
        store.handle("Note").construct({}).flin_get("titel")
    assert caught.value.hint == "did you mean `title`?"


def test_spread_copies_only_declared_fields(store: Store) -> None:
    """A request body cannot set id, version or times (mass assignment)."""
    body = {"title": "t", "id": 7, "version": 9, "created_at": Time(0), "nonsense": 1}
    with store.transaction():
        note = store.save(store.handle("Note").construct({}, (body,)))
    assert (note.id, note.version, note.flin_get("title")) == (1, 1, "t")


def test_spread_order_and_named_win(store: Store) -> None:
    """Later maps win over earlier ones, named fields over all; none spreads nothing."""
    note = store.handle("Note").construct(
        {"rank": 3}, ({"title": "a", "rank": 1}, None, {"title": "b", "rank": 2})
    )
    assert (note.flin_get("title"), note.flin_get("rank")) == ("b", 3)


def test_spread_of_a_record_and_of_text(store: Store) -> None:
    """A record can be spread; what is no map cannot."""
    note = store.handle("Note")
    source = note.construct({"title": "x", "rank": 5})
    assert note.construct({}, (source,)).flin_get("rank") == 5
    assert fault_code(note.construct, {}, ("text",)) == "FL501"


# --- save ----------------------------------------


def test_save_sets_auto_fields(store: Store, clock: Clock) -> None:
    """First save: id from 1, version 1, both times now; the next one only moves updated_at."""
    with store.transaction():
        note = make(store, "Note", title="a")
    created = clock.ms
    assert (note.id, note.version) == (1, 1)
    assert note.flin_get("created_at") == note.flin_get("updated_at") == Time(created)
    clock.ms += 5
    with store.transaction():
        store.save(note)
    assert note.version == 2
    assert note.flin_get("created_at") == Time(created)
    assert note.flin_get("updated_at") == Time(created + 5)


def test_ids_are_not_used_again(store: Store) -> None:
    """A destroyed record's id does not come back."""
    with store.transaction():
        store.destroy(make(store, "Note"))
        assert make(store, "Note").id == 2


def test_every_type_round_trips(store: Store) -> None:
    """What is saved is what is read, by type and value."""
    values = {
        "title": "naïve ☃ 𝄞",
        "rank": -(1 << 63),
        "score": 1e308,
        "done": True,
        "due": Time(-1),
        "spent": 1500,
        "blob": bytes(range(256)),
        "items": [1, 2.5, "x", None, True, b"\0", Time(5), [[]], {"a": 1}, 1 << 80],
        "extra": {"k": {"n": [1]}, "": None},
        "free": {"deep": [Time(1), False]},
        "state": "Closed",
    }
    with store.transaction():
        make(store, "Note", **values)
    read = store.handle("Note").find(1)
    for name, value in values.items():
        assert read.flin_get(name) == value
        assert type(read.flin_get(name)) is type(value)


@pytest.mark.parametrize("value", [0, 1, True, False, 1.0, 0.5, "1", "", b"", [], {}, [1 << 70]])
def test_any_field_keeps_kind(store: Store, value: object) -> None:
    """`any` gives back exactly the kind it was given."""
    with store.transaction():
        make(store, "Note", free=value)
    read = store.handle("Note").find(1).flin_get("free")
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("rank", 3.0, 3),
        ("score", 3, 3.0),
        ("due", "2026-01-15", Time.parse("2026-01-15")),
        ("due", "2026-01-15T10:00:00+02:00", Time.parse("2026-01-15T08:00:00Z")),
        ("spent", 2.0, 2),
        ("items", (1, 2), [1, 2]),
    ],
)
def test_coercion(store: Store, name: str, value: object, expected: object) -> None:
    """Lossless conversions happen on save and show on the record and in the database."""
    with store.transaction():
        note = make(store, "Note", **{name: value})
    for record in (note, store.handle("Note").find(1)):
        read = record.flin_get(name)
        assert (list(read) if isinstance(read, tuple) else read) == expected


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("title", 5, "must be text"),
        ("title", "a\0b", "must not contain the character U+0000"),
        ("title", "\ud800", "must be valid text"),
        ("rank", "5", "must be an integer"),
        ("rank", 2.5, "must be an integer"),
        ("rank", True, "must be an integer"),
        ("rank", 1 << 63, "must fit in 64 bits"),
        ("rank", -(1 << 63) - 1, "must fit in 64 bits"),
        ("rank", math.inf, "must be an integer"),
        ("free", 1 << 63, "must fit in 64 bits"),
        ("score", "1", "must be a number"),
        ("score", True, "must be a number"),
        ("score", math.nan, "must be a number"),
        ("score", 10**400, "is too large"),
        ("done", 1, "must be true or false"),
        ("due", "soon", "must be an ISO 8601 time"),
        ("due", 5, "must be a time"),
        ("blob", "text", "must be bytes"),
        ("items", {"a": 1}, "must be a list"),
        ("items", [print], "holds what cannot be stored"),
        ("extra", [1], "must be a map"),
        ("free", print, "holds what cannot be stored"),
        ("state", "Ajar", "must be one of: Open, Closed"),
        ("owner", "x", "must be a User or its id"),
        ("owner", 99, "must be the id of a live User"),
        ("tags", [99], "must be ids of a live Tag"),
        ("tags", 5, "must be a list"),
    ],
)
def test_bad_value_is_a_field_error(store: Store, name: str, value: object, message: str) -> None:
    """A value that does not fit is reported for its field and leaves nothing."""
    with pytest.raises(ValidationFault) as caught, store.transaction():
        make(store, "Note", **{name: value})
    assert caught.value.fields == {name: message}
    assert store.handle("Note").flin_get("count") == 0


def test_cycles_and_depth_are_field_errors(store: Store) -> None:
    """A list that contains itself cannot be stored."""
    items: list[object] = []
    items.append(items)
    with pytest.raises(ValidationFault) as caught, store.transaction():
        make(store, "Note", items=items)
    assert caught.value.fields == {"items": "is nested too deeply"}


def test_all_bad_fields_at_once(store: Store) -> None:
    """Every failing field is reported; required comes before checks, none skips checks."""
    with pytest.raises(ValidationFault) as caught, store.transaction():
        make(store, "User", name="", age=-1, email=5)
    assert caught.value.fields == {
        "name": "is required",
        "age": "must be at least 0",
        "email": "must be text",
    }
    with store.transaction():
        make(store, "User", name="ada")  # age is none: its check is skipped


def test_first_check_of_a_field_wins(tmp_path, loop: FakeLoop) -> None:
    """One message per field: that of the first check that fails."""
    spec = EntitySpec("T", (FieldSpec("n", "int", checks=(at_least(5), at_least(9))),))
    store = open_store(tmp_path, loop, entities=[spec])
    with pytest.raises(ValidationFault) as caught, store.transaction():
        make(store, "T", n=1)
    assert caught.value.fields == {"n": "must be at least 5"}
    store.close()


def test_unique_among_live_records(store: Store) -> None:
    """A taken value is a UniqueFault; none and deleted records do not count."""
    with store.transaction():
        first = make(store, "User", name="a", email="x")
        make(store, "User", name="b")
        make(store, "User", name="c")
    with pytest.raises(UniqueFault) as caught, store.transaction():
        make(store, "User", name="d", email="x")
    assert caught.value.fields == {"email": "is already taken"}
    assert caught.value.status == 409
    with store.transaction():
        store.delete(first)
        second = make(store, "User", name="d", email="x")
    with pytest.raises(UniqueFault), store.transaction():
        store.restore(first)
    with store.transaction():
        store.destroy(second)
        store.restore(first)
    assert store.handle("User").find(first.id) is not None


def test_unique_fault_within_a_handler_can_go_on(store: Store) -> None:
    """The failed save alone is undone: the handler's other writes stay."""
    with store.transaction():
        make(store, "User", name="a", email="x")
        with pytest.raises(UniqueFault):
            make(store, "User", name="b", email="x")
        make(store, "User", name="c", email="y")
    names = [user.flin_get("name") for user in store.handle("User").flin_get("all")]
    assert names == ["a", "c"]


def test_unique_fault_of_an_update_archives_nothing(store: Store) -> None:
    """The version that was not replaced does not get into the history."""
    with store.transaction():
        make(store, "User", name="a", email="x")
        other = make(store, "User", name="b", email="y")
        other.flin_set("email", "x")
        with pytest.raises(UniqueFault):
            store.save(other)
        other.flin_set("email", "z")
        store.save(other)
    assert [user.flin_get("email") for user in other.history()] == ["y", "z"]
    assert store.database.query('SELECT COUNT(*) FROM "_flin_history_User"') == [(1,)]


def test_stale_save_is_a_conflict(store: Store) -> None:
    """Two readers, two saves: the second does not overwrite the first."""
    with store.transaction():
        make(store, "Note", rank=1)
    one, two = store.handle("Note").find(1), store.handle("Note").find(1)
    one.flin_set("rank", 2)
    two.flin_set("rank", 3)
    with store.transaction():
        store.save(one)
    with pytest.raises(ConflictFault), store.transaction():
        store.save(two)
    assert store.handle("Note").find(1).flin_get("rank") == 2


@pytest.mark.parametrize("verb", ["delete", "destroy"])
def test_save_after_someone_removed_it_is_a_conflict(store: Store, verb: str) -> None:
    """A record that was deleted meanwhile does not come back by a save."""
    with store.transaction():
        make(store, "Note")
    stale = store.handle("Note").find(1)
    with store.transaction():
        getattr(store, verb)(store.handle("Note").find(1))
    with pytest.raises(ConflictFault), store.transaction():
        store.save(stale)


@pytest.mark.parametrize("verb", ["save", "delete", "restore", "destroy"])
@pytest.mark.parametrize("value", [None, 5, {"title": "x"}])
def test_statement_on_no_record_fails(store: Store, verb: str, value: object) -> None:
    """`save none` is a run-time error, not a silent no-op."""
    assert fault_code(getattr(store, verb), value) == "FL510"


@pytest.mark.parametrize("verb", ["delete", "restore", "destroy"])
def test_statement_on_unsaved_record_fails(store: Store, verb: str) -> None:
    """Only saved records can be deleted."""
    assert fault_code(getattr(store, verb), store.handle("Note").construct({})) == "FL510"


# --- fields ----------------------------------------


@pytest.mark.parametrize("name", ["id", "version", "created_at", "updated_at", "deleted_at"])
def test_auto_fields_are_read_only(store: Store, name: str) -> None:
    """Auto fields cannot be assigned."""
    assert fault_code(store.handle("Note").construct({}).flin_set, name, 1) == "FL507"


def test_mutated_list_is_saved(store: Store) -> None:
    """A list changed in place is what the next save writes."""
    with store.transaction():
        make(store, "Note", items=[1])
    note = store.handle("Note").find(1)
    note.flin_get("items").append(2)
    with store.transaction():
        store.save(note)
    assert store.handle("Note").find(1).flin_get("items") == [1, 2]


def test_records_are_values(store: Store) -> None:
    """Changing one instance changes no other before it is saved."""
    with store.transaction():
        make(store, "Note", title="a")
    one = store.handle("Note").find(1)
    one.flin_set("title", "b")
    assert store.handle("Note").find(1).flin_get("title") == "a"


def test_equality(store: Store) -> None:
    """Equal means same entity and id; unsaved records are equal to themselves only."""
    with store.transaction():
        make(store, "Note")
        make(store, "User", name="a")
    note = store.handle("Note")
    assert note.find(1) == note.find(1)
    assert note.find(1) != store.handle("User").find(1)
    unsaved = note.construct({})
    assert unsaved == unsaved
    assert unsaved != note.construct({})
    assert len({note.find(1), note.find(1)}) == 1


def test_unknown_method_fails(store: Store) -> None:
    """FL505, so that the caller can try functions of that name."""
    note = store.handle("Note").construct({})
    assert fault_code(note.flin_call, "histroy", (), {}) == "FL505"
    assert fault_code(note.flin_call, "history", (1,), {}) == "FL505"
    assert fault_code(store.handle("Note").flin_call, "nope", (), {}) == "FL505"
    assert fault_code(store.handle("Note").flin_get, "nope") == "FL505"
    assert fault_code(store.handle("Note").flin_set, "all", 1) == "FL507"


# --- find ----------------------------------------


@pytest.mark.parametrize("id", [1, "1", " 1 ", "+1", 1.0])
def test_find_accepts_numbers_and_numeric_text(store: Store, id: object) -> None:
    """`params.id` is text."""
    with store.transaction():
        make(store, "Note")
    assert store.handle("Note").find(id).id == 1


@pytest.mark.parametrize(
    "id", [None, "", "x", "1.5", "1_0", "٣", 2, "2", True, 1.5, [1], 1 << 64, "9" * 19, "9" * 500]
)
def test_find_gives_none_for_anything_else(store: Store, id: object) -> None:
    """What is no id of a live record finds nothing and never fails."""
    with store.transaction():
        make(store, "Note")
    assert store.handle("Note").find(id) is None


def test_create(store: Store) -> None:
    """`E.create(map)` constructs and saves."""
    with store.transaction():
        note = store.handle("Note").flin_call("create", ({"title": "t", "id": 4},), {})
    assert (note.id, note.flin_get("title")) == (1, "t")


# --- deletion ----------------------------------------


def test_delete_hides_and_restore_shows(store: Store, clock: Clock) -> None:
    """A soft-deleted record is invisible but kept, with its history."""
    note = store.handle("Note")
    with store.transaction():
        record = make(store, "Note", title="a")
        store.delete(record)
    assert record.flin_get("deleted_at") == Time(clock.ms)
    assert record.to_map()["deleted_at"] == Time(clock.ms)
    assert note.find(1) is None
    assert note.flin_get("count") == 0
    assert [r.id for r in note.flin_get("with_deleted")] == [1]
    assert len(note.flin_call("history", (1,), {})) == 1
    with store.transaction():
        store.restore(record)
    assert note.find(1).flin_get("deleted_at") is None
    assert "deleted_at" not in record.to_map()


def test_delete_and_restore_twice_do_nothing(store: Store, clock: Clock) -> None:
    """Deleting again keeps the first time of deletion."""
    with store.transaction():
        record = make(store, "Note")
        store.delete(record)
    first = clock.ms
    clock.ms += 10
    with store.transaction():
        store.delete(record)
    (row,) = store.handle("Note").flin_get("with_deleted").rows()
    assert row.flin_get("deleted_at") == Time(first)
    with store.transaction():
        store.restore(record)
        store.restore(record)
    assert store.handle("Note").find(1) is not None


def test_destroy_removes_record_and_history(store: Store) -> None:
    """Nothing is left, and restoring it is a conflict."""
    with store.transaction():
        record = make(store, "Note")
        store.save(record)
        store.destroy(record)
        store.destroy(record)
    assert store.handle("Note").flin_call("history", (1,), {}) == []
    assert store.handle("Note").flin_get("with_deleted").count() == 0
    with pytest.raises(ConflictFault), store.transaction():
        store.restore(record)


# --- references ----------------------------------------


def test_reference_accepts_record_id_and_text(store: Store) -> None:
    """A reference field takes a record or an id and reads as the record."""
    with store.transaction():
        user = make(store, "User", name="ada")
        for value in (user, 1, "1"):
            make(store, "Note", owner=value)
    for note in store.handle("Note").flin_get("all"):
        owner = note.flin_get("owner")
        assert isinstance(owner, Record)
        assert owner.flin_get("name") == "ada"
        assert note.flin_get("owner") is owner  # loaded once
        assert note.to_map()["owner"] == 1


def test_reference_of_wrong_entity_or_unsaved(store: Store) -> None:
    """Only saved records of the declared entity fit."""
    with store.transaction():
        note = make(store, "Note")
    for value, message in (
        (note, "must be a User, not a Note"),
        (store.handle("User").construct({}), "must be a saved User"),
    ):
        with pytest.raises(ValidationFault) as caught, store.transaction():
            make(store, "Note", owner=value)
        assert caught.value.fields == {"owner": message}


def test_reference_to_deleted_reads_none_and_keeps_id(store: Store) -> None:
    """Saving the holder later does not lose the id; restoring the target brings it back."""
    with store.transaction():
        user = make(store, "User", name="ada")
        make(store, "Note", owner=user)
        store.delete(user)
    note = store.handle("Note").find(1)
    assert note.flin_get("owner") is None
    assert note.to_map()["owner"] == 1
    with store.transaction():
        note.flin_set("title", "later")
        store.save(note)
        store.restore(user)
    assert store.handle("Note").find(1).flin_get("owner") == user


def test_reference_list(store: Store) -> None:
    """A list of references takes records and ids and reads as records."""
    with store.transaction():
        tags = [make(store, "Tag", label=text) for text in "abc"]
        note = make(store, "Note", tags=[tags[2], 1, "2"])
    assert note.flin_get("tags") == [tags[2], tags[0], tags[1]]
    read = store.handle("Note").find(1)
    assert read.to_map()["tags"] == [3, 1, 2]
    assert [tag.flin_get("label") for tag in read.flin_get("tags")] == ["c", "a", "b"]
    assert read.to_map()["tags"] == [3, 1, 2]


def test_reference_list_takes_a_query(store: Store) -> None:
    """The records that it finds now: what is written as JSON are their ids, as ever."""
    with store.transaction():
        tags = [make(store, "Tag", label=text) for text in "abc"]
        note = make(store, "Note", tags=store.handle("Tag").flin_get("all"))
        make(store, "Tag", label="d")
    assert note.to_map()["tags"] == [1, 2, 3]
    assert note.flin_get("tags") == tags
    with store.transaction():
        note.flin_set("tags", store.handle("Tag").flin_get("all"))
        store.save(note)
    assert note.to_map()["tags"] == [1, 2, 3, 4]
    assert store.handle("Note").find(1).to_map()["tags"] == [1, 2, 3, 4]


def test_reference_list_keeps_deleted_items_unless_changed(store: Store) -> None:
    """Reading leaves deleted records out; saving what was only read keeps their ids."""
    with store.transaction():
        tags = [make(store, "Tag", label=text) for text in "ab"]
        make(store, "Note", tags=tags)
        store.delete(tags[0])
    note = store.handle("Note").find(1)
    assert note.flin_get("tags") == [tags[1]]
    with store.transaction():
        store.save(note)
        store.restore(tags[0])
    again = store.handle("Note").find(1)
    assert again.flin_get("tags") == tags
    again.flin_get("tags").pop()
    with store.transaction():
        store.save(again)
    assert store.handle("Note").find(1).to_map()["tags"] == [1]


def test_reference_list_accepts_ids_it_had_before(store: Store) -> None:
    """Only ids that are new in the list must belong to live records."""
    with store.transaction():
        tags = [make(store, "Tag", label=text) for text in "abc"]
        make(store, "Note", tags=tags[:2])
        store.delete(tags[0])
    note = store.handle("Note").find(1)
    note.flin_set("tags", [1, 2, 3])
    with store.transaction():
        store.save(note)
    assert store.handle("Note").find(1).to_map()["tags"] == [1, 2, 3]


# --- JSON shape ----------------------------------------


def test_to_map_order_and_hidden(store: Store) -> None:
    """id first, fields as declared, auto fields last; hidden and deleted_at left out."""
    with store.transaction():
        user = make(store, "User", name="ada", password="x")
    assert list(user.to_map()) == [
        *("id", "name", "email", "age", "created_at", "updated_at", "version"),
    ]
    assert user.to_map(hidden=True)["password"] == "x"
    assert store.handle("User").construct({"name": "n"}).to_map()["id"] is None


def test_embedded_references_and_cycles(store: Store) -> None:
    """`with` shows references as maps without hidden fields; a cycle ends in an id."""
    with store.transaction():
        user = make(store, "User", name="ada", password="x")
        tag = make(store, "Tag", label="t")
        one = make(store, "Note", owner=user, tags=[tag])
        one.flin_set("twin", one)
        store.save(one)
    (note,) = store.handle("Note").flin_call("with", ("owner", "tags", "twin"), {}).rows()
    shown = note.to_map()
    assert shown["owner"]["name"] == "ada"
    assert "password" not in shown["owner"]
    assert shown["tags"][0]["label"] == "t"
    assert shown["twin"] == 1


def test_history_of_unsaved_is_empty(store: Store) -> None:
    """Nothing was saved, nothing to show."""
    record = store.handle("Note").construct({})
    assert record.flin_get("history") == []
    assert record.version_at(-1) is None


def test_transforms_change_what_is_saved(tmp_path: Path, loop: FakeLoop) -> None:
    """`@trim @lowercase`: the record and the row hold the changed text, which checks see."""
    field = FieldSpec(
        "email",
        "text",
        required=True,
        unique=True,
        checks=(lambda value: None if value == value.strip() else "has blanks",),
        transforms=(str.strip, str.lower),
    )
    store = open_store(tmp_path, loop, entities=[EntitySpec("Member", (field,))])
    with store.transaction():
        member = make(store, "Member", email="  Ann@Example.ORG ")
        assert member.flin_get("email") == "ann@example.org"
        with pytest.raises(UniqueFault):
            make(store, "Member", email="ANN@example.org")
        with pytest.raises(ValidationFault, match="email is required"):
            make(store, "Member", email="   ")
        with pytest.raises(ValidationFault, match="must be text"):
            make(store, "Member", email=7)
    assert store.handle("Member").flin_get("first").flin_get("email") == "ann@example.org"
    store.close()


# --- who is told of changes ----------------------------------------


def test_what_is_told_of_a_change_is_called_when_it_is_committed(store: Store) -> None:
    """In order, once, and not for what a handler that failed has written."""
    with store.transaction():
        record = make(store, "Note", title="one")
    told: list[str] = []

    def change(entity: Entity, old: Any, new: Any) -> Callable[[], None] | None:
        title = "gone" if new is None else new[entity.columns["title"].index]
        return None if title == "quiet" else lambda: told.append(title)

    store.on_change = change
    with store.transaction():
        for title in ("two", "quiet", "three"):
            record.flin_set("title", title)
            store.save(record)
        assert told == []
    assert told == ["two", "three"]
    store.begin(writes=True)
    record.flin_set("title", "four")
    store.save(record)
    store.rollback()
    with store.transaction():
        store.destroy(store.handle("Note").find(record.id))
        assert told == ["two", "three"]
    assert told == ["two", "three", "gone"]
