"""A parser whose LALR tables come from a file, and grammars in several parts.

SLY reads the grammar from decorated methods and computes its tables, which takes a second;
`CachedParser` reads `<module>.tables` beside the module instead, when the file was made from the
same grammar, and lets `lang.driver` run them. Written by `python -m flinfast.lang.tables`; a test
fails when the file is out of date.
"""

from __future__ import annotations

import hashlib
import marshal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, Final

from sly import Parser

from flinfast.lang.driver import Driver, Rule, Tables, rule

_FORMAT: Final = 4  # of marshal: read by every Python since 3.4

# Head, right side with `%prec`, and action of a production.
_Production = tuple[str, tuple[str, ...], Callable[[Any, Any], Any]]


class GrammarPart(Parser):  # type: ignore[misc]  # SLY has no types
    """Productions that a `CachedParser` takes in by naming the class in `parts`."""

    definitions: ClassVar[list[tuple[str, Any]]] = []

    @classmethod
    def _build(cls, definitions: list[tuple[str, Any]]) -> None:
        """SLY calls this with the class body; a part builds nothing."""
        cls.definitions = definitions


class CachedParser(Driver, Parser):  # type: ignore[misc]  # SLY has no types
    """Base of a parser with stored tables."""

    parts: ClassVar[tuple[type[GrammarPart], ...]] = ()
    definitions: ClassVar[list[tuple[str, Any]]] = []

    @classmethod
    def _build(cls, definitions: list[tuple[str, Any]]) -> None:
        """SLY calls this with the class body."""
        if not hasattr(cls, "tokens"):
            return  # a base without a grammar
        for part in cls.parts:
            definitions = definitions + part.definitions
        cls.definitions = definitions
        stored = _read(table_path(cls), fingerprint(cls))
        cls.tables = compute(cls) if stored is None else Tables(*stored)
        start = rule("S'", (), _accepted)
        cls.rules = (start, *(_rule(production) for production in _productions(cls)))


def _accepted(_parser: Any, _matched: Any) -> None:
    """Action of the production that SLY puts in front; the end of the input takes its place."""


def _rule(production: _Production) -> Rule:
    head, symbols, action = production
    return rule(head, symbols[: _length(symbols)], action)


def _length(symbols: tuple[str, ...]) -> int:
    """How many symbols a right side has."""
    return symbols.index("%prec") if "%prec" in symbols else len(symbols)


def _productions(parser: type[CachedParser]) -> Iterator[_Production]:
    """The productions in SLY's order: methods of one name are one chain, the last one first."""
    for _, method in parser.definitions:
        action = method if callable(method) and hasattr(method, "rules") else None
        while action is not None:
            for text in action.rules:
                yield action.__name__, tuple(text.split()), action
            action = getattr(action, "next_func", None)


def table_path(parser: type[Any]) -> Path:
    """Where the tables of a parser class are kept."""
    module = sys.modules[parser.__module__]
    assert module.__file__ is not None, "the grammar is a source file"
    return Path(module.__file__).with_suffix(".tables")


def fingerprint(parser: type[CachedParser]) -> bytes:
    """Changes whenever a production, its order, a precedence or the form of the tables changes."""
    productions = [(head, symbols) for head, symbols, _ in _productions(parser)]
    content = (productions, parser.precedence, sorted(parser.tokens), Tables._fields)
    return hashlib.sha256(repr(content).encode()).digest()


def grammar_of(parser: type[CachedParser]) -> Any:
    """SLY's own form of the grammar, with its checks.

    Raises:
        YaccError: The grammar is malformed.
    """
    parser._Parser__validate_specification()
    methods = [(name, value) for name, value in parser.definitions if hasattr(value, "rules")]
    parser._Parser__build_grammar(methods)
    return parser._grammar


def compute(parser: type[CachedParser]) -> Tables:
    """The tables of a grammar, from scratch: about a second.

    Raises:
        AssertionError: The grammar has conflicts.
    """
    from sly.yacc import LRTable  # only the build of the package needs the table generator

    table = LRTable(grammar_of(parser))
    conflicts = [*table.sr_conflicts, *table.rr_conflicts]
    assert not conflicts, f"the grammar has conflicts: {conflicts}"
    states = range(len(table.lr_action))
    actions = [table.lr_action[state] for state in states]
    gotos = [table.lr_goto.get(state, {}) for state in states]
    single = {
        -place
        for place, (_, symbols, _) in enumerate(_productions(parser), 1)
        if _length(symbols) == 1
    }
    defaults = [
        table.defaulted_states.get(state) or _settled(actions[state], single) for state in states
    ]
    kinds = [""] * len(states)
    for row in (*actions, *gotos):
        for symbol, state in row.items():
            if state is not None and state > 0:
                kinds[state] = symbol
    return Tables(actions, gotos, defaults, kinds)


def _settled(row: dict[str, int], single: set[int]) -> int | None:
    """The production of one symbol that a state reduces by whenever its input is right.

    Reducing at once when it is wrong, too, changes neither what is expected instead nor how much
    of the stack recovery drops.
    """
    (action, *others) = set(row.values())
    return action if not others and action in single else None


def write(parser: type[CachedParser]) -> Path:
    """Compute the tables of a parser class and store them.

    Raises:
        AssertionError: The grammar has conflicts.
    """
    path = table_path(parser)
    content: Any = (fingerprint(parser), tuple[Any, ...](compute(parser)))
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
