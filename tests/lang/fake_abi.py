"""A small runtime for compiler tests: plain classes with the shapes of `lang.abi`.

Operators are the real ones (they have no state); entities live in dicts, and builtins record what
they are asked to do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flinfast.errors import RuntimeFault
from flinfast.lang.abi import Builtin
from flinfast.runtime.operators import OperatorSet
from flinfast.runtime.registry import REGISTRY, BoundBuiltins, specs
from flinfast.values import Time

AUTO = ("id", "created_at", "updated_at", "deleted_at", "version")
GUARDS = frozenset(
    {"auth", "role", "owner", "rate_limit", "csrf", "ip_whitelist", "api_key", "time_window"}
)


class Record:
    """A record of the fake store."""

    def __init__(self, entity: str, names: tuple[str, ...], values: Mapping[str, Any]) -> None:
        self.entity = entity
        self.names = names
        self.values: dict[str, Any] = dict.fromkeys((*names, *AUTO)) | dict(values)

    @property
    def id(self) -> Any:
        return self.values["id"]

    def flin_get(self, name: str) -> Any:
        if name not in self.values:
            raise RuntimeFault(f"{self.entity} has no field `{name}`", code="FL511")
        return self.values[name]

    def flin_set(self, name: str, value: Any) -> None:
        if name not in self.names:
            raise RuntimeFault(f"cannot set `{name}`", code="FL507")
        self.values[name] = value

    def flin_call(self, name: str, args: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
        raise RuntimeFault(f"no method `{name}`", code="FL505")

    def to_map(self) -> dict[str, Any]:
        return dict(self.values)


class Query:
    """A chain of steps over the rows of an entity."""

    def __init__(self, handle: Handle, steps: tuple[tuple[Any, ...], ...] = ()) -> None:
        self.handle = handle
        self.steps = steps

    def add(self, *step: Any) -> Query:
        return Query(self.handle, (*self.steps, step))

    def flin_where(self, template: tuple[Any, ...], params: tuple[Any, ...]) -> Query:
        return self.add("where", lambda row: judge(template, row, params))

    def rows(self) -> list[Record]:
        found = [row for row in self.handle.rows if row.values["deleted_at"] is None]
        for step in self.steps:
            if step[0] == "where":
                found = [row for row in found if step[1](row)]
            elif step[0] == "order":
                key = step[1]
                get = key if callable(key) else lambda row, key=key: row.flin_get(key)
                found.sort(key=get, reverse=step[2:] == ("desc",))
            elif step[0] == "limit":
                found = found[: step[1]]
        return found

    def flin_get(self, name: str) -> Any:
        return self.flin_call(name, (), {})

    def flin_call(self, name: str, args: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
        if name in ("where", "order", "limit"):
            return self.add(name, *args)
        if name == "all":
            return self
        rows = self.rows()
        if any(map(callable, args)):  # as the real ones: then it is the method of lists
            raise RuntimeFault(f"no method `{name}`", code="FL505")
        if name == "first":
            return rows[0] if rows else None
        if name == "count":
            return len(rows)
        if name == "sum":
            return sum(row.flin_get(args[0]) for row in rows)
        if name == "group_by":
            keys = dict.fromkeys(row.flin_get(args[0]) for row in rows)
            return {key: [r for r in rows if r.flin_get(args[0]) == key] for key in keys}
        raise RuntimeFault(f"no method `{name}`", code="FL505")


class Handle:
    """One entity of the fake store."""

    def __init__(self, name: str, fields: tuple[str, ...], defaults: Mapping[str, Any]) -> None:
        self.name = name
        self.fields = fields
        self.defaults = defaults
        self.rows: list[Record] = []
        self.prepared: list[tuple[Any, ...]] = []

    def find(self, id: Any) -> Record | None:
        wanted = int(id) if isinstance(id, str) and id.isdigit() else id
        return next((row for row in self.rows if row.id == wanted), None)

    def construct(self, fields: Mapping[str, Any], spread: tuple[Any, ...] = ()) -> Record:
        values = {name: make() for name, make in self.defaults.items()}
        for extra in spread:
            values |= {k: v for k, v in dict(extra).items() if k in self.fields}
        return Record(self.name, self.fields, values | dict(fields))

    def prepare(self, template: tuple[Any, ...]) -> Callable[[tuple[Any, ...]], Query]:
        self.prepared.append(template)
        return lambda params: Query(self).flin_where(template, params)

    def flin_get(self, name: str) -> Any:
        return Query(self).flin_get(name)

    def flin_call(self, name: str, args: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
        if name == "create":
            return self.save(self.construct(args[0]))
        if name == "find":
            return self.find(args[0])
        return Query(self).flin_call(name, args, named)

    def save(self, record: Record) -> Record:
        if record.id is None:
            record.values["id"] = len(self.rows) + 1
            record.values["version"] = 0
            self.rows.append(record)
        record.values["version"] += 1
        return record


def judge(node: tuple[Any, ...], row: Record, params: tuple[Any, ...]) -> Any:
    """Evaluate a `where` template for one row."""
    kind = node[0]
    if kind == "field":
        return row.flin_get(node[1])
    if kind == "param":
        return params[node[1]]
    if kind == "const":
        return node[1]
    if kind in ("and", "or"):
        test = all if kind == "and" else any
        return test(judge(part, row, params) for part in node[1:])
    parts = [judge(part, row, params) for part in node[1:] if isinstance(part, tuple)]
    if kind == "not":
        return not parts[0]
    if kind == "truthy":
        return OperatorSet.truthy(parts[0])
    if kind == "call":
        method = {"starts_with": "startswith", "ends_with": "endswith", "trim": "strip"}
        if node[1] == "len":
            return len(parts[0])
        if node[1] == "contains":
            return parts[1] in parts[0]
        return getattr(parts[0], method.get(node[1], node[1]))(*parts[1:])
    if kind == "in":
        return OperatorSet.contains(*parts)
    if kind in ("eq", "ne"):
        return OperatorSet.eq(*parts) == (kind == "eq")
    try:
        order = {"lt": OperatorSet.lt, "le": OperatorSet.le}
        if kind in order:
            return order[kind](*parts)
        return order[{"gt": "lt", "ge": "le"}[kind]](parts[1], parts[0])
    except RuntimeFault:
        return False


class Message:
    """What `on message` gets; counts how often it is decoded."""

    def __init__(self, value: Any) -> None:
        self._value = value
        self.decoded = 0

    @property
    def value(self) -> Any:
        self.decoded += 1
        return self._value


class Context:
    """A request context or WsContext."""

    connection_id = "ws_1"
    close_code = 1000
    close_reason = "bye"

    def __init__(self, **members: Any) -> None:
        self.params: dict[str, str] = {}
        self.session: Any = {}
        self.query: Any = {}
        self.headers: Any = {}
        self.cookies: Any = {}
        self.request: Any = {}
        self.response: Any = {}
        self.body: Any = None
        self.ws: Any = {"connection_id": self.connection_id}
        for name, value in members.items():
            setattr(self, name, value)


class FakeAbi:
    """Satisfies `lang.abi.Abi`; `calls` holds what recording builtins were asked to do."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.entities: dict[str, Handle] = {}
        self.shared_functions: dict[str, Callable[..., Any]] = {}
        pure = BoundBuiltins(None)
        own: dict[str, Callable[..., Any]] = {
            name: self._recorder(name, entry.context) for name, entry in recorded().items()
        }
        own["now"] = lambda: Time(1_000)
        self.builtins = Builtins(pure, own)
        self.ops: Any = OperatorSet(self.builtins)

    def _recorder(self, name: str, context: bool) -> Callable[..., Any]:
        def record(*args: Any, **named: Any) -> Any:
            shown = args[1:] if context else args
            self.calls.append((name, *shown, named) if named else (name, *shown))
            return len(self.calls)

        return record

    def save(self, value: Any) -> Any:
        self.calls.append(("save", value))
        return self.entities[value.entity].save(value)

    def delete(self, value: Any) -> None:
        self.calls.append(("delete", value))

    def restore(self, value: Any) -> None:
        self.calls.append(("restore", value))

    def destroy(self, value: Any) -> None:
        self.calls.append(("destroy", value))

    def make_response(self, fields: Mapping[str, Any]) -> Any:
        return ("response", dict(fields))


class Builtins(dict[str, Callable[..., Any]]):
    """Recording builtins first, then the pure ones of the runtime."""

    def __init__(self, pure: BoundBuiltins, own: Mapping[str, Callable[..., Any]]) -> None:
        super().__init__(own)
        self._pure = pure

    def __missing__(self, name: str) -> Callable[..., Any]:
        return self._pure[name]

    def get(self, name: str, default: Any = None) -> Any:
        try:
            return self[name]
        except KeyError:
            return default


def recorded() -> dict[str, Builtin]:
    """Builtins of the runtime that need services: these are recorded, not run."""
    return {
        name: entry.spec
        for name, entry in REGISTRY.items()
        if not all(variant.is_pure for variant in entry.variants)
    }


def builtin_table() -> Mapping[str, Builtin]:
    """The table the compiler reads: the runtime's own."""
    return specs()
