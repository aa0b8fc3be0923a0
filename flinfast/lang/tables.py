"""A parser whose LALR tables come from a file, and grammars in several parts.

SLY computes its tables when the class is made, which takes a second; `CachedParser` reads
`<module>.tables` beside the module instead, when the file was made from the same grammar. Written
by `python -m flinfast.lang.tables`; a test fails when the file is out of date.
"""

from __future__ import annotations

import hashlib
import marshal
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, Final

from sly import Parser

_FORMAT: Final = 4  # of marshal: read by every Python since 3.4


class GrammarPart(Parser):  # type: ignore[misc]  # SLY has no types
    """Productions that a `CachedParser` takes in by naming the class in `parts`."""

    definitions: ClassVar[list[tuple[str, Any]]] = []

    @classmethod
    def _build(cls, definitions: list[tuple[str, Any]]) -> None:
        """SLY calls this with the class body; a part builds nothing."""
        cls.definitions = definitions


class CachedParser(Parser):  # type: ignore[misc]  # SLY has no types
    """Base of a parser with stored tables."""

    parts: ClassVar[tuple[type[GrammarPart], ...]] = ()
    _grammar: Any
    _lrtable: Any

    @classmethod
    def _build(cls, definitions: list[tuple[str, Any]]) -> None:
        """SLY calls this with the class body."""
        if not hasattr(cls, "tokens"):
            return  # a base without a grammar
        for part in cls.parts:
            definitions = definitions + part.definitions
        super()._build(definitions)

    @classmethod
    def _Parser__build_lrtables(cls) -> bool:  # noqa: N802  # SLY's own private name
        """Take the tables from the file, or let SLY compute them."""
        stored = _read(table_path(cls), fingerprint(cls._grammar))
        if stored is None:
            return bool(super()._Parser__build_lrtables())
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
    conflicts = [*table.sr_conflicts, *table.rr_conflicts]
    assert not conflicts, f"the grammar has conflicts: {conflicts}"
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
