"""Field modifiers (`@required`, `@minLength(3)`): which exist, and what they take.

What a modifier checks at run time is the business of `runtime/validate.py` and the store.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from flinfast.lang.abi import Value
from flinfast.late_pattern import late_pattern

_TEXT: Final = frozenset({"text"})
_NUMERIC: Final = frozenset({"int", "number", "duration"})
_SIZED: Final = frozenset({"text", "list", "bytes"})
_LIST: Final = frozenset({"list"})
_FILE: Final = frozenset({"file"})
_SIZE: Final = late_pattern(r"\d+(\.\d+)?\s*(B|KB|MB|GB)", re.IGNORECASE)
PATTERN_LENGTH_MAX: Final = 1000  # characters of a regular expression


class ModifierSpec(Struct, frozen=True):
    """One modifier.

    Attributes:
        arguments: Fewest and most arguments; None for no limit.
        argument: What each one is: "count", "number", "text", "size", "pattern" or "any".
        types: Field types it works on; empty for all.
        entity_only: Whether a `validate` block cannot have it.
    """

    arguments: tuple[int, int | None] = (0, 0)
    argument: str = "any"
    types: frozenset[str] = frozenset()
    entity_only: bool = False


MODIFIERS: Final[dict[str, ModifierSpec]] = {
    "required": ModifierSpec(),
    "unique": ModifierSpec(entity_only=True),
    "index": ModifierSpec(entity_only=True),
    "hidden": ModifierSpec(entity_only=True),
    "default": ModifierSpec((1, 1)),
    "one_of": ModifierSpec((1, None)),
    "min_length": ModifierSpec((1, 1), "count", _SIZED),
    "max_length": ModifierSpec((1, 1), "count", _SIZED),
    "length": ModifierSpec((1, 1), "count", _SIZED),
    "min_items": ModifierSpec((1, 1), "count", _LIST),
    "max_items": ModifierSpec((1, 1), "count", _LIST),
    "min": ModifierSpec((1, 1), "number", _NUMERIC),
    "max": ModifierSpec((1, 1), "number", _NUMERIC),
    "positive": ModifierSpec(types=_NUMERIC),
    "negative": ModifierSpec(types=_NUMERIC),
    "integer": ModifierSpec(types=_NUMERIC),
    "email": ModifierSpec(types=_TEXT),
    "url": ModifierSpec(types=_TEXT),
    "phone": ModifierSpec(types=_TEXT),
    "uuid": ModifierSpec(types=_TEXT),
    "ip": ModifierSpec(types=_TEXT),
    "slug": ModifierSpec(types=_TEXT),
    "alpha": ModifierSpec(types=_TEXT),
    "alphanumeric": ModifierSpec(types=_TEXT),
    "date": ModifierSpec(types=_TEXT | {"time"}),
    "pattern": ModifierSpec((1, 1), "pattern", _TEXT),
    "trim": ModifierSpec(types=_TEXT),
    "lowercase": ModifierSpec(types=_TEXT),
    "max_size": ModifierSpec((1, 1), "size", _FILE | {"bytes"}),
    "allow_types": ModifierSpec((1, None), "text", _FILE),
    "extension": ModifierSpec((1, None), "text", _FILE),
}

_EXPECTED: Final = {
    "count": "a whole number that is not negative",
    "number": "a number",
    "text": "a text",
    "size": 'a size such as "10MB"',
    "pattern": "a text with a regular expression",
}


ENDLESS: Final = "it can take endless time on a hostile text"


def canonical(name: str) -> str:
    """The snake_case spelling of a modifier name."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def check_arguments(name: str, values: tuple[Value, ...]) -> str:
    """What is wrong with the constant arguments of a known modifier, or ""."""
    spec = MODIFIERS[name]
    fewest, most = spec.arguments
    if len(values) < fewest or (most is not None and len(values) > most):
        return f"expected {_count_text(fewest, most)}, got {len(values)}"
    for value in values:
        fault = _check_argument(spec.argument, value)
        if fault:
            return fault
    return ""


def is_endless(name: str, values: tuple[Value, ...]) -> bool:
    """Whether right arguments of a modifier make it take endless time on some texts (FL408)."""
    if MODIFIERS[name].argument != "pattern":
        return False
    from flinfast.lang.ambiguity import cost_of  # few programs have patterns

    return cost_of(str(values[0])).is_endless


def _count_text(fewest: int, most: int | None) -> str:
    if most is None:
        return f"at least {fewest} argument{'' if fewest == 1 else 's'}"
    if most == 0:
        return "no arguments"
    return f"{most} argument{'' if most == 1 else 's'}"


def _check_argument(kind: str, value: Value) -> str:
    fits = {
        "any": True,
        "count": type(value) is int and value >= 0,
        "number": type(value) in (int, float),
        "text": type(value) is str,
        "size": (type(value) is int and value >= 0)
        or (type(value) is str and _SIZE.fullmatch(value.strip()) is not None),
        "pattern": type(value) is str and len(value) <= PATTERN_LENGTH_MAX,
    }[kind]
    if not fits:
        return f"expected {_EXPECTED[kind]}"
    if kind == "pattern":
        try:
            re.compile(value)
        except (re.error, OverflowError, RecursionError) as error:
            return f"not a regular expression: {error}"
    return ""
