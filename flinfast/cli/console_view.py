"""FLIN values as the console shows them: like FLIN source, on as few lines as fit."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

from flinfast.runtime.encode import to_text
from flinfast.store.entity import Entity
from flinfast.store.query import Query
from flinfast.store.record import Record
from flinfast.values import Time

COLUMNS: Final = 80  # a value on one line is at most so wide
ITEMS_MAX: Final = 100  # of one list, map or query; how many more there are is said
TEXT_MAX: Final = 10_000  # characters of one text
BYTES_MAX: Final = 32
DEPTH_MAX: Final = 20  # a map may hold itself


def view(value: Any) -> str:
    """Text of a value; queries are read, ITEMS_MAX records of them at most.

    Raises:
        RuntimeFault: A query took too long.
        StoreError: The database refused.
    """
    return _view(value, 0, 0)


def _view(value: Any, indent: int, depth: int) -> str:
    if type(value) is str:
        return _text(value)
    if type(value) is bytes:
        return _bytes(value)
    if isinstance(value, Time):
        return value.isoformat()
    if depth >= DEPTH_MAX:
        return "..."
    if isinstance(value, Record):
        fields = value.to_map().items()
        return _group(f"{value.entity} {{", "}", _pairs(fields, indent, depth), indent)
    if isinstance(value, Query):
        rows = value.peek(ITEMS_MAX + 1)
        more = value.count() - ITEMS_MAX if len(rows) > ITEMS_MAX else 0
        return _list(rows[:ITEMS_MAX], more, indent, depth)
    if isinstance(value, Entity):
        return f"entity {value.name} {{ {', '.join(value.columns)} }}"
    if isinstance(value, list):
        return _list(value[:ITEMS_MAX], len(value) - ITEMS_MAX, indent, depth)
    if isinstance(value, dict):
        return _map(value, indent, depth)
    return _clean(to_text(value))


def _text(text: str) -> str:
    shown = _clean(json.dumps(text[:TEXT_MAX], ensure_ascii=False))
    more = len(text) - TEXT_MAX
    return f"{shown} ... {more} more characters" if more > 0 else shown


def _clean(text: str) -> str:
    """Text that a terminal does not obey: control characters and lone surrogates escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else f"\\u{ord(c):04x}" for c in text)


def _bytes(value: bytes) -> str:
    shown = value[:BYTES_MAX].hex(" ")
    more = " ..." if len(value) > BYTES_MAX else ""
    return f"bytes({len(value)}: {shown}{more})" if value else "bytes(0)"


def _map(value: dict[str, Any], indent: int, depth: int) -> str:
    if not value:
        return "{}"
    shown = list(value.items())[:ITEMS_MAX]
    parts = _pairs(shown, indent, depth)
    if len(value) > ITEMS_MAX:
        parts.append(f"... {len(value) - ITEMS_MAX} more")
    return _group("{", "}", parts, indent)


def _list(items: list[Any], more: int, indent: int, depth: int) -> str:
    if not items:
        return "[]"
    parts = [_view(item, indent + 2, depth + 1) for item in items]
    if more > 0:
        parts.append(f"... {more} more")
    return _group("[", "]", parts, indent)


def _pairs(pairs: Iterable[tuple[str, Any]], indent: int, depth: int) -> list[str]:
    return [f"{_key(key)}: {_view(value, indent + 2, depth + 1)}" for key, value in pairs]


def _key(key: str) -> str:
    return key if key.isidentifier() else _text(key)


def _group(opening: str, closing: str, parts: list[str], indent: int) -> str:
    """Parts on one line when it is short enough, else one below the other."""
    space = "" if opening == "[" else " "
    line = f"{opening}{space}{', '.join(parts)}{space}{closing}"
    if len(line) + indent <= COLUMNS and "\n" not in line:
        return line
    inner = " " * (indent + 2)
    body = ",\n".join(inner + part for part in parts)
    return f"{opening}\n{body}\n{' ' * indent}{closing}"
