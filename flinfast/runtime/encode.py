"""FLIN values to text and to JSON bytes, and JSON back to FLIN values.

The fast path is one call of msgspec. Only when that fails is the value walked in Python: to name
what cannot be encoded, to find cycles, and to emit the id of a record met inside itself.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable
from types import NoneType
from typing import Final

import msgspec

from flinfast.errors import RuntimeFault
from flinfast.runtime.kinds import (
    INT_BITS_MAX,
    INT_MAX,
    KIND_BY_TYPE,
    Value,
    as_items,
    as_map,
    depth_fault,
    is_rows,
    kind_of,
    size_fault,
)
from flinfast.values import NoValue, Time

NESTING_MAX: Final = 500  # levels that a value refused by msgspec is walked
FLOAT_TEXT_INTEGRAL_MAX: Final = 1e21  # from here on integral numbers print with an exponent, as JS


class _Unencodable(Exception):  # noqa: N818 - leaves this module as a RuntimeFault
    """The fast path met a value that has no JSON form by itself."""


def encode_json(value: Value) -> bytes:
    """JSON bytes of a FLIN value; what the hub encodes a broadcast with.

    Times become ISO 8601 text, bytes base64 text, records the map of their visible fields, queries
    the list of their rows, NaN and the infinities null.

    Raises:
        RuntimeFault: FL504 for a function or another value JSON has no form for, FL508 for a value
            that contains itself or nests too deeply.
    """
    try:
        return _encode(value)
    except (TypeError, ValueError, RecursionError, _Unencodable):
        return _encode_walked(value, lenient=False)


def encode_text(value: Value) -> str:
    """The same as text."""
    return encode_json(value).decode()


def decode_json(data: bytes | str) -> Value:
    """The FLIN value of a JSON document; integers are exact.

    Raises:
        ValueError: It is not JSON, or nests too deeply, or a number cannot be held.
    """
    try:
        return _decode(data)
    except RecursionError:
        raise ValueError("expected at most a few hundred levels of nesting") from None


def to_text(value: Value) -> str:
    """Text of any value, as interpolation and `to_text` show it; never fails on a FLIN value.

    Lists, maps and records show as JSON; a part that JSON has no form for shows as `null`.
    """
    if type(value) is str:
        return value
    convert = _TEXT_BY_TYPE.get(type(value))
    if convert is not None:
        return convert(value)
    return _text_of_object(value)


# --- JSON ----------------------------------------


def _encode_object(value: Value) -> Value:
    """Turn what msgspec does not know into what it knows: its `enc_hook`."""
    if type(value) is Time:
        return value.isoformat()
    to_map = getattr(value, "to_map", None)
    if to_map is not None:
        return to_map()
    items = as_items(value)
    if items is not None:
        return items
    raise _Unencodable


_encode: Final = msgspec.json.Encoder(enc_hook=_encode_object).encode
_decode: Final = msgspec.json.Decoder().decode


def _encode_walked(value: Value, *, lenient: bool) -> bytes:
    try:
        return _encode(_Walk(lenient=lenient).plain(value))
    except RecursionError:
        raise depth_fault() from None


class _Walk:
    """One pass over a value that msgspec refused: plain data, or a fault that says why."""

    __slots__ = ("_lenient", "_open")

    def __init__(self, *, lenient: bool) -> None:
        self._lenient = lenient
        self._open: set[object] = set()  # containers and records between the root and here

    def plain(self, value: Value) -> Value:
        """`value` as None, bool, int, float, str, list and dict only."""
        kind = type(value)
        if kind in _JSON_PLAIN:
            return self._scalar(value)
        if kind is Time:
            return value.isoformat()
        if kind is bytes:
            return base64.b64encode(value).decode()
        if isinstance(value, dict) or kind is list:
            return self._container(value, id(value))
        fields = as_map(value)
        if fields is not None:
            return self._record(value, fields)
        items = self._items(value)
        if items is not None:
            return self._container(items, id(value))
        if self._lenient:
            return None
        raise RuntimeFault(f"JSON has no form for {_with_article(kind_of(value))}", code="FL504")

    def _record(self, value: Value, fields: dict[str, Value]) -> Value:
        identity = getattr(value, "id", None)
        key = (kind_of(value), identity) if type(identity) is int else id(value)
        if key in self._open:
            return identity if type(identity) is int else self._cycle()
        return self._container(fields, key)

    def _container(self, value: Value, key: object) -> Value:
        if key in self._open or len(self._open) >= NESTING_MAX:
            return self._cycle()
        self._open.add(key)
        try:
            if type(value) is list:
                return [self.plain(item) for item in value]
            return {self._scalar(str(name)): self.plain(item) for name, item in value.items()}
        finally:
            self._open.discard(key)

    def _scalar(self, value: Value) -> Value:
        """What JSON can hold of a scalar: no NaN, no lone surrogates, no unprintable int."""
        if type(value) is float:
            return value if math.isfinite(value) else None
        if type(value) is str:
            return value.encode("utf-8", "replace").decode()
        if type(value) is int and not -INT_MAX < value < INT_MAX:
            if not self._lenient:
                raise size_fault("an int in JSON", f"{INT_BITS_MAX} bits")
            return None
        return value

    def _items(self, value: Value) -> list[Value] | None:
        try:
            return as_items(value)
        except RuntimeFault:  # a range too long to list
            if self._lenient:
                return None
            raise

    def _cycle(self) -> None:
        if not self._lenient:
            raise depth_fault()


_JSON_PLAIN: Final = frozenset({str, int, float, bool, NoneType})


def _with_article(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


# --- text ----------------------------------------


def _int_text(value: int) -> str:
    try:
        return str(value)
    except ValueError:  # more digits than Python prints
        raise size_fault("a printed int", "4300 digits") from None


def _float_text(value: float) -> str:
    if value.is_integer():
        return str(int(value)) if abs(value) < FLOAT_TEXT_INTEGRAL_MAX else repr(value)
    if math.isfinite(value):
        return repr(value)
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _bool_text(value: bool) -> str:
    return "true" if value else "false"


def _none_text(value: object) -> str:
    return "none"


def _bytes_text(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _json_text(value: Value) -> str:
    try:
        return _encode(value).decode()
    except (TypeError, ValueError, RecursionError, _Unencodable, RuntimeFault):
        return _encode_walked(value, lenient=True).decode()


def _function_text(value: Value) -> str:
    return "function"


_TEXT_BY_TYPE: Final[dict[type, Callable[[Value], str]]] = {
    int: _int_text,
    float: _float_text,
    bool: _bool_text,
    NoneType: _none_text,
    NoValue: _none_text,
    Time: Time.isoformat,
    bytes: _bytes_text,
    list: _json_text,
    dict: _json_text,
    range: _json_text,
    **{kind: _function_text for kind, name in KIND_BY_TYPE.items() if name == "function"},
}


def _text_of_object(value: Value) -> str:
    if as_map(value) is not None or is_rows(value):
        return _json_text(value)
    return kind_of(value)
