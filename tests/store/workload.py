"""A deterministic load on a store, with a model of what the database may hold afterwards.

The model keeps the state after every COMMIT that was attempted. Whatever happens, the database must
be equal to one of these states, not older than the last one that was acknowledged.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flinfast.errors import DurabilityError, FlinError, StoreError
from flinfast.store import EntitySpec, FieldSpec, Store
from flinfast.store.sqlite import FILE_NAME, Database
from tests.store.fault_vfs import FaultVfs
from tests.store.store_loop import Clock, FakeLoop, open_store


def account(*, unique: bool) -> EntitySpec:
    """The entity; new records of one without a `@unique` field wait to be inserted together."""
    return EntitySpec(
        "Account",
        (
            FieldSpec("name", "text", unique=unique),
            FieldSpec("amount", "int", index=True),
            FieldSpec("pad", "bytes"),
        ),
    )


ROWS = "SELECT id, name, amount, version, deleted_at IS NOT NULL FROM Account"
State = dict[int, tuple[Any, ...]]  # id -> (name, amount, version, deleted)


def read_state(folder: Path) -> tuple[State, list[str]]:
    """What a fresh process finds: rows, and what SQLite's own check says."""
    database = Database(folder / FILE_NAME)
    try:
        check = [line for (line,) in database.query("PRAGMA integrity_check")]
        if not database.query("SELECT 1 FROM sqlite_schema WHERE name = 'Account'"):
            return {}, check
        rows = database.query(ROWS)
        for id, _, _, version, _ in rows:
            past = database.query(
                "SELECT version FROM _flin_history_Account WHERE id = ? ORDER BY version", (id,)
            )
            assert [number for (number,) in past] == list(range(1, version))
        return {row[0]: row[1:] for row in rows}, check
    finally:
        database.close()


class Load:
    """Random handlers over a few accounts, in turns, with syncs and checkpoints in between.

    Args:
        seed: Of the random numbers.
        vfs: Where the files are.
        unique: Whether the names of accounts are `@unique`.

    Attributes:
        states: After each attempted COMMIT, oldest first; states[0] is the empty database.
        acknowledged: Index into `states` of the newest one somebody was told about.
        failed_sync: Whether any handler was told that nothing is durable any more.
    """

    def __init__(self, seed: int, vfs: FaultVfs, *, unique: bool) -> None:
        self._unique = unique
        self.rng = random.Random(seed)
        self.vfs = vfs
        self.loop = FakeLoop()
        self.store: Store | None = None
        self.states: list[State] = [{}]
        self.acknowledged = 0
        self.false_acknowledgements: list[str] = []
        self.failed_sync = False
        self.acknowledgements = 0

    def open(self, folder: Path) -> None:
        """Raises StoreError only."""
        self.store = open_store(
            folder,
            self.loop,
            Clock(),
            entities=[account(unique=self._unique)],
            vfs=self.vfs.name,
            open_log_sync=self.vfs.open_log_sync,
        )

    def run(self, turns: int) -> None:
        """Never raises anything but a failed assertion."""
        for _ in range(turns):
            if not self._turn():
                break
        while self.loop.ready or self.loop.jobs:
            self.loop.turn()
            if self.loop.jobs:
                self.loop.job()

    def _turn(self) -> bool:
        """Whether the database can still be read."""
        base = self.states[-1]
        state = dict(base)
        index = len(self.states)
        for _ in range(self.rng.randint(1, 3)):
            changed = self._handler(state)
            if changed is None:
                continue
            state = changed

            def done(error: BaseException | None, index: int = index) -> None:
                self._acknowledge(index, error)

            assert self.store is not None
            self.store.after_durable(done)
        self.states.append(state)
        self.loop.turn()
        seen = self._visible()
        assert seen in (None, base, state), "a turn was committed in part"
        if seen == base != state:
            self.states.append(base)  # that turn was lost: the next one starts from before it
        if self.loop.jobs and self.rng.random() < 0.7:
            self.loop.job()
        return seen is not None

    def _visible(self) -> State | None:
        assert self.store is not None
        try:
            rows = self.store.database.query(ROWS)
        except StoreError:
            return None
        return {row[0]: row[1:] for row in rows}

    def _acknowledge(self, index: int, error: BaseException | None) -> None:
        if error is None:
            self.acknowledgements += 1
            if self.failed_sync:
                self.false_acknowledgements.append(f"state {index} after a failed sync")
            self.acknowledged = max(self.acknowledged, index)
            self.vfs.events.append(("acknowledged", index))
        else:
            assert isinstance(error, StoreError)
            self.failed_sync |= isinstance(error, DurabilityError)

    def _handler(self, before: State) -> State | None:
        """The state after one handler, None when it failed."""
        store, rng = self.store, self.rng
        assert store is not None
        state = dict(before)
        steps = rng.randint(1, 3)
        will_fail = rng.random() < 0.2
        try:
            store.begin(writes=True)
        except StoreError as error:
            self.failed_sync |= isinstance(error, DurabilityError)
            return None
        try:
            for _ in range(steps):
                self._step(store, state)
            if will_fail:
                raise FlinError("the handler fails")
        except FlinError:
            with contextlib.suppress(StoreError):
                store.rollback()
            return None
        try:
            store.commit()
        except StoreError:
            return None
        return state

    def _step(self, store: Store, state: State) -> None:
        entity = store.handle("Account")
        rng = self.rng
        live = [id for id, row in state.items() if not row[3]]
        if not live or rng.random() < 0.5:
            name = f"n{rng.randint(0, 10**9)}"
            pad = bytes(rng.choice((0, 10, 5000)))
            record = store.save(entity.construct({"name": name, "amount": 0, "pad": pad}))
            assert record.id is not None
            state[record.id] = (name, 0, 1, 0)
            return
        id = rng.choice(live)
        record = entity.find(id)
        assert record is not None
        name, amount, version, _ = state[id]
        if rng.random() < 0.2:
            store.delete(record)
            state[id] = (name, amount, version, 1)
        else:
            record.flin_set("amount", amount + 1)
            store.save(record)
            state[id] = (name, amount + 1, version + 1, 0)

    def check(self, state: State, check: list[str], acknowledged: int | None = None) -> None:
        """The verdict: a known state, not older than what was acknowledged, and sound."""
        newest = self.acknowledged if acknowledged is None else acknowledged
        assert check == ["ok"], f"damaged: {check}"
        assert not self.false_acknowledgements
        assert state in self.states[newest:], (
            f"not a state that was committed after the acknowledged state {newest}"
        )


@contextlib.contextmanager
def small_checkpoints() -> Iterator[None]:
    """Checkpoints every few turns, so that a short load meets many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("flinfast.store.store.CHECKPOINT_PAGES", 25)
        patch.setattr("flinfast.store.store.CHECKPOINT_PAGES_MAX", 60)
        yield
