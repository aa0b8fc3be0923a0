"""Methods and properties that are one operation of Python on texts and lists.

On an evident kind the operation stands alone; on a value of unknown kind it is guarded by a test,
and every other kind goes to the runtime. Names that are likely keys of data (`title`, `words`) are
left to the runtime where the kind is unknown.
"""

from __future__ import annotations

import ast as py
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from flinfast.lang import ast
from flinfast.lang.lower_base import CONTEXT, Lowering
from flinfast.lang.lower_value import Choice, Tried
from flinfast.lang.types import ANY, BOOL, INT, LIST, TEXT

# Methods of text without arguments -> method of str.
_TEXT_PLAIN: Final = {
    "lower": "lower",
    "upper": "upper",
    "trim": "strip",
    "trim_start": "lstrip",
    "trim_end": "rstrip",
}
# Methods of text with a text -> method of str, kind of the result.
_TEXT_WITH_TEXT: Final = {
    "starts_with": ("startswith", BOOL),
    "ends_with": ("endswith", BOOL),
    "index_of": ("find", INT),
    "last_index_of": ("rfind", INT),
    "remove_prefix": ("removeprefix", TEXT),
    "remove_suffix": ("removesuffix", TEXT),
    "split": ("split", LIST),
}
# Methods that fill a text up -> method of str.
_PADS: Final = {
    "pad_start": "rjust",
    "pad_left": "rjust",
    "pad_end": "ljust",
    "pad_right": "ljust",
}
_PAD_MAX: Final = 1000  # characters up to which a literal length is surely in range
_IN_TEXT: Final = frozenset({"contains", "includes"})
_ADD: Final = frozenset({"push", "append"})
_SIZES: Final = frozenset({"len", "length"})  # `count` and `size` are as likely keys of a map
_OF_LIST: Final = frozenset({"first", "last", "is_empty"})
_OF_MAP: Final = {"get": (1, 2), "has_key": (1, 1)}  # fewest and most arguments


def text_method(
    self: Lowering, kind: str, name: str, target: py.expr, args: Sequence[py.expr]
) -> py.expr:
    """`target.name(args)` of a text, or of what may be one; see `has_text_form`."""
    if kind == TEXT:
        return _on_text(self, name, target, args)[0]
    first, again = self.once(target)
    fast, result = _on_text(self, name, again(), args)
    rare = self.call(method(self, name, len(args)), self.load(CONTEXT), again(), *args)
    return self.likely(result, self.is_exactly(first, "str"), fast, rare)


def _on_text(
    self: Lowering, name: str, text: py.expr, args: Sequence[py.expr]
) -> tuple[py.expr, str]:
    """The operation on a text, and the kind of its result."""
    if not args:
        return self.call(self.attr(text, _TEXT_PLAIN[name])), TEXT
    if name in _IN_TEXT:
        return self.compare(args[0], py.In(), text), BOOL
    if name in _PADS:
        return self.call(self.attr(text, _PADS[name]), *args), TEXT
    attribute, kind = _TEXT_WITH_TEXT[name]
    return self.call(self.attr(text, attribute), args[0]), kind


def has_text_form(self: Lowering, kind: str, name: str, arguments: Sequence[ast.Argument]) -> bool:
    """Whether a method with these arguments, of a value of the kind, is one operation on a text."""
    if not arguments:
        return name in _TEXT_PLAIN
    if name in _PADS:
        return _is_plain_pad(arguments)
    if len(arguments) > 1 or not (name in _TEXT_WITH_TEXT or name in _IN_TEXT):
        return False
    argument = arguments[0]
    if argument.spread or argument.name is not None or self.kinds.of(argument.value) != TEXT:
        return False
    if isinstance(argument.value, ast.Literal):
        return name != "split" or argument.value.value != ""
    return kind == TEXT and name != "split"


def _is_plain_pad(arguments: Sequence[ast.Argument]) -> bool:
    """Whether the length is a small literal, and what fills up one character."""
    if len(arguments) > 2 or any(a.name is not None for a in arguments):
        return False
    values = [a.value.value for a in arguments if isinstance(a.value, ast.Literal)]
    if len(values) < len(arguments) or type(values[0]) is not int:
        return False
    fill = values[1] if len(values) == 2 else " "
    return 0 <= values[0] <= _PAD_MAX and isinstance(fill, str) and len(fill) == 1


def text_property(self: Lowering, kind: str, name: str, target: py.expr) -> py.expr | None:
    """`target.name` without parentheses; None when there is no such form."""
    if name in _TEXT_PLAIN and kind in (TEXT, ANY):
        first, again = (target, None) if kind == TEXT else self.once(target)
        text = target if again is None else again()
        stripped = self.call(self.attr(text, _TEXT_PLAIN[name]))
        if again is None:
            return stripped
        rare = self.call(self.op("member"), again(), self.const(name))
        return self.likely(TEXT, self.is_exactly(first, "str"), stripped, rare)
    if name in _SIZES and kind == ANY:
        return _size(self, name, target)
    if name in _OF_LIST and kind in (LIST, ANY):
        return _of_list(self, kind, name, target)
    return None


def is_size(name: str) -> bool:
    """Whether a member of that name is rather the size of a text or list than a key of a map."""
    return name in _SIZES


def is_of_text(name: str) -> bool:
    """Whether a member of that name is rather a property of a text than a key of a map."""
    return name in _TEXT_PLAIN or name in _SIZES


def _of_list(self: Lowering, kind: str, name: str, target: py.expr) -> py.expr:
    """`value.first` and its like of a list, or of what may be one; they are likely keys, too."""
    first, again = self.once(target)
    on_list = first if kind == LIST else again()
    if name == "is_empty":
        fast: py.expr = self.negate(on_list)
    else:
        place = self.const(0 if name == "first" else -1)
        fast = self.choose(on_list, self.item(again(), place), self.const(None))
    if kind == LIST:
        return fast
    value = self.call(self.attr(again(), "get"), self.const(name))
    other = self.call(self.op("member"), again(), self.const(name))
    rare = self.choose(self.is_exactly(again(), "dict"), value, other)
    return self.choose(self.is_exactly(first, "list"), fast, rare)


def has_map_form(kind: str, name: str, arguments: Sequence[ast.Argument]) -> bool:
    """Whether a method with these arguments is one operation on a map, if that is what it is on."""
    if kind != ANY or name not in _OF_MAP:
        return False
    fewest, most = _OF_MAP[name]
    if not fewest <= len(arguments) <= most:
        return False
    if any(a.name is not None or not isinstance(a.value, ast.Literal) for a in arguments):
        return False
    key = arguments[0].value
    return isinstance(key, ast.Literal) and isinstance(key.value, str)


def map_method(self: Lowering, name: str, target: py.expr, args: Sequence[py.expr]) -> py.expr:
    """`target.get(...)` and its like of what may be a map; see `has_map_form`.

    A map with an entry of that name may have a function there.
    """
    first, again = self.once(target)
    is_own = self.compare(self.const(name), py.NotIn(), again())
    if name == "get":
        fast: py.expr = self.call(self.attr(again(), "get"), *args)
    else:
        fast = self.compare(args[0], py.In(), again())
    rare = self.call(method(self, name, len(args)), self.load(CONTEXT), again(), *args)
    return self.choose(self.both(self.is_exactly(first, "dict"), is_own), fast, rare)


def size_of(self: Lowering, value: py.expr, rare: Callable[[py.expr], py.expr]) -> py.expr:
    """`len(value)` of a text or list, and what is `rare` of all others."""
    first, again = self.once(value)
    tests = [self.is_exactly(first, "list"), self.is_exactly(again(), "str")]
    is_sized = py.BoolOp(py.Or(), tests, **self.place)
    size = self.call(self.support("py_len"), again())
    return self.likely(INT, is_sized, size, rare(again()))


def _size(self: Lowering, name: str, target: py.expr) -> Choice:
    """`value.len` of a text or list."""
    first, again = self.once(target)
    inner = first.value if isinstance(first, py.NamedExpr) else first
    is_item = isinstance(inner, py.IfExp) and isinstance(inner.body, py.Subscript)
    is_likely_list = is_item or isinstance(first, py.Name)
    kinds = ("list", "str") if is_likely_list else ("str", "list")
    tests = [self.is_exactly(first, kinds[0]), self.is_exactly(again(), kinds[1])]
    is_sized = py.BoolOp(py.Or(), tests, **self.place)
    rare = self.call(self.op("member"), again(), self.const(name))
    return self.likely(INT, is_sized, self.call(self.support("py_len"), again()), rare)


def is_push(name: str, nodes: Sequence[ast.Argument]) -> bool:
    """Whether a call adds one item to a list."""
    return name in _ADD and len(nodes) == 1 and not nodes[0].spread and nodes[0].name is None


def push(self: Lowering, target: ast.Expr, name: str, item: ast.Expr) -> None:
    """`target.push(item)` as a statement."""
    kind = self.kinds.of(target)
    is_list = self.kinds.entry(target) == LIST  # or none
    if is_list and isinstance(target, ast.Index) and self.kinds.of(target.key) == TEXT:
        makers = [partial(_listed, self, target), partial(self.expr, item)]
        owner, value = self.in_order(makers)
    else:
        owner, value = self.operands([target, item])
    if kind == LIST or is_list:
        self.forget_items()
    else:
        self.forget()
    if kind == LIST:

        def append_to(value: py.expr) -> py.stmt:
            return py.Expr(self.call(self.attr(owner, "append"), value), **self.place)

        if not isinstance(value, Tried) or not value.replaces(self.body, append_to):
            self.emit(append_to(value))
        return
    if not self.is_stable(target, owner):
        owner, value = self.kept(owner), self.kept(value)
    elif not isinstance(value, py.Constant):
        value = self.kept(value)
    append = self.call(self.attr(owner, "append"), value)
    other = self.call(method(self, name, 1), self.load(CONTEXT), owner, value)
    test = self.negate(self.is_none(owner)) if is_list else self.is_exactly(owner, "list")
    fast, rare = py.Expr(append, **self.place), py.Expr(other, **self.place)
    self.emit(py.If(test, [fast], [rare], **self.place))


def _listed(self: Lowering, node: ast.Index) -> py.expr:
    """`map[text]` where a missing one is a fault, so that it is rare."""
    owner, key = (self.kept(part) for part in self.operands([node.target, node.key]))
    found = self.temp()
    place, error = self.store(found), self.support("py_key_error")
    read = py.Assign([place], self.item(owner, key), **self.place)
    missing = py.Assign([place], self.const(None), **self.place)
    handler = py.ExceptHandler(error, None, [missing], **self.place)
    self.emit(py.Try([read], [handler], [], [], **self.place))
    return self.load(found)


def method(self: Lowering, name: str, count: int) -> py.Name:
    """The function that calls `value.name(...)` with `count` plain arguments."""
    return self.bind(
        f"$m_{name}_{count}",
        lambda: self.call(self.op("method"), self.const(name), self.const(count)),
    )
