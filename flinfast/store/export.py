"""Exports: the records of a store as JSON or CSV, and back without loss.

JSON: one array. Its first element says what is in it, every other one is a record on a line of
its own, with its old versions. What JSON has no type for is an object with one key:

    {"$time": "2026-01-31T10:00:00Z"}   {"$bytes": "<base64>"}   {"$number": "Infinity"}
    {"$map": [["key", value], ...]}     a map whose own keys begin with `$`

A field declared as time, bytes or number has the value alone. CSV: a file per entity, current
records only. none is an empty cell; a text that is empty or begins with a backslash has one more
backslash in front; lists, maps and `any` fields hold JSON.
"""

from __future__ import annotations

import base64
import binascii
import csv
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, Any, Final

from flinfast.errors import SchemaError
from flinfast.store.codec import FieldFault, encode_any, pack, unpack
from flinfast.store.schema import Column, Table
from flinfast.store.transfer import Item
from flinfast.values import Time

FORMAT: Final = 1
_NESTED: Final = ("list", "map", "any", "file")
_SPECIAL: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
# Characters of one line or cell: a cell may hold 64 MiB, which JSON escapes and base64 enlarge.
LINE_CHARS_MAX: Final = 1 << 29


# --- values ----------------------------------------


def to_json(value: Any) -> Any:
    """A FLIN value as what JSON can hold."""
    if isinstance(value, Time):
        return {"$time": value.isoformat()}
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, float) and not math.isfinite(value):
        return {"$number": "NaN" if math.isnan(value) else f"{'-' * (value < 0)}Infinity"}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    if isinstance(value, dict):
        if any(not isinstance(key, str) or key.startswith("$") for key in value):
            return {"$map": [[to_json(key), to_json(item)] for key, item in value.items()]}
        return {key: to_json(item) for key, item in value.items()}
    return value


def from_json(value: Any) -> Any:
    """The FLIN value that `to_json` was given; raises ValueError."""
    if isinstance(value, list):
        return [from_json(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) != 1 or not next(iter(value)).startswith("$"):
        return {key: from_json(item) for key, item in value.items()}
    ((name, content),) = value.items()
    if name == "$time":
        return Time.parse(content)
    if name == "$bytes":
        return _bytes(content)
    if name == "$number":
        return _SPECIAL[content]
    if name == "$map":
        return {from_json(key): from_json(item) for key, item in content}
    raise ValueError(f"unknown type `{name}`")


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None


def _cell_to_json(column: Column, cell: Any) -> Any:
    if cell is None:
        return None
    if column.type in _NESTED:
        return to_json(unpack(cell) if isinstance(cell, bytes) else cell)
    if column.kind == "time":
        return Time(cell).isoformat()
    if column.kind == "bool":
        return bool(cell)
    if column.kind == "bytes":
        return base64.b64encode(cell).decode()
    return to_json(cell)


def _cell_from_json(column: Column, value: Any) -> Any:
    if value is None:
        return None
    if column.type in ("list", "map"):
        return pack(from_json(value))
    if column.kind == "any":
        return encode_any(from_json(value))
    if column.kind == "time":
        return Time.parse(value).ms
    if column.kind == "bytes":
        return _bytes(value)
    if column.kind == "bool" and isinstance(value, bool):
        return int(value)
    return from_json(value)


# --- JSON ----------------------------------------


def write_json(out: IO[str], tables: Mapping[str, Table], items: Iterable[Item]) -> None:
    """Write an export; `out` is a UTF-8 text file."""
    names = {
        name: {spec.name: spec.type for spec in table.fields} for name, table in tables.items()
    }
    out.write("[\n" + _line({"flinfast": FORMAT, "entities": names}))
    for item in items:
        columns = tables[item.entity].columns
        record: dict[str, Any] = {"entity": item.entity, "record": _map(columns, item.cells)}
        if item.past:
            record["history"] = [_map(columns, cells) for cells in item.past]
        out.write(",\n" + _line(record))
    out.write("\n]\n")


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _map(columns: Mapping[str, Column], cells: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _cell_to_json(column, cells.get(name)) for name, column in columns.items()}


def read_json(source: IO[str], tables: Mapping[str, Table]) -> Iterator[Item]:
    """Items of an export.

    Raises:
        SchemaError: It is no export of ours, or of a newer version, or names what the program
            does not declare; the message names the line.
    """
    header: Any = None
    number = 0
    while line := source.readline(LINE_CHARS_MAX):
        number += 1
        text = line.strip().rstrip(",")
        if text in ("", "[", "]"):
            continue
        try:
            value = json.loads(text)
            if header is None:
                header = _checked_header(value, tables)
                continue
            yield _item(value, tables)
        except (ValueError, KeyError, TypeError, AttributeError, FieldFault) as error:
            raise SchemaError(f"line {number} of the export cannot be read: {error}") from None
    if header is None:
        raise SchemaError("this is no export of flinfast: it is empty")


def _checked_header(value: Any, tables: Mapping[str, Table]) -> Any:
    if not isinstance(value, dict) or "flinfast" not in value:
        raise SchemaError("this is no export of flinfast: it must begin with a line that says so")
    if value["flinfast"] != FORMAT:
        raise SchemaError(
            f"this export has format {value['flinfast']}, this flinfast knows {FORMAT}: upgrade"
        )
    for name, fields in value["entities"].items():
        if name not in tables:
            raise SchemaError(f"the export has the entity `{name}`, which the program has not")
        missing = [field for field in fields if field not in tables[name].columns]
        if missing:
            raise SchemaError(
                f"the export has the field `{name}.{missing[0]}`, which the program has not"
            )
    return value


def _item(value: Any, tables: Mapping[str, Table]) -> Item:
    name = value["entity"]
    if name not in tables:
        raise ValueError(f"unknown entity `{name}`")
    columns = tables[name].columns
    past = tuple(_cells(columns, cells) for cells in value.get("history", ()))
    return Item(name, _cells(columns, value["record"]), past)


def _cells(columns: Mapping[str, Column], values: Mapping[str, Any]) -> dict[str, Any]:
    unknown = [name for name in values if name not in columns]
    if unknown:
        raise ValueError(f"unknown field `{unknown[0]}`")
    return {name: _cell_from_json(columns[name], value) for name, value in values.items()}


# --- CSV ----------------------------------------


def write_csv(out: IO[str], table: Table, items: Iterable[Item]) -> None:
    """Write the records of one entity; `out` is a UTF-8 text file opened with newline=""."""
    writer = csv.writer(out)
    writer.writerow(table.columns)
    for item in items:
        writer.writerow([_cell_to_csv(c, item.cells.get(n)) for n, c in table.columns.items()])


def _cell_to_csv(column: Column, cell: Any) -> str:
    if cell is None:
        return ""
    if column.kind == "text":
        return f"\\{cell}" if cell == "" or cell.startswith("\\") else str(cell)
    value = _cell_to_json(column, cell)
    if column.type in _NESTED or isinstance(value, (dict, bool)):
        return _line(value)
    if column.kind == "bytes" and not value:
        return "\\"
    return str(value)


def read_csv(source: IO[str], table: Table) -> Iterator[Item]:
    """Items of a file that `write_csv` wrote; columns may be left out or in another order.

    Raises:
        SchemaError: A column is unknown or a cell has the wrong form; the message names the line.
    """
    csv.field_size_limit(LINE_CHARS_MAX)
    reader = csv.reader(source, strict=True)
    try:
        names = next(reader, [])
        unknown = [name for name in names if name not in table.columns]
        if unknown or not names:
            what = f"unknown column `{unknown[0]}`" if unknown else "it has no header"
            raise SchemaError(f"the CSV file of `{table.name}` cannot be read: {what}")
        for cells in reader:
            if len(cells) != len(names):
                raise ValueError(f"expected {len(names)} cells, got {len(cells)}")
            pairs = zip(names, cells, strict=True)
            values = {name: _cell_from_csv(table.columns[name], cell) for name, cell in pairs}
            yield Item(table.name, values)
    except (ValueError, KeyError, TypeError, csv.Error, FieldFault) as error:
        place = f"line {reader.line_num} of the CSV file of `{table.name}`"
        raise SchemaError(f"{place} cannot be read: {error}") from None


def _cell_from_csv(column: Column, text: str) -> Any:
    if text == "":
        return None
    if column.kind == "text":
        return text[1:] if text.startswith("\\") else text
    if column.type in _NESTED:
        return _cell_from_json(column, json.loads(text))
    if column.kind == "bytes":
        return _bytes("" if text == "\\" else text)
    if column.kind == "time":
        return Time.parse(text).ms
    if column.kind == "bool":
        return {"true": 1, "false": 0}[text]
    if column.is_integer:
        return int(text)
    return _cell_from_json(column, json.loads(text)) if text.startswith("{") else float(text)
