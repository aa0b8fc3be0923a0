"""Between FLIN values and SQLite cells: checking, coercion and the MessagePack of nested values.

MessagePack extension types: 1 is a time (signed 64-bit milliseconds, big endian), 2 an integer
that does not fit 64 bits (decimal digits).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import msgpack
from msgspec.structs import replace

from flinfast.store.schema import Column, FieldSpec, Stored, Value
from flinfast.values import Time

INT_MIN: Final = -(1 << 63)
INT_MAX: Final = (1 << 63) - 1
# Larger than any message or request body that the server takes in (10 MiB).
CELL_SIZE_MAX: Final = 64 << 20
_EXT_TIME: Final = 1
_EXT_INT: Final = 2


class FieldFault(Exception):  # noqa: N818 - becomes part of a ValidationFault, never leaves store
    """A value cannot be stored in its field; the text is the message for the user."""


# --- nested values ----------------------------------------


def pack(value: Value) -> bytes:
    """MessagePack of any FLIN value except functions and connections.

    Raises:
        FieldFault: The value holds something that cannot be stored.
    """
    try:
        data: bytes = msgpack.packb(value, default=_pack_other, strict_types=False)
    except (TypeError, OverflowError, RecursionError) as error:
        raise FieldFault(_unstorable(error)) from None
    except ValueError as error:  # nested too deeply (a cycle, too), or lone surrogates
        deep = "recursion" in str(error)
        raise FieldFault("is nested too deeply" if deep else "must be valid text") from None
    if len(data) > CELL_SIZE_MAX:
        raise FieldFault(f"must be at most {CELL_SIZE_MAX >> 20} MiB")
    return data


def _unstorable(error: Exception) -> str:
    return "is too large" if isinstance(error, OverflowError) else "holds what cannot be stored"


def _pack_other(value: Any) -> Any:
    if isinstance(value, Time):
        return msgpack.ExtType(_EXT_TIME, value.ms.to_bytes(8, "big", signed=True))
    if isinstance(value, int):
        return msgpack.ExtType(_EXT_INT, b"%d" % value)
    if hasattr(value, "to_map"):
        return value.to_map()
    if hasattr(value, "rows"):
        return value.rows()
    if isinstance(value, range):
        return list(value)
    if hasattr(value, "content_type") and hasattr(value, "data"):  # an uploaded file
        return {"name": value.name, "type": value.content_type, "bytes": value.data}
    raise TypeError(type(value).__name__)


def unpack(data: bytes) -> Value:
    """The value that `pack` was given (records come back as maps)."""
    return msgpack.unpackb(data, ext_hook=_unpack_ext, strict_map_key=False)


def _unpack_ext(code: int, data: bytes) -> Value:
    if code == _EXT_TIME:
        return Time(int.from_bytes(data, "big", signed=True))
    if code == _EXT_INT:
        return int(data)
    return data


# --- one cell ----------------------------------------

Encode = Callable[[Value], Stored]
Decode = Callable[[Any], Value]


def _encode_text(value: Value) -> Stored:
    is_plain = type(value) is str and value.isascii() and "\0" not in value
    if is_plain and len(value) <= CELL_SIZE_MAX:  # the common case, with little ado
        return str(value)
    if not isinstance(value, str):
        raise FieldFault("must be text")
    if len(value) > CELL_SIZE_MAX:
        raise FieldFault(f"must be at most {CELL_SIZE_MAX >> 20} MiB")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise FieldFault("must be valid text") from None
    if "\0" in value:
        # SQLite's text functions and PostgreSQL end a text at this character.
        raise FieldFault("must not contain the character U+0000")
    return value


def _encode_int(value: Value) -> Stored:
    if type(value) is int and INT_MIN <= value <= INT_MAX:
        return value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise FieldFault("must be an integer")
    if not INT_MIN <= value <= INT_MAX:
        raise FieldFault("must fit in 64 bits")
    return value


def _encode_number(value: Value) -> Stored:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise FieldFault("must be a number")
    try:
        number = float(value)
    except OverflowError:
        raise FieldFault("is too large") from None
    if math.isnan(number):
        raise FieldFault("must be a number")
    return number


def _encode_bool(value: Value) -> Stored:
    if not isinstance(value, bool):
        raise FieldFault("must be true or false")
    return int(value)


def _encode_time(value: Value) -> Stored:
    if isinstance(value, str):
        try:
            value = Time.parse(value)
        except ValueError:
            raise FieldFault("must be an ISO 8601 time") from None
    if not isinstance(value, Time):
        raise FieldFault("must be a time")
    return value.ms


def _encode_bytes(value: Value) -> Stored:
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise FieldFault("must be bytes")
    data = bytes(value)
    if len(data) > CELL_SIZE_MAX:
        raise FieldFault(f"must be at most {CELL_SIZE_MAX >> 20} MiB")
    return data


def _encode_list(value: Value) -> Stored:
    if hasattr(value, "rows"):
        value = value.rows()
    if not isinstance(value, (list, tuple, range)):
        raise FieldFault("must be a list")
    return pack(list(value))


def _encode_map(value: Value) -> Stored:
    if not isinstance(value, dict):
        raise FieldFault("must be a map")
    return pack(value)


def encode_any(value: Value) -> Stored:
    """Cell of an `any` field: int, number and text natively, everything else MessagePack."""
    if isinstance(value, str):
        return _encode_text(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return _encode_int(value)
    if isinstance(value, float) and not math.isnan(value):
        return value
    return pack(value)


def reference_id(value: Value, target: str) -> int:
    """Id that a reference field stores for a record, an id, or text that holds an id.

    Raises:
        FieldFault: It is none of these, a record of another entity, or an unsaved record.
    """
    entity = getattr(value, "entity", None)
    if entity is not None:
        if entity != target:
            raise FieldFault(f"must be a {target}, not a {entity}")
        if value.id is None:
            raise FieldFault(f"must be a saved {target}")
        value = value.id
    number = to_id(value)
    if number is None:
        raise FieldFault(f"must be a {target} or its id")
    return number


def to_id(value: Value) -> int | None:
    """Id from an int, or from text that parses as one (`params.id` is text); otherwise None."""
    if isinstance(value, str):
        text = value.strip()
        digits = text[1:] if text[:1] in ("-", "+") else text
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 19):
            return None
        value = int(text)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if INT_MIN <= value <= INT_MAX else None


_ENCODE: Final[dict[str, Encode]] = {
    "text": _encode_text,
    "int": _encode_int,
    "duration": _encode_int,
    "number": _encode_number,
    "bool": _encode_bool,
    "time": _encode_time,
    "bytes": _encode_bytes,
    "list": _encode_list,
    "map": _encode_map,
    "any": encode_any,
    "file": encode_any,
}


def encoder(field: FieldSpec) -> Encode:
    """Function from a value that is not none to the cell of this field; raises FieldFault."""
    if field.transforms:
        return _transformed(field, encoder(replace(field, transforms=())))
    if field.type == "ref":
        return lambda value: reference_id(value, field.target)
    if field.type == "list" and field.target:
        return lambda value: _encode_references(value, field.target)
    if field.type == "enum":
        return lambda value: _encode_enum(value, field.variants)
    return _ENCODE[field.type]


def _transformed(field: FieldSpec, encode: Encode) -> Encode:
    def change(value: Value) -> Stored:
        if isinstance(value, str):
            for transform in field.transforms:
                value = transform(value)
            if value == "" and field.required:
                raise FieldFault("is required")
        return encode(value)

    return change


def _encode_references(value: Value, target: str) -> Stored:
    if hasattr(value, "rows"):
        value = value.rows()
    if not isinstance(value, (list, tuple)):
        raise FieldFault("must be a list")
    return pack([reference_id(item, target) for item in value])


def _encode_enum(value: Value, variants: tuple[str, ...]) -> Stored:
    if not isinstance(value, str) or value not in variants:
        raise FieldFault(f"must be one of: {', '.join(variants)}")
    return value


def _decode_any(cell: Stored) -> Value:
    return unpack(cell) if isinstance(cell, bytes) else cell


_DECODE: Final[dict[str, Decode]] = {
    "bool": bool,
    "time": Time,
    "list": unpack,
    "map": unpack,
    "any": _decode_any,
    "file": _decode_any,
}


def decoder(column: Column) -> Decode | None:
    """Function from a cell that is not NULL to its value; None when the cell is the value."""
    return _DECODE.get(column.type)
