"""Loops over maps with fields are written: for items that have them, see `lower_fields`."""

from __future__ import annotations

import ast as py
from collections.abc import Callable

from flinfast.lang import ast, lower_columns, lower_loop
from flinfast.lang.lower_base import LOAD, Lowering
from flinfast.lang.lower_columns import Columns, Path
from flinfast.lang.lower_fields import Form, known_fields
from flinfast.lang.types import LIST


def first_form(
    self: Lowering,
    node: ast.For,
    form: Form,
    iterable: py.expr,
    write: Callable[[py.expr], None],
) -> py.expr:
    """Write the loop for items that have the fields.

    Args:
        self: The file.
        node: The loop.
        form: What is taken for granted.
        iterable: What it goes through.
        write: Writes the loop over what it is given.

    Returns:
        The items that are left, for the second form.
    """
    item = self.file.bindings[id(node)][0]
    turns, left = self.temp(), self.temp()
    self.emit_assign(left, iterable)
    tests = lower_loop.tests(self, form.assumed)
    if self.kinds.of(node.iterable) != LIST:  # other items are no maps, and may be too many to keep
        tests.insert(0, self.is_exactly(self.load(left), "list"))
    self.maps.pop(item, None)
    facts = known_fields(self, form), lower_loop.fresh_facts(self, form.assumed)
    with facts[0], facts[1], self.captured() as fast:
        if form.columns is not None:
            _look_at_all(self, form, form.columns, node, (turns, left), write)
        else:
            items = self.call(self.op("iterate"), self.load(left))
            self.emit_assign(turns, self.call(self.support("py_iter"), items))
            self.emit_assign(left, py.List([], LOAD, **self.place))
            write(self.load(turns))
            _look_in_turn(self, form, _last_loop(self), item.python, (turns, left))
    if tests:
        test = tests[0] if len(tests) == 1 else self.both(*tests)
        self.emit(py.If(test, fast, [], **self.place))
    else:
        self.body += fast
    return self.load(left)


def _last_loop(self: Lowering) -> py.For:
    loop = self.body[-1]
    assert isinstance(loop, py.For)
    return loop


def _look_at_all(
    self: Lowering,
    form: Form,
    places: dict[Path, int],
    node: ast.For,
    names: tuple[str, str],
    write: Callable[[py.expr], None],
) -> None:
    """Go through the columns of the items that fit; `names` are of these and of what is left."""
    item = self.file.bindings[id(node)][0]
    columns = Columns(item, places)
    outer, self.columns = self.columns, columns
    with self.captured() as body:
        write(self.load(names[0]))
        wanted = lower_columns.go_through(self, columns, _last_loop(self))
    self.columns = outer
    look = self.bind(
        f"$fields {form.spec} {wanted}",
        lambda: self.call(self.op("field_columns"), self.const(form.spec), self.const(wanted)),
    )
    both = py.Tuple([self.store(name) for name in names], py.Store(), **self.place)
    self.emit(py.Assign([both], self.call(look, self.load(names[1])), **self.place))
    self.body += body


def _look_in_turn(
    self: Lowering, form: Form, loop: py.For, item: str, names: tuple[str, str]
) -> None:
    """Leave the loop for an item without the fields; `names` are of the turns and what is left."""
    turns, left = names
    others = py.Starred(self.load(turns), LOAD, **self.place)
    with self.captured() as leave:
        self.emit_assign(left, py.List([self.load(item), others], LOAD, **self.place))
        self.emit(py.Break(**self.place))
    look = self.bind(
        f"$fields {form.spec}", lambda: self.call(self.op("has_fields"), self.const(form.spec))
    )
    fits = self.call(look, self.load(item))
    loop.body.insert(0, py.If(self.negate(fits), leave, [], **self.place))
