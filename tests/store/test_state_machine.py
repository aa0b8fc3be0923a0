"""Any sequence of saves, deletes, restores, destroys and rollbacks equals a plain-Python model."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from flinfast.errors import ConflictFault, RuntimeFault, UniqueFault, ValidationFault
from flinfast.store import EntitySpec, FieldSpec, Record
from flinfast.store.base import BaseStore
from tests.store.postgres_server import emptied
from tests.store.store_loop import ENGINES, Clock, FakeLoop, open_postgres, open_store

ITEM = EntitySpec(
    "Item",
    (
        FieldSpec("name", "text", required=True, unique=True),
        FieldSpec("amount", "int", index=True),
        FieldSpec("things", "list", default=list),
        FieldSpec("free", "any"),
    ),
)
EXAMPLES = int(os.environ.get("FLINFAST_STORE_MACHINES", "40"))
NAMES = st.sampled_from(["a", "b", "c", "ä", ""])
AMOUNTS = st.one_of(st.none(), st.sampled_from([0, 1, -1, (1 << 63) - 1, -(1 << 63)]))
FREE = st.sampled_from([None, 1, 1.5, "text", [1, "x"], {"k": None}, b"b", True])
PICK = st.integers(0, 1000)

Cells = dict[str, Any]


class Model:
    """What the store should hold: every version by id, and which records are deleted."""

    def __init__(self) -> None:
        self.versions: dict[int, list[Cells]] = {}
        self.deleted: set[int] = set()

    def copy(self) -> Model:
        other = Model()
        other.versions = {id: list(past) for id, past in self.versions.items()}
        other.deleted = set(self.deleted)
        return other

    @property
    def live(self) -> dict[int, Cells]:
        return {id: v[-1] for id, v in self.versions.items() if id not in self.deleted}

    def is_taken(self, name: str, id: int | None) -> bool:
        return any(cells["name"] == name for other, cells in self.live.items() if other != id)


class Machine(RuleBasedStateMachine):
    """One handler after the other; some fail and are rolled back."""

    store: BaseStore
    clock: Clock

    def __init__(self) -> None:
        super().__init__()
        self.entity = self.store.handle("Item")
        with self.store.transaction():
            self.store.database.execute('DELETE FROM "Item"')
            self.store.database.execute('DELETE FROM "_flin_history_Item"')
        self.model = Model()
        self.before = self.model
        self.is_open = False
        self.stale: list[tuple[Record, int]] = []  # records read earlier, and their versions

    def teardown(self) -> None:
        if self.is_open:
            self.store.rollback()

    def _handler(self) -> None:
        if not self.is_open:
            self.clock.ms += 1000
            self.before = self.model
            self.model = self.model.copy()
            self.store.begin(writes=True)
            self.is_open = True

    def _any(self, pick: int, *, deleted: bool = False) -> Record | None:
        ids = sorted(self.model.deleted if deleted else self.model.live)
        if not ids:
            return None
        found = self.entity.flin_call("with_deleted", (), {}).find(ids[pick % len(ids)])
        assert found is not None
        return found

    @rule(name=NAMES, amount=AMOUNTS, free=FREE)
    def create(self, name: str, amount: int | None, free: Any) -> None:
        self._handler()
        cells = {"name": name, "amount": amount, "things": [], "free": free}
        record = self.entity.construct({"name": name, "amount": amount, "free": free})
        if name == "":
            with pytest.raises(ValidationFault):
                self.store.save(record)
        elif self.model.is_taken(name, None):
            with pytest.raises(UniqueFault):
                self.store.save(record)
            assert record.id is None
        else:
            self.store.save(record)
            assert record.id is not None
            assert record.id not in self.model.versions
            self.model.versions[record.id] = [cells]

    @rule(pick=PICK, name=st.none() | NAMES.filter(bool), amount=AMOUNTS, thing=st.integers(0, 3))
    def update(self, pick: int, name: str | None, amount: int | None, thing: int) -> None:
        self._handler()
        record = self._any(pick)
        if record is None:
            return
        assert record.id is not None
        current = self.model.live[record.id]
        cells = {**current, "amount": amount, "things": [*current["things"], thing]}
        record.flin_set("amount", amount)
        record.flin_get("things").append(thing)
        if name is not None:
            record.flin_set("name", name)
            cells["name"] = name
        if self.model.is_taken(cells["name"], record.id):
            with pytest.raises(UniqueFault):
                self.store.save(record)
            return
        self.store.save(record)
        self.model.versions[record.id].append(cells)

    @rule(pick=PICK)
    def keep(self, pick: int) -> None:
        record = self._any(pick)
        if record is not None:
            assert record.version is not None
            self.stale.append((record, record.version))

    @rule(pick=PICK)
    def save_stale(self, pick: int) -> None:
        """A record that was changed since it was read is a conflict, not a lost update."""
        if not self.stale:
            return
        self._handler()
        record, version = self.stale[pick % len(self.stale)]
        assert record.id is not None
        past = self.model.versions.get(record.id, [])
        is_current = len(past) == version and record.id not in self.model.deleted
        record.flin_set("amount", 5)
        if not is_current:
            with pytest.raises((ConflictFault, UniqueFault)):
                self.store.save(record)
            return
        self.store.save(record)
        past.append({**past[-1], "amount": 5})
        self.stale = [item for item in self.stale if item[0] is not record]

    @rule(pick=PICK)
    def delete(self, pick: int) -> None:
        self._handler()
        record = self._any(pick)
        if record is not None and record.id is not None:
            self.store.delete(record)
            self.model.deleted.add(record.id)

    @rule(pick=PICK)
    def restore(self, pick: int) -> None:
        self._handler()
        record = self._any(pick, deleted=True)
        if record is None or record.id is None:
            return
        name = self.model.versions[record.id][-1]["name"]
        if self.model.is_taken(name, record.id):
            with pytest.raises(UniqueFault):
                self.store.restore(record)
            return
        self.store.restore(record)
        self.model.deleted.discard(record.id)

    @rule(pick=PICK, deleted=st.booleans())
    def destroy(self, pick: int, deleted: bool) -> None:
        self._handler()
        record = self._any(pick, deleted=deleted)
        if record is not None and record.id is not None:
            self.store.destroy(record)
            self.model.deleted.discard(record.id)
            del self.model.versions[record.id]

    @rule()
    def commit(self) -> None:
        if self.is_open:
            self.store.commit()
            self.store.flush()
            self.is_open = False

    @rule()
    def roll_back(self) -> None:
        if self.is_open:
            self.store.rollback()
            self.is_open = False
            self.model = self.before
            self.stale = []  # a record that was saved in between has its old row again

    @invariant()
    def store_equals_model(self) -> None:
        live = self.model.live
        seen = {record.id: cells_of(record) for record in self.entity.flin_get("all")}
        assert seen == live
        assert self.entity.flin_get("count") == len(live)
        everything = self.entity.flin_call("with_deleted", (), {}).rows()
        assert {record.id for record in everything} == set(self.model.versions)
        for record in everything:
            past = [cells_of(version) for version in record.history()]
            assert past == self.model.versions[record.id]
            assert record.version == len(past)
        amounts = [cells["amount"] for cells in live.values() if cells["amount"] is not None]
        assert self.entity.flin_call("sum", ("amount",), {}) == sum(amounts)
        assert self.entity.flin_call("max", ("amount",), {}) == max(amounts, default=None)

    @rule(amount=AMOUNTS, free=FREE)
    def query(self, amount: int | None, free: Any) -> None:
        for name, value in (("amount", amount), ("free", free)):
            found = self.entity.prepare(("eq", ("field", name), ("param", 0)))((value,))
            expected = [
                id
                for id, cells in sorted(self.model.live.items())
                if type(cells[name]) is type(value) and cells[name] == value
            ]
            numbers = isinstance(value, float) or (name == "free" and value == 1)
            if not numbers:
                assert [record.id for record in found.rows()] == expected


def cells_of(record: Record) -> Cells:
    return {name: record.flin_get(name) for name in ("name", "amount", "things", "free")}


@pytest.mark.parametrize("engine", ENGINES)
def test_store_equals_a_model(
    engine: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Saves, deletes, restores, destroys, queries, history and rollbacks, in any order."""
    clock = Clock()
    store: BaseStore
    if engine == "postgres":
        url = emptied(request.getfixturevalue("postgres_server"))
        store = open_postgres(url, clock, [ITEM], durability="normal")
    else:
        folder = tmp_path_factory.mktemp("machine")
        store = open_store(folder, FakeLoop(), clock, [ITEM], durability="normal")
    machine = type("EngineMachine", (Machine,), {"store": store, "clock": clock})
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
    try:
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=EXAMPLES if engine == "sqlite" else max(1, EXAMPLES // 4),
                stateful_step_count=30,
                deadline=None,
                suppress_health_check=checks,
            ),
        )
    finally:
        store.close()


def test_faults_of_statements_are_faults_of_the_handler(store: BaseStore) -> None:
    """The model's premise: a refused save leaves the handler able to go on, on each engine."""
    from tests.store.store_loop import make

    with store.transaction():
        make(store, "User", name="Ann", email="a")
        with pytest.raises(UniqueFault):
            make(store, "User", name="Bob", email="a")
        with pytest.raises(RuntimeFault):
            make(store, "User", name="")
        make(store, "User", name="Cid", email="c")
    assert store.handle("User").flin_get("count") == 2
