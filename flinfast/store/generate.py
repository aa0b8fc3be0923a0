"""Code made for one entity: turns the values of a new record into cells without a loop over fields.

It knows the usual case only: values that are valid, have the declared type and are not long. For
anything else it answers None, having changed nothing, and `Entity` looks at every field in the
general way, which also finds the faults. So both must agree on what they accept:
tests/store/test_generate.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from flinfast.store.codec import INT_MAX, INT_MIN, FieldFault, decoder, encoder
from flinfast.store.record import Record
from flinfast.store.schema import Column, Stored, Table, Value
from flinfast.values import Time

# The row of a new record without its id, from its assigned values and references and the time.
Encode = Callable[[dict[str, Value], dict[str, Value] | None, int], tuple[Stored, ...] | None]
# Longest cell, in characters or bytes: a row of FIELD_COUNT_MAX such cells is one that SQLite takes
# (up to 10**9 bytes), so that nothing but the disk can refuse what this code has accepted.
QUICK_SIZE_MAX: Final = 64 << 10

# How a value `v` that is not none becomes the cell `c`; `{n}` numbers the field.
_INT: Final = "if type(v{n}) is not int or not INT_MIN <= v{n} <= INT_MAX: c{n} = encode{n}(v{n})"
_PATTERNS: Final = {
    "int": _INT,
    "duration": _INT,
    "text": """if type(v{n}) is not str or not v{n}.isascii() or '\\0' in v{n}:
    c{n} = encode{n}(v{n})
if len(c{n}) > SIZE_MAX: return None""",
    "bool": "c{n} = 1 if v{n} is True else 0 if v{n} is False else encode{n}(v{n})",
}
_OTHER: Final = """c{n} = encode{n}(v{n})
if type(c{n}) in SIZED and len(c{n}) > SIZE_MAX: return None"""
_TIME: Final = """if type(v{n}) is not Time: return None
c{n} = v{n}.ms"""
_REFERENCE: Final = """if type(v{n}) is Record:
    if v{n}._row is None or v{n}._entity.name != target{n}: return None
    c{n} = v{n}._row[0]
elif type(v{n}) is not int or not INT_MIN <= v{n} <= INT_MAX: return None"""


def encode_new(table: Table) -> Encode:
    """The function for records of a table."""
    columns = [column for column in table.columns.values() if column.field is not None]
    names: dict[str, Any] = {
        "INT_MIN": INT_MIN,
        "INT_MAX": INT_MAX,
        "SIZED": (str, bytes),
        "SIZE_MAX": QUICK_SIZE_MAX,
        "FieldFault": FieldFault,
        "Record": Record,
        "Time": Time,
        "NONE": {},
    }
    has_references = any(column.kind == "ref" for column in columns)
    body: list[str] = []
    for column in columns:
        body += _field(column, names)
    kept = [
        f"if c{column.index} is not v{column.index}: assigned[{column.name!r}] = c{column.index}"
        for column in columns
        if _is_plain(column)
    ]
    lines = [
        "def encode(assigned, refs, now):",
        "    get = assigned.get",
        *(["    get_reference = (refs or NONE).get"] if has_references else []),
        "    try:",
        *(f"        {line}" for line in body or ["pass"]),
        "    except FieldFault:",
        "        return None",
        *(f"    {line}" for line in kept),
        f"    return ({''.join(f'c{column.index}, ' for column in columns)}now, now, None, 1)",
    ]
    code = compile("\n".join(lines), f"<entity {table.name}>", "exec")
    exec(code, names)  # made of numbers and of string literals of the fields' names
    encode: Encode = names["encode"]
    return encode


def _is_plain(column: Column) -> bool:
    """Whether the record keeps the cell as its value."""
    return not column.target and decoder(column) is None


def _field(column: Column, names: dict[str, Any]) -> list[str]:
    """Lines that set `v` and `c` of a field, or leave the function."""
    spec, n = column.field, column.index
    assert spec is not None
    names[f"encode{n}"] = encoder(spec)
    names[f"target{n}"] = spec.target
    pattern = _OTHER if spec.transforms else _PATTERNS.get(spec.type, _OTHER)
    if column.target:
        pattern = _REFERENCE if column.kind == "ref" else "return None"
    elif column.type == "time":
        pattern = _TIME
    get = "get_reference" if column.kind == "ref" else "get"
    inner = pattern.format(n=n).split("\n")
    for place, check in enumerate(spec.checks):
        names[f"check{n}_{place}"] = check
        value = f"c{n}" if _is_plain(column) else f"v{n}"
        inner.append(f"if check{n}_{place}({value}) is not None: return None")
    lines = [f"v{n} = c{n} = {get}({column.name!r})"]
    if spec.required:
        return [*lines, f"if v{n} is None or v{n} == '': return None", *inner]
    return [*lines, f"if v{n} is not None:", *(f"    {line}" for line in inner)]
