"""What is said to people used to other languages: the code in it is FLIN, of things that exist."""

from __future__ import annotations

import re

import pytest

from flinfast.errors import CompileError
from flinfast.lang import hint
from flinfast.lang.program import compile_project
from flinfast.lang.source import Source
from flinfast.lang.vocabulary import (
    FOREIGN,
    FOREIGN_GUARDS,
    FOREIGN_METHODS,
    FOREIGN_MODIFIERS,
)
from flinfast.runtime.builtins import specs
from flinfast.runtime.guard import BUILTIN_GUARDS

HINTS = sorted({*FOREIGN_GUARDS.values(), *FOREIGN_MODIFIERS.values()})
HINTS += sorted({*FOREIGN.values(), *FOREIGN_METHODS.values(), *hint._INSTEAD.values()})
HINTS += sorted({*hint._OF_EVENTS.values(), hint._PARTS})
HINTS += sorted({*hint._AFTER.values(), hint._PARAMETER, hint._RESULT, hint._RULES})
_CODE = re.compile(r"`([^`]*)`")
_SIGNS = frozenset({"{", "}", "+", ".", "!", "->", "else if", "lib/"})
# What stands for something else -> code of that kind; as the whole of what is quoted ...
_WHOLE = {
    "key: value": "x = { key: value }",
    "entity Name { field: type }": "entity Other { field: text }",
    "name: type = value": "name_: text = value",
    "name: type": "fn g(name: text) { name }",
    "expect": 'test "a" { expect 1 == 1 }',
    "@pattern": 'validate { a: text @pattern("a") }',
    "title: text @required @min(3)": "validate { title: text @required @min(3) }",
    "@required": "validate { a: text @required }",
    "author: User": "fn g(author: User) { author }",
    "name: text?": "fn g(name: text?) { name }",
    "text?": "fn g(a: text?) { a }",
    "[text]": "fn g(a: [text]) { a }",
    "...name": "fn g(...name) { name }",
    "validate(data, { ... })": 'validate(value, { name: "text" })',
    "ws { ... }": "ws { on connect { 1 } }",
    "on connect": "on connect { 1 }",
    "on message": "on message(data) { data }",
    "on close": "on close { 1 }",
    "guard name": "guard auth",
    "shared name = value": "shared names = []",
}
# ... and within it.
_PART = {
    "...": "1",
    "(parameters)": "(a)",
    "pattern -> result": "1 -> 2",
    "field: value": 'name: "a"',
    "Name": "User",
}
_FRAMES = (
    "%s",
    "route GET { %s }",
    "fn f_(name, value, list, condition, text, url, room, x, m, key, record, id, status, message,"
    " user, field, other) { %s }",
    "ws { %s }",
)


def compiles(code: str) -> bool:
    """Whether code is FLIN at file level, in a handler, in a function or in `ws`."""
    entity = (Source("entities/user.flin", "entity User { name: text }"), "entities", ())
    for frame in _FRAMES:
        file = (Source("app/index.flin", frame % code), "route", ())
        try:
            program = compile_project([entity, file], builtins=specs(), guards=BUILTIN_GUARDS)
        except CompileError:
            continue
        if not any(found.code == "FL203" for found in program.diagnostics):
            return True
    return False


@pytest.mark.parametrize("text", HINTS)
def test_hint_names_only_what_exists(text: str) -> None:
    """Its code compiles once words such as `pattern` are replaced by what they stand for."""
    for quoted in _CODE.findall(text):
        code = _WHOLE.get(quoted, quoted)
        if code == quoted:
            for word, meant in _PART.items():
                code = code.replace(word, meant)
        if quoted not in _SIGNS:
            assert compiles(f"User{code}" if code.startswith(".") else code), quoted


def test_code_that_does_not_exist_is_found() -> None:
    """The test above can fail."""
    assert not compiles("shuffle_all(list)")
    assert not compiles("name.shout()")
    assert not compiles("User.find_one(1)")
