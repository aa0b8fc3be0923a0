"""`where` conditions: templates compiled to SQL (evaluate.py does the same in Python).

A template is a tree of tuples (the contract with the compiler):

    ("field", name) ("param", index) ("const", value) ("truthy", x) ("not", x)
    ("and"|"or", l, r) ("eq"|"ne"|"lt"|"le"|"gt"|"ge", l, r) ("in", item, container)
    ("call", "contains"|"starts_with"|"ends_with"|"lower"|"upper"|"trim"|"len", target, *args)

Parameters are evaluated before the scan, so their kinds are known when SQL is made. SQL text is
made once per template and tuple of kinds; values are always bound, never written into the text.
Knowing the kinds is what keeps FLIN's rules: SQLite would compare a text column with 7 as text.

Rules of both forms:
1. Equality is structural, text never equals a number, a bool is not a number, none equals none.
2. An ordering between kinds that have none, or a text method on what is no text, is false.
3. A reference field equals a record of its entity and that record's id.

What SQL cannot express exactly (lists and maps, `any` fields holding them, integers beyond 64 bits
against a number field) is left to Python: `Compiled.filters` must hold for each row, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from msgspec import Struct

from flinfast.errors import RuntimeFault
from flinfast.store.predicate import (
    SHAPES,
    Bind,
    Params,
    Pick,
    Predicates,
    Sql,
    Tree,
    Unsupported,
    shape_of,
)
from flinfast.store.schema import Table, Value, suggest

# Compiled forms kept per template; list parameters make one per power of two.
FORMS_MAX: Final = 256
# SQLite's own lower() and upper() know ASCII only.
FUNCTIONS: Final[dict[str, Callable[[Any], Any]]] = {
    "flin_lower": lambda text: text.lower() if isinstance(text, str) else None,
    "flin_upper": lambda text: text.upper() if isinstance(text, str) else None,
    "flin_trim": lambda text: text.strip() if isinstance(text, str) else None,
}


class Compiled(Struct, frozen=True):
    """One form of a template.

    Attributes:
        sql: Condition text, "" when everything is left to Python.
        bind: The text's parameters, in order.
        filters: Templates that Python must evaluate for each row.
    """

    sql: str
    bind: Callable[[Params], Params]
    filters: tuple[Tree, ...]


class Template:
    """A `where` condition of one entity.

    Raises:
        RuntimeFault: FL511, it names a field that the entity does not have.
    """

    def __init__(self, table: Table, tree: Tree) -> None:
        self._table = table
        self._conjuncts = tuple(_conjuncts(tree))
        self._can_bind = table.dialect.can_bind
        self._forms: dict[tuple[Any, ...], Compiled] = {}
        _check_fields(table, tree)

    def compile(self, params: Params) -> Compiled:
        """SQL for parameters of these kinds."""
        key = tuple([shape_of(value) for value in params])
        if "text" in key:
            for value in params:
                if type(value) is str and not self._can_bind(value):
                    key = tuple(map(self._shape, params, key))
                    break
        form = self._forms.get(key)
        if form is None:
            if len(self._forms) >= FORMS_MAX:
                self._forms.clear()
            form = self._forms[key] = self._compile(key)
        return form

    def _shape(self, value: Value, shape: Any) -> Any:
        unfit = shape == "text" and not self._can_bind(value)
        return "unfit" if unfit else shape

    def _compile(self, shapes: tuple[Any, ...]) -> Compiled:
        compiler = Predicates(self._table, shapes)
        parts: list[Sql] = []
        filters: list[Tree] = []
        for tree in self._conjuncts:
            try:
                parts.append(compiler.boolean(tree, positive=True))
            except Unsupported:
                filters.append(tree)
        binders = [bind for part in parts for bind in part.binds]
        text = " AND ".join(part.text for part in parts)
        return Compiled(text, _binder(binders), tuple(filters))


def _conjuncts(tree: Tree) -> Iterable[Tree]:
    if tree[0] == "and":
        yield from _conjuncts(tree[1])
        yield from _conjuncts(tree[2])
    else:
        yield tree


def _check_fields(table: Table, tree: Tree) -> None:
    if tree[0] == "field":
        if tree[1] not in table.columns:
            raise RuntimeFault(
                f"`{table.name}` has no field `{tree[1]}`",
                code="FL511",
                hint=suggest(tree[1], table.columns),
            )
    elif tree[0] not in ("param", "const"):
        for node in tree[1:]:
            if isinstance(node, tuple):
                _check_fields(table, node)


def _binder(binders: list[Bind]) -> Callable[[Params], Params]:
    picks = [bind.index for bind in binders if isinstance(bind, Pick)]
    if len(picks) == len(binders):
        if picks == list(range(len(picks))):
            count = len(picks)
            return lambda params: params if len(params) == count else params[:count]
        return lambda params: tuple([params[index] for index in picks])
    return lambda params: tuple([bind(params) for bind in binders])


def settle(value: Value) -> Value:
    """A parameter as conditions take it: a query becomes the list of its records."""
    rows = None if type(value) in SHAPES else getattr(value, "rows", None)
    return value if rows is None else list(rows())
