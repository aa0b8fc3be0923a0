"""Lowering of loops and jumps.

A loop may be written twice, for what is likely and for anything: see `lower_loop`, `lower_fields`
and `lower_version`. Python's `break` and `continue` know no labels: a jump to a loop further out
sets a flag of that loop, and each loop that is left on the way is followed by a test of it.
"""

from __future__ import annotations

import ast as py
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from flinfast.lang import (
    ast,
    lower_entry,
    lower_fields,
    lower_loop,
    lower_pattern,
    lower_record,
    lower_version,
)
from flinfast.lang.lower_base import DISCARD, Lowering, StatementRule, Target
from flinfast.lang.lower_block import checked, no_value, statements
from flinfast.lang.lower_operator import condition
from flinfast.lang.lower_value import Loop
from flinfast.lang.types import ANY, TEXT

_TURNS_BEFORE: Final = 32  # a loop looks again at the lists that were too long when it began
_BREAK, _CONTINUE = 1, 2  # values of a loop's flag


def for_(self: Lowering, node: ast.For, target: Target) -> None:
    """`for x in xs { }`."""
    facts = lower_version.facts_of(self, node) if target.kind == "discard" else None
    if self.trial is None:
        iterable = self.expr(node.iterable)
    else:
        iterable = lower_version.tried_value(self, lambda: self.expr(node.iterable))
    if facts is not None and isinstance(node.iterable, ast.RangeExpr):
        turns = self.kept(iterable)
        if facts.may_leave and facts.lists:
            _in_form_found(
                self,
                facts,
                turns,
                lambda: _for(self, node, turns, target),
                lambda some: _for(self, node, some, target),
            )
        else:
            _in_two_forms(self, facts, turns, lambda: _for(self, node, turns, target))
    elif len(node.names) > 1:
        _for_pairs(self, node, iterable, target)
    elif _has_plain_items(self, node.iterable):
        _for(self, node, iterable, target)
    else:
        _for_items(self, node, iterable, target)


def _in_two_forms(
    self: Lowering, facts: lower_version.Facts, turns: py.expr, write: Callable[[], None]
) -> None:
    """A loop in the form for items of one kind, and in that for any; see `lower_version`."""
    self.has_forms = True
    with lower_version.first_form(self, facts) as fast:
        write()
    tests = lower_version.tests_of(self, facts, turns, None)
    if not tests:
        self.has_forms = False
        self.body += fast
        return
    with self.captured() as other:
        write()
    self.has_forms = False
    test = tests[0] if len(tests) == 1 else self.both(*tests)
    self.emit(py.If(test, fast, other, **self.place))


def _in_form_found(
    self: Lowering,
    facts: lower_version.Facts,
    turns: py.expr | None,
    write: Callable[[], None],
    write_some: Callable[[py.expr], None],
) -> None:
    """The same for a loop that may be over at any time: it has to pay for a look at all items.

    Short lists are looked at when it begins. Where that finds nothing it goes on in the second
    form, and looks again after as many turns as make the next look cost a fraction of them. So the
    whole takes a bit longer than without the first form at worst, even when a loop that leaves its
    long list after some items begins a thousand times.

    Args:
        self: The file.
        facts: What the first form takes for granted.
        turns: Python name of the range that a `for` goes through; those done are taken away.
        write: Writes the loop for all turns that are left.
        write_some: Writes it as a Python `for` over some turns, which it is told.
    """
    count = self.temp()
    self.emit_assign(count, self.const(0))
    self.has_forms = True
    with lower_version.first_form(self, facts) as fast:
        write()
    tests = lower_version.tests_of(self, facts, self.const(None), self.load(count))
    some: py.expr = self.call(self.support("py_range"), self.load(count))
    if turns is not None:
        some = self.item(turns, py.Slice(None, self.load(count), None, **self.place))
    with self.captured() as other:
        write_some(some)
    self.has_forms = False
    loop, over = other[-1], py.Break(**self.place)
    assert isinstance(loop, py.For)
    if isinstance(turns, py.Name):
        rest = py.Slice(self.load(count), None, None, **self.place)
        left = py.Assign([self.store(turns.id)], self.item(turns, rest), **self.place)
        loop.orelse = [left, py.If(turns, [py.Continue(**self.place)], [], **self.place)]
    else:
        loop.orelse = [py.Continue(**self.place)]
    doubled = py.BinOp(self.load(count), py.Mult(), self.const(2), **self.place)
    more = py.BoolOp(py.Or(), [doubled, self.const(_TURNS_BEFORE)], **self.place)
    with self.captured() as body:
        test = tests[0] if len(tests) == 1 else self.both(*tests)
        self.emit(py.If(test, [*fast, over], [], **self.place))
        self.emit_assign(count, more)
        self.body += [*other, over]
    self.emit(py.While(self.const(True), body, [], **self.place))


def _has_plain_items(self: Lowering, node: ast.Expr) -> bool:
    """Whether Python may loop over it as it is: nothing changes it, and the kind is evident."""
    if isinstance(node, ast.RangeExpr):
        return True  # a Python range either way
    return self.kinds.of(node) == TEXT or self.kinds.is_split(node)


def _for(
    self: Lowering, node: ast.For, iterable: py.expr, target: Target, classes: Sequence[str] = ()
) -> None:
    """The loop itself; `classes` are names of the classes that the items have, or None."""
    variables = self.file.bindings[id(node)]
    names = [self.temp() if v.is_boxed else v.python for v in variables]
    place: py.expr = self.store(names[0])
    if len(names) > 1:
        place = py.Tuple([self.store(name) for name in names], py.Store(), **self.place)
    known = {
        variable.python: shared
        for variable, shared in zip(variables, classes, strict=False)
        if variable.writes == 1 and not variable.is_captured and not self.rows
    }
    outer, self.classes = self.classes, self.classes | {name: {} for name in known}
    loop = _enter(self, node, target)
    with self.captured() as body:
        for variable, name in zip(variables, names, strict=True):
            if variable.is_boxed:
                self.write(variable, self.load(name), declares=True)
            else:
                self.note_map(variable)
        statements(self, node.body, DISCARD)
    flags = {name: self.classes[name] for name in known}
    self.classes = outer
    for name, shared in reversed(known.items()):
        if flags[name]:
            body.insert(0, _class_flags(self, name, shared, flags[name]))
    _leave(self, loop, py.For(place, iterable, body, [], **self.place), target)


def _class_flags(self: Lowering, name: str, shared: str, flags: Mapping[str, str]) -> py.stmt:
    """Write what says of which type the items are; give what does so for items that differ."""
    for python_type, flag in flags.items():
        is_type = self.compare(self.load(shared), py.Is(), self.support(f"py_{python_type}"))
        self.emit_assign(flag, is_type)
    with self.captured() as each:
        for python_type, flag in flags.items():
            self.emit_assign(flag, self.is_exactly(self.load(name), python_type))
    return py.If(self.is_none(self.load(shared)), each, [], **self.place)


def _for_items(self: Lowering, node: ast.For, iterable: py.expr, target: Target) -> None:
    """A loop over items that may be anything; in two forms where that gains, see `lower_loop`."""
    if not self.rows:  # the bodies of such loops break with no value
        assumed = lower_loop.assumed_of(self, node)
        if assumed is not None:
            _for_assumed(self, node, iterable, assumed)
            no_value(self, target)
            return
        form = lower_fields.form_of(self, node)
        if form is not None:
            iterable = lower_record.first_form(
                self, node, form, iterable, lambda items: _for(self, node, items, DISCARD)
            )
    items, shared = self.temp(), self.temp()
    is_new = isinstance(iterable, py.List)  # nobody else has it; it needs no class to share
    with self.captured() as loop:
        _for(self, node, self.load(items), target, () if is_new else (shared,))
    if isinstance(loop[0], py.For):  # no class is asked for
        loop[0].iter = iterable if is_new else self.call(self.op("iterate"), iterable)
    else:
        _emit_parts(self, (items, shared), lower_entry.items_of(self, iterable))
    self.body += loop


def _for_assumed(
    self: Lowering, node: ast.For, iterable: py.expr, assumed: lower_loop.Assumed
) -> None:
    """A loop in the form for items of one class, and in that for any."""
    items, shared = self.temp(), self.temp()
    _emit_parts(self, (items, shared), lower_entry.items_of(self, iterable))
    first = self.compare(self.load(shared), py.Is(), self.support(f"py_{assumed.item}"))
    facts = lower_version.facts_of(self, node, assumed.number)
    if facts is not None:
        with lower_version.first_form(self, facts) as fast:
            _for(self, node, self.load(items), DISCARD)
        tests = [first, *lower_version.tests_of(self, facts, self.load(items), None)]
    else:
        tests = [first, *lower_loop.tests(self, assumed)]
        given = self.kinds.assuming(assumed.kinds), lower_loop.fresh_facts(self, assumed)
        with given[0], given[1], self.captured() as fast:
            _for(self, node, self.load(items), DISCARD)
    with self.captured() as other:
        _for(self, node, self.load(items), DISCARD, (shared,))
    test = tests[0] if len(tests) == 1 else self.both(*tests)
    self.emit(py.If(test, fast, other, **self.place))


def _for_pairs(self: Lowering, node: ast.For, iterable: py.expr, target: Target) -> None:
    """A loop with two variables."""
    items, first, second = self.temp(), self.temp(), self.temp()
    arguments = (iterable, self.const(node.key_first))
    with self.captured() as loop:
        _for(self, node, self.load(items), target, (first, second))
    if isinstance(loop[0], py.For):
        loop[0].iter = self.call(self.op("iterate_pairs"), *arguments)
    else:
        _emit_parts(self, (items, first, second), self.call(self.op("pairs"), *arguments))
    self.body += loop


def _emit_parts(self: Lowering, names: Sequence[str], value: py.expr) -> None:
    """`a, b = value`."""
    place = py.Tuple([self.store(name) for name in names], py.Store(), **self.place)
    self.emit(py.Assign([place], value, **self.place))


def while_(self: Lowering, node: ast.While, target: Target) -> None:
    """`while c { }`, `while let p = e { }`."""
    facts = lower_version.facts_of(self, node) if target.kind == "discard" else None
    if facts is None:
        _while(self, node, target)
    elif facts.lists:
        _in_form_found(
            self,
            facts,
            None,
            lambda: _while(self, node, target),
            lambda some: _while(self, node, target, some),
        )
    else:
        _in_two_forms(self, facts, self.const(None), lambda: _while(self, node, target))


def _while(self: Lowering, node: ast.While, target: Target, turns: py.expr | None = None) -> None:
    """The loop itself, as one over `turns` if it is to be left after these."""
    if self.trial is None:
        _while_true(self, node, target, turns)
    elif lower_version.is_small(node):
        lower_version.tried(self, lambda: _while_true(self, node, target))
    else:
        _while_true(self, node, target, is_apart=True)


def _while_true(
    self: Lowering,
    node: ast.While,
    target: Target,
    turns: py.expr | None = None,
    *,
    is_apart: bool = False,
) -> None:
    """See `_while`; `is_apart` when the condition is tried alone."""
    loop = _enter(self, node, target)
    test: py.expr = self.const(True)
    with self.captured() as body:
        if node.pattern is not None:
            value = self.kept(self.expr(node.condition))
            _stop_unless(self, lower_pattern.test(self, node.pattern, value))
            lower_pattern.bind_names(self, node.pattern, value)
        else:
            with self.captured() as head:
                if is_apart:
                    lower_version.tried(
                        self, lambda: _stop_unless(self, condition(self, node.condition))
                    )
                else:
                    _stop_unless(self, condition(self, node.condition))
            stop = head[0]
            is_one = len(head) == 1 and turns is None
            if is_one and isinstance(stop, py.If) and isinstance(stop.test, py.UnaryOp):
                test = stop.test.operand
            else:
                self.body += head
        statements(self, node.body, DISCARD)
    statement: py.For | py.While = py.While(test, body, [], **self.place)
    if turns is not None:
        statement = py.For(self.store(self.temp()), turns, body, [], **self.place)
    _leave(self, loop, statement, target)


def _stop_unless(self: Lowering, wanted: py.expr) -> None:
    self.emit(py.If(self.negate(wanted), [py.Break(**self.place)], [], **self.place))


def _enter(self: Lowering, node: ast.For | ast.While, target: Target) -> Loop:
    loop = Loop(node.label, target.kind != "discard", node.span.start)
    self.frame.loops.append(loop)
    self.forget()  # another turn may have changed anything
    return loop


def _leave(self: Lowering, loop: Loop, statement: py.For | py.While, target: Target) -> None:
    """Write a loop, what comes after jumps to loops further out, and its value."""
    self.frame.loops.pop()
    if not statement.body:
        statement.body.append(py.Pass(**self.place))
    if loop.flag:
        zero = self.const(0)
        statement.body.insert(0, py.Assign([self.store(loop.flag)], zero, **self.place))
    if loop.result:
        self.emit_assign(loop.result, self.const(None))
    self.emit(statement)
    for goal in loop.crossed:
        _go_on(self, goal)
    if not loop.result:
        no_value(self, target)
    elif target.kind == "assign":
        self.emit_assign(target.name, self.load(loop.result))
    elif target.kind == "return":
        result = checked(self, self.load(loop.result), ANY, self.frame.result, "result")
        self.emit(py.Return(result, **self.place))


def _go_on(self: Lowering, goal: Loop) -> None:
    """After an inner loop: if it was left by a jump to `goal`, go on with that jump."""
    jump: py.stmt = py.Break(**self.place)
    if self.frame.loops[-1] is goal:
        is_continue = self.compare(self.load(goal.flag), py.Eq(), self.const(_CONTINUE))
        jump = py.If(is_continue, [py.Continue(**self.place)], [jump], **self.place)
    self.emit(py.If(self.load(goal.flag), [jump], [], **self.place))


def jump(self: Lowering, node: ast.Break | ast.Continue, target: Target) -> None:
    """`break`, `continue`, with a label perhaps."""
    loops = self.frame.loops
    goal = loops[-1]
    if node.label is not None:
        goal = next(loop for loop in reversed(loops) if loop.label == node.label)
    if isinstance(node, ast.Break) and node.value is not None:
        value = self.expr(node.value)
        if goal.wants_value:
            goal.result = goal.result or self.temp()
            self.emit_assign(goal.result, value)
        else:
            self.emit_expr(value)
    is_break = isinstance(node, ast.Break)
    if goal is not loops[-1]:
        goal.flag = goal.flag or self.temp()
        self.emit_assign(goal.flag, self.const(_BREAK if is_break else _CONTINUE))
        for loop in loops[loops.index(goal) + 1 :]:
            if goal not in loop.crossed:
                loop.crossed.append(goal)
        is_break = True
    self.emit(py.Break(**self.place) if is_break else py.Continue(**self.place))


RULES: Final[dict[type, StatementRule]] = {
    ast.For: for_,
    ast.While: while_,
    ast.Break: jump,
    ast.Continue: jump,
}
