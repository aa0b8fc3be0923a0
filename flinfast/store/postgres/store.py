"""The store of a program in PostgreSQL: several machines may share it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal

from flinfast.errors import SchemaError
from flinfast.store.base import BaseStore
from flinfast.store.migrate import open_schema
from flinfast.store.postgres.bridge import Wait, block
from flinfast.store.postgres.database import PostgresDatabase, PostgresTransactions
from flinfast.store.schema import EntitySpec

# The names of tables of ours are longer by a prefix, and PostgreSQL cuts names at 63 bytes.
ENTITY_BYTES_MAX: Final = 48
FIELD_BYTES_MAX: Final = 63
STATEMENT_S: Final = 30.0


class PostgresStore(BaseStore):
    """The entities of one program in a PostgreSQL database.

    Args:
        url: `postgres://user:password@host:port/name`.
        entities: What the program declares.
        durability: "normal" lets COMMIT return before the write-ahead log is on disk.
        clock_ms: Unix time in milliseconds.
        wait: How a handler waits for a statement; blocks by default.
        connections: Most connections at a time.
        statement_s: Longest time of one statement.

    Raises:
        SchemaError: The stored data does not fit the entities.
        StoreError: The database cannot be used; the message says why.
    """

    waits = True
    database: PostgresDatabase
    group: PostgresTransactions

    def __init__(
        self,
        url: str,
        entities: Sequence[EntitySpec],
        *,
        durability: Literal["full", "normal"],
        clock_ms: Callable[[], int],
        wait: Wait = block,
        connections: int = 16,
        statement_s: float = STATEMENT_S,
    ) -> None:
        self.clock_ms = clock_ms
        self._closed = False
        check_names(entities)
        self.database = PostgresDatabase(
            url,
            wait=wait,
            connections=connections,
            synchronous=durability == "full",
            statement_s=statement_s,
        )
        try:
            self._schema = open_schema(self.database, entities)
        except BaseException:
            self.database.close()
            raise
        self.group = PostgresTransactions(self.database)
        self._bind()

    def _schema_database(self) -> PostgresDatabase:
        return self.database

    def close(self) -> None:
        """Close the connections; a handler that is still running is rolled back."""
        if self._closed:
            return
        self._closed = True
        if self.group.in_handler:
            self.rollback()
        self.database.close()


def check_names(entities: Sequence[EntitySpec]) -> None:
    """Refuse names that PostgreSQL would cut.

    Raises:
        SchemaError: A name is too long.
    """
    for spec in entities:
        if len(spec.name.encode()) > ENTITY_BYTES_MAX:
            raise SchemaError(
                f"entity `{spec.name}` has a name of more than {ENTITY_BYTES_MAX} bytes, "
                "which PostgreSQL cannot store"
            )
        for field in spec.fields:
            if len(field.name.encode()) > FIELD_BYTES_MAX:
                raise SchemaError(
                    f"`{spec.name}.{field.name}` has a name of more than {FIELD_BYTES_MAX} bytes, "
                    "which PostgreSQL cannot store"
                )
