"""Rules of fields as texts, `"text @required @maxLength(500)"`, for the function `validate`.

They are written like the fields of a `validate` block and checked by the same code; being texts,
they are read when the program runs. Types are those of values, optional (`text?`) or in a list
(`[int]`); entities and enums need a block.
"""

from __future__ import annotations

from typing import Any, Final

from flinfast.lang.modifier import ENDLESS, MODIFIERS, canonical, check_arguments, is_endless
from flinfast.lang.program import FieldInfo, TypeInfo
from flinfast.late_pattern import late_pattern

RULE_CHARS_MAX: Final = 1000
TYPES: Final = {
    **{name: name for name in ("text", "int", "number", "bool", "time", "duration", "bytes")},
    **{name: name for name in ("file", "list", "map", "any")},
    "string": "text",
    "integer": "int",
    "float": "number",
    "decimal": "number",
    "boolean": "bool",
    "datetime": "time",
    "array": "list",
}
_TYPE: Final = late_pattern(r"\s*(?:\[\s*([a-z]+)\s*\]|([a-z]+))(\?)?")
_MODIFIER: Final = late_pattern(r"\s*@([A-Za-z_]+)(\()?")
_ARGUMENT: Final = late_pattern(
    r"\s*(?:(-?[0-9]+)(?![.0-9])|(-?[0-9]+\.[0-9]+)|'([^'\\]*)'|\"([^\"\\]*)\"|(true|false|none)\b)"
    r"\s*([,)])"
)
_WORDS: Final = {"true": True, "false": False, "none": None}


class BadRule(ValueError):  # noqa: N818 - an outcome, named like its text
    """A text is no rule; the message says what was expected.

    Attributes:
        code: Of the diagnostic.
    """

    def __init__(self, expected: str, *, code: str = "FL406") -> None:
        super().__init__(expected)
        self.code = code


def read_rule(name: str, text: str) -> tuple[FieldInfo, Any]:
    """The field that a rule declares, and its default value.

    Args:
        name: Name of the field.
        text: Its type and modifiers.

    Returns:
        The field, and the argument of `@default`; its `default_key` is None without one.

    Raises:
        BadRule: The text is none, or longer than RULE_CHARS_MAX.
    """
    if len(text) > RULE_CHARS_MAX:
        raise BadRule(f"a rule of at most {RULE_CHARS_MAX} characters")
    kind, position = _read_type(text)
    modifiers: dict[str, tuple[Any, ...]] = {}
    while text[position:].strip():
        found = _MODIFIER.match(text, position)
        if found is None:
            raise BadRule(f"`@` and a modifier before `{text[position:].strip()[:20]}`")
        own, position = canonical(found[1]), found.end()
        arguments: tuple[Any, ...] = ()
        if found[2]:
            arguments, position = _read_arguments(text, position)
        if own in modifiers:
            raise BadRule(f"`@{found[1]}` once")
        _check_modifier(found[1], own, arguments, kind)
        modifiers[own] = arguments
    default = modifiers.pop("default", None)
    key = None if default is None else name
    field = FieldInfo(name, kind, tuple(modifiers.items()), key, 0)
    return field, None if default is None else default[0]


def _read_type(text: str) -> tuple[TypeInfo, int]:
    found = _TYPE.match(text)
    written = "" if found is None else found[1] or found[2]
    plain = TYPES.get(written)
    if found is None or plain is None:
        raise BadRule("a type such as text, int or [text]")
    optional = bool(found[3])
    if found[1]:
        return TypeInfo("list", (TypeInfo(plain),), optional), found.end()
    return TypeInfo(plain, (), optional), found.end()


def _read_arguments(text: str, position: int) -> tuple[tuple[Any, ...], int]:
    """Literals up to the closing parenthesis, and the position after it."""
    values: list[Any] = []
    while True:
        found = _ARGUMENT.match(text, position)
        if found is None:
            raise BadRule(f"a literal and `)` before `{text[position:].strip()[:20]}`")
        whole, fraction, single, double, word, end = found.groups()
        if whole is not None:
            values.append(int(whole))
        elif fraction is not None:
            values.append(float(fraction))
        elif word is not None:
            values.append(_WORDS[word])
        else:
            values.append(single if single is not None else double)
        position = found.end()
        if end == ")":
            return tuple(values), position


def _check_modifier(written: str, name: str, arguments: tuple[Any, ...], kind: TypeInfo) -> None:
    spec = MODIFIERS.get(name)
    if spec is None:
        raise BadRule(f"a known modifier instead of `@{written[:40]}`")
    fault = check_arguments(name, arguments)
    if spec.entity_only:
        fault = "only works on fields of entities"
    elif spec.types and kind.name not in spec.types | {"any"}:
        fault = f"works on {' and '.join(sorted(spec.types))}, not on {kind.name}"
    if fault:
        raise BadRule(f"a right use of `@{written}`: {fault}")
    if is_endless(name, arguments):
        raise BadRule(f"another pattern for `@{written}`: {ENDLESS}", code="FL408")


__all__ = ["RULE_CHARS_MAX", "TYPES", "BadRule", "read_rule"]
