"""New records of one entity that wait to be inserted by one statement for many of them.

Inserting is what most writing handlers do, and SQLite inserts 64 rows with one statement in little
more than half the time of 64 statements. A row may wait when nothing can refuse it (its entity has
no `@unique` field, its cells are valid and short) and when its id is known beforehand: the write
lock is held, and the transaction has inserted into the table before. `Database` inserts what waits
before it runs any statement that could see the difference, COMMIT at the latest.
"""

from __future__ import annotations

from typing import Final

from flinfast.store.quick import QuickQueue
from flinfast.store.schema import Row, Table

# Rows per statement, and values: SQLite allows 32766 parameters.
ROW_COUNTS: Final = (64, 16, 4, 1)
VALUES_MAX: Final = 8192
# Highest id after which the next ones are foreseen: far from the end of 64 bits, at which SQLite
# has an error of its own.
ID_MAX: Final = 1 << 62


class InsertQueue(QuickQueue):
    """The waiting rows of one table.

    Attributes:
        table: The entity's.
        cell_count: Cells of a row that its statement takes: the first ones.
    """

    __slots__ = ("_statements", "cell_count", "table")

    def __init__(self, table: Table) -> None:
        super().__init__(can_wait=not any(spec.unique for spec in table.fields))
        self.table = table
        self.cell_count = len(table.fields) + 2
        self._statements: list[tuple[int, str]] = []

    @property
    def statements(self) -> list[tuple[int, str]]:
        """Rows per statement, most first, and the statements."""
        if not self._statements:
            table, width = self.table, self.cell_count
            self._statements = [
                (count, table.insert_rows_sql(count))
                for count in ROW_COUNTS
                if count == 1 or count * width <= VALUES_MAX
            ]
        return self._statements

    def take_back(self, row: Row) -> bool:
        """Forget the row that came last; False when it has been inserted already."""
        if self.rows and self.rows[-1] is row:
            self.rows.pop()
            return True
        return False
