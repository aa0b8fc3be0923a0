"""Edits of a text: what `apply_patch(text, patch)` means (FLIN reference 13.6).

Offsets and lengths count code points. Edits of a list apply one after another, each to the result
of the one before it.
"""

from __future__ import annotations

from typing import Any, Final

from flinfast.errors import RuntimeFault
from flinfast.runtime.kinds import TEXT_SIZE_MAX, Value, as_int, kind_of, size_fault

EDIT_COUNT_MAX: Final = 10_000  # edits of one patch; each copies the text once
_WHERE: Final = ("start", "position")
_CUT: Final = ("delete", "length")
_NEW: Final = ("insert", "text")


def apply_patch(text: str, patch: Value) -> str:
    """Apply a patch.

    Args:
        text: The text to change.
        patch: A text, which replaces everything; a map `{ start|position, delete|length,
            insert|text }`, where a missing number is 0 and a missing text is ""; or a list of such
            maps.

    Raises:
        RuntimeFault: FL504 for a patch of another form or an edit outside the text, FL508 for a
            result beyond TEXT_SIZE_MAX.
    """
    if type(patch) is str:
        return patch
    if isinstance(patch, dict):
        return _edited(text, patch, "")
    if type(patch) is not list:
        raise _fault("", f"expected a text, a map or a list of maps, got {kind_of(patch)}")
    if len(patch) > EDIT_COUNT_MAX:
        raise _fault("", f"expected at most {EDIT_COUNT_MAX} edits, got {len(patch)}")
    for index, edit in enumerate(patch):
        if not isinstance(edit, dict):
            raise _fault(f"[{index}]", f"expected a map, got {kind_of(edit)}")
        text = _edited(text, edit, f"[{index}]")
    return text


def _edited(text: str, edit: dict[str, Any], place: str) -> str:
    for name in edit:
        if name not in _NAMES:
            raise _fault(place, f"expected `start`, `delete` or `insert`, got `{name[:40]}`")
    start = _number(edit, _WHERE, place)
    delete = _number(edit, _CUT, place)
    insert = _value(edit, _NEW, place)
    if insert is None:
        insert = ""
    if type(insert) is not str:
        raise _fault(f"{place}.insert", f"expected text, got {kind_of(insert)}")
    if start > len(text):
        raise _fault(f"{place}.start", f"expected 0 to {len(text)}, got {start}")
    if delete > len(text) - start:
        raise _fault(f"{place}.delete", f"expected 0 to {len(text) - start}, got {delete}")
    if len(text) - delete + len(insert) > TEXT_SIZE_MAX:
        raise size_fault("a text", f"{TEXT_SIZE_MAX} characters")
    return text[:start] + insert + text[start + delete :]


_NAMES: Final = frozenset({*_WHERE, *_CUT, *_NEW, "type"})  # clients tag their edits with a type


def _value(edit: dict[str, Any], names: tuple[str, str], place: str) -> Value:
    """The value under one of two names."""
    first, second = edit.get(names[0]), edit.get(names[1])
    if first is not None and second is not None:
        raise _fault(place, f"expected `{names[0]}` or `{names[1]}`, got both")
    return second if first is None else first


def _number(edit: dict[str, Any], names: tuple[str, str], place: str) -> int:
    value = _value(edit, names, place)
    if value is None:
        return 0
    number = as_int(value)
    if number is None:
        raise _fault(f"{place}.{names[0]}", f"expected an int, got {kind_of(value)}")
    if number < 0:
        raise _fault(f"{place}.{names[0]}", f"expected an int from 0, got {number}")
    return number


def _fault(place: str, message: str) -> RuntimeFault:
    where = f" at ${place}" if place else ""
    return RuntimeFault(f"`apply_patch` argument 2{where}: {message}", code="FL504")
