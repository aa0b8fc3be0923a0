"""LALR tables from a file, so that importing the grammar does not compute them.

A mixin for `sly.Parser`: SLY builds its tables when the class is made; this replaces that step by
reading `<module>.tables` beside the module, when the file was made from the same grammar. Written
by `python -m flinfast.lang.tables`; a test fails when the file is out of date.
"""

from __future__ import annotations

import hashlib
import marshal
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

_FORMAT: Final = 4  # of marshal: read by every Python since 3.4


class CachedTables:
    """Put this before `sly.Parser` among the bases."""

    _grammar: Any
    _lrtable: Any

    @classmethod
    def _Parser__build_lrtables(cls) -> bool:  # noqa: N802  SLY calls its private method by this name
        """Take the tables from the file, or let SLY compute them."""
        stored = _read(table_path(cls), fingerprint(cls._grammar))
        if stored is None:
            return bool(super()._Parser__build_lrtables())  # type: ignore[misc]
        actions, gotos, defaults = stored
        cls._lrtable = SimpleNamespace(
            lr_action=actions,
            lr_goto=gotos,
            defaulted_states=defaults,
            sr_conflicts=[],
            rr_conflicts=[],
        )
        return True


def table_path(parser: type[Any]) -> Path:
    """Where the tables of a parser class are kept."""
    module = sys.modules[parser.__module__]
    assert module.__file__ is not None, "the grammar is a source file"
    return Path(module.__file__).with_suffix(".tables")


def fingerprint(grammar: Any) -> bytes:
    """Changes whenever a production, its order or a precedence changes."""
    productions = [
        (production.name, production.prod, production.prec) for production in grammar.Productions
    ]
    precedence = sorted(grammar.Precedence.items())
    return hashlib.sha256(repr((productions, precedence, grammar.Start)).encode()).digest()


def write(parser: type[Any]) -> Path:
    """Compute the tables of a parser class and store them.

    Raises:
        AssertionError: The grammar has conflicts.
    """
    from sly.yacc import LRTable  # only the build of the package needs the table generator

    # Computing changes the grammar, so tables that were computed at import are used as they are.
    table = parser._lrtable
    if not isinstance(table, LRTable):
        table = LRTable(parser._grammar)
    assert not (table.sr_conflicts or table.rr_conflicts), "the grammar has conflicts"
    content = (
        fingerprint(parser._grammar),
        (table.lr_action, table.lr_goto, table.defaulted_states),
    )
    path = table_path(parser)
    path.write_bytes(marshal.dumps(content, _FORMAT))
    return path


def _read(path: Path, expected: bytes) -> Any:
    """The stored tables, or None when there are none for this grammar."""
    try:
        found, tables = marshal.loads(path.read_bytes())
    except (OSError, EOFError, ValueError, TypeError):
        return None
    return tables if found == expected else None


if __name__ == "__main__":
    from flinfast.lang.parser import FlinParser

    write(FlinParser)
