"""The rules of `validate(data, { name: "text @required" })`, as far as they are literal texts.

`read_rule` reads them again when the program runs; here a slip is found before.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from flinfast.lang import ast
from flinfast.lang.diagnostic import suggest
from flinfast.lang.rule import TYPES, BadRule, read_rule

if TYPE_CHECKING:
    from flinfast.lang.resolve import Resolver

FUNCTION = "validate"
_VARIANTS_MAX = 6  # of an enum that a message spells out


def rules(self: Resolver, arguments: tuple[ast.Argument, ...]) -> None:
    """Resolve the arguments of `validate`, and check its rules."""
    for place, argument in enumerate(arguments):
        value = argument.value
        is_rules = place == 1 or argument.name == "fields"
        if not is_rules or not isinstance(value, ast.MapLiteral):
            self.visit(value)
            continue
        for entry in value.entries:
            if isinstance(entry.key, ast.Expr):
                self.visit(entry.key)
            _rule(self, entry)


def _rule(self: Resolver, entry: ast.MapEntry) -> None:
    value = entry.value
    if isinstance(entry.key, str) and _is_bare(self, value):
        text = self.file.source.text[value.span.start : value.span.end]
        help = f"write `{entry.key}: {_quoted(text)}`"
        self.error(
            "FL406", "the rule of a field is a text here", value.span, "not a text", help=help
        )
        return
    self.visit(value)
    if not isinstance(value, ast.Literal) or type(value.value) is not str:
        return
    try:
        read_rule(str(entry.key), value.value)
    except BadRule as fault:
        help = _help(self, str(entry.key), value.value)
        self.error(
            fault.code, "this is no rule of a field", value.span, f"expected {fault}", help=help
        )


def _help(self: Resolver, key: str, rule: str) -> str:
    """For a rule that starts with another type than those that rules may have."""
    parts = re.fullmatch(r"(\s*\[?\s*)(\w+)(.*)", rule, re.DOTALL)
    if parts is None or parts[2] in TYPES:
        return ""
    before, name, after = parts.groups()
    if name in self.table.entities:
        return "a record is checked by its `id` here, which is an `int`"
    enum = self.table.enums.get(name)
    if enum is None:
        near = suggest(name, TYPES)
        return f"did you mean `{near}`?" if near else ""
    if "[" in before or len(enum.variants) > _VARIANTS_MAX:
        return f"a variant is a text here: `text @one_of('{enum.variants[0]}', ...)`"
    values = ", ".join(f"'{variant}'" for variant in enum.variants)
    optional, rest = ("?", after[1:]) if after.startswith("?") else ("", after)
    return f"write `{key}: {_quoted(f'text{optional} @one_of({values}){rest}')}`"


def _is_bare(self: Resolver, node: ast.Expr) -> bool:
    """Whether a rule was written as in a `validate` block: `text @required`."""
    while isinstance(node, ast.Call):
        node = node.callee
    if isinstance(node, ast.VersionAt):
        return True
    return (
        isinstance(node, ast.Name)
        and node.name in TYPES
        and self.names.find_variable(node.name) is None
    )


def _quoted(text: str) -> str:
    return f'"{text}"' if '"' not in text else f"'{text}'"
