"""`validate { }` blocks: body fields checked, converted and given their defaults.

All fields are checked; each reports its first failure. JSON is taken strictly, forms send only
text, so their numbers, bools and times are read from text.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Struct

from flinfast.lang.program import FieldInfo, TypeInfo
from flinfast.late_pattern import late_pattern
from flinfast.runtime.check import TRANSFORMS, Check, checks_of
from flinfast.runtime.upload import UploadedFile
from flinfast.values import Time

INT_MIN: Final = -(1 << 63)  # a field holds 64 bits
INT_MAX: Final = (1 << 63) - 1
ITEMS_MAX: Final = 100_000  # items of one list field
REQUIRED: Final = "is required"

_INT_TEXT: Final = late_pattern(r"[+-]?[0-9]{1,19}")
_NUMBER_TEXT: Final = late_pattern(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_FORM_BOOLS: Final = {
    "true": True,
    "1": True,
    "on": True,
    "yes": True,
    "false": False,
    "0": False,
    "off": False,
    "no": False,
}

Exists = Callable[[str, int], bool]


class Refusal(Exception):  # noqa: N818 - control flow inside this module, never seen outside
    """A value is not of its type; the text says what it must be."""


class Schema(Struct, frozen=True):
    """What types refer to.

    Attributes:
        enums: Variants by enum name.
        entities: Entity names.
        exists: Whether an entity has a live record with an id.
    """

    enums: Mapping[str, tuple[str, ...]]
    entities: frozenset[str]
    exists: Exists


class Validator:
    """One `validate` block.

    Args:
        fields: Its declarations.
        schema: What their types refer to.
        defaults: Makes the default value of a field that has one, by `FieldInfo.default_key`.
    """

    def __init__(
        self,
        fields: tuple[FieldInfo, ...],
        schema: Schema,
        defaults: Mapping[str, Callable[[], Any]],
    ) -> None:
        self._schema = schema
        self._fields = [
            (
                field,
                any(name == "required" for name, _ in field.modifiers),
                tuple(TRANSFORMS[name] for name, _ in field.modifiers if name in TRANSFORMS),
                checks_of(field),
                defaults[field.default_key] if field.default_key is not None else None,
            )
            for field in fields
        ]

    @property
    def reads(self) -> bool:
        """Whether checking reads stored data."""
        return any(self._refers(entry[0].type) for entry in self._fields)

    def _refers(self, kind: TypeInfo) -> bool:
        return kind.name in self._schema.entities or any(map(self._refers, kind.arguments))

    def check(self, body: Any, *, is_form: bool) -> tuple[dict[str, Any], dict[str, str]]:
        """Check a body.

        Returns:
            The body with converted fields and defaults, and an error text per field that failed.
        """
        given: dict[str, Any] = body if isinstance(body, dict) else {}
        result = dict(given)
        errors: dict[str, str] = {}
        for field, is_required, transforms, checks, default in self._fields:
            value = given.get(field.name)
            if value == "" and isinstance(value, str) and (is_form or is_required):
                value = None
            if value is None:
                if is_required:
                    errors[field.name] = REQUIRED
                else:
                    result[field.name] = None if default is None else default()
                continue
            try:
                value = self.convert(value, field.type, is_form=is_form)
            except Refusal as refusal:
                errors[field.name] = str(refusal)
                continue
            for transform in transforms:
                value = transform(value)
            if is_required and value == "" and isinstance(value, str):  # "  " with @trim
                errors[field.name] = REQUIRED
                continue
            fault = first_fault(checks, value)
            if fault is None:
                result[field.name] = value
            else:
                errors[field.name] = fault
        return result, errors

    def convert(self, value: Any, kind: TypeInfo, *, is_form: bool) -> Any:
        """A value as a type.

        Raises:
            Refusal: It is something else.
        """
        if value is None:
            if kind.optional or kind.name == "any":
                return None
            raise Refusal("must not be none")
        simple = _CONVERTERS.get(kind.name)
        if simple is not None:
            return simple(value, is_form)
        if kind.name == "list":
            return self._list(value, kind, is_form=is_form)
        if kind.name == "map":
            return self._map(value, kind, is_form=is_form)
        if kind.name == "union":
            return self._union(value, kind, is_form=is_form)
        variants = self._schema.enums.get(kind.name)
        if variants is not None:
            if isinstance(value, str) and value in variants:
                return value
            raise Refusal("must be one of: " + ", ".join(variants))
        return self._reference(value, kind.name)

    def _list(self, value: Any, kind: TypeInfo, *, is_form: bool) -> list[Any]:
        if is_form and not isinstance(value, list):
            value = [value]
        if not isinstance(value, list):
            raise Refusal("must be a list")
        if len(value) > ITEMS_MAX:
            raise Refusal(f"must have at most {ITEMS_MAX} items")
        if not kind.arguments:
            return value
        items = []
        for index, item in enumerate(value, 1):
            try:
                items.append(self.convert(item, kind.arguments[0], is_form=is_form))
            except Refusal as refusal:
                raise Refusal(f"item {index} {refusal}") from None
        return items

    def _map(self, value: Any, kind: TypeInfo, *, is_form: bool) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise Refusal("must be a map")
        if not kind.arguments:
            return value
        entries = {}
        for name, item in value.items():
            try:
                entries[name] = self.convert(item, kind.arguments[-1], is_form=is_form)
            except Refusal as refusal:
                raise Refusal(f"entry `{name[:40]}` {refusal}") from None
        return entries

    def _union(self, value: Any, kind: TypeInfo, *, is_form: bool) -> Any:
        texts = []
        for member in kind.arguments:
            try:
                return self.convert(value, member, is_form=is_form)
            except Refusal as refusal:
                texts.append(str(refusal))
        raise Refusal(" or ".join(dict.fromkeys(texts)) or "has the wrong type")

    def _reference(self, value: Any, entity: str) -> int:
        """An id that exists; text is accepted because path parameters and forms are text."""
        if isinstance(value, str) and _INT_TEXT.fullmatch(value):
            value = int(value)
        if type(value) is not int or not 0 < value <= INT_MAX:
            raise Refusal(f"must be the id of a {entity}")
        if not self._schema.exists(entity, value):
            raise Refusal(f"must be an existing {entity}")
        return value


def first_fault(checks: tuple[Check, ...], value: Any) -> str | None:
    """The first thing that is wrong with a value."""
    for check in checks:
        fault = check(value)
        if fault is not None:
            return fault
    return None


# --- converters: (value, is_form) -> value ----------------------------------------


def _text(value: Any, is_form: bool) -> str:
    if isinstance(value, str):
        return value
    raise Refusal("must be text")


def _int(value: Any, is_form: bool) -> int:
    if is_form and isinstance(value, str) and _INT_TEXT.fullmatch(value.strip()):
        value = int(value.strip())
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is not int:
        raise Refusal("must be an integer")
    if not INT_MIN <= value <= INT_MAX:
        raise Refusal("must fit in 64 bits")
    return value


def _number(value: Any, is_form: bool) -> int | float:
    if is_form and isinstance(value, str) and _NUMBER_TEXT.fullmatch(value.strip()):
        text = value.strip()
        value = int(text) if _INT_TEXT.fullmatch(text) else float(text)
    if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
        raise Refusal("must be a number")
    return value


def _is_finite(value: int | float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an int beyond every float
        return False


def _bool(value: Any, is_form: bool) -> bool:
    if is_form and isinstance(value, str):
        value = _FORM_BOOLS.get(value.strip().lower())
    if isinstance(value, bool):
        return value
    raise Refusal("must be true or false")


def _time(value: Any, is_form: bool) -> Time:
    if isinstance(value, Time):
        return value
    if isinstance(value, str):
        try:
            return Time.parse(value.strip())
        except (ValueError, OverflowError):
            pass
    raise Refusal("must be a time such as 2026-01-31T12:00:00Z")


def _duration(value: Any, is_form: bool) -> int:
    try:
        return _int(value, is_form)
    except Refusal:
        raise Refusal("must be a duration in milliseconds") from None


def _file(value: Any, is_form: bool) -> UploadedFile:
    if isinstance(value, UploadedFile):
        return value
    raise Refusal("must be a file")


def _bytes(value: Any, is_form: bool) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, UploadedFile):
        return value.data
    if isinstance(value, str):
        try:
            return base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            pass
    raise Refusal("must be bytes in base64")


def _any(value: Any, is_form: bool) -> Any:
    return value


_CONVERTERS: Final[dict[str, Callable[[Any, bool], Any]]] = {
    "text": _text,
    "int": _int,
    "number": _number,
    "bool": _bool,
    "time": _time,
    "duration": _duration,
    "file": _file,
    "bytes": _bytes,
    "any": _any,
}
