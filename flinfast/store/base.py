"""What the store of every engine has: entities by name, the statements of FLIN, transactions."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NoReturn

from flinfast.errors import RuntimeFault
from flinfast.store.engine import Database, SchemaDatabase
from flinfast.store.entity import Entity
from flinfast.store.migrate import Schema, backfill
from flinfast.store.quick import QuickStore
from flinfast.store.record import Record
from flinfast.store.schema import Value
from flinfast.store.session import SessionTable

Told = Callable[[], None]


class BaseStore(QuickStore):
    """The entities of one program; `Store` and `PostgresStore` open it.

    Attributes:
        clock_ms: Unix time in milliseconds.
        database: Runs statements.
        entities: Handle by entity name.
        sessions: The table of sessions.
        waits: Whether statements may suspend the handler that runs them.
        on_change: Told of each record that is written again or deleted: its entity, its row and
            the new one or None. It is not committed yet, and may never be: what is to be called
            when it is can be returned.
    """

    waits = False
    on_change: Callable[[Entity, Sequence[Value], Sequence[Value] | None], Told | None] | None = (
        None
    )
    clock_ms: Callable[[], int]
    database: Database
    entities: Mapping[str, Entity]
    sessions: SessionTable
    _schema: Schema

    def _bind(self) -> None:
        """Hand out entities, sessions and transactions; database and group are there."""
        self.entities = {name: Entity(table, self) for name, table in self._schema.tables.items()}
        self.sessions = SessionTable(self.database, self.group, self.clock_ms)
        self._is_unfilled = bool(self._schema.unfilled)

    def _schema_database(self) -> SchemaDatabase:
        raise NotImplementedError

    def close(self) -> None:
        """Write everything out and close; more calls do nothing.

        Raises:
            StoreError: What was written last is lost.
        """
        raise NotImplementedError

    def look_after(self) -> str:
        """Notice, once a second, what makes that nothing can be acknowledged any more.

        Returns:
            What is wrong, once; "" as a rule.
        """
        return ""

    @property
    def has_failed(self) -> bool:
        """Whether nothing is acknowledged any more until the next start."""
        return self.group.failed is not None

    @property
    def pending(self) -> bool:
        """Whether something written is not durable yet."""
        return self.group.pending

    def rollback(self) -> None:
        """The handler failed: nothing it wrote stays, its records get their old rows back."""
        self.group.rollback()

    def backfill(self) -> None:
        """Give old records the defaults of fields that are new since the last start.

        Defaults are code of the program, which is bound to the store: so this is due when the
        program is, and happens by itself at the latest before the first handler.

        Raises:
            SchemaError: A default does not fit its field.
            StoreError: The database refused.
        """
        if self._is_unfilled:
            self.group.flush()
            backfill(self._schema_database(), self._schema)
            self._is_unfilled = False

    def handle(self, name: str) -> Entity:
        """The entity with this name; KeyError when the program declares none."""
        return self.entities[name]

    # --- statements of FLIN ----------------------------------------

    def delete(self, value: Value) -> None:
        """`delete value`: soft delete; raises as `save`."""
        record = self._record(value, "delete")
        record._entity.delete(record)

    def restore(self, value: Value) -> None:
        """`restore value`: undo a soft delete; raises as `save`."""
        record = self._record(value, "restore")
        record._entity.restore(record)

    def destroy(self, value: Value) -> None:
        """`destroy value`: remove the record and its history; raises as `save`."""
        record = self._record(value, "destroy")
        record._entity.destroy(record)

    def _record(self, value: Value, verb: str) -> Record:
        return value if isinstance(value, Record) else self._no_record(value, verb)

    def _no_record(self, value: Value, verb: str) -> NoReturn:
        what = "none" if value is None else "something that is not an entity"
        raise RuntimeFault(
            f"cannot {verb} {what}",
            code="FL510",
            hint="test the result of `find` for none first" if value is None else "",
        )

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """A handler for the console and tests: durable when the block ends without an error.

        Raises:
            StoreError: What it wrote is lost.
        """
        self.begin(writes=True)
        try:
            yield
        except BaseException:
            self.rollback()
            raise
        self.commit()
        self.flush()

    def flush(self) -> None:
        """Commit the turn and make it durable now, blocking; raises StoreError."""
        self.group.flush()
