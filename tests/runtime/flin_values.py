"""Strategies for FLIN values of every kind, for property tests."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from hypothesis import strategies as st

from flinfast.errors import RuntimeFault
from flinfast.runtime.upload import UploadedFile
from flinfast.values import NO_VALUE, TIME_MS_MAX, TIME_MS_MIN, Time


class FakeRecord:
    """A record as far as `runtime` knows records."""

    def __init__(self, entity: str, id: int | None, fields: dict[str, Any]) -> None:
        self.entity = entity
        self.id = id
        self.fields = fields

    def flin_get(self, name: str) -> Any:
        if name not in self.fields and name != "id":
            raise RuntimeFault(f"no field {name}", code="FL511")
        return self.fields.get(name, self.id)

    def flin_set(self, name: str, value: Any) -> None:
        self.fields[name] = value

    def flin_call(self, name: str, args: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
        raise RuntimeFault(f"no method {name}", code="FL505")

    def to_map(self) -> dict[str, Any]:
        return {"id": self.id, **self.fields}


class FakeQuery:
    """A query as far as `runtime` knows queries."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def rows(self) -> list[Any]:
        return self.items

    def flin_get(self, name: str) -> Any:
        if name == "count":
            return len(self.items)
        if name == "first":
            return self.items[0] if self.items else None
        raise RuntimeFault(f"no member {name}", code="FL505")

    def flin_set(self, name: str, value: Any) -> None:
        raise RuntimeFault("read-only", code="FL507")

    def flin_call(self, name: str, args: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
        raise RuntimeFault(f"no method {name}", code="FL505")


class FakeParams(dict[str, Any]):
    """A read-only map with its own idea of names, such as request headers."""

    def flin_get(self, name: str) -> Any:
        return self.get(name.replace("_", "-"))

    def flin_set(self, name: str, value: Any) -> None:
        raise RuntimeFault("read-only", code="FL507")

    def flin_call(self, name: str, args: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
        raise RuntimeFault(f"no method {name}", code="FL505")


def fault_code(function: Callable[..., Any], *args: Any) -> str:
    """Code of the fault that a call raises, "" for a result; other exceptions pass."""
    try:
        function(*args)
    except RuntimeFault as fault:
        return fault.code
    return ""


def looped() -> list[Any]:
    """A list that contains itself."""
    items: list[Any] = [1]
    items.append(items)
    return items


def nested(depth: int) -> list[Any]:
    """A list in a list in a list."""
    items: list[Any] = []
    for _ in range(depth):
        items = [items]
    return items


names = st.sampled_from(["len", "type", "name", "a", "count", "first", "id", "x-y", "", "ago"])
texts = st.one_of(
    st.text(max_size=12),
    names,
    st.sampled_from(
        ["7", "-3.5", "1e999", "true", "2026-01-31", "2026-01-31T10:00:00Z", "../x", "public/a"]
    ),
    st.sampled_from(["\ud800", "é", "👍🏽", "\0", "sha256", "HS256", "http://127.0.0.1:9/", "%"]),
)
ints = st.one_of(
    st.integers(-5, 300), st.integers(), st.sampled_from([2**63, -(2**63) - 1, 10**400, 2**13_999])
)
numbers = st.one_of(
    st.floats(), st.sampled_from([0.0, -0.0, 1e308, 5e-324, math.inf, -math.inf, math.nan, 2.5])
)
times = st.builds(
    Time, st.one_of(st.integers(TIME_MS_MIN, TIME_MS_MAX), st.sampled_from([0, TIME_MS_MAX]))
)
functions = st.sampled_from(
    [
        lambda: 1,
        lambda x: x,
        lambda x, y: x,
        lambda x, y, z: x,
        lambda x, y=1: y,
        lambda *rest: len(rest),
    ]
)
scalars = st.one_of(st.none(), st.booleans(), ints, numbers, texts, times, st.binary(max_size=8))
plain = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=8,
)
objects = st.one_of(
    st.builds(
        FakeRecord,
        st.sampled_from(["User", "Note"]),
        st.one_of(st.none(), st.integers(1, 3)),
        st.dictionaries(names, scalars, max_size=3),
    ),
    st.builds(FakeQuery, st.lists(scalars, max_size=3)),
    st.builds(UploadedFile, texts, texts, st.binary(max_size=8)),
)
ranges = st.one_of(
    st.builds(range, st.integers(-9, 9), st.integers(-9, 9)),
    st.just(range(10**30)),
    st.just(range(10**8)),
)
odd = st.one_of(
    functions, objects, ranges, st.just(NO_VALUE), st.builds(looped), st.just(nested(5000))
)
# Every kind equally often; one_of() would hardly ever choose a scalar.
KINDS = {
    "none": st.none(),
    "bool": st.booleans(),
    "int": ints,
    "number": numbers,
    "text": texts,
    "time": times,
    "bytes": st.binary(max_size=8),
    "list": st.lists(plain, max_size=4),
    "map": st.dictionaries(texts, plain, max_size=4),
    "function": functions,
    "object": objects,
    "range": ranges,
    "odd list": st.lists(odd, max_size=3),
    "odd map": st.dictionaries(names, odd, max_size=2),
    "looped": st.builds(looped),
    "nested": st.just(nested(5000)),
    "no value": st.just(NO_VALUE),
}
values = st.sampled_from(sorted(KINDS)).flatmap(lambda kind: KINDS[kind])

# A strategy per kind of parameter, so that builtins get past their argument checks.
BY_KIND = {
    "any": values,
    "text": texts,
    "int": ints,
    "number": st.one_of(ints, numbers),
    "bool": st.booleans(),
    "time": times,
    "bytes": st.binary(max_size=40),
    "list": st.one_of(
        st.lists(plain, max_size=4),
        st.lists(ints, max_size=4),
        st.lists(texts, max_size=4),
        st.lists(st.dictionaries(names, scalars, max_size=3), max_size=3),
        ranges,
        st.builds(FakeQuery, st.lists(plain, max_size=3)),
    ),
    "map": st.one_of(
        st.dictionaries(names, plain, max_size=4),
        st.builds(FakeRecord, st.just("User"), st.just(1), st.just({"a": 1})),
    ),
    "function": functions,
}
