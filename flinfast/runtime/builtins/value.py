"""Builtins for values of any kind: conversion, type names, JSON (FLIN reference 3.6 and 13.6)."""

from __future__ import annotations

import math
from typing import Final

from flinfast.late_pattern import late_pattern
from flinfast.runtime.compare import truthy
from flinfast.runtime.encode import decode_json, encode_text
from flinfast.runtime.encode import to_text as text_of
from flinfast.runtime.kinds import INT_MAX, kind_of
from flinfast.runtime.registry import Value, builtin
from flinfast.values import Time

INT_DIGITS_MAX: Final = 4200  # digits that fit INT_MAX
_INT: Final = late_pattern(r"[+-]?[0-9]+\Z")
_NUMBER: Final = late_pattern(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\Z")
_FALSE_TEXTS: Final = frozenset({"", "false", "0", "no", "off"})
_SCALARS: Final = ("text", "number", "bool", "time")


@builtin(properties_of=(*_SCALARS, "bytes", "list"))
def to_text(value: Value) -> str:
    """Convert to text, as interpolation does."""
    return text_of(value)


@builtin(properties_of=_SCALARS, result="int?")
def to_int(value: Value) -> Value:
    """Convert to int; none when the value is no number."""
    kind = type(value)
    if kind is int:
        return value
    if kind is str:
        return _parse_int(value.strip())
    if kind is float:
        return int(value) if math.isfinite(value) else None
    if kind is bool:
        return int(value)
    return value.ms if kind is Time else None


@builtin("to_float", properties_of=_SCALARS, result="number?")
def to_number(value: Value) -> Value:
    """Convert to number; none when the value is no number."""
    kind = type(value)
    if kind is float:
        return value
    if kind is int or kind is bool:
        return float(value)
    if kind is str:
        text = value.strip()
        return float(text) if _NUMBER.match(text) else None
    return float(value.ms) if kind is Time else None


@builtin(properties_of=_SCALARS)
def to_bool(value: Value) -> bool:
    """Convert to bool: truthiness, but "false", "0", "no" and "off" are false too."""
    if type(value) is str:
        return value.strip().lower() not in _FALSE_TEXTS
    return truthy(value)


@builtin("type")
def type_of(value: Value) -> str:
    """Name the type of a value."""
    return kind_of(value)


@builtin("json_stringify")
def to_json(value: Value) -> str:
    """Write a value as JSON text."""
    return encode_text(value)


@builtin("json_parse", "from_json")
def parse_json(text: Value) -> Value:
    """Read JSON text; none when it is not JSON."""
    if type(text) is not str and type(text) is not bytes:
        return None
    try:
        return decode_json(text)
    except ValueError:
        return None


@builtin()
def is_none(value: Value) -> bool:
    """Tell whether a value is none."""
    return value is None


def _parse_int(text: str) -> int | None:
    if text.isdigit() and text.isascii() and len(text) <= INT_DIGITS_MAX:
        return int(text)
    if _INT.match(text):
        return int(text) if len(text) <= INT_DIGITS_MAX else None
    if _NUMBER.match(text):
        number = float(text)
        if math.isfinite(number) and -INT_MAX < number < INT_MAX:
            return int(number)
    return None
