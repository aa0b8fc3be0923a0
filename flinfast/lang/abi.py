"""What lowered FLIN closures call: names and meaning, declared once.

`lang` emits calls to these members and never imports who implements them; `runtime` passes one
object that satisfies `Abi` to `CompiledFile.bind()`. Also the table of builtins: the one source
for the resolver, arity checks and docs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from msgspec import Struct

Value = Any  # a FLIN value: see flinfast/values.py


class FlinObject(Protocol):
    """A runtime object with members, such as `session`, `ws`, `request`, a record or a query."""

    def flin_get(self, name: str) -> Value:
        """`object.name`; raises RuntimeFault when the kind of object demands declared names."""

    def flin_set(self, name: str, value: Value) -> None:
        """`object.name = value`; raises RuntimeFault FL507 when it is read-only."""

    def flin_call(self, name: str, args: tuple[Value, ...], named: Mapping[str, Value]) -> Value:
        """`object.name(args)`; raises RuntimeFault FL505 when there is no such method."""


class Context(Protocol):
    """What one handler run can see; the hidden first argument of every closure.

    Route handlers, guards and middleware get a request context, `ws` handlers a WsContext.
    Members that a context lacks (`body` in `ws`) are compile-time errors, not run-time ones.
    """

    params: dict[str, str]
    query: Any
    headers: Any
    cookies: Any
    session: Any
    request: Any
    body: Value  # routes only
    response: Any  # middleware and routes only
    ws: Any  # ws handlers only


class EntityHandle(Protocol):
    """One entity of the program; `Notification` in FLIN evaluates to its handle.

    `handle.prepare(template)` turns a `where` condition into a reusable form once per file;
    `prepared(params)` gives a Query. Everything else goes through flin_get/flin_call
    (`E.all`, `E.find(id)`, `E.count`, ...), with `find` and `construct` as direct members.
    """

    name: str

    def find(self, id: Value) -> Value: ...
    def construct(self, fields: Mapping[str, Value], spread: tuple[Value, ...] = ()) -> Value: ...
    def prepare(self, template: tuple[Any, ...]) -> Callable[[tuple[Value, ...]], Any]: ...
    def flin_get(self, name: str) -> Value: ...
    def flin_call(
        self, name: str, args: tuple[Value, ...], named: Mapping[str, Value]
    ) -> Value: ...


class Operators(Protocol):
    """FLIN operators for operands whose types are not evident at compile time.

    Every function raises RuntimeFault (FL501 type clash, FL502 none access, FL503 division by
    zero, ...) and never a raw Python exception.
    """

    def truthy(self, value: Value) -> bool: ...
    def eq(self, left: Value, right: Value) -> bool: ...
    def lt(self, left: Value, right: Value) -> bool: ...
    def le(self, left: Value, right: Value) -> bool: ...
    def gt(self, left: Value, right: Value) -> bool: ...
    def ge(self, left: Value, right: Value) -> bool: ...
    def add(self, left: Value, right: Value) -> Value: ...
    def sub(self, left: Value, right: Value) -> Value: ...
    def mul(self, left: Value, right: Value) -> Value: ...
    def div(self, left: Value, right: Value) -> Value: ...
    def mod(self, left: Value, right: Value) -> Value: ...
    def pow(self, left: Value, right: Value) -> Value: ...
    def neg(self, operand: Value) -> Value: ...
    def concat(self, left: Value, right: Value) -> str: ...
    def contains(self, item: Value, container: Value) -> bool: ...
    def is_type(self, value: Value, type_name: str) -> bool: ...
    def to_text(self, value: Value) -> str: ...
    def to_int(self, value: Value) -> Value: ...
    def member(self, value: Value, name: str) -> Value: ...
    def member_optional(self, value: Value, name: str) -> Value: ...
    def set_member(self, target: Value, name: str, value: Value) -> None: ...
    def index(self, value: Value, key: Value) -> Value: ...
    def index_twice(self, value: Value, key: Value, next_key: Value) -> Value:
        """`value[key][next_key]`."""
        ...

    def member_once(
        self, member: Callable[[Value, str], Value], name: str
    ) -> Callable[[Value], Value]:
        """`value.name` as a function; `member` is the operator of that name."""
        ...

    def member_twice(
        self, member: Callable[[Value, str], Value], name: str, next_name: str
    ) -> Callable[[Value], Value]:
        """`value.name.next_name` as a function; `member` is the operator of that name."""
        ...

    def change_once(
        self,
        member: Callable[[Value, str], Value],
        set_member: Callable[[Value, str, Value], None],
        name: str,
        is_sum: bool,
    ) -> Callable[[Value, Value], None]:
        """`value.name += amount`, or `-=`, as a function of both."""
        ...

    def compare_once(
        self, member: Callable[[Value, str], Value], name: str, operator: str
    ) -> Callable[[Value, Value], bool]:
        """`value < owner.name`, or by another order, as a function of both."""
        ...

    def set_index(self, target: Value, key: Value, value: Value) -> None: ...
    def add_to_entry(self, target: Value, key: Value, first: Value, amount: Value) -> None:
        """`target[key] = (target[key] ?? first) + amount`."""
        ...

    def slice(self, value: Value, start: Value, stop: Value, step: Value) -> Value: ...
    def call(self, function: Value, args: tuple[Value, ...], named: Mapping[str, Value]) -> Value:
        """Call a function value (a lambda or a file-level function)."""

    def call_value(self, function: Value, *args: Value) -> Value:
        """`call` without arguments by name."""
        ...

    def call_method(
        self,
        context: Any,
        value: Value,
        name: str,
        args: tuple[Value, ...],
        named: Mapping[str, Value],
    ) -> Value:
        """Call `value.name(args)`.

        Looked up as a map's own function value, a method of the value's kind, then a builtin with
        `value` as its first argument; otherwise FL505.
        """

    def method(self, name: str, count: int) -> Callable[..., Value]:
        """`call_method` for one name and `count` plain arguments: (context, value, *arguments)."""

    def formula(
        self, arguments: int, body: tuple[Any, ...]
    ) -> Callable[[Callable[..., Value]], Callable[..., Value]]:
        """What puts the formula of its body (`lang.lower_formula`) into a function of Python."""

    def holds(
        self, value: Value, kind: type, depth: int, turns: range | int, is_nested: bool
    ) -> bool:
        """Whether it is a list of values of a class or none, at depth 2 of such lists.

        Ints have 64 bits.

        False as well when finding out would take long beside so many turns of a loop.
        """
        ...

    def holds_ints(self, value: Value, turns: int) -> bool:
        """`holds` of ints at depth 1, after a number of turns."""

    def has_fields(self, fields: tuple[Any, ...]) -> Callable[[Value], bool]:
        """What says whether a value is a map that has these fields of these kinds.

        A field is (name, code of a kind of `lang.lower_fields`, fields of the map that it holds, or
        items of the list by their places).
        """

    def field_columns(
        self, fields: tuple[Any, ...], places: tuple[int, ...]
    ) -> Callable[[Value], tuple[Iterable[Value], Value]]:
        """What gives fields of the first items of a list that have them, and all other items.

        A place is of a field as they are written down, each before those that it holds; -1 is the
        item. One place gives values, several give tuples of values.
        """
        ...

    def iterate(self, value: Value) -> Any:
        """Items of a list (a snapshot), query, text or range; keys of a map for one variable."""

    def iterate_pairs(self, value: Value, key_first: bool) -> Any:
        """Pairs for two loop variables: (item, index), or (key, value) for a map."""

    def items(self, value: Value) -> Any:
        """What `iterate` gives, and the class of every item where all are of one, else None."""

    def items_at(self, value: Value, key: Value) -> Any:
        """`items(index(value, key))`."""

    def pairs(self, value: Value, key_first: bool) -> Any:
        """What `iterate_pairs` gives, and the classes of first and of second parts likewise."""

    def range(self, start: Value, stop: Value, inclusive: bool) -> Any: ...
    def spread_list(self, target: list[Value], value: Value) -> None: ...
    def spread_map(self, target: dict[str, Value], value: Value) -> None: ...
    def map_key(self, key: Value) -> str:
        """A computed key of a bracket map."""

    def version_at(self, value: Value, reference: Value) -> Value:
        """`entity @ reference` (time travel)."""


class Abi(Protocol):
    """Everything a compiled file is bound to."""

    ops: Operators
    entities: Mapping[str, EntityHandle]
    builtins: Mapping[str, Callable[..., Value]]
    shared_functions: Mapping[str, Callable[..., Value]]  # lib/*.flin and entities/*.flin

    def save(self, value: Value) -> Value:
        """`save e`: insert or update; returns the record. FL510 for none or a non-entity."""

    def delete(self, value: Value) -> None: ...
    def restore(self, value: Value) -> None: ...
    def destroy(self, value: Value) -> None: ...
    def make_response(self, fields: Mapping[str, Value]) -> Value:
        """`response { status, body, headers }`."""


# --- builtins ----------------------------------------


class Builtin(Struct, frozen=True):
    """One global function of FLIN.

    Attributes:
        name: As written in FLIN.
        parameters: Names in order; a trailing `?` marks an optional one, a leading `...` the rest.
        summary: One sentence for docs and hover, starting with a verb.
        context: Whether the implementation takes the hidden context as its first argument.
        ws_only: Only meaningful inside `ws { }` (FL311 elsewhere).
        test_only: Only meaningful inside `test "name" { }` (FL312 elsewhere).
        waits: Whether the handler may be suspended in it.
        writes: Whether it changes stored data.
        reads: Whether it reads stored data.
        joins: Whether it makes the file's rooms explicit (`ws_join`).
        sends: Whether it is called for what it sends; as the last statement of a route it is no
            answer, though it gives a number.
        result: Name of the FLIN type of the result, or "any".
    """

    name: str
    parameters: tuple[str, ...]
    summary: str
    context: bool = False
    ws_only: bool = False
    test_only: bool = False
    waits: bool = False
    writes: bool = False
    reads: bool = False
    joins: bool = False
    sends: bool = False
    result: str = "any"
