"""Map builtins (FLIN reference 13.3). Records count as maps of their visible fields."""

from __future__ import annotations

from flinfast.errors import RuntimeFault
from flinfast.native import collection
from flinfast.runtime.access import map_key
from flinfast.runtime.kinds import kind_of
from flinfast.runtime.registry import Function, Items, Map, MapRef, Value, method


@method(native=collection.keys)
def keys(entries: Map) -> Items:
    """List the keys."""
    return list(entries)


@method(native=collection.values)
def values(entries: Map) -> Items:
    """List the values."""
    return list(entries.values())


@method(native=collection.entries)
def entries_(entries: Map) -> Items:
    """List the entries as `[key, value]`."""
    return [[key, value] for key, value in entries.items()]


@method(native=collection.from_entries)
def from_entries(items: Items) -> Map:
    """Make a map from a list of `[key, value]`."""
    return collection.from_entries(items)


@method("has", native=collection.has_key)
def has_key(entries: Map, key: Value) -> bool:
    """Tell whether there is an entry `key`."""
    return map_key(key) in entries


@method(native=collection.get)
def get(entries: Map, key: Value, default: Value = None) -> Value:
    """Give the value of `key`, or `default` when there is none."""
    return entries.get(map_key(key), default)


@method(name="set", mutates=True)
def set_(entries: MapRef, key: Value, value: Value) -> Map:
    """Set `key` to `value`, in place, and give the map."""
    entries[map_key(key)] = value
    return entries


@method(mutates=True)
def delete_key(entries: MapRef, key: Value) -> Map:
    """Remove `key`, in place, and give the map."""
    entries.pop(map_key(key), None)
    return entries


@method(native=collection.pick)
def pick(entries: Map, names: Items) -> Map:
    """Keep only the entries whose keys are in `names`."""
    wanted = [map_key(name) for name in names]
    return {name: entries[name] for name in wanted if name in entries}


@method(native=collection.omit)
def omit(entries: Map, names: Items) -> Map:
    """Leave out the entries whose keys are in `names`."""
    unwanted = {map_key(name) for name in names}
    return {name: value for name, value in entries.items() if name not in unwanted}


@method("copy", native=collection.clone)
def clone(entries: Map) -> Map:
    """Copy the map; the values are shared."""
    return dict(entries)


@method(native=collection.merge)
def merge(entries: Map, *others: Map) -> Map:
    """Give one map of all entries; later maps win."""
    merged = dict(entries)
    for other in others:
        merged.update(other)
    return merged


@method(native=collection.map_values)
def map_values(entries: Map, function: Function) -> Map:
    """Give a map of `function(value)` or `function(value, key)` under the same keys."""
    return collection.map_values(entries, function)


@method("length", "size", "count", native=collection.size)
def len_(entries: Map) -> int:
    """Count the entries."""
    return len(entries)


@method(native=collection.is_empty)
def is_empty(entries: Map) -> bool:
    """Tell whether there are no entries."""
    return not entries


def _entry_fault(item: Value) -> RuntimeFault:
    return RuntimeFault(
        f"`from_entries`: expected a list of [key, value], got {kind_of(item)} in it",
        code="FL504",
    )


collection.RULES.entry_fault = _entry_fault
collection.RULES.map_key = map_key
