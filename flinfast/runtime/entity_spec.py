"""Entity declarations to what the store needs to know of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from flinfast.lang.program import EntityInfo, FieldInfo, TypeInfo
from flinfast.runtime.check import TRANSFORMS, checks_of
from flinfast.store.schema import EntitySpec, FieldSpec

_SIMPLE = frozenset(
    {"text", "int", "number", "bool", "time", "duration", "bytes", "any", "map", "file"}
)


def entity_specs(
    entities: Iterable[EntityInfo],
    enums: Mapping[str, tuple[str, ...]],
    default_of: Callable[[str, str], Callable[[], Any]],
) -> list[EntitySpec]:
    """Specs of all entities of a program.

    Args:
        entities: Checked declarations.
        enums: Variants by enum name.
        default_of: Maker of a default value by file path and key; called later than this, when
            the files are bound, because binding needs the store.
    """
    known = list(entities)
    names = frozenset(entity.name for entity in known)
    return [
        EntitySpec(
            entity.name,
            tuple(
                _field_spec(field, names, enums, _late_default(entity.path, field, default_of))
                for field in entity.fields
            ),
        )
        for entity in known
    ]


def _late_default(
    path: str, field: FieldInfo, default_of: Callable[[str, str], Callable[[], Any]]
) -> Callable[[], Any] | None:
    key = field.default_key
    return None if key is None else lambda: default_of(path, key)()


def _field_spec(
    field: FieldInfo,
    entities: frozenset[str],
    enums: Mapping[str, tuple[str, ...]],
    default: Callable[[], Any] | None,
) -> FieldSpec:
    flags = {name for name, _ in field.modifiers}
    kind, target = _stored_type(field.type, entities, enums)
    return FieldSpec(
        field.name,
        kind,
        target=target,
        required="required" in flags,
        unique="unique" in flags,
        index="index" in flags,
        hidden="hidden" in flags,
        default=default,
        checks=checks_of(field),
        transforms=tuple(TRANSFORMS[name] for name, _ in field.modifiers if name in TRANSFORMS),
        variants=enums.get(field.type.name, ()) if kind == "enum" else (),
    )


def _stored_type(
    kind: TypeInfo, entities: frozenset[str], enums: Mapping[str, tuple[str, ...]]
) -> tuple[str, str]:
    """The store's type name, and the entity it refers to (or "")."""
    if kind.name in entities:
        return "ref", kind.name
    if kind.name in enums:
        return "enum", ""
    if kind.name == "list":
        item = kind.arguments[0].name if kind.arguments else ""
        return "list", item if item in entities else ""
    return (kind.name, "") if kind.name in _SIMPLE else ("any", "")
